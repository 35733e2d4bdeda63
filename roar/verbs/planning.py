"""Making the plan of a reproduction from a lineage: what runs, in which order, and where each input comes from.

Making it runs nothing of the record and writes nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, NamedTuple

from roar.errors import UsageError
from roar.paths import is_outside
from roar.records.job import File
from roar.verbs import outside
from roar.verbs.inputs import FETCHED, Source, Sources
from roar.verbs.lacks import WITHHELD, damaged, missing, no_commit
from roar.verbs.neighbours import Neighbour, joined_below, neighbours
from roar.verbs.plan import Asked, Chosen, LeftOut, Move, Need, Plan, Reason, Step, Stop
from roar.verbs.refusals import refusals

_VERIFIED = ("step", "overlay", "repository", "work tree", "made before", "git", "given", "in place", *FETCHED)
"""Sources that need no checkout and whose content is compared with the record."""


class Part(NamedTuple):
    """Which part of a plan runs, by the numbers of its steps; None and (): all of it.

    ``first``: that one and what depends on it · ``last``: that one and what it depends on · ``only``: these.
    What is made by other steps is taken as it is here. ``force``: steps run whose outputs are all here already.
    ``apart``: each in a work area of its own.
    """

    first: int | None = None
    last: int | None = None
    only: tuple[int, ...] = ()
    force: bool = False
    apart: bool = False


ALL = Part()


def plan(
    asked: Asked, lineage: list[Chosen], sources: Sources, last_seen: Callable[[str], str], part: Part = ALL
) -> Plan:
    """The plan for what is asked. ``lineage`` is in order of dependency; of it only what is needed is taken.

    ``last_seen`` tells who had a content last, as text for people. Raises ``GitError`` when git cannot be read, and
    ``UsageError`` when there is no step of a number in ``part``.
    """
    stops = refusals(lineage)
    if stops:
        return Plan(asked, _bare_steps(lineage), stops)
    needs = _needs(asked, lineage, sources)
    number = {position: n for n, position in enumerate(_order(lineage, needs), 1)}
    numbered = {
        number[position]: [
            Need(file, source._replace(step=number[source.step]) if source.kind == "step" else source)
            for file, source in needs[position]
        ]
        for position in number
    }
    jobs = {n: lineage[position] for position, n in number.items()}
    wanted = number[next(position for position, chosen in enumerate(lineage) if chosen.identifier == asked.job)]
    selected = _Selection(jobs, numbered, sources, part)
    selected.choose(wanted)
    steps: list[Step] = []
    for n in sorted(selected.run):
        step, found = _step(n, jobs[n], selected.needs(n), sources)
        lay = step.lay + [item for neighbour in step.neighbours for item in neighbour.lay]
        stops += found + missing(n, step.needs, last_seen) + damaged(n, lay, sources, withheld=jobs[n].withheld)
        steps.append(step)
    steps = outside.arranged(steps, sources.movable)
    return Plan(asked, _arranged(asked, steps, apart=part.apart), stops, selected.left_out(), part.apart)


def _step(n: int, chosen: Chosen, needs: list[Need], sources: Sources) -> tuple[Step, list[Stop]]:
    made = {need.file.path for need in needs if need.source.kind in ("step", "made before")}
    around = neighbours(chosen.job, chosen.overlay, chosen.beside)
    own = [entry for entry in chosen.job.code.overlay if not any(n.holds_overlay_of(entry.path) for n in around)]
    if chosen.withheld:  # they are had as other inputs are, or not
        own = [entry for entry in own if entry.state == "deleted"]
    lay = [(entry, chosen.overlay.get(entry.path, "")) for entry in own if entry.path not in made]
    commit = chosen.job.code.commit
    gone = commit is not None and not sources.has_commit(commit)
    without = gone and all(need.source.kind in _VERIFIED for need in needs)
    stops = [no_commit(n, chosen.job, sources)] if gone and not without else []
    stops += [Stop(n, *why) for each in around if (why := sources.lacking(each))]
    step = Step(n, chosen.identifier, chosen.job, needs, lay, chosen.outputs, [], [], [], tuple(around))
    return step._replace(without_commit=without), stops


def _order(lineage: list[Chosen], needs: dict[int, list[Need]]) -> list[int]:
    """The positions of what is needed: first what builds, after what that needs itself, then the others."""
    early = {position for position in needs if lineage[position].job.role == "build"}
    for position in sorted(needs, reverse=True):
        if position in early:
            early |= {need.source.step for need in needs[position] if need.source.kind == "step"}
    return sorted(needs, key=lambda position: (position not in early, position))


class _Selection:
    """Which of the numbered steps run."""

    def __init__(self, jobs: dict[int, Chosen], needs: dict[int, list[Need]], sources: Sources, part: Part) -> None:
        self.run: set[int] = set()
        self._jobs = jobs
        self._needs = needs
        self._sources = sources
        self._part = part
        self._chosen = set(jobs)
        self._kinds: dict[int, Literal["here", "made before"] | None] = {}

    def choose(self, asked: int) -> None:
        """Decide, beginning with the step that made what is asked for. Raises ``UsageError``."""
        part = self._part
        for number in (*part.only, *(n for n in (part.first, part.last) if n is not None)):
            if number not in self._jobs:
                raise UsageError(f"the plan has no step @{number}", "leave --from, --to and --step out, with --plan")
        always = {asked if part.last is None else part.last}
        if part.last is not None:
            self._chosen &= self._upwards(part.last)
        if part.first is not None:
            self._chosen &= {n for n in self._jobs if part.first in self._upwards(n)}
            always = set(self._chosen)
        if part.only:
            self._chosen &= set(part.only)
            always = set(self._chosen)
        waiting = list(always)
        while waiting:
            number = waiting.pop()
            if number not in self.run:
                self.run.add(number)
                waiting += [n for n in self._makers(number) if n in self._chosen and (part.force or not self._had(n))]

    def _makers(self, number: int) -> set[int]:
        return {need.source.step for need in self._needs[number] if need.source.kind == "step"}

    def _upwards(self, number: int) -> set[int]:
        found, waiting = set[int](), [number]
        while waiting:
            number = waiting.pop()
            if number not in found:
                found.add(number)
                waiting += self._makers(number)
        return found

    def _had(self, number: int) -> Literal["here", "made before"] | None:
        """How all outputs of a step are had here already; None when some are not."""
        if number not in self._kinds:
            kinds = set[str | None]()
            for file in self._jobs[number].outputs:
                kinds.add(self._sources.here(file))
                if None in kinds:  # the others need not be read
                    break
            had = bool(kinds) and None not in kinds
            self._kinds[number] = None if not had else "made before" if "made before" in kinds else "here"
        return self._kinds[number]

    def needs(self, number: int) -> list[Need]:
        """The inputs of a step that runs; those that steps which do not run have made are taken as they are here."""
        return [
            need
            if need.source.kind != "step" or need.source.step in self.run
            else Need(need.file, self._taken(need.file, need.source))
            for need in self._needs[number]
        ]

    def _taken(self, file: File, source: Source) -> Source:
        found = self._sources.find(file, None)
        if found.kind != "missing":
            return found
        return found._replace(note=f"@{source.step} makes it, which is left out; it is not here")

    def left_out(self) -> tuple[LeftOut, ...]:
        """The steps that do not run, and why."""
        read = {maker for number in self.run for maker in self._makers(number)}
        found = []
        for number in sorted(self._jobs.keys() - self.run):
            chosen = self._jobs[number]
            had = self._had(number) if number in read else None
            reason: Reason = had or ("not needed" if number in self._chosen else "not chosen")
            found.append(LeftOut(number, chosen.identifier, chosen.job, reason, chosen.outputs if had else []))
        return tuple(found)


def _bare_steps(lineage: list[Chosen]) -> list[Step]:
    return [Step(n, c.identifier, c.job, [], [], c.outputs, [], [], []) for n, c in enumerate(lineage, 1)]


def _needs(asked: Asked, lineage: list[Chosen], sources: Sources) -> dict[int, list[Need]]:
    """The inputs of each job that is needed, by its position; a source's ``step`` is a position here."""
    makers: dict[str, list[tuple[int, str]]] = {}
    for position, chosen in enumerate(lineage):
        for file in chosen.outputs:
            if file.hash is not None:
                makers.setdefault(file.hash, []).append((position, file.path))
    wanted = {position for position, chosen in enumerate(lineage) if chosen.identifier == asked.job}
    blobs = _tracked(lineage, sources)
    found: dict[int, list[Need]] = {}
    for position in reversed(range(len(lineage))):  # consumers first: they say which producers are needed
        if position not in wanted:
            continue
        chosen = lineage[position]
        tracked = blobs.get(chosen.job.code.commit, {})
        overlaid = {e.path: e.hash for e in chosen.job.code.overlay if e.state != "deleted"}
        kept = {} if chosen.withheld else overlaid
        around = neighbours(chosen.job, {}, {})
        found[position] = []
        for file in chosen.inputs:
            before = [m for m in makers.get(file.hash or "", []) if m[0] < position]
            source = _source(file, before, kept.get(file.path), tracked.get(file.path), sources)
            if (file.blob or source.kind == "missing") and source.kind != "step":
                source = _of_neighbour(file, source, around)
            if source.kind == "missing" and chosen.withheld and file.path in overlaid:
                source = source._replace(note=f"it {WITHHELD}")
            found[position].append(Need(file, source))
            if source.kind == "step":
                wanted.add(source.step)
    return found


