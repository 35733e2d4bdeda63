"""The data directory of a server: repositories of projects, the repository of administration, and a few plain files.

projects/<project>.git   one bare repository a project
admin.git                who may what (``people``)
url                      how clients reach the server, for those who ask over SSH
secret                   32 random bytes that seal challenges, tokens, codes and visits
checkpoint_key[.pub]     the key that signs checkpoints of the log
audit.jsonl              who wrote what, and who was refused (``audit``)
queue/<slug>             empty: this project has something that the index does not
nonces/                  challenges that were answered, codes that were used, visits that were ended
"""

from __future__ import annotations

import contextlib
import os
import re
import secrets
import shutil
import time

from roar.errors import RoarError, UsageError
from roar.git import locks, program
from roar.git.repository import Repository
from roar.glaas import ssh
from roar.paths import OPEN

_PART = re.compile(r"[a-z0-9][a-z0-9_.-]{0,63}")
_SLASH = "+"
"""Stands for the slash of a project's name where a name of one file is wanted; no name has it."""
_STALE_SECONDS = 3600
"""What a git that was killed left behind may be removed after so long without change."""

CONFIG = """\
[core]
\trepositoryformatversion = 0
\tbare = true
\tlogAllRefUpdates = always
\tfsync = committed
\tfsyncMethod = batch
\tbigFileThreshold = 8m
\tdeltaBaseCacheLimit = 8m
[transfer]
\thideRefs = HEAD
\thideRefs = refs
\thideRefs = !refs/roar
\tfsckObjects = true
[receive]
\tautogc = false
[http]
\treceivepack = true
\tgetanyfile = false
[uploadpack]
\tallowFilter = true
[uploadpackfilter]
\tallow = false
[uploadpackfilter "blob:none"]
\tallow = true
[gc]
\tauto = 6000
\tautoPackLimit = 50
\tautoDetach = false
"""
"""Of every project's repository. What comes in is checked, written to the disk before it is confirmed, and seen by
others under ``refs/roar`` alone; ``hideRefs`` without ``!`` hides, and the last line that fits counts. Each git that
answers readers would keep 96 MiB of what deltas are made from, for half of its time."""

HOOK = """\
#!/bin/sh
# Asks the roar that started this git whether the push may come in; without one, nothing comes in.
if [ -z "${ROAR_ASK-}" ] || [ -z "${ROAR_ANSWER-}" ]; then
    echo "roar: push through the server (roar serve), which checks what comes in" >&2
    exit 1
fi
{
    printf '%s\\n' "$GIT_QUARANTINE_PATH"
    while IFS= read -r line; do printf '%s\\n' "$line"; done
    echo
} >"/dev/fd/$ROAR_ASK" || exit 1
{
    IFS= read -r line || exit 1
    [ "$line" = ok ] && exit
    printf '%s\\n' "$line" >&2
    cat >&2
} <"/dev/fd/$ROAR_ANSWER"
exit 1
"""
"""pre-receive of every project, see ``gate``. Only the first line can let a push in: those of a refusal speak of what
was pushed, and must not be able to."""
NOTED = """\
#!/bin/sh
# What came in is put on the queue of the index, even if the server has died meanwhile.
: >"${ROAR_QUEUE:-/dev/null}"
"""
"""post-receive of every project."""


def check_name(name: str) -> str:
    """A project's name, when it is one: one or two parts with a slash between. Raises ``UsageError``."""
    parts = name.split("/")
    good = len(parts) <= 2 and all(
        _PART.fullmatch(part) and ".." not in part and not part.endswith((".git", ".lock", ".")) for part in parts
    )
    if not good:
        raise UsageError(
            f"{name!r} cannot be the name of a project", "one or two parts like team/model-1: a-z, 0-9, and -_. inside"
        )
    return name


