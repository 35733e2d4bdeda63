"""The pages: made on the server, readable without scripts, and nothing on them comes from elsewhere."""

from __future__ import annotations

import contextlib
import functools
import hashlib
import re
import time
from collections.abc import Mapping, Sequence
from importlib import resources
from typing import Annotated, Any, NamedTuple
from urllib.parse import urlencode

import jinja2
from fastapi import APIRouter, Depends, Query, Request
from markupsafe import Markup
from starlette.responses import HTMLResponse, RedirectResponse, Response

from roar.errors import NotFoundError, RoarError
from roar.export import svg
from roar.records import summary
from roar.records.job import Session
from roar.server import finding, links
from roar.server.asked import site, union_of, welcome
from roar.server.union import Union
from roar.verbs.ancestry import Ancestry, around
from roar.verbs.compare import compare
from roar.verbs.graph import Node, graph, neighbourhood, with_stubs
from roar.verbs.resolve import SHORT_HASH, SHORT_ID, Target
from roar.verbs.show import JobShown, show_artifact, show_job, show_session

router = APIRouter(include_in_schema=False, dependencies=[Depends(welcome)])

HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self';"
        " worker-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "private, no-cache",
    "Vary": "Authorization, Cookie",
}
"""Of every page: nothing runs, loads or frames it but this server's own files. No other server learns where somebody
came from; with ``no-referrer`` this one would not learn, either, that a form was sent from a page of its own.
"""
MOST_JOBS = 100
"""Jobs of a lineage on one page, in each direction."""
MOST_DRAWN = 40
"""Nodes of the drawing, before any of them is opened."""
MOST_BESIDE = 10
"""Neighbours of one node that are drawn, before it is opened."""
MOST_ROWS = 200
"""Rows of a table of files."""
RECENT = 20
Opened = Annotated[Sequence[str], Query(alias="open", max_length=50)]
"""The nodes of the drawing that were opened, by ``_short``."""
After = Annotated[str, Query(max_length=150)]
"""The first of the projects that are asked, by name; those before it were asked for the page before."""
From = Annotated[str, Query(alias="project", max_length=150)]
"""The project that is asked from: links on its pages say so."""
_TYPES = {".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}


def _when(time_ns: int) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(min(time_ns // 1_000_000_000, _LAST_SECOND)))


_LAST_SECOND = 253_402_300_799
"""31 December 9999: later years are no dates."""


@functools.cache
def _environment() -> jinja2.Environment:
    made = jinja2.Environment(
        loader=jinja2.PackageLoader("roar.server"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters |= {
        "when": _when,
        "size": summary.size,
        "duration": summary.duration,
        "printable": summary.printable,
        "short_hash": lambda content: content[:SHORT_HASH] if content else "unknown",
        "short_id": lambda identifier: identifier[:SHORT_ID],
        "count": lambda number, thing: f"{number:,} {thing}{'' if number == 1 else 'es' if thing[-1] in 'sx' else 's'}",
    }
    made.globals |= {
        "command_line": summary.command_line,
        "file_size": summary.file_size,
        "outcome": summary.outcome,
        "output_words": summary.output_words,
        "tracker_words": summary.tracker_words,
        "left_out_words": summary.left_out_words,
        "commit_page": links.commit_page,
        "project_path": links.project_path,
        "from_project": links.from_project,
        "way_in": links.way_in,
        "static": _static,
        "MOST_ROWS": MOST_ROWS,
    }
    return made


def html(request: Request, name: str, values: Mapping[str, Any], status: int = 200) -> Response:
    """A page by the name of its template. What is shown to a user stays in no cache, not even in the browser's."""
    here, user = site(request), _user(request)
    values = {"site": here, "q": "", "asked_from": "", "user": user, "path": request.url.path, **values}
    text = _environment().get_template(name).render(values)
    headers = dict(HEADERS)
    if user is not None:
        headers["Cache-Control"] = "private, no-store"
    elif status == 200:
        headers["ETag"] = tag = f'"{hashlib.blake2b(text.encode(errors="replace"), digest_size=12).hexdigest()}"'
        if request.headers.get("if-none-match") == tag:
            return Response(status_code=304, headers=headers)
    return HTMLResponse(text.encode(errors="replace"), status, headers)


def _user(request: Request) -> str | None:
    """Whom to name at the top of a page: nobody when that cannot be told, which other words on the page then say."""
    with contextlib.suppress(RoarError, OSError):
        return site(request).user(request)
    return None


# Search


@router.get("/")
def front(request: Request) -> Response:
    """The search, a place for a file, and what is new."""
    with union_of(request) as union:
        jobs = union.load_jobs(union.jobs(limit=RECENT))
        found = {"jobs": jobs, "projects": union.projects, "homes": union.holders(jobs)}
        return html(request, "front.html", found)


@router.get("/search")
def search(request: Request, q: Annotated[str, Query(max_length=500)] = "", after: After = "") -> Response:
    """Whatever answers to some text; the page of it when it is one thing."""
    text = q.strip()
    if not text:
        return RedirectResponse("/", 303, HEADERS)
    with union_of(request) as union, contextlib.ExitStack() as closing:
        part, left = union.part(after)
        closing.enter_context(part)
        targets = finding.named(union, part, text)
        if len(targets) == 1:
            return RedirectResponse(path_of(targets[0]), 303, HEADERS)
        versions = [
            (path, content, job)
            for path in finding.paths_named(part, text)
            for content, job in finding.at_path(part, path)
        ]
        jobs = finding.with_command(part, text)
        known = union.load_jobs([*jobs, *(job for _, _, job in versions)])
        found = {
            "q": text,
            "targets": targets,
            "versions": versions,
            "jobs": {job: known[job] for job in jobs},
            "known": known,
            "homes": union.holders(known),
            "path_of": path_of,
            "left": left and urlencode({"q": text, "after": left}),
        }
        return html(request, "search.html", found)


def path_of(target: Target) -> str:
    """The path of a thing's page."""
    return {"artifact": "/a/", "job": "/j/", "session": "/s/", "commit": "/c/"}[target.kind] + target.id


# Things


@router.get("/a/{content}")
def artifact(request: Request, content: str, opened: Opened = (), project: From = "") -> Response:
    """An artifact: where it came from, what was made of it, and how to make it again."""
    with union_of(request, asked_from=project) as union:
        asked = finding.one_artifact(union, content)
        if asked != content:
            return RedirectResponse(f"/a/{asked}{links.from_project(project)}", 303, HEADERS)
        shown = show_artifact(union, None, Target("artifact", content))
        beside = _around(union, Target("artifact", content), set(opened), f"/a/{content}", project)
        homes = union.holders([*shown.jobs, *beside.up.jobs, *beside.down.jobs])
        maker = shown.made_by[0] if shown.made_by else None
        if maker:  # the name that it gave comes first
            given = {file.path for file in shown.jobs[maker].outputs if file.hash == content}
            shown.names.sort(key=lambda use: use.path not in given)
        place = site(request).place(homes[maker][0] if maker else union.knowers([content])[content][0])
        alone = all(place.project in homes.get(each, ()) for each in beside.up.jobs)
        again = links.commands(content, shown.jobs[maker], place, alone=alone) if maker else []
        values = {
            "shown": shown,
            "commands": again,
            "around": beside,
            "homes": homes,
            "projects": union.knowers([content])[content],
            "versions": finding.versions_beside(union, shown) if maker else [],
            "maker": maker,
            "code": None if maker else finding.code_of(union, shown),
            "also": union.other_makers(content, maker),
            "asked_from": project,
        }
        return html(request, "artifact.html", values)


@router.get("/j/{identifier}")
def job(request: Request, identifier: str, opened: Opened = (), project: From = "") -> Response:
    """A job, with all that its record says. Its files are looked at from the project that it is in."""
    with union_of(request, asked_from=project) as union:
        asked = finding.one_job(union, identifier)
        if asked != identifier:
            return RedirectResponse(f"/j/{asked}{links.from_project(project)}", 303, HEADERS)
        shown = show_job(union, identifier, MOST_ROWS)
        project = union.holders([identifier])[identifier][0]
        beside = _around(union, Target("job", identifier), set(opened), f"/j/{identifier}", project)
        before = finding.earlier_runs(union, shown)
        homes = union.holders([identifier, *beside.up.jobs, *beside.down.jobs])
        place = site(request).place(project)
        alone = all(project in homes.get(each, ()) for each in beside.up.jobs)
        made = next(
            (file.hash for file in shown.outputs.files if file.hash), None
        )  # servers are asked for hashes alone
        again = links.commands(identifier if alone else made, shown.job, place, alone=alone) if made else []
        also = {path: union.other_makers(content, shown.made_by[path]) for path, content in _traced(shown)}
        values = {
            "shown": shown,
            "session_name": _session_name(union, shown.job.session),
            "commands": again,
            "around": beside,
            "earlier": before,
            "homes": homes,
            "also": also,
            "asked_from": "" if site(request).local else project,
        }
        return html(request, "job.html", values)


def _session_name(union: Union, identifier: str | None) -> str | None:
    if identifier is not None:
        with contextlib.suppress(RoarError):  # its record may have stayed where the job came from
            session = union.load(identifier)
            return session.name if isinstance(session, Session) else None
    return None


def _traced(shown: JobShown) -> list[tuple[str, str]]:
    """The inputs that are shown with the job that made them: path and hash."""
    return [(file.path, file.hash) for file in shown.inputs.files if file.hash and file.path in shown.made_by]


@router.get("/j/{identifier}/diff")
def choose_other(
    request: Request, identifier: str, other: Annotated[str, Query(alias="with", max_length=100)] = ""
) -> Response:
    """From a form: the page that compares two jobs."""
    with union_of(request) as union:
        pair = [finding.one_job(union, name) for name in (other, identifier)]
    return RedirectResponse(f"/j/{pair[0]}/diff/{pair[1]}", 303, HEADERS)


@router.get("/j/{before}/diff/{after}")
def difference(request: Request, before: str, after: str) -> Response:
    """What differs between two jobs."""
    with union_of(request) as union:
        for name in (before, after):
            union.load_job(name)
        found = compare(union, union.repository_of(before), before, after)
        lines = found.patch.text.decode(errors="replace").splitlines()
        values = {"found": found, "lines": _patch_lines(lines[:_MOST_LINES])}
        return html(request, "diff.html", {**values, "more_lines": max(0, len(lines) - _MOST_LINES)})


_MOST_LINES = 2000


class PatchLine(NamedTuple):
    """A line of a patch, with what it is as a class of the style sheet."""

    kind: str
    text: str


def _patch_lines(lines: list[str]) -> list[PatchLine]:
    kinds = {"+": "added", "-": "removed", "@": "hunk", " ": "", "\\": ""}
    return [
        PatchLine("head" if line.startswith(("+++ ", "--- ")) else kinds.get(line[:1], "head"), summary.printable(line))
        for line in lines
    ]


@router.get("/s/{identifier}")
def session(request: Request, identifier: str) -> Response:
    """A session and its jobs."""
    with union_of(request) as union:
        shown = show_session(union, finding.one_session(union, identifier), MOST_JOBS)
        homes = union.holders([shown.id, *shown.jobs])
        return html(request, "session.html", {"shown": shown, "homes": homes})


@router.get("/c/{commit}")
def commit(request: Request, commit: str, after: After = "") -> Response:
    """The jobs that ran at a commit."""
    with union_of(request) as union, contextlib.ExitStack() as closing:
        part, left = union.part(after)
        ran = closing.enter_context(part).jobs_at(commit) if re.fullmatch("[0-9a-f]{4,64}", commit) else []
        if not ran and not left:
            raise NotFoundError(f"no job in sight ran at a commit that begins with {commit}", "check the digits")
        jobs = union.load_jobs(ran[:MOST_JOBS])
        values = {"commit": commit, "jobs": jobs, "total": len(ran), "homes": union.holders(jobs)}
        values["left"] = left and urlencode({"after": left})
        return html(request, "commit.html", values)


@router.get("/p/{project:path}")
def project(request: Request, project: str, before: Annotated[str, Query(max_length=26)] = "") -> Response:
    """A project and its jobs, newest first."""
    with union_of(request, project) as union:
        page = finding.page_of_jobs(union, before or None, RECENT * 2)
        jobs = union.load_jobs(page.jobs)
        sessions = {identifier: union.load(identifier) for identifier in union.sessions()[:RECENT]}
        values = {
            "project": project,
            "asked_from": "" if site(request).local else project,
            "place": site(request).place(project),
            "total": union.count_jobs(),
            "jobs": jobs,
            "next": page.next,
            "homes": union.holders(jobs),
            "sessions": {i: record for i, record in sessions.items() if isinstance(record, Session)},
        }
        return html(request, "project.html", values)


class Around(NamedTuple):
    """What is around a thing, in both directions, and the drawing of what is near: how many boxes it has, how many it
    left out, and the page where nothing of it is opened, when something is.
    """

    up: Ancestry
    down: Ancestry
    drawing: Markup
    drawn: int
    left_out: int
    folded: str | None


def _around(union: Union, target: Target, opened: set[str], page: str, project: str) -> Around:
    up, down, both = around(union, target, MOST_JOBS)
    folded = graph(both, target)
    whole = graph(both, target, {node.key for node in folded.nodes if _short(node.key) in opened})
    shown = [node.key for node in whole.nodes if _short(node.key) in opened]
    before = {node.key for node in folded.nodes}
    unfolded = [node.key for node in whole.nodes if node.key not in before]
    near = neighbourhood(whole, MOST_DRAWN, shown, MOST_BESIDE, unfolded)
    drawn = with_stubs(near, whole)

    known = {node.key: node for node in whole.nodes}
    end = "" if len(union.projects) < 2 else links.from_project(project)

    def link(node: Node) -> str | None:
        if node.kind == "job":
            return f"/j/{node.key}{end}"
        if node.kind == "file":
            content = node.files[0].use.hash
            return f"/a/{content}{end}" if content else None
        beside = known.get(node.beside)
        if beside and beside.kind == "job" and _short(node.beside) in opened:  # no more can be drawn: there is a table
            return f"/j/{node.beside}{end}#{'inputs' if node.key.startswith('before') else 'outputs'}"
        now = [*sorted(opened), _short(node.beside or node.key)]
        return f"{page}{end}{'&' if end else '?'}{urlencode([('open', key) for key in now])}#drawing"

    lines = svg.drawing(drawn, both.jobs, link=link)
    boxes = sum(node.kind != "more" for node in drawn.nodes)
    start = f"{page}{end}#drawing" if opened else None
    return Around(up, down, Markup("\n".join(lines)), boxes, drawn.left_out, start)


def _short(key: str) -> str:
    return hashlib.blake2b(key.encode(errors="replace"), digest_size=6).hexdigest()


# Files


@functools.cache
def _file(name: str) -> bytes | None:
    if not re.fullmatch(r"[a-z0-9]+\.(css|js|svg)", name):
        return None
    found = resources.files("roar.server").joinpath("static").joinpath(name)
    text = found.read_bytes() if found.is_file() else None
    return text + svg.STYLE.encode() if text is not None and name == "site.css" else text


@functools.cache
def _static(name: str) -> str:
    """The path of a file, which changes when the file does."""
    return f"/static/{name}?v={hashlib.blake2b(_file(name) or b'', digest_size=6).hexdigest()}"


@router.get("/static/{name}")
def static(name: str) -> Response:
    """A style sheet or a script."""
    body = _file(name)
    if body is None:
        raise NotFoundError("there is no such file")
    kind = _TYPES["." + name.rpartition(".")[2]]
    return Response(body, 200, {**HEADERS, "Cache-Control": "public, max-age=31536000, immutable"}, kind)


def error_page(request: Request, status: int, message: str, hint: str | None) -> Response:
    """What went wrong, for people."""
    request.state.is_page = True
    return html(request, "error.html", {"status": status, "message": message, "hint": hint}, status)
