"""The pipeline of a session: its steps, what each depends on, how it stands."""

from __future__ import annotations

from typing import NamedTuple

from roar.cache.index import Index
from roar.git.repository import Repository
from roar.records.job import Job
from roar.verbs.stale import State, states
from roar.verbs.steps import Number


class Node(NamedTuple):
    """A step with its latest job; ``runs`` are the newest of its jobs, as many as were asked for, oldest first."""

    state: State
    job: Job
    runs: dict[str, Job]


class Flow(NamedTuple):
    """A file of the pipeline: who wrote it, who reads it, by the numbers of the steps."""

    path: str
    hash: str | None
    size: int
    made_by: Number | None
    used_by: list[Number]


class Dag(NamedTuple):
    """All steps of a session in order, and the files that connect them; ``withdrawn`` counts jobs that are left out."""

    session: str
    nodes: list[Node]
    flows: list[Flow]
    withdrawn: int

    @property
    def stale_count(self) -> int:
        """How many steps are stale."""
        return sum(node.state.state == "stale" for node in self.nodes)


def dag(index: Index, repo: Repository, session: str, *, runs: int = 0) -> Dag:
    """The pipeline of a session, with so many of the newest runs of each step.

    Raises ``RoarError`` where there is no work tree to compare it with.
    """
    found = states(index, repo, session)
    newest = {state.step.number: state.step.jobs[-runs:] if runs else [] for state in found}
    jobs = index.load_jobs(job for state in found for job in [*newest[state.step.number], state.step.job])
    nodes = [
        Node(state, jobs[state.step.job], {job: jobs[job] for job in newest[state.step.number]}) for state in found
    ]
    return Dag(session, nodes, _flows(found), len(index.withdrawn(session)))


def _flows(found: list[State]) -> list[Flow]:
    """Data only: code is everywhere, and known to git."""
    flows: dict[tuple[str, str | None], Flow] = {}
    for state in found:
        for use in state.outputs:
            flows[use.path, use.hash] = Flow(use.path, use.hash, use.size, state.step.number, [])
    for state in found:
        for use in state.inputs:
            if not use.code:
                flow = flows.setdefault((use.path, use.hash), Flow(use.path, use.hash, use.size, None, []))
                flow.used_by.append(state.step.number)
    order = {state.step.number: position for position, state in enumerate(found)}
    return sorted(flows.values(), key=lambda flow: (-1 if flow.made_by is None else order[flow.made_by], flow.path))
