"""Taking jobs, sessions and artifacts back, by a record that says so; and the files that such jobs created."""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import NamedTuple

from roar.cache.index import Index
from roar.errors import NotFoundError, UsageError
from roar.git import settings, worktree
from roar.git.repository import Repository
from roar.journal.append import append
from roar.paths import below, from_fs, fs, is_safe_relative
from roar.records.about import Withdrawal
from roar.records.ids import clock_of
from roar.records.job import File, Job
from roar.records.summary import printable
from roar.verbs import sessions
from roar.verbs.resolve import content_at, resolve
from roar.verbs.steps import session_asked


class Chosen(NamedTuple):
    """What is to be taken back: jobs, sessions with all of their jobs, contents (with a path each was seen at)."""

    jobs: dict[str, Job]
    sessions: list[str]
    artifacts: dict[str, str]

    @property
    def records(self) -> list[str]:
        """The ids of all records among them."""
        return [*self.sessions, *self.jobs]


class Outputs(NamedTuple):
    """Files that may be deleted, as recorded, and those that stay, each with the reason."""

    free: list[str]
    kept: list[tuple[str, str]]


def choose(index: Index, repo: Repository, words: Iterable[str], cwd: str) -> Chosen:
    """What the words mean; without any, the last job of the session.

    Raises ``NotFoundError`` for what is not there or is withdrawn already, ``UsageError`` for a commit.
    """
    jobs: list[str] = []
    chosen = Chosen({}, [], {})
    for word in words:
        target = resolve(index, repo, word, cwd)
        if target.kind == "commit":
            raise UsageError(f"{printable(word)} is a commit; jobs are withdrawn by name", "roar show HEAD")
        if index.corrections("withdrawal", [target.id]):
            raise NotFoundError(f"{printable(word)} is withdrawn already", f"roar show {target.id[:12]}")
        if target.kind == "job":
            jobs.append(target.id)
        elif target.kind == "session":
            chosen.sessions.append(target.id)
            jobs += index.jobs(session=target.id)
        else:
            chosen.artifacts[target.id] = target.path or index.names(target.id)[0].path
    if not (jobs or chosen.sessions or chosen.artifacts):
        session = session_asked(index, repo)
        jobs = index.jobs(session=session, limit=1) if session else []
        if not jobs:
            raise NotFoundError("there is no job to withdraw", "roar log")
    chosen.jobs.update(index.load_jobs(jobs))
    return chosen


def withdraw(repo: Repository, chosen: Chosen, reason: str | None) -> str:
    """Record the withdrawal and give its id. Raises what ``append`` raises."""
    who = from_fs(settings.identity(repo))
    why = from_fs(reason) if reason else None
    fields = {"user": who, "reason": why, "records": chosen.records, "artifacts": list(chosen.artifacts)}

    def draft(clock: int, writer: str) -> Withdrawal:
        return Withdrawal.model_validate({**fields, "clock": clock, "writer": writer})

    entry = append(repo, draft, after=max(map(clock_of, chosen.records), default=0))
    sessions.leave(repo, chosen.sessions)
    return entry.identifier


def outputs(index: Index, repo: Repository, jobs: Iterable[str]) -> Outputs:
    """Which files of these jobs may be deleted: created by them, unchanged since, and of no other use."""
    top = repo.require_work_tree()
    asked = list(jobs)
    written = {file.path: file for job in asked for file in index.files(job)[1]}
    there = {path: file for path, file in written.items() if is_safe_relative(path)}
    there = {path: file for path, file in there.items() if os.path.lexists(os.path.join(top, fs(path)))}
    tracked = worktree.tracked(repo) if there else set()
    found = Outputs([], [])
    for path, file in sorted(there.items()):
        reason = "tracked by git" if fs(path) in tracked else _in_use(index, repo, file, set(asked))
        if reason:
            found.kept.append((path, reason))
        else:
            found.free.append(path)
    return found


def _in_use(index: Index, repo: Repository, file: File, jobs: set[str]) -> str | None:
    """Why a file that is there must stay; None when it is just what one of the jobs created."""
    top = repo.require_work_tree()
    where = os.path.join(top, fs(file.path))
    folder = os.path.realpath(os.path.dirname(where))
    if below(folder, os.path.realpath(top)) is None:
        return "outside of the repository by a symbolic link"
    if _other_repository(folder, os.path.realpath(top)):
        return "in another repository"
    if file.change != "created":
        return "it was there before the job"
    if file.hash is None:
        return "its recorded content is not known"
    is_link = file.mode & 0o170000 == 0o120000
    if os.path.islink(where) != is_link or file.hash not in content_at(repo, where)[:1]:
        return "changed since"
    if any(content == file.hash and job not in jobs for content, job in index.versions(file.path)):
        return "another job wrote the same"
    return None


def _other_repository(folder: str, top: str) -> bool:
    while folder != top:
        if os.path.lexists(os.path.join(folder, ".git")):
            return True
        folder = os.path.dirname(folder)
    return False


def delete(repo: Repository, paths: Iterable[str]) -> list[str]:
    """Delete files of the work tree; gives those that could not be."""
    top = repo.require_work_tree()
    left = []
    for path in paths:
        try:
            os.unlink(os.path.join(top, fs(path)))
        except OSError:
            left.append(path)
    return left


def withdrawals_of(index: Index, targets: Iterable[str]) -> dict[str, list[Withdrawal]]:
    """Of each record or artifact that was taken back: by which withdrawals, oldest first."""
    found: dict[str, list[Withdrawal]] = {}
    for target, records in index.corrections("withdrawal", targets).items():
        loaded = (index.load(identifier) for identifier in records)
        found[target] = [record for record in loaded if isinstance(record, Withdrawal)]
    return found
