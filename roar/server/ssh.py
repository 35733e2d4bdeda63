"""Git over SSH, by OpenSSH's own server: which keys it takes, and the few commands that each of them may run.

sshd asks for the keys (``AuthorizedKeysCommand``, sshd_config(5)); each comes with a forced command that names the key
(authorized_keys(5)), so the account that everybody shares gives nobody a shell. Who the key's user is, and what that
user may do, is asked anew by each command. Beside git's there is one that gives a token for the API.
"""

from __future__ import annotations

import json
import os
import shlex
import signal
import subprocess
import sys

from roar.errors import RoarError, UsageError
from roar.glaas import address
from roar.server import access, gate, tokens
from roar.server.gate import Gate, Pusher
from roar.server.limits import limits
from roar.server.people import People, Role
from roar.server.storage import Storage, check_name

_SERVICES = {"git-upload-pack": Role.READ, "git-receive-pack": Role.WRITE}
_AUTHENTICATE = "roar-authenticate"
_OPERATIONS = {"read": Role.READ, "write": Role.WRITE}


def keys(
    storage: Storage, people: People, program: str, wanted: tuple[str, str] | None, url: str | None = None
) -> list[str]:
    """Lines of authorized_keys(5), for all keys or for the one that is offered (type and base64).

    ``url``: how clients reach the server, if not as it has noted itself.
    """
    lines = []
    more = f" --url {shlex.quote(url)}" if url else ""
    for user in people.users().values():
        for key in people.keys_of(user.name):
            if wanted is None or wanted == (key.type, key.key):
                command = f"{program} serve-ssh git --data {shlex.quote(storage.root)}{more} {key.fingerprint}"
                quoted = command.replace("\\", "\\\\").replace('"', '\\"')
                lines.append(f'restrict,command="{quoted}" {key.line}')
    return lines


def own_program() -> str:
    """How a shell calls this program."""
    name = os.path.abspath(sys.argv[0])
    return shlex.quote(name) if os.access(name, os.X_OK) else f"{shlex.quote(sys.executable)} -m roar"


def serve(
    storage: Storage, people: People, fingerprint: str, asked: str, came_from: str, url: str | None = None
) -> int:
    """Run what a client asked for, as the user of a key. Gives its exit status.

    Raises ``RoarError`` for what is not let in, ``UsageError`` for other commands.
    """
    user = people.user_of_key(fingerprint)
    if user is None:
        raise RoarError(f"the key {fingerprint} is no user's here", "ask an administrator to add it")
    words = _words(asked)
    who = access.Caller(people, user.name, None, Role.ADMIN)
    if len(words) == 3 and words[0] == _AUTHENTICATE and words[2] in _OPERATIONS:
        project = _project(words[1]) if words[1] else ""
        print(_token(storage, who, fingerprint, (project, words[2]), came_from, url or storage.url()))  # noqa: T201
        return 0
    if len(words) == 2 and words[0] in _SERVICES:
        project = _project(words[1])
        access.let_in(storage, who, project, _SERVICES[words[0]], came_from)
        return _git(storage, people, words[0], project, Pusher(user.name, came_from))
    raise UsageError(f"{user.name} is logged in; there is no shell here, only git", "git push, git fetch")


def _token(
    storage: Storage, who: access.Caller, fingerprint: str, wish: tuple[str, str], came_from: str, url: str
) -> str:
    """A line of JSON with a token for the API, as a log-in gives one, and the origin that it is for."""
    project, operation = wish
    if not url:
        raise RoarError("this server does not know its address", "its administrator: roar serve --url https://HOST")
    origin = address.parse(url).origin
    if project:
        access.require(who, project, _OPERATIONS[operation])
    elif operation != "read":
        raise UsageError("to write, a token must be for a project", f"{_AUTHENTICATE} PROJECT write")
    user = who.user or ""
    token = access.admit(storage, user, fingerprint, project, operation, came_from)
    lasts = tokens.TOKEN_SECONDS
    return json.dumps(
        {"origin": origin, "user": user, "project": project, "scope": operation, "expires_in": lasts, "token": token}
    )


def _git(storage: Storage, people: People, service: str, project: str, pusher: Pusher) -> int:
    words = ["git", service.removeprefix("git-"), storage.path(project)]
    bounds = limits(os.environ)
    variables = storage.variables(bounds.push_bytes)
    protocol = os.environ.get("GIT_PROTOCOL", "")
    if access.is_protocol(protocol):
        variables["GIT_PROTOCOL"] = protocol
    if service == "git-upload-pack":
        os.execvpe("git", words, variables)
    stand = Gate(storage, people, project, pusher, bounds)
    with subprocess.Popen(words, env=variables | stand.environment, pass_fds=stand.fds) as running:
        signal.signal(signal.SIGHUP, signal.SIG_IGN)  # a client that hangs up must not keep us from noting the push
        stand.watch()
        try:
            status = running.wait(bounds.push_seconds)
        except subprocess.TimeoutExpired:
            running.terminate()
            status = running.wait()
    if stand.close():
        gate.finish(storage, project)
    return status


def _words(command: str) -> list[str]:
    try:
        return shlex.split(command)
    except ValueError:
        return []


def _project(path: str) -> str:
    """The project of a path, as git has it from a URL. Raises ``UsageError``."""
    return check_name(path.removeprefix("/").rstrip("/").removesuffix(".git"))
