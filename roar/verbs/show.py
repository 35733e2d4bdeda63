"""Everything known of one recorded thing: a job, an artifact, the jobs of a commit or of a session."""

from __future__ import annotations

import os
from typing import Literal, NamedTuple

from roar.cache.index import Index
from roar.errors import NotFoundError
from roar.git.repository import Repository
from roar.lineage import Use, choose_producers
from roar.paths import fs_if_path
from roar.records import ids
from roar.records.about import Withdrawal
from roar.records.job import File, Job, Session, Shard
from roar.records.model import Record
from roar.verbs.repetitions import Repeated, repeated
from roar.verbs.resolve import SHORTEST, Target, content_at
from roar.verbs.steps import Number, steps_of
from roar.verbs.withdraw import withdrawals_of

MOST_FILES = 12
"""Files of a side that are shown when not everything is asked for."""
MOST = 20
"""Jobs of a list that are read when not everything is asked for; the others are known by their ids."""


class Side(NamedTuple):
    """How many files a job read, or wrote, and their bytes together; and the files, all or the first of them."""

    total: int
    size: int
    files: list[File]


class JobShown(NamedTuple):
    """A job with its files.

    ``made_by`` maps each shown input's path to the job that made it; ``step`` is its number in its session.
    ``withheld``: its uncommitted code is not here, because who shared it left that out.
    """

    id: str
    job: Job
    inputs: Side
    outputs: Side
    made_by: dict[str, str]
    step: Number | None
    reproduced_by: list[str]
    repeated: Repeated
    withdrawals: list[Withdrawal]
    labels: dict[str, str]
    withheld: bool


class Present(NamedTuple):
    """How a content stands to the file at a path: it is there and the ``latest`` that was recorded, it is there but an
    ``older`` one, or the file is ``gone``. ``hash`` and ``job`` are of the latest that was recorded.
    """

    path: str
    state: Literal["latest", "older", "gone"]
    hash: str
    job: str


class ArtifactShown(NamedTuple):
    """A content: the names it was seen under, and the jobs that wrote and read it, newest first.

    ``jobs`` holds the newest of them; ``withdrawn_maker`` is a withdrawn job that wrote it, when there is one;
    ``repeated`` says whether its makers made it when they were run again.
    """

    hash: str
    size: int
    names: list[Use]
    made_by: list[str]
    used_by: list[str]
    jobs: dict[str, Job]
    repeated: Repeated
    present: Present | None
    withdrawn_maker: str | None
    withdrawals: list[Withdrawal]
    labels: dict[str, str]
    collections: list[str]
    digests: dict[str, str]
    """By other algorithms than BLAKE3, where they were recorded."""


class GroupShown(NamedTuple):
    """The jobs of a code commit, or of a session, newest first. ``jobs`` holds the newest of them."""

    id: str
    session: Session | None
    ran: list[str]
    jobs: dict[str, Job]
    withdrawals: list[Withdrawal]
    closed: bool
    labels: dict[str, str]


class RecordShown(NamedTuple):
    """A record that is about others: a withdrawal, a tombstone, the end of a session, labels, a collection's change."""

    id: str
    record: Record


Shown = JobShown | ArtifactShown | GroupShown


def show(index: Index, repo: Repository, target: Target, *, everything: bool = False) -> Shown:
    """What there is to say of a target. Raises ``RoarError`` when its record cannot be read any more."""
    most = None if everything else MOST
    if target.kind == "job":
        return show_job(index, target.id, None if everything else MOST_FILES)
    if target.kind == "artifact":
        return show_artifact(index, repo, target, most)
    if target.kind == "commit":
        return _group(index, target.id, None, index.jobs_at(target.id), most)
    return show_session(index, target.id, most)


