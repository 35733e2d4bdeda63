"""Parts of a plan: what is here already, what the user chose, steps side by side, and going on after an interrupt."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import make
import pytest
from conftest import ROOT, Git, Roar, needs_tracer
from test_reproduce import areas, commit, reproductions, shared, state, verdicts, wait_for

from roar.git.repository import Repository, discover
from roar.stamps import Stamps
from roar.verbs.inputs import Known, Places, Sources
from roar.verbs.plan import Asked, Chosen, Plan
from roar.verbs.planning import Part, plan


def ran(done: subprocess.CompletedProcess[bytes]) -> list[int]:
    return sorted(r["step"] for r in json.loads(done.stdout)["ran"])


def left_out(done: subprocess.CompletedProcess[bytes]) -> dict[int, str]:
    return {step["number"]: step["reason"] for step in json.loads(done.stdout)["left_out"]}


@pytest.fixture
def chain(tree: Path, roar: Roar, git: Git) -> Path:
    """Four steps: ``one`` -> ``two`` -> ``three``, and ``side`` from ``one``, both read for ``end``."""
    (tree / ".gitignore").write_text("*.out\n")
    commit(tree, git)
    roar("run", "-q", "sh", "-c", "echo 1 > one.out; echo unread > more.out")
    roar("run", "-q", "sh", "-c", "cat one.out > two.out; echo 2 >> two.out")
    roar("run", "-q", "sh", "-c", "cat one.out > side.out; echo side >> side.out")
    roar("run", "-q", "sh", "-c", "cat two.out side.out > end.out")
    return tree


@needs_tracer
def test_what_is_here_is_not_made_again(chain: Path, roar: Roar, git: Git) -> None:
    done = roar("reproduce", "-y", "--json", "end.out")
    assert ran(done) == [4] and left_out(done) == {1: "not needed", 2: "here", 3: "here"}
    assert verdicts(done) == {"two.out": "taken", "side.out": "taken", "end.out": "identical"}
    done = roar("reproduce", "-y", "end.out")
    assert b"end.out: 1 of 4 steps\n" in done.stderr and b"1 of 4 steps ran" in done.stderr
    assert b"    not run its outputs are here, byte for byte (--force runs it)\n" in done.stderr
    assert done.stdout.startswith(b"taken      two.out  ")
    assert ran(roar("reproduce", "-y", "--json", "--force", "end.out")) == [1, 2, 3, 4]
    # one byte is another: that step runs, and what it needs is there
    (chain / "two.out").write_text("spoilt\n")
    done = roar("reproduce", "-y", "--json", "end.out")
    assert ran(done) == [2, 4] and left_out(done) == {1: "here", 3: "here"}
    # all that a step wrote has to be there, also what nobody reads
    (chain / "more.out").unlink()
    assert ran(roar("reproduce", "-y", "--json", "end.out")) == [1, 2, 4]


@needs_tracer
def test_parts(chain: Path, roar: Roar, git: Git) -> None:
    done = roar("reproduce", "-y", "--json", "end.out", "--from", "@3")
    assert ran(done) == [3, 4] and left_out(done) == {1: "here", 2: "here"}
    done = roar("reproduce", "-y", "--json", "end.out", "--to", "@2", "--force")
    assert ran(done) == [1, 2] and left_out(done) == {3: "not chosen", 4: "not chosen"}
    assert ran(roar("reproduce", "-y", "--json", "end.out", "--step", "@1", "--step", "3")) == [1, 3]
    assert ran(roar("reproduce", "-y", "--json", "end.out", "--from", "@1", "--to", "@3")) == [1, 3]
    said = roar("reproduce", "-y", "end.out", "--step", "@9", code=2).stderr
    assert b"the plan has no step @9" in said
    assert b"x is no step of a plan" in roar("reproduce", "-y", "end.out", "--from", "x", code=2).stderr
    # in a clone what other steps make has to be made
    clone = shared(chain, git)
    said = Roar(clone)("reproduce", "-y", "end.out", "--step", "@4", code=1).stderr
    assert b"side.out is missing: @3 makes it, which is left out; it is not here" in said


@needs_tracer
def test_steps_side_by_side(chain: Path, git: Git, sealed: Path) -> None:
    clone = shared(chain, git)
    before = state(clone, git)
    done = Roar(clone)("reproduce", "-y", "--json", "-j", "3", "end.out")
    assert set(verdicts(done).values()) == {"identical"} and len(verdicts(done)) == 5
    assert state(clone, git) == before and areas(sealed) == []
    assert git(clone, "fsck", "--strict") == ""


@needs_tracer
def test_steps_side_by_side_meet_in_time_and_not_in_files(tree: Path, roar: Roar, git: Git) -> None:
    """Each waits for the other, which would never end one after the other; both use the same name for their own."""
    alone = tree.parent / "alone"
    alone.touch()
    commit(tree, git)
    for me, other in ("ab", "ba"):
        os.mkfifo(tree.parent / f"from-{me}")
        meet = f"echo here > {tree.parent}/from-{me} & timeout 60 cat {tree.parent}/from-{other}"
        roar("run", "-q", "sh", "-c", f"echo {me} > own; [ -e {alone} ] || {{ {meet}; }} > /dev/null; cat own > {me}")
    roar("run", "-q", "sh", "-c", "cat a b > both")
    alone.unlink()
    done = roar("reproduce", "-y", "--json", "--force", "-j", "2", "both")
    assert {verdicts(done)[name] for name in ("a", "b", "both")} == {"identical"}


@needs_tracer
def test_build_steps_come_first_and_keep_their_permissions(tree: Path, roar: Roar, git: Git) -> None:
    (tree / "tool.in").write_text("#!/bin/sh\ncat data\n")
    (tree / ".gitignore").write_text("tool\ndata\nout\n")
    commit(tree, git)
    roar("run", "-q", "sh", "-c", "echo data > data")
    roar("build", "-q", "sh", "-c", "cp tool.in tool; chmod +x tool")
    roar("run", "-q", "sh", "-c", "./tool > out")
    clone = shared(tree, git)
    plan = json.loads(Roar(clone)("reproduce", "--plan", "--json", "out").stdout)
    assert plan["steps"][0]["command"][-1] == "cp tool.in tool; chmod +x tool"
    for words in ([], ["-j", "2"]):
        done = Roar(clone)("reproduce", "-y", "--json", "out", *words)
        assert verdicts(done) == {"tool": "identical", "data": "identical", "out": "identical"}


@needs_tracer
@pytest.mark.parametrize("words", [[], ["-j", "2"]], ids=["one by one", "side by side"])
def test_a_second_call_goes_on_where_the_first_was_interrupted(
    tree: Path, roar: Roar, git: Git, sealed: Path, words: list[str]
) -> None:
    marker, go = tree.parent / "marker", tree.parent / "go"
    (tree / "step.sh").write_text(f"cat one > two; echo $$ > {marker}; [ -e {go} ] || sleep 60\n")
    commit(tree, git)
    go.touch()
    roar("run", "-q", "sh", "-c", "echo 1 > one")
    roar("run", "-q", "sh", "step.sh")
    clone = shared(tree, git)
    marker.unlink()
    go.unlink()
    before = state(clone, git)
    command = [sys.executable, "-m", "roar", "reproduce", "-y", "two", *words]
    with subprocess.Popen(command, cwd=clone, stderr=subprocess.PIPE) as program:
        pid = wait_for(marker)
        program.send_signal(signal.SIGINT)
        _, said = program.communicate(timeout=30)
    assert program.returncode == 130, said
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
    assert state(clone, git) == before
    (kept,) = areas(sealed)
    assert kept.startswith("made-")
    go.touch()
    done = Roar(clone)("reproduce", "-y", "--json", "two", *words)
    assert ran(done) == [2] and left_out(done) == {1: "made before"}
    assert verdicts(done) == {"one": "identical", "two": "identical"}
    assert areas(sealed) == [], "all is made"
    assert len(reproductions(clone)) == 2


@needs_tracer
def test_what_was_made_before_is_hashed_again(tree: Path, roar: Roar, git: Git, sealed: Path) -> None:
    commit(tree, git)
    broken = tree.parent / "broken"
    roar("run", "-q", "sh", "-c", "echo 1 > one")
    roar("run", "-q", "sh", "-c", f"cat one > two; [ ! -e {broken} ]")
    clone = shared(tree, git)
    broken.touch()
    Roar(clone)("reproduce", "-y", "two", code=1)
    (kept,) = (sealed / "cache/roar/reproduce").glob("made-*/*")
    assert kept.name == make.digest("1\n") and kept.read_text() == "1\n"
    kept.write_text("2\n")
    broken.unlink()
    assert ran(Roar(clone)("reproduce", "-y", "--json", "two")) == [1, 2]
    assert areas(sealed) == []


# Without running anything


def chosen(name: str, values: dict[str, Any]) -> Chosen:
    job = make.draft(values, 1, "w")
    return Chosen(name, job, job.inputs, job.outputs, {})


def planned(repo: Repository, part: Part, *lineage: Chosen) -> Plan:
    sources = Sources(repo, Places(), Known(), Stamps(None))
    try:
        return plan(Asked("end", lineage[-1].identifier), list(lineage), sources, lambda content: "", part)
    finally:
        sources.close()


def test_what_a_build_needs_comes_before_it(repo: Repository) -> None:
    made = planned(
        repo,
        Part(),
        chosen("A", make.fields("a", {}, {"a": "a"})),
        chosen("B", make.fields("b", {}, {"b": "b"})),
        chosen("C", make.fields("make", {"b": "b"}, {"c": "c"}, role="build")),
        chosen("D", make.fields("d", {"a": "a", "c": "c"}, {"d": "d"})),
    )
    assert [step.identifier for step in made.steps] == ["B", "C", "A", "D"]
    assert [sorted(step.waits_for) for step in made.steps] == [[], [1], [], [2, 3]]


def test_apart_everything_is_moved(repo: Repository) -> None:
    lineage = [
        chosen("A", make.fields("a", {}, {"a": "a"})),
        chosen("B", make.fields("b", {"a": "a"}, {"b": "b"})),
    ]
    assert planned(repo, Part(), *lineage).steps[1].moves == []
    made = planned(repo, Part(apart=True), *lineage)
    assert [(m.step, m.place, m.path) for m in made.steps[1].moves] == [(1, "a", "a")]
    assert made.steps[0].set_aside == ["a"]


def test_a_plan_over_a_thousand_jobs(tree: Path, roar: Roar) -> None:
    repo = discover(str(tree))
    ids = make.bulk(repo, make.pipelines(1000))
    roar("log", "-n", "1")
    found = json.loads(roar("reproduce", "--plan", "--json", "--env", "current", ids[-1], code=1).stdout)
    assert len(found["steps"]) > 400 and {stop["path"] for stop in found["stops"]} >= {"params.json"}


WORDS = ("verdict", "part", "safely", "script", "neighbours", "inputs", "environment", "engine")


def test_the_matrix_names_tests_that_are_there() -> None:
    text = (ROOT / "docs/reproduction.md").read_text().partition("## Matrix")[2]
    files = {letter: f"reproduce_{word}" for letter, word in zip("VPSCNIEG", WORDS, strict=True)}
    files |= {"R": "reproduce", "L": "plan", "Y": "system_packages"}
    named = re.findall(r"\b([RVPSCNIEGLY]) `(\w+)`", text)
    assert len(named) > 30
    for letter, name in named:
        assert f"def test_{name}(" in (ROOT / f"tests/test_{files[letter]}.py").read_text(), name
