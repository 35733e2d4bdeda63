"""What a user's clients remember of servers: tokens for their quarter of an hour, and what a server must not take back.

    <state>/glaas/<origin, quoted>/server.json       who one is there, and by which key
                                   tokens.json       tokens that may still be good
                                   log.json          the key that signs checkpoints
                                   seen/<project>    the newest checkpoint seen
                  <ssh://..., quoted>/ssh.json       what a host over SSH said of its server
                                   tokens.json       tokens that it gave

What a host says lies apart, and is good for remotes of that host alone: it may name a server that is not its own. A
folder of the user's alone (0700, files 0600). Deleting it costs log-ins, and the memory that betrays a server which
shows different histories.
"""

from __future__ import annotations

import contextlib
import json
import os
import tempfile
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote, unquote

from roar.errors import RoarError
from roar.git import locks
from roar.git.ssh import PLAIN, Host
from roar.hashing import digest_bytes
from roar.paths import state_folder

SERVER, TOKENS, SSH = "server.json", "tokens.json", "ssh.json"
_RESTORE = "restore it, or remove it and trust the server anew"


def servers() -> list[str]:
    """The origins of all servers that something is remembered of, sorted."""
    with contextlib.suppress(FileNotFoundError):
        return sorted(unquote(name) for name in os.listdir(os.path.join(state_folder(), "glaas")))
    return []


def of_host(host: Host) -> str:
    """What stands for an origin where something of a host is kept: by another command one may be another user there."""
    if (host.command, host.variant) == (PLAIN, ""):
        return host.url
    return f"{host.url}#{digest_bytes(f'{host.variant} {host.command}'.encode('utf-8', 'surrogateescape'))[:12]}"


def is_known(origin: str) -> bool:
    """Whether somebody has logged in there, or tried to."""
    return os.path.exists(os.path.join(_folder(origin), SERVER))


def load(origin: str, name: str) -> dict[str, Any]:
    """What a file about a server says; nothing when it is not there. Raises ``RoarError`` when it is damaged."""
    path = place(origin, name)
    try:
        with open(path, encoding="utf-8") as file:
            found = json.load(file)
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise RoarError(f"{path} cannot be read: {error}", _RESTORE) from error
    if not isinstance(found, dict):
        raise RoarError(f"{path} is damaged", _RESTORE)
    return found


def save(origin: str, name: str, value: dict[str, Any]) -> None:
    """Write a file about a server, whole, readable by its owner alone. Raises ``RoarError``."""
    path = place(origin, name)
    folder = os.path.dirname(path)
    try:
        _make(origin)
        os.makedirs(folder, 0o700, exist_ok=True)
        fd, temporary = tempfile.mkstemp(dir=folder)  # 0600
        try:
            with os.fdopen(fd, "w", encoding="utf-8") as file:
                json.dump(value, file)
            os.replace(temporary, path)
        except BaseException:
            os.unlink(temporary)
            raise
    except OSError as error:
        raise RoarError(f"cannot write {path}: {error.strerror}") from error


def forget(origin: str, name: str) -> None:
    """Remove a file about a server."""
    with contextlib.suppress(FileNotFoundError):
        os.unlink(place(origin, name))


def seen(project: str) -> str:
    """The name of the file that remembers a project's checkpoint."""
    return os.path.join("seen", quote(project, safe=""))


@contextlib.contextmanager
def alone(origin: str) -> Iterator[None]:
    """Hold what is remembered of a server, so that two of this user's processes do not overwrite one another.

    Raises ``RoarError`` when there is nowhere to remember it.
    """
    with contextlib.ExitStack() as held:
        try:
            held.enter_context(locks.exclusive(os.path.join(_make(origin), "lock")))
        except OSError as error:
            raise RoarError(f"cannot write {_folder(origin)}: {error.strerror}", "set XDG_STATE_HOME") from error
        yield


def _folder(origin: str) -> str:
    return os.path.join(state_folder(), "glaas", quote(origin, safe=""))


def _make(origin: str) -> str:
    folder = _folder(origin)
    os.makedirs(os.path.dirname(folder), exist_ok=True)
    with contextlib.suppress(FileExistsError):
        os.mkdir(folder, 0o700)
    return folder


def place(origin: str, name: str) -> str:
    """The path of a file about a server."""
    return os.path.join(_folder(origin), name)
