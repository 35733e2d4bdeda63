"""Why a file is what it is: what was different when it was written, from when its path last held other content.

A changed input that a recorded job made is followed to the run before of what made it, and so on to what changed
first. Which of several differences mattered cannot be known from records; they are ordered by how directly they act.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Literal, NamedTuple

from roar.cache.index import Index
from roar.git.repository import Repository
from roar.lineage import Use, choose_producer
from roar.records.job import File
from roar.verbs.compare import Change, Comparison, FileChange, compare
from roar.verbs.patch import Patch

Kind = Literal[
    "arguments",
    "code",
    "input",
    "package",
    "system package",
    "environment",
    "machine",
    "unread package",
    "unknown",
    "chance",
]
"""In order of rank. ``unknown``: a record does not know everything. ``chance``: nothing that was recorded differs."""
MOST_COMPARED = 50
"""Pairs of jobs that are looked at; a longer story fits no screen."""


class Cause(NamedTuple):
    """One difference. ``because`` are those between the jobs that made the two versions of an input."""

    kind: Kind
    name: str
    before: str | None = None
    after: str | None = None
    made_by: tuple[str, str] | None = None
    because: tuple[Cause, ...] = ()
    lines: tuple[str, ...] = ()
    """Of code: the lines removed and added, as in a patch."""


class Why(NamedTuple):
    """The job that wrote a content, and the one that wrote other content there before (None: nobody did)."""

    path: str
    hash: str
    job: str
    before: tuple[str, str] | None
    """Hash and job."""
    comparison: Comparison | None
    causes: list[Cause]
    truncated: bool


def why(index: Index, repo: Repository, path: str, content: str, older: str | None = None) -> Why | None:
    """Why ``path`` holds ``content``, and not the ``older`` one or (None) what was there last.

    None when no job wrote this content there.
    """
    versions = index.versions(path)
    contents = [known for known, _ in versions]
    if content not in contents:
        return None
    at = contents.index(content)
    job = versions[at][1]
    others = (
        (known, by) for known, by in versions[at + 1 :] if (known != content if older is None else known == older)
    )
    before = next(others, None)
    if before is None and older is not None:
        before = next(((known, by) for known, by in versions if known == older), None)
    if before is None:
        return Why(path, content, job, None, None, [], truncated=False)
    story = _Story(index, repo)
    comparison = compare(index, repo, before[1], job)
    return Why(path, content, job, before, comparison, list(story.causes(comparison)), story.truncated)


class _Story:
    """Follows changed inputs upwards; each pair of jobs is told once."""

    def __init__(self, index: Index, repo: Repository) -> None:
        self._index = index
        self._repo = repo
        self._told: set[tuple[str, str]] = set()
        self.truncated = False

    def causes(self, found: Comparison) -> Iterator[Cause]:
        """What differs between two jobs, the most direct first."""
        self._told.add((found.before.id, found.after.id))
        yield from _as_causes("arguments", found.command)
        changed = _changed_lines(found.patch)
        for file in found.code:
            lines = tuple(changed.get(file.path, ()))
            yield Cause("code", file.path, _hash(file.before), _hash(file.after), lines=lines)
        for file in found.inputs:
            yield self._input(found, file)
        read, unread = ([c for c in found.packages if c.unread == far] for far in (False, True))
        yield from _as_causes("package", read)
        yield from _as_causes("system package", found.system)
        yield from _as_causes("environment", found.variables)
        yield from _as_causes("machine", found.machine)
        yield from _as_causes("unread package", unread)
        gaps = sorted({gap.reason for one in (found.before, found.after) for gap in one.job.incomplete})
        if gaps:
            yield Cause("unknown", ", ".join(gaps))
        elif not found.causes:
            yield Cause("chance", "nothing that was recorded differs")

    def _input(self, found: Comparison, change: FileChange) -> Cause:
        makers = (
            self._maker(found.before.id, change.before),
            self._maker(found.after.id, change.after),
        )
        cause = Cause("input", change.path, _hash(change.before), _hash(change.after))
        if makers[0] is None or makers[1] is None:
            return cause
        pair = (makers[0], makers[1])
        if pair in self._told or pair[0] == pair[1]:
            return cause._replace(made_by=pair)
        if len(self._told) >= MOST_COMPARED:
            self.truncated = True
            return cause._replace(made_by=pair)
        self._told.add(pair)
        because = tuple(self.causes(compare(self._index, self._repo, *pair)))
        return cause._replace(made_by=pair, because=because)

    def _maker(self, job: str, file: File | None) -> str | None:
        if file is None or file.hash is None:
            return None
        return choose_producer(self._index, job, Use(file.path, file.hash, file.size))


def _as_causes(kind: Kind, changes: Iterable[Change]) -> Iterator[Cause]:
    for change in changes:
        yield Cause(kind, change.name, _text(change.before), _text(change.after))


def _changed_lines(patch: Patch) -> dict[str, list[str]]:
    """The lines that are removed or added, by path. The files are in the order of the counts."""
    found: dict[str, list[str]] = {}
    paths = iter(patch.counts)
    inside: list[str] | None = None
    for line in patch.text.decode(errors="backslashreplace").split("\n"):
        if line.startswith("diff --git "):
            path, inside = next(paths, ""), None
        elif line.startswith("@@ "):
            inside = found.setdefault(path, [])
        elif inside is not None and line.startswith(("+", "-")):
            inside.append(line)
    return found


def _hash(file: File | None) -> str | None:
    return file.hash if file else None


def _text(value: object) -> str | None:
    return None if value is None else str(value)
