"""Jobs without running anything: records as a run would leave them, appended to a real repository."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from roar.git.objects import Reader
from roar.git.repository import Repository
from roar.hashing import digest_bytes
from roar.journal import JOBS, RECORD, manifests
from roar.journal.append import Chain, append
from roar.journal.entry import Entry
from roar.records.job import File, Job, Session

SECOND = 1_000_000_000
START = 1_735_732_800 * SECOND
"""1 January 2025, 12:00 UTC."""

COMMON: dict[str, Any] = {
    "user": "Ada Recorder <ada@example.org>",
    "duration_ns": 42 * SECOND,
    "exit": {"code": 0},
    "code": {},
    "environment": {
        "machine": {
            "system": "Linux 6.1 (Debian GNU/Linux 12)",
            "kernel": "6.1.0-18-amd64",
            "architecture": "x86_64",
            "cpu": "A usual processor",
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
                "read": [{"name": f"package-{n}", "version": f"1.{n}.0"} for n in range(8)],
                "installed": [{"name": f"other-{n}", "version": f"2.{n}.1"} for n in range(20)],
            }
        ],
    },
    "processes": [{"pid": 4000, "parent": 3999, "programs": [{"path": "/usr/bin/python3"}]}],
    "process_count": 1,
    "cpu_ns": 40 * SECOND,
    "left_out": [{"reason": "system", "count": 212}, {"reason": "package", "count": 1480}],
    "tracer": {"version": "0.1.0", "mechanism": "ptrace+seccomp"},
}


def file(path: str, content: str | None, **more: Any) -> dict[str, Any]:
    """A file of a record that holds this text; with None its content is not known."""
    if content is None:
        return {"path": path, "unknown": "changed during the run", **more}
    data = content.encode()
    return {"path": path, "hash": digest_bytes(data), "size": len(data), **more}


def digest(content: str) -> str:
    """The hash of a text."""
    return digest_bytes(content.encode())


def fields(
    argv: str | list[str],
    inputs: Mapping[str, str | None] | None = None,
    outputs: Mapping[str, str | None] | None = None,
    *,
    at: int = 0,
    cwd: str = "",
    **more: Any,
) -> dict[str, Any]:
    """All of a job but clock and writer. ``inputs`` and ``outputs`` map a path to its text; ``at`` is in seconds."""
    words = argv.split() if isinstance(argv, str) else argv
    return {
        **COMMON,
        "command": {"argv": words, "cwd": cwd, **more.pop("command", {})},
        "inputs": [file(path, text) for path, text in sorted((inputs or {}).items())],
        "outputs": [file(path, text, change="created") for path, text in sorted((outputs or {}).items())],
        "started_ns": START + at * SECOND,
        **more,
    }


def draft(values: dict[str, Any], clock: int, writer: str) -> Job:
    """The job with these fields; long file lists go into manifests as they do in a run."""
    return Job.model_validate({**values, "clock": clock, "writer": writer})


def job(repo: Repository, *args: Any, **more: Any) -> str:
    """Append a job and give its id. The arguments are those of ``fields``."""
    return put(repo, fields(*args, **more))


def put(repo: Repository, values: dict[str, Any]) -> str:
    """Append a job with these fields and give its id."""
    beside: dict[bytes, bytes] = {}
    for side, name in ((b"in", "input"), (b"out", "output")):
        files = [File.model_validate(part) for part in values[f"{name}s"]]
        inline, shards, tree = manifests.split(files, side, lambda file: file)
        values = {**values, f"{name}s": inline, f"{name}_shards": shards}
        beside |= tree
    for part in values["code"].get("overlay", []):
        if part["state"] != "deleted":
            beside[b"files/" + part["path"].encode()] = part.pop("data")
    return append(repo, partial(draft, values), beside).identifier


def session(repo: Repository, *, name: str | None = None, purpose: str = "work") -> str:
    """Append a session and give its id."""
    values = {"user": COMMON["user"], "name": name, "purpose": purpose}
    return append(
        repo, lambda clock, writer: Session.model_validate({**values, "clock": clock, "writer": writer})
    ).identifier


def overlaid(path: str, text: str, state: str = "modified") -> dict[str, Any]:
    """An overlay file for ``code={"overlay": [...]}``; its bytes go beside the record."""
    return {**file(path, text), "state": state, "data": text.encode()}


STEPS = 12
"""Jobs in one pipeline of ``pipelines``."""


def pipelines(count: int, code: str | None = None, session: str | None = None) -> Iterable[dict[str, Any]]:
    """The fields of that many jobs: pipelines that share raw data, each with a sweep and a fan-in, and begin with
    the report of the one before."""
    for number in range(count):
        line, step = divmod(number, STEPS)
        which, half = divmod(step - 1, 2)
        before = {"report.json": f"report {line - 1}"} if line else {}
        if step == 0:
            it = fields("python prepare.py", {"data/raw.csv": "raw", **before}, {"data/train.csv": f"train {line}"})
        elif step == STEPS - 1:
            reads = {f"runs/metrics-{k}.json": f"metrics {line} {k}" for k in range(5)}
            it = fields("python compare.py", reads, {"report.json": f"report {line}"})
        elif half == 0:
            argv = ["python", "train.py", "--depth", str(which)]
            reads = {"data/train.csv": f"train {line}", "params.json": "{}"}
            it = fields(argv, reads, {f"runs/model-{which}.pkl": f"model {line} {which}"})
        else:
            reads = {f"runs/model-{which}.pkl": f"model {line} {which}", "data/raw.csv": "raw"}
            it = fields(f"python evaluate.py {which}", reads, {f"runs/metrics-{which}.json": f"metrics {line} {which}"})
        names = [it["command"]["argv"][1], *(f"src/module{n}.py" for n in range(5))]
        scripts = [file(name, f"code of {name}", blob="b" * 40) for name in names]
        yield {
            **it,
            "inputs": sorted(it["inputs"] + scripts, key=lambda f: f["path"]),
            "started_ns": START + number * 60 * SECOND,
            "session": session,
            "code": {"commit": code, "branch": "main"} if code else {},
        }


def bulk(repo: Repository, jobs: Iterable[dict[str, Any]], writer: str = "bulk") -> list[str]:
    """Put jobs on a new chain all at once, by ``git fast-import``, and give their ids."""
    return bulk_of_many(repo, ((writer, values) for values in jobs))


def bulk_of_many(repo: Repository, jobs: Iterable[tuple[str, dict[str, Any]]]) -> list[str]:
    """Put jobs on new chains of these writers all at once, and give their ids."""
    lines: list[bytes] = []
    ids = []
    for number, (writer, values) in enumerate(jobs):
        ref = f"{JOBS}2025/{writer}".encode()
        entry = Entry(draft(values, values["started_ns"] // 1_000_000, writer), {})
        who = b"Ada Recorder <ada@example.org> %d +0000" % (START // SECOND + number)
        message = entry.message.encode()
        lines += [b"commit %s" % ref, b"author " + who, b"committer " + who, b"data %d\n%s" % (len(message), message)]
        lines += [b"deleteall", b"M 100644 inline " + RECORD, b"data %d\n%s" % (len(entry.body), entry.body)]
        ids.append(entry.identifier)
    words = ["git", *repo.args(), "fast-import", "--quiet"]
    subprocess.run(words, input=b"\n".join(lines) + b"\n", check=True, capture_output=True)
    return ids


def on_chain(repo: Repository, writer: str, *records: Job | Session) -> list[str]:
    """Put sealed records on the chain of any writer, as that writer's clone would, and give their ids."""
    ids = []
    with Reader(repo) as reader:
        for record in records:
            entry = Entry(record, {})
            Chain(repo, reader, writer).extend(entry)
            ids.append(entry.identifier)
    return ids


def commit(folder: Path, git: Callable[..., str], text: str) -> str:
    """Commit a file of code that holds this text, and give the commit's id."""
    (folder / "code.py").write_text(text)
    git(folder, "add", "code.py")
    git(folder, "commit", "-qm", text)
    return git(folder, "rev-parse", "HEAD")


def job_on(repo: Repository, commit: str, argv: str = "python train.py") -> str:
    """Append a job that ran at a commit and give its id."""
    return job(repo, argv, code={"commit": commit})
