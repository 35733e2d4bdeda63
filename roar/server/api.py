"""``/api/v1``: the same answers for programs. Read only; what may not be seen is answered as what is not there."""

from __future__ import annotations

import contextlib
import hashlib
import re
from typing import Annotated, Literal

from fastapi import APIRouter, Path, Query, Request
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import PlainTextResponse, Response

from roar.cache.search import Wanted
from roar.errors import UsageError
from roar.glaas.address import is_loopback
from roar.records import ids
from roar.server import answers, finding, links
from roar.server.access import Denied
from roar.server.asked import site, union_of
from roar.verbs.ancestry import ancestry
from roar.verbs.compare import compare
from roar.verbs.resolve import Target
from roar.verbs.show import show_artifact, show_job, show_session

MOST_WALKED = 1000
"""Jobs of a lineage that one request walks, in each direction."""
MOST_ASKED = 1000
"""Record ids in one question."""

router = APIRouter(prefix="/api/v1", responses=answers.ERRORS, tags=["lineage"])

_RECORD = "[0-9A-HJKMNP-TV-Z]{26}"
Digits = Annotated[str, Path(pattern="^[0-9a-fA-F]{4,64}$", description="a hash, or its first 4 or more digits")]
Id = Annotated[str, Path(pattern="^[0-9A-Za-z]{4,26}$", description="a record id, or its first 4 or more characters")]
Name = Annotated[str, Path(min_length=1, max_length=150, description="the name of a project")]
Limit = Annotated[int, Query(ge=1, le=500, description="at most so many on one page")]
_FROM = "the project that is asked from: what it says stands first"
From = Annotated[str | None, Query(max_length=150, description=_FROM)]
_PLACE = f"^(?:{_RECORD})?(?:~[a-z0-9][a-z0-9_./-]{{0,149}})?$"
"""Of a search: after a job, and among the projects from one on."""
Cursor = Annotated[str | None, Query(pattern=f"^{_RECORD}$", description="`next` of the page before")]


def _answer(request: Request, model: BaseModel) -> Response:
    """The model as JSON, or that it has not changed since whoever asks saw it."""
    body = model.model_dump_json().encode()
    tag = f'"{hashlib.blake2b(body, digest_size=12).hexdigest()}"'
    headers = {"ETag": tag, "Cache-Control": "private, no-cache", "X-Content-Type-Options": "nosniff"}
    if tag in re.split(r"\s*,\s*", request.headers.get("if-none-match", "")):
        return Response(status_code=304, headers=headers)
    return Response(body, 200, headers, "application/json")


@router.get("/artifacts/{content}", response_model=answers.Artifact)
def artifact(request: Request, content: Digits, project: From = None) -> Response:
    """A content: who made it, who read it, and how to make it again."""
    with union_of(request, asked_from=project) as union:
        asked = finding.one_artifact(union, content)
        shown = show_artifact(union, None, Target("artifact", asked))
        maker = shown.made_by[0] if shown.made_by else None
        homes = union.holders([maker])[maker] if maker else union.knowers([asked])[asked]
        place = site(request).place(homes[0])
        commands = links.commands(asked, shown.jobs[maker], place) if maker else []
        return _answer(request, answers.artifact(union, shown, commands))


_KNOWN_WORDS = ConfigDict(extra="forbid")
"""A misspelled word is said to be one: left out, it would change what the answer is about."""


class Walk(BaseModel):
    """Which part of a lineage is wanted."""

    model_config = _KNOWN_WORDS

    direction: Literal["up", "down", "both"] = "up"
    depth: Annotated[int, Field(ge=1, le=1000, description="at most so many jobs away")] = 10
    limit: Annotated[int, Field(ge=1, le=500, description="at most so many on one page")] = 100
    cursor: Annotated[str | None, Field(pattern=f"^{_RECORD}$", description="`next` of the page before")] = None
    project: Annotated[str | None, Field(max_length=150, description=_FROM)] = None


@router.get("/artifacts/{content}/lineage", response_model=answers.LineageAnswer)
def lineage(request: Request, content: Digits, walk: Annotated[Walk, Query()]) -> Response:
    """Where a content came from, or what was made of it: jobs in order of dependency, page by page."""
    with union_of(request, asked_from=walk.project) as union:
        asked = finding.one_artifact(union, content)
        target = Target("artifact", asked)
        found = ancestry(union, target, direction=walk.direction, depth=walk.depth, most=MOST_WALKED)
        jobs = found.lineage.jobs
        start = jobs.index(walk.cursor) + 1 if walk.cursor in jobs else 0
        if walk.cursor is not None and not start:
            raise UsageError("the cursor is not of this lineage", "begin without one")
        page, more = jobs[start : start + walk.limit], start + walk.limit < len(jobs)
        return _answer(request, answers.lineage(union, asked, walk.direction, found, page, more=more))


@router.get("/jobs/{identifier}", response_model=answers.JobAnswer)
def job(request: Request, identifier: Id, project: From = None) -> Response:
    """A job with all of its files and its whole record."""
    with union_of(request, asked_from=project) as union:
        return _answer(request, answers.job(union, show_job(union, finding.one_job(union, identifier))))


