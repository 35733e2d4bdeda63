"""The steps of a session. A job is one run; a step is a command in a place, so a repeat is the same step again."""

from __future__ import annotations

from typing import NamedTuple

from roar.cache.index import Index
from roar.git.repository import Repository
from roar.verbs import sessions

Number = int | str
"""What follows the @ of a step: 1, 2 and so on, in the order of first appearance; B1, B2 for build steps."""


class Step(NamedTuple):
    """A step: its number and its jobs, oldest first, with whether each went well.

    ``stands`` are those of its jobs whose files are the step's, oldest first: each was the last to write some output.
    Where none wrote anything it is the latest; so a later run that had nothing to do takes nothing away.
    """

    number: Number
    jobs: list[str]
    ok: list[bool]
    stands: list[str]

    @property
    def job(self) -> str:
        """The latest job."""
        return self.jobs[-1]


def session_asked(index: Index, repo: Repository) -> str | None:
    """The session that questions are about: the work tree's active one, else the latest that is somebody's work."""
    return sessions.active(repo) or index.latest_session()


def steps_of(index: Index, session: str) -> list[Step]:
    """The steps of a session in the order of their first jobs."""
    found: dict[tuple[str, str], Step] = {}
    counts = {"run": 0, "build": 0}
    for run in index.steps(session):
        if run.key not in found:
            role = run.key[0]
            counts[role] += 1
            found[run.key] = Step(f"B{counts[role]}" if role == "build" else counts[role], [], [], [])
        step = found[run.key]
        step.jobs.append(run.job)
        step.ok.append(run.ok)
    last_writers = index.last_writers(session)
    for key, step in found.items():
        step.stands.extend(last_writers.get(key, step.jobs[-1:]))
    return list(found.values())