class Storage:
    """A data directory. Whatever is missing is made when it is first asked for."""

    def __init__(self, root: str) -> None:
        self.root = os.path.realpath(root)

    def prepare(self) -> None:
        """Make the folders and files of an empty data directory. Raises ``RoarError`` when that cannot be done."""
        try:
            os.makedirs(self.root, 0o700, exist_ok=True)
            for folder in ("projects", "queue", "nonces"):
                os.makedirs(self.place(folder), 0o700, exist_ok=True)
        except OSError as error:
            raise RoarError(f"cannot use {self.root} as data directory: {error.strerror}", "--data DIR") from error
        self.secret()
        with locks.exclusive(self.place("lock")):
            if not os.path.exists(self.place("checkpoint_key")):
                self._make_checkpoint_key()
            if not os.path.isdir(self.place("admin.git")):
                self._make_repository(self.place("admin.git"), "[core]\n\trepositoryformatversion = 0\n\tbare = true\n")

    def place(self, *names: str) -> str:
        """The path of something in the data directory."""
        return os.path.join(self.root, *names)

    def variables(self, push_bytes: int) -> dict[str, str]:
        """The environment of a git that serves: nothing of ours but PATH, no configuration but the repository's."""
        return {
            "GIT_CONFIG_COUNT": "1",
            "GIT_CONFIG_KEY_0": "receive.maxInputSize",
            "GIT_CONFIG_VALUE_0": str(push_bytes),
            "PATH": os.environ.get("PATH", os.defpath),
            "HOME": self.root,
            "LC_ALL": "C",
            "GIT_CONFIG_NOSYSTEM": "1",
        }

    # ---- projects

    def projects(self) -> list[str]:
        """The names of all projects, sorted."""
        found = []
        top = self.place("projects")
        for name in _folders(top):
            if name.endswith(".git"):
                found.append(name.removesuffix(".git"))
            else:
                inside = _folders(os.path.join(top, name))
                found += [f"{name}/{inner.removesuffix('.git')}" for inner in inside if inner.endswith(".git")]
        return sorted(found)

    def path(self, project: str) -> str:
        """Where the repository of a project is, or would be. Raises ``UsageError`` for what is no name."""
        return self.place("projects", f"{check_name(project)}.git")

    def exists(self, project: str) -> bool:
        """True for the name of a project that is here."""
        try:
            return os.path.isdir(self.path(project))
        except UsageError:
            return False

    def repo(self, project: str) -> Repository:
        """The repository of a project. Raises ``RoarError`` when there is none."""
        path = self.path(project)
        if not os.path.isdir(path):
            raise RoarError(f"there is no project {project}", f"roar serve project add {project}")
        return _bare(path)

    def admin(self) -> Repository:
        """The repository of administration."""
        return _bare(self.place("admin.git"))

    def create(self, project: str) -> Repository:
        """Make the repository of a new project. Raises ``RoarError`` when it is there already."""
        path = self.path(project)
        with locks.exclusive(self.place("lock")):
            if os.path.exists(path):
                raise RoarError(f"there is a project {project} already", "choose another name")
            os.makedirs(os.path.dirname(path), 0o700, exist_ok=True)
            self._make_repository(path, CONFIG)
        return _bare(path)

    def settle(self) -> None:
        """Give every project the configuration and the hook of this version, and remove what killed pushes left."""
        for project in self.projects():
            path = self.path(project)
            _furnish(path, CONFIG)
            self.sweep(project)

    def sweep(self, project: str) -> None:
        """Remove the quarantines that a git left which was killed: it says nothing of them any more."""
        top = os.path.join(self.path(project), "objects")
        for name in _folders(top):
            left = os.path.join(top, name)
            if name.startswith("tmp_objdir-") and _age(left) > _STALE_SECONDS:
                shutil.rmtree(left, ignore_errors=True)

    def _make_repository(self, path: str, config: str) -> None:
        temporary = f"{path}.{secrets.token_hex(4)}"
        try:
            program.ask(["init", "--quiet", "--bare", "--template=", "--initial-branch=main", temporary])
            _furnish(temporary, config)
            os.rename(temporary, path)
        except BaseException:
            shutil.rmtree(temporary, ignore_errors=True)
            raise

    # ---- what the index has yet to learn

    def queue_place(self, project: str) -> str:
        """The file that says that a project has something new to index."""
        return self.place("queue", check_name(project).replace("/", _SLASH))

    def queue(self, project: str) -> None:
        """Note that a project has something new to index."""
        os.close(os.open(self.queue_place(project), os.O_WRONLY | os.O_CREAT | OPEN, 0o600))

    def queued(self) -> list[str]:
        """The projects that have something new to index."""
        return sorted(name.replace(_SLASH, "/") for name in os.listdir(self.place("queue")))

    def unqueue(self, project: str) -> None:
        """Take a project off the queue, before it is indexed: what comes in meanwhile puts it there again."""
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self.queue_place(project))

    # ---- where the server is

    def note_url(self, url: str, *, told: bool) -> None:
        """Note how clients reach the server. What it was told before goes before where it happens to listen."""
        if told or not self.url().startswith("https:"):
            _put(self.place("url"), url + "\n", 0o600)

    def url(self) -> str:
        """How clients reach the server, as far as one has said; "" before the first one has."""
        with contextlib.suppress(FileNotFoundError), open(self.place("url"), encoding="utf-8") as file:
            return file.read().strip()
        return ""

    # ---- keys

    def secret(self) -> bytes:
        """The bytes that seal challenges and tokens; made at the first call. Raises ``RoarError`` when damaged."""
        path = self.place("secret")
        if not os.path.exists(path):
            temporary = f"{path}.{secrets.token_hex(4)}"
            fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | OPEN, 0o600)
            with os.fdopen(fd, "wb") as file:
                file.write(secrets.token_bytes(32))
                file.flush()
                os.fsync(fd)
            with contextlib.suppress(FileExistsError):  # another process was first
                os.link(temporary, path)
            os.unlink(temporary)
        with open(path, "rb") as file:
            found = file.read()
        if len(found) != 32:
            raise RoarError(f"{path} has {len(found)} bytes, not 32", "remove it, and everybody logs in anew")
        return found

    def _make_checkpoint_key(self) -> None:
        path = self.place("checkpoint_key")
        temporary = f"{path}.{secrets.token_hex(4)}"
        ssh.make_key(temporary, "roar checkpoints")
        os.rename(temporary + ".pub", path + ".pub")
        os.rename(temporary, path)


