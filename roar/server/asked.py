"""What a request may see, and what goes wrong with one, said in one way to programs and to people."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Protocol

from fastapi import Request

from roar.errors import NotFoundError
from roar.server.links import Place
from roar.server.union import Library, Union


class Site(Protocol):
    """What pages and API are about: a server's projects, or the one repository somebody looks at."""

    library: Library
    name: str
    """What stands at the top of every page."""
    origin: str
    """The address that people type for it."""
    local: bool
    """True for one repository on its owner's machine: nobody logs in, and there are no projects to speak of."""

    def visible(self, request: Request) -> list[str]:
        """The projects that whoever asks may see, sorted. Raises ``HTTPException`` for credentials that are wrong."""

    def user(self, request: Request) -> str | None:
        """Who asks; None when that is not known."""

    def place(self, project: str) -> Place:
        """Where the records of a project are fetched from."""

    def metrics(self) -> dict[str, float]:
        """Numbers for those who look after the server, by name."""


def site(request: Request) -> Site:
    """The site of the application."""
    found: Site = request.app.state.site
    return found


async def welcome(request: Request) -> None:
    """For a router of pages: they take the cookie of a browser that was let in (``visits``), and nothing else does."""
    request.state.is_page = True


@contextlib.contextmanager
def union_of(request: Request, project: str | None = None, *, asked_from: str | None = None) -> Iterator[Union]:
    """All that whoever asks may see, or one project of it; ``asked_from``: what that project says comes first.

    One that may not be seen is asked from as one that is not there: it changes nothing.

    Raises ``NotFoundError`` for a project that is not there or not to be seen, which is told apart by nobody.
    """
    here = site(request)
    projects = here.visible(request)
    if project is not None:
        if project not in projects:
            raise NotFoundError(f"there is no project {project} that you may see", "log in, or ask its owner")
        projects = [project]
    with Union(here.library, projects, asked_from) as union:
        yield union
