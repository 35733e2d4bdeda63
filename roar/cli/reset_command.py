"""``roar reset``."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Any

import click

from roar.cli import present
from roar.cli.boundary import say
from roar.cli.say import Style, patience, write_json
from roar.git.repository import discover
from roar.records.summary import printable
from roar.verbs.reset import Doomed, doomed, reset


@click.command("reset", epilog="\b\nExamples:\n  git roar reset\n  git roar reset --all")
@click.option("--all", "everything", is_flag=True, help="Delete all refs of roar in this repository: the records.")
@click.option("-y", "--yes", is_flag=True, help="Do not ask.")
@click.option("--json", "as_json", is_flag=True, help="Write what was deleted as JSON.")
def command(*, everything: bool, yes: bool, as_json: bool) -> None:
    """Delete the index, or with --all everything that roar has recorded in this repository.

    What goes is shown first, with the number of records that no remote has. The next question makes the index again;
    the records come back only from a remote or another clone. No file of yours and no branch is touched.
    """
    repo = discover()
    with patience("looking at what is here"):
        what = doomed(repo, everything=everything)
    if not (what.files or what.refs):
        if as_json:
            write_json(_fields(what))
        else:
            say("there is nothing to delete")
        return
    told = not yes and sys.stderr.isatty()
    if told:
        for text in _lines(what, Style.of(2)):
            say(text)
    present.agree("Delete this?", "nothing was deleted", "roar reset -y" + " --all" * everything, yes=yes)
    reset(repo, what)
    if as_json:
        write_json(_fields(what))
    else:
        present.write([] if told else _lines(what, present.style()))
        present.write(["deleted"])


def _lines(what: Doomed, style: Style) -> Iterator[str]:
    for path, size in what.files.items():
        yield f"file {printable(path)}  {present.size(size)}"
    for ref, oid in what.refs.items():
        yield f"ref  {printable(ref)}  {style.yellow(oid[:12])}"
    for name in what.names:
        yield f"name {printable(name)}"
    if what.refs:
        text = f"{present.count(what.records, 'record')}, {what.only_here} of them on no remote as last fetched"
        yield style.red(text) if what.only_here else text
        yield "until the next git gc a ref can be made again: git update-ref REF ID"
    if what.aside:
        yield f"{present.count(what.aside, 'record')} saved aside: not deleted"


def _fields(what: Doomed) -> dict[str, Any]:
    return {**what._asdict(), "files": list(what.files)}
