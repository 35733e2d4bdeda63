"""``roar diff``: two jobs, or two versions of a file, side by side; what matters most first."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

import click

from roar.cache.index import Index
from roar.cli import present
from roar.cli.complete import recorded
from roar.cli.log_command import as_fields
from roar.cli.say import Style, write_json
from roar.errors import EXIT_NO, EXIT_OK, NotFoundError, UsageError
from roar.git.repository import Repository, discover
from roar.records.summary import command_line, duration, outcome, printable
from roar.verbs.compare import Change, Comparison, FileChange, Side, compare
from roar.verbs.resolve import Target, resolve

_MOST = 12


@click.command(
    "diff",
    epilog="\b\nExamples:\n  git roar diff metrics.json\n  git roar diff 3fa9c0 88ab17\n  git roar diff -p @1 01JGKX",
)
@click.argument("a", metavar="A", shell_complete=recorded)
@click.argument("b", metavar="[B]", required=False, shell_complete=recorded)
@click.option("-p", "--patch", "as_patch", is_flag=True, help="Show the lines of code that differ, as git diff does.")
@click.option("--all", "everything", is_flag=True, help="List every difference, however many there are.")
@click.option("--exit-code", is_flag=True, help="Exit with 3 when anything differs that could matter.")
@click.option("--json", "as_json", is_flag=True, help="Write all of it as JSON.")
def command(a: str, b: str | None, *, as_patch: bool, everything: bool, exit_code: bool, as_json: bool) -> int:
    """Show what differs between two jobs, or between the jobs that wrote two artifacts.

    A and B are what `roar show` takes. A alone is a file: its last two versions are compared.
    """
    repo = discover()
    with present.opened_index(repo) as index:
        before, after = jobs_to_compare(index, repo, a, b)
        found = compare(index, repo, before, after)
    differs = found.causes or bool(found.outputs)
    if as_json:
        write_json(fields(found))
    else:
        style = present.style()
        present.write(_lines(found, style, most=0 if everything else _MOST))
        if as_patch and found.code:
            present.write(["", *_patch(found.patch.text, style)])
    return EXIT_NO if exit_code and differs else EXIT_OK


def jobs_to_compare(index: Index, repo: Repository, a: str, b: str | None) -> tuple[str, str]:
    """The ids of the two jobs, the one to compare with first. Raises ``RoarError`` when there are no two."""
    cwd = os.getcwd()
    first = resolve(index, repo, a, cwd)
    if b is not None:
        return _job_of(index, first), _job_of(index, resolve(index, repo, b, cwd))
    if first.kind != "artifact":
        raise UsageError(f"{printable(a)} is one {first.kind}: name another to compare it with", "roar diff A B")
    names = [first.path] if first.path else [use.path for use in index.names(first.id)]
    for name in names:
        versions = index.versions(name)
        contents = [content for content, _ in versions]
        at = contents.index(first.id) if first.id in contents else len(contents)
        older = next((job for content, job in versions[at:] if content != first.id), None)
        if older is not None:
            return older, versions[at][1]
    raise NotFoundError(f"no job wrote another version of {printable(names[0])} before", "roar diff A B")


def _job_of(index: Index, target: Target) -> str:
    if target.kind == "job":
        return target.id
    if target.kind == "artifact":
        makers = index.producers(target.id)
        if not makers:
            name = printable(target.path or target.id[:16])
            raise NotFoundError(f"no recorded job made {name}", "compare the jobs that read it")
        return makers[0]
    raise UsageError(f"{target.id[:16]} is a {target.kind}, which holds many jobs", "name a job of it: roar show")


def _lines(found: Comparison, style: Style, most: int) -> Iterator[str]:
    for sign, one in (("-", found.before), ("+", found.after)):
        job = one.job
        text = f"{present.when(job.started_ns)}  {present.painted_outcome(outcome(job), style)}"
        yield f"{style.yellow(f'{sign} job {present.short_id(one.id)}')}  {text} in {duration(job.duration_ns)}"
        yield f"    {command_line(job.command)}"
        if job.incomplete:
            gaps = ", ".join(sorted({printable(gap.reason) for gap in job.incomplete}))
            yield style.red(f"    INCOMPLETE ({gaps}): it may differ in more than is shown")
    parts = [
        _changes("Command", found.command, style, most),
        _code(found, style, most),
        _file_changes("Inputs", found.inputs, style, most),
        _packages(found.packages, style, most),
        _changes("Environment", found.variables, style, most),
        _changes("Machine", found.machine, style, most),
        _changes("System packages", found.system, style, most),
        _file_changes("Outputs", found.outputs, style, most),
        _metrics(found, style, most),
    ]
    for part in parts:
        lines = list(part)
        if lines:
            yield from ["", *lines]
    yield ""
    if not found.causes and found.outputs:
        text = "Nothing that was recorded differs but the outputs: the command is not deterministic, or depends on"
        yield from map(style.red, present.folded("", f"{text} something unseen."))
    elif not found.causes:
        yield "Nothing differs."
    if found.same_outputs:
        yield f"{present.count(found.same_outputs, 'output')} identical"


def _changes(title: str, changes: list[Change], style: Style, most: int) -> Iterator[str]:
    if changes:
        yield style.bold(title)
    for change in changes[: most or None]:
        yield f"    {change.name}: {_value(change.before, style.red)} -> {_value(change.after, style.green)}"
    yield from _more(len(changes), most)


def _value(value: Any, paint: present.Paint) -> str:
    return "none" if value is None else paint(printable(str(value)))


def _packages(changes: list[Change], style: Style, most: int) -> Iterator[str]:
    read = [change for change in changes if not change.unread]
    yield from _changes("Packages", read, style, most)
    if len(changes) > len(read):
        unread = present.count(len(changes) - len(read), "installed package")
        yield style.dim(f"{unread} that neither job read also differ{'s' * (len(changes) - len(read) == 1)}")


def _code(found: Comparison, style: Style, most: int) -> Iterator[str]:
    commits = [one.job.code.commit for one in (found.before, found.after)]
    if found.code or commits[0] != commits[1]:
        yield (
            style.bold("Code") + f"  {' -> '.join(present.code_state(one.job) for one in (found.before, found.after))}"
        )
    for change in found.code[: most or None]:
        counts = found.patch.counts.get(change.path, ())
        if change.path in found.patch.missing:
            size = "its bytes are not here"
        elif counts is None:
            size = "binary"
        else:
            size = f"{style.green(f'+{counts[0]}')} {style.red(f'-{counts[1]}')}" if counts else ""
        yield f"    {change.state:<8} {printable(change.path)}  {size}".rstrip()
    yield from _more(len(found.code), most)
    if found.other_code:
        yield style.dim(f"{present.count(found.other_code, 'other file')} changed in git, read by neither job")
    elif found.other_code is None and commits[0] != commits[1] and None not in commits:
        yield style.dim("a commit is not here: what else changed in git is not known (next: git fetch)")


def _patch(text: bytes, style: Style) -> Iterator[str]:
    """Git's patch, painted as git does, without what a terminal would obey."""
    for raw in text.decode(errors="backslashreplace").splitlines():
        line = "\t".join(printable(part) for part in raw.split("\t"))
        if line.startswith(("diff --git", "index ", "--- ", "+++ ")):
            yield style.bold(line)
        elif line.startswith("@@"):
            yield style.cyan(line)
        else:
            yield {"+": style.green, "-": style.red}.get(line[:1], str)(line)


