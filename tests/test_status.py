"""``roar status``: what is stale, what is not shared, what is not known; and ``--check``."""

from __future__ import annotations

from pathlib import Path

import make
import pytest
from ask import Ask
from conftest import Git

from roar.git import objects, refs
from roar.git.repository import Repository
from roar.journal import RECORD, spool
from roar.verbs import sync


@pytest.fixture
def ask(tree: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Ask:
    return Ask(tree, monkeypatch, capsys)


def two_steps(repo: Repository, tree: Path, ask: Ask, commit: str | None = None) -> list[str]:
    session = make.session(repo)
    code = {"commit": commit} if commit else {}
    jobs = [
        make.job(repo, "prepare", {"raw": "r"}, {"train": "t"}, session=session, code=code),
        make.job(repo, "train", {"train": "t"}, {"model": "m"}, at=60, session=session, code=code),
    ]
    for path, text in {"raw": "r", "train": "t", "model": "m"}.items():
        (tree / path).write_text(text)
    ask.names = {session: "SESSION", jobs[0]: "PREPARE", jobs[1]: "TRAIN", refs.head(repo)[1] or "": "HEAD"}
    return jobs


def test_all_is_well(repo: Repository, tree: Path, ask: Ask) -> None:
    two_steps(repo, tree, ask)
    assert (
        ask("status", "--check")
        == """
on main at HEAD, 3 untracked
session SESSION: 2 jobs, 2 steps
last job TRAIN  ok  42.0 s  train -> model

nothing is stale
"""
    )


def test_stale(repo: Repository, tree: Path, ask: Ask) -> None:
    jobs = two_steps(repo, tree, ask)
    (tree / "raw").write_text("other")
    (tree / "model").unlink()
    expected = """
on main at HEAD, 2 untracked
session SESSION: 2 jobs, 2 steps
last job TRAIN  ok  42.0 s  train -> model

2 outputs of 2 steps stale:
  @1  train
        input raw changed
  @2  model
        output model is gone
        @1 is stale
"""
    assert ask("status") == expected
    assert ask("status", "--check", code=1) == expected
    found = ask.json("status", "--check", code=1)
    assert (found["stale_count"], found["states"]) == (2, {"@1": "stale", "@2": "stale"})
    assert found["stale"][0]["job_id"] == jobs[0]
    assert found["stale"][0]["outputs"] == [{"path": "train", "hash": make.digest("t")}]
    assert found["stale"][0]["reasons"][0]["kind"] == "input"
    assert found["last_job"] == jobs[1]


def test_how_the_work_tree_stands(repo: Repository, tree: Path, git: Git, ask: Ask, tmp_path: Path) -> None:
    git(tmp_path, "init", "-q", "--bare", "far.git")
    git(tree, "remote", "add", "origin", str(tmp_path / "far.git"))
    git(tree, "push", "-q", "-u", "origin", "main")
    make.job(repo, "true")
    head = git(tree, "rev-parse", "HEAD")
    assert f"on main at {head[:12]}, clean\n" in ask("status")
    (tree / "README").write_text("other\n")
    git(tree, "commit", "-q", "--allow-empty", "-m", "second")
    head = git(tree, "rev-parse", "HEAD")
    assert f"on main at {head[:12]}, 1 file changed, 1 commit not on origin/main\n" in ask("status")
    standing = {"branch": "main", "commit": head, "changed": 1, "untracked": 0, "upstream": "origin/main", "ahead": 1}
    assert ask.json("status")["git"] == {**standing, "dirty": True}
    git(tree, "checkout", "-q", "--detach")
    (tree / "new").mkdir()
    (tree / "new" / "a\nfile").write_text("?")
    assert f"on no branch at {head[:12]}, 1 file changed, 1 untracked\n" in ask("status")
    git(tree, "checkout", "-q", "--orphan", "fresh")
    assert "on fresh, no commit yet, 1 file changed, 1 untracked\n" in ask("status")


def test_a_failed_step_is_named_and_is_not_stale(repo: Repository, tree: Path, ask: Ask) -> None:
    two_steps(repo, tree, ask)
    make.job(repo, "broken", session=next(iter(ask.names)), exit={"code": 1})
    text = ask("status", "--check")
    assert "nothing is stale\nfailed: @3 (next: roar show @3)\n" in text


def test_nothing_yet(repo: Repository, ask: Ask) -> None:
    assert ask("status", "--check") == "\nno jobs recorded yet (next: roar run CMD)\n"
    found = ask.json("status")
    assert (found["session_id"], found["last_job"], found["stale"]) == (None, None, [])


def test_what_is_not_shared(repo: Repository, tree: Path, git: Git, ask: Ask, tmp_path: Path) -> None:
    git(tmp_path, "init", "-q", "--bare", "far.git")
    git(tree, "remote", "add", "origin", str(tmp_path / "far.git"))
    head = git(tree, "rev-parse", "HEAD")
    two_steps(repo, tree, ask, head)
    ask.names[head] = "HEAD"
    text = ask("status")
    assert "never compared with origin (next: roar sync origin)\n" in text
    assert "commit HEAD, which jobs ran on, is on no remote branch (next: git push origin HEAD)\n" in text
    assert ask.json("status")["unpushed"] == {"origin": 3}
    assert ask.json("status")["never_compared"] == ["origin"]
    assert ask.json("status")["commits_on_no_remote_branch"] == [head]
    git(tree, "push", "-q", "origin", "HEAD")
    sync.sync(repo, None)
    assert "origin" not in ask("status")
    make.job(repo, "later")
    assert "1 record not known to be on origin" in ask("status")


def test_a_commit_that_was_amended_and_one_that_is_gone(
    repo: Repository, tree: Path, git: Git, ask: Ask, tmp_path: Path
) -> None:
    git(tmp_path, "init", "-q", "--bare", "far.git")
    git(tree, "remote", "add", "origin", str(tmp_path / "far.git"))
    before = git(tree, "rev-parse", "HEAD")
    two_steps(repo, tree, ask, before)
    git(tree, "commit", "-q", "--amend", "-m", "better")
    after = git(tree, "rev-parse", "HEAD")
    make.job(repo, "train", {"train": "t"}, {"model": "m"}, at=90, code={"commit": after})
    git(tree, "push", "-q", "origin", "HEAD")
    ask.names |= {before: "BEFORE"}
    hint = "git push origin BEFORE:refs/heads/NAME"
    text = ask("status")
    assert f"commit BEFORE, which jobs ran on, is on no remote branch (next: {hint})\n" in text
    assert " HEAD)" not in text
    (keeping,) = git(tree, "for-each-ref", "--format=%(refname)", "refs/roar-keep/").split()
    git(tree, "update-ref", "-d", keeping)
    git(tree, "reflog", "expire", "--expire=now", "--all")
    git(tree, "prune", "--expire=now")
    assert "commit BEFORE, which jobs ran on, is gone from this repository\n" in ask("status")
    found = ask.json("status")
    assert (found["commits_gone"], found["commits_on_no_remote_branch"]) == ([before], [])


def test_what_was_saved_aside(repo: Repository, tree: Path, ask: Ask) -> None:
    waiting = "1 record saved aside (next: roar recover)\n"
    folder = Path(spool.places(repo)[1]) / "reports"
    folder.mkdir(parents=True)
    (folder / "1-2.report").write_bytes(b"{}")
    for words in (["status"], ["log"], ["dag"]):
        assert ask(*words) == f"\nno jobs recorded yet; {waiting}"
    two_steps(repo, tree, ask)
    assert waiting in ask("status")
    assert ask.json("status")["saved_aside"] == 1


def test_a_step_that_wrote_nothing(repo: Repository, tree: Path, ask: Ask) -> None:
    make.job(repo, "check", {"raw": "r"}, session=make.session(repo))
    text = ask("status")
    assert "\n1 step stale:\n  @1  (no outputs)\n        input raw is gone\n" in text


def test_what_is_not_known(repo: Repository, tree: Path, ask: Ask) -> None:
    two_steps(repo, tree, ask)
    session = next(iter(ask.names))
    gap = make.job(repo, "dark", session=session, incomplete=[{"reason": "tracer-died"}])
    ask.names[gap] = "GAP"
    tree_id = objects.write_files(repo, {RECORD: b'{"format":9}'})
    who = "A <a@example.org> 1 +0000"
    bad = objects.write(repo, "commit", objects.commit_body(tree_id, [], who, who, "x"))
    assert refs.compare_and_swap(repo, "refs/roar-remote/o/jobs/2025/x", bad, None)
    ask.names[bad] = "BAD"
    text = ask("status")
    assert "1 record of the session does not know everything (next: roar show GAP)\n" in text
    assert "1 object under refs/roar cannot be read: BAD: format 9 is newer" in text
    assert "(next: upgrade roar)\n" in text
    found = ask.json("status")
    assert (found["incomplete"], found["broken"][0]["object"]) == ([gap], bad)


def test_from_a_folder_inside(repo: Repository, tree: Path, ask: Ask, monkeypatch: pytest.MonkeyPatch) -> None:
    two_steps(repo, tree, ask)
    (tree / "sub").mkdir()
    monkeypatch.chdir(tree / "sub")
    assert "nothing is stale" in ask("status", "--check")


def test_a_bare_repository_says_so(
    repo: Repository, tree: Path, git: Git, ask: Ask, monkeypatch: pytest.MonkeyPatch
) -> None:
    two_steps(repo, tree, ask)
    git(tree, "config", "core.bare", "true")
    monkeypatch.chdir(tree / ".git")
    assert "has no work tree" in ask("status", code=1)
