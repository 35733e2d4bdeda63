"""The tracer's report: JSON Lines, format 1, described in ``docs/tracer.md``.

A report comes from our own program, yet it is read with suspicion. A line that cannot be read, or that holds values
of the wrong kind, is left out and counted as a lost event, never fatal; the seal on the last line tells whether any
byte was changed or lost; and a report without an end line says that the tracer died.
"""

from __future__ import annotations

import re
from array import array
from collections.abc import Callable, Iterator, Mapping
from typing import IO, Any, TypedDict

import orjson

from roar.hashing import Hasher
from roar.paths import to_bytes

FORMAT = 1
SAME = "same"
"""The state after, where it is the one before."""
KEPT_PROCESSES = 256
"""So many processes are described one by one; the others are counted."""
KEPT_FILES = 20_000
"""So many files of a report are kept in memory, 2 KB each; the others are read again each time."""
ABSENT = ("ENOENT", "ENOTDIR")
"""How a look-up fails where nothing is. Every other errno is of something that is there."""
REFUSED = ("EACCES", "EPERM")


class Stat(TypedDict):
    """What stat(2) said of a file."""

    dev: int
    ino: int
    size: int
    mtime_ns: int
    ctime_ns: int
    mode: int


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
    kept: str
    """Where a copy of what it held before the job is."""


