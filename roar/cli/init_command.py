"""``roar init``."""

from __future__ import annotations

import click

from roar.cli.say import write_json
from roar.git.repository import discover
from roar.verbs import sync


@click.command("init", epilog="\b\nExample:\n  git roar init && git log -1")
@click.option("--json", "as_json", is_flag=True, help="Write what was changed as JSON.")
def command(*, as_json: bool) -> None:
    """Let plain `git log` show the notes of recorded jobs, and `git fetch` bring others' records.

    Writes git config of this repository, and one symbolic ref; it may be called again at any time. Recording needs
    no init.
    """
    changed = sync.init(discover())
    if as_json:
        write_json({"changed": changed})
    elif changed:
        click.echo("\n".join(changed))
    else:
        click.echo("nothing to do: git shows and fetches the records already", err=True)
