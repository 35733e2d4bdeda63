"""From what the tracer saw to the inputs and outputs of a job.

Input: existed before the job and was read (or was changed without being emptied first). Output: content created or
changed by the job and still there at its end, under its final name. When the content that was read is no longer on
the disk and was not kept by the tracer, the hash stays unknown and says why.
"""

from __future__ import annotations

import os
from collections import Counter
from typing import NamedTuple

from roar.hashing import digest_file, digest_link
from roar.paths import below, from_fs, fs
from roar.records.job import File, Incomplete, LeftOut
from roar.stamps import Stamps
from roar.trace.report import Report, SeenFile, Stat
from roar.trace.scope import Scope

CLOCK_TICK_NS = 20_000_000
"""Two writes closer than this may leave the same time stamp: a kernel tick is 1 to 10 ms."""
_EXAMPLES = 3


class Observed(NamedTuple):
    """What belongs to the record, and what does not. ``on_disk`` are inputs whose content is still there."""

    inputs: list[File]
    outputs: list[File]
    on_disk: set[str]
    executed: set[str]
    left_out: list[LeftOut]
    incomplete: list[Incomplete]


class _Tally:
    """Counts of what is left out, by reason and place, with the first examples."""

    def __init__(self) -> None:
        self._counts: Counter[tuple[str, bool]] = Counter()
        self._examples: dict[tuple[str, bool], list[str]] = {}

    def add(self, reason: str, relative: str | None) -> None:
        key = reason, relative is not None
        self._counts[key] += 1
        if relative is not None and len(self._examples.setdefault(key, [])) < _EXAMPLES:
            self._examples[key].append(from_fs(relative))

    def result(self) -> list[LeftOut]:
        return [
            LeftOut(reason=reason, count=count, inside=inside, examples=self._examples.get((reason, inside), []))
            for (reason, inside), count in sorted(self._counts.items(), key=lambda item: (-item[0][1], -item[1]))
        ]


def observe(report: Report, scope: Scope, stamps: Stamps, began_ns: int) -> Observed:
    """Sort the files of a report into inputs, outputs and what is left out, and hash those that count."""
    seen = Observed([], [], set(), set(), [], [])
    tally = _Tally()
    moved = {f["renamed_from"]: f for f in report.files if "renamed_from" in f}
    for file in report.files:
        if file.get("type") == "directory":
            continue
        path = fs(file["path"])
        relative = scope.inside(path)
        is_input, is_output = _is_input(file, moved), _is_output(file, began_ns)
        reason = scope.left_out(path) or _no_artifact(file, inside=relative is not None)
        if reason is not None:
            if is_input or is_output:
                tally.add(reason + (", written" if is_output else ""), relative)
            continue
        name = from_fs(path if relative is None else relative)
        if file.get("executed"):
            seen.executed.add(name)
        if is_input:
            _add_input(seen, file, name, moved.get(file["path"]), stamps)
        if is_output:
            seen.outputs.append(_output(file, name, stamps, seen.incomplete))
    seen.left_out.extend(tally.result())
    return seen


def _no_artifact(file: SeenFile, *, inside: bool) -> str | None:
    """Why a file that is in scope is still no artifact of the job."""
    if file.get("type") not in ("file", "symlink"):
        return "device"
    # Standard output may go to a log that was begun before the job and that others write, too. One that the shell
    # made for this command (`> out.csv`) was empty at the start.
    before = file.get("before")
    handed_down = file.get("inherited") and not file.get("opens") and file.get("written")
    return "log" if handed_down and not inside and before is not None and before["size"] > 0 else None


def _is_input(file: SeenFile, moved: dict[str, SeenFile]) -> bool:
    if not file.get("existed"):
        return False
    if file.get("read") or file.get("appended") or file["path"] in moved:
        return True
    return bool(file.get("written")) and not file.get("truncated") and "before_hash" in file