def _bare(path: str) -> Repository:
    return Repository(path, path, os.path.join(path, "objects"), None)


def _furnish(path: str, config: str) -> None:
    _put(os.path.join(path, "config"), config, 0o600)
    if config is CONFIG:
        os.makedirs(os.path.join(path, "hooks"), exist_ok=True)
        _put(os.path.join(path, "hooks", "pre-receive"), HOOK, 0o700)
        _put(os.path.join(path, "hooks", "post-receive"), NOTED, 0o700)


def _put(path: str, text: str, mode: int) -> None:
    """Write a file at once, if it does not hold this text already."""
    with contextlib.suppress(OSError), open(path, encoding="utf-8") as file:
        if file.read() == text and os.stat(path).st_mode & 0o777 == mode:
            return
    temporary = f"{path}.{secrets.token_hex(4)}"
    fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | OPEN, mode)
    with os.fdopen(fd, "w", encoding="utf-8") as file:
        file.write(text)
    os.replace(temporary, path)


def _folders(path: str) -> list[str]:
    with contextlib.suppress(FileNotFoundError):
        return [entry.name for entry in os.scandir(path) if entry.is_dir(follow_symlinks=False)]
    return []


def _age(path: str) -> float:
    """Seconds since something was changed."""
    with contextlib.suppress(FileNotFoundError):
        return time.time() - os.stat(path).st_mtime
    return 0.0