def _tracked(lineage: list[Chosen], sources: Sources) -> dict[str | None, dict[str, str]]:
    """The blobs of all inputs that their jobs' commits have, by commit and path: one question a commit."""
    asked: dict[str, dict[str, None]] = {}
    for chosen in lineage:
        if chosen.job.code.commit is not None and sources.has_commit(chosen.job.code.commit):
            asked.setdefault(chosen.job.code.commit, {}).update(dict.fromkeys(f.path for f in chosen.inputs))
    return {commit: sources.tracked(commit, list(paths)) for commit, paths in asked.items()}


def _source(file: File, makers: list[tuple[int, str]], kept: str | None, blob: str | None, sources: Sources) -> Source:
    """Made under this name by an earlier step, else code, else made under another name, else found."""
    same = [maker for maker in makers if maker[1] == file.path]
    if same:
        return Source("step", same[-1][1], same[-1][0])
    if kept is not None and kept == file.hash:
        return Source("overlay")
    if blob is not None and blob == file.blob and file.pointer is None:
        return Source("commit")
    if makers and file.size:  # an empty file is equal to any other, which says nothing
        return Source("step", makers[-1][1], makers[-1][0])
    return sources.find(file, blob)


def _of_neighbour(file: File, source: Source, around: list[Neighbour]) -> Source:
    """An input that is checked out with another repository; else its source as it was."""
    holder = next((each for each in reversed(around) if each.relative(file.path)), None)
    if holder is None:
        return source
    kept = {entry.path for entry, _ in holder.lay}
    # whether a submodule has a file, not every record says
    is_held = file.blob or holder.submodule or (joined_below(file.path, holder.path) in kept)
    return Source("repository", holder.path) if is_held else source


