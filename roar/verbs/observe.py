"""From what the tracer saw to the inputs and outputs of a job.

Input: existed before the job and was read (or was changed without being emptied first). Output: content created or
changed by the job and still there at its end, under its final name. When the content that was read is no longer on
the disk and was not kept by the tracer, the hash stays unknown and says why.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable
from itertools import chain
from stat import S_ISDIR, S_ISLNK, S_ISREG

from roar.hashing import digest_file, digest_link
from roar.paths import below, from_fs, fs
from roar.records.job import Incomplete, LeftOut, Pointer
from roar.stamps import Stamps
from roar.trace.report import Report, SeenFile, Stat
from roar.trace.scope import Scope
from roar.verbs.met import Met, MetFiles
from roar.verbs.pointers import annexed

CLOCK_TICK_NS = 20_000_000
"""Two writes closer than this may leave the same time stamp: a kernel tick is 1 to 10 ms."""
_EXAMPLES = 3
_NEEDS_NO_EXAMPLE = ("package", "system")

Known = tuple[str | None, str | None]
"""A hash, or None and why it is not known."""


class Observed:
    """What belongs to the record, and what does not. Paths are spelled as in records."""

    def __init__(self, report: Report, scope: Scope, stamps: Stamps) -> None:
        self.inputs = MetFiles()
        self.outputs = MetFiles()
        self.executed: set[str] = set()
        self.system: list[str] = []
        """Files of the system that were read: absolute ``os`` paths."""
        self.incomplete: list[Incomplete] = []
        self.annexed: dict[str, Pointer] = {}
        """Inputs whose content git-annex keeps; they are named by the link that leads there."""
        self._scope = scope
        self._stamps = stamps
        self._began_ns: int = report.start.get("time_ns", 0)
        moved = _inside_moved_folders(report.files)
        self._moved = {f["renamed_from"]: f for f in chain(report.files, moved) if "renamed_from" in f}
        self._counts: Counter[tuple[str, bool]] = Counter()
        self._examples: dict[tuple[str, bool], list[str]] = {}
        for file in chain(report.files, moved):
            if file.get("type") != "directory":
                self._take(file)
        for name in report.refused:
            self._leave_out("refused", fs(name), scope.inside(fs(name)))

    @property
    def left_out(self) -> list[LeftOut]:
        """How many files are not listed, by reason; those inside the repository first, with examples."""
        return [
            LeftOut(reason=key[0], count=count, inside=key[1], examples=self._examples.get(key, []))
            for key, count in sorted(self._counts.items(), key=lambda item: (-item[0][1], -item[1]))
        ]

    def _take(self, file: SeenFile) -> None:
        path = fs(file["path"])
        relative = self._scope.inside(path)
        reads, writes = self._is_input(file), self._is_output(file)
        state = file.get("before") or file.get("after")
        pointer = annexed(path) if file.get("asked") else None
        if pointer is not None:  # named as in the work tree: what lies in the git directory has no name for people
            relative = self._scope.inside(os.path.join(self._scope.root, fs(self._asked(file) or "")))
            path = os.path.join(self._scope.root, relative or "")
        reason = self._scope.left_out(path, state["size"] if state else 0)
        reason = reason or _no_artifact(file, inside=relative is not None)
        if reason is not None:
            if reason == "system" and reads:
                self.system.append(path)
            if reads or writes:
                self._leave_out(reason + (" (written)" if writes else ""), path, relative)
            return
        name = from_fs(path if relative is None else relative)
        if file.get("executed"):
            self.executed.add(name)
        if pointer is not None:
            self.annexed[name] = pointer
        if reads:
            self._add_input(file, name)
        if writes:
            self._add_output(file, name)

    def _leave_out(self, reason: str, path: str, relative: str | None) -> None:
        key = reason, relative is not None
        self._counts[key] += 1
        telling = relative is not None or reason not in _NEEDS_NO_EXAMPLE
        if telling and len(self._examples.setdefault(key, [])) < _EXAMPLES:
            self._examples[key].append(from_fs(path if relative is None else relative))

    def _is_input(self, file: SeenFile) -> bool:
        before = file.get("before")
        if not file.get("existed") or (before is not None and S_ISDIR(before["mode"])):
            return False
        if file.get("read") or file["path"] in self._moved or (file.get("appended") and not file.get("truncated")):
            return True
        # There is a digest of what was there only where it had been read, or where some of it was kept.
        return bool(file.get("written")) and "before_hash" in file

    def _is_output(self, file: SeenFile) -> bool:
        after, before = file.get("after"), file.get("before")
        touched = file.get("written") or file.get("created") or "renamed_from" in file or "link_target" in file
        if after is None or not touched:
            return False
        if not file.get("existed") or before is None or not _same(before, after):
            return True
        if not (file.get("opens") or file.get("inherited") or file.get("truncated")):
            return False  # moved away and back
        # Size and time are as before. So they are after a write in the clock tick of the one before it, and after
        # `touch -d`, as reproducible builds do it, which only the change time tells.
        recent = max(before["mtime_ns"], before["ctime_ns"]) + CLOCK_TICK_NS >= self._began_ns
        if before["ctime_ns"] == after["ctime_ns"] and not recent:
            return False
        try:
            return "before_hash" not in file or digest_file(fs(file["path"])).hash != file["before_hash"]
        except OSError:
            return True

    def _add_input(self, file: SeenFile, name: str) -> None:
        before = file.get("before")
        known, why = (file["before_hash"], None) if "before_hash" in file else self._content_before(file)
        if known is None:
            self.incomplete.append(Incomplete(reason="input-unknown", detail=f"{name}: {why}"))
        kept = known is not None and "before_hash" not in file and "after" in file
        size, mode = (before["size"], before["mode"]) if before else (0, 0o100644)
        self.inputs.add(Met(name, known, size, mode, asked=self._asked(file), unknown=why, kept=kept))

    def _add_output(self, file: SeenFile, name: str) -> None:
        after = file["after"]
        known: str | None
        why: str | None
        try:
            if file.get("type") == "symlink":  # the hash of a link is that of its target's bytes
                known, why = digest_link(fs(file["path"])), None
            else:
                known, why = self._hash(fs(file["path"]), after)
        except OSError as error:
            known, why = None, f"cannot be read: {error.strerror}"
        if known is None:
            self.incomplete.append(Incomplete(reason="output-unknown", detail=f"{name}: {why}"))
        change = "modified" if file.get("existed") else "created"
        asked = self._asked(file)
        self.outputs.add(Met(name, known, after["size"], after["mode"], change, asked=asked, unknown=why))

    def _asked(self, file: SeenFile) -> str | None:
        """A name that led to the file through a symbolic link, one inside the work tree if there is any."""
        names = [fs(name) for name in file.get("asked", ())]
        inside = [relative for name in names if (relative := self._scope.inside(name))]
        return from_fs([*inside, *names][0]) if names else None

    def _content_before(self, file: SeenFile) -> Known:
        """The hash of what an input held before the job, when it is still on the disk."""
        if "before_unknown" in file:
            return None, file["before_unknown"]
        before, after, path = file.get("before"), file.get("after"), file["path"]
        moved_to = self._moved.get(path)
        if moved_to is not None and before is not None and (after is None or not _same(before, after)):
            path, after = moved_to["path"], moved_to.get("after")
        if after is None:
            return None, "removed during the run"
        if before is not None and not _same(before, after):
            return None, "changed during the run"
        try:
            return self._hash(fs(path), after)
        except OSError as error:
            return None, f"cannot be read: {error.strerror}"

    def _hash(self, path: str, expected: Stat) -> Known:
        """The hash of a file that must still be as ``expected``. Raises ``OSError``."""
        stat = os.stat(path)
        now = stat.st_ino, stat.st_dev, stat.st_size, stat.st_mtime_ns
        if now != _identity(expected):
            return None, "changed since the job saw it, before it was hashed"
        known = self._stamps.get(path, stat)
        if known is not None:
            return known, None
        digest = digest_file(path)
        if not digest.stable:
            return None, "changed while it was hashed"
        self._stamps.put(path, digest)
        return digest.hash, None


def _inside_moved_folders(files: Iterable[SeenFile]) -> list[SeenFile]:
    """The files that moved with a renamed folder and that the job did not touch otherwise: gone there, new here."""
    folders = [f for f in files if f.get("type") == "directory" and "renamed_from" in f and f.get("after")]
    known = {f["path"] for f in files} if folders else set()
    found: list[SeenFile] = []
    for folder in folders:
        new, old = fs(folder["path"]), fs(folder["renamed_from"])
        for where, _, names in os.walk(new):
            for name in names:
                path = os.path.join(where, name)
                here, there = from_fs(path), from_fs(old + path.removeprefix(new))
                if here not in known and (state := _stat(path)) is not None:
                    kind = "symlink" if S_ISLNK(state["mode"]) else "file" if S_ISREG(state["mode"]) else "other"
                    found.append({"path": there, "type": kind, "existed": True, "before": state})
                    found.append({"path": here, "type": kind, "after": state, "renamed_from": there})
    return found


def _stat(path: str) -> Stat | None:
    try:
        s = os.lstat(path)
    except OSError:
        return None
    return Stat(
        dev=s.st_dev,
        ino=s.st_ino,
        size=s.st_size,
        mtime_ns=s.st_mtime_ns,
        ctime_ns=s.st_ctime_ns,
        mode=s.st_mode,
    )


def _no_artifact(file: SeenFile, *, inside: bool) -> str | None:
    """Why a file that is in scope is still no artifact of the job."""
    if file.get("type") not in ("file", "symlink"):
        return "device"
    # Standard output may go to a log that was begun before the job and that others write, too. One that the shell
    # made for this command (`> out.csv`) was empty at the start.
    before = file.get("before")
    handed_down = file.get("inherited") and not file.get("opens") and file.get("written")
    return "log" if handed_down and not inside and before is not None and before["size"] > 0 else None


def _identity(stat: Stat) -> tuple[int, int, int, int]:
    return stat["ino"], stat["dev"], stat["size"], stat["mtime_ns"]


def _same(a: Stat, b: Stat) -> bool:
    return _identity(a) == _identity(b)


def vain_lookups(report: Report, root: str, most: int = 64) -> list[str]:
    """Paths inside the work tree that the job looked for and did not find, relative to it."""
    names = {relative for path in report.failed if (relative := below(fs(path), root))}
    plain = (n for n in names if "__pycache__" not in n and not n.startswith(".git/"))
    return [from_fs(n) for n in sorted(plain)[:most]]


def relative_to(path: str, root: str) -> str:
    """An ``os`` path as records spell it: relative to the work tree when inside, "" for the work tree itself."""
    relative = below(path, root)
    return from_fs(path if relative is None else relative)
