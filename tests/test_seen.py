"""What a person sees of one small pipeline on a narrow terminal, in colour: every line fits, and looks like this."""

from __future__ import annotations

import re
from pathlib import Path

import make
import pytest
from test_log import on_a_terminal

from roar.git import refs
from roar.git.repository import Repository

COLUMNS = 60
PAINTS = {"0": ">", "1": "<bold:", "2": "<dim:", "31": "<red:", "32": "<green:", "33": "<yellow:", "36": "<cyan:"}


@pytest.fixture
def names(repo: Repository, tree: Path) -> dict[str, str]:
    """A set-up step, a preparation, a training that failed first; then its input changed. Ids by their names."""
    code = {"commit": refs.head(repo)[1], "branch": "main"}
    session = make.session(repo)
    common = {"session": session, "code": code}
    jobs = {
        "BUILD": make.job(repo, "make -C native all", {}, {"native/tool": "t"}, role="build", **common),
        "PREPARE": make.job(repo, "python prepare.py", {"raw.csv": "r"}, {"train.csv": "t"}, at=60, **common),
        "FAILED": make.job(repo, "python train.py", {"train.csv": "t"}, exit={"code": 1}, at=120, **common),
        "TRAIN": make.job(
            repo,
            "python train.py",
            {"train.csv": "t"},
            {"model.pkl": "m", "metrics.json": "{}"},
            at=180,
            metrics=[{"path": "metrics.json", "values": {"accuracy": "0.93", "loss": "0.2"}}],
            **common,
        ),
    }
    for path, text in {"raw.csv": "new", "native/tool": "t", "train.csv": "t", "model.pkl": "m"}.items():
        (tree / path).parent.mkdir(exist_ok=True)
        (tree / path).write_text(text)
    return {session: "SESSION", **{job: name for name, job in jobs.items()}, str(code["commit"]): "COMMIT"}


def seen(tree: Path, names: dict[str, str], *words: str, columns: int = COLUMNS) -> str:
    """What the terminal shows, with colours and ids by their names."""
    text = on_a_terminal(tree, *words, columns=columns, TZ="UTC")
    plain = re.sub(r"\x1b\[\d*m", "", text)
    assert max(map(len, plain.splitlines())) <= columns, plain
    for value, name in names.items():
        text = text.replace(value, name).replace(value[:12], name)
    text = re.sub(r"\x1b\[(\d+)m", lambda m: PAINTS[m[1]], text)
    return re.sub(r" +$", "", "\n" + text, flags=re.M)


def test_log(tree: Path, names: dict[str, str]) -> None:
    assert (
        seen(tree, names, "log", "--oneline")
        == """
<yellow:TRAIN>  <green:ok>  42.0 s  python train.py -> metrics.json, …
<yellow:FAILED>  <red:exit 1>  42.0 s  python train.py
<yellow:PREPARE>  <green:ok>  42.0 s  python prepare.py -> train.csv
<yellow:BUILD>  <green:ok>  42.0 s  make -C native all -> native/tool
"""
    )


def test_status(tree: Path, names: dict[str, str]) -> None:
    assert (
        seen(tree, names, "status")
        == """
on main at COMMIT, 4 untracked
session SESSION: 4 jobs, 3 steps
last job <yellow:TRAIN>  <green:ok>  42.0 s  python trai… -> metrics.…

<yellow:3 outputs of 2 steps stale:>
  @1  train.csv
        input raw.csv changed
  @2  metrics.json, model.pkl
        output metrics.json is gone
        @1 is stale
"""
    )


def test_dag(tree: Path, names: dict[str, str]) -> None:
    assert (
        seen(tree, names, "dag", "--show-artifacts")
        == """
<bold:session SESSION>: 3 steps, 2 stale

<dim:STEP  STATE   RUNS  NEEDS  COMMAND>
@B1   <green:active>  <dim:1>            make -C native all
      ->  native/tool  <cyan:053866142323>  <dim:1 B>
@1    <yellow:stale>   <dim:1>            python prepare.py
      input raw.csv changed
      <-  raw.csv    <cyan:b2dea48d667b>  <dim:1 B>
      ->  train.csv  <cyan:053866142323>  <dim:1 B>
@2    <yellow:stale>   <dim:2>     <dim:@1>     python train.py
      output metrics.json is gone
      @1 is stale
      <-  train.csv     <cyan:053866142323>  <dim:1 B>
      ->  metrics.json  <cyan:6e46dd10defc>  <dim:2 B>
      ->  model.pkl     <cyan:83d9dab06011>  <dim:1 B>
"""
    )


def test_show(tree: Path, names: dict[str, str]) -> None:
    assert (
        seen(tree, names, "show", "@2")
        == """
<yellow:job TRAIN>
    python train.py
    <green:ok> in 42.0 s

When     2025-01-01 12:03:00 +0000, by Ada Recorder
         <ada@example.org>
Where    the top of the work tree, on workstation
Code     COMMIT (main)
Step     @2 of session SESSION

<bold:Inputs (1, 1 B)>
    <cyan:053866142323>  1 B  train.csv  <dim:by PREPARE>
<bold:Outputs (2, 3 B)>
    <cyan:6e46dd10defc>  2 B  metrics.json  <dim:created>
    <cyan:83d9dab06011>  1 B  model.pkl     <dim:created>

Metrics  metrics.json: accuracy 0.93, loss 0.2
Python   3.11.7 (.venv/bin/python), read package-0 1.0.0,
         package-1 1.1.0, package-2 1.2.0, package-3 1.3.0,
         package-4 1.4.0 and 3 more
Machine  Linux 6.1 (Debian GNU/Linux 12), x86_64, A usual
         processor, 8 cores, 32.0 GiB
Left out 212 system files, 1480 package files

<dim:Folded: 1 process (--processes), 28 packages (--packages)>
"""
    )


