"""``roar inputs``: what went in from outside, and what must hold to make it again."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from typing import Any

import click

from roar.cli import present
from roar.cli.complete import recorded
from roar.cli.say import Style, write_json
from roar.errors import UsageError
from roar.git.repository import discover
from roar.paths import fs_if_path
from roar.records.summary import file_size, printable
from roar.verbs.checklist import Point, checklist
from roar.verbs.resolve import Target, resolve
from roar.verbs.went_in import Input, WentIn, went_in

_MOST = 20
_MARKS = {True: "yes", False: "no", None: "?"}


@click.command(
    "inputs",
    epilog="\b\nExamples:\n"
    "  git roar inputs model.pkl\n"
    "  git roar inputs @3 --all\n"
    "  git roar inputs model.pkl --unsourced -z | xargs -0 sha256sum",
)
@click.argument("what", metavar="X", shell_complete=recorded)
@click.option("--unsourced", is_flag=True, help="Only the paths of what nothing tracked made, one a line.")
@click.option("-z", "nul", is_flag=True, help="With --unsourced: paths as they are, each followed by a NUL.")
@click.option("--all", "everything", is_flag=True, help="List every input, however many there are.")
@click.option("--json", "as_json", is_flag=True, help="Write inputs and checklist as JSON.")
def command(what: str, *, unsourced: bool, nul: bool, everything: bool, as_json: bool) -> None:
    """Show everything that went into X from outside of its lineage, and whether it can be made again.

    An input is sourced when it is in git, kept with a record, in the store (if that is a folder), or was declared by
    `roar run --input`; it is unsourced when nothing that was tracked made it. X is what `roar show` takes.
    """
    if nul and not unsourced:
        raise UsageError("-z goes with --unsourced", "roar inputs X --unsourced -z")
    if unsourced and as_json:
        raise UsageError("--unsourced and --json are different answers", "give one of them")
    repo = discover()
    with present.opened_index(repo) as index:
        target = resolve(index, repo, what, os.getcwd())
        found = went_in(index, repo, target)
        points = [] if unsourced else checklist(index, repo, found, what)
    if unsourced:
        _write_paths(sorted({item.path for item in found.unsourced}), nul=nul)
    elif as_json:
        write_json(_fields(target, found, points))
    else:
        present.write(_lines(what, found, points, present.style(), most=0 if everything else _MOST))


def _write_paths(paths: list[str], *, nul: bool) -> None:
    if nul:
        sys.stdout.flush()
        sys.stdout.buffer.write(b"".join(os.fsencode(fs_if_path(path)) + b"\0" for path in paths))
    else:
        present.write(printable(path) for path in paths)


def _lines(what: str, found: WentIn, points: list[Point], style: Style, most: int) -> Iterator[str]:
    yield style.bold(f"Inputs of {printable(what)}") + f", from outside of {present.count(len(found.jobs), 'job')}"
    unsourced = found.unsourced
    sourced = [item for item in found.inputs if item.origin != "unsourced"]
    for title, items in (("Unsourced", unsourced), ("Sourced", sourced)):
        yield ""
        yield style.bold(f"{title} ({len(items)})") if items else f"{title}: none"
        yield from _table(items[: most or None], style)
        if most and len(items) > most:
            yield f"    and {len(items) - most} more (--all)"
    if found.between:
        yield ""
        yield style.dim(
            f"and {present.count(len(found.between), 'file')} that these jobs made themselves (roar lineage)"
        )
    yield ""
    yield style.bold("To make it again")
    paints = {True: style.green, False: style.red, None: style.yellow}
    for point in points:
        mend = f" (next: {point.mend})" if point.mend and not point.met else ""
        mark = paints[point.met](f"{_MARKS[point.met]:<3}")
        lines = present.folded(f"{' ' * 8}{point.name:<18} ", point.text + mend)
        yield f"    {mark} {lines[0].lstrip()}"
        yield from lines[1:]


def _table(items: list[Input], style: Style) -> Iterator[str]:
    columns = present.width()
    rows = [
        [
            present.short_hash(item.hash) if item.origin != "declared" else "",
            file_size(item.hash, item.size) if item.origin != "declared" else "",
            printable(item.path),
            _origin(item),
        ]
        for item in items
    ]
    for text in present.table([], rows, [style.cyan, None, None, style.dim], shrink=2, columns=columns and columns - 4):
        yield "    " + text


def _origin(item: Input) -> str:
    if item.origin == "git":
        return f"in git at {present.short_hash(item.place)}" if item.place else "in git"
    if item.origin == "kept":
        return "kept with the record"
    if item.origin == "store":
        return "in the store"
    if item.origin == "declared":
        return "declared; nothing checks it"
    maker = f"made by withdrawn {present.short_id(item.place)}; " if item.place else ""
    if item.is_here:
        return maker + "here"
    return maker + (printable(item.note) or "not here")


def _fields(target: Target, found: WentIn, points: list[Point]) -> dict[str, Any]:
    return {
        "target": {"kind": target.kind, "id": target.id, "path": target.path},
        "jobs": list(found.jobs),
        "inputs": [
            {
                "path": item.path,
                "hash": item.hash,
                "size": item.size,
                "sourced": item.origin != "unsourced",
                "origin": item.origin,
                "commit": item.place if item.origin == "git" else None,
                "withdrawn_maker": item.place if item.origin == "unsourced" else None,
                "here": item.is_here if item.origin == "unsourced" else None,
                "used_by": item.used_by,
            }
            for item in found.inputs
        ],
        "between": [
            {"path": p.use.path, "hash": p.use.hash, "size": p.use.size, "made_by": p.made_by, "used_by": p.used_by}
            for p in found.between
        ],
        "checklist": [point._asdict() for point in points],
    }
