"""Challenges, tokens, codes and visits: short texts that only the server can have made, as its secret seals them.

A challenge says what a log-in is for and is good once; a token says who may do what and for how long. A code lets a
browser in, once; a visit is what the browser has then, to read pages. None is kept by the server (but the numbers of
what was used up), so several servers on one data directory need no table. Each is ``<prefix>.<base64url of
JSON>.<base64url of HMAC-SHA256>``; the prefix is sealed, too, so that one is never taken for the other. All but
challenges name the key that got them: whoever takes one asks whether that key is still its user's.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import hmac
import json
import os
import secrets
from typing import Any, NamedTuple

CHALLENGE_SECONDS = 120
"""How long a challenge may be answered: enough to touch a hardware key."""
TOKEN_SECONDS = 900
"""How long a token lasts, unless less is asked."""
CODE_SECONDS = 60
"""How long a browser may be let in by a code."""
VISIT_SECONDS = 12 * 3600
"""How long a browser stays in."""
SKEW_SECONDS = 60
"""How far the clocks of servers that share a secret may be apart."""
_REMEMBERED_SECONDS = 24 * 3600
"""How long a spent challenge is remembered after its end: the server's clock may be set back by as much."""
MAX_LENGTH = 2048
SCOPES = ("read", "write", "admin")

_CHALLENGE, _TOKEN, _CODE, _VISIT = "roar-c1", "roar-t1", "roar-e1", "roar-v1"
_SECOND = 1_000_000_000


class Challenge(NamedTuple):
    """What a log-in is for. ``project`` "" is none in particular; ``operation`` is one of ``SCOPES``."""

    audience: str
    project: str
    operation: str
    nonce: str
    expires_ns: int


class Token(NamedTuple):
    """Who may do what. ``project`` None: any that the user may read; ``fingerprint``: of the key that got it."""

    user: str
    fingerprint: str
    project: str | None
    scope: str
    expires_ns: int


class Code(NamedTuple):
    """Lets a browser in as a user at ``audience``, and shows it ``page`` first."""

    audience: str
    user: str
    fingerprint: str
    page: str
    nonce: str
    expires_ns: int


class Visit(NamedTuple):
    """A browser that was let in, to read what its user may."""

    user: str
    fingerprint: str
    nonce: str
    expires_ns: int


def challenge(secret: bytes, *, audience: str, project: str, operation: str, now_ns: int) -> str:
    """A new challenge for a log-in at ``audience``, the origin that people type for this server."""
    made = Challenge(audience, project, operation, secrets.token_hex(16), now_ns + CHALLENGE_SECONDS * _SECOND)
    return _seal(secret, _CHALLENGE, made._asdict())


def opened(secret: bytes, text: str, *, audience: str, now_ns: int) -> Challenge | None:
    """What a challenge says, when it is this server's, for this audience and not expired."""
    body = _unseal(secret, _CHALLENGE, text)
    made = Challenge(**body) if body else None
    return made if made and made.audience == audience and _is_alive(made, CHALLENGE_SECONDS, now_ns) else None


def spend(folder: str, made: Challenge | Code | Visit, now_ns: int) -> bool:
    """Use it up; False when it was used before. ``folder`` (made when missing) remembers it, to a day after its end.

    Raises ``OSError`` when it cannot be remembered: then nobody may be let in.
    """
    os.makedirs(folder, 0o700, exist_ok=True)
    _sweep(folder, now_ns)
    try:
        os.close(os.open(_spent(folder, made), os.O_CREAT | os.O_EXCL, 0o600))
    except FileExistsError:
        return False
    return True


def is_spent(folder: str, made: Challenge | Code | Visit) -> bool:
    """Whether it was used up."""
    return os.path.exists(_spent(folder, made))


def _spent(folder: str, made: Challenge | Code | Visit) -> str:
    return os.path.join(folder, f"{made.expires_ns}-{made.nonce}")


def issue(  # noqa: PLR0913 - each says a thing of its own, by name
    secret: bytes, *, user: str, fingerprint: str, project: str | None, scope: str, seconds: int, now_ns: int
) -> str:
    """A token; ``seconds`` are at most ``TOKEN_SECONDS``."""
    expires_ns = now_ns + min(seconds, TOKEN_SECONDS) * _SECOND
    return _seal(secret, _TOKEN, Token(user, fingerprint, project, scope, expires_ns)._asdict())


def check(secret: bytes, token: str, now_ns: int) -> Token | None:
    """What a token says, when it is this server's and not expired. Whether its key still counts is not asked here."""
    body = _unseal(secret, _TOKEN, token)
    made = Token(**body) if body else None
    return made if made and _is_alive(made, TOKEN_SECONDS, now_ns) else None


def code(secret: bytes, *, audience: str, user: str, fingerprint: str, page: str, now_ns: int) -> str:
    """A new code; ``page`` is the path of a page here."""
    made = Code(audience, user, fingerprint, page, secrets.token_hex(16), now_ns + CODE_SECONDS * _SECOND)
    return _seal(secret, _CODE, made._asdict())


def decoded(secret: bytes, text: str, *, audience: str, now_ns: int) -> Code | None:
    """What a code says, when it is this server's, for this audience and not expired. Its use and key are not asked."""
    body = _unseal(secret, _CODE, text)
    made = Code(**body) if body else None
    return made if made and made.audience == audience and _is_alive(made, CODE_SECONDS, now_ns) else None


def visit(secret: bytes, *, user: str, fingerprint: str, now_ns: int) -> str:
    """A new visit, of ``VISIT_SECONDS``."""
    made = Visit(user, fingerprint, secrets.token_hex(16), now_ns + VISIT_SECONDS * _SECOND)
    return _seal(secret, _VISIT, made._asdict())


def visiting(secret: bytes, text: str, now_ns: int) -> Visit | None:
    """What a visit says, when it is this server's and not expired. Its end and key are not asked."""
    body = _unseal(secret, _VISIT, text)
    made = Visit(**body) if body else None
    return made if made and _is_alive(made, VISIT_SECONDS, now_ns) else None


def _is_alive(made: Challenge | Token | Code | Visit, seconds: int, now_ns: int) -> bool:
    """Neither expired nor from a future that no other server's clock explains."""
    return now_ns < made.expires_ns <= now_ns + (seconds + SKEW_SECONDS) * _SECOND


def _seal(secret: bytes, prefix: str, body: dict[str, Any]) -> str:
    text = f"{prefix}.{_base64(json.dumps(body, separators=(',', ':'), sort_keys=True).encode())}"
    return f"{text}.{_base64(_mac(secret, text))}"


def _unseal(secret: bytes, prefix: str, text: str) -> dict[str, Any] | None:
    """What was sealed with this secret and prefix; so we wrote it, and its fields are as we write them."""
    if len(text) > MAX_LENGTH or not text.isascii() or text.count(".") != 2 or not text.startswith(prefix + "."):
        return None
    sealed, _, mac = text.rpartition(".")
    if not hmac.compare_digest(_base64(_mac(secret, sealed)), mac):
        return None
    body: dict[str, Any] = json.loads(base64.urlsafe_b64decode(sealed.partition(".")[2] + "=="))
    return body


def _mac(secret: bytes, text: str) -> bytes:
    return hmac.new(secret, text.encode(), hashlib.sha256).digest()


def _base64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _sweep(folder: str, now_ns: int) -> None:
    """Forget what was used up and no clock would take any more."""
    for name in os.listdir(folder):
        expires = name.partition("-")[0]
        if expires.isdigit() and int(expires) + _REMEMBERED_SECONDS * _SECOND < now_ns:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(os.path.join(folder, name))
