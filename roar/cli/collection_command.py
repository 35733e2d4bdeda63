"""``roar collection``: named groups of artifacts."""

from __future__ import annotations

import os

import click

from roar.cli import present
from roar.cli.boundary import say
from roar.cli.complete import collections, recorded
from roar.cli.say import write_json
from roar.errors import UsageError
from roar.git.repository import discover
from roar.records.summary import printable
from roar.verbs import labels
from roar.verbs.labels import Member
from roar.verbs.resolve import resolve


@click.group(
    "collection", epilog="\b\nExamples:\n  git roar collection add v1 data/*.csv\n  git roar collection show v1"
)
def command() -> None:
    """Group artifacts under a name: a data set, a release.

    What is in a collection is contents, not names: a file that changes is not in it any more. Collections are records
    and shared like them; of two records about the same artifact the later one counts.
    """


@command.command("add", epilog="\b\nExample:\n  git roar collection add v1 model.pkl metrics.json")
@click.argument("name", shell_complete=collections)
@click.argument("what", nargs=-1, required=True, metavar="X...", shell_complete=recorded)
@click.option("--json", "as_json", is_flag=True, help="Write the collection as JSON.")
def add(name: str, what: tuple[str, ...], *, as_json: bool) -> None:
    """Put artifacts (files or hashes X) into a collection."""
    _change(name, what, added=True, as_json=as_json)


@command.command("remove", epilog="\b\nExample:\n  git roar collection remove v1 metrics.json")
@click.argument("name", shell_complete=collections)
@click.argument("what", nargs=-1, required=True, metavar="X...", shell_complete=recorded)
@click.option("--json", "as_json", is_flag=True, help="Write the collection as JSON.")
def remove(name: str, what: tuple[str, ...], *, as_json: bool) -> None:
    """Take artifacts (files or hashes X) out of a collection."""
    _change(name, what, added=False, as_json=as_json)


@command.command("list", epilog="\b\nExample:\n  git roar collection list")
@click.option("--json", "as_json", is_flag=True, help="Write the collections as JSON.")
def list_command(*, as_json: bool) -> None:
    """List the collections."""
    with present.opened_index(discover()) as index:
        found = index.collections()
    if as_json:
        write_json([{"name": name, "artifacts": number} for name, number in found.items()])
    elif found:
        cells = [[printable(name), str(number)] for name, number in found.items()]
        present.write(present.table(["COLLECTION", "ARTIFACTS"], cells, columns=present.width(), shrink=0))
    else:
        say("no collections (next: roar collection add NAME FILE)")


@command.command("show", epilog="\b\nExample:\n  git roar collection show v1")
@click.argument("name", shell_complete=collections)
@click.option("--json", "as_json", is_flag=True, help="Write the collection as JSON.")
def show(name: str, *, as_json: bool) -> None:
    """Show the artifacts of a collection."""
    with present.opened_index(discover()) as index:
        found = labels.members(index, name)
    if as_json:
        _write_json(name, found)
        return
    cells = [
        [
            printable(member.use.path) if member.use else "?",
            present.short_hash(member.hash),
            present.size(member.use.size) if member.use else "",
            present.short_id(member.made_by) if member.made_by else "no recorded job",
        ]
        for member in found
    ]
    present.write(present.table(["FILE", "HASH", "SIZE", "MADE BY"], cells, shrink=0, columns=present.width()))


def _change(name: str, what: tuple[str, ...], *, added: bool, as_json: bool) -> None:
    repo = discover()
    labels.checked(name)
    with present.opened_index(repo) as index:
        targets = [resolve(index, repo, word, os.getcwd()) for word in what]
        for word, target in zip(what, targets, strict=True):
            if target.kind != "artifact":
                raise UsageError(f"{printable(word)} is a {target.kind}, no artifact", "name a file or a hash")
        labels.collect(index, repo, name, [target.id for target in targets], add=added)
    with present.opened_index(repo) as index:
        found = labels.members(index, name) if index.collection(name) else []
    if as_json:
        _write_json(name, found)
    else:
        present.write([f"{printable(name)}: {present.count(len(found), 'artifact')}"])


def _write_json(name: str, found: list[Member]) -> None:
    artifacts = [
        {
            "hash": member.hash,
            "path": member.use.path if member.use else None,
            "size": member.use.size if member.use else None,
            "made_by": member.made_by,
        }
        for member in found
    ]
    write_json({"name": name, "artifacts": artifacts})