def _is_output(file: SeenFile, began_ns: int) -> bool:
    after, before = file.get("after"), file.get("before")
    if after is None or not (
        file.get("written") or file.get("created") or "renamed_from" in file or "link_target" in file
    ):
        return False
    if not file.get("existed") or before is None or not _same(before, after):
        return True
    # Nothing shows on the disk. A write in the same clock tick as the one before it would look like this, too.
    recent = max(before["mtime_ns"], before["ctime_ns"]) + CLOCK_TICK_NS >= began_ns
    if not recent:
        return False
    try:
        return "before_hash" not in file or digest_file(fs(file["path"])).hash != file["before_hash"]
    except OSError:
        return True


def _same(a: Stat, b: Stat) -> bool:
    return (a["ino"], a["dev"], a["size"], a["mtime_ns"]) == (b["ino"], b["dev"], b["size"], b["mtime_ns"])


def _asked(file: SeenFile, name: str) -> str | None:
    asked = file.get("asked") or []
    return asked[0] if asked and asked[0] != name else None


def _add_input(seen: Observed, file: SeenFile, name: str, moved_to: SeenFile | None, stamps: Stamps) -> None:
    before, after = file.get("before"), file.get("after")
    mode = before["mode"] if before else 0o100644
    size = before["size"] if before else 0
    known, unknown = file.get("before_hash"), None
    if known is None:
        known, unknown = _content(file, moved_to, stamps)
        if known and after is not None:
            seen.on_disk.add(name)
    if known is None:
        seen.incomplete.append(Incomplete(reason="input-unknown", detail=f"{name}: {unknown}"))
    item = File(
        path=name, hash=known, size=size, mode=mode, asked=_asked(file, name), unknown=None if known else unknown
    )
    seen.inputs.append(item)


def _content(file: SeenFile, moved_to: SeenFile | None, stamps: Stamps) -> tuple[str | None, str | None]:
    """The hash of what an input held before the job, or why it cannot be known."""
    if "before_unknown" in file:
        return None, file["before_unknown"]
    before, after, path = file.get("before"), file.get("after"), file["path"]
    if after is None and moved_to is not None and before is not None:
        path, after = moved_to["path"], moved_to.get("after")
    if after is None:
        return None, "removed during the run"
    if before is not None and not _same(before, after):
        return None, "changed during the run"
    try:
        return _hash(fs(path), after, stamps)
    except OSError as error:
        return None, f"cannot be read: {error.strerror}"


def _hash(path: str, expected: Stat, stamps: Stamps) -> tuple[str | None, str | None]:
    """The hash of a file that must still be as ``expected``."""
    stat = os.stat(path)
    if (stat.st_ino, stat.st_size, stat.st_mtime_ns) != (expected["ino"], expected["size"], expected["mtime_ns"]):
        return None, "changed after the run, before it was hashed"
    known = stamps.get(path, stat)
    if known is not None:
        return known, None
    digest = digest_file(path)
    if not digest.stable:
        return None, "changed while it was hashed"
    stamps.put(path, digest)
    return digest.hash, None


def _output(file: SeenFile, name: str, stamps: Stamps, incomplete: list[Incomplete]) -> File:
    after = file["after"]
    known: str | None
    unknown: str | None
    try:
        if file.get("type") == "symlink":
            known, unknown = digest_link(fs(file["path"])), None
        else:
            known, unknown = _hash(fs(file["path"]), after, stamps)
    except OSError as error:
        known, unknown = None, f"cannot be read: {error.strerror}"
    if known is None:
        incomplete.append(Incomplete(reason="output-unknown", detail=f"{name}: {unknown}"))
    return File(
        path=name,
        hash=known,
        size=after["size"],
        mode=after["mode"],
        change="modified" if file.get("existed") else "created",
        asked=_asked(file, name),
        unknown=None if known else unknown,
    )


def vain_lookups(report: Report, root: str, most: int = 64) -> list[str]:
    """Paths inside the work tree that the job looked for and did not find, relative to it."""
    names = {relative for path in report.failed if (relative := below(fs(path), root))}
    plain = (n for n in names if "__pycache__" not in n and not n.startswith(".git/"))
    return [from_fs(n) for n in sorted(plain)[:most]]


def relative_to(path: str, root: str) -> str:
    """An ``os`` path as records spell it: relative to the work tree when inside, "" for the work tree itself."""
    relative = below(path, root)
    return from_fs(path if relative is None else relative)
