"""``roar session``, and ``roar run --session``: sessions by name, in every clone."""

from __future__ import annotations

import json
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import make
import pytest
from ask import Ask
from conftest import Git, Roar, needs_tracer

from roar.git.repository import Repository, discover
from roar.verbs import sessions


@pytest.fixture
def ask(tree: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Ask:
    return Ask(tree, monkeypatch, capsys)


def test_new_use_close_and_list(repo: Repository, ask: Ask) -> None:
    assert "no sessions yet" in ask("session", "list")
    assert ask.json("session", "list") == []
    assert "no session is active here" in ask("session", "show", code=1)
    night = ask("session", "new", "night").strip()
    assert sessions.active(repo) == night
    begun = ask.json("session", "new", "day")
    day = begun["id"]
    assert (begun["name"], begun["state"], begun["jobs"], begun["active"]) == ("day", "open", 0, True)
    make.job(repo, "fit", session=night)
    ask.names = {night: "NIGHT", day: "DAY"}
    rows = [line.split() for line in ask("session", "list").splitlines()[2:]]
    assert [(row[0], row[1], row[-1]) for row in rows] == [("*", "DAY", "day"), ("NIGHT", "open", "night")]
    assert "NIGHT is active" in ask("session", "use", "night")
    assert ask("session", "show").splitlines()[1] == "session NIGHT night"
    assert ask.json("session", "show", "day")["ran"] == []
    assert ask.json("session", "show")["jobs"] == 1
    assert "NIGHT is closed" in ask("session", "close")
    assert sessions.active(repo) is None
    assert "is closed" in ask("session", "use", "night", code=1)
    assert "is closed already" in ask("session", "close", "night", code=1)
    assert ", closed\n" in ask("session", "show", night)
    assert {row["name"]: row["state"] for row in ask.json("session", "list")} == {"night": "closed", "day": "open"}
    assert ask("session", "new", "night") != night
    assert "there is an open session day" in ask("session", "new", "day", code=1)
    assert "there is no session x" in ask("session", "use", "x", code=1)


def test_reproductions_and_withdrawn_ones_are_listed_when_asked_for(repo: Repository, ask: Ask) -> None:
    make.session(repo, purpose="reproduction")
    gone = ask("session", "new", "gone").strip()
    ask("pop", gone)
    assert sessions.active(repo) is None
    assert ask.json("session", "list") == []
    assert [row["state"] for row in ask.json("session", "list", "--all")] == ["withdrawn", "open"]


def test_closing_reaches_other_clones(
    repo: Repository, tree: Path, ask: Ask, git: Git, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    git(tmp_path, "clone", "-q", "--bare", str(tree), "hub.git")
    git(tree, "remote", "add", "origin", str(tmp_path / "hub.git"))
    ask("session", "new", "night")
    ask("sync")
    git(tmp_path, "clone", "-q", "hub.git", "other")
    monkeypatch.chdir(tmp_path / "other")
    ask("sync")
    ask("session", "use", "night")
    ask("session", "close")
    ask("sync")
    monkeypatch.chdir(tree)
    ask("sync")
    assert ask.json("session", "list")[0]["state"] == "closed"


def test_each_work_tree_has_its_own(repo: Repository, tree: Path, tmp_path: Path, git: Git, ask: Ask) -> None:
    git(tree, "worktree", "add", "-q", str(tmp_path / "linked"))
    linked = discover(str(tmp_path / "linked"))
    one, two = ask("session", "new", "one").strip(), sessions.begin(linked, name="two")
    sessions.activate(linked, two)
    assert (sessions.active(repo), sessions.active(linked)) == (one, two)
    ask("session", "close", "two")
    assert (sessions.active(repo), sessions.active(linked)) == (one, None)


@needs_tracer
def test_runs_join_a_session_by_name_even_many_at_once(repo: Repository, tree: Path, roar: Roar, ask: Ask) -> None:
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda n: roar("run", "-q", "--session", "night", "echo", str(n)), range(4)))
    (night,) = ask.json("session", "list")
    assert (night["name"], night["jobs"], night["active"]) == ("night", 4, False)
    roar("run", "-q", "true")
    ask("session", "close", "night")
    roar("run", "-q", "--session=night", "true")
    roar("run", "-q", "--session", ask.json("session", "new", "by-id")["id"], "true")
    rows = ask.json("session", "list")
    assert [(row["name"], row["state"], row["jobs"]) for row in rows] == [
        ("by-id", "open", 1),
        ("night", "open", 1),
        (None, "open", 1),
        ("night", "closed", 4),
    ]


def test_a_name_that_is_no_utf_8(tree: Path, roar: Roar) -> None:
    name = os.fsdecode(b"n\xe9")
    assert b"there is an open session" not in roar("session", "new", name).stderr
    assert b"there is an open session" in roar("session", "new", name, code=1).stderr
    roar("session", "use", name)
    assert json.loads(roar("session", "list", "--json").stdout)[0]["name"] == "//bytes/n%E9"
