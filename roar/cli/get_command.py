"""``roar get``."""

from __future__ import annotations

import os

import click

from roar.cli.configured import settings
from roar.cli.storing import Meter, show
from roar.errors import NotFoundError, UsageError
from roar.git.repository import Repository, discover
from roar.store.copying import Origin
from roar.store.fetch import fetch_unknown
from roar.store.remote import Address, scheme
from roar.verbs import stored
from roar.verbs.stored import Done, Item

_EPILOG = """\b
Examples:
  git roar get data/train.csv        to its place in the work tree
  git roar get 3fa9c1d2 --to /tmp/model.pkl
  git roar get 3fa9c1d2 --from hf://datasets/squad/plain_text/train.parquet
"""


@click.command("get", epilog=_EPILOG)
@click.argument("what", nargs=-1, required=True, metavar="X...")
@click.option("--to", metavar="PATH", help="Where the file goes. Default: where it was recorded in the work tree.")
@click.option("--store", "url", metavar="URL", help="A folder, s3://, gs://, az://, ssh://, https://.")
@click.option("--from", "address", metavar="URL", help="Take X from this address; the bytes must have its hash.")
@click.option("--force", is_flag=True, help="Replace a file that has other content.")
@click.option("-q", "--quiet", is_flag=True, help="Say nothing when all is well.")
@click.option("--json", "as_json", is_flag=True, help="Write what became of each file as JSON.")
def command(  # noqa: PLR0913  one for each option
    what: tuple[str, ...],
    *,
    to: str | None,
    url: str | None,
    address: str | None,
    force: bool,
    quiet: bool,
    as_json: bool,
) -> None:
    """Bring files back from the store. Their bytes are compared with the hash before they get their name.

    X is a hash, a path, a job, a step @N or a session; or, with --to, an address (https://, hf://, s3://), whose bytes
    are taken as they are. What was broken off is continued.
    """
    repo, cwd = discover(), os.getcwd()
    if len(what) == 1 and scheme(what[0]):
        _address(what[0], to, cwd, force=force, quiet=quiet, as_json=as_json)
        return
    items = stored.to_get(repo, what, cwd, to)
    origin: Origin
    if address is None:
        origin = stored.store_at(url, settings().store.url, cwd if url else repo.work_tree or cwd)
    elif len(items) == 1:
        origin = Address(address)
    else:
        raise UsageError("--from gives one file", "roar get X --from URL")
    with Meter("fetched", items) as meter:
        done = stored.get(origin, items, meter.tell, force=force)
    show([_with_addresses(repo, each) for each in done], origin.name, as_json=as_json, quiet=quiet)


def _with_addresses(repo: Repository, done: Done) -> Done:
    """With the address that a user declared for it as what to try next. It is never tried without being typed."""
    known = stored.declared(repo, done.item.content) if isinstance(done.why, NotFoundError) else []
    if not known or done.why is None:
        return done
    hint = f"perhaps: roar get {done.item.content[:12]} --from {stored.quoted(known[0])}"
    return done._replace(why=NotFoundError(done.why.message, hint))


def _address(url: str, to: str | None, cwd: str, *, force: bool, quiet: bool, as_json: bool) -> None:
    origin = Address(url)
    if to is None:
        raise UsageError("an address has no place in this repository", "roar get URL --to PATH")
    target = os.path.abspath(os.path.join(cwd, to))
    if os.path.isdir(target):
        target = os.path.join(target, os.path.basename(url.partition("?")[0].rstrip("/")))
    try:
        with Meter("fetched", []) as meter:
            content = fetch_unknown(origin, target, meter.tell, force=force)
    except FileNotFoundError as error:
        raise NotFoundError(f"{origin.name} is not there") from error
    item = Item(target, content, os.path.getsize(target), to)
    show([Done(item, "fetched")], origin.name, as_json=as_json, quiet=quiet)
