"""``roar lineage``: a picture of the jobs, and the files with who made them."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

import click

from roar.cli import present
from roar.cli.boundary import say
from roar.cli.complete import recorded
from roar.cli.log_command import as_fields, line
from roar.cli.say import Style, write_json
from roar.draw import rows
from roar.errors import NotFoundError, RoarError, UsageError
from roar.export import dot, mermaid, page
from roar.export import svg as svg_export
from roar.git.repository import discover
from roar.lineage import Use
from roar.records.summary import file_size, printable
from roar.verbs.ancestry import Ancestry, Direction, Product, ancestry, which_way
from roar.verbs.graph import graph, neighbourhood
from roar.verbs.resolve import Target, resolve

MOST_JOBS = 500
_MOST_FILES = 20
"""Files alike in one folder; more are one line."""
_NARROWEST = 24
"""Columns that a job keeps beside the picture."""


@click.command(
    "lineage",
    epilog="\b\nExamples:\n"
    "  git roar lineage metrics.json\n"
    "  git roar lineage data/raw.csv --down --depth 2\n"
    "  git roar lineage metrics.json --to data/raw.csv\n"
    "  git roar lineage metrics.json --html lineage.html",
)
@click.argument("what", metavar="X", shell_complete=recorded)
@click.option("--up", "up", is_flag=True, help="Where it came from (the default). With --down: both.")
@click.option("--down", "down", is_flag=True, help="What was made of it.")
@click.option("--depth", type=click.IntRange(min=1), metavar="N", help="At most N jobs away.")
@click.option(
    "-n",
    "--limit",
    type=click.IntRange(min=0),
    default=MOST_JOBS,
    metavar="N",
    help="The nearest N jobs (0: all) [500].",
)
@click.option("--all", "everything", is_flag=True, help="List every file, however many lie in one folder.")
@click.option("--to", "to", metavar="Y", shell_complete=recorded, help="Only what leads from X to Y.")
@click.option("--dot", is_flag=True, help="Write a graph for Graphviz.")
@click.option("--mermaid", is_flag=True, help="Write a graph for Mermaid, for Markdown.")
@click.option("--svg", "svg", metavar="FILE", help="Draw into FILE (- for standard output).")
@click.option("--html", "html", metavar="FILE", help="Write a page with tables, drawing and search into FILE.")
@click.option("--json", is_flag=True, help="Write jobs and artifacts as JSON.")
def command(  # noqa: PLR0913  one for each option
    what: str,
    *,
    up: bool,
    down: bool,
    depth: int | None,
    limit: int,
    everything: bool,
    to: str | None,
    **forms: str | bool | None,
) -> None:
    """Show where X came from, or what was made of it.

    X and Y are what `roar show` takes: a job, an artifact's hash, a path, a step @N, a commit. Many files that lie in
    one folder, made by one job and read by the same ones, are one line.
    """
    chosen = [(form, where if isinstance(where, str) else "-") for form, where in forms.items() if where]
    if len(chosen) > 1:
        raise UsageError("--dot, --mermaid, --svg, --html and --json are different answers", "give one of them")
    direction: Direction = "both" if up and down else "down" if down else "up"
    repo = discover()
    with present.opened_index(repo) as index:
        target = resolve(index, repo, what, os.getcwd())
        end = resolve(index, repo, to, os.getcwd()) if to else None
        if end is not None and up == down:
            way = which_way(index, target, end)
            if way is None:
                raise NotFoundError("nothing recorded leads from one to the other", "roar lineage X --up --down")
            direction = way
        found = ancestry(index, target, direction=direction, depth=depth, to=end, most=limit or None)
    by = f"--limit {limit}" if depth is None or len(found.lineage.jobs) == limit else f"--depth {depth}"
    where = {"up": "before", "down": "after", "both": "around"}[direction]
    cut = f"cut by {by}: {present.count(len(found.lineage.cut), 'job')} right {where} these, and what lies beyond"
    cut *= bool(found.lineage.cut)
    if forms["json"]:
        write_json(_fields(target, found, direction))
    elif chosen:
        _export(target, found, *chosen[0])
        if cut:
            say(f"roar: {cut} (next: -n 0)")
    else:
        most = None if everything else _MOST_FILES
        present.write(_lines(target, found, present.style(), direction, cut, most))


def _export(target: Target, found: Ancestry, form: str, path: str) -> None:
    whole = graph(found, target)
    lines: Iterator[str]
    if form == "dot":
        lines = dot.lines(whole, found.jobs)
    elif form == "mermaid":
        lines = mermaid.lines(whole, found.jobs)
    elif form == "svg":
        near = neighbourhood(whole, svg_export.MOST_NODES)
        lines = svg_export.lines(near, found.jobs)
        if near.left_out:
            say(f"roar: {near.left_out} nodes farther away are not drawn (next: --depth N, or --html FILE)")
    else:
        lines = page.lines(found, whole, f"Lineage of {_name(target, found)}")
    if path == "-":
        present.write(lines)
        return
    try:
        with open(path, "w", encoding="utf-8", errors="backslashreplace") as file:
            file.writelines(line + "\n" for line in lines)
    except OSError as error:
        hint = f"--{form} FILE, in a folder that is there"
        raise RoarError(f"cannot write {printable(path)}: {error.strerror}", hint) from error


def _lines(
    target: Target, found: Ancestry, style: Style, direction: Direction, cut: str, most: int | None
) -> Iterator[str]:
    title = {"up": "Lineage of", "down": "Made of", "both": "Around"}[direction]
    yield style.bold(f"{title} {_name(target, found)}")
    yield ""
    if found.jobs:
        yield from _picture(found, style)
    else:
        yield "no recorded job read it" if direction == "down" else "no recorded job made it"
    if cut:
        yield style.red(cut)
    yield ""
    yield from _table(target, found, style, most)
    code = {use.path for inputs, _ in found.uses.values() for use in inputs if use.code}
    if code:
        yield style.dim(f"and {present.count(len(code), 'file')} of code, in git or beside the records")


def _name(target: Target, found: Ancestry) -> str:
    if target.kind != "artifact":
        return f"{target.kind} {target.id}"
    path = target.path or next((p.use.path for p in found.products if p.use.hash == target.id), "")
    return f"{printable(path)} {present.short_hash(target.id)}".strip()


def _picture(found: Ancestry, style: Style) -> Iterator[str]:
    """Newest first, so that a file's maker stands below its readers, as a commit's parents do in git log."""
    parents: dict[str, list[str]] = {}
    for edge in found.lineage.edges:
        parents.setdefault(edge.consumer, []).append(edge.producer)
    columns = present.width()
    for row in rows.layout(found.lineage.jobs[::-1], parents):
        graph = rows.text(row)
        if row.node is None:
            yield graph
        else:
            room = max(columns - len(graph) - 2, _NARROWEST) if columns else 0
            taken_back = row.node in found.withdrawn
            yield f"{graph}  {line(row.node, found.jobs[row.node], style, room, withdrawn=taken_back)}"


def _table(target: Target, found: Ancestry, style: Style, most: int | None) -> list[str]:
    lines = []
    for folder, products in _folded(target, found, most):
        use = products[0].use
        if len(products) > 1:
            name = f"{printable(folder) or '.'}/ ({present.count(len(products), 'file')})"
            lines.append([name, "", present.size(sum(p.use.size or 0 for p in products)), _maker(products[0], found)])
        else:
            name = printable(use.path) + " (withdrawn)" * (use.hash in found.withdrawn)
            lines.append(
                [name, present.short_hash(use.hash), file_size(use.hash, use.size), _maker(products[0], found)]
            )
    paints = [None, style.cyan, None, style.yellow]
    return present.table(["FILE", "HASH", "SIZE", "MADE BY"], lines, paints, shrink=0, columns=present.width())


def _folded(target: Target, found: Ancestry, most: int | None) -> Iterator[tuple[str, list[Product]]]:
    """The files one by one; those of one folder, maker and readers together when they are more than ``most``.

    What was asked for, what was withdrawn and what is not known always stand alone.
    """
    groups: dict[tuple[str, str | None, tuple[str, ...], int], list[Product]] = {}
    for number, product in enumerate(found.products):
        folder, content = product.use.path.rpartition("/")[0], product.use.hash
        alone = content in (None, target.id) or content in found.withdrawn or content in found.withdrawn_makers
        key = (folder, product.made_by, tuple(product.used_by), number if alone else -1)
        groups.setdefault(key, []).append(product)
    for (folder, *_), products in groups.items():
        if most is not None and len(products) > most:
            yield folder, products
        else:
            yield from ((folder, [product]) for product in products)


def _maker(product: Product, found: Ancestry) -> str:
    withdrawn = found.withdrawn_makers.get(product.use.hash or "")
    if product.made_by is None and withdrawn:
        return f"withdrawn {present.short_id(withdrawn)}"
    return present.short_id(product.made_by) if product.made_by else "no recorded job"


def _fields(target: Target, found: Ancestry, direction: Direction) -> dict[str, Any]:
    makers = {(edge.consumer, edge.path): edge.producer for edge in found.lineage.edges + found.lineage.beyond}

    def part(use: Use, made_by: str | None) -> dict[str, Any]:
        return {"path": use.path, "hash": use.hash, "size": use.size, "code": use.code, "made_by": made_by}

    jobs = []
    for identifier, job in found.jobs.items():
        inputs, outputs = found.uses.get(identifier, ([], []))
        files = {
            "inputs": [part(use, makers.get((identifier, use.path))) for use in inputs],
            "outputs": [part(use, identifier) for use in outputs],
        }
        jobs.append({**as_fields(identifier, job), **files, "withdrawn": identifier in found.withdrawn})
    return {
        "target": {"kind": target.kind, "id": target.id, "path": target.path},
        "direction": direction,
        "jobs": jobs,
        "artifacts": [
            {
                "path": p.use.path,
                "hash": p.use.hash,
                "size": p.use.size,
                "made_by": p.made_by,
                "used_by": p.used_by,
                "withdrawn": p.use.hash in found.withdrawn,
                "withdrawn_maker": found.withdrawn_makers.get(p.use.hash or ""),
            }
            for p in found.products
        ],
        "truncated": bool(found.lineage.cut),
        "beyond": found.lineage.cut,
    }
