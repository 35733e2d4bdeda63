"""``roar pop --purge``: what goes, the question, and what is left elsewhere."""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Iterator, Sequence
from typing import Any

from roar.cache.index import Index
from roar.cli import present
from roar.cli.boundary import say
from roar.cli.say import Style, write_json
from roar.git.repository import Repository
from roar.records.summary import command_line, printable
from roar.verbs import purge
from roar.verbs.purge import Done, Held

GC = "git gc --prune=now"


def run(repo: Repository, index: Index, words: Sequence[str], *, yes: bool, as_json: bool) -> None:
    """Ask, purge, and say what was done."""
    records = purge.choose(index, repo, words, os.getcwd())
    known = index.load_jobs(records)
    style = Style.of(2)
    if not yes and sys.stderr.isatty():
        for identifier in records:
            job = known.get(identifier)
            say(f"purge {style.yellow(identifier)}" + (f"  {command_line(job.command, 60)}" if job else ""))
        say("It leaves this clone's chains, notes, index and spool for good; only its id stays, in a tombstone.")
    again = f"roar pop --purge -y {' '.join(records)}"
    present.agree("Purge this?", "nothing was purged", again, yes=yes)
    also = f"Delete the objects now, too, with everything else in the repository that nothing leads to ({GC})?"
    collect = not yes and present.confirmed(also)
    done = purge.purge_records(index, repo, records, collect=collect)
    if as_json:
        write_json(_fields(done))
    else:
        present.write(_lines(done, present.style()))


def _lines(done: Done, style: Style) -> Iterator[str]:
    yield style.green("purged") + f" {', '.join(done.records)}"
    for old, new in sorted(done.purged.renamed.items()):
        yield f"  {old} is {f'now {new}' if new else 'gone: nothing else was in it'}"
    for ref in done.purged.forgotten:
        yield f"  {printable(ref)}, a copy of it, is gone"
    for path in done.files:
        yield f"  {printable(path)} is gone"
    for ref in done.refs_left:
        yield style.red(f"still here in {printable(ref)}")
    if done.objects_left:
        text = f"{present.count(done.objects_left, 'object')} of it still in this repository's object store"
        hint = "" if done.refs_left else f" (next: {GC}, which deletes everything that nothing leads to)"
        yield style.yellow(text) + hint
    for held in done.remotes:
        yield from _remote(held, done.records, style)
    if any(held.own or held.others for held in done.remotes):
        yield "A server with roar's hook lets them be deleted after, there: git config roar.receive.rewrites true"
    yield "Clones that have fetched it still hold it; the tombstone hides it there once they have fetched that."


def _remote(held: Held, records: list[str], style: Style) -> Iterator[str]:
    remote = printable(held.remote)
    if held.unknown:
        yield style.red(f"{remote} could not be asked what it holds") + f": {printable(held.unknown)}"
    if held.own:
        what = f"{remote} {'may hold' if held.unknown else 'still holds'} it in {', '.join(held.own)}"
        words = shlex.join(["git", "push", held.remote, "--delete", *held.own])
        yield style.red(what) + f" (next: roar sync --push-only {shlex.quote(remote)}, then: {words})"
    if held.others:
        hint = f" (next, in the clones that write them: roar pop --purge {' '.join(records)})"
        yield style.red(f"{remote} holds it in {', '.join(map(printable, held.others))}, which others write") + hint
    if not (held.own or held.others or held.unknown):
        yield f"{remote} holds none of it"


def _fields(done: Done) -> dict[str, Any]:
    return {
        "purged": done.records,
        "renamed": done.purged.renamed,
        "copies_deleted": done.purged.forgotten,
        "files_deleted": done.files,
        "refs_left": done.refs_left,
        "objects_left": done.objects_left,
        "remotes": [held._asdict() for held in done.remotes],
    }
