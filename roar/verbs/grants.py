"""Tokens that servers gave: read from an answer, kept for as long as they are good, found again.

They are kept under the server's origin, or under the host that gave them over SSH (``known``).
"""

from __future__ import annotations

import time
from typing import Any, NamedTuple

from roar.errors import RoarError
from roar.glaas import known, login

_SPARE_SECONDS = 20
"""A token that lasts no longer is not begun with."""
_LONGEST_SECONDS = 86_400
_SCOPES = (login.READ, login.WRITE, login.ADMIN)


class Grant(NamedTuple):
    """A token: whose, for which project ("": all, to read), for what, and until when (seconds since the epoch)."""

    user: str
    project: str
    scope: str
    expires: int
    token: str

    def __repr__(self) -> str:
        return f"Grant({self.user}, {self.project}, {self.scope})"  # never the token


def read(who: str, answer: Any, project: str, operation: str) -> Grant:
    """The token in the answer of a server, ``who``, for what it was asked for. Raises ``RoarError``."""
    try:
        user, token, lasts = str(answer["user"]), str(answer["token"]), int(answer["expires_in"])
    except (LookupError, TypeError, ValueError, OverflowError) as error:
        raise RoarError(f"{who} does not answer as a roar server does", "check the address") from error
    if not all(word and word.isascii() and word.isprintable() for word in (user, token)):  # lines of git's protocol
        raise RoarError(f"{who} gives a token that is none", "check the address")
    return Grant(user, project, operation, int(time.time()) + min(lasts, _LONGEST_SECONDS), token)


def remembered(place: str, project: str, operation: str) -> Grant | None:
    """A token that is good for this, or for more."""
    for grant in good(place):
        enough = grant.scope in _SCOPES and _SCOPES.index(grant.scope) >= _SCOPES.index(operation)
        if grant.project == project and enough:
            return grant
    return None


def good(place: str) -> list[Grant]:
    """The tokens that are still good."""
    try:
        found = [Grant(**fields) for fields in known.load(place, known.TOKENS).get("grants", [])]
        return [grant for grant in found if grant.expires > time.time() + _SPARE_SECONDS]
    except (TypeError, RoarError):  # damaged: a new log-in writes it anew
        return []


def add(place: str, grant: Grant) -> None:
    """Keep a token, in place of one for the same. Within ``known.alone``."""
    same = (grant.project, grant.scope)
    _keep(place, [*(each for each in good(place) if (each.project, each.scope) != same), grant])


def forget(place: str, project: str) -> None:
    """Forget the tokens for a project: the server does not take them any more."""
    with known.alone(place):
        _keep(place, [grant for grant in good(place) if grant.project != project])


def _keep(place: str, grants: list[Grant]) -> None:
    known.save(place, known.TOKENS, {"grants": [grant._asdict() for grant in grants]})
