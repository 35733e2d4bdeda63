"""What the API answers, as models: fields may be added, none changes its meaning within ``/api/v1``.

Times are nanoseconds since 1970-01-01 UTC, durations likewise, sizes bytes, hashes BLAKE3 in hexadecimal.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Literal

from pydantic import BaseModel, Field

from roar.lineage import Use
from roar.records.about import Withdrawal
from roar.records.job import File, Job
from roar.records.summary import command_line, outcome
from roar.server.union import Union
from roar.verbs.ancestry import Ancestry
from roar.verbs.compare import Change, Comparison, FileChange
from roar.verbs.repetitions import Repeated
from roar.verbs.show import ArtifactShown, GroupShown, JobShown


class Problem(BaseModel):
    """What went wrong."""

    code: str
    message: str


class Failure(BaseModel):
    """The answer to a request that went wrong."""

    error: Problem


ERRORS: dict[int | str, dict[str, Any]] = {
    400: {"model": Failure, "description": "the question is malformed"},
    401: {"model": Failure, "description": "the token is wrong or has expired"},
    403: {"model": Failure, "description": "the caller may not do that"},
    404: {"model": Failure, "description": "nothing in sight answers to that name"},
    409: {"model": Failure, "description": "several things answer to that name"},
    422: {"model": Failure, "description": "a parameter is of the wrong type or out of range"},
    503: {"model": Failure, "description": "the database does not answer"},
}
"""What every request may be answered."""


class JobInShort(BaseModel):
    """A job without its files."""

    id: str
    projects: list[str]
    command: str
    outcome: str
    exit_code: int | None = Field(description="None: killed by a signal, or not known")
    started_ns: int
    duration_ns: int
    user: str
    session: str | None
    commit: str | None
    reproduces: str | None
    outputs: int
    incomplete: int = Field(description="how many things the record says it does not know")
    withdrawn: bool


class AlsoMade(BaseModel):
    """That jobs of another project made the same content: one of them, and how many did."""

    project: str
    job: str
    jobs: int


class FileUsed(BaseModel):
    """A file that a job read or wrote. ``made_by``: the job that made this content, when one is recorded in sight;
    ``also_made_by``: what projects without that job say of who made it.
    """

    path: str
    hash: str | None
    size: int
    code: bool = Field(description="its content is in git")
    made_by: str | None = None
    also_made_by: list[AlsoMade] = []


class Taken(BaseModel):
    """That somebody took something back."""

    user: str
    clock_ms: int
    reason: str | None


class Again(BaseModel):
    """How it went when it was run again."""

    times: int
    machines: int
    differed: int


class Artifact(BaseModel):
    """A content."""

    hash: str
    size: int
    paths: list[str] = Field(description="under which it was seen, at most 200")
    projects: list[str]
    made_by: list[JobInShort] = Field(
        description="at most 20: those of the project that stands first, the newest first, then those of others"
    )
    made_by_count: int
    also_made_by: list[AlsoMade] = Field(description="the projects without the first of these, in their order")
    used_by: list[JobInShort] = Field(description="the newest, at most 20")
    used_by_count: int
    withdrawn_maker: str | None
    withdrawals: list[Taken]
    labels: dict[str, str]
    collections: list[str]
    reproductions: Again
    commands: list[str] = Field(description="what to type to make it again; none when no job made it")
    url: str = Field(description="the page for people, below this server's address")


class JobWithFiles(JobInShort):
    """A job of a lineage with its files."""

    inputs: list[FileUsed]
    written: list[FileUsed]


class Edge(BaseModel):
    """A file that leads from one job to another."""

    producer: str
    consumer: str
    path: str
    hash: str


class LineageAnswer(BaseModel):
    """Jobs in order of dependency, producers first, and the edges into those of this page."""

    target: str
    direction: Literal["up", "down", "both"]
    jobs: list[JobWithFiles]
    edges: list[Edge]
    total: int = Field(description="jobs of the lineage as far as it was walked")
    truncated: bool = Field(description="there are more jobs than were walked")
    beyond: list[str] = Field(description="the nearest that were not walked, at most 100")
    next: str | None = Field(description="the cursor of the next page")


class JobAnswer(JobInShort):
    """A job, with all of its files and its whole record."""

    inputs: list[FileUsed]
    written: list[FileUsed]
    step: str | None
    reproduced_by: list[str]
    reproductions: Again
    withdrawals: list[Taken]
    labels: dict[str, str]
    overlay_withheld: bool
    record: dict[str, Any]
    url: str


class Different(BaseModel):
    """One thing that differs; null where it is not there."""

    name: str
    before: str | int | float | bool | None
    after: str | int | float | bool | None


class FileDiffers(BaseModel):
    """A file that differs."""

    path: str
    state: Literal["added", "removed", "changed", "unknown"]
    before: str | None
    after: str | None


class Diff(BaseModel):
    """What differs between two jobs."""

    before: JobInShort
    after: JobInShort
    causes: bool = Field(description="anything differs that could have made the outputs differ")
    command: list[Different]
    code: list[FileDiffers]
    inputs: list[FileDiffers]
    packages: list[Different]
    variables: list[Different]
    machine: list[Different]
    outputs: list[FileDiffers]
    same_outputs: int
    metrics: list[Different]


class SessionAnswer(BaseModel):
    """A session and its newest jobs."""

    id: str
    projects: list[str]
    name: str | None
    user: str
    purpose: str
    closed: bool
    withdrawals: list[Taken]
    labels: dict[str, str]
    job_count: int
    jobs: list[JobInShort]
    next: str | None


class JobsAnswer(BaseModel):
    """Some jobs, newest first."""

    jobs: list[JobInShort]
    next: str | None


class ProjectAnswer(BaseModel):
    """A project."""

    name: str
    jobs: int
    url: str | None = Field(description="what git fetches its records from")


class ProjectsAnswer(BaseModel):
    """The projects in sight."""

    projects: list[str]


class RecordsAnswer(BaseModel):
    """Which of the asked ids are here, and which are not."""

    here: list[str]
    missing: list[str]


class Health(BaseModel):
    """That the server answers."""

    status: Literal["ok"]


def short(union: Union, jobs: Mapping[str, Job]) -> list[JobInShort]:
    """These jobs in short."""
    homes = union.holders(jobs)
    withdrawn = set(union.corrections("withdrawal", jobs))
    return [JobInShort(**_short(i, job, homes.get(i, []), i in withdrawn)) for i, job in jobs.items()]


def _short(identifier: str, job: Job, projects: list[str], withdrawn: bool) -> dict[str, Any]:
    return {
        "id": identifier,
        "projects": projects,
        "command": command_line(job.command),
        "outcome": outcome(job),
        "exit_code": job.exit.code,
        "started_ns": job.started_ns,
        "duration_ns": job.duration_ns,
        "user": job.user,
        "session": job.session,
        "commit": job.code.commit,
        "reproduces": job.reproduces,
        "outputs": len(job.outputs) + sum(shard.count for shard in job.output_shards),
        "incomplete": len(job.incomplete),
        "withdrawn": withdrawn,
    }


def artifact(union: Union, shown: ArtifactShown, commands: list[str]) -> Artifact:
    """An artifact."""
    jobs = {job.id: job for job in short(union, shown.jobs)}
    return Artifact(
        hash=shown.hash,
        size=shown.size,
        paths=[use.path for use in shown.names[:200]],
        projects=union.knowers([shown.hash]).get(shown.hash, []),
        made_by=[jobs[i] for i in shown.made_by if i in jobs],
        made_by_count=len(shown.made_by),
        also_made_by=_also(union, shown.hash, shown.made_by[0] if shown.made_by else None),
        used_by=[jobs[i] for i in shown.used_by if i in jobs],
        used_by_count=len(shown.used_by),
        withdrawn_maker=shown.withdrawn_maker,
        withdrawals=_taken(shown.withdrawals),
        labels=shown.labels,
        collections=shown.collections,
        reproductions=_again(shown.repeated),
        commands=commands,
        url=f"/a/{shown.hash}",
    )


def lineage(
    union: Union, target: str, direction: Literal["up", "down", "both"], found: Ancestry, page: list[str], *, more: bool
) -> LineageAnswer:
    """A page of the jobs of a lineage; ``more``: others follow."""
    homes = union.holders(page)
    wanted = set(page)
    edges = [edge for edge in found.lineage.edges if edge.consumer in wanted]
    makers = {(e.consumer, e.path): e.producer for e in [*found.lineage.edges, *found.lineage.beyond]}
    jobs = []
    for identifier in page:
        if identifier not in found.jobs:
            continue
        inputs, outputs = found.uses.get(identifier, ([], []))
        brief = _short(identifier, found.jobs[identifier], homes.get(identifier, []), identifier in found.withdrawn)
        read = [_used(use, makers.get((identifier, use.path)), union) for use in inputs]
        jobs.append(JobWithFiles(**brief, inputs=read, written=[_used(use, identifier) for use in outputs]))
    return LineageAnswer(
        target=target,
        direction=direction,
        jobs=jobs,
        edges=[Edge(**edge._asdict()) for edge in edges],
        total=len(found.lineage.jobs),
        truncated=bool(found.lineage.cut),
        beyond=found.lineage.cut[:100],
        next=page[-1] if more else None,
    )


def job(union: Union, shown: JobShown) -> JobAnswer:
    """A job with everything."""
    (brief,) = short(union, {shown.id: shown.job})
    kept = {file.path for file in shown.job.code.overlay}

    def plain(file: File) -> Use:
        return Use(file.path, file.hash, file.size, file.blob is not None or file.path in kept)

    return JobAnswer(
        **brief.model_dump(),
        inputs=[_used(plain(file), shown.made_by.get(file.path), union) for file in shown.inputs.files],
        written=[_used(plain(file), shown.id) for file in shown.outputs.files],
        step=None if shown.step is None else str(shown.step),
        reproduced_by=shown.reproduced_by,
        reproductions=_again(shown.repeated),
        withdrawals=_taken(shown.withdrawals),
        labels=shown.labels,
        overlay_withheld=shown.withheld,
        record=shown.job.model_dump(mode="json", exclude_none=True),
        url=f"/j/{shown.id}",
    )


def diff(union: Union, found: Comparison) -> Diff:
    """What differs."""
    before, after = (short(union, {side.id: side.job})[0] for side in (found.before, found.after))
    metrics = [Different(name=f"{m.path}: {m.name}", before=m.before, after=m.after) for m in found.metrics]
    return Diff(
        before=before,
        after=after,
        causes=found.causes,
        command=_changes(found.command),
        code=_files(found.code),
        inputs=_files(found.inputs),
        packages=_changes(found.packages),
        variables=_changes(found.variables),
        machine=_changes(found.machine),
        outputs=_files(found.outputs),
        same_outputs=found.same_outputs,
        metrics=metrics,
    )


def session(union: Union, shown: GroupShown, following: str | None) -> SessionAnswer:
    """A session."""
    assert shown.session is not None
    return SessionAnswer(
        id=shown.id,
        projects=union.holders([shown.id]).get(shown.id, []),
        name=shown.session.name,
        user=shown.session.user,
        purpose=shown.session.purpose,
        closed=shown.closed,
        withdrawals=_taken(shown.withdrawals),
        labels=shown.labels,
        job_count=len(shown.ran),
        jobs=short(union, shown.jobs),
        next=following,
    )


def _used(use: Use, made_by: str | None, union: Union | None = None) -> FileUsed:
    """A file of a job; of one that it read, whose ``union`` is given, with others that made it."""
    also = _also(union, use.hash, made_by) if union and use.hash and made_by else []
    return FileUsed(path=use.path, hash=use.hash, size=use.size, code=use.code, made_by=made_by, also_made_by=also)


def _also(union: Union, content: str, job: str | None) -> list[AlsoMade]:
    return [AlsoMade(**other._asdict()) for other in union.other_makers(content, job)]


def _taken(withdrawals: Iterable[Withdrawal]) -> list[Taken]:
    return [Taken(user=w.user, clock_ms=w.clock, reason=w.reason) for w in withdrawals]


def _again(repeated: Repeated) -> Again:
    return Again(**repeated._asdict())


def _changes(changes: Iterable[Change]) -> list[Different]:
    return [Different(name=c.name, before=c.before, after=c.after) for c in changes]


def _files(changes: Iterable[FileChange]) -> list[FileDiffers]:
    return [
        FileDiffers(path=c.path, state=c.state, before=c.before and c.before.hash, after=c.after and c.after.hash)
        for c in changes
    ]