def _file_changes(title: str, changes: list[FileChange], style: Style, most: int) -> Iterator[str]:
    if not changes:
        return
    yield style.bold(title)
    rows = []
    for change in changes[: most or None]:
        sides = [present.short_hash(file.hash) if file else "" for file in (change.before, change.after)]
        arrow = "->" if change.before and change.after else ""
        rows.append([change.state, sides[0], arrow, sides[1], printable(change.path)])
    for text in present.table([], rows, [None, style.red, None, style.green, None]):
        yield "    " + text
    yield from _more(len(changes), most)


def _metrics(found: Comparison, style: Style, most: int) -> Iterator[str]:
    if found.metrics:
        yield style.bold("Metrics")
    rows = [
        [
            printable(m.path),
            printable(m.name),
            number(m.before),
            "->",
            number(m.after),
            _difference(m.before, m.after),
        ]
        for m in found.metrics[: most or None]
    ]
    for text in present.table([], rows, [None, None, style.red, None, style.green, None]):
        yield "    " + text
    yield from _more(len(found.metrics), most)


def number(text: str | None) -> str:
    try:
        return "none" if text is None else f"{float(text):.6g}"
    except ValueError:
        return printable(text or "")


def _difference(before: str | None, after: str | None) -> str:
    try:
        return f"{float(after or '') - float(before or ''):+.3g}"
    except ValueError:
        return ""


def _more(count: int, most: int) -> Iterator[str]:
    if most and count > most:
        yield f"    and {count - most} more (--all)"


def fields(found: Comparison) -> dict[str, Any]:
    """A comparison as JSON."""

    def file(change: FileChange) -> dict[str, Any]:
        sides = [one and one.model_dump(mode="json", exclude_none=True) for one in (change.before, change.after)]
        return {"path": change.path, "state": change.state, "before": sides[0], "after": sides[1]}

    def one(side: Side) -> dict[str, Any]:
        return {**as_fields(side.id, side.job), "incomplete": [gap.model_dump() for gap in side.job.incomplete]}

    return {
        "before": one(found.before),
        "after": one(found.after),
        "command": [change._asdict() for change in found.command],
        "code": [file(change) for change in found.code],
        "patch": found.patch.text.decode(errors="replace"),
        "code_not_here": found.patch.missing,
        "other_code": found.other_code,
        "inputs": [file(change) for change in found.inputs],
        "packages": [change._asdict() for change in found.packages],
        "variables": [change._asdict() for change in found.variables],
        "machine": [change._asdict() for change in found.machine],
        "system": [change._asdict() for change in found.system],
        "outputs": [file(change) for change in found.outputs],
        "same_outputs": found.same_outputs,
        "metrics": [metric._asdict() for metric in found.metrics],
    }
