"""Long histories, streamed into git: sessions of several writers, chains, sweeps with fan-in, shared data sets.

A session is four pipelines of twelve jobs: a preparation, which reads one of twenty shared data sets and the report of
the pipeline before; five trainings with an evaluation each; and a comparison of the five. So a lineage is sixteen jobs
deep and forty-eight wide at most. Code changes with every tenth session, packages with every hundredth.
"""

from __future__ import annotations

import os
import random
import subprocess
import time
from collections.abc import Iterator
from typing import Any, NamedTuple

import blake3
import orjson
from inputs import git, new_repository

from roar.git.repository import discover
from roar.journal.append import next_date
from roar.journal.segments import Item, portions
from roar.records.ids import record_id

WRITERS = 7
DATA_SETS = 20
PIPELINES = 4
STEPS = 12
PER_SESSION = 1 + PIPELINES * STEPS
BEGIN_MS = 1_767_614_400_000
"""5 January 2026, 12:00 UTC; everything happens in the 280 days after it."""
SPAN_MS = 280 * 86_400_000
WHO = b"Bench <bench@example.org>"


class Made(NamedTuple):
    """One record on its way: who, the id, the canonical bytes, the first line of the message."""

    writer: str
    clock: int
    identifier: str
    body: bytes
    subject: str


def repository_with(folder: str, jobs: int, *, sealed: bool = False, one_commit: bool = False) -> str:
    """A repository with that many jobs, made on the first call; gives its folder.

    With ``one_commit`` all of them ran on the newest commit, else on one of every three hours.
    """
    path = os.path.join(folder, f"history-{jobs}{'-sealed' * sealed}{'-one-commit' * one_commit}")
    if not os.path.exists(path):
        made = f"{path}.{os.getpid()}.tmp"
        new_repository(made)
        time.sleep(1.1)  # the commit that the jobs ran on is younger than the one before it
        git(made, "commit", "-q", "--allow-empty", "-m", "work")
        head, date = discover(made).ask("log", "-1", "--format=%H %ct").decode().split()
        records = history(jobs, head)
        pieces = _segments(records, int(date)) if sealed else _commits(records, int(date), one_commit=one_commit)
        words = ["git", "-C", made, "fast-import", "--quiet"]
        with subprocess.Popen(words, stdin=subprocess.PIPE) as importer:
            assert importer.stdin
            for piece in pieces:
                importer.stdin.write(piece)
        if importer.returncode:
            raise SystemExit("git fast-import failed")
        git(made, "pack-refs", "--all")
        os.rename(made, path)
    return path


def _commits(records: Iterator[Made], date: int, *, one_commit: bool) -> Iterator[bytes]:
    last: dict[str, int] = {}
    for made in records:
        ref = f"refs/roar/jobs/2026/{made.writer}".encode()
        message = f"{made.subject}\n\nRoar-Id: {made.identifier}\n".encode()
        code = date if one_commit else _code_date(made.clock, date)
        last[made.writer] = next_date(last.get(made.writer, 0), code)
        head = _head(ref, made.clock, last[made.writer], message)
        yield head + b"deleteall\nM 100644 inline record.json\n" + _data(made.body)


def _code_date(clock: int, date: int) -> int:
    """The date of the commit that was checked out, if there was one every three hours and the last at ``date``."""
    return date - (BEGIN_MS + SPAN_MS - clock) // 10_800_000 * 10_800


