"""``roar ui``: the pages over this repository, for this user."""

from __future__ import annotations

import importlib.util

import click

from roar.cli.boundary import say
from roar.errors import RoarError
from roar.git.repository import discover


@click.command("ui", epilog="\b\nExamples:\n  git roar ui\n  git roar ui --open --port 8080")
@click.option("--port", type=click.IntRange(0, 65535), default=0, metavar="N", help="Listen there [any free port].")
@click.option("--open", "open_it", is_flag=True, help="Open the page in a browser.")
def command(*, port: int, open_it: bool) -> None:
    """Show the records of this repository as pages in a browser: search, lineage, jobs, differences.

    The pages are served to this machine alone, and to who has the address that is printed. Nothing is changed, and
    nothing leaves the machine. Ctrl-C ends it.
    """
    repo = discover()
    if not all(importlib.util.find_spec(name) for name in ("fastapi", "uvicorn", "jinja2")):
        raise RoarError("roar ui needs packages that are not installed", "pip install 'roar[server]'")
    from roar.server.local import serve

    def tell(url: str) -> None:
        click.echo(url)
        say("roar: open it in a browser; Ctrl-C ends it")
        if open_it:
            click.launch(url)

    serve(repo, port, tell)
