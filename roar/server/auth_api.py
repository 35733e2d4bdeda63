"""Logging in over HTTP: a challenge, signed by an SSH key of the user's, for a token of a few minutes; or for a code,
which lets a browser in.
"""

from __future__ import annotations

import time
from typing import Literal

from fastapi import APIRouter, Request
from pydantic import BaseModel, ConfigDict, Field

from roar.errors import RoarError
from roar.glaas import address, login, ssh
from roar.server import access, answers, audit, tokens
from roar.server.access import Denied, caller
from roar.server.people import People, Role
from roar.server.storage import Storage

router = APIRouter(prefix="/api/v1/auth", responses=answers.ERRORS, tags=["auth"])

_SCOPES = {login.READ: Role.READ, login.WRITE: Role.WRITE, login.ADMIN: Role.ADMIN}


class _Words(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Wish(_Words):
    """What a log-in is for. ``project`` "": to read in all projects that the user may read."""

    audience: str = Field(max_length=300)
    project: str = Field("", max_length=130)
    operation: Literal["read", "write", "admin", "join", "browse"] = "read"


class Challenged(BaseModel):
    """What to sign, within so many seconds."""

    challenge: str
    expires_in: int


class Signed(_Words):
    """A challenge, and the signature of its log-in message by the key of this fingerprint."""

    challenge: str = Field(max_length=tokens.MAX_LENGTH)
    key: str = Field(max_length=100)
    signature: str = Field(max_length=20_000)


class Granted(BaseModel):
    """A token, whose it is, what it is for, and for how many seconds."""

    token: str
    user: str
    project: str
    scope: str
    expires_in: int


class Browsing(Signed):
    """A signed challenge to let a browser in, and the path of the page to show it first."""

    page: str = Field("/", max_length=300, pattern=f"^{login.PAGE}$")


class Code(BaseModel):
    """What lets a browser in at ``/enter``, once: as whom, and within how many seconds."""

    code: str
    user: str
    expires_in: int


class Joining(_Words):
    """An invitation's code, the name and the key (a line of a ``.pub`` file) to become a user with, and a signature."""

    challenge: str = Field(max_length=tokens.MAX_LENGTH)
    code: str = Field(max_length=200)
    name: str = Field(max_length=64)
    key: str = Field(max_length=20_000)
    signature: str = Field(max_length=20_000)


class Joined(BaseModel):
    """The new user, and the role that the invitation gave."""

    user: str
    project: str
    role: str


class Self(BaseModel):
    """Who the caller is for the server (``user`` null: anybody), and what the token is for."""

    user: str | None
    project: str | None
    scope: str
    roles: dict[str, str]


@router.post("/challenge")
def challenge(wish: Wish, request: Request) -> Challenged:
    """A challenge for a log-in. Any will be given; it says nothing of projects or users."""
    url = audience_of(request)
    if wish.audience != url:
        raise Denied(400, f"this server is {url}, and takes log-ins for that address alone", f"roar auth login {url}")
    storage: Storage = request.app.state.storage
    text = tokens.challenge(
        storage.secret(), audience=url, project=wish.project, operation=wish.operation, now_ns=time.time_ns()
    )
    return Challenged(challenge=text, expires_in=tokens.CHALLENGE_SECONDS)


@router.post("/token")
def token(signed: Signed, request: Request) -> Granted:
    """A token for a signed challenge. The challenge is used up by a good signature."""
    storage: Storage = request.app.state.storage
    people: People = request.app.state.people
    user, made = _by_key(request, signed)
    if made.operation not in _SCOPES:
        raise Denied(400, "this challenge is not for a token")
    _permit(people, user, made)
    text = access.admit(storage, user, signed.key, made.project, made.operation, address_of(request))
    return Granted(token=text, user=user, project=made.project, scope=made.operation, expires_in=tokens.TOKEN_SECONDS)


@router.post("/browser")
def browser(signed: Browsing, request: Request) -> Code:
    """A code for a signed challenge, which lets a browser in to read pages. The signature says that it is for that."""
    user, made = _by_key(request, signed)
    if made.operation != login.BROWSE or made.project:
        raise Denied(400, "this challenge is not for a browser")
    storage: Storage = request.app.state.storage
    text = tokens.code(
        storage.secret(),
        audience=made.audience,
        user=user,
        fingerprint=signed.key,
        page=signed.page,
        now_ns=time.time_ns(),
    )
    return Code(code=text, user=user, expires_in=tokens.CODE_SECONDS)


@router.post("/invitation")
def invitation(joining: Joining, request: Request) -> Joined:
    """Become a user by an invitation, with a key that is shown to be one's own."""
    storage: Storage = request.app.state.storage
    people: People = request.app.state.people
    key = ssh.parse(joining.key)
    made = _answered(request, joining.challenge, joining.signature, key)
    if made.operation != login.JOIN:
        raise Denied(400, "this challenge is not for an invitation")
    try:
        accepted = people.accept(joining.code, joining.name, f"{key.line} {key.comment}".rstrip())
    except RoarError as error:
        why = [f"invitation: {error.message}"]
        audit.note(storage, "refused", user=None, address=address_of(request), reasons=why, key=key.fingerprint)
        raise
    audit.note(
        storage,
        "invitation",
        user=joining.name,
        address=address_of(request),
        project=accepted.project,
        key=key.fingerprint,
    )
    return Joined(user=joining.name, project=accepted.project, role=accepted.role)


@router.get("/self")
def self_(request: Request) -> Self:
    """Who the caller is, and what they may do in which project."""
    who = caller(request, request.app.state.storage)
    roles = {name: who.people.role(who.user, name) for name in who.people.visible(who.user)}
    mine = {name: role for name, role in roles.items() if who.project in (None, name)}
    return Self(
        user=who.user,
        project=who.project,
        scope=who.scope.name.lower(),
        roles={name: role.name.lower() for name, role in mine.items()},
    )


def _by_key(request: Request, signed: Signed) -> tuple[str, tokens.Challenge]:
    """The user who has signed a challenge by a key of theirs, and the challenge. Raises ``Denied``."""
    people: People = request.app.state.people
    user = people.user_of_key(signed.key)
    keys = [key for key in people.keys_of(user.name) if key.fingerprint == signed.key] if user else []
    if user is None or not keys:
        raise _unknown(request, signed.key)
    return user.name, _answered(request, signed.challenge, signed.signature, ssh.parse(keys[0].line))


def _answered(request: Request, text: str, signature: str, key: ssh.PublicKey) -> tokens.Challenge:
    """The challenge that this key has signed, which is used up now. Raises ``Denied``."""
    storage: Storage = request.app.state.storage
    made = tokens.opened(storage.secret(), text, audience=audience_of(request), now_ns=time.time_ns())
    if made is None:
        raise Denied(403, "the challenge is not this server's, or has expired", "log in again")
    signed = login.message(made.audience, made.project, made.operation, text)
    if not ssh.is_signed(signed, signature, key, login.NAMESPACE):
        raise _unknown(request, key.fingerprint)
    if not tokens.spend(storage.place("nonces"), made, time.time_ns()):
        raise Denied(403, "this challenge was answered before", "log in again")
    return made


def _permit(people: People, user: str, made: tokens.Challenge) -> None:
    if not made.project:
        if made.operation != login.READ:
            raise Denied(400, "to write, a log-in must name a project", "roar auth login ADDRESS/PROJECT.git")
        return
    role = people.role(user, made.project)
    if role < Role.READ:
        raise Denied(404, f"there is no project {made.project}, or none for {user}", "roar auth status")
    if role < _SCOPES[made.operation]:
        raise Denied(403, f"{user} may not {made.operation} in {made.project}", "ask one of its administrators")


def _unknown(request: Request, key: str) -> RoarError:
    """One answer for a key that nobody has and for a signature that is not the key's."""
    storage: Storage = request.app.state.storage
    audit.note(storage, "refused", user=None, address=address_of(request), reasons=["log-in"], key=key)
    return Denied(401, f"nobody here logs in with the key {key}", "roar auth keys")


def audience_of(request: Request) -> str:
    """What log-ins here are for: what people type for this server, and never what a request says of it."""
    return address.parse(request.app.state.url).origin


def address_of(request: Request) -> str:
    """Where a request comes from."""
    return request.client.host if request.client else ""
