"""``roar show``: what matters most stands first."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

import click

from roar.cli import present, show_sections
from roar.cli.complete import recorded
from roar.cli.log_command import as_fields, line
from roar.cli.say import Style, write_json
from roar.errors import NotFoundError, UsageError
from roar.git.repository import discover
from roar.records.about import Withdrawal
from roar.records.job import File, Job
from roar.records.summary import (
    command_line,
    duration,
    file_size,
    left_out_words,
    outcome,
    printable,
    tag_words,
    tracker_words,
)
from roar.verbs.repetitions import Repeated
from roar.verbs.resolve import SHORT_HASH, resolve
from roar.verbs.show import (
    MOST_FILES,
    ArtifactShown,
    GroupShown,
    JobShown,
    Present,
    RecordShown,
    Side,
    show,
    show_other,
)

_MOST_OF_A_POINTER = 19
"""Characters: ``sha256:`` and twelve digits."""


@click.command(
    "show",
    epilog="\b\nExamples:\n"
    "  git roar show @2\n"
    "  git roar show @2 --processes --env\n"
    "  git roar show 3fa9c0\n"
    "  git roar show model.pkl\n"
    "  git roar show HEAD",
)
@click.argument("what", metavar="X", shell_complete=recorded)
@click.option("--files", "all_files", is_flag=True, help="List every file, and every job.")
@click.option("--processes", is_flag=True, help="List a job's processes, as a tree.")
@click.option("--packages", is_flag=True, help="List the packages that a job read, and those that were installed.")
@click.option("--env", is_flag=True, help="List a job's environment variables, and what is known of the machine.")
@click.option("--json", "as_json", is_flag=True, help="Write all of it as JSON.")
def command(what: str, *, all_files: bool, as_json: bool, **sections: bool) -> None:
    """Show a recorded thing.

    X is a job's id, the first digits (4 or more) of an artifact's hash or of a git commit, a file's path, a step @N
    (or build step @BN) of the session or its name, a name of a commit such as HEAD, or the id of a withdrawal, a label
    or another record about records.
    """
    repo = discover()
    with present.opened_index(repo) as index:
        try:
            target = resolve(index, repo, what, os.getcwd())
        except NotFoundError:
            other = show_other(index, what)
            if other is None:
                raise
            _refuse_sections(sections, what)
            _show_other(other, as_json=as_json)
            return
        if target.kind != "job":
            _refuse_sections(sections, what)
        found = show(index, repo, target, everything=all_files or as_json)
    if as_json:
        write_json(_fields(found))
        return
    style = present.style()
    if isinstance(found, JobShown):
        present.write(_job(found, style, most=0 if all_files else MOST_FILES))
        present.write(show_sections.lines(found.job, style, sections))
    elif isinstance(found, ArtifactShown):
        present.write(_artifact(found, style))
    else:
        present.write(group(found, style))


def _refuse_sections(sections: dict[str, bool], what: str) -> None:
    for name, wanted in sections.items():
        if wanted:
            raise UsageError(f"--{name} is about a job, and {printable(what)} is none", "roar log")


def _show_other(found: RecordShown, *, as_json: bool) -> None:
    fields = found.record.model_dump(mode="json", exclude_defaults=True)
    if as_json:
        write_json({"id": found.id, "kind": found.record.kind, **fields})
        return
    style = present.style()
    by = f", by {printable(fields['user'])}" if "user" in fields else ""
    lines = [
        style.yellow(f"{printable(found.record.kind)} {found.id}"),
        f"    when     {present.when(found.record.clock * 1_000_000)}{by}",
    ]
    for name, value in sorted(fields.items()):
        if name not in ("format", "kind", "clock", "writer", "user"):
            pairs = (
                [f"{key}={text}" if text is not None else f"{key} taken away" for key, text in value.items()]
                if isinstance(value, dict)
                else value
            )
            lines += [
                f"    {name:<8} {printable(str(each))}" for each in (pairs if isinstance(pairs, list) else [pairs])
            ]
    present.write(lines)


def _withdrawn(withdrawals: list[Withdrawal], style: Style) -> Iterator[str]:
    for record in withdrawals:
        why = f": {printable(record.reason)}" if record.reason else ""
        when = present.when(record.clock * 1_000_000)
        yield style.red(f"WITHDRAWN by {printable(record.user)}, {when}{why}")


def _labels(labels: dict[str, str]) -> Iterator[str]:
    if labels:
        yield f"    {present.labels(labels)}"


def _job(found: JobShown, style: Style, most: int) -> Iterator[str]:
    job = found.job
    yield style.yellow(f"job {found.id}")
    yield f"    {command_line(job.command)}"
    yield f"    {present.painted_outcome(outcome(job), style)} in {duration(job.duration_ns)}"
    yield from _withdrawn(found.withdrawals, style)
    yield from _labels(found.labels)
    if job.incomplete:
        yield ""
        yield style.red("INCOMPLETE: this record does not know everything")
        for gap in job.incomplete:
            times = f" ({gap.count} times)" if gap.count > 1 else ""
            yield style.red(f"    {printable(gap.reason)}: {printable(gap.detail)}{times}")
    yield ""
    yield from _circumstances(found, style)
    yield ""
    origins = dict.fromkeys(job.code.kept, "not here" if found.withheld else "kept with the record")
    origins |= {path: f"by {present.short_id(maker)}" for path, maker in found.made_by.items()}
    yield from _files("Inputs", found.inputs, origins, style, most)
    yield from _declared("input", job, style)
    yield from _files("Outputs", found.outputs, {}, style, most)
    yield from _declared("output", job, style)
    yield ""
    for tracker in job.trackers:
        yield from present.folded("Tracker  ", tracker_words(tracker))
    for metrics in job.metrics:
        yield from present.folded("Metrics  ", f"{printable(metrics.path)}: {present.metric_words(metrics)}")
    yield from _surroundings(job, style)


def _circumstances(found: JobShown, style: Style) -> Iterator[str]:
    job = found.job
    yield from present.folded("When     ", f"{present.when(job.started_ns)}, by {printable(job.user)}")
    host = job.environment.machine.hostname
    place = printable(job.command.cwd) or "the top of the work tree"
    yield from present.folded("Where    ", place + (f", on {printable(host)}" if host else ""))
    yield from present.folded("Code     ", present.code_state(job))
    for each in job.code.submodules:
        yield f"             submodule  {style.cyan(each.commit[:SHORT_HASH])}  {printable(each.path)}"
    for other in job.code.repositories:
        kept = f", {present.count(len(other.overlay), 'file')} changed" if other.overlay else ""
        yield f"             repository {style.cyan(other.commit[:SHORT_HASH])}  {printable(other.path)}{kept}"
    for file in job.code.overlay:
        digits = f"{(file.hash or '')[:SHORT_HASH]:{SHORT_HASH}}"
        yield f"             {file.state:<9}  {style.cyan(digits)}  {printable(file.path)}"
    if found.withheld:
        yield style.red("             the changed files are not here: they were left out when it was shared")
    if job.session:
        name = f" ({printable(job.command.name)})" if job.command.name else ""
        step = f"@{found.step}" if found.step else "none"
        yield from present.folded("Step     ", f"{step}{name} of session {job.session}")
    if job.tags:
        yield from present.folded("Tags     ", tag_words(job))
    if job.role != "run":
        yield f"Role     {job.role}"
    if job.reproduces:
        yield f"Again    runs {job.reproduces} again"
    if found.reproduced_by:
        result = f": {_repeated(found.repeated)}" if found.repeated.times else ""
        yield from present.folded("Again    ", f"was run again by {present.some(found.reproduced_by, 3)}{result}")


def _repeated(again: Repeated) -> str:
    """``reproduced 3 times on 2 machines, 1 differed``."""
    times = "once" if again.times == 1 else f"{again.times} times"
    where = f" on {present.count(again.machines, 'machine')}" if again.machines else ""
    return f"reproduced {times}{where}, {again.differed or 'none'} differed"


def _files(title: str, side: Side, origins: dict[str, str], style: Style, most: int) -> Iterator[str]:
    """Data first: what is in git is known anyway."""
    yield style.bold(f"{title} ({side.total}, {present.size(side.size)})") if side.total else f"{title}   none"
    named = sorted(side.files, key=lambda f: (f.blob is not None, f.path))
    rows = [
        [present.short_hash(f.hash), file_size(f.hash, f.size), printable(f.path), _origin(f, origins)]
        for f in named[: most or None]
    ]
    paints = [style.cyan, None, None, style.dim]
    for text in present.table([], rows, paints, shrink=2, columns=present.width() - 4 if present.width() else 0):
        yield "    " + text
    if most and side.total > most:
        yield f"    and {side.total - most} more (--files)"


def _declared(side: str, job: Job, style: Style) -> Iterator[str]:
    """What the user said of one side; it was not seen."""
    for hint in job.hints:
        if hint.side == side:
            yield f"    {printable(hint.ref)}  {style.dim('declared, not seen')}"


def _origin(file: File, origins: dict[str, str]) -> str:
    if file.hash is None:
        return f"unknown: {printable(file.unknown or 'no reason given')}"
    if file.path in origins:
        return origins[file.path]
    if file.pointer is not None:
        return f"{file.pointer.tool} {printable(file.pointer.oid[:_MOST_OF_A_POINTER])}"
    return "in git" if file.blob is not None else file.change or ""


def _surroundings(job: Job, style: Style) -> Iterator[str]:
    for python in job.environment.pythons:
        read = [f"{printable(p.name)} {printable(p.version)}" for p in python.read]
        text = f"{printable(python.version)} ({printable(python.executable)})" + (
            f", read {present.some(read)}" if read else ""
        )
        yield from present.folded("Python   ", text)
    machine = job.environment.machine
    parts = [machine.system, machine.architecture, machine.cpu or ""]
    parts += [f"{machine.cores} cores"] if machine.cores else []
    parts += [present.size(machine.memory_bytes)] if machine.memory_bytes else []
    parts += [gpu.name for gpu in machine.gpus] + ([f"container {machine.container}"] if machine.container else [])
    yield from present.folded("Machine  ", ", ".join(printable(part) for part in parts if part))
    if job.network:
        reached = [f"{printable(e.address)}:{e.port}" for e in job.network]
        yield from present.folded("Network  ", "connected to " + present.some(reached))
    inside = [left_out_words(item) for item in job.left_out if item.inside]
    outside = [left_out_words(item) for item in job.left_out if not item.inside]
    if inside:
        text = "Left out inside the repository: " + present.some(inside)
        ordinary = all(item.reason.startswith("package") for item in job.left_out if item.inside)
        yield text if ordinary else style.red(text)
    if outside or job.temporaries:
        temporary = [f"{job.temporaries} temporary"] if job.temporaries else []
        yield from present.folded("Left out ", present.some(outside + temporary))


def _artifact(found: ArtifactShown, style: Style) -> Iterator[str]:
    yield style.cyan(f"artifact {found.hash}")
    for name, value in found.digests.items():
        yield f"    {name} {value}"
    yield f"    {present.size(found.size)}"
    for use in found.names:
        yield f"    {printable(use.path)}"
    if found.present:
        yield f"    {_present(found.present)}"
    if found.repeated.times:
        yield f"    {_repeated(found.repeated)}"
    yield from _withdrawn(found.withdrawals, style)
    yield from _labels(found.labels)
    if found.collections:
        yield f"    in {', '.join(map(printable, found.collections))}"
    for title, jobs in (("Made by", found.made_by), ("Used by", found.used_by)):
        yield ""
        yield style.bold(f"{title} {present.count(len(jobs), 'job')}" if jobs else f"{title} no recorded job")
        yield from _jobs(jobs, found.jobs, style)
        if title == "Made by" and found.withdrawn_maker:
            yield style.dim(f"    left out: withdrawn job {present.short_id(found.withdrawn_maker)}")


def _present(found: Present) -> str:
    path = printable(found.path)
    if found.state == "latest":
        return f"{path} holds it now: the latest that was recorded"
    latest = f"the latest that was recorded is {present.short_hash(found.hash)}, by {present.short_id(found.job)}"
    return f"{path} {'holds it now' if found.state == 'older' else 'is gone'}; {latest}"


def group(found: GroupShown, style: Style) -> Iterator[str]:
    """The jobs of a commit or of a session."""
    if found.session is None:
        yield style.yellow(f"commit {found.id}")
    else:
        name = f" {printable(found.session.name)}" if found.session.name else ""
        yield style.yellow(f"session {found.id}") + name
        closed = ", closed" * found.closed
        yield f"    {found.session.purpose}, begun by {printable(found.session.user)}{closed}"
        yield from _withdrawn(found.withdrawals, style)
        yield from _labels(found.labels)
    yield ""
    yield style.bold(present.count(len(found.ran), "job"))
    yield from _jobs(found.ran, found.jobs, style)


def _jobs(asked: list[str], known: dict[str, Job], style: Style) -> Iterator[str]:
    shown = [job for job in asked if job in known]
    columns = present.width()
    for identifier in shown:
        yield "    " + line(identifier, known[identifier], style, columns - 4 if columns else 0)
    if len(asked) > len(shown):
        yield f"    and {len(asked) - len(shown)} older (--files)"


def _fields(found: JobShown | ArtifactShown | GroupShown) -> dict[str, Any]:
    taken_back = [{"user": w.user, "clock_ms": w.clock, "reason": w.reason} for w in found.withdrawals]
    if isinstance(found, JobShown):
        whole = found.job.model_dump(mode="json", exclude_none=True)
        inputs, outputs = (
            [file.model_dump(mode="json", exclude_none=True) for file in files]
            for files in (found.inputs.files, found.outputs.files)
        )
        for part in inputs:
            part["made_by"] = found.made_by.get(part["path"])
        return {
            **as_fields(found.id, found.job),
            "kind": "job",
            "inputs": inputs,
            "outputs": outputs,
            "step": found.step,
            "reproduced_by": found.reproduced_by,
            "reproductions": found.repeated._asdict(),
            "withdrawals": taken_back,
            "labels": found.labels,
            "overlay_withheld": found.withheld,
            "record": whole,
        }
    jobs = [as_fields(identifier, job) for identifier, job in found.jobs.items()]
    if isinstance(found, ArtifactShown):
        return {
            "kind": "artifact",
            "hash": found.hash,
            "size": found.size,
            "names": [use.path for use in found.names],
            "made_by": found.made_by,
            "used_by": found.used_by,
            "jobs": jobs,
            "withdrawn_maker": found.withdrawn_maker,
            "present": found.present and found.present._asdict(),
            "reproductions": found.repeated._asdict(),
            "collections": found.collections,
            "digests": found.digests,
            "withdrawals": taken_back,
            "labels": found.labels,
        }
    kind = "session" if found.session else "commit"
    return {
        "kind": kind,
        "id": found.id,
        "ran": found.ran,
        "jobs": jobs,
        "withdrawals": taken_back,
        "labels": found.labels,
    }
