"""Whether what a command is going to read, or has read, was made from something that has changed since.

Only what is cheap to know counts: a file is taken as changed when its size, its memoised digest or, up to
``MAX_HASHED`` bytes, its content says so. ``roar status`` looks at everything.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import NamedTuple

from roar.cache.index import Index, open_index, path_of
from roar.config.model import Redact
from roar.git.repository import Repository
from roar.hashing import digest_file, digest_link
from roar.lineage import Use
from roar.paths import fs, is_outside
from roar.records.job import Job
from roar.records.summary import printable
from roar.stamps import Stamps
from roar.verbs import sessions
from roar.verbs.record import Run, command_of
from roar.verbs.steps import Number, steps_of

MAX_HASHED = 16 << 20
MOST_JOBS = 300
"""Farther up than so many jobs nothing is looked at."""


class Outdated(NamedTuple):
    """An input that is not up to date, the step that has to run first, and why."""

    path: str
    step: Number
    reason: str

    @property
    def text(self) -> str:
        """In words."""
        return f"input {printable(self.path)} is stale: @{self.step} should run first ({self.reason})"


def of_step(index: Index, repo: Repository, session: str, job: str) -> Outdated | None:
    """The first input of a step that is stale as it lies there; ``job`` is the step's latest."""
    disk = _Disk(repo)
    try:
        inputs = [use._replace(hash=disk.content(use)) for use in _inputs(index, job)]
        return _Upstream(index, session, disk).first(inputs)
    finally:
        disk.close()


def of_job(index: Index, repo: Repository, session: str, job: str) -> Outdated | None:
    """The first input that was stale when a job read it, as far as it still can be told."""
    disk = _Disk(repo)
    try:
        return _Upstream(index, session, disk).first(_inputs(index, job))
    finally:
        disk.close()


def of_run(run: Run) -> Outdated | None:
    """``of_step`` for the step that a command which was just started is one of; None when it has not run before."""
    session = run.session or sessions.active(run.repo)
    if session is None or not _index_is_there(run.repo):
        return None
    rules = run.configuration.settings.redact if run.configuration else Redact()
    with open_index(run.repo) as index:
        job = index.latest_of_step(session, run.role, command_of(run, rules)[0])
        return of_step(index, run.repo, session, job) if job else None


def _index_is_there(repo: Repository) -> bool:
    """To make one takes as long as there are records, which no run should wait for; the next question does."""
    return os.path.exists(path_of(repo))


def of_recorded(repo: Repository, identifier: str, job: Job) -> Outdated | None:
    """``of_job`` for a job that was just recorded."""
    if job.session is None or not _index_is_there(repo):
        return None
    with open_index(repo) as index:
        return of_job(index, repo, job.session, identifier)


def _inputs(index: Index, job: str) -> list[Use]:
    """What a job read and did not write itself."""
    inputs, outputs = index.uses([job]).get(job, ([], []))
    written = {use.path for use in outputs}
    return [use for use in inputs if use.path not in written]


class _Disk:
    """What lies in the work tree now."""

    def __init__(self, repo: Repository) -> None:
        self._top = repo.require_work_tree()
        self._memo = Stamps(repo.own_dir)
        self._known: dict[Use, str | None] = {}
        self.close = self._memo.close

    def content(self, use: Use) -> str | None:
        """The hash of what is at the place of a file now: the recorded one when that is not known to have changed."""
        if use not in self._known:
            self._known[use] = self._content(os.path.join(self._top, fs(use.path)), use)
        return self._known[use]

    def _content(self, path: str, use: Use) -> str | None:
        try:
            if os.path.islink(path) and digest_link(path) == use.hash:
                return use.hash
            stat = os.stat(path)
            if stat.st_size > MAX_HASHED:
                known = self._memo.get(path, stat)
                return known or (use.hash if stat.st_size == use.size else None)
            return digest_file(path).hash
        except OSError:
            return use.hash if is_outside(use.path) else None


class _Upstream:
    """The jobs of a session that led to some inputs, and which of them would write something else now."""

    def __init__(self, index: Index, session: str, disk: _Disk) -> None:
        self._index = index
        self._disk = disk
        self._number = {job: step.number for step in steps_of(index, session) for job in step.jobs}
        self._makers: dict[Use, list[str]] = {}
        self._inputs: dict[str, list[Use]] = {}

    def first(self, inputs: list[Use]) -> Outdated | None:
        """The first of these inputs that only outdated jobs have made."""
        self._climb(inputs)
        why = {job: reason for job, uses in self._inputs.items() if (reason := self._changed(uses))}
        stale, more = set[str](), set(why)
        while more:
            stale |= more
            others = self._inputs.keys() - stale
            more = {job for job in others if any(self._is_stale(use, stale) for use in self._inputs[job])}
        for use in inputs:
            if self._is_stale(use, stale):
                root = self._root(use, stale)
                return Outdated(use.path, self._number[root], why.get(root, "what it read changed"))
        return None

    def _climb(self, inputs: Iterable[Use]) -> None:
        """Learn the makers of these inputs, and those of theirs."""
        level = list(inputs)
        while level and len(self._inputs) < MOST_JOBS:
            new = [use for use in level if use.hash and not use.code and use not in self._makers]
            made = self._index.made({use.hash for use in new if use.hash})
            for use in new:
                makers = (m.job for m in made.get(use.hash or "", []) if m.path == use.path and not m.again)
                self._makers[use] = [job for job in makers if job in self._number]
            jobs = {job for use in new for job in self._makers[use]} - self._inputs.keys()
            known = self._index.uses(jobs)
            for job in jobs:
                read, wrote = known.get(job, ([], []))
                own = {use.path for use in wrote}
                self._inputs[job] = [use for use in read if use.path not in own]
            level = [use for job in jobs for use in self._inputs[job]]

    def _changed(self, uses: list[Use]) -> str | None:
        for use in uses:
            if use.hash and self._disk.content(use) != use.hash:
                return f"{printable(use.path)} changed since"
        return None

    def _is_stale(self, use: Use, stale: set[str]) -> bool:
        makers = self._makers.get(use)
        return bool(makers) and stale.issuperset(makers or ())

    def _root(self, use: Use, stale: set[str]) -> str:
        """The job farthest up that would have to run first."""
        seen: set[str] = set()
        while True:
            job = self._makers[use][-1]
            seen.add(job)
            further = (u for u in self._inputs[job] if self._is_stale(u, stale) and self._makers[u][-1] not in seen)
            found = next(further, None)
            if found is None:
                return job
            use = found
