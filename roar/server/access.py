"""Who is asking, and whether they may: the Authorization header of a request against tokens and people.

Without that header, pages take the cookie of a browser that was let in (``visits``). A token is sealed by the server,
names a user and the key that got it, and is worth what that user's role is worth when it is used, and so is a visit: a
key that was removed, a user who was disabled, a role that was taken end it at once.
"""

from __future__ import annotations

import base64
import binascii
import time
from typing import TYPE_CHECKING, NamedTuple

from roar.errors import RoarError
from roar.server import audit, tokens, visits
from roar.server.people import People, Role
from roar.server.storage import Storage

if TYPE_CHECKING:
    from starlette.requests import Request  # git over SSH does without

_SCOPES = {"read": Role.READ, "write": Role.WRITE, "admin": Role.ADMIN}


class Denied(RoarError):  # noqa: N818
    """The request is not answered: 401 when a log-in would help, 403 when it would not, 404 for what must not show."""

    def __init__(self, status: int, message: str, hint: str | None = None) -> None:
        super().__init__(message, hint)
        self.status = status


class Caller(NamedTuple):
    """Who asks: a user, or None for anybody. ``project``: the only one that the token is for; None is any.

    ``role`` is the most that the token may be used for.
    """

    people: People
    user: str | None
    project: str | None = None
    scope: Role = Role.READ


def caller(request: Request, storage: Storage) -> Caller:
    """Who sends a request. Raises ``Denied`` for a token that does not count: nobody becomes anybody by mistake."""
    people: People = request.app.state.people
    header = request.headers.get("authorization")
    if header is None:
        visit = visits.current(request, storage)
        user = people.user_of_key(visit.fingerprint) if visit else None
        return Caller(people, user.name if user and visit and user.name == visit.user else None)
    token = tokens.check(storage.secret(), _token(header), time.time_ns())
    if token is None:
        raise Denied(401, "the token is not this server's, or has expired", "roar auth login")
    user = people.user_of_key(token.fingerprint)
    if user is None or user.name != token.user:
        raise Denied(401, "the key that got this token is no longer its user's", "roar auth login")
    return Caller(people, user.name, token.project, _SCOPES.get(token.scope, Role.NONE))


def admit(storage: Storage, who: str, fingerprint: str, project: str, scope: str, address: str) -> str:
    """A token for a user who has shown this key, for a project ("": to read in all); the audit log has a line of it.

    Raises ``OSError`` when it has not.
    """
    only = project or None
    seconds, now_ns = tokens.TOKEN_SECONDS, time.time_ns()
    audit.note(storage, "log-in", user=who, address=address, project=only, key=fingerprint)
    return tokens.issue(
        storage.secret(),
        user=who,
        fingerprint=fingerprint,
        project=only,
        scope=scope,
        seconds=seconds,
        now_ns=now_ns,
    )


def may(who: Caller, project: str, role: Role) -> bool:
    """Whether a caller has at least this role in a project, by who they are and by what their token is for."""
    if who.project is not None and who.project != project:
        who = who._replace(user=None)  # a token of another project is worth what no token is
    return min(who.people.role(who.user, project), who.scope) >= role


def visible(who: Caller) -> list[str]:
    """The projects that a caller may read, sorted."""
    if who.scope < Role.READ:
        return []
    own = who.people.visible(who.user)
    if who.project is None:
        return own
    return sorted({*who.people.visible(None), *(name for name in own if name == who.project)})


def require(who: Caller, project: str, role: Role) -> None:
    """Raises ``Denied`` unless a caller has this role in a project; what they may not read looks as if it were not."""
    if may(who, project, role):
        return
    if who.user is None:
        raise Denied(401, f"log in to use {project}", "roar auth login")
    if not may(who, project, Role.READ):
        raise Denied(404, f"there is no project {project}, or none for {who.user}", "roar auth status")
    raise Denied(
        403, f"{who.user} may not {role.name.lower()} in {project}", "ask one of its administrators for a role"
    )


def let_in(storage: Storage, who: Caller, project: str, role: Role, address: str) -> None:
    """As ``require``, for git: the audit log has a line of who may read and would have written."""
    try:
        require(who, project, role)
    except Denied as denied:
        if denied.status == 403:
            audit.note(storage, "refused", user=who.user, address=address, project=project, reasons=[denied.message])
        raise


def is_protocol(text: str) -> bool:
    """True for what a client may put into GIT_PROTOCOL: ``version=2``."""
    return 0 < len(text) < 100 and text.replace("=", "").replace(":", "").isalnum()


def _token(header: str) -> str:
    """The token of an Authorization header: as such, or as the password that git sends."""
    kind, _, value = header.partition(" ")
    if kind.lower() == "basic":
        try:
            return base64.b64decode(value.strip(), validate=True).decode().partition(":")[2]
        except (binascii.Error, UnicodeDecodeError, ValueError):
            return ""
    return value.strip() if kind.lower() == "bearer" else ""
