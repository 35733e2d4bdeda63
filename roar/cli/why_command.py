"""``roar why``: one screen on why a file is what it is."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from typing import Any

import click

from roar.cache.index import Index
from roar.cli import present
from roar.cli.complete import recorded
from roar.cli.diff_command import number
from roar.cli.say import Style, write_json
from roar.errors import NotFoundError, UsageError
from roar.git.repository import Repository, discover
from roar.records.job import Job
from roar.records.summary import command_line, printable
from roar.verbs.resolve import content_at, place, resolve
from roar.verbs.why import Cause, Why, why

_MOST = 12
_MOST_HUNK = 8
_INDENT = "     "


@click.command("why", epilog="\b\nExamples:\n  git roar why metrics.json\n  git roar why model.pkl 3fa9c0")
@click.argument("path", metavar="PATH", shell_complete=recorded)
@click.argument("older", metavar="[OLD]", required=False, shell_complete=recorded)
@click.option("--json", "as_json", is_flag=True, help="Write the causes as JSON.")
def command(path: str, older: str | None, *, as_json: bool) -> None:
    """Say why a file is what it is: what was different from when it was other.

    PATH is a file or an artifact's hash. OLD is the hash of another version of it (default: what was there before).
    Causes are ranked by how directly they act: arguments, code, inputs (followed to what changed first), packages
    that were read, environment, machine.
    """
    repo = discover()
    with present.opened_index(repo) as index:
        stray = _stray(index, repo, path)
        found = None if stray else _found(index, repo, path, older)
        jobs = index.load_jobs([stray[2]] if stray else _jobs_of(found))
    if as_json:
        write_json(_stray_fields(*stray) if stray else _fields(found))
    elif stray:
        present.write(_stray_lines(*stray, jobs[stray[2]]))
    elif found is not None:
        present.write(_lines(found, jobs, present.style()))


def _stray(index: Index, repo: Repository, text: str) -> tuple[str, str, str] | None:
    """For a file whose present content no job met: its name, that content, and the job that wrote the path last."""
    where, name = place(repo, text, os.getcwd())
    versions = index.versions(name)
    now = content_at(repo, where) if versions else []
    return (name, now[-1], versions[0][1]) if now and not any(index.names(known) for known in now) else None


def _stray_lines(name: str, now: str, job: str, record: Job) -> Iterator[str]:
    yield f"{printable(name)} was changed by something that was not recorded: no job met its content {now[:12]}"
    yield f"It was last written {present.when(record.started_ns)} by job {present.short_id(job)}:"
    yield f"    {command_line(record.command)}"
    yield f"roar lineage {present.short_id(job)} shows where that came from"


def _stray_fields(name: str, now: str, job: str) -> dict[str, Any]:
    """The same fields as of a file that a job wrote, and the job that wrote another content last."""
    return {
        "path": name,
        "hash": now,
        "job": None,
        "before": None,
        "causes": [],
        "truncated": False,
        "last_job": job,
    }


def _found(index: Index, repo: Repository, text: str, older: str | None) -> Why:
    cwd = os.getcwd()
    target = resolve(index, repo, text, cwd)
    if target.kind != "artifact":
        raise UsageError(f"{printable(text)} is a {target.kind}: ask about a file that it wrote", "roar show")
    other = resolve(index, repo, older, cwd) if older else None
    if other is not None and other.kind != "artifact":
        raise UsageError(f"{printable(older or '')} is a {other.kind}, not a version of a file", "roar log")
    for name in [target.path] if target.path else [use.path for use in index.names(target.id)]:
        found = why(index, repo, name, target.id, other.id if other else None)
        if found is not None and (other is None or found.before is not None):
            return found
    if other is not None:
        raise NotFoundError(f"no job wrote {printable(older or '')} to the same path", "roar diff A B")
    raise NotFoundError(f"no recorded job wrote {printable(text)}", f"roar lineage {text} --down")


def _jobs_of(found: Why | None) -> list[str]:
    if found is None:
        return []
    made = [job for cause in _all(found.causes) if cause.made_by for job in cause.made_by]
    return [found.job, *([found.before[1]] if found.before else []), *made]


def _all(causes: Iterable[Cause]) -> Iterator[Cause]:
    for cause in causes:
        yield cause
        yield from _all(cause.because)


def _lines(found: Why, jobs: dict[str, Job], style: Style) -> Iterator[str]:
    job = jobs[found.job]
    yield f"{style.bold(printable(found.path))} {style.cyan(present.short_hash(found.hash))}"
    yield f"    written {present.when(job.started_ns)} by job {style.yellow(present.short_id(found.job))}"
    yield from present.folded("    ", command_line(job.command))
    if found.before is None or found.comparison is None:
        yield ""
        text = "No job wrote anything else there before: it is what this command made of its inputs"
        yield from present.folded("", text)
        yield f"(next: roar lineage {present.short_hash(found.hash)})"
        return
    content, earlier = found.before
    yield f"    it was {style.cyan(present.short_hash(content))}, by job {style.yellow(present.short_id(earlier))}"
    for change in [m for m in found.comparison.metrics if m.path == found.path][:_MOST_HUNK]:
        yield f"    {printable(change.name)}: {number(change.before)} -> {number(change.after)}"
    yield ""
    yield style.bold("What was different, the most direct first")
    for place_, cause in enumerate(found.causes[:_MOST], 1):
        yield from _cause(f"{place_}.", cause, jobs, style)
    if len(found.causes) > _MOST or found.truncated:
        yield f"and more (next: roar diff {present.short_id(earlier)} {present.short_id(found.job)} --all)"


def _cause(sign: str, cause: Cause, jobs: dict[str, Job], style: Style) -> Iterator[str]:
    yield f"{sign:<4} {_sentence(cause, style)}"
    for text in cause.lines[:_MOST_HUNK]:
        paint = style.green if text.startswith("+") else style.red
        yield f"{_INDENT}    " + paint(present.fit(printable(text.expandtabs(4)), present.width() - 14))
    if len(cause.lines) > _MOST_HUNK:
        yield f"{_INDENT}    and {len(cause.lines) - _MOST_HUNK} more"
    if cause.made_by:
        job = jobs.get(cause.made_by[1])
        by = f"job {present.short_id(cause.made_by[1])}"
        yield f"{_INDENT}made by {by}: {command_line(job.command, 60)}" if job else f"{_INDENT}made by {by}"
        for inner in cause.because[:_MOST]:
            for line in _cause("-", inner, jobs, style):
                yield _INDENT + line


def _sentence(cause: Cause, style: Style) -> str:
    name = printable(cause.name)
    if cause.kind == "chance":
        return style.red(f"{name}: the command is not deterministic, or depends on something unseen")
    if cause.kind == "unknown":
        return style.red(f"something that the records do not know ({name})")
    before, after = (_side(cause, value) for value in (cause.before, cause.after))
    return f"{cause.kind:<11}  {name}: {style.red(before)} -> {style.green(after)}"


def _side(cause: Cause, value: str | None) -> str:
    if value is None:
        return "none"
    return present.short_hash(value) if cause.kind in ("code", "input") else printable(value)


def _fields(found: Why | None) -> dict[str, Any]:
    if found is None:
        return {}
    return {
        "path": found.path,
        "hash": found.hash,
        "job": found.job,
        "before": {"hash": found.before[0], "job": found.before[1]} if found.before else None,
        "causes": [_cause_fields(cause) for cause in found.causes],
        "truncated": found.truncated,
    }


def _cause_fields(cause: Cause) -> dict[str, Any]:
    return {**cause._asdict(), "because": [_cause_fields(inner) for inner in cause.because]}
