"""``roar get``."""

from __future__ import annotations

import os

import click

from roar.cli import present
from roar.cli.boundary import say
from roar.cli.complete import recorded
from roar.cli.configured import settings
from roar.cli.say import write_json
from roar.cli.storing import Meter, show
from roar.errors import NotFoundError, UsageError
from roar.git.repository import Repository, discover
from roar.records.summary import printable
from roar.store.copying import Origin
from roar.store.fetch import fetch_unknown
from roar.store.remote import Address, scheme
from roar.verbs import overwritten, stored
from roar.verbs.stored import Done, Item

_EPILOG = """\b
Examples:
  git roar get data/train.csv        to its place in the work tree
  git roar get 3fa9c1d2 --to /tmp/model.pkl
  git roar get 3fa9c1d2 --from hf://datasets/squad/plain_text/train.parquet
"""


@click.command("get", epilog=_EPILOG)
@click.argument("what", nargs=-1, metavar="X...", shell_complete=recorded)
@click.option("--kept", "list_kept", is_flag=True, help="List what runs overwrote or removed and is kept here.")
@click.option("--to", metavar="PATH", help="Where the file goes. Default: where it was recorded in the work tree.")
@click.option("--store", "url", metavar="URL", help="A folder, s3://, gs://, az://, ssh://, https://.")
@click.option("--from", "address", metavar="URL", help="Take X from this address; the bytes must have its hash.")
@click.option("--force", is_flag=True, help="Replace a file that has other content.")
@click.option("-q", "--quiet", is_flag=True, help="Say nothing when all is well.")
@click.option("--json", "as_json", is_flag=True, help="Write what became of each file as JSON.")
def command(  # noqa: PLR0913  one for each option
    what: tuple[str, ...],
    *,
    list_kept: bool,
    to: str | None,
    url: str | None,
    address: str | None,
    force: bool,
    quiet: bool,
    as_json: bool,
) -> None:
    """Bring files back from the store. Their bytes are compared with the hash before they get their name.

    With roar.reversible.enabled, what recorded runs overwrote or removed is kept in this clone and comes from there.

    X is a hash, a path, a job, a step @N or a session; or, with --to, an address (https://, hf://, s3://), whose bytes
    are taken as they are. What was broken off is continued.
    """
    repo, cwd = discover(), os.getcwd()
    if list_kept != (not what):
        raise UsageError("X or --kept, one of them", "roar get --kept")
    if list_kept:
        _list_kept(repo, as_json=as_json)
        return
    if len(what) == 1 and scheme(what[0]):
        _address(what[0], to, cwd, force=force, quiet=quiet, as_json=as_json)
        return
    items = stored.to_get(repo, what, cwd, to)
    kept = overwritten.store(repo)
    here = [] if url or address else [item for item in items if kept.has(item.content, None)]
    rest = [item for item in items if item not in here]
    origin: Origin = kept
    if address is not None:
        if len(items) > 1:
            raise UsageError("--from gives one file", "roar get X --from URL")
        origin = Address(address)
    elif rest:
        origin = stored.store_at(url, settings().store.url, cwd if url else repo.work_tree or cwd)
    with Meter("fetched", items) as meter:
        done = stored.get(kept, here, meter.tell, force=force) + stored.get(origin, rest, meter.tell, force=force)
    stored.label_digests(repo, done, settings().hash.get)
    show([_with_addresses(repo, each) for each in done], origin.name, as_json=as_json, quiet=quiet)


def _list_kept(repo: Repository, *, as_json: bool) -> None:
    found = overwritten.listed(repo)[::-1]
    if as_json:
        write_json([copy._asdict() for copy in found])
    elif found:
        cells = [
            [printable(copy.path), present.short_hash(copy.hash), present.size(copy.size),
             present.when(copy.time_ns), present.short_id(copy.job)]
            for copy in found
        ]  # fmt: skip
        header = ["FILE", "HASH", "SIZE", "OVERWRITTEN", "BY"]
        present.write(present.table(header, cells, shrink=0, columns=present.width()))
    else:
        say("nothing is kept here (next: roar config set reversible.enabled true)")


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
    target = stored.place_named(to, cwd, os.path.basename(url.partition("?")[0].rstrip("/")))
    try:
        with Meter("fetched", []) as meter:
            content = fetch_unknown(origin, target, meter.tell, force=force)
    except FileNotFoundError as error:
        raise NotFoundError(f"{origin.name} is not there") from error
    item = Item(target, content, os.path.getsize(target), to)
    show([Done(item, "fetched")], origin.name, as_json=as_json, quiet=quiet)
