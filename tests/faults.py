"""A fault injector: a part of roar, killed or failed by strace(1) at the Nth call of one system call.

What is to fail runs in a forked child that waits until strace holds it; nothing in the program knows of it. strace
counts each system call by itself and from there on, so that N means the same every time.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from roar.cli import boundary
from roar.cli.recorder import Manner, record_run
from roar.config import read
from roar.git import refs
from roar.git.repository import Repository
from roar.verbs.record import Run

ALL = os.environ.get("ROAR_ALL_FAULTS", "") not in ("", "0")
"""Every step; otherwise some of them, the same each time."""

needs_strace = pytest.mark.skipif(shutil.which("strace") is None, reason="needs strace")


class Outcome(NamedTuple):
    """How it ended: ``status`` as os.waitstatus_to_exitcode gives it, ``said`` on standard error."""

    status: int
    said: str
    reached: bool
    """False when it came to its end before the fault."""

    @property
    def acknowledged(self) -> list[str]:
        """The ids that were said to be recorded."""
        return re.findall(r"^roar ([0-9A-HJKMNP-TV-Z]{26})  ", self.said, re.M)


def run(action: Callable[[], int], folder: Path, fault: str | None = None) -> Outcome:
    """Run an action in a child, under a fault as ``strace -e inject=`` takes it. ``folder`` is for files of ours."""
    said, log = folder / "said", folder / "strace"
    go_read, go_write = os.pipe()
    errors = os.open(said, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND, 0o600)  # here: no step of the child's
    child = os.fork()
    if child == 0:
        os.close(go_write)
        _act(action, go_read, errors)
    os.close(go_read)
    os.close(errors)
    strace = None
    if fault is not None:
        calls = fault.partition(":")[0]
        words = ["strace", "-qq", "-p", str(child), "-o", str(log), "-e", f"trace={calls}", "-e", f"inject={fault}"]
        strace = subprocess.Popen(words, stderr=subprocess.PIPE)
        while f"TracerPid:\t{strace.pid}\n" not in Path(f"/proc/{child}/status").read_text():
            if strace.poll() is not None:
                os.kill(child, signal.SIGKILL)
                os.waitpid(child, 0)
                assert strace.stderr is not None
                pytest.skip(f"strace cannot attach here ({strace.returncode}): {strace.stderr.read().decode().strip()}")
            time.sleep(0.001)
    os.close(go_write)
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    reached = False
    if strace is not None:
        strace.communicate()
        reached = status == -signal.SIGKILL or "(INJECTED)" in log.read_text()
    return Outcome(status, said.read_text(), reached)


def _act(action: Callable[[], int], go: int, errors: int) -> None:
    status = 99
    try:
        os.dup2(errors, 2)
        sys.stderr = os.fdopen(2, "w", encoding="utf-8", errors="backslashreplace")
        os.read(go, 1)
        status = boundary.guarded(action)
    finally:
        os._exit(status)


def recorder(repo: Repository, tracer: Path, folder: Path) -> Callable[[], int]:
    """The last step of ``roar run`` for a command that has just run."""
    report = folder / "report"
    top = repo.require_work_tree()
    words = ["sh", "-c", "cat README > made"]
    assert subprocess.run([tracer, "--report", report, "--", *words], cwd=top, check=False).returncode == 0
    file = os.open(report, os.O_RDONLY)
    branch, commit = refs.head(repo)
    environ = {"PATH": os.environ["PATH"]}
    ran = Run(repo, words, top, branch, commit, environ, configuration=read.understood([]))
    nothing = os.open(os.devnull, os.O_RDONLY)  # the tracer has ended

    def act() -> int:
        return record_run(ran, os.dup(file), nothing, Manner(look=False))

    return act


def steps(call: str, every: int, first: int = 1) -> Iterator[int]:
    """1, 2, 3, ... for the Nth call: each one, or every ``every``-th, with another beginning for another call."""
    if ALL:
        every = 1
    at = first + sum(call.encode()) % every
    while True:
        yield at
        at += every


def let_time_pass(repo: Repository) -> None:
    """Make every lock file as old as it would be if the next command came a minute later."""
    for path in Path(repo.common_dir).rglob("*.lock"):
        then = time.time() - 60
        os.utime(path, (then, then))
