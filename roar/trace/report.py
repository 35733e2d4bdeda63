"""The tracer's report: JSON Lines, format 1, described in ``docs/tracer.md``.

A report comes from our own program, yet it is read with suspicion: a line that cannot be read is counted as a lost
event, never fatal, and a report without an end line says that the tracer died.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, TypedDict

import orjson

FORMAT = 1
KEPT_PROCESSES = 256
"""So many processes are described one by one; the others are counted."""


class Stat(TypedDict):
    """What stat(2) said of a file."""

    dev: int
    ino: int
    size: int
    mtime_ns: int
    ctime_ns: int
    mode: int
    nlink: int


class SeenFile(TypedDict, total=False):
    """What the whole process tree did to one file. Absent keys are false or unknown."""

    path: str
    type: str
    read: bool
    written: bool
    executed: bool
    listed: bool
    created: bool
    truncated: bool
    appended: bool
    existed: bool
    before: Stat
    after: Stat
    before_hash: str
    before_unknown: str
    renamed_from: str
    inherited: bool
    opens: int
    asked: list[str]
    link_target: str


class Report:
    """What the tracer saw."""

    def __init__(self) -> None:
        self.start: dict[str, Any] = {}
        self.end: dict[str, Any] = {}
        self.files: list[SeenFile] = []
        self.processes: list[dict[str, Any]] = []
        self.process_count = 0
        self.programs: set[tuple[str, str]] = set()
        """(name as asked, resolved path) of every program executed."""
        self.failed: list[str] = []
        self.connects: list[dict[str, Any]] = []
        self.blind: list[dict[str, Any]] = []
        self.unreadable = 0

    @property
    def started(self) -> bool:
        """False when the command could not be executed at all. A tracer that died is no sign of that."""
        return bool(self.end.get("started", True))


def read(lines: Iterable[bytes]) -> Report:
    """The report in these lines."""
    report = Report()
    take = {
        "start": report.start.update,
        "end": report.end.update,
        "file": report.files.append,
        "process": lambda line: _process(report, line),
        "failed": lambda line: report.failed.append(line["path"]),
        "connect": report.connects.append,
        "blind": report.blind.append,
    }
    for raw in lines:
        if not raw.strip():
            continue
        try:
            line = orjson.loads(raw)
            handler = take.get(line["kind"])
            if handler is not None:
                handler(line)
        except (orjson.JSONDecodeError, KeyError, TypeError, AttributeError):
            report.unreadable += 1
    report.files = [f for f in report.files if _is_file_line(f)]
    return report


def _process(report: Report, line: dict[str, Any]) -> None:
    report.process_count += 1
    for program in line.get("programs", ()):
        report.programs.add((program.get("asked", program["path"]), program["path"]))
    if len(report.processes) < KEPT_PROCESSES:
        report.processes.append(line)


def _is_file_line(line: SeenFile) -> bool:
    path = line.get("path")
    return isinstance(path, str) and path.startswith("/")
