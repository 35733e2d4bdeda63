"""The steps of a session and how they stand: every reason to be stale, and every reason not to be."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import make
import pytest
from ask import Ask
from test_log import on_a_terminal

from roar.cache.index import open_index
from roar.git.repository import Repository
from roar.verbs.stale import State, states


class Bench:
    """A work tree with a session: steps that read and write files, without running anything."""

    def __init__(self, repo: Repository, tree: Path) -> None:
        self.repo = repo
        self.tree = tree
        self.session = make.session(repo)
        self._time = 0

    def write(self, path: str, text: str) -> None:
        target = self.tree / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text)

    def run(self, argv: str, reads: str = "", writes: str = "", code: str = "", **more: Any) -> str:
        """A step. Words are "path=text"; what it reads is there (or written now), what it writes is written."""
        reads_, writes_, code_ = (dict(w.partition("=")[::2] for w in words.split()) for words in (reads, writes, code))
        for path, text in {**reads_, **code_, **writes_}.items():
            self.write(path, text)
        self._time += 60
        values = make.fields(argv, reads_, writes_, at=self._time, session=self.session, **more)
        values["inputs"] += [make.file(path, text, blob="b" * 40) for path, text in code_.items()]
        return make.put(self.repo, values)

    def states(self) -> list[State]:
        with open_index(self.repo) as index:
            return states(index, self.repo, self.session)

    def summary(self) -> dict[str, list[str]]:
        """Each step's state and reasons."""
        return {f"@{s.step.number} {s.state}": [r.text for r in s.reasons] for s in self.states()}


@pytest.fixture
def bench(repo: Repository, tree: Path) -> Bench:
    return Bench(repo, tree)