def test_inputs(tree: Path, names: dict[str, str]) -> None:
    assert (
        seen(tree, names, "inputs", "model.pkl")
        == """
<bold:Inputs of model.pkl>, from outside of 2 jobs

<bold:Unsourced (1)>
    <cyan:b2dea48d667b>  1 B  raw.csv  <dim:it has other content here>

Sourced: none

<dim:and 1 file that these jobs made themselves (roar lineage)>

<bold:To make it again>
    <green:yes> code committed     at 1 commit
    <red:no > code shared        there is no remote (next: git
                           remote add origin URL)
    <red:no > inputs here        1 not here with the recorded
                           content, such as raw.csv (next:
                           roar reproduce model.pkl --input
                           b2dea48d667b=PATH)
    <green:yes> packages known     8 were read
    <green:yes> environment known  Linux 6.1 (Debian GNU/Linux 12)
    <green:yes> records complete   2 jobs
    <yellow:?  > deterministic      2 jobs never run again (next:
                           roar reproduce model.pkl)
    <red:no > records shared     there is no remote (next: git
                           remote add origin URL)
"""
    )


def test_lineage(tree: Path, names: dict[str, str]) -> None:
    assert (
        seen(tree, names, "lineage", "model.pkl")
        == """
<bold:Lineage of model.pkl 83d9dab06011>

*  <yellow:TRAIN>  <green:ok>  42.0 s  python train.py -> metrics.jso…
*  <yellow:PREPARE>  <green:ok>  42.0 s  python prepare.py -> train.csv

<dim:FILE          HASH          SIZE  MADE BY>
raw.csv       <cyan:b2dea48d667b>  1 B   <yellow:no recorded job>
train.csv     <cyan:053866142323>  1 B   <yellow:PREPARE>
metrics.json  <cyan:6e46dd10defc>  2 B   <yellow:TRAIN>
model.pkl     <cyan:83d9dab06011>  1 B   <yellow:TRAIN>
"""
    )


def test_diff(tree: Path, names: dict[str, str]) -> None:
    ids = {name: job for job, name in names.items()}
    assert (
        seen(tree, names, "diff", ids["FAILED"], ids["TRAIN"], columns=64)
        == """
<yellow:- job FAILED>  2025-01-01 12:02:00 +0000  <red:exit 1> in 42.0 s
    python train.py
<yellow:+ job TRAIN>  2025-01-01 12:03:00 +0000  <green:ok> in 42.0 s
    python train.py

<bold:Outputs>
    added      <green:6e46dd10defc>  metrics.json
    added      <green:83d9dab06011>  model.pkl

<bold:Metrics>
    metrics.json  accuracy  <red:none>  ->  <green:0.93>
    metrics.json  loss      <red:none>  ->  <green:0.2>

<red:Nothing that was recorded differs but the outputs: the command>
<red:is not deterministic, or depends on something unseen.>
"""
    )


def test_why(tree: Path, names: dict[str, str]) -> None:
    assert (
        seen(tree, names, "why", "model.pkl")
        == """
<bold:model.pkl> <cyan:83d9dab06011>
    written 2025-01-01 12:03:00 +0000 by job <yellow:TRAIN>
    python train.py

No job wrote anything else there before: it is what this
command made of its inputs
(next: roar lineage 83d9dab06011)
"""
    )


def test_session(tree: Path, names: dict[str, str]) -> None:
    ids = {name: job for job, name in names.items()}
    assert (
        seen(tree, names, "session", "show", ids["SESSION"])
        == """
<yellow:session SESSION>
    work, begun by Ada Recorder <ada@example.org>

<bold:4 jobs>
    <yellow:TRAIN>  <green:ok>  42.0 s  python train.py -> metrics.js…
    <yellow:FAILED>  <red:exit 1>  42.0 s  python train.py
    <yellow:PREPARE>  <green:ok>  42.0 s  python prepare.py -> train.csv
    <yellow:BUILD>  <green:ok>  42.0 s  make -C native… -> native/tool
"""
    )


def test_labels_and_collections(tree: Path, names: dict[str, str]) -> None:
    seen(tree, names, "collection", "add", "v1", make.digest("m"))
    seen(tree, names, "label", "@2", "stage=candidate")
    assert (
        seen(tree, names, "collection", "show", "v1")
        == """
<dim:FILE       HASH          SIZE  MADE BY>
model.pkl  83d9dab06011  1 B   TRAIN
"""
    )
    assert (
        seen(tree, names, "log", "-n", "1")
        == """
<yellow:job TRAIN>  <green:ok>  42.0 s
Date:  2025-01-01 12:03:00 +0000
Label: stage=candidate
Code:  COMMIT (main)

    python train.py
    -> <cyan:6e46dd10defc>  metrics.json
    -> <cyan:83d9dab06011>  model.pkl
    metrics.json: accuracy 0.93, loss 0.2
"""
    )
