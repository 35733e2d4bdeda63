"""``roar reset``: what goes is shown, asked for, and no more than that goes."""

from __future__ import annotations

import os
from pathlib import Path

import make
import pytest
from ask import Ask, on_terminal
from conftest import Git

from roar.git import gclock, refs
from roar.git.repository import Repository
from roar.journal import spool
from roar.verbs import sessions


@pytest.fixture
def ask(tree: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Ask:
    return Ask(tree, monkeypatch, capsys)


def test_the_index(repo: Repository, ask: Ask) -> None:
    assert "there is nothing to delete" in ask("reset", "-y")
    job = make.job(repo, "fit")
    ask("log")
    path = ask.json("cache", "path")["path"]
    assert "nothing was deleted: there is no terminal to ask on (next: roar reset -y)" in ask("reset", code=1)
    assert os.path.exists(path)
    assert f"file {path}" in ask("reset", "-y")
    assert not os.path.exists(path)
    assert ask.json("log")["jobs"][0]["id"] == job


def test_all(repo: Repository, tree: Path, ask: Ask, git: Git, tmp_path: Path) -> None:
    git(tmp_path, "clone", "-q", "--bare", str(tree), "hub.git")
    git(tree, "remote", "add", "origin", str(tmp_path / "hub.git"))
    head = git(tree, "rev-parse", "HEAD")
    sessions.activate(repo, make.session(repo))
    make.job(repo, "one", code={"commit": head})
    ask("init")
    ask("sync")
    make.job(repo, "two", code={"commit": head}, at=1)
    with gclock.hold(repo):
        make.job(repo, "three", at=2)
    before = git(tree, "for-each-ref", "refs/heads", "refs/remotes", "refs/tags")
    assert "(next: roar reset -y --all)" in ask("reset", "--all", code=1)
    said = ask("reset", "--all", "-y")
    assert "3 records, 1 of them on no remote as last fetched" in said
    assert "1 record saved aside: not deleted" in said
    for ref in refs.listing(repo, "refs/roar"):
        assert ref in said
    assert git(tree, "for-each-ref", "refs/roar*", "refs/notes") == ""
    assert git(tree, "for-each-ref", "refs/heads", "refs/remotes", "refs/tags") == before
    assert sessions.active(repo) is None
    assert len(spool.entries(repo.own_dir)) == 1
    assert git(tree, "fsck", "--strict", "--no-dangling") == ""
    git(tree, "log", "-1")
    make.job(repo, "four", at=3)
    ask("sync")
    assert sorted(job["argv"][0] for job in ask.json("log")["jobs"]) == ["four", "one", "three"]


def test_it_asks_on_a_terminal(repo: Repository, tree: Path) -> None:
    make.job(repo, "fit")
    for answer, left in (("n\n", 1), ("y\n", 0)):
        status, said = on_terminal(tree, answer, "reset", "--all")
        assert status == (1 if left else 0), said
        assert "Delete this? [y/N]" in said
        assert "1 record, 1 of them on no remote" in said
        assert len(refs.listing(repo, "refs/roar/jobs")) == left
