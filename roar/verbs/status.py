"""How things stand: the session, what is stale, what is not shared, what is not known."""

from __future__ import annotations

from collections import Counter
from typing import NamedTuple

from roar.cache.index import Index
from roar.git import refs, transport, worktree
from roar.git.commits import reached
from roar.git.repository import Repository
from roar.journal import keep, noted, spool
from roar.records.job import Job
from roar.verbs import sync, waiting
from roar.verbs.stale import State, states
from roar.verbs.steps import session_asked


class Status(NamedTuple):
    """``states`` are the steps of the session. ``unpushed`` counts this clone's records that a remote lacks;
    ``strange`` are the remotes that were never compared with; ``loose`` are the commits that jobs ran on and no
    remote branch holds, by the command that brings them there; ``gone`` are those that the repository has lost;
    ``gaps`` the jobs of the session whose records do not know everything; ``broken`` what could not be read, as
    (object id, reason); ``aside`` counts records that are not in the journal yet, ``withdrawn`` the jobs of the session
    that are left out here; ``taken_back`` are paths that its steps read or wrote with a content that was withdrawn;
    ``waiting`` counts the registrations that wait, by remote.
    """

    git: worktree.Standing
    session: str | None
    session_jobs: int
    total_jobs: int
    last: tuple[str, Job] | None
    states: list[State]
    unpushed: dict[str, int]
    strange: list[str]
    loose: dict[str, list[str]]
    gone: list[str]
    gaps: list[str]
    broken: list[tuple[str, str]]
    aside: int
    withdrawn: int
    taken_back: list[str]
    waiting: dict[str, int]

    @property
    def stale(self) -> list[State]:
        """The steps that are stale."""
        return [state for state in self.states if state.state == "stale"]


def status(index: Index, repo: Repository) -> Status:
    """The state of the work tree's session and of sharing. Raises ``RoarError`` where there is no work tree."""
    keep.keep_noted(repo)
    session = session_asked(index, repo)
    jobs = index.jobs(session=session) if session else []
    newest = jobs[:1] or index.jobs(limit=1)
    remotes, commits = transport.remotes(repo), noted.commits(repo)
    found = states(index, repo, session) if session else []
    return Status(
        worktree.standing(repo),
        session,
        len(jobs),
        index.count_jobs(),
        (newest[0], index.load_job(newest[0])) if newest else None,
        found,
        {remote: count for remote in remotes if (count := sync.unpushed(repo, remote))},
        [remote for remote in remotes if not refs.listing(repo, f"refs/roar-remote/{remote}/")],
        _loose(repo, remotes[0], commits) if remotes else {},
        _gone(repo, commits),
        index.with_gaps(session) if session else [],
        index.broken(),
        saved_aside(repo),
        len(index.withdrawn(session)) if session else 0,
        _taken_back(index, found),
        Counter(one.remote for one in waiting.waiting(repo)),
    )


def _taken_back(index: Index, found: list[State]) -> list[str]:
    """The paths of withdrawn contents among the inputs and outputs of steps."""
    uses = {use.hash: use.path for state in found for use in state.inputs + state.outputs if use.hash}
    return sorted({uses[content] for content in index.corrections("withdrawal", [h for h in uses if h])})


def saved_aside(repo: Repository) -> int:
    """How many records `roar recover` would bring in."""
    return sum(len(spool.entries(parent)) for parent in spool.places(repo)) + len(spool.reports_of(repo))


def _loose(repo: Repository, remote: str, commits: list[str]) -> dict[str, list[str]]:
    """The commits on no remote branch, by the command that shares them: a push of HEAD brings only what it holds."""
    loose = transport.on_no_remote_branch(repo, commits)
    _, head = refs.head(repo)
    outside = reached(repo, [*loose, *([f"^{head}"] if head else [])]) if loose else set()
    groups = [c for c in loose if c not in outside], [c for c in loose if c in outside]
    found: dict[str, list[str]] = {}
    for group in groups:
        if group:
            found.setdefault(sync.how_to_share(repo, remote, group[0]), []).extend(group)
    return found


def _gone(repo: Repository, commits: list[str]) -> list[str]:
    there = reached(repo, commits, "--no-walk") if commits else set()
    return [commit for commit in commits if commit not in there]
