"""How things stand: the session, what is stale, what is not shared, what is not known."""

from __future__ import annotations

from typing import NamedTuple

from roar.cache.index import Index
from roar.git import transport
from roar.git.repository import Repository
from roar.records.job import Job
from roar.verbs import sync
from roar.verbs.stale import State, states
from roar.verbs.steps import session_asked


class Status(NamedTuple):
    """``states`` are the steps of the session. ``unpushed`` counts this clone's records that a remote lacks;
    ``loose`` are the commits that jobs ran on and no remote branch holds; ``gaps`` the jobs of the session whose
    records do not know everything; ``broken`` what could not be read, as (object id, reason).
    """

    session: str | None
    session_jobs: int
    total_jobs: int
    last: tuple[str, Job] | None
    states: list[State]
    unpushed: dict[str, int]
    loose: list[str]
    gaps: list[str]
    broken: list[tuple[str, str]]

    @property
    def stale(self) -> list[State]:
        """The steps that are stale."""
        return [state for state in self.states if state.state == "stale"]


def status(index: Index, repo: Repository) -> Status:
    """The state of the work tree's session and of sharing. Raises ``RoarError`` where there is no work tree."""
    session = session_asked(index, repo)
    jobs = index.jobs(session=session) if session else []
    newest = jobs[:1] or index.jobs(limit=1)
    remotes = transport.remotes(repo)
    return Status(
        session,
        len(jobs),
        index.count_jobs(),
        (newest[0], index.load_job(newest[0])) if newest else None,
        states(index, repo, session) if session else [],
        {remote: count for remote in remotes if (count := transport.unpushed(repo, remote))},
        sync.noted_and_unshared(repo) if remotes else [],
        index.with_gaps(session) if session else [],
        index.broken(),
    )
