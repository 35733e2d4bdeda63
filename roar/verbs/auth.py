"""Logging in to servers by SSH key, and the tokens that come of it.

Tokens are in files of the user's alone (``glaas.known``), go to git through its credential helper and to nobody else,
and are never part of a message, a record or a word of a command line.
"""

from __future__ import annotations

import contextlib
import os
import shlex
import shutil
import sys
from collections.abc import Callable
from typing import Any, NamedTuple, TypeVar

from roar.config.read import load
from roar.errors import EXIT_NO, NotFoundError, RoarError, UsageError
from roar.git import program
from roar.glaas import known, login, ssh
from roar.glaas.address import Address
from roar.glaas.client import Client, RefusedError
from roar.glaas.ssh import PublicKey
from roar.verbs import glaas, grants, over_ssh
from roar.verbs.grants import Grant

T = TypeVar("T")


class UnknownHereError(RoarError):
    """The server knows none of the keys as anybody's."""

    exit_code = EXIT_NO


class Standing(NamedTuple):
    """What is remembered of a server: the user and key of the last log-in, and grants that are still good.

    ``ssh`` is the host over SSH that named the server and gave them; "" where one has logged in.
    """

    origin: str
    user: str
    key: str
    grants: list[Grant]
    ssh: str = ""


def connect(origin: str) -> Client:
    """A client of a server, which trusts the certificates that git trusts there (http.sslCAInfo)."""
    done = program.call(["config", "--get-urlmatch", "http.sslCAInfo", origin])
    return Client(origin, os.path.expanduser(done.stdout.decode().strip()) or None)


def log_in(address: Address, operation: str, key: PublicKey | None = None) -> Grant:
    """Log in anew, by this key, ``roar.glaas.key`` or the first that the server knows; token and key are remembered.

    Raises ``RoarError``.
    """
    client = connect(address.origin)
    by, grant = by_key(client, key, lambda each: _exchange(client, address, operation, each))
    with known.alone(address.origin):
        remembered = known.load(address.origin, known.SERVER)
        last = {"user": grant.user, "key": by.fingerprint, "file": os.path.abspath(by.path) if by.path else ""}
        known.save(address.origin, known.SERVER, {**remembered, **last})
        grants.add(address.origin, grant)
    return grant


def by_key(client: Client, key: PublicKey | None, ask: Callable[[PublicKey], T]) -> tuple[PublicKey, T]:
    """What a server answers to whom it knows: by this key, ``roar.glaas.key`` or the first of the others it takes.

    ``ask`` signs with a key. Raises ``RoarError``.
    """
    told = load(glaas.here()).settings.glaas.key
    key = key or (ssh.read(told) if told else None)
    keys = [key] if key else _candidates(known.load(client.origin, known.SERVER))
    if not keys:
        raise RoarError("there is no SSH key to log in with", "ssh-keygen -t ed25519, or ssh-add, or --key FILE")
    for each in keys:
        try:
            return each, ask(each)
        except RefusedError as error:
            if error.status != 401 or key:
                raise
    tried = ", ".join(each.fingerprint for each in keys[:5])
    raise UnknownHereError(
        f"{client.origin} knows none of your keys ({tried})", "ask its administrator to add one, or --key FILE"
    )


def _candidates(remembered: dict[str, Any]) -> list[PublicKey]:
    """The key of the last log-in, wherever its file is, then the others that could sign."""
    found = {key.fingerprint: key for key in ssh.candidates()}
    with contextlib.suppress(UsageError):  # the file is gone
        if remembered.get("file"):
            last = ssh.read(str(remembered["file"]))
            found.setdefault(last.fingerprint, last)
    return sorted(found.values(), key=lambda key: key.fingerprint != remembered.get("key"))


def join(address: Address, code: str, name: str, key: PublicKey) -> dict[str, Any]:
    """Become a user of a server by an invitation; gives user, project and role. Raises ``RoarError``."""
    client = connect(address.origin)
    challenge, signature = sign(client, Address(address.origin), login.JOIN, key)
    body = {
        "challenge": challenge,
        "code": code,
        "name": name,
        "key": f"{key.line} {key.comment}",
        "signature": signature,
    }
    joined: dict[str, Any] = client.post("/auth/invitation", body)
    return joined


def sign(client: Client, address: Address, operation: str, key: PublicKey) -> tuple[str, str]:
    """A challenge, and its signature. What is signed names the server that we dialled, whoever made the challenge.

    Raises ``RoarError``.
    """
    wish = {"audience": client.origin, "project": address.project, "operation": operation}
    answer = client.post("/auth/challenge", wish)
    try:
        challenge = str(answer["challenge"])
        message = login.message(client.origin, address.project, operation, challenge)
    except (LookupError, TypeError, ValueError) as error:
        raise RoarError(f"{client.origin} does not answer as a roar server does", "check the address") from error
    return challenge, ssh.sign(message, key, login.NAMESPACE)


def token_for(address: Address, operation: str) -> Grant:
    """A token that is remembered, else a new one. Raises ``RoarError``."""
    return _remembered(address, operation) or log_in(address, operation)


