"""Asking servers where a content came from. They learn the hash that is asked for, and nothing of the file."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple, TypeVar

from roar.errors import EXIT_NO, NotFoundError, RoarError, UsageError
from roar.glaas import address
from roar.glaas.address import Address
from roar.glaas.client import Client, RefusedError
from roar.hashing import digest_file
from roar.records.summary import printable
from roar.verbs import auth
from roar.verbs.resolve import SHORTEST

_HEX = re.compile(rf"[0-9a-fA-F]{{{SHORTEST},64}}")
_WHOLE = re.compile(r"[0-9a-f]{64}")
T = TypeVar("T")


class UnknownThereError(NotFoundError):
    """No server that was asked knows the content."""

    exit_code = EXIT_NO


class Maker(NamedTuple):
    """A job that made the content: what a server says of it, for people."""

    id: str
    projects: list[str]
    command: str
    outcome: str
    started_ns: int
    user: str
    commit: str


class AlsoMade(NamedTuple):
    """That jobs of another project made the content, too: one of them, and how many did."""

    project: str
    job: str
    jobs: int


class Found(NamedTuple):
    """What a server knows of a content: who made it (those of the project that stands first before others), in which
    other projects that is said, too, how many jobs read it, the page that shows it.
    """

    server: str
    hash: str
    size: int
    paths: list[str]
    projects: list[str]
    made_by: list[Maker]
    also_made_by: list[AlsoMade]
    used_by_count: int
    url: str


class Origin(NamedTuple):
    """Where all that led to a content can be had: the projects of a server that hold the jobs. ``sha256`` is the kind
    of git's objects.
    """

    hash: str
    projects: list[Address]
    sha256: bool


def content_of(text: str) -> str:
    """The hash of the file at a path, else a hash (or its beginning) as typed. Raises ``RoarError``."""
    if os.path.lexists(text):
        try:
            return digest_file(text).hash
        except OSError as error:
            raise RoarError(f"cannot read {printable(text)}: {error.strerror}") from error
    if not _HEX.fullmatch(text):
        raise UsageError(f"{printable(text)} is no file here and no hash", "roar lookup FILE, or the digits of a hash")
    return text.lower()


def is_hash(text: str) -> bool:
    """True for what can be a hash, or its beginning."""
    return bool(_HEX.fullmatch(text))


def look_up(content: str, servers: Iterable[Address]) -> tuple[list[Found], list[RoarError]]:
    """What servers know of a content, and the troubles with those that could not be asked; a project in the address of
    a server is what is asked from. Raises ``RoarError``.
    """
    found, troubles = [], list[RoarError]()
    for server in servers:
        try:
            found.append(_found(server, content, _ask(server, f"/artifacts/{content}", _asked_from(server))))
        except RefusedError as error:
            if error.status != 404:
                troubles.append(error)
        except RoarError as error:
            troubles.append(error)
    return found, troubles


def origin(content: str, servers: Iterable[Address]) -> Origin:
    """Where to get what is needed to make a content again: from the first server that knows who made it.

    Raises ``UnknownThereError`` when no server knows, ``RoarError`` when those that might could not be asked.
    """
    asked = list(servers)
    found, troubles = look_up(content, asked)
    for each in found:
        if each.made_by:
            server = next(one for one in asked if one.origin == each.server)
            query: dict[str, int | str] = {"depth": 1000, "limit": 500, **_asked_from(server)}
            names = _holders(server, _ask(server, f"/artifacts/{each.hash}/lineage", query))
            projects = [server._replace(project=name) for name in names]
            return Origin(each.hash, projects, any(len(maker.commit) == 64 for maker in each.made_by))
    if troubles:
        raise troubles[0]
    raise UnknownThereError(f"no server that was asked knows who made {printable(content)}", "roar lookup -h")


def _holders(server: Address, answer: Any) -> list[str]:
    """The projects that hold a lineage: for each job the one that stands first. No other is needed, and who copies
    records into a project of their own has not more to say for it.
    """

    def read() -> list[str]:
        return sorted({address.check_project(str(job["projects"][0])) for job in answer["jobs"]})

    return _read(server, read)


def _asked_from(server: Address) -> dict[str, str]:
    """What the repository's own project says stands first."""
    return {"project": server.project} if server.project else {}


def _ask(server: Address, path: str, query: Mapping[str, int | str] | None = None) -> Any:
    def question(client: Client, token: str | None) -> Any:
        return client.get(path, query, token)

    return auth.ask(server._replace(project=""), question)


def _found(server: Address, asked: str, answer: Any) -> Found:
    return _read(
        server,
        lambda: Found(
            server.origin,
            _same(str(answer["hash"]), asked),
            int(answer["size"]),
            [str(path) for path in answer["paths"]],
            [str(name) for name in answer["projects"]],
            [_maker(fields) for fields in answer["made_by"]],
            [_also(fields) for fields in answer.get("also_made_by", [])],
            int(answer["used_by_count"]),
            f"{server.origin}/a/{answer['hash']}",
        ),
    )


def _same(answered: str, asked: str) -> str:
    """The hash of an answer, which must be of what was asked for."""
    if not _WHOLE.fullmatch(answered) or not answered.startswith(asked):
        raise ValueError(answered)
    return answered


def _maker(fields: Any) -> Maker:
    return Maker(
        _record(str(fields["id"])),
        [address.check_project(str(name)) for name in fields["projects"]],
        str(fields["command"]),
        str(fields["outcome"]),
        int(fields["started_ns"]),
        str(fields["user"]),
        str(fields["commit"] or ""),
    )


def _also(fields: Any) -> AlsoMade:
    return AlsoMade(address.check_project(str(fields["project"])), _record(str(fields["job"])), int(fields["jobs"]))


def _record(identifier: str) -> str:
    """A record's id: it becomes part of an address."""
    if not (identifier.isascii() and identifier.isalnum()):
        raise ValueError(identifier)
    return identifier


def _read(server: Address, read: Callable[[], T]) -> T:
    try:
        return read()
    except (LookupError, TypeError, ValueError) as error:
        raise RoarError(f"{server.origin} does not answer as a roar server does", "check the address") from error