def _head(ref: bytes, clock: int, date: int, message: bytes) -> bytes:
    dates = b"author %s %d +0000\ncommitter %s %d +0000\n" % (WHO, clock // 1000, WHO, date)
    return b"commit %s\n%s%s" % (ref, dates, _data(message))


def _data(content: bytes) -> bytes:
    return b"data %d\n%s\n" % (len(content), content)


def _segments(records: Iterator[Made], date: int) -> Iterator[bytes]:
    """All on one chain, sealed as roar does."""
    clocks: dict[str, int] = {}

    def items() -> Iterator[Item]:
        for made in records:
            clocks[made.identifier] = made.clock
            yield Item(made.identifier, made.body, [])

    for portion in portions(items()):
        first, last = portion[0].identifier, portion[-1].identifier
        message = f"roar: {len(portion)} records\n\nRoar-Records: {len(portion)}\nRoar-Id: {last}\n".encode()
        blob = b"".join(item.body + b"\n" for item in portion)
        yield _head(b"refs/roar/jobs/2026/sealed", clocks[last], _code_date(clocks[last], date), message)
        yield b"deleteall\nM 100644 inline segment/%s.jsonl\n" % first.encode() + _data(blob)
        clocks.clear()


def history(jobs: int, head: str) -> Iterator[Made]:
    """That many jobs and their sessions, oldest first; the same on every machine but for the commit they ran on."""
    step_ms = max(1, SPAN_MS // max(jobs, 1))
    session = ""
    for number in range(jobs):
        place, job = divmod(number, PIPELINES * STEPS)
        clock = BEGIN_MS + number * step_ms
        writer = f"{place % WRITERS:016x}"
        if job == 0:
            opened = _made(writer, clock - 1, {"kind": "session", "user": "Bench <bench@example.org>"}, "roar: session")
            session = opened.identifier
            yield opened
        pipeline, step = divmod(job, STEPS)
        fields = _job(place, pipeline, step, random.Random(number))
        fields |= {"session": session, "started_ns": clock * 1_000_000}
        fields["code"] = {"branch": "main", "commit": head, "remote": "https://example.org/team/project.git"}
        made = ", ".join(part["path"] for part in fields["outputs"][:2])
        yield _made(writer, clock, fields, f"roar: run {' '.join(fields['command']['argv'])} -> {made}")


def _made(writer: str, clock: int, fields: dict[str, Any], subject: str) -> Made:
    whole = {"kind": "job", **fields, "format": 1, "clock": clock, "writer": writer}
    body = orjson.dumps(whole, option=orjson.OPT_SORT_KEYS)
    return Made(writer, clock, record_id(clock, body), body, subject)


def _file(path: str, content: str, **more: Any) -> dict[str, Any]:
    digest = blake3.blake3(content.encode()).hexdigest()
    return {"path": path, "hash": digest, "size": 1000 + int(digest[:4], 16), **more}


def _job(place: int, pipeline: int, step: int, chance: random.Random) -> dict[str, Any]:
    """The fields of one job: ``place`` is the session's number."""
    version = place // 10
    run, unique = f"runs/{place % 50}/{pipeline}", f"{place} {pipeline}"
    kind, which = divmod(step - 1, 2)
    outputs: dict[str, str]
    if step == 0:
        data = place % DATA_SETS
        argv, reads = ["python", "prepare.py", "--set", str(data)], {f"data/set-{data}/raw.csv": f"raw {data}"}
        if pipeline:
            reads["report.json"] = f"report {place} {pipeline - 1}"
        outputs = {"data/train.csv": f"train {unique}", "data/test.csv": f"test {unique}"}
    elif step == STEPS - 1:
        argv = ["python", "compare.py"]
        reads = {f"{run}/metrics-{k}.json": f"metrics {unique} {k}" for k in range(5)}
        outputs = {"report.json": f"report {unique}"}
    elif which == 0:
        argv = ["python", "train.py", "--depth", str(kind), "--seed", str(chance.randrange(1 << 20))]
        reads = {"data/train.csv": f"train {unique}", "params.json": f"params {version}"}
        outputs = {f"{run}/model-{kind}.pkl": f"model {unique} {kind}", f"{run}/log-{kind}.txt": f"log {unique} {kind}"}
    else:
        argv = ["python", "evaluate.py", f"{run}/model-{kind}.pkl"]
        reads = {f"{run}/model-{kind}.pkl": f"model {unique} {kind}", "data/test.csv": f"test {unique}"}
        outputs = {f"{run}/metrics-{kind}.json": f"metrics {unique} {kind}"}
    modules = [argv[1], *(f"src/project/module{n}.py" for n in range(5))]
    blob = blake3.blake3(f"{version}".encode()).hexdigest()[:40]
    code = [_file(name, f"{name} {version}", blob=blob) for name in modules]
    inputs = [_file(path, content) for path, content in reads.items()] + code
    duration = chance.randrange(1_000_000_000, 600_000_000_000)
    first = chance.randrange(1000, 90_000)
    return {
        "user": "Bench <bench@example.org>",
        "command": {"argv": argv},
        "inputs": sorted(inputs, key=lambda part: part["path"]),
        "outputs": [_file(path, text, change="created") for path, text in sorted(outputs.items())],
        "duration_ns": duration,
        "exit": {"code": 0} if chance.random() > 0.03 else {"code": 1},
        "environment": _environment(place),
        "processes": [
            {
                "pid": first + n,
                "parent": first - 1,
                "programs": [{"path": "/usr/bin/python3.11", "argv": argv}],
                "exit": {"code": 0},
                "started_ns": BEGIN_MS * 1_000_000 + chance.randrange(1 << 50),
                "duration_ns": duration - chance.randrange(1_000_000),
                "cpu_ns": chance.randrange(duration),
                "peak_bytes": chance.randrange(1 << 31),
            }
            for n in range(1 + step % 2)
        ],
        "process_count": 1 + step % 2,
        "cpu_ns": chance.randrange(duration),
        "peak_bytes": chance.randrange(1 << 31),
        "left_out": [
            {"reason": "system", "count": chance.randrange(200, 240)},
            {"reason": "package", "count": chance.randrange(1400, 1500)},
        ],
        "tracer": {"version": "0.1.0", "mechanism": "ptrace+seccomp"},
    }


def _environment(place: int) -> dict[str, Any]:
    age = place // 100
    writer = place % WRITERS
    return {
        "machine": {
            "system": "Linux 6.1 Debian GNU/Linux 12",
            "kernel": f"6.1.0-{18 + age % 20}-amd64",
            "architecture": "x86_64",
            "cpu": "A processor of the usual kind @ 3.00GHz",
            "cores": 8,
            "memory_bytes": 32 << 30,
            "hostname": f"workstation-{writer}",
        },
        "pythons": [
            {
                "version": "3.11.7",
                "implementation": "CPython",
                "executable": ".venv/bin/python",
                "prefix": ".venv",
                "read": [{"name": f"package-{n}", "version": f"1.{n}.{age}"} for n in range(12)],
                "installed": [{"name": f"other-{n}", "version": f"2.{n}.1"} for n in range(40)],
            }
        ],
        "variables": {"LANG": "C.UTF-8", "OMP_NUM_THREADS": "4", "PYTHONHASHSEED": "0"},
        "umask": 18,
    }
