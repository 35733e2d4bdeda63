"""Crashes and failing system calls at every step of a record's way into git."""

from __future__ import annotations

import os
import re
import shutil
import signal
from collections.abc import Callable
from pathlib import Path

import faults
import pytest
from conftest import TRACER, Git, needs_tracer
from faults import let_time_pass, needs_strace, steps
from test_journal import draft, ids

from roar.git import gclock
from roar.git.repository import Repository, discover
from roar.journal import spool
from roar.journal.append import append, bring_in
from roar.verbs.recover import recover

pytestmark = [needs_strace, needs_tracer]

WRITING = ("openat", "write", "rename", "unlink", "mkdir", "chmod", "utimensat", "pwrite64")
"""Every system call of the recorder that leaves something behind; at the entry of each it is killed."""


@pytest.fixture
def record(repo: Repository, tmp_path: Path) -> Callable[[], int]:
    """The recorder, in a repository that has a record already."""
    action = faults.recorder(repo, TRACER, tmp_path)
    assert faults.run(action, tmp_path).acknowledged == ids(repo)[:1]
    return action


def healed(repo: Repository, git: Git, acknowledged: list[str]) -> None:
    """The next command comes a little later, and all is well: nothing blocks it, nothing acknowledged is missing."""
    let_time_pass(repo)
    acknowledged.append(append(repo, draft(git(repo.git_dir, "rev-parse", "HEAD"))).identifier)
    held = ids(repo)
    assert set(acknowledged) <= set(held)
    assert git(repo.git_dir, "fsck", "--strict", "--no-dangling", "--no-progress") == ""
    git(repo.git_dir, "gc", "--auto", "--quiet")
    assert not [path for path in Path(repo.common_dir).rglob("*.lock") if path.parent.name != "roar"]


@pytest.mark.parametrize(("call", "every"), list(zip(WRITING, (19, 7, 4, 4, 4, 1, 3, 6), strict=True)), ids=WRITING)
def test_killed_at_each_step(
    call: str, every: int, record: Callable[[], int], repo: Repository, git: Git, tmp_path: Path
) -> None:
    acknowledged: list[str] = []
    for number in steps(call, every):
        ended = faults.run(record, tmp_path, f"{call}:signal=KILL:when={number}")
        acknowledged += ended.acknowledged
        if not ended.reached:
            break
        assert ended.status == -signal.SIGKILL
        healed(repo, git, acknowledged)
    assert ended.status == 0
    healed(repo, git, acknowledged)


@pytest.mark.parametrize(("call", "every"), list(zip(WRITING, (47, 11, 7, 6, 8, 3, 5, 12), strict=True)), ids=WRITING)
def test_killed_at_each_step_of_the_first_record(
    call: str, every: int, repo: Repository, tree: Path, git: Git, tmp_path: Path
) -> None:
    """As above, and the journal, its folders, the writer's name and the session come into being."""
    record = faults.recorder(repo, TRACER, tmp_path)
    shutil.copytree(repo.git_dir, tmp_path / "before")
    for number in steps(call, every):
        shutil.rmtree(repo.git_dir)
        shutil.copytree(tmp_path / "before", repo.git_dir)
        ended = faults.run(record, tmp_path, f"{call}:signal=KILL:when={number}")
        healed(discover(str(tree)), git, ended.acknowledged)
        if not ended.reached:
            break
    assert ended.status == 0


@pytest.mark.parametrize(("call", "every"), [("openat", 40), ("write", 9), ("rename", 3), ("unlink", 15)])
def test_killed_while_writing_the_spool_and_while_bringing_it_in(
    call: str, every: int, repo: Repository, git: Git, tmp_path: Path
) -> None:
    acknowledged = [append(repo, draft(git(repo.git_dir, "rev-parse", "HEAD"))).identifier]

    def one() -> int:
        made = append(repo, draft(), {b"files/a.py": b"x" * 30_000})
        os.write(2, f"roar {made.identifier}  ok\n".encode())
        return 0

    def all_of_them() -> int:
        bring_in(repo)
        return 0

    for action in (one, all_of_them):
        for number in steps(call, every):
            with gclock.hold(repo):
                acknowledged.append(append(repo, draft()).identifier)
                ended = faults.run(one, tmp_path, f"{call}:signal=KILL:when={number}") if action is one else None
            if ended is None:
                ended = faults.run(all_of_them, tmp_path, f"{call}:signal=KILL:when={number}")
            acknowledged += ended.acknowledged
            assert all(spool.load(path) for path in spool.entries(repo.own_dir))
            healed(repo, git, acknowledged)
            assert spool.entries(repo.own_dir) == []
            if not ended.reached:
                break


FAILURES = (
    ("openat", ("ENOSPC", "EACCES", "EMFILE", "EIO"), 31),
    ("write", ("ENOSPC", "EIO"), 7),
    ("rename", ("ENOSPC", "EIO"), 3),
    ("mkdir", ("ENOSPC", "EACCES"), 2),
    ("unlink", ("EACCES",), 3),
    ("read", ("EIO",), 29),
    ("flock", ("ENOLCK",), 1),
    ("pipe2", ("EMFILE",), 4),
    ("vfork,clone,clone3", ("EAGAIN",), 3),
    ("pwrite64", ("ENOSPC", "EIO"), 7),
    ("utimensat", ("EACCES",), 2),
)


@pytest.mark.parametrize(
    ("call", "error", "every"), [(call, error, every) for call, errors, every in FAILURES for error in errors]
)
def test_a_call_that_fails_costs_no_record(
    call: str, error: str, every: int, record: Callable[[], int], repo: Repository, git: Git, tmp_path: Path
) -> None:
    acknowledged: list[str] = []
    first = 4 if call == "read" else 1  # a pipe and a file in memory are read before, which cannot fail
    for number in steps(call + error, every, first):
        before = len(ids(repo))
        ended = faults.run(record, tmp_path, f"{call}:error={error}:when={number}")
        assert "Traceback" not in ended.said
        assert "a bug in roar" not in ended.said
        acknowledged += ended.acknowledged
        if not ended.acknowledged and ended.status:
            assert re.fullmatch(r"roar: the command has run, but [^\n]* \(next: [^\n]*roar recover\)\n", ended.said)
            recover(repo)
        assert len(ids(repo)) >= before + 1
        healed(repo, git, acknowledged)
        if not ended.reached:
            break


@pytest.mark.parametrize("error", ["ENOSPC", "EROFS"])
def test_when_nothing_can_be_written_from_some_step_on_one_line_says_so(
    error: str, record: Callable[[], int], repo: Repository, git: Git, tmp_path: Path
) -> None:
    acknowledged: list[str] = []
    for number in steps(error, 9):
        ended = faults.run(record, tmp_path, f"write,pwrite64,rename,mkdir:error={error}:when={number}+")
        if not ended.reached:
            break
        acknowledged += ended.acknowledged
        assert "Traceback" not in ended.said
        healed(repo, git, acknowledged)
