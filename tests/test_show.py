"""``roar show``: a job, an artifact, a commit, a session, as a person sees them and as JSON."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import make
import pytest
from ask import Ask
from test_log import on_a_terminal

from roar.cli.show_sections import tree
from roar.git.repository import Repository
from roar.records.job import Process


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
Again    was run again by AGAIN: reproduced once on 1 machine, none differed

Inputs (4, 12 B)
    unknown       unknown  gone.csv   unknown: changed during the run
    {h("train")}  5 B      train.csv  by PREPARE
    {h("code")}  4 B      train.py   kept with the record
    {h("lib")}  3 B      lib.py     in git
Outputs (1, 5 B)
    {h("model")}  5 B  m.pkl  created

Python   3.11.7 (.venv/bin/python), read {read} and 3 more
Machine  Linux 6.1 (Debian GNU/Linux 12), x86_64, A usual processor, 8 cores, 32.0 GiB
Network  connected to 192.0.2.7:443
Left out inside the repository: 4 cache files
Left out 200 system files, 2 temporary

Folded: 1 process (--processes), 28 packages (--packages)
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
    reproduced once on 1 machine, none differed

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


def sections(repo: Repository) -> str:
    """A job with several processes, variables and packages."""
    environment = {**make.COMMON["environment"], "variables": {"CUDA_VISIBLE_DEVICES": "0", "A\n": "\x1b"}, "umask": 18}
    python = dict(environment["pythons"][0], read=[{"name": "numpy", "version": "2.0", "source": "editable"}])
    environment["pythons"] = [python | {"installed": [{"name": "rich", "version": "13.7"}]}]
    second = make.SECOND
    shell = {"path": "/bin/sh", "argv": ["sh", "-c", "make all"]}
    tree = [
        {"pid": 12, "parent": 11, "programs": [{"path": "/usr/bin/cc"}], "exit": {"code": 1}, "started_ns": 3},
        {"pid": 10, "parent": 1, "programs": [shell, {"path": "/usr/bin/make"}], "exit": {"code": 0}, "started_ns": 1},
        {"pid": 11, "parent": 10, "exit": {"signal": 9}, "started_ns": 2, "duration_ns": second, "peak_bytes": 5 << 20},
        {"pid": 13, "parent": 10, "programs": [{"path": "ld", "argv": ["ld", "x" * 70]}], "started_ns": 4},
    ]
    return make.job(repo, "build", processes=tree, process_count=9, environment=environment)


def test_processes_packages_and_environment(repo: Repository, ask: Ask) -> None:
    job = sections(repo)
    ask.names = {job: "JOB"}
    text = ask("show", job, "--processes", "--packages", "--env")
    assert (
        text[text.index("\nProcesses") :]
        == f"""
Processes (9)
    PID  EXIT      TIME   CPU   PEAK     COMMAND
    10   0         0 ms   0 ms  0 B      sh -c 'make all' => /usr/bin/make
    11   signal 9  1.0 s  0 ms  5.0 MiB    (forked)
    12   1         0 ms   0 ms  0 B          /usr/bin/cc
    13   ?         0 ms   0 ms  0 B        ld {"x" * 70}
    and 5 more, which the record does not list

Packages (2)
    CPython 3.11.7 (.venv/bin/python), in .venv
      read
        numpy  2.0  editable
      installed, not read
        rich  13.7

Environment (2 variables)
    system       Linux 6.1 (Debian GNU/Linux 12)
    kernel       6.1.0-18-amd64
    architecture x86_64
    processor    A usual processor
    cores        8
    memory       32.0 GiB
    host         workstation
    umask        0022

    A\\n=\\x1b
    CUDA_VISIBLE_DEVICES=0
"""
    )
    assert ask("show", job).endswith(
        "\nFolded: 9 processes (--processes), 2 packages (--packages), 2 variables (--env)\n"
    )
    assert "Folded: 2 packages (--packages)\n" in ask("show", job, "--processes", "--env")


def test_sections_on_a_narrow_terminal(repo: Repository, tree: Path) -> None:
    text = on_a_terminal(tree, "show", sections(repo), "--processes", "--packages", "--env", columns=60)
    assert "\x1b[33m10\x1b[0m" in text
    shown = re.sub(r"\x1b\[\d*m", "", text)
    assert max(map(len, shown[shown.index("Processes") :].splitlines())) <= 60


def test_sections_are_of_jobs(repo: Repository, ask: Ask) -> None:
    make.job(repo, "true", {"a": "a"})
    said = "--packages is about a job, and a is none"
    assert ask("show", "a", "--packages", code=2) == f"\nroar: {said} (next: roar log)\n"


def test_processes_whose_parents_form_a_circle() -> None:
    links = [(1, 2), (2, 1), (3, 3), (3, 1), (4, 3)]
    found = list(tree([Process(pid=pid, parent=parent) for pid, parent in links]))
    assert sorted(process.pid for _, process in found) == [1, 2, 3, 3, 4]
    chain = [Process(pid=n, parent=n - 1, started_ns=n) for n in range(1, 5000)]
    assert [depth for depth, _ in tree(chain)] == list(range(4999))


def test_how_often_an_artifact_was_reproduced(repo: Repository, ask: Ask) -> None:
    job = make.job(repo, "train", {}, {"m": "1", "log": "a"})
    for at, (host, text) in enumerate([("here", "1"), ("far", "1"), ("far", "2")], 1):
        environment = {
            **make.COMMON["environment"],
            "machine": make.COMMON["environment"]["machine"] | {"hostname": host},
        }
        make.job(repo, "train", {}, {"m": text, "log": "b"}, at=at, environment=environment, reproduces=job)
    assert "    reproduced 3 times on 2 machines, 1 differed\n" in ask("show", make.digest("1")[:8])
    assert ask.json("show", make.digest("1")[:8])["reproductions"] == {"times": 3, "machines": 2, "differed": 1}
    assert "reproduced 3 times on 2 machines, 3 differed" in ask("show", job)
    assert "reproduced" not in ask("show", make.digest("2")[:8])


def test_whether_a_file_is_the_latest(repo: Repository, tree: Path, ask: Ask) -> None:
    make.job(repo, "train", {"raw": "r"}, {"m": "1"})
    newer = make.job(repo, "train", {"raw": "r"}, {"m": "2"}, at=1)
    ask.names = {newer: "NEWER", make.digest("2")[:12]: "SECOND"}
    latest = "the latest that was recorded"
    assert f"    m is gone; {latest} is SECOND, by NEWER\n" in ask("show", "m")
    (tree / "m").write_text("1")
    assert f"    m holds it now; {latest} is SECOND, by NEWER\n" in ask("show", "m")
    (tree / "m").write_text("2")
    assert f"    m holds it now: {latest}\n" in ask("show", "m")
    assert ask.json("show", "m")["present"]["state"] == "latest"
    assert latest not in ask("show", make.digest("2")[:8])
    (tree / "raw").write_text("r")
    assert f"    raw holds it now: {latest}\n" in ask("show", "raw")
