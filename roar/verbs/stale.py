"""Which steps of a session are out of date, and why: the records compared with the files on the disk.

A step is stale when what it read is no longer what is there, when what it wrote is modified or gone, or when a step
that it depends on is stale or failed. It is superseded when everything it wrote was written anew by other steps.
A file whose recorded content is not known is never a reason; nor is one outside the work tree that is gone, which may
belong to another machine.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import Literal, NamedTuple

from roar.cache.index import Index
from roar.git.repository import Repository
from roar.hashing import digest_files, digest_link
from roar.lineage import Use, origins
from roar.paths import fs, is_outside
from roar.records.summary import printable
from roar.stamps import Stamps
from roar.verbs.steps import Number, Step, steps_of


class Reason(NamedTuple):
    """Why a step is stale. ``text`` says it in words; ``path`` is the file it is about, ``step`` the other step."""

    kind: Literal["input", "code", "output", "upstream"]
    text: str
    path: str | None = None
    step: Number | None = None


class State(NamedTuple):
    """A step and how it stands; ``needs`` are the numbers of the steps whose outputs it read."""

    step: Step
    state: Literal["active", "stale", "superseded", "failed"]
    reasons: list[Reason]
    needs: list[Number]
    inputs: list[Use]
    outputs: list[Use]


def states(index: Index, repo: Repository, session: str) -> list[State]:
    """Every step of a session in order, compared with the work tree."""
    steps = steps_of(index, session)
    pipeline = _Pipeline(index, steps)
    disk = _on_disk(repo, pipeline.paths())
    found: dict[Number, State] = {}
    for step in steps:
        inputs, outputs = pipeline.uses(step)
        superseded = pipeline.is_superseded(step)
        reasons = [] if superseded else [*pipeline.input_reasons(step, disk), *pipeline.output_reasons(step, disk)]
        state: Literal["active", "stale", "superseded", "failed"] = "stale" if reasons else "active"
        if superseded:
            state = "superseded"
        elif not step.ok[-1]:
            state = "failed"
        found[step.number] = State(step, state, reasons, pipeline.needs(step), inputs, outputs)
    _spread(found)
    return list(found.values())


def _spread(found: dict[Number, State]) -> None:
    """Make stale whatever depends on a step that failed, or that would write something else if it ran again.

    A step that is stale only because an output is damaged makes nothing else stale: who reads that output says so.
    """
    dependents: dict[Number, list[Number]] = {}
    for number, state in found.items():
        for needed in state.needs:
            dependents.setdefault(needed, []).append(number)
    waiting = [number for number, state in found.items() if state.state == "failed" or _would_differ(state)]
    told = set(waiting)
    for number in waiting:
        for dependent in dependents.get(number, []):
            state = found[dependent]
            if state.state == "superseded":
                continue
            text = f"@{number} {'failed' if found[number].state == 'failed' else 'is stale'}"
            state.reasons.append(Reason("upstream", text, step=number))
            if state.state == "active":
                found[dependent] = state._replace(state="stale")
            if dependent not in told:
                told.add(dependent)
                waiting.append(dependent)


def _would_differ(state: State) -> bool:
    return any(reason.kind != "output" for reason in state.reasons)


class _Pipeline:
    """The jobs that stand for each step, and which step wrote what."""

    def __init__(self, index: Index, steps: list[Step]) -> None:
        jobs = [job for step in steps for job in step.stands]
        self._number = {job: step.number for step in steps for job in step.jobs}
        self._uses = index.uses(jobs)
        self._files = {step.number: self._files_of(step) for step in steps}
        self._origins = origins(index, jobs)
        self._last: dict[str, tuple[str, str | None]] = {}
        """The last (job, hash) written to each path."""
        for job in sorted(jobs):
            for use in self._uses.get(job, ([], []))[1]:
                self._last[use.path] = job, use.hash

    def _files_of(self, step: Step) -> tuple[dict[str, tuple[str, Use]], dict[str, tuple[str, Use]]]:
        """What a step read and wrote: each path with the newest of its jobs that did, and how."""
        read: dict[str, tuple[str, Use]] = {}
        wrote: dict[str, tuple[str, Use]] = {}
        for job in step.stands:
            inputs, outputs = self._uses.get(job, ([], []))
            read.update((use.path, (job, use)) for use in inputs)
            wrote.update((use.path, (job, use)) for use in outputs)
        return read, wrote

    def uses(self, step: Step) -> tuple[list[Use], list[Use]]:
        """The inputs and outputs of a step, by path."""
        read, wrote = self._files[step.number]
        return [read[path][1] for path in sorted(read)], [wrote[path][1] for path in sorted(wrote)]

    def paths(self) -> set[str]:
        """Every file that matters."""
        return {path for sides in self._files.values() for side in sides for path in side}

    def needs(self, step: Step) -> list[Number]:
        """The other steps whose outputs a step read."""
        read = self._files[step.number][0]
        makers = {
            self._number.get(maker)
            for job in step.stands
            for use, maker in self._origins[job]
            if maker and read[use.path][0] == job
        }
        return [number for number in self._files if number in makers and number != step.number]

    def is_superseded(self, step: Step) -> bool:
        """True when other steps have written all of its outputs anew, none of them by changing what it wrote."""
        outputs = self.uses(step)[1]
        return bool(outputs) and all(
            not self._wrote_last(step, use.path) and not self._grew_from(step, use.path) for use in outputs
        )

    def _wrote_last(self, step: Step, path: str) -> bool:
        return self._number[self._last[path][0]] == step.number

    def _grew_from(self, step: Step, path: str) -> bool:
        """True when the last content of a path came, change by change, from what the step wrote there."""
        job, seen = self._last[path][0], set[str]()
        while job not in seen and job in self._origins:
            seen.add(job)
            makers = (maker for use, maker in self._origins[job] if use.path == path and maker)
            job = next(makers, job)
            if self._number.get(job) == step.number:
                return True
        return False

    def input_reasons(self, step: Step, disk: dict[str, list[str] | None]) -> list[Reason]:
        """What a step read and is no longer there."""
        inputs, outputs = self.uses(step)
        changed_by_itself = {use.path for use in outputs}
        reasons = []
        for use in inputs:
            now, what = disk[use.path], f"{'file in git' if use.code else 'input'} {printable(use.path)}"
            if use.hash is None or use.path in changed_by_itself or (now is not None and use.hash in now):
                continue
            kind: Literal["input", "code"] = "code" if use.code else "input"
            if now is None:
                if not is_outside(use.path):
                    reasons.append(Reason(kind, f"{what} is gone", use.path))
                continue
            writer, content = self._last.get(use.path, (None, None))
            number = self._number.get(writer or "")
            if number is not None and content in now:
                text = f"@{number} has written another {printable(use.path)} since"
                reasons.append(Reason("upstream", text, use.path, number))
            else:
                reasons.append(Reason(kind, f"{what} changed", use.path))
        return reasons

    def output_reasons(self, step: Step, disk: dict[str, list[str] | None]) -> list[Reason]:
        """What a step wrote and is no longer there, unless a later step wrote it anew."""
        reasons = []
        for use in self.uses(step)[1]:
            now = disk[use.path]
            if use.hash is None or not self._wrote_last(step, use.path) or (now is not None and use.hash in now):
                continue
            if now is None and is_outside(use.path):
                continue
            what = "is gone" if now is None else "was modified"
            reasons.append(Reason("output", f"output {printable(use.path)} {what}", use.path))
        return reasons


def _on_disk(repo: Repository, names: Iterable[str]) -> dict[str, list[str] | None]:
    """What each recorded path holds now: the hashes it may be recorded by (none when unreadable); None when gone."""
    top = repo.require_work_tree()
    found: dict[str, list[str] | None] = {}
    files: dict[str, str] = {}
    for name in names:
        path = os.path.join(top, fs(name))
        if not os.path.lexists(path):
            found[name] = None
            continue
        found[name] = [digest_link(path)] if os.path.islink(path) else []
        if os.path.isfile(path):
            files[path] = name
    memo = Stamps(repo.own_dir)
    for path, digest in digest_files(files, memo).items():
        hashes = found[files[path]]
        if hashes is not None and not isinstance(digest, OSError):
            hashes.append(digest.hash)
    memo.close()
    return found
