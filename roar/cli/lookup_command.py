"""``roar lookup``."""

from __future__ import annotations

from collections.abc import Iterator

import click

from roar.cli import present
from roar.cli.boundary import say_error
from roar.cli.say import Style, patience, write_json
from roar.errors import RoarError, UsageError
from roar.glaas import address, known
from roar.glaas.address import Address
from roar.records.summary import printable
from roar.verbs import glaas, lookup
from roar.verbs.lookup import Found, Maker

_MOST = 5


@click.command("lookup", epilog="\b\nExamples:\n  git roar lookup model.pkl\n  git roar lookup 3fa9c1d2 --json")
@click.argument("what", metavar="FILE|HASH", type=click.Path())
@click.option("--server", "urls", multiple=True, metavar="URL", help="Ask this server alone (repeatable).")
@click.option("--json", "as_json", is_flag=True, help="Write what each server knows as JSON.")
def command(what: str, *, urls: tuple[str, ...], as_json: bool) -> None:
    """Ask servers of lineage where a file came from: who made it, from which code, and who used it.

    The file is hashed here; only its hash is sent. Asked are the servers of the remotes here, roar.glaas.url, and
    elsewhere those that one has logged in to. Exits with 3 when none of them knows it.
    """
    content = lookup.content_of(what)
    servers = [Address(address.parse(url).origin) for url in urls] or to_ask()
    if not servers:
        raise UsageError("no server is known to ask", "roar auth login URL, or git config roar.glaas.url URL")
    with patience("asking servers"):
        found, troubles = lookup.look_up(content, servers)
    for trouble in troubles:
        say_error(trouble)
    if as_json:
        write_json({"hash": content, "found": [_fields(each) for each in found]})
    else:
        for each in found:
            present.write(_lines(each, present.style()))
    if not found and troubles:
        raise RoarError(f"nobody could say where {printable(what)} came from")
    if not found:
        asked = ", ".join(server.origin for server in servers)
        raise lookup.UnknownThereError(
            f"{printable(what)} is not known to {asked}", "roar log, for what is recorded here"
        )


def to_ask() -> list[Address]:
    """The servers of this repository, else those that one has logged in to."""
    servers = glaas.to_ask(glaas.here(), say_error)
    return servers or [Address(origin) for origin in known.servers() if known.is_known(origin)]


def _lines(found: Found, style: Style) -> Iterator[str]:
    name = printable(found.paths[0]) + " " if found.paths else ""
    yield f"{style.bold(name)}{style.cyan(present.short_hash(found.hash))}  {present.size(found.size)}  {found.url}"
    own = [maker for maker in found.made_by if set(maker.projects[:1]) & set(found.made_by[0].projects)]
    for maker in own[:_MOST]:
        yield f"  made by  {_maker(maker, style)}"
    for other in found.also_made_by[:_MOST]:
        more = f" and {other.jobs - 1} more" if other.jobs > 1 else ""
        yield f"  also made by  {style.yellow(present.short_id(printable(other.job)))}{more} in {other.project}"
    if len(found.also_made_by) > _MOST:
        yield f"  and in {present.count(len(found.also_made_by) - _MOST, 'more project')}"
    if not found.made_by:
        yield "  nobody there made it; it was read"
    if found.used_by_count:
        yield f"  read by  {present.count(found.used_by_count, 'job')}"


def _maker(maker: Maker, style: Style) -> str:
    words = [
        style.yellow(present.short_id(printable(maker.id))),
        present.painted_outcome(printable(maker.outcome), style),
        present.when(maker.started_ns),
        printable(maker.user),
        *([f"code {present.short_hash(printable(maker.commit))}"] if maker.commit else []),
        present.fit(printable(maker.command), 80),
        f"({', '.join(map(printable, maker.projects))})",
    ]
    return "  ".join(words)


def _fields(found: Found) -> dict[str, object]:
    also = [other._asdict() for other in found.also_made_by]
    return {**found._asdict(), "made_by": [maker._asdict() for maker in found.made_by], "also_made_by": also}
