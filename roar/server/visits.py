"""Visits: a browser that its user has let in by key reads pages for half a day, by a cookie that pages alone take.

Neither the API nor git takes it, and pages change nothing: so what another site has a browser send does no harm. The
cookie is ``SameSite=Lax``, not ``Strict``: links to pages stand in chats and trackers, and who followed one from there
would be told that there is nothing.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from roar.glaas import address
from roar.server import tokens
from roar.server.storage import Storage

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response


def current(request: Request, storage: Storage) -> tokens.Visit | None:
    """The visit that a request for a page belongs to. Whether its key still counts is not asked here."""
    is_page = getattr(request.state, "is_page", False) and request.method in ("GET", "HEAD")
    return given(request, storage) if is_page else None


def given(request: Request, storage: Storage) -> tokens.Visit | None:
    """The visit of a request's cookie, whatever is asked."""
    text = request.cookies.get(_name(request.app.state.url))
    visit = tokens.visiting(storage.secret(), text, time.time_ns()) if text else None
    return visit if visit and not tokens.is_spent(storage.place("nonces"), visit) else None


def begin(answer: Response, url: str, visit: str) -> None:
    """Have the browser keep a visit to the server at ``url``."""
    _set(answer, url, visit, tokens.VISIT_SECONDS)


def end(answer: Response, url: str) -> None:
    """Have the browser forget it."""
    _set(answer, url, "", 0)


def is_own(request: Request) -> bool:
    """Whether a form was sent from a page of this server (Fetch Metadata, 2.2; older browsers name the origin)."""
    site = request.headers.get("sec-fetch-site")
    if site is not None:
        return site == "same-origin"
    return request.headers.get("origin") == address.parse(request.app.state.url).origin


def _name(url: str) -> str:
    """Other servers of the machine get cookies of this one, and set some, whatever their port is."""
    parts = urlsplit(url)
    name = f"roar_{parts.port}" if parts.port else "roar"
    return f"__Host-{name}" if parts.scheme == "https" else name


def _set(answer: Response, url: str, value: str, seconds: int) -> None:
    secure = url.startswith("https:")
    answer.set_cookie(_name(url), value, max_age=seconds, path="/", secure=secure, httponly=True, samesite="lax")
