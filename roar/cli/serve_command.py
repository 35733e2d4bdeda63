"""``roar serve``: the server of lineage; its administration is in ``serve_people``."""

from __future__ import annotations

import importlib.util
import os
from typing import TYPE_CHECKING, Any

import click

from roar.cli import serve_people
from roar.cli.boundary import say
from roar.errors import RoarError, UsageError

if TYPE_CHECKING:
    from roar.server.storage import Storage


@click.group(
    "serve",
    invoke_without_command=True,
    epilog="\b\nExamples:\n  git roar serve\n  git roar serve --data /srv/roar --host 0.0.0.0 --url https://roar.example.org",
)
@click.option(
    "--data", metavar="DIR", envvar="ROAR_SERVE_DATA", help="Data directory [default: ~/.local/share/roar/serve]."
)
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option(
    "--port", default=7627, show_default=True, type=click.IntRange(0, 65535), help="Port to listen on; 0: any."
)
@click.option("--url", help="How clients reach the server, when it stands behind another one.")
@click.option(
    "--database",
    metavar="URL",
    envvar="ROAR_SERVE_DATABASE",
    help="PostgreSQL for the index: postgresql+psycopg://USER@HOST/NAME.",
)
@click.option("--no-worker", is_flag=True, help="Leave it to another server of this data directory to index.")
@click.option("--migrate", "migrates", is_flag=True, help="Bring the tables of the database up to date, and end.")
@click.option("--reindex", "reindexes", is_flag=True, help="Make the index anew from the records, and end.")
@click.pass_context
def command(context: click.Context, /, data: str | None, database: str | None, **how: Any) -> int:
    """Serve lineage: a git remote for records, with an API and pages to ask it.

    Without a data directory of its own it makes one, with a user who has your SSH keys, and a project. The truth is in
    git and plain files there; the database is an index, which may be deleted at any time.
    """
    from roar.paths import data_folder

    _need_extra()
    _check_database(database)
    url = _reached_at(how["url"])
    from roar.server.people import People
    from roar.server.storage import Storage

    storage = Storage(data or data_folder())
    context.obj = People(storage)
    storage.prepare()
    if context.invoked_subcommand is not None:
        return 0
    from roar.server import run, worker

    for line in run.begin(context.obj, serve_people.operator()):
        say(f"roar: {line}")
    if how["migrates"] or how["reindexes"]:
        from roar.server import migrate

        (worker.reindex if how["reindexes"] else migrate.migrate)(storage, database)
        return 0
    place = run.Place(how["host"], how["port"], url, database, works=not how["no_worker"])
    return run.run(storage, place, lambda at: _hello(storage, at))


def _check_database(database: str | None) -> None:
    """Raise ``UsageError`` for another database than ours; the URL is not shown, as a password may be in it."""
    if database and not database.startswith("postgresql+psycopg://"):
        raise UsageError("--database is for PostgreSQL by psycopg", "--database postgresql+psycopg://USER@HOST/NAME")


def _reached_at(url: str | None) -> str | None:
    """The origin that clients dial. Raises ``UsageError`` for what is none; plain HTTP elsewhere is warned of later."""
    from roar.glaas import address

    scheme, _, rest = (url or "").partition("://")
    if not url:
        return None
    found = address.parse(f"https://{rest}" if scheme == "http" else url)
    if found.project:
        raise UsageError(f"a server answers at the top of an address, and not at {url}", "--url https://HOST")
    return found.origin if scheme != "http" else found.origin.replace("https", "http", 1)


def _hello(storage: Storage, url: str) -> None:
    click.echo(f"serving {storage.root} at {url}")
    if not url.startswith("https:") and not _is_loopback(url):
        say("roar: clients refuse plain HTTP to another machine (next: docs/glaas.md, Running it)")
    if projects := storage.projects():
        say(f"roar: to use it: git remote add glaas {url}/{projects[0]}.git")
        say(f"roar:            roar auth login {url} && roar register --all --remote glaas")


def _is_loopback(url: str) -> bool:
    from roar.glaas import address

    try:
        address.parse(url)
    except UsageError:
        return False
    return True


def _need_extra() -> None:
    if os.name == "nt":
        raise RoarError("roar serve needs a POSIX system", "run it under WSL, or in a container")
    if not all(importlib.util.find_spec(name) for name in ("fastapi", "uvicorn", "jinja2", "alembic")):
        raise RoarError("roar serve needs packages that are not installed", "pip install 'roar[server]'")


for _part in serve_people.PARTS:
    command.add_command(_part)
