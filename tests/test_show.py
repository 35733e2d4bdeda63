"""``roar show``: a job, an artifact, a commit, a session, as a person sees them and as JSON."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import make
import pytest
from ask import Ask
from test_log import on_a_terminal

from roar.git.repository import Repository


@pytest.fixture
def ask(tree: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Ask:
    return Ask(tree, monkeypatch, capsys)


def training(repo: Repository, ask: Ask) -> dict[str, str]:
    """A preparation, a training that read changed code and lost an input, and its repetition."""
    session = make.session(repo, name="night")
    prepare = make.job(repo, "python prepare.py", {"raw.csv": "raw"}, {"train.csv": "train"}, session=session)
    overlay = [make.overlaid("train.py", "code"), {"path": "old.py", "state": "deleted"}]
    values = make.fields(
        "python train.py",
        {"train.csv": "train", "gone.csv": None},
        {"m.pkl": "model"},
        at=3600,
        session=session,
        code={"commit": "c" * 40, "branch": "main", "overlay": overlay},
        command={"name": "fit"},
        incomplete=[
            {"reason": "input-unknown", "detail": "gone.csv: changed during the run"},
            {"reason": "lost-events", "detail": "lines of the report could not be read", "count": 3},
        ],
        network=[{"family": "inet", "address": "192.0.2.7", "port": 443}],
        temporaries=2,
        left_out=[{"reason": "cache", "count": 4, "inside": True}, {"reason": "system", "count": 200}],
    )
    values["inputs"] += [make.file("train.py", "code"), make.file("lib.py", "lib", blob="b" * 40)]
    train = make.put(repo, values)
    again = make.job(repo, "python train.py", {"train.csv": "train"}, {"m.pkl": "model"}, at=9999, reproduces=train)
    ids = {"SESSION": session, "PREPARE": prepare, "TRAIN": train, "AGAIN": again}
    ask.names = {identifier: name for name, identifier in ids.items()}
    return ids


def h(text: str) -> str:
    """The first digits of a text's hash."""
    return make.digest(text)[:12]


def test_a_job(repo: Repository, ask: Ask) -> None:
    training(repo, ask)
    read = ", ".join(f"package-{n} 1.{n}.0" for n in range(5))
    assert (
        ask("show", "@2")
        == f"""
job TRAIN
    python train.py
    ok in 42.0 s

INCOMPLETE: this record does not know everything
    input-unknown: gone.csv: changed during the run
    lost-events: lines of the report could not be read (3 times)

When     2025-01-01 13:00:00 +0000, by Ada Recorder <ada@example.org>
Where    the top of the work tree, on workstation
Code     cccccccccccc (main), 2 files changed
             modified   {h("code")}  train.py
             deleted                  old.py
Step     @2 (fit) of session SESSION
Again    was run again by AGAIN

Inputs (4, 12 B)
    unknown       0 B  gone.csv   unknown: changed during the run
    {h("train")}  5 B  train.csv  by PREPARE
    {h("code")}  4 B  train.py   kept with the record
    {h("lib")}  3 B  lib.py     in git
Outputs (1, 5 B)
    {h("model")}  5 B  m.pkl  created

Python   3.11.7 (.venv/bin/python), read {read} and 3 more
Machine  Linux 6.1 (Debian GNU/Linux 12), x86_64, A usual processor, 8 cores, 32.0 GiB
Network  connected to 192.0.2.7:443
Left out inside the repository: 4 cache files
Left out 200 system files, 2 temporary
"""
    )


def test_a_job_as_json(repo: Repository, ask: Ask) -> None:
    ids = training(repo, ask)
    found = ask.json("show", ids["TRAIN"])
    assert (found["kind"], found["id"], found["step"]) == ("job", ids["TRAIN"], 2)
    assert (found["command"], found["exit_code"]) == ("python train.py", 0)
    by_path = {part["path"]: part for part in found["inputs"]}
    assert by_path["train.csv"]["made_by"] == ids["PREPARE"]
    assert by_path["gone.csv"]["unknown"] == "changed during the run"
    assert found["reproduced_by"] == [ids["AGAIN"]]
    assert found["record"]["network"][0]["port"] == 443


def test_an_artifact(repo: Repository, ask: Ask) -> None:
    ids = training(repo, ask)
    assert (
        ask("show", make.digest("model")[:8])
        == f"""
artifact {make.digest("model")}
    5 B
    m.pkl

Made by 2 jobs
    TRAIN  ok  42.0 s  python train.py -> m.pkl
    AGAIN  ok  42.0 s  python train.py -> m.pkl (again)

Used by no recorded job
"""
    )
    found = ask.json("show", "train.csv")
    assert (found["kind"], found["names"], found["size"]) == ("artifact", ["train.csv"], 5)
    assert (found["made_by"], found["used_by"]) == ([ids["PREPARE"]], [ids["TRAIN"], ids["AGAIN"]])


def test_a_commit_and_a_session(repo: Repository, ask: Ask) -> None:
    ids = training(repo, ask)
    assert (
        ask("show", "cccc")
        == f"""
commit {"c" * 40}

1 job
    TRAIN  ok  42.0 s  python train.py -> m.pkl
"""
    )
    assert (
        ask("show", ids["SESSION"])
        == """
session SESSION night
    work, begun by Ada Recorder <ada@example.org>

2 jobs
    TRAIN  ok  42.0 s  python train.py -> m.pkl
    PREPARE  ok  42.0 s  python prepare.py -> train.csv
"""
    )
    assert ask.json("show", ids["SESSION"])["ran"] == [ids["TRAIN"], ids["PREPARE"]]


def test_many_files_and_many_jobs(repo: Repository, ask: Ask) -> None:
    inputs = {f"images/{n:03}.png": f"image {n}" for n in range(400)}
    made = [make.job(repo, f"look {n}", inputs if n == 0 else {"images/000.png": "image 0"}) for n in range(30)]
    text = ask("show", made[0])
    assert "Inputs (400, " in text
    assert "and 388 more (--files)" in text
    assert "images/399.png" in ask("show", made[0], "--files")
    assert "and 10 older (--files)" in ask("show", "images/000.png")
    assert "older" not in ask("show", "images/000.png", "--files")
    assert len(ask.json("show", "images/000.png")["jobs"]) == 30
    assert len(ask.json("show", made[0])["inputs"]) == 400


def test_wrong_names_are_one_line(repo: Repository, ask: Ask) -> None:
    assert ask("show", "nothing", code=1) == (
        "\nroar: nothing is no recorded job, file, step or commit (next: roar log)\n"
    )
    assert ask("show", "@0", code=2).count("\n") == 2
    assert "roar show -h" in ask("show", code=2)


def test_json_of_a_record_is_whole(repo: Repository, ask: Ask) -> None:
    values: dict[str, Any] = make.fields("true", {"a": "a"})
    made = make.put(repo, values)
    record = ask.json("show", made)["record"]
    assert record["environment"]["machine"] == values["environment"]["machine"] | {"gpus": []}
    assert record["tracer"] == values["tracer"]


def test_packages_in_the_repository_are_no_cause_for_alarm(repo: Repository, tree: Path) -> None:
    usual = make.job(repo, "one", left_out=[{"reason": "package", "count": 1, "inside": True}])
    odd = make.job(repo, "two", left_out=[{"reason": "log (written)", "count": 2, "inside": True}])
    assert "\nLeft out inside the repository: 1 package file\n" in on_a_terminal(tree, "show", usual)
    assert "\x1b[31mLeft out inside the repository: 2 log files (written)\x1b" in on_a_terminal(tree, "show", odd)