class SeenFiles:
    """The files of a report, in its order, as often as one likes while the report is open."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._kept: list[SeenFile] = []
        self._places = array("Q")

    def add(self, line: SeenFile, place: int) -> None:
        """Add the file that the line at this place of the report tells of."""
        if len(self._kept) < KEPT_FILES:
            self._kept.append(line)
        else:
            self._places.append(place)

    def __len__(self) -> int:
        return len(self._kept) + len(self._places)

    def __iter__(self) -> Iterator[SeenFile]:
        yield from self._kept
        for place in self._places:
            self._file.seek(place)
            yield _parsed(self._file.readline())


class Report:
    """What the tracer saw, by a report that must stay open."""

    def __init__(self, file: IO[bytes]) -> None:
        self.start: dict[str, Any] = {}
        self.end: dict[str, Any] = {}
        self.files = SeenFiles(file)
        self.processes: list[dict[str, Any]] = []
        self.process_count = 0
        self.programs: set[tuple[str, str]] = set()
        """(name as asked, resolved path) of every program executed."""
        self.failed: list[str] = []
        """Where the job looked for a file and nothing was, before the job neither."""
        self.refused: list[str] = []
        """What the job was not allowed to open."""
        self.connects: list[dict[str, Any]] = []
        self.blind: list[dict[str, Any]] = []
        self.copies: list[tuple[str, str]] = []
        """Each file that was about to be overwritten or removed, and where a copy of it is."""
        self.unreadable = 0
        """Lines that could not be read; at least 1 when the report is not as the tracer wrote it."""

    @property
    def started(self) -> bool:
        """False when the command could not be executed at all. A dead tracer or a damaged report is no sign of that."""
        return self.unreadable > 0 or self.end.get("started", True)


def read(file: IO[bytes]) -> Report:
    """The report in a file, from where it stands to its end. It is never held in memory as a whole."""
    report = Report(file)
    place = file.tell()
    failed: dict[str, list[str]] = {}
    take: dict[str, Callable[[Any], None]] = {
        "start": report.start.update,
        "end": report.end.update,
        "file": lambda line: _file(report, line, place),
        "process": lambda line: _process(report, line),
        "failed": lambda line: failed.setdefault(line["errno"], []).append(line["path"]),
        "connect": report.connects.append,
        "blind": report.blind.append,
    }
    seals = []
    sealed, last = Hasher(), b""
    for text in file:
        sealed.update(last)
        last = text
        line = _line(text.removesuffix(b"\n"))
        if line is None:
            report.unreadable += 1
        elif line["kind"] in take:
            take[line["kind"]](line)
        elif line["kind"] == "seal":
            seals.append(line["blake3"])
        place += len(text)
    # Without an end, the tracer's death explains what is missing. Reports of earlier tracers have no seal.
    expected = seals or (report.end and (report.start.get("sealed") or not report.start))
    if expected and (seals != [sealed.hash] or not last.endswith(b"\n")):
        report.unreadable = max(1, report.unreadable)
    absent = [path for errno in ABSENT for path in failed.get(errno, ())]
    names = set(absent)
    existed = {file["path"] for file in report.files if file["path"] in names and file.get("existed")} if names else ()
    report.failed = [path for path in absent if path not in existed]
    report.refused = [path for errno in REFUSED for path in failed.get(errno, ())]
    return report


def _file(report: Report, line: SeenFile, place: int) -> None:
    report.files.add(line, place)
    if "kept" in line:
        report.copies.append((line["path"], line["kept"]))


def _process(report: Report, line: dict[str, Any]) -> None:
    report.process_count += 1
    for program in line.get("programs", ()):
        report.programs.add((program.get("asked", program["path"]), program["path"]))
    if len(report.processes) < KEPT_PROCESSES:
        report.processes.append(line)


def _line(text: bytes) -> dict[str, Any] | None:
    """One line, or None when something in it is not as it should be. Unknown kinds are taken as they are."""
    try:
        line = _parsed(text)
    except orjson.JSONDecodeError:
        return None
    if not isinstance(line, dict) or not isinstance(line.get("kind"), str):
        return None
    required, checks = _SHAPES.get(line["kind"], _NO_SHAPE)
    return line if _fits(line, required, checks) else None


def _parsed(text: bytes) -> Any:
    line = orjson.loads(text)
    if isinstance(line, dict) and line.get("kind") == "file" and line.get("after", SAME) == SAME:
        # Absent: nothing that the job did by this name can have changed the file. Without anything to be the same as,
        # the line is as wrong as it looks.
        line["after"] = line.get("before", SAME)
    return line


Check = Callable[[Any], bool]


def _fits(value: dict[str, Any], required: tuple[str, ...], checks: Mapping[str, Check]) -> bool:
    """Whether every required key is there and every known key holds what it should."""
    for key in required:
        if key not in value:
            return False
    for key, item in value.items():  # a loop takes half the time of all(): a large job has a million of these values
        check = checks.get(key)
        if check is not None and not check(item):
            return False
    return True


def _truth(value: Any) -> bool:
    return isinstance(value, bool)


def _number(value: Any) -> bool:
    # One bit less than a record holds, so that the sum of two of them fits, too.
    return type(value) is int and 0 <= value < 1 << 62


def _text(value: Any) -> bool:
    return isinstance(value, str) and len(value) <= 1 << 20


def _name(value: Any) -> bool:
    """The text of bytes that the kernel could have given or taken as a name."""
    if not _text(value):
        return False
    try:
        return b"\0" not in to_bytes(value)
    except ValueError:
        return False


def _path(value: Any) -> bool:
    return _name(value) and to_bytes(value).startswith(b"/")


def _each(check: Check) -> Check:
    return lambda value: isinstance(value, list) and all(map(check, value))


def _one_of(*values: object) -> Check:
    return lambda value: value in values


def _between(low: int, high: int) -> Check:
    return lambda value: type(value) is int and low <= value <= high


def _digest(value: Any) -> bool:
    return isinstance(value, str) and re.fullmatch("[0-9a-f]{64}", value) is not None


_ANY_64_BITS = _between(-1 << 63, (1 << 64) - 1)
_STAT: dict[str, Check] = {
    **dict.fromkeys(("size", "mode"), _number),
    **dict.fromkeys(("dev", "ino", "mtime_ns", "ctime_ns"), _ANY_64_BITS),
}


def _stat(value: Any) -> bool:
    return isinstance(value, dict) and _fits(value, tuple(_STAT), _STAT)


def _stat_or_gone(value: Any) -> bool:
    return value is None or _stat(value)


_ENDING: dict[str, Check] = {"exit_code": _between(0, 255), "signal": _between(1, 255)}
_USAGE = dict.fromkeys(("user_ns", "system_ns", "peak_bytes"), _number)
_PROGRAM: dict[str, Check] = {"path": _name, "asked": _path, "argv": _each(_text), "time_ns": _number}


def _program(value: Any) -> bool:
    return isinstance(value, dict) and _fits(value, ("path",), _PROGRAM)


_NO_SHAPE: tuple[tuple[str, ...], Mapping[str, Check]] = (), {}
_SHAPES: dict[str, tuple[tuple[str, ...], Mapping[str, Check]]] = {
    "start": (
        ("format",),
        {
            "format": _one_of(FORMAT),
            "sealed": _truth,
            "tracer": _text,
            "mechanism": _text,
            "time_ns": _number,
            "umask": _number,
        },
    ),
    "process": (
        ("pid",),
        {
            **dict.fromkeys(("pid", "parent", "start_ns", "end_ns"), _number),
            **_ENDING,
            **_USAGE,
            "programs": _each(_program),
        },
    ),
    "file": (
        ("path", "type", "after"),
        {
            "path": _path,
            "type": _one_of("file", "directory", "symlink", "fifo", "socket", "device", "other"),
            **dict.fromkeys(
                ("read", "written", "executed", "listed", "created", "truncated", "appended", "existed", "inherited"),
                _truth,
            ),
            "opens": _number,
            "before": _stat,
            "after": _stat_or_gone,
            "before_hash": _digest,
            "before_unknown": _text,
            "renamed_from": _path,
            "asked": _each(_path),
            "link_target": _name,
            "kept": _path,
        },
    ),
    "failed": (("path", "errno"), {"path": _name, "errno": _text}),
    "connect": (("family", "address"), {"family": _text, "address": _name, "port": _between(0, 65535)}),
    "blind": (("reason",), {"reason": _text, "detail": _name, "count": _number}),
    "end": (
        ("time_ns",),
        {
            "started": _truth,
            **_ENDING,
            **_USAGE,
            **dict.fromkeys(("time_ns", "root_end_ns", "temporaries", "failed_dropped"), _number),
        },
    ),
    "seal": (("blake3",), {"blake3": _digest}),
}
