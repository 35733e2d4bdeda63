"""``roar log``."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

import click

from roar.cache.index import Index
from roar.cache.search import Wanted
from roar.cli import present
from roar.cli.boundary import say
from roar.cli.say import Style, write_json
from roar.git.dates import moment
from roar.git.repository import Repository, discover
from roar.paths import from_fs
from roar.records.job import Job
from roar.records.summary import command_line, counts_by_folder, duration, outcome, output_words, printable
from roar.verbs.history import history, paths_meant
from roar.verbs.labels import checked
from roar.verbs.resolve import commit_named
from roar.verbs.status import saved_aside

DEFAULT = 20
_MOST_OUTPUTS = 4
_NARROWEST = 20
"""Columns that a command keeps on any terminal."""


@click.command(
    "log",
    epilog="\b\nExamples:\n"
    "  git roar log\n"
    "  git roar log --oneline -n 50\n"
    "  git roar log --failed --since '2 weeks ago'\n"
    "  git roar log --path 'data/*.csv' --command train",
)
@click.option(
    "-n", "--limit", type=click.IntRange(0, 1 << 31), default=DEFAULT, metavar="N", help="At most N (0: all) [20]."
)
@click.option("--since", metavar="DATE", help="Those that began at DATE or later; any date that git takes.")
@click.option("--until", metavar="DATE", help="Those that began at DATE or before.")
@click.option("--path", metavar="PATH", help="Those that read or wrote PATH: a file, a folder or a glob.")
@click.option("--command", "text", metavar="TEXT", help="Those with TEXT in their command.")
@click.option("--commit", metavar="REV", help="Those that ran at this commit.")
@click.option("--failed", is_flag=True, help="Those that did not end well.")
@click.option("--author", metavar="TEXT", help="Those run by somebody with TEXT in name or address.")
@click.option("-a", "--all", "everything", is_flag=True, help="List withdrawn jobs, too.")
@click.option("--label", metavar="KEY[=VALUE]", help="Those labelled so, or whose session or a file they wrote is.")
@click.option("--oneline", is_flag=True, help="One line a job.")
@click.option("--json", "as_json", is_flag=True, help="Write the jobs as JSON.")
def command(limit: int, *, everything: bool, oneline: bool, as_json: bool, **filters: Any) -> None:
    """List recorded jobs, newest first; with filters, those that all of them let through."""
    repo = discover()
    with present.opened_index(repo) as index:
        wanted = _wanted(index, repo, **filters)
        found = history(index, wanted, limit or None, withdrawn=everything)
        labels = index.labels(i for i, _ in found.jobs)
    if as_json:
        more = {i: {"withdrawn": i in found.withdrawn, "labels": labels.get(i, {})} for i, _ in found.jobs}
        jobs = [{**as_fields(i, job), **more[i]} for i, job in found.jobs]
        write_json({"total": found.total, "withdrawn": len(found.withdrawn), "jobs": jobs})
        return
    if not found.jobs and not found.withdrawn:
        say("no recorded job matches (next: roar log)" if wanted != Wanted() else present.no_jobs(saved_aside(repo)))
        return
    style = present.style()
    for number, (identifier, job) in enumerate(found.jobs):
        taken_back = identifier in found.withdrawn
        if oneline:
            present.write([line(identifier, job, style, present.width(), withdrawn=taken_back)])
        else:
            lines = list(entry(identifier, job, style, withdrawn=taken_back))
            if identifier in labels:
                lines.insert(2, f"Label: {present.labels(labels[identifier])}")
            present.write([""] * bool(number) + lines)
    left = found.total - len(found.jobs)
    if left:
        say(f"{present.count(left, 'older job')} (next: roar log -n 0)")
    if found.withdrawn and not everything:
        say(present.withdrawn(len(found.withdrawn)))


def _wanted(index: Index, repo: Repository, **said: Any) -> Wanted:
    key, equals, value = from_fs(said["label"] or "").partition("=")
    return Wanted(
        since_ns=None if said["since"] is None else moment(said["since"]),
        until_ns=None if said["until"] is None else moment(said["until"]),
        command=None if said["text"] is None else from_fs(said["text"]),
        author=None if said["author"] is None else from_fs(said["author"]),
        code=None if said["commit"] is None else commit_named(index, repo, said["commit"]),
        failed=said["failed"],
        label=None if said["label"] is None else (checked(key), value if equals else None),
        paths=None if said["path"] is None else paths_meant(index, repo, said["path"], os.getcwd()),
    )


def line(identifier: str, job: Job, style: Style, columns: int = 0, *, withdrawn: bool = False) -> str:
    """A job in one line that fits into so many columns (0: any number), with a mark when it runs another one again."""
    result = outcome(job)
    head = f"{present.short_id(identifier)}  {result}  {duration(job.duration_ns)}  "
    made = output_words(job, 2)
    tail = f" -> {made}" if made else ""
    words = command_line(job.command)
    again = " (again)" * bool(job.reproduces) + " (withdrawn)" * withdrawn
    if columns:  # the command gives way first: what was made says more
        room = max(columns - len(head), _NARROWEST)
        room -= len(again)
        words = present.fit(words, max(room - len(tail), room // 2))
        tail = present.fit(tail, max(room - len(words), 1))
    words += tail + style.dim(again)
    start = style.yellow(present.short_id(identifier))
    return f"{start}  {present.painted_outcome(result, style)}  {duration(job.duration_ns)}  {words}"


def entry(identifier: str, job: Job, style: Style, *, withdrawn: bool = False) -> Iterator[str]:
    """A job in a few lines, in the manner of git log."""
    mark = style.red("  withdrawn") if withdrawn else ""
    yield (
        f"{style.yellow('job ' + identifier)}  {present.painted_outcome(outcome(job), style)}"
        f"  {duration(job.duration_ns)}{mark}"
    )
    yield f"Date:  {present.when(job.started_ns)}"
    yield f"Code:  {present.code_state(job)}"
    if job.reproduces:
        yield f"Again: {job.reproduces}"
    if job.incomplete:
        yield style.red(f"Incomplete: {present.count(len(job.incomplete), 'gap')} in what is known")
    yield ""
    yield ("    " + command_line(job.command) + (f"    (in {printable(job.command.cwd)})" if job.command.cwd else ""))
    for file in job.outputs[:_MOST_OUTPUTS]:
        yield f"    -> {style.cyan(present.short_hash(file.hash))}  {printable(file.path)}"
    folders = list(counts_by_folder(job.output_shards).items())
    for folder, count in folders[:_MOST_OUTPUTS]:
        yield f"    -> {present.count(count, 'file')} in {printable(folder) or '.'}"
    more = len(job.outputs[_MOST_OUTPUTS:]) + sum(count for _, count in folders[_MOST_OUTPUTS:])
    if more:
        yield f"    -> and {more} more"
    for metrics in job.metrics:
        yield f"    {printable(metrics.path)}: {present.metric_words(metrics)}"


def as_fields(identifier: str, job: Job) -> dict[str, Any]:
    """A job in short, for JSON."""
    return {
        "id": identifier,
        "command": command_line(job.command),
        "argv": job.command.argv,
        "cwd": job.command.cwd,
        "outcome": outcome(job),
        "exit_code": present.exit_code(job),
        "started_ns": job.started_ns,
        "duration_ns": job.duration_ns,
        "user": job.user,
        "session": job.session,
        "commit": job.code.commit,
        "branch": job.code.branch,
        "reproduces": job.reproduces,
        "tags": job.tags,
        "trackers": [each.model_dump(mode="json", exclude_none=True) for each in job.trackers],
        "hints": [{"side": hint.side, "ref": hint.ref, "seen": False} for hint in job.hints],
        "incomplete": len(job.incomplete),
        "output_count": len(job.outputs) + sum(shard.count for shard in job.output_shards),
        "metrics": {metrics.path: metrics.values for metrics in job.metrics},
        "outputs": [{"path": f.path, "hash": f.hash, "size": f.size} for f in job.outputs],
    }
