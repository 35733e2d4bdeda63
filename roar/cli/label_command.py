"""``roar label``."""

from __future__ import annotations

import os

import click

from roar.cli import present
from roar.cli.boundary import say
from roar.cli.complete import recorded
from roar.cli.say import write_json
from roar.git.repository import discover
from roar.records.summary import printable
from roar.verbs import labels


@click.command(
    "label", epilog="\b\nExamples:\n  git roar label model.pkl stage=candidate\n  git roar log --label stage=candidate"
)
@click.argument("what", metavar="X", shell_complete=recorded)
@click.argument("words", nargs=-1, metavar="[KEY=VALUE]...")
@click.option("--unset", multiple=True, metavar="KEY", help="Take this label away (repeatable).")
@click.option("--json", "as_json", is_flag=True, help="Write the labels as JSON.")
def command(what: str, words: tuple[str, ...], unset: tuple[str, ...], *, as_json: bool) -> None:
    """Label a job, a session or an artifact; without KEY=VALUE, list its labels.

    X is what `roar show` takes. Labels are records and shared like them; of two for the same key the later one counts.
    """
    repo = discover()
    values = {**dict.fromkeys(map(labels.checked, unset)), **labels.parsed(words)}
    with present.opened_index(repo) as index:
        target = labels.target_of(index, repo, what, os.getcwd())
        known = labels.label(index, repo, target, values)
    if as_json:
        write_json({"kind": target.kind, "id": target.id, "labels": known})
    elif known:
        present.write(f"{printable(key)}={printable(value)}" for key, value in sorted(known.items()))
    else:
        say("no labels")