def best_for(address: Address) -> Grant:
    """A token to write in a project or, for who may not, to read: git does not tell its helper which it needs."""
    found = _remembered(address, login.WRITE)
    if found is None:
        try:
            found = log_in(address, login.WRITE)
        except RefusedError as error:
            if error.status != 403:
                raise
            found = token_for(address, login.READ)
    return found


def by_ssh(address: Address) -> tuple[Address, Grant] | None:
    """A new token to read from the host of a remote over SSH, with the server that it names; None where one logs in.

    Raises ``RoarError`` when the host gives none; one that cannot leaves it to a log-in, when its server is known.
    """
    if address.ssh is None:
        return None
    try:
        return over_ssh.ask(address, login.READ)
    except over_ssh.NoServerError:
        if address.origin:
            return None
        raise


def ask(address: Address, question: Callable[[Client, str | None], T]) -> T:
    """The answer of a server to a question that needs to read: as the user that the host of a remote over SSH knows;
    else without a log-in where that is enough, else with one.

    Raises ``RoarError``.
    """
    client = connect(address.origin)
    trouble: RoarError | None = None
    if address.ssh is not None:
        try:
            return _as_user(client, address, question, _token_over_ssh)
        except over_ssh.NoServerError:
            pass
        except over_ssh.NoTokenError as error:
            trouble = error
        address = address._replace(ssh=None)
    if known.is_known(address.origin):
        return _as_user(client, address, question, log_in)
    try:
        return question(client, None)
    except RefusedError as error:
        if error.status != 401:
            raise
        raise trouble or RoarError(error.message, f"roar auth login {address.origin}") from None


def _as_user(
    client: Client,
    address: Address,
    question: Callable[[Client, str | None], T],
    renewed: Callable[[Address, str], Grant],
) -> T:
    """The answer to a question with a token that is remembered, else with a new one."""
    grant = _remembered(address, login.READ)
    if grant is not None:
        try:
            return question(client, grant.token)
        except RefusedError as error:
            if error.status != 401:
                raise
        forget(address)
    return question(client, renewed(address, login.READ).token)


def _token_over_ssh(address: Address, operation: str) -> Grant:
    if over_ssh.is_waiting(address):
        raise over_ssh.NoServerError(f"{address.remote} gave no token lately", f"roar auth test {address.remote}")
    return over_ssh.ask(address, operation)[1]


def forget(address: Address) -> None:
    """Forget the tokens for a project: the server does not take them any more."""
    grants.forget(_place(address), address.project)


def log_out(address: Address) -> None:
    """Forget all tokens for a server, and take roar out of git's configuration for it. Raises ``RoarError``."""
    origin, over = address.origin, address.ssh and known.of_host(address.ssh)
    if over and known.load(over, known.SSH):
        with known.alone(over):
            known.forget(over, known.TOKENS)
            known.forget(over, known.SSH)
    elif not known.is_known(origin):
        raise NotFoundError(f"nobody has logged in to {origin} here", "roar auth status")
    with known.alone(origin):
        known.forget(origin, known.TOKENS)
        known.forget(origin, known.SERVER)
    for name in ("helper", "useHttpPath"):
        program.call(["config", "--global", "--unset-all", f"credential.{origin}.{name}"])


def standings() -> list[Standing]:
    """What is remembered of each server: of those that one has logged in to, then of those behind hosts over SSH."""
    found = []
    for place in known.servers():
        over = known.load(place, known.SSH)
        remembered = over or known.load(place, known.SERVER)
        user, key, origin = (str(remembered.get(name, "")) for name in ("user", "key", "origin"))
        if over and origin:
            found.append(Standing(origin, user, "", grants.good(place), place.partition("#")[0]))
        elif remembered and not over:
            found.append(Standing(place, user, key, grants.good(place)))
    return sorted(found, key=lambda each: bool(each.ssh))


def teach_git(origin: str) -> None:
    """Let git ask roar, and no other helper, for what to send to a server: others would keep the tokens.

    Raises ``GitError``.
    """
    name = f"credential.{origin}.helper"
    program.ask(["config", "--global", "--replace-all", name, ""])  # forgets helpers that are set for all servers
    program.ask(["config", "--global", "--add", name, _helper()])
    program.ask(["config", "--global", f"credential.{origin}.useHttpPath", "true"])


def is_taught(origin: str) -> bool:
    """Whether git asks roar for a server."""
    done = program.call(["config", "--global", "--get-all", f"credential.{origin}.helper"])
    return bool(done.stdout.strip())


def _helper() -> str:
    """How git calls us: by name when the script is on PATH, else by this Python (gitcredentials(7))."""
    if shutil.which("git-credential-roar"):
        return "roar"
    return f"!{shlex.quote(sys.executable)} -m roar credential"


def _exchange(client: Client, address: Address, operation: str, key: PublicKey) -> Grant:
    challenge, signature = sign(client, address, operation, key)
    body = {"challenge": challenge, "key": key.fingerprint, "signature": signature}
    return grants.read(client.origin, client.post("/auth/token", body), address.project, operation)


def _remembered(address: Address, operation: str) -> Grant | None:
    return grants.remembered(_place(address), address.project, operation)


def _place(address: Address) -> str:
    """Where the tokens of an address are kept."""
    return known.of_host(address.ssh) if address.ssh else address.origin
