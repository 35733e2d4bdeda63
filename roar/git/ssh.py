"""Hosts that git reaches over SSH, and running a command of another name there, by the same program and options.

What git does is in git(1), GIT_SSH_COMMAND, GIT_SSH and GIT_SSH_VARIANT, and in git-config(1), core.sshCommand and
ssh.variant. Unlike git we wait for a bounded time and read a bounded answer, and nothing of it reaches the terminal.
"""

from __future__ import annotations

import contextlib
import os
import re
import shlex
import signal
import subprocess
import sys
import threading
import time
from typing import IO, NamedTuple

from roar.errors import RoarError
from roar.git import program
from roar.git.repository import Repository

PLAIN = "ssh"
"""The command when nobody has set another."""
_SECONDS, _SECONDS_OF_A_PERSON = 20, 120
"""How long an answer may take; the second when somebody may have to type a passphrase or touch a key."""
_MOST_BYTES = 1 << 16
_HINT = "git ls-remote, which goes the same way"
_USER = r"(?:(?P<user>\w[\w.+-]*)@)?"
_HOST = r"(?:(?P<name>\w[\w.-]*)|\[(?P<six>[0-9A-Fa-f:.]+)\])"
_URL = re.compile(rf"(?:ssh|git\+ssh|ssh\+git)://{_USER}{_HOST}(?::(?P<port>\d{{1,5}}))?/(?P<path>.*)", re.ASCII)
_SHORT = re.compile(rf"{_USER}{_HOST}:(?!//)(?P<path>.*)", re.ASCII)
"""URLs as git-clone(1) has them, but for names that a program that ssh starts could take for more than a name."""


class Host(NamedTuple):
    """A host as a remote's URL names it, and how git gets there: the command, the variant of ssh ("": not told) and the
    folder where it is started.
    """

    user: str
    name: str
    port: str
    command: str = PLAIN
    variant: str = ""
    folder: str | None = None

    @property
    def url(self) -> str:
        """The host for git and for people: ``ssh://[user@]host[:port]``."""
        name = f"[{self.name}]" if ":" in self.name else self.name
        return f"ssh://{self.user and self.user + '@'}{name}{self.port and ':' + self.port}"


def place(repo: Repository | None, url: str) -> tuple[Host, str] | None:
    """The host and the path that a URL of git's names; None for one that is not over SSH, or is odd."""
    found = _URL.fullmatch(url) or _SHORT.fullmatch(url)
    if found is None:
        return None
    port = found.groupdict().get("port") or ""
    folder = repo.work_tree or repo.git_dir if repo else None
    return Host(found["user"] or "", found["name"] or found["six"], port, *_program(repo), folder), found["path"]


def call(host: Host, words: list[str]) -> program.Done:
    """What a command on a host says, which must end by itself; 255 is ssh's own failure.

    Nobody is asked for anything where there is no terminal. Raises ``RoarError`` when ssh cannot be started, takes too
    long or says too much.
    """
    attended = sys.stderr is not None and sys.stderr.isatty()
    try:
        running = subprocess.Popen(
            [*_words(host, attended=attended), shlex.join(words)],
            cwd=host.folder,
            env=program.environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=not attended,  # so that all of it can be ended; but a terminal is for who is in front
        )
    except OSError as error:
        raise RoarError(f"cannot start {host.command}: {error.strerror}", "git config core.sshCommand") from error
    assert running.stdout is not None and running.stderr is not None
    out, err = _Reader(running.stdout), _Reader(running.stderr)
    seconds = _SECONDS_OF_A_PERSON if attended else _SECONDS
    until = time.monotonic() + seconds
    try:
        for reader in (out, err):
            reader.join(max(0.0, until - time.monotonic()))
        if out.is_alive() or err.is_alive():
            raise RoarError(f"{host.url} did not answer within {seconds} s", _HINT)
        if max(len(out.said), len(err.said)) > _MOST_BYTES:
            raise RoarError(f"{host.url} answers with more than {_MOST_BYTES} bytes")
        return program.Done(running.wait(max(0.1, until - time.monotonic())), out.said, err.said)
    except subprocess.TimeoutExpired:
        raise RoarError(f"{host.url} did not end within {seconds} s", _HINT) from None
    finally:
        _end(running, attended=attended)


class _Reader(threading.Thread):
    """Reads a stream to its end, or a byte more than is wanted. Whoever gives it up leaves it behind."""

    def __init__(self, stream: IO[bytes]) -> None:
        super().__init__(daemon=True)
        self.said = b""
        self._stream = stream
        self.start()

    def run(self) -> None:
        with self._stream:
            self.said = self._stream.read(_MOST_BYTES + 1)


def _end(running: subprocess.Popen[bytes], *, attended: bool) -> None:
    if running.poll() is None:
        with contextlib.suppress(ProcessLookupError):
            if attended or os.name == "nt":
                running.kill()
            else:
                os.killpg(running.pid, signal.SIGKILL)
        running.wait()


def _program(repo: Repository | None) -> tuple[str, str]:
    """The command and the variant that git would take."""
    command = os.environ.get("GIT_SSH_COMMAND") or _setting(repo, "core.sshCommand")
    command = command or shlex.quote(os.environ.get("GIT_SSH") or PLAIN)
    return command, os.environ.get("GIT_SSH_VARIANT") or _setting(repo, "ssh.variant")


def _setting(repo: Repository | None, name: str) -> str:
    done = program.call([*(repo.args() if repo else ()), "config", "--get", name])
    return done.stdout.decode("utf-8", "surrogateescape").removesuffix("\n")


def _words(host: Host, *, attended: bool) -> list[str]:
    """How the program is called, up to the command of the host. Raises ``RoarError`` when it cannot be."""
    start = [PLAIN] if host.command == PLAIN else ["sh", "-c", f'{host.command} "$@"', host.command]
    options = _options(host, attended=attended)
    return [*start, *options, _target(host)]


def _options(host: Host, *, attended: bool) -> list[str]:
    kind = host.variant if host.variant not in ("", "auto") else _guessed(host.command)
    if kind in ("plink", "putty", "tortoiseplink"):
        silent = ["-batch"] if kind != "putty" and not attended else []
        return [*silent, *(["-P", host.port] if host.port else [])]
    if kind == "simple":
        if host.port:
            raise RoarError(f"ssh.variant is simple, which knows no port for {host.url}", "git config ssh.variant ssh")
        return []
    silent = [] if attended else ["-o", "BatchMode=yes"]
    return [*silent, "-o", f"ConnectTimeout={_SECONDS // 2}", *(["-p", host.port] if host.port else [])]


def _guessed(command: str) -> str:
    """What git guesses from the name of the program; what it does not know it tries, and we take for OpenSSH's."""
    with contextlib.suppress(ValueError, IndexError):
        return os.path.basename(shlex.split(command)[0]).lower().removesuffix(".exe")
    return ""


def _target(host: Host) -> str:
    return f"{host.user}@{host.name}" if host.user else host.name
