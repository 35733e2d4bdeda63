"""The plan of a reproduction: which steps, on which code, from which inputs, and what stands in the way.

A value: making it runs nothing of the record and writes nothing. Records may come from anybody, so a step that names
a path outside of its place, or what no command line can hold, is refused here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

from roar.hashing import digest_bytes
from roar.paths import fs, is_safe_relative
from roar.records.job import File, Job, OverlayFile
from roar.records.summary import printable
from roar.verbs.inputs import Source, Sources, is_outside
from roar.verbs.rebuild_env import Planned

_VERIFIED = ("step", "overlay", "work tree", "given", "in place")
"""Sources that need no checkout and whose content is compared with the record."""
_PIPED = "standard-input"
"""The gap of a record whose command read a pipe."""


class Chosen(NamedTuple):
    """A job of the lineage, with what lies beside its record: all of its files, and its overlay's blobs by path."""

    identifier: str
    job: Job
    inputs: list[File]
    outputs: list[File]
    overlay: Mapping[str, str]


class Asked(NamedTuple):
    """What is to be made again: an artifact of a job, or all that the job wrote when ``content`` is None."""

    name: str
    """As the user typed it."""
    job: str
    content: str | None = None


class Need(NamedTuple):
    """An input, and where it comes from."""

    file: File
    source: Source


class Move(NamedTuple):
    """A file of an earlier step that must be put to a path, because something else came to lie there."""

    step: int
    place: str
    path: str


class Step(NamedTuple):
    """One job to run again."""

    number: int
    identifier: str
    job: Job
    needs: list[Need]
    lay: list[tuple[OverlayFile, str]]
    """The overlay, each with its blob ("" for a deleted file); without what an earlier step makes."""
    outputs: list[File]
    """Those that are compared."""
    elsewhere: list[File]
    """Those outside of the repository that no later step reads: not compared."""
    moves: list[Move]
    set_aside: list[str]
    """Outputs that a later ``Move`` takes."""
    environments: tuple[Planned, ...] = ()
    without_commit: bool = False
    """True when its commit is not here, and nothing that it read has to come from there."""

    @property
    def waits_for(self) -> set[int]:
        """The numbers of the steps that make its inputs."""
        return {need.source.step for need in self.needs if need.source.kind == "step"}

    @property
    def remarks(self) -> list[str]:
        """What may make its second run another one, for people."""
        found = [printable(f"{gap.reason}: {gap.detail}") for gap in self.job.incomplete if gap.reason == _PIPED]
        if self.without_commit:
            commit = (self.job.code.commit or "")[:12]
            found.append(f"its commit {commit} is not in this repository; all that it read is had from elsewhere")
        return found


class Stop(NamedTuple):
    """Why the reproduction cannot start. ``file`` and ``last_seen`` for an input that is not here."""

    step: int
    reason: str
    hint: str | None = None
    file: File | None = None
    last_seen: str = ""


class Plan(NamedTuple):
    """Steps in the order in which they run. It can start when there are no stops."""

    asked: Asked
    steps: list[Step]
    stops: list[Stop]

    def is_asked(self, step: Step, file: File) -> bool:
        """True for the artifact that was asked for."""
        if step.identifier != self.asked.job:
            return False
        return self.asked.content is None or file.hash == self.asked.content