@router.get("/jobs/{before}/diff/{after}", response_model=answers.Diff)
def difference(request: Request, before: Id, after: Id) -> Response:
    """What differs between two jobs."""
    with union_of(request) as union:
        one, other = finding.one_job(union, before), finding.one_job(union, after)
        return _answer(request, answers.diff(union, compare(union, union.repository_of(one), one, other)))


@router.get("/sessions/{identifier}", response_model=answers.SessionAnswer)
def session(request: Request, identifier: Id, limit: Limit = 100, cursor: Cursor = None) -> Response:
    """A session and its jobs, newest first."""
    with union_of(request) as union:
        shown = show_session(union, finding.one_session(union, identifier), most=0)
        ran = [job for job in shown.ran if cursor is None or job < cursor]
        shown = shown._replace(jobs=union.load_jobs(ran[:limit]))
        return _answer(request, answers.session(union, shown, ran[limit - 1] if len(ran) > limit else None))


@router.get("/projects", response_model=answers.ProjectsAnswer)
def projects(request: Request) -> Response:
    """The projects in sight."""
    return _answer(request, answers.ProjectsAnswer(projects=site(request).visible(request)))


@router.get("/projects/{name:path}/records", response_model=answers.RecordsAnswer)
def records(
    request: Request,
    name: Name,
    identifiers: Annotated[list[str], Query(alias="id", max_length=MOST_ASKED, description="whole record ids")],
) -> Response:
    """Which of these records the index of a project has."""
    if not all(len(i) == ids.LENGTH and ids.normalise(i) == i for i in identifiers):
        raise UsageError(f"an id has {ids.LENGTH} characters", "see the record id in docs/format.md")
    with union_of(request, name) as union:
        here = union.holders(identifiers)
        asked = list(dict.fromkeys(identifiers))
        found = answers.RecordsAnswer(here=[i for i in asked if i in here], missing=[i for i in asked if i not in here])
        return _answer(request, found)


@router.get("/projects/{name:path}", response_model=answers.ProjectAnswer)
def project(request: Request, name: Name) -> Response:
    """A project."""
    with union_of(request, name) as union:
        url = site(request).place(name).url
        return _answer(request, answers.ProjectAnswer(name=name, jobs=union.count_jobs(), url=url))


_LABEL = "KEY or KEY=VALUE, of the job, of its session or of a file that it wrote"


class Question(BaseModel):
    """What jobs are looked for; what is not said does not matter."""

    model_config = _KNOWN_WORDS

    path: Annotated[str | None, Field(min_length=1, max_length=1000, description="a recorded path, or a glob")] = None
    command: Annotated[str | None, Field(min_length=1, max_length=500, description="part of the command")] = None
    label: Annotated[str | None, Field(min_length=1, max_length=600, description=_LABEL)] = None
    author: Annotated[str | None, Field(min_length=1, max_length=500, description="part of name or address")] = None
    package: Annotated[str | None, Field(min_length=1, max_length=300, description="NAME or NAME==VERSION")] = None
    commit: Annotated[str | None, Field(pattern="^[0-9a-f]{4,64}$", description="of the code, or its beginning")] = None
    failed: bool = False
    since: Annotated[int | None, Field(ge=0, lt=1 << 63, description="began then or later, in nanoseconds")] = None
    until: Annotated[int | None, Field(ge=0, lt=1 << 63, description="began then or before, in nanoseconds")] = None
    limit: Annotated[int, Field(ge=1, le=500, description="at most so many on one page")] = 100
    cursor: Annotated[str | None, Field(pattern=_PLACE, description="`next` of the page before")] = None


@router.get("/search", response_model=answers.JobsAnswer)
def search(request: Request, asked: Annotated[Question, Query()]) -> Response:
    """The jobs of which all that is asked is true, newest first within 200 projects by name; then of the next 200."""
    key, equals, value = (asked.label or "").partition("=")
    before, _, start = (asked.cursor or "").partition("~")
    with union_of(request) as visible, contextlib.ExitStack() as closing:
        part, left = visible.part(start)
        union = closing.enter_context(part)
        wanted = Wanted(
            since_ns=asked.since,
            until_ns=asked.until,
            command=asked.command,
            author=asked.author,
            code=asked.commit,
            failed=asked.failed,
            paths=None if asked.path is None else finding.paths_meant(union, asked.path),
            label=(key, value if equals else None) if key else None,
        )
        among = None if asked.package is None else union.with_package(asked.package)
        found = finding.search(union, wanted, before or None, asked.limit, among)
        jobs = answers.short(visible, visible.load_jobs(found.jobs))
        here = f"~{start}" if start else ""
        following = f"{found.next}{here}" if found.next else f"~{left}" if left else None
        return _answer(request, answers.JobsAnswer(jobs=jobs, next=following))


@router.get("/health", response_model=answers.Health)
def health() -> answers.Health:
    """That the server answers."""
    return answers.Health(status="ok")


@router.get("/metrics", response_class=Response, responses={200: {"content": {"text/plain": {}}}})
def metrics(request: Request) -> Response:
    """Numbers for Prometheus about the server as a whole: for users, and from its own machine."""
    here = site(request)
    if here.user(request) is None and not (request.client and is_loopback(request.client.host)):
        raise Denied(401, "log in to see these numbers", "roar auth login")
    lines = [f"# TYPE {name} gauge\n{name} {value:.15g}\n" for name, value in sorted(here.metrics().items())]
    return PlainTextResponse("".join(lines), media_type="text/plain; version=0.0.4")