def show_other(index: Index, text: str) -> RecordShown | None:
    """The one record that is no job or session and whose id begins with the text, if there is one."""
    canonical = ids.normalise(text)
    found = index.find_others(canonical) if canonical is not None and len(canonical) >= SHORTEST else []
    return RecordShown(found[0], index.load(found[0])) if len(found) == 1 else None


def show_session(index: Index, identifier: str, most: int | None = MOST) -> GroupShown:
    """A session and the newest of its jobs. Raises ``NotFoundError``."""
    session = index.load(identifier)
    if not isinstance(session, Session):
        raise NotFoundError(f"{identifier} is no session", "roar log")
    return _group(index, identifier, session, index.jobs(session=identifier), most)


def show_job(index: Index, identifier: str, most: int | None = None) -> JobShown:
    """A job with all of its files, or with ``most`` of each side when they are in manifests."""
    job = index.load_job(identifier)
    inputs, outputs = index.files(identifier) if most is None else index.first_files(identifier, most)
    steps = steps_of(index, job.session) if job.session else []
    kept = job.code.kept
    data = [Use(f.path, f.hash, f.size) for f in inputs if f.blob is None and f.path not in kept]
    makers = zip(data, choose_producers(index, identifier, data), strict=True)
    return JobShown(
        identifier,
        job,
        _side(job.inputs, job.input_shards, inputs),
        _side(job.outputs, job.output_shards, outputs),
        {use.path: maker for use, maker in makers if maker},
        next((step.number for step in steps if identifier in step.jobs), None),
        index.reproductions(identifier),
        repeated(index, [identifier]),
        withdrawals_of(index, [identifier]).get(identifier, []),
        index.labels([identifier]).get(identifier, {}),
        bool(job.code.kept) and index.is_withheld(identifier),
    )


def _side(listed: list[File], shards: list[Shard], shown: list[File]) -> Side:
    total = len(listed) + sum(shard.count for shard in shards)
    return Side(total, sum(file.size for file in listed) + sum(shard.size for shard in shards), shown)


def show_artifact(index: Index, repo: Repository | None, target: Target, most: int | None = MOST) -> ArtifactShown:
    """A content and the jobs around it; without a repository nothing is said of the file at its path."""
    names = index.names(target.id)
    if target.path is not None:
        names.sort(key=lambda use: use.path != target.path)
    made_by, used_by = index.producers(target.id), index.consumers(target.id)
    size = names[0].size if names else 0
    newest = made_by[:most] + used_by[:most]
    taken_back = withdrawals_of(index, [target.id]).get(target.id, [])
    withdrawn_maker = index.withdrawn_makers([target.id]).get(target.id)
    jobs = index.load_jobs(newest)
    labels, groups = index.labels([target.id]).get(target.id, {}), index.collections_of(target.id)
    again = repeated(index, made_by, target.id)
    present = _present(index, repo, target.path, target.id) if repo and target.path is not None else None
    known = (target.id, size, names, made_by, used_by, jobs, again, present, withdrawn_maker)
    return ArtifactShown(*known, taken_back, labels, groups, index.digests(target.id))


def _present(index: Index, repo: Repository, path: str, content: str) -> Present | None:
    """How a content stands to the file at a recorded path; None where there is no work tree to look in."""
    if repo.work_tree is None:
        return None
    there = content_at(repo, os.path.join(repo.work_tree, fs_if_path(path)))
    recorded = index.versions(path) or index.readers_of_path(path)
    if not recorded or (there and content not in there):  # a path that a link leads to
        return None
    latest, job = recorded[0]
    return Present(path, "gone" if not there else "latest" if latest == content else "older", latest, job)


def _group(index: Index, identifier: str, session: Session | None, ran: list[str], most: int | None) -> GroupShown:
    taken_back = withdrawals_of(index, [identifier]).get(identifier, [])
    closed = bool(index.corrections("close", [identifier]))
    labels = index.labels([identifier]).get(identifier, {})
    return GroupShown(identifier, session, ran, index.load_jobs(ran[:most]), taken_back, closed, labels)
