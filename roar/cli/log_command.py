"""``roar log``."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import click

from roar.cli import present
from roar.cli.boundary import say
from roar.cli.say import Style, write_json
from roar.git.repository import discover
from roar.records.job import Job
from roar.records.summary import command_line, counts_by_folder, duration, outcome, output_words, printable
from roar.verbs.history import history
from roar.verbs.status import saved_aside

DEFAULT = 20
_MOST_OUTPUTS = 4
_NARROWEST = 20
"""Columns that a command keeps on any terminal."""


@click.command("log", epilog="\b\nExamples:\n  git roar log\n  git roar log --oneline -n 50")
@click.option("-n", "limit", type=click.IntRange(min=0), default=DEFAULT, metavar="N", help="At most N (0: all) [20].")
@click.option("-a", "--all", "everything", is_flag=True, help="List withdrawn jobs, too.")
@click.option("--label", metavar="KEY[=VALUE]", help="Only jobs with this label.")
@click.option("--oneline", is_flag=True, help="One line a job.")
@click.option("--json", "as_json", is_flag=True, help="Write the jobs as JSON.")
def command(limit: int, label: str | None, *, everything: bool, oneline: bool, as_json: bool) -> None:
    """List recorded jobs, newest first."""
    repo = discover()
    with present.opened_index(repo) as index:
        key, equals, value = (label or "").partition("=")
        wanted = (key, value if equals else None) if label else None
        found = history(index, limit or None, withdrawn=everything, label=wanted)
        labels = index.labels(i for i, _ in found.jobs)
    if as_json:
        more = {i: {"withdrawn": i in found.withdrawn, "labels": labels.get(i, {})} for i, _ in found.jobs}
        jobs = [{**as_fields(i, job), **more[i]} for i, job in found.jobs]
        write_json({"total": found.total, "withdrawn": len(found.withdrawn), "jobs": jobs})
        return
    if not found.jobs and label:
        say(f"no job has the label {printable(label)}")
        return
    if not found.jobs and not found.withdrawn:
        say(present.no_jobs(saved_aside(repo)))
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
        "hints": [{"side": hint.side, "ref": hint.ref, "seen": False} for hint in job.hints],
        "incomplete": len(job.incomplete),
        "output_count": len(job.outputs) + sum(shard.count for shard in job.output_shards),
        "outputs": [{"path": f.path, "hash": f.hash, "size": f.size} for f in job.outputs],
    }
