"""Servers behind remotes over SSH: the way that git has anyway gives a token for their API, and says where that is.

As ``git-lfs-authenticate`` of Git LFS does. ``docs/glaas-protocol.md``, "Over SSH", has what is asked and answered. A
host that gives no token, such as any other git host, is not asked again for a while.
"""

from __future__ import annotations

import json
import time
from typing import Any
from urllib.parse import urlsplit

from roar.errors import RoarError, UsageError
from roar.git import program, ssh
from roar.git.ssh import Host
from roar.glaas import address, known
from roar.glaas.address import Address
from roar.records.summary import printable
from roar.verbs import grants
from roar.verbs.grants import Grant

COMMAND = "roar-authenticate"
_NO_SERVER_SECONDS = 86_400
_REFUSED_SECONDS = 300
"""How long a host is not asked again by itself: one that does not know the command, and one that said no otherwise."""
_SSH_FAILED = 255
"""ssh(1), EXIT STATUS."""
_LONGEST_REASON = 300


class NoTokenError(RoarError):
    """A host over SSH gave no token."""


class NoServerError(NoTokenError):
    """It is no server of lineage, or one that gives no tokens over SSH."""


def server(host: Host) -> str:
    """The origin that a host has named before; "" when it has not."""
    return str(_said(known.of_host(host)).get("origin", ""))


def is_waiting(where: Address) -> bool:
    """Whether a host gave no token for a project so recently that it is not asked again by itself."""
    return where.ssh is not None and _refusals(known.of_host(where.ssh)).get(where.project, 0) > time.time()


def ask(where: Address, operation: str) -> tuple[Address, Grant]:
    """Ask the host of an address for a token, ``read`` or ``write``; gives the address with the server's origin, too.

    Both are remembered, and so is a refusal. Raises ``NoTokenError``.
    """
    assert where.ssh is not None
    place = known.of_host(where.ssh)
    try:
        origin, grant = _asked(where.ssh, where.project, operation)
    except RoarError as error:
        lasts = _NO_SERVER_SECONDS if isinstance(error, NoServerError) else _REFUSED_SECONDS
        with known.alone(place):
            refusals = {**_refusals(place), where.project: int(time.time()) + lasts}
            known.save(place, known.SSH, {**_said(place), "refusals": refusals})
        raise error if isinstance(error, NoTokenError) else NoTokenError(error.message, error.hint) from error
    with known.alone(place):
        refusals = {project: until for project, until in _refusals(place).items() if project != where.project}
        known.save(place, known.SSH, {"origin": origin, "user": grant.user, "refusals": refusals})
        grants.add(place, grant)
    if where.origin not in ("", origin):
        raise NoTokenError(
            f"{where.ssh.url} says that its server is {origin}, and not {where.origin}",
            "run the command again, or set roar.glaas.url",
        )
    return where._replace(origin=origin), grant


def _asked(host: Host, project: str, operation: str) -> tuple[str, Grant]:
    """The server's origin, and a token. Raises ``RoarError``."""
    done = ssh.call(host, [COMMAND, project, operation])
    if done.returncode:
        raise _refusal(host, done)
    try:
        answer = json.loads(done.stdout)
        found = {name: str(answer[name]) for name in ("origin", "project", "scope")}
    except (ValueError, LookupError, TypeError, RecursionError) as error:
        raise NoServerError(f"{host.url} does not answer as a roar server does", _HINT) from error
    grant = grants.read(host.url, answer, project, operation)
    if (found["project"], found["scope"]) != (project, operation):
        raise NoTokenError(f"{host.url} gives a token for something else than it was asked for", _HINT)
    return _origin(host, found["origin"]), grant


def _origin(host: Host, text: str) -> str:
    """The origin that a host names. Plain HTTP to this machine is for a host that is this machine, too."""
    try:
        found = address.parse(text)
    except UsageError as error:
        raise NoTokenError(f"{host.url} names a server that is not asked: {_short(error.message)}", _URL_HINT) from None
    if found.project:
        raise NoTokenError(f"{host.url} names no server: {_short(text)}", _URL_HINT)
    if address.is_loopback(urlsplit(found.origin).hostname or "") and not address.is_loopback(host.name.lower()):
        raise NoTokenError(f"{host.url} names a server on this machine, not on its own: {found.origin}", _URL_HINT)
    return found.origin


def _refusal(host: Host, done: program.Done) -> NoTokenError:
    """Why a host gave nothing, in its own words when it is a server's; ssh's are its own."""
    why = _short(program.last_line(done.stderr))
    if why.startswith("roar: "):
        text, _, hint = why.removeprefix("roar: ").partition(" (next: ")
        return NoTokenError(f"{host.url}: {text}", hint.removesuffix(")") or None)
    if done.returncode == _SSH_FAILED:
        return NoTokenError(f"{host.url} cannot be reached: {why}", "git ls-remote, which goes the same way")
    return NoServerError(f"{host.url} is no server of lineage, or gives no tokens: {why}", _HINT)


def _short(text: str) -> str:
    return printable(text)[:_LONGEST_REASON]


def _said(place: str) -> dict[str, Any]:
    """What is remembered of a host; nothing when it is damaged: it can be asked again."""
    try:
        return known.load(place, known.SSH)
    except RoarError:
        return {}


def _refusals(place: str) -> dict[str, float]:
    """Projects, and until when (seconds since the epoch) the host is not asked again."""
    found = _said(place).get("refusals")
    kept = found.items() if isinstance(found, dict) else ()
    return {project: until for project, until in kept if isinstance(until, int | float) and until > time.time()}


_HINT = "roar auth login URL, if there is a server of lineage"
_URL_HINT = "its administrator: roar serve --url https://HOST"
