"""Removing records for good, and saying what is left of them elsewhere."""

from __future__ import annotations

import glob
import os
from collections.abc import Iterable
from typing import NamedTuple

from roar.cache import database
from roar.cache.index import Index
from roar.errors import GitError, NotFoundError, RoarError, UsageError
from roar.git import program, settings, transport
from roar.git.gclock import GcRunningError
from roar.git.objects import Reader
from roar.git.repository import Repository
from roar.journal import NOTES, OWN, REMOTES, noted, purge, spool
from roar.journal.append import append
from roar.journal.purge import Found, Purged
from roar.records import ids
from roar.records.about import Tombstone
from roar.records.ids import clock_of
from roar.records.summary import printable
from roar.verbs import sessions, sync
from roar.verbs.resolve import SHORTEST, resolve


class Held(NamedTuple):
    """What a remote still has: refs of this clone's old name, and refs of others. ``unknown``: why it was not asked."""

    remote: str
    own: list[str]
    others: list[str]
    unknown: str | None


class Done(NamedTuple):
    """What was removed, and what is left: refs here, objects here, and on each remote."""

    records: list[str]
    purged: Purged
    files: list[str]
    refs_left: list[str]
    objects_left: int
    remotes: list[Held]


def choose(index: Index, repo: Repository, words: Iterable[str], cwd: str) -> list[str]:
    """The ids of the records that the words mean: jobs, or any record by its id.

    Raises ``UsageError`` for anything else and ``NotFoundError`` for what is not here.
    """
    chosen: list[str] = []
    for word in words:
        whole = _other(index, word) or ids.normalise(word)
        if whole is not None and len(whole) == ids.LENGTH:
            if whole in index.find_others(whole) and isinstance(index.load(whole), Tombstone):
                raise UsageError(
                    f"{whole} is a tombstone: it stays, lest what it names come back", f"roar show {whole}"
                )
            if whole not in index.tombstones() and not purge.find(repo, [whole]).commits and not _files(repo, [whole]):
                raise NotFoundError(f"no record has the id {whole}", "roar log --all")
            chosen.append(whole)
            continue
        target = resolve(index, repo, word, cwd)
        if target.kind != "job":
            raise UsageError(f"{printable(word)} is no job: what is purged is a record, by its id", "roar log --all")
        chosen.append(target.id)
    return chosen


def _other(index: Index, word: str) -> str | None:
    """The one record, such as a label, whose id begins so, and that is neither job nor session."""
    beginning = ids.normalise(word)
    found = index.find_others(beginning) if beginning and len(beginning) >= SHORTEST else []
    return found[0] if len(found) == 1 else None


def purge_records(index: Index, repo: Repository, records: list[str], *, collect: bool) -> Done:
    """Bury the records and remove them from this clone's chains, notes, index and spool.

    With ``collect`` a ``git gc --prune=now`` follows, which deletes whatever nothing leads to. Raises ``RoarError``.
    """
    unburied = [identifier for identifier in records if identifier not in index.tombstones()]
    index.close()
    files = _files(repo, records)
    for path in files:
        spool.remove(path)
    if unburied:
        _bury(repo, unburied)
    try:
        purged = purge.purge(repo, records)
    except GcRunningError:
        raise RoarError("git gc is running in this repository", "run the command again when it has ended") from None
    for path in glob.glob(os.path.join(glob.escape(repo.own_dir), "index-*.db")):
        database.delete(path)
    sessions.leave(repo, records)
    _keep_fetching(repo, purged)
    noted.spell(repo)
    if collect:
        done = program.call([*repo.args(), "gc", "--quiet", "--prune=now"], cwd=repo.git_dir)
        if done.returncode:
            raise GitError(f"git gc: {program.last_line(done.stderr)}", "git gc --prune=now")
    there, leading = purge.remaining(repo, purged.found)
    remotes = [_held(repo, remote, purged) for remote in transport.remotes(repo)]
    return Done(records, purged, files, leading, len(there), remotes)


def _files(repo: Repository, records: Iterable[str]) -> list[str]:
    """Spooled entries of these records."""
    names = {identifier + spool.SUFFIX for identifier in records}
    return [path for parent in spool.places(repo) for path in spool.entries(parent) if os.path.basename(path) in names]


def _bury(repo: Repository, records: list[str]) -> None:
    def draft(clock: int, writer: str) -> Tombstone:
        return Tombstone(clock=clock, writer=writer, records=records)

    append(repo, draft, after=max(map(clock_of, records)))


def _keep_fetching(repo: Repository, purged: Purged) -> None:
    """The refspecs of ``roar init`` name this clone's notes; they are written again for its new name."""
    old = {ref for ref in purged.renamed if ref.startswith(NOTES)}
    fetched = {spec for key, values in settings.values(repo).items() if key.endswith(".fetch") for spec in values}
    if any(transport.is_for_records(spec, ref) for spec in fetched for ref in old):
        sync.init(repo)


def _held(repo: Repository, remote: str, purged: Purged) -> Held:
    found = purged.found
    prefix = f"{REMOTES}{remote}/"
    mine = {*found.refs, *found.notes}.intersection(purged.renamed)
    tracked = {OWN + ref.removeprefix(prefix) for ref in [*found.refs, *found.notes] if ref.startswith(prefix)}
    try:
        there = transport.remote_refs(repo, remote, OWN + "*", sync.place(repo))
    except GitError as error:
        return Held(remote, sorted(mine), sorted(tracked - mine), error.message)
    holds = {
        ref for ref in mine | tracked if ref in there and (ref.startswith(NOTES) or _leads(repo, there[ref], found))
    }
    return Held(remote, sorted(holds & mine), sorted(holds - mine), None)


def _leads(repo: Repository, oid: str, found: Found) -> bool:
    """Whether a commit leads to what was purged; one that is not here is believed to."""
    with Reader(repo) as reader:
        if reader.get(oid) is None:
            return True
    done = program.call([*repo.args(), "rev-list", oid], cwd=repo.git_dir)
    return done.returncode != 0 or not found.commits.isdisjoint(done.stdout.decode().split())
