"""What became of a recorded output, and what may have made it another one."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from typing import Literal, NamedTuple

from roar.cache.index import Index
from roar.git.repository import Repository
from roar.records.job import File, Job
from roar.records.summary import printable
from roar.verbs.compare import Change, compare
from roar.verbs.equivalence import Rule, choose, first_difference
from roar.verbs.likeness import IncomparableError, first_offset
from roar.verbs.translate import OF_PLACE

State = Literal["identical", "equivalent", "differs", "missing", "unknown", "taken", "not run"]
"""``equivalent``: the bytes differ and a comparison that is named holds. ``unknown``: the record has nothing to
compare with. ``taken``: it was not made, since it is here already, byte for byte."""


class Verdict(NamedTuple):
    """What became of one recorded output. ``found`` is its hash now."""

    step: int
    file: File
    state: State
    found: str | None
    asked: bool
    by: str = ""
    """The comparison that was made beside that of the bytes."""
    where: str = ""
    """The first difference; of an equivalent file that of its bytes."""
    note: str = ""
    """Why no more is known."""


def judged(verdict: Verdict, recorded: str | None, found: str, rules: Iterable[Rule]) -> Verdict:
    """The verdict on a file whose bytes differ, looked at closely: ``recorded`` is a copy of what it was, if there is
    one, ``found`` what it is now (absolute names).
    """
    comparison = choose(verdict.file.path, rules)
    if recorded is None:
        given = f"--input {(verdict.file.hash or '')[:12]}=PATH"
        return verdict._replace(note=f"no copy of the recorded bytes is here to compare with ({given})")
    try:
        at = first_offset(recorded, found)
        verdict = verdict._replace(where=f"byte {at}")
        if comparison is None:
            return verdict
        where = first_difference(comparison, recorded, found)
    except IncomparableError as error:
        return verdict._replace(note=error.message)
    except OSError as error:
        return verdict._replace(note=f"not compared: {error.strerror or error}")
    if where is None:
        return verdict._replace(state="equivalent", by=comparison.words)
    return verdict._replace(by=comparison.words, where=where)


def by_metrics(verdict: Verdict, before: Job, after: Job) -> Verdict:
    """The verdict with the first number that differs, by what both records keep of a small result file."""
    old, new = ({m.path: m.values for m in job.metrics}.get(verdict.file.path, {}) for job in (before, after))
    for name in old:
        if name in new and old[name] != new[name]:
            return verdict._replace(where=printable(f"{name} is {new[name]}, recorded {old[name]}"))
    return verdict


Kind = Literal[
    "input",
    "command",
    "code",
    "package",
    "system package",
    "threads",
    "hardware",
    "environment",
    "unread package",
    "unknown",
    "chance",
]
"""In order of rank. ``unknown``: a record does not know everything. ``chance``: a seed, the time, the order of
threads, which no record shows."""


class Cause(NamedTuple):
    """One thing that was not the same around the second run; None where it is not there."""

    kind: Kind
    name: str
    before: str | None = None
    after: str | None = None

    @property
    def words(self) -> str:
        """``package: numpy 2.4.6, recorded 1.26.4``."""
        if self.before is None and self.after is None:
            return f"{self.kind}: {self.name}"
        short = 12 if self.kind == "input" else None
        before, after = ((value or "none")[:short] for value in (self.before, self.after))
        return f"{self.kind}: {self.name} {after}, recorded {before}"


_THREADS = re.compile(r".*_(NUM|MAXIMUM|MAX)_THREADS|.*MAX_CPU_COUNT|cores")
_HARDWARE = ("architecture", "cpu", "gpus")
CHANCE = "a seed, the time or the order of threads, which no record shows"


def causes(index: Index, repo: Repository, original: str, again: str) -> list[Cause]:
    """What may have made the second run another one, the likeliest first. Raises ``RoarError``."""
    found = compare(index, repo, original, again)
    near: list[Cause] = []
    for change in found.inputs:
        sides = (change.before, change.after)
        near += [_cause("input", change.path, *(file.hash if file else None for file in sides))]
    near += _as_causes(lambda _: "command", found.command)
    near += [_cause("code", change.path) for change in found.code]
    near += _as_causes(lambda change: "unread package" if change.unread else "package", found.packages)
    near += _as_causes(lambda _: "system package", found.system)
    around = [c for c in (*found.variables, *found.machine) if not OF_PLACE.fullmatch(c.name)]
    near += _as_causes(_around, [change for change in around if change.name not in _TRANSLATED])
    gaps = sorted({gap.reason for one in (found.before, found.after) for gap in one.job.incomplete})
    near += [Cause("unknown", ", ".join(gaps))] if gaps else []
    return [*sorted(near, key=lambda cause: _RANKS.index(cause.kind)), Cause("chance", CHANCE)]


_RANKS: tuple[Kind, ...] = (
    "input", "command", "code", "package", "system package", "threads", "hardware", "environment", "unread package",
    "unknown", "chance",
)  # fmt: skip
_TRANSLATED = ("memory_bytes", "PYTHONPATH")


def _around(change: Change) -> Kind:
    if _THREADS.fullmatch(change.name):
        return "threads"
    return "hardware" if change.name in _HARDWARE else "environment"


def _as_causes(kind: Callable[[Change], Kind], changes: Iterable[Change]) -> Iterator[Cause]:
    for change in changes:
        yield _cause(kind(change), change.name, *(None if v is None else str(v) for v in (change.before, change.after)))


def _cause(kind: Kind, name: str, before: str | None = None, after: str | None = None) -> Cause:
    return Cause(kind, printable(name), before and printable(before), after and printable(after))
