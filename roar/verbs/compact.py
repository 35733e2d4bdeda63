"""Fewer refs and fewer objects: the unpushed end is sealed, quiet writers' chains are folded into the archive.

Nothing is lost for those who do not know of it: the records stay what they are, and readers take the union.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import NamedTuple

from roar.errors import RoarError
from roar.git import refs, transport
from roar.git.gclock import GcRunningError
from roar.git.repository import Repository
from roar.journal import ARCHIVE, JOBS, REMOTES, archive, read, segments
from roar.journal.append import bring_in
from roar.journal.writer import known_writer
from roar.verbs import folded, sync

_DAY_MS = 86_400_000

Tell = Callable[[int], None]


class Compacted(NamedTuple):
    """How many records were sealed and folded, how many chains were quiet; own chains that were removed here, since
    the archive has all of them; and refs that were removed on the remote, or not, with the reason.
    """

    sealed: int
    chains: int
    folded: int
    removed_here: list[str]
    removed: list[str]
    refused: dict[str, str]


def compact(repo: Repository, quiet_days: int, remote: str | None, tell: Tell, *, dry_run: bool) -> Compacted:
    """Seal, fold, and with ``remote`` remove there what its archive holds. Raises ``RoarError`` when git fails.

    A dry run counts what would be done, and changes nothing; it asks the remote nothing.
    """
    before = time.time_ns() // 1_000_000 - quiet_days * _DAY_MS
    if remote is not None:
        transport.check_remote(repo, remote)
        if repo.ask("rev-parse", "--is-shallow-repository").strip() == b"true":
            raise RoarError("a shallow clone does not see all that it would remove", "git fetch --unshallow")
    if dry_run:
        return _would(repo, before, remote)
    bring_in(repo)
    if remote is not None:
        sync.sync(repo, remote, push=False)
    try:
        sealed = segments.seal(repo)
        chains, records = _fold(repo, before, tell)
    except GcRunningError:
        raise RoarError("git gc is running in this repository", "run the command again when it has ended") from None
    here = _remove_own(repo, before)
    if remote is None:
        return Compacted(sealed, chains, records, here, [], {})
    pushed = sync.sync(repo, remote, fetch=False)
    if pushed.refused:
        ref, why = next(iter(pushed.refused.items()))
        raise RoarError(f"{remote} refused {ref}: {why}", transport.how_to_push(remote, sync.place(repo)))
    return Compacted(sealed, chains, records, here, *_remove_there(repo, remote, before))


def _would(repo: Repository, before: int, remote: str | None) -> Compacted:
    quiet = _quiet(repo, before)
    records = archive.identifiers(repo, quiet.values())
    records -= _archived(repo, records)
    there = {} if remote is None else _removable(repo, remote, before, folded.tracked(repo, remote, JOBS))
    own = [ref for ref in quiet if ref.startswith(JOBS)]
    return Compacted(segments.sealable(repo), len(quiet), len(records), own, list(there), {})


def _quiet(repo: Repository, before: int) -> dict[str, str]:
    """The chains to fold: others', and this clone's of years that are over, without a new record for long."""
    writer = known_writer(repo)
    year = time.gmtime().tm_year
    chains = {}
    for ref, oid in read.tips(repo).items():
        _, kind, when, name = ref.rsplit("/", 3)
        own = name == writer
        if kind == "jobs" and ((own and when < str(year)) or (not own and ref.startswith(REMOTES))):
            chains[ref] = oid
    return archive.quiet(repo, chains, before)


def _archived(repo: Repository, records: set[str]) -> set[str]:
    """Those of these records that need not be folded, and all that must not be."""
    tips = {oid for ref, oid in read.tips(repo).items() if "/archive/" in ref}
    return archive.held(repo, tips, records) | archive.buried(repo)


def _fold(repo: Repository, before: int, tell: Tell) -> tuple[int, int]:
    quiet = _quiet(repo, before)
    if not quiet:
        return 0, 0
    records = 0
    known = _archived(repo, archive.identifiers(repo, quiet.values()))
    for some in archive.fold(repo, quiet.values(), known):
        records += some
        tell(records)
    return len(quiet), records


def _remove_own(repo: Repository, before: int) -> list[str]:
    """Remove this clone's chains of past years that its own archive holds entirely."""
    own = {ref: oid for ref, oid in _quiet(repo, before).items() if ref.startswith(JOBS)}
    if not own:
        return []
    known = archive.held(repo, refs.listing(repo, ARCHIVE).values(), archive.identifiers(repo, own.values()))
    done = {ref: own[ref] for ref in own.keys() - archive.uncovered(repo, own, known)}
    refs.delete(repo, done)
    return sorted(done)


def _removable(repo: Repository, remote: str, before: int, there: dict[str, str]) -> dict[str, str]:
    """The quiet chains that a remote has as they were last fetched."""
    prefix = f"{REMOTES}{remote}/"
    quiet = _quiet(repo, before)
    jobs = {ref: prefix + ref.removeprefix("refs/roar/") for ref in there if ref.startswith(JOBS)}
    return {ref: there[ref] for ref, copy in jobs.items() if quiet.get(copy) == there[ref]}


def _remove_there(repo: Repository, remote: str, before: int) -> transport.Pushed:
    there = transport.remote_refs(repo, remote, "refs/roar/*", sync.place(repo))
    archives = {ref: oid for ref, oid in there.items() if ref.startswith(ARCHIVE)}
    chains = folded.covered(repo, remote, _removable(repo, remote, before, there), archives)
    answer = transport.delete_on(repo, remote, chains | folded.notes_of(chains, there), sync.place(repo))
    folded.forget(repo, remote, dict.fromkeys(answer.moved, ""))
    return answer