def plan(asked: Asked, lineage: list[Chosen], sources: Sources, last_seen: Callable[[str], str]) -> Plan:
    """The plan for what is asked. ``lineage`` is in order of dependency; of it only what is needed is taken.

    ``last_seen`` tells who had a content last, as text for people. Raises ``GitError`` when git cannot be read.
    """
    stops = _refusals(lineage)
    if stops:
        return Plan(asked, _bare_steps(lineage), stops)
    needs = _needs(asked, lineage, sources)
    number = {position: n for n, position in enumerate(sorted(needs), 1)}
    steps: list[Step] = []
    for position, n in number.items():
        chosen = lineage[position]
        mine = [
            Need(file, source._replace(step=number[source.step]) if source.kind == "step" else source)
            for file, source in needs[position]
        ]
        made = {need.file.path for need in mine if need.source.kind == "step"}
        lay = [
            (entry, chosen.overlay.get(entry.path, "")) for entry in chosen.job.code.overlay if entry.path not in made
        ]
        commit = chosen.job.code.commit
        gone = commit is not None and not sources.has_commit(commit)
        without = gone and all(need.source.kind in _VERIFIED for need in mine)
        stops += [_no_commit(n, chosen.job, sources)] if gone and not without else []
        stops += _missing(n, mine, last_seen) + _damaged(n, lay, sources)
        step = Step(n, chosen.identifier, chosen.job, mine, lay, chosen.outputs, [], [], [], without_commit=without)
        steps.append(step)
    return Plan(asked, _arranged(asked, steps), stops)


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
        kept = {e.path: e.hash for e in chosen.job.code.overlay if e.state != "deleted"}
        found[position] = []
        for file in chosen.inputs:
            before = [m for m in makers.get(file.hash or "", []) if m[0] < position]
            source = _source(file, before, kept.get(file.path), tracked.get(file.path), sources)
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
    if blob is not None and blob == file.blob:
        return Source("commit")
    if makers and file.size:  # an empty file is equal to any other, which says nothing
        return Source("step", makers[-1][1], makers[-1][0])
    return sources.find(file, blob)


def _arranged(asked: Asked, steps: list[Step]) -> list[Step]:
    """The steps with what must be moved between them, by going through them as they will run.

    A later step may have written to a path, or a commit or an overlay have put something else there, when the version
    that an earlier step made is needed once more.
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
            if holds.get(path) != made and not is_outside(path):
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


def _missing(number: int, needs: list[Need], last_seen: Callable[[str], str]) -> list[Stop]:
    return [
        Stop(number, source.note or "it is not here", f"--input {file.hash}=PATH", file, last_seen(file.hash or ""))
        for file, source in needs
        if source.kind == "missing"
    ]


def _no_commit(number: int, job: Job, sources: Sources) -> Stop:
    """That its code is not here, and where it may be had."""
    commit = job.code.commit or ""
    host = printable(job.environment.machine.hostname or "the machine that ran it")
    place = sources.remote()
    hint = f"git fetch {place} {commit}; if it is not there, push it from {host}"
    if place is None:
        hint = f"git fetch URL {commit}, with the repository on {host}"
    return Stop(number, f"its commit {commit[:12]} is not in this repository", hint)


def _damaged(number: int, lay: list[tuple[OverlayFile, str]], sources: Sources) -> list[Stop]:
    """What of the overlay is not here, or not what its record says."""
    stops = []
    for entry, blob in lay:
        body = sources.body(blob) if blob else None
        if entry.state != "deleted" and (body is None or digest_bytes(body) != entry.hash):
            what = "is damaged" if body is not None else "is missing"
            stops.append(Stop(number, f"the kept copy of {printable(entry.path)} {what}", "git fsck"))
    return stops


def _refusals(lineage: list[Chosen]) -> list[Stop]:
    """What no record of roar's own would hold."""
    stops = []
    for number, chosen in enumerate(lineage, 1):
        command, files = chosen.job.command, [*chosen.inputs, *chosen.outputs]
        if not command.argv or not all(map(_can_be_a_word, command.argv)):
            stops.append(Stop(number, "its record holds no command that can be run"))
        if any("[redacted:" in word for word in command.argv):
            stops.append(Stop(number, "its command holds a secret, which was not recorded"))
        if is_outside(command.cwd):
            stops.append(Stop(number, f"it ran outside of its repository, in {printable(command.cwd)}"))
        elif command.cwd and not is_safe_relative(command.cwd):
            stops.append(Stop(number, f"its record names a folder that leaves the work area: {printable(command.cwd)}"))
        names = [f.path for f in files if not is_outside(f.path)]
        names += [entry.path for entry in chosen.job.code.overlay]
        wrong = [name for name in names if not is_safe_relative(name)]
        if wrong:
            stops.append(Stop(number, f"its record names a path that leaves the work area: {printable(wrong[0])}"))
    return stops


def _can_be_a_word(word: str) -> bool:
    try:
        return "\0" not in fs(word)
    except ValueError:
        return False
