"""A journal of many jobs, as a year of work leaves it: pipelines with a shared raw file, sweeps and fan-in."""

from __future__ import annotations

import functools
import os
import time
from typing import Any

import blake3
from inputs import git, new_repository

from roar.git.repository import Repository, discover
from roar.journal.append import append
from roar.records.job import Job, Session

SWEEP = 5
"""Trainings per pipeline; a pipeline is a preparation, the trainings, an evaluation of each, a comparison."""
JOBS_PER_PIPELINE = 2 + 2 * SWEEP


def repository_with(folder: str, jobs: int) -> str:
    """A repository with that many jobs, packed as ``git gc`` packs; made on the first call. Gives its folder."""
    path = os.path.join(folder, f"jobs-{jobs}")
    if not os.path.exists(path):
        made = f"{path}.{os.getpid()}.tmp"
        new_repository(made)
        fill(discover(made), jobs)
        git(made, "gc", "-q")
        os.rename(made, path)
    return path


def fill(repo: Repository, jobs: int) -> None:
    """Append ``jobs`` jobs; the files of the last pipeline are written too, so that there is something to look at."""
    session = commit = None
    began = time.time_ns() - jobs * 60_000_000_000
    for number in range(jobs):
        pipeline, step = divmod(number, JOBS_PER_PIPELINE)
        if step == 0 and pipeline % 4 == 0:
            session = append(repo, new_session).identifier
            git(repo.require_work_tree(), "commit", "-q", "--allow-empty", "-m", f"change {pipeline}")
            commit = repo.ask("rev-parse", "HEAD").decode().strip()
        fields = job_fields(pipeline, step) | {
            "session": session,
            "started_ns": began + number * 60_000_000_000,
            "code": {"commit": commit, "branch": "main", "remote": "https://example.org/team/project.git"},
        }
        append(repo, functools.partial(job, fields))
        if number >= jobs - JOBS_PER_PIPELINE:
            for output in fields["outputs"]:
                write_content(repo, output["path"], content(pipeline, output["path"]))


def job(fields: dict[str, Any], clock: int, writer: str) -> Job:
    """A job record."""
    return Job.model_validate({**fields, "clock": clock, "writer": writer})


def new_session(clock: int, writer: str) -> Session:
    """A session record."""
    return Session(clock=clock, writer=writer, user="Bench <bench@example.org>")


def content(pipeline: int, path: str) -> bytes:
    """What a generated file holds: other bytes in each pipeline, but for the raw data that all share."""
    return (path if path == "data/raw.csv" else f"{pipeline} {path}").encode() * 50


def write_content(repo: Repository, path: str, data: bytes) -> None:
    """Write a generated file into the work tree."""
    target = os.path.join(repo.require_work_tree(), path)
    os.makedirs(os.path.dirname(target), exist_ok=True)
    with open(target, "wb") as file:
        file.write(data)


def files(pipeline: int, *paths: str, change: str | None = None) -> list[dict[str, Any]]:
    """File parts of a record."""
    made = []
    for path in paths:
        data = content(pipeline, path)
        part = {"path": path, "hash": blake3.blake3(data).hexdigest(), "size": len(data)}
        made.append(part | ({"change": change} if change else {}))
    return made


def job_fields(pipeline: int, step: int) -> dict[str, Any]:
    """Command, inputs and outputs of one step; the rest is what every job has."""
    run = f"runs/{pipeline % 50}"
    kind, which = divmod(step - 1, 2)
    if step == 0:
        argv, read, made = ["python", "prepare.py"], ["data/raw.csv"], ["data/train.csv", "data/test.csv"]
    elif step == JOBS_PER_PIPELINE - 1:
        argv = ["python", "compare.py"]
        read, made = [f"{run}/metrics-{k}.json" for k in range(SWEEP)], ["report.json"]
    elif which == 0:
        argv = ["python", "train.py", "--depth", str(kind)]
        read, made = ["data/train.csv", "params.json"], [f"{run}/model-{kind}.pkl"]
    else:
        argv = ["python", "evaluate.py", f"{run}/model-{kind}.pkl"]
        read, made = [f"{run}/model-{kind}.pkl", "data/test.csv"], [f"{run}/metrics-{kind}.json"]
    return COMMON | {
        "command": {"argv": argv},
        "inputs": files(0, argv[1]) + files(pipeline, *read),
        "outputs": files(pipeline, *made, change="created"),
    }


COMMON: dict[str, Any] = {
    "user": "Bench <bench@example.org>",
    "duration_ns": 42_000_000_000,
    "exit": {"code": 0},
    "environment": {
        "machine": {
            "system": "Linux 6.1 Debian GNU/Linux 12",
            "kernel": "6.1.0-18-amd64",
            "architecture": "x86_64",
            "cpu": "A processor of the usual kind @ 3.00GHz",
            "cores": 8,
            "memory_bytes": 32 << 30,
            "hostname": "workstation",
        },
        "pythons": [
            {
                "version": "3.11.7",
                "implementation": "CPython",
                "executable": ".venv/bin/python",
                "prefix": ".venv",
                "read": [{"name": f"package-{n}", "version": f"1.{n}.0"} for n in range(12)],
                "installed": [{"name": f"other-{n}", "version": f"2.{n}.1"} for n in range(60)],
            }
        ],
        "variables": {"LANG": "C.UTF-8", "PYTHONHASHSEED": "0", "OMP_NUM_THREADS": "4"},
        "umask": 0o22,
    },
    "processes": [{"pid": 4000 + n, "parent": 3999, "programs": [{"path": "/usr/bin/python3"}]} for n in range(3)],
    "process_count": 3,
    "cpu_ns": 40_000_000_000,
    "left_out": [{"reason": "system", "count": 212}, {"reason": "package", "count": 1480}],
    "tracer": {"version": "0.1.0", "mechanism": "ptrace+seccomp"},
}
