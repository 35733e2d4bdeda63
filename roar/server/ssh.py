"""Git over SSH, by OpenSSH's own server: which keys it takes, and the one command that each of them may run.

sshd asks for the keys (``AuthorizedKeysCommand``, sshd_config(5)); each comes with a forced command that names the key
(authorized_keys(5)), so the account that everybody shares gives nobody a shell. Who the key's user is, and what that
user may do, is asked anew by each command.
"""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
import sys

from roar.errors import RoarError, UsageError
from roar.server import access, gate
from roar.server.gate import Gate, Pusher
from roar.server.limits import limits
from roar.server.people import People, Role
from roar.server.storage import Storage, check_name

_SERVICES = {"git-upload-pack": Role.READ, "git-receive-pack": Role.WRITE}


def keys(storage: Storage, people: People, program: str, wanted: tuple[str, str] | None) -> list[str]:
    """Lines of authorized_keys(5), for all keys or for the one that is offered (type and base64)."""
    lines = []
    for user in people.users().values():
        for key in people.keys_of(user.name):
            if wanted is None or wanted == (key.type, key.key):
                command = f"{program} serve-ssh git --data {shlex.quote(storage.root)} {key.fingerprint}"
                quoted = command.replace("\\", "\\\\").replace('"', '\\"')
                lines.append(f'restrict,command="{quoted}" {key.line}')
    return lines


def own_program() -> str:
    """How a shell calls this program."""
    name = os.path.abspath(sys.argv[0])
    return shlex.quote(name) if os.access(name, os.X_OK) else f"{shlex.quote(sys.executable)} -m roar"


def git(storage: Storage, people: People, fingerprint: str, asked: str, address: str) -> int:
    """Run the git command that a client asked for, as the user of a key. Gives its exit status.

    Raises ``RoarError`` for what is not let in, ``UsageError`` for other commands.
    """
    user = people.user_of_key(fingerprint)
    if user is None:
        raise RoarError(f"the key {fingerprint} is no user's here", "ask an administrator to add it")
    service, project = _asked(asked, user.name)
    access.require(access.Caller(people, user.name, None, Role.ADMIN), project, _SERVICES[service])
    words = ["git", service.removeprefix("git-"), storage.path(project)]
    bounds = limits(os.environ)
    variables = storage.variables(bounds.push_bytes)
    protocol = os.environ.get("GIT_PROTOCOL", "")
    if access.is_protocol(protocol):
        variables["GIT_PROTOCOL"] = protocol
    if service == "git-upload-pack":
        os.execvpe("git", words, variables)
    stand = Gate(storage, people, project, Pusher(user.name, address), bounds)
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


def _asked(command: str, user: str) -> tuple[str, str]:
    """The service and the project of a command. Raises ``UsageError`` for any other command."""
    try:
        words = shlex.split(command)
    except ValueError:
        words = []
    if len(words) != 2 or words[0] not in _SERVICES:
        raise UsageError(f"{user} is logged in; there is no shell here, only git", "git push, git fetch")
    return words[0], check_name(words[1].removeprefix("/").rstrip("/").removesuffix(".git"))
