"""``roar recover``."""

from __future__ import annotations

import click

from roar.cli.say import write_json
from roar.git.repository import discover
from roar.verbs.recover import recover


@click.command("recover", epilog="\b\nExample:\n  git roar recover")
@click.option("--json", "as_json", is_flag=True, help="Write the result as JSON.")
def command(*, as_json: bool) -> None:
    """Bring records that were saved aside (full disk, read-only repository) into this repository's journal."""
    done = recover(discover())
    if as_json:
        write_json({"recovered": done.recovered, "broken": done.broken})
        return
    for identifier in done.recovered:
        click.echo(identifier)
    for folder in done.broken:
        click.echo(f"roar: {folder} holds no whole record; it stays there", err=True)
    if not done.recovered and not done.broken:
        click.echo("nothing was saved aside", err=True)