def _arranged(asked: Asked, steps: list[Step], *, apart: bool) -> list[Step]:
    """The steps with what must be moved between them, by going through them as they will run.

    A later step may have written to a path, or a commit or an overlay have put something else there, when the version
    that an earlier step made is needed once more. With ``apart`` nothing is where another step has put it.
    """
    holds: dict[str, tuple[int, str]] = {}
    aside: dict[int, dict[str, None]] = {}
    arranged = []
    for step in steps:
        for entry, _ in step.lay:
            holds.pop(entry.path, None)
        moves = []
        for need in step.needs:
            path, source = need.file.path, need.source
            if source.kind != "step":
                holds.pop(path, None)
                continue
            made = source.step, source.place
            if (apart or holds.get(path) != made) and not is_outside(path):
                moves.append(Move(*made, path))
                aside.setdefault(source.step, {})[source.place] = None
            holds[path] = made
        holds.update((file.path, (step.number, file.path)) for file in step.outputs)
        arranged.append(step._replace(moves=moves))
    sources = [need.source for step in steps for need in step.needs]
    read = {(source.step, source.place) for source in sources if source.kind == "step"}
    return [_compared(asked, step, read)._replace(set_aside=list(aside.get(step.number, {}))) for step in arranged]


def _compared(asked: Asked, step: Step, read: set[tuple[int, str]]) -> Step:
    """The step with its outputs sorted: what lies outside counts only when it was asked for or is read later on."""

    def counts(file: File) -> bool:
        if not is_outside(file.path) or (step.number, file.path) in read:
            return True
        return step.identifier == asked.job and asked.content is not None and file.hash == asked.content

    outputs = [file for file in step.outputs if counts(file)]
    return step._replace(outputs=outputs, elsewhere=[file for file in step.outputs if not counts(file)])
