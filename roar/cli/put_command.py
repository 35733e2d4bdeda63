"""``roar put``."""

from __future__ import annotations

import os

import click

from roar.cli.complete import recorded
from roar.cli.configured import settings
from roar.cli.say import patience
from roar.cli.storing import Meter, show
from roar.git.repository import discover
from roar.verbs import stored

_EPILOG = """\b
Examples:
  git roar put                       all data of the session's jobs
  git roar put model.pkl @2
  git roar put 3fa9c1d2 --store s3://bucket/prefix
"""


@click.command("put", epilog=_EPILOG)
@click.argument("what", nargs=-1, metavar="[X]...", shell_complete=recorded)
@click.option("--store", "url", metavar="URL", help="A folder, s3://, gs://, az://, ssh://. Default: roar.store.url.")
@click.option("--force", is_flag=True, help="Copy what is in the store already, too: mends a damaged object.")
@click.option("-q", "--quiet", is_flag=True, help="Say nothing when all is well.")
@click.option("--json", "as_json", is_flag=True, help="Write what became of each file as JSON.")
def command(what: tuple[str, ...], *, url: str | None, force: bool, quiet: bool, as_json: bool) -> None:
    """Keep the bytes of files in the store, by hash, so that others can `roar get` them.

    X is a file, a hash, a job, a step @N or a session; of the last three all that was read and written and is not in
    git. Without X: the session's jobs. What is in the store already is not copied again. Nothing is stored under a
    name that does not match its bytes.
    """
    repo, cwd = discover(), os.getcwd()
    store = stored.store_at(url, settings().store.url, cwd if url else repo.work_tree or cwd, write=True)
    with patience("hashing what is to be stored"):
        items, left = stored.to_put(repo, what, cwd)
    with Meter("stored", items) as meter:
        done = stored.put(store, items, meter.tell, force=force)
    stored.label_digests(repo, done, settings().hash.put)
    show(done + left, store.name, as_json=as_json, quiet=quiet)
