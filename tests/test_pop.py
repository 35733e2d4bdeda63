"""``roar pop``: what was taken back is left out, said, shared; and no file goes that is not the job's own."""

from __future__ import annotations

import os
from pathlib import Path

import make
import pytest
from ask import Ask, on_terminal
from conftest import Git

from roar.git.repository import Repository


@pytest.fixture
def ask(tree: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Ask:
    return Ask(tree, monkeypatch, capsys)


def pipeline(repo: Repository, tree: Path, ask: Ask) -> tuple[str, list[str]]:
    """raw -> train -> model, with the files there."""
    session = make.session(repo)
    jobs = [
        make.job(repo, "prepare", {"raw": "r"}, {"train": "t"}, session=session),
        make.job(repo, "fit", {"train": "t"}, {"model": "m"}, at=60, session=session),
    ]
    for path, text in {"raw": "r", "train": "t", "model": "m"}.items():
        (tree / path).write_text(text)
    ask.names = {session: "SESSION", jobs[0]: "PREPARE", jobs[1]: "FIT"}
    return session, jobs


def test_the_last_job_of_the_session(repo: Repository, tree: Path, ask: Ask) -> None:
    _, jobs = pipeline(repo, tree, ask)
    assert ask("pop", "--reason", "wrong seed") == ("\njob FIT  ok  42.0 s  fit -> model\nwithdrawn: 1 job\n")
    assert ask("log", "--oneline") == (
        "\nPREPARE  ok  42.0 s  prepare -> train\n1 withdrawn job left out (next: roar log --all)\n"
    )
    assert "FIT  ok  42.0 s  fit -> model (withdrawn)\n" in ask("log", "--oneline", "--all")
    assert "ok  42.0 s  withdrawn\n" in ask("log", "--all")
    assert ask.json("log", "--all")["jobs"][0]["withdrawn"] is True
    assert "WITHDRAWN by Ada Recorder <ada@example.org>, " in (shown := ask("show", jobs[1]))
    assert shown.splitlines()[4].endswith(": wrong seed")
    assert ask.json("show", jobs[1])["withdrawals"][0]["reason"] == "wrong seed"
    assert "1 withdrawn job left out" in ask("dag")
    assert [node["job_id"] for node in ask.json("dag")["nodes"]] == [jobs[0]]
    assert "1 withdrawn job left out" in ask("status")
    assert (tree / "model").read_text() == "m"


def test_lineage_says_that_a_maker_was_withdrawn(repo: Repository, tree: Path, ask: Ask) -> None:
    _, jobs = pipeline(repo, tree, ask)
    ask("pop", jobs[0])
    assert (
        ask("lineage", "model")
        == f"""
Lineage of model {make.digest("m")[:12]}

*  FIT  ok  42.0 s  fit -> model

FILE   HASH          SIZE  MADE BY
train  {make.digest("t")[:12]}  1 B   withdrawn PREPARE
model  {make.digest("m")[:12]}  1 B   FIT
"""
    )
    assert ask.json("lineage", "model")["artifacts"][0]["withdrawn_maker"] == jobs[0]
    assert "left out: withdrawn job PREPARE" in ask("show", "train")
    assert "(withdrawn)" in ask("lineage", jobs[0])
    assert "the job that made train was withdrawn" in ask("reproduce", "train", code=1)
    assert ask("pop", jobs[0], code=1).startswith("\nroar: PREPARE is withdrawn already")


def test_artifacts_and_sessions(repo: Repository, tree: Path, ask: Ask) -> None:
    session, jobs = pipeline(repo, tree, ask)
    assert ask("pop", "raw", "--reason", "leaked") == (
        f"\nartifact {make.digest('r')[:12]}  raw\nwithdrawn: 1 artifact\n"
    )
    assert "WITHDRAWN by Ada" in ask("show", "raw")
    assert "raw (withdrawn)  " in ask("lineage", "train")
    assert "withdrawn content in the session: raw (next: roar show raw)" in ask("status")
    answer = ask.json("pop", session)
    assert answer["sessions"] == [session]
    assert sorted(answer["jobs"]) == jobs
    assert "2 withdrawn jobs" in ask("log")
    assert "WITHDRAWN by Ada" in ask("show", session)
    assert "there is no job to withdraw" in ask("pop", code=1)


def test_it_asks_on_a_terminal(repo: Repository, tree: Path, ask: Ask) -> None:
    session, _ = pipeline(repo, tree, ask)
    status, said = on_terminal(tree, "n\n", "pop", "--delete-outputs")
    assert (status, (tree / "model").exists()) == (1, True), said
    assert "delete model" in said
    status, said = on_terminal(tree, "y\n", "pop", "--delete-outputs")
    assert (status, (tree / "model").exists()) == (0, False), said
    assert len(ask.json("session", "show", session)["ran"]) == 1


def test_words_that_name_nothing_to_withdraw(repo: Repository, tree: Path, ask: Ask, git: Git) -> None:
    assert "there is no job to withdraw" in ask("pop", code=1)
    make.job(repo, "fit", code={"commit": git(tree, "rev-parse", "HEAD")})
    assert "is a commit" in ask("pop", "HEAD", code=2)
    assert "no recorded job read or wrote README" in ask("pop", "README", code=1)
    assert "is no recorded job" in ask("pop", "nothing", code=1)


def test_whatever_arrives_first_and_in_every_clone(
    repo: Repository, tree: Path, ask: Ask, tmp_path: Path, git: Git, monkeypatch: pytest.MonkeyPatch
) -> None:
    session, jobs = pipeline(repo, tree, ask)
    git(tmp_path, "clone", "-q", "--bare", str(tree), "hub.git")
    git(tree, "remote", "add", "origin", str(tmp_path / "hub.git"))
    ask("sync")
    git(tmp_path, "clone", "-q", "hub.git", "other")
    monkeypatch.chdir(tmp_path / "other")
    ask("sync")
    ask("pop", jobs[1], "--reason", "theirs")
    ask("sync")
    monkeypatch.chdir(tree)
    assert len(ask.json("log")["jobs"]) == 2
    ask("pop", jobs[1])
    ask("sync")
    assert [job["id"] for job in ask.json("log")["jobs"]] == [jobs[0]]
    assert len(ask.json("show", jobs[1])["withdrawals"]) == 2
    git(tmp_path, "init", "-q", "late")
    git(tmp_path / "late", "remote", "add", "origin", str(tmp_path / "hub.git"))
    writers = git(tmp_path / "hub.git", "for-each-ref", "--format=%(refname)", "refs/roar/jobs").splitlines()
    monkeypatch.chdir(tmp_path / "late")
    for ref in reversed(writers):  # the withdrawal may come before what it names
        git(tmp_path / "late", "fetch", "-q", "origin", f"{ref}:refs/roar-remote/origin/{ref[10:]}")
        ask.json("log")
    assert [job["id"] for job in ask.json("log")["jobs"]] == [jobs[0]]
    assert session in git(tmp_path / "late", "log", "--all", "--format=%B")


def test_only_files_that_the_job_created_are_deleted(repo: Repository, tree: Path, ask: Ask, git: Git) -> None:
    session = make.session(repo)
    names = ["free", "changed", "tracked", "again", "out/link", "sub/inner", "away/x", "gone"]
    wrote = {name: name for name in names}
    values = make.fields("fit", {}, wrote, session=session)
    values["outputs"] += [make.file("modified", "m", change="modified"), make.file("/tmp/else", "e", change="created")]
    job = make.put(repo, values)
    other = make.session(repo)
    make.job(repo, "copy", {}, {"again": "again"}, at=5, session=other)
    outside = tree.parent / "outside"
    for folder in (tree / "out", tree / "sub", outside):
        folder.mkdir()
    for name in ["free", "tracked", "again", "sub/inner"]:
        (tree / name).write_text(name)
    (tree / "changed").write_text("by hand")
    (tree / "modified").write_text("m")
    (outside / "x").write_text("away/x")
    os.symlink(outside, tree / "away")
    os.symlink("out/link", tree / "out/link")
    git(tree, "add", "tracked")
    git(tree / "sub", "init", "-q")
    assert "there is no terminal to ask on" in ask("pop", job, "--delete-outputs", code=1)
    assert (tree / "free").exists()
    answer = ask.json("pop", job, "--delete-outputs", "-y")
    assert answer["deleted"] == ["free"]
    assert {item["path"]: item["reason"] for item in answer["kept"]} == {
        "again": "another job wrote the same",
        "away/x": "outside of the repository by a symbolic link",
        "changed": "changed since",
        "modified": "it was there before the job",
        "out/link": "changed since",
        "sub/inner": "in another repository",
        "tracked": "tracked by git",
    }
    assert not (tree / "free").exists()
    assert (outside / "x").exists()
    assert (tree / "changed").read_text() == "by hand"
