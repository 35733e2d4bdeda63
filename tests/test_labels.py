"""``roar label`` and ``roar collection``: the latest clock wins, in every clone alike."""

from __future__ import annotations

from pathlib import Path

import make
import pytest
from ask import Ask
from conftest import Git

from roar.git.repository import Repository


@pytest.fixture
def ask(tree: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Ask:
    return Ask(tree, monkeypatch, capsys)


def test_labels_on_a_job_a_session_and_an_artifact(repo: Repository, tree: Path, ask: Ask) -> None:
    session = make.session(repo)
    job = make.job(repo, "fit", {}, {"model": "m"}, session=session)
    make.job(repo, "other", at=9)
    (tree / "model").write_text("m")
    assert "no labels" in ask("label", job)
    assert ask("label", job, "stage=draft", "lr=0.1") == "\nlr=0.1\nstage=draft\n"
    assert ask("label", job, "stage=final", "--unset", "lr") == "\nstage=final\n"
    assert ask.json("label", "model", "licence=CC0 1.0")["labels"] == {"licence": "CC0 1.0"}
    ask("label", session, "sweep=3")
    assert "    stage=final\n" in ask("show", job)
    assert "    licence=CC0 1.0\n" in ask("show", "model")
    assert ask.json("show", session)["labels"] == {"sweep": "3"}
    assert "Label: stage=final\n" in ask("log")
    assert [found["id"] for found in ask.json("log", "--label", "stage")["jobs"]] == [job]
    for other in ("licence", "sweep=3"):  # of a file that it wrote, of its session
        assert [found["id"] for found in ask.json("log", "--label", other)["jobs"]] == [job]
    assert [found["labels"] for found in ask.json("log", "--label", "stage=final")["jobs"]] == [{"stage": "final"}]
    assert "no recorded job matches (next: roar log)" in ask("log", "--label", "stage=draft")
    assert "no recorded job matches (next: roar log)" in ask("log", "--label", "lr")
    assert "'' cannot be a name" in ask("log", "--label", "=final", code=2)


def test_wrong_words(repo: Repository, tree: Path, ask: Ask, git: Git) -> None:
    job = make.job(repo, "fit", code={"commit": git(tree, "rev-parse", "HEAD")})
    assert "x is not KEY=VALUE" in ask("label", job, "x", code=2)
    assert "cannot be a name" in ask("label", job, "=x", code=2)
    assert "cannot be a name" in ask("label", job, "a\nb=x", code=2)
    assert "is a commit" in ask("label", "HEAD", "a=b", code=2)
    assert "is a job, no artifact" in ask("collection", "add", "v1", job, code=2)
    assert "there is no collection v1" in ask("collection", "show", "v1", code=1)


def test_collections(repo: Repository, tree: Path, ask: Ask) -> None:
    job = make.job(repo, "split", {"raw": "r"}, {"a.csv": "a", "b.csv": "b"})
    for name, text in {"raw": "r", "a.csv": "a", "b.csv": "b"}.items():
        (tree / name).write_text(text)
    assert "no collections" in ask("collection", "list")
    assert ask("collection", "add", "v1", "a.csv", "b.csv", "raw") == "\nv1: 3 artifacts\n"
    assert ask("collection", "remove", "v1", "raw") == "\nv1: 2 artifacts\n"
    assert "is not in v1" in ask("collection", "remove", "v1", "raw", code=1)
    assert ask.json("collection", "list") == [{"name": "v1", "artifacts": 2}]
    assert [a["path"] for a in ask.json("collection", "show", "v1")["artifacts"]] == ["a.csv", "b.csv"]
    ask.names = {job: "SPLIT"}
    assert f"a.csv  {make.digest('a')[:12]}  1 B   SPLIT\n" in ask("collection", "show", "v1")
    assert "    in v1\n" in ask("show", "a.csv")
    (tree / "a.csv").write_text("b")
    assert len(ask.json("collection", "show", "v1")["artifacts"]) == 2


def test_of_two_clones_the_later_word_counts_whatever_arrives_first(
    repo: Repository, tree: Path, ask: Ask, git: Git, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = make.job(repo, "fit", {}, {"model": "m"})
    git(tmp_path, "clone", "-q", "--bare", str(tree), "hub.git")
    git(tree, "remote", "add", "origin", str(tmp_path / "hub.git"))
    ask("sync")
    git(tmp_path, "clone", "-q", "hub.git", "other")
    ask("label", job, "stage=first", "mine=1")
    ask("collection", "add", "v1", make.digest("m"))
    monkeypatch.chdir(tmp_path / "other")
    ask("sync")
    ask("label", job, "stage=second", "theirs=2")
    ask("sync")
    monkeypatch.chdir(tree)
    ask("sync")
    monkeypatch.chdir(tmp_path / "other")
    ask("sync")
    for place in (tree, tmp_path / "other"):
        monkeypatch.chdir(place)
        assert ask.json("label", job)["labels"] == {"mine": "1", "stage": "second", "theirs": "2"}
        assert ask.json("collection", "list") == [{"name": "v1", "artifacts": 1}]
        assert ask.json("fsck")["findings"] == []


def test_a_label_that_was_purged_labels_nothing(repo: Repository, ask: Ask, git: Git, tree: Path) -> None:
    job = make.job(repo, "fit")
    ask("label", job, "key=first")
    ask("label", job, "key=secret")
    tip = git(tree, "for-each-ref", "--format=%(objectname)", "refs/roar/jobs")
    leaked = git(tree, "log", "-1", "--format=%(trailers:key=Roar-Id,valueonly)", tip)
    ask("pop", "--purge", leaked, "-y")
    assert ask.json("label", job)["labels"] == {"key": "first"}