@pytest.fixture
def ask(tree: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Ask:
    return Ask(tree, monkeypatch, capsys)


def pipeline(bench: Bench) -> None:
    bench.run("prepare", "raw=r", "train=t test=e", "prepare.py=p")
    bench.run("train", "train=t conf=c", "model=m", "train.py=x")
    bench.run("evaluate", "model=m test=e", "metrics=k", "evaluate.py=y")


CLEAN: dict[str, list[str]] = {"@1 active": [], "@2 active": [], "@3 active": []}


def test_nothing_changed(bench: Bench) -> None:
    pipeline(bench)
    assert bench.summary() == CLEAN
    assert [state.needs for state in bench.states()] == [[], [1], [1, 2]]


Change = Callable[[Bench], object]


@pytest.mark.parametrize(
    ("change", "stale"),
    [
        (
            lambda b: b.write("raw", "other"),
            {1: ["input raw changed"], 2: ["@1 is stale"], 3: ["@1 is stale", "@2 is stale"]},
        ),
        (lambda b: b.write("train.py", "other"), {2: ["file in git train.py changed"], 3: ["@2 is stale"]}),
        (lambda b: (b.tree / "train.py").unlink(), {2: ["file in git train.py is gone"], 3: ["@2 is stale"]}),
        (lambda b: (b.tree / "conf").unlink(), {2: ["input conf is gone"], 3: ["@2 is stale"]}),
        (lambda b: b.write("metrics", "mine"), {3: ["output metrics was modified"]}),
        (lambda b: (b.tree / "metrics").unlink(), {3: ["output metrics is gone"]}),
        (
            lambda b: b.write("train", "mine"),
            {1: ["output train was modified"], 2: ["input train changed"], 3: ["@2 is stale"]},
        ),
        (lambda b: (b.tree / "test").unlink(), {1: ["output test is gone"], 3: ["input test is gone"]}),
    ],
    ids=["input", "code", "code-gone", "input-gone", "output", "output-gone", "between", "between-gone"],
)
def test_what_changed_and_what_follows(bench: Bench, change: Change, stale: dict[int, list[str]]) -> None:
    pipeline(bench)
    change(bench)
    found = bench.states()
    assert {state.step.number: [r.text for r in state.reasons] for state in found if state.state == "stale"} == stale
    assert {state.state for state in found if state.step.number not in stale} <= {"active"}


def test_a_file_that_was_touched_but_holds_the_same(bench: Bench) -> None:
    pipeline(bench)
    bench.write("raw", "other")
    bench.write("raw", "r")
    assert bench.summary() == CLEAN


def test_an_upstream_step_that_ran_again(bench: Bench) -> None:
    pipeline(bench)
    bench.run("train", "train=t conf=new", "model=better", "train.py=x")
    assert bench.summary() == {
        "@1 active": [],
        "@2 active": [],
        "@3 stale": ["@2 has written another model since"],
    }
    bench.run("evaluate", "model=better test=e", "metrics=k2", "evaluate.py=y")
    assert bench.summary() == CLEAN


def test_an_upstream_step_that_ran_again_and_wrote_the_same(bench: Bench) -> None:
    pipeline(bench)
    bench.run("train", "train=t conf=c", "model=m", "train.py=x")
    assert bench.summary() == CLEAN
    assert [len(state.step.jobs) for state in bench.states()] == [1, 2, 1]


def test_a_sweep_into_one_file_supersedes(bench: Bench) -> None:
    bench.run("train --rate 1", "data=d", "model=m1")
    bench.run("train --rate 2", "data=d", "model=m2")
    bench.run("evaluate", "model=m2", "metrics=k")
    bench.write("data", "other")
    assert bench.summary() == {
        "@1 superseded": [],
        "@2 stale": ["input data changed"],
        "@3 stale": ["@2 is stale"],
    }


def test_a_sweep_into_several_files_does_not(bench: Bench) -> None:
    bench.run("train --rate 1", "data=d", "m1=1")
    bench.run("train --rate 2", "data=d", "m2=2")
    assert bench.summary() == {"@1 active": [], "@2 active": []}


def test_an_output_that_a_later_step_changes_in_place(bench: Bench) -> None:
    bench.run("create", "raw=r", "db=v1")
    bench.run("update", "db=v1", "db=v2")
    bench.run("vacuum", "db=v2", "db=v3")
    assert bench.summary() == CLEAN
    assert [state.needs for state in bench.states()] == [[], [1], [2]]
    bench.write("db", "mine")
    assert bench.summary() == {"@1 active": [], "@2 active": [], "@3 stale": ["output db was modified"]}


def test_a_failed_step(bench: Bench) -> None:
    bench.run("prepare", "raw=r", "train=t", exit={"code": 1})
    bench.run("train", "train=t", "model=m")
    assert bench.summary() == {"@1 failed": [], "@2 stale": ["@1 failed"]}
    bench.run("prepare", "raw=r", "train=t")
    assert bench.summary() == {"@1 active": [], "@2 active": []}


def test_a_run_that_had_nothing_to_do_takes_nothing_away(bench: Bench) -> None:
    pipeline(bench)
    bench.run("train", "train=t", "", "train.py=x")
    assert bench.summary() == CLEAN
    assert [state.needs for state in bench.states()] == [[], [1], [1, 2]]
    bench.write("conf", "other")
    (bench.tree / "model").unlink()
    assert bench.summary()["@2 stale"] == ["input conf changed", "output model is gone"]
    bench.run("train", "train=t conf=other", "model=m", "train.py=x")
    assert bench.summary() == CLEAN


def test_a_run_that_renewed_only_some_outputs(bench: Bench) -> None:
    bench.run("make", "a.c=1 b.c=1", "a.o=1 b.o=1")
    bench.run("make", "a.c=2", "a.o=2")
    assert bench.summary() == {"@1 active": []}
    assert [use.path for use in bench.states()[0].outputs] == ["a.o", "b.o"]
    bench.write("b.c", "2")
    bench.write("b.o", "mine")
    assert bench.summary() == {"@1 stale": ["input b.c changed", "output b.o was modified"]}
    bench.run("cc b.c", "b.c=2", "b.o=2")
    assert bench.summary()["@1 stale"] == ["input b.c changed"]
    bench.run("cc a.c", "a.c=2", "a.o=3")
    assert "@1 superseded" in bench.summary()


def test_a_pipeline_that_feeds_itself(bench: Bench) -> None:
    bench.run("learn", "memory=0", "model=m")
    bench.run("remember", "model=m", "memory=1")
    assert bench.summary() == {
        "@1 stale": ["@2 has written another memory since"],
        "@2 stale": ["@1 is stale"],
    }


def test_what_is_not_known_is_no_reason(bench: Bench) -> None:
    bench.run("train", "data=d", "model=m")
    values = make.fields("look", {"model": "m", "lost": None, "/nowhere/at/all": "x"}, {"out": None}, at=999)
    make.put(bench.repo, values | {"session": bench.session})
    assert bench.summary() == {"@1 active": [], "@2 active": []}


def test_other_sessions_and_reproductions_do_not_count(bench: Bench) -> None:
    first = bench.run("train", "data=d", "model=m")
    make.job(
        bench.repo,
        "train",
        {"data": "d"},
        {"model": "x"},
        at=99,
        session=make.session(bench.repo, purpose="reproduction"),
    )
    make.job(bench.repo, "train", {"data": "d"}, {"model": "y"}, at=99, session=bench.session, reproduces=first)
    assert bench.summary() == {"@1 active": []}


def test_links_folders_and_strange_names(bench: Bench) -> None:
    (bench.tree / "link").symlink_to("target")
    make.put(bench.repo, make.fields("ln", {}, {"link": "target", "folder": "f"}, session=bench.session))
    (bench.tree / "folder").mkdir()
    assert bench.summary() == {"@1 stale": ["output folder was modified"]}


def test_dag(bench: Bench, ask: Ask) -> None:
    pipeline(bench)
    bench.run("train", "train=t conf=new", "model=better", "train.py=x")
    bench.run("plot", "metrics=k", "plot=p", cwd="figures", command={"name": "figure"})
    ask.names = {bench.session: "SESSION"}
    assert (
        ask("dag")
        == """
session SESSION: 4 steps, 2 stale

STEP  STATE   RUNS  NEEDS  COMMAND
@1    active  1            prepare
@2    active  2     @1     train
@3    stale   1     @1 @2  evaluate
      @2 has written another model since
@4    stale   1     @3     figure: plot  (in figures)
      @3 is stale
"""
    )


def test_dag_as_json(bench: Bench, ask: Ask) -> None:
    pipeline(bench)
    bench.write("train.py", "other")
    found = ask.json("dag")
    assert (found["session_id"], found["total_steps"], found["stale_count"]) == (bench.session, 3, 2)
    assert [node["step_number"] for node in found["nodes"]] == [1, 2, 3]
    assert [node["state"] for node in found["nodes"]] == ["active", "stale", "stale"]
    assert [node["dependencies"] for node in found["nodes"]] == [[], [1], [1, 2]]
    train = found["nodes"][1]
    assert train["command"] == "train"
    assert train["reasons"] == [
        {"kind": "code", "text": "file in git train.py changed", "path": "train.py", "step": None}
    ]
    assert train["metrics"]["duration_ns"] == 42 * make.SECOND
    assert (train["metrics"]["runs"], train["metrics"]["exit_code"]) == (1, 0)
    artifacts = {part["path"]: part for part in found["artifacts"]}
    assert artifacts["test"] == {"path": "test", "hash": make.digest("e"), "size": 1, "made_by": 1, "used_by": [3]}
    assert artifacts["raw"]["made_by"] is None
    assert "train.py" not in artifacts


def built(bench: Bench) -> dict[str, str]:
    """A set-up step, a step of the same command, a training that ran twice, and what is stale of it."""
    jobs = {
        "COMPILE": bench.run("make", "main.c=m", "tool=1", role="build"),
        "MAKE": bench.run("make", "main.c=m", "doc=1"),
        "LINK": bench.run("link", "tool=1", "linked=1", role="build"),
        "FIRST": bench.run("train", "linked=1 conf=c", "model=m", "train.py=x"),
        "SECOND": bench.run("train", "linked=1 conf=c", "model=m model.log=l", "train.py=x"),
    }
    bench.write("conf", "other")
    return jobs


def test_build_steps_are_numbered_apart(bench: Bench, ask: Ask) -> None:
    jobs = built(bench)
    ask.names = {bench.session: "SESSION"}
    assert (
        ask("dag")
        == """
session SESSION: 4 steps, 1 stale

STEP  STATE   RUNS  NEEDS  COMMAND
@B1   active  1            make
@1    active  1            make
@B2   active  1     @B1    link
@2    stale   2     @B2    train
      input conf changed
"""
    )
    for name, job in {"@1": "MAKE", "@B1": "COMPILE", "@b2": "LINK", "@2": "SECOND"}.items():
        assert ask.json("show", name)["id"] == jobs[job]
    assert ask.json("show", "@B2")["step"] == "B2"
    assert "there is no build step @B3: the session has 2 build steps" in ask("show", "@B3", code=1)
    assert "there is no step @3: the session has 2 steps" in ask("show", "@3", code=1)
    nodes = ask.json("dag")["nodes"]
    assert [(node["step_number"], node["dependencies"], node["role"]) for node in nodes] == [
        ("B1", [], "build"),
        (1, [], "run"),
        ("B2", ["B1"], "build"),
        (2, ["B2"], "run"),
    ]


def test_every_run_the_data_and_only_what_is_stale(bench: Bench, ask: Ask) -> None:
    jobs = built(bench)
    ask.names = {bench.session: "SESSION", **{job: name for name, job in jobs.items()}}
    assert (
        ask("dag", "--expanded", "--show-artifacts", "--stale-only")
        == f"""
session SESSION: 4 steps, 1 stale

STEP  STATE  RUNS  NEEDS  COMMAND
@2    stale  2     @B2    train
      input conf changed
    * SECOND  2025-01-01 12:05:00 +0000  ok  42.0 s
      FIRST  2025-01-01 12:04:00 +0000  ok  42.0 s
      <-  conf       {make.digest("c")[:12]}  1 B
      <-  linked     {make.digest("1")[:12]}  1 B
      ->  model      {make.digest("m")[:12]}  1 B
      ->  model.log  {make.digest("l")[:12]}  1 B
"""
    )
    found = ask.json("dag", "--expanded", "--stale-only")
    assert {"nodes", "artifacts", "total_steps", "stale_count", "session_id"} <= set(found)
    assert (found["total_steps"], found["stale_count"]) == (4, 1)
    (node,) = found["nodes"]
    assert {"step_number", "command", "dependencies", "state", "metrics"} <= set(node)
    assert [(run["job_id"], run["stands"]) for run in node["runs"]] == [(jobs["FIRST"], False), (jobs["SECOND"], True)]
    bench.write("conf", "c")
    assert ask("dag", "--stale-only") == "\nsession SESSION: 4 steps, 0 stale\n"


def test_only_the_newest_of_many_runs_are_listed(bench: Bench, ask: Ask) -> None:
    for _ in range(22):
        bench.run("train", "conf=c", "model=m")
    text = ask("dag", "--expanded")
    assert text.count("2025-01-01 12:") == 20
    assert text.endswith("      and 2 older runs (--json)\n")
    assert len(ask.json("dag", "--expanded")["nodes"][0]["runs"]) == 22


def test_a_narrow_terminal_and_no_colour(bench: Bench, tree: Path) -> None:
    built(bench)
    bench.run("python evaluate.py " + "x" * 80, "model=m", "metrics.json=k")
    text = on_a_terminal(tree, "dag", "--show-artifacts", "--expanded", columns=60)
    assert "\x1b[33mstale" in text
    assert max(len(line) for line in re.sub(r"\x1b\[\d*m", "", text).splitlines()[2:]) <= 60
    assert "\x1b" not in on_a_terminal(tree, "dag", "--no-color")


def test_nothing_yet(repo: Repository, ask: Ask) -> None:
    assert ask("dag") == "\nno jobs recorded yet (next: roar run CMD)\n"
    assert ask.json("dag")["nodes"] == []


def test_a_bare_repository_has_nothing_to_compare(
    repo: Repository, tmp_path: Path, git: Any, ask: Ask, monkeypatch: Any
) -> None:
    git(tmp_path, "init", "-q", "--bare", "bare")
    monkeypatch.chdir(tmp_path / "bare")
    assert ask("dag") == "\nno jobs recorded yet (next: roar run CMD)\n"
