"""A record that takes too long to make, or that the user does not want to wait for, is saved aside."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from test_terminal import Terminal

Git = Callable[..., str]
SCRIPT = "cat README > out; touch .git/slow; exit 5"
RUN = [sys.executable, "-m", "roar", "run", "sh", "-c", SCRIPT]
ASIDE = b"the command has run, but its record could not be made ("


@pytest.fixture
def slow(tree: Path, tmp_path: Path, git: Git, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A repository whose git does not answer from the end of the command on, while this file is there."""
    marker, shim = tree / ".git" / "slow", tmp_path / "bin" / "git"
    shim.parent.mkdir()
    real = git(tree, "--exec-path") + "/git"
    shim.write_text(f'#!/bin/sh\nwhile [ -e {marker} ]; do sleep 0.1; done\nexec {real} "$@"\n')
    shim.chmod(0o755)
    monkeypatch.setenv("PATH", f"{shim.parent}:{os.environ['PATH']}")
    return marker


def recovered(slow: Path, roar: Any, git: Git) -> dict[str, Any]:
    """The record that ``roar recover`` makes of what was saved; there was none before."""
    tree = slow.parent.parent
    slow.unlink()
    assert git(tree, "for-each-ref", "refs/roar/jobs") == ""
    roar("recover")
    (commit,) = git(tree, "for-each-ref", "--format=%(objectname)", "refs/roar/jobs").split()
    record: dict[str, Any] = json.loads(git(tree, "show", f"{commit}:record.json"))
    assert record["exit"] == {"code": 5}
    assert {file["path"] for file in record["outputs"]} == {"out"}
    assert b"nothing was saved aside" in roar("recover").stderr
    return record


@pytest.mark.parametrize("script", [SCRIPT, "touch .git/slow; sleep 0.7; cat README > out; exit 5"])
def test_no_longer_than_the_limit(script: str, slow: Path, tree: Path, roar: Any, git: Git) -> None:
    """Nor when git stops answering while the command still runs, and the recorder looks what is stale."""
    git(tree, "config", "roar.tracer.recordLimit", "1")
    done = subprocess.run([*RUN[:-1], script], cwd=tree, capture_output=True, check=False, timeout=60)
    assert done.returncode == 5
    assert done.stderr.startswith(b"roar: " + ASIDE + b"it took longer than roar.tracer.recordLimit, 1 s)"), done.stderr
    assert done.stderr.count(b"\n") == 1 and b"roar recover" in done.stderr
    recovered(slow, roar, git)


def test_whoever_asks_us_to_end_need_not_wait(slow: Path, tree: Path, roar: Any, git: Git) -> None:
    run = subprocess.Popen(RUN, cwd=tree, stderr=subprocess.PIPE)
    while not slow.exists():
        assert run.poll() is None
        time.sleep(0.02)
    errors = b""
    while run.poll() is None:  # what comes before the command's end is the command's
        run.send_signal(signal.SIGTERM) if is_recording(run.pid) else None
        try:
            _, errors = run.communicate(timeout=0.1)
        except subprocess.TimeoutExpired:
            continue
    assert (run.returncode, errors.count(b"\n")) == (5, 1)
    assert ASIDE + b"interrupted)" in errors
    recovered(slow, roar, git)


def is_recording(tracer: int) -> bool:
    """Whether all of the command has ended and the recorder has begun: its signals wait for it."""
    children = [int(pid) for pid in Path(f"/proc/{tracer}/task/{tracer}/children").read_text().split()]
    status = [Path(f"/proc/{pid}/status").read_text() for pid in children]
    blocked = [int(line.split()[1], 16) for text in status for line in text.splitlines() if line.startswith("SigBlk")]
    return len(blocked) == 1 and bool(blocked[0] >> (signal.SIGTERM - 1) & 1)


def test_a_second_ctrl_c_saves_what_was_seen(
    slow: Path, tree: Path, roar: Any, git: Git, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tree)
    terminal = Terminal(["bash", "--norc", "-c", f"{' '.join(map(repr, RUN))}; echo status $?"])
    while not (slow.exists() and any(map(is_recording, children_of(terminal.pid)))):
        time.sleep(0.02)
    press(terminal, b"roar: the record is being made (Ctrl-C again: ")
    press(terminal, ASIDE + b"interrupted)")
    terminal.expect(b"status 5")
    terminal.close()
    recovered(slow, roar, git)


def press(terminal: Terminal, answer: bytes) -> None:
    """Press Ctrl-C until it is answered: between the end of the command and the record's begin nobody hears it."""
    for _ in range(60):
        terminal.type(b"\x03")
        with contextlib.suppress(AssertionError):
            return terminal.expect(answer, 0.5)
    pytest.fail(f"no answer: {terminal.seen!r}")


def children_of(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
