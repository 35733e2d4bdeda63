"""The archive: records of many writers, folded together so that refs stay few.

``refs/roar/archive/<yyyy>/<writer>`` is a chain of segments that this writer makes, of records whose clock lies in that
year. What is folded keeps its id; until the folded chains are gone a record is met twice, which does not matter.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

from roar.errors import GitError, RecordError
from roar.git import gclock, locks, objects, program, refs, refused, settings
from roar.git.objects import FILE_MODE, TREE_MODE, Reader
from roar.git.repository import Repository
from roar.journal import ARCHIVE, FOLDED, JOBS, RECORD, read, segments
from roar.journal.append import head_date
from roar.journal.company import Company
from roar.journal.segments import Item
from roar.journal.writer import writer_name
from roar.records import codec, ids
from roar.records.about import Tombstone

_PATIENCE_SECONDS = 30.0
"""How long a running gc is waited for."""
_Entry = tuple[bytes, bytes, str]
"""Mode, name and id, in a tree."""


def identifiers(repo: Repository, tips: Iterable[str]) -> set[str]:
    """The ids of all records that can be reached from these commits."""
    found = set()
    for item in read.since(repo, tips):
        identifier = _identify(item)
        if identifier is not None:
            found.add(identifier)
    return found


def held(repo: Repository, tips: Iterable[str], wanted: Collection[str]) -> set[str]:
    """Those of the wanted records of which a copy with whole company can be reached from these commits."""
    found: set[str] = set()
    with Reader(repo) as reader:
        company = Company(reader)
        for item in read.since(repo, tips):
            identifier = _identify(item)
            if identifier is not None and identifier in wanted and identifier not in found:
                found.update([identifier] if _is_whole(company, item) else [])
    return found


def _is_whole(company: Company, item: read.Stored | read.Broken) -> bool:
    """Whether all is well beside a record. A record that this roar cannot read is whoever's who can."""
    if isinstance(item, read.Broken):
        return False
    try:
        return not any(company.faults(item.place, codec.decode(item.body)))
    except RecordError:
        return True


def _identify(item: read.Stored | read.Broken) -> str | None:
    try:
        return None if isinstance(item, read.Broken) else codec.identify_bytes(item.body)
    except RecordError:
        return None


def quiet(repo: Repository, chains: Mapping[str, str], before: int) -> dict[str, str]:
    """Those of the chains (ref to tip) whose last record is older than ``before``, milliseconds since the epoch."""
    if not chains:
        return {}
    names = "".join(f"{oid}\n" for oid in set(chains.values())).encode()
    form = "--format=%H %(trailers:key=Roar-Id,valueonly,separator=)"
    out = repo.ask("log", "--no-walk=unsorted", "--stdin", "--ignore-missing", form, stdin=names)
    last = dict(line.split(" ", 1) for line in program.lines(out) if " " in line)
    known = {oid: ids.normalise(text.strip()) for oid, text in last.items()}
    return {
        ref: oid
        for ref, oid in chains.items()
        if (name := known.get(oid)) and len(name) == ids.LENGTH and ids.clock_of(name) < before
    }


def fold(repo: Repository, tips: Iterable[str], known: set[str]) -> Iterator[int]:
    """Put every record of these chains that is not among the ``known`` ids into the archive of its year.

    Yields the number of records after each portion, which is then in the archive; ``known`` grows with it. Raises
    ``GitError``, ``OSError`` or ``RoarError`` when the repository cannot be written.
    """
    repo.make_own_dir()
    waiting: dict[tuple[int, int], list[Item]] = {}
    sizes: dict[tuple[int, int], int] = {}
    ordinary: set[str] = set()
    with Reader(repo) as reader:
        company = Company(reader)
        for stored in read.since(repo, tips):
            identifier = _identify(stored)
            if isinstance(stored, read.Broken) or identifier is None or identifier in known:
                continue
            around = _ordinary_beside(reader, stored, ordinary)
            if around is None or not _is_whole(company, stored):  # another copy may be better
                continue
            known.add(identifier)
            month = time.gmtime(ids.clock_of(identifier) // 1000)[:2]
            held, size = waiting.setdefault(month, []), sizes.get(month, 0) + len(stored.body) + 1
            if held and (len(held) == segments.MOST_RECORDS or size > segments.MOST_BYTES):
                _add(repo, reader, month, held)
                yield len(held)
                held = waiting[month] = []
                size = len(stored.body) + 1
            held.append(Item(identifier, stored.body, around))
            sizes[month] = size
        for month, held in sorted(waiting.items()):
            _add(repo, reader, month, held)
            yield len(held)


def beside(reader: Reader, stored: read.Stored) -> list[tuple[bytes, bytes, str]]:
    """The entries of the tree of what lies beside a record."""
    if stored.folder is None:
        return []
    return [entry for entry in reader.tree(read.tree_beside(stored.place)) if entry[1] != RECORD]


def _ordinary_beside(reader: Reader, stored: read.Stored, known: set[str]) -> list[_Entry] | None:
    """What lies beside a record; None when it is damaged, or is such as git-fsck(1) finds fault with.

    A careful host would refuse all that we push with it. Such a record stays in the chain it is in, and so does that.
    """
    try:
        entries = beside(reader, stored)
        return entries if _is_ordinary(reader, entries, known) else None
    except GitError:
        return None


def _is_ordinary(reader: Reader, entries: Sequence[_Entry], known: set[str], depth: int = 0) -> bool:
    """Whether a tree has plain files and folders only, under good names, in order. ``known`` are trees that do."""
    names = [name + b"/" * (mode == TREE_MODE) for mode, name, _ in entries]
    if depth > objects.MAX_DEPTH or names != sorted(set(names)):
        return False
    for mode, name, oid in entries:
        odd = name in (b"", b".", b"..") or b"/" in name or refused.name(name)
        if odd or mode not in (TREE_MODE, FILE_MODE, b"100755"):
            return False
        if name in refused.SETTINGS and (mode == TREE_MODE or refused.content(name, reader.body(oid, "blob"))):
            return False
        if mode == TREE_MODE and oid not in known:
            if not _is_ordinary(reader, reader.tree(oid), known, depth + 1):
                return False
            known.add(oid)
    return True


def _add(repo: Repository, reader: Reader, month: tuple[int, int], items: list[Item]) -> None:
    with locks.exclusive(os.path.join(repo.own_dir, "lock")), gclock.hold(repo, _PATIENCE_SECONDS):
        ref = f"{ARCHIVE}{month[0]}/{writer_name(repo)}"
        tip = refs.read(repo, ref)
        date = max(head_date(repo, reader), reader.commit(tip).date if tip else 0)
        new = segments.write(repo, items, tip, settings.identity(repo), date, b"%02d" % month[1])
        if not refs.compare_and_swap(repo, ref, new, tip):
            raise GitError(f"{ref} was moved by another program while roar held its lock; run the command again")


def uncovered(repo: Repository, chains: Mapping[str, str], known: set[str]) -> set[str]:
    """Those of the chains (ref to tip) with a record that is not among the known ids, or that cannot be read."""
    seen, lacking = set(), set()
    for item in read.since(repo, chains.values()):
        seen.add(item.commit)
        if isinstance(item, read.Broken) or _identify(item) not in known:
            lacking.add(item.commit)
    folders = sorted({ref.rpartition("/")[0] + "/" for ref in chains})
    found = {ref for ref, oid in chains.items() if oid not in seen}
    for some in batched(sorted(lacking), 200):
        holds = [f"--contains={commit}" for commit in some]
        out = repo.ask("for-each-ref", "--format=%(refname)", *holds, *folders)
        found.update(out.decode("utf-8", "surrogateescape").split())
    return found & set(chains)


def buried(repo: Repository) -> set[str]:
    """The ids of the records that tombstones name: those are not to be copied anywhere. Tombstones themselves stay."""
    found: set[str] = set()
    tombstones: set[str] = set()
    for item in read.since(repo, read.tips(repo).values()):
        if isinstance(item, read.Stored) and b'"tombstone"' in item.body:
            with contextlib.suppress(RecordError):
                record = codec.decode(item.body)
                if isinstance(record, Tombstone):
                    found.update(record.records)
                    tombstones.add(codec.identify(record, item.body))
    return found - tombstones


def batched(values: Sequence[str], size: int) -> Iterator[Sequence[str]]:
    """The values in portions that one command line can take."""
    for start in range(0, len(values), size):
        yield values[start : start + size]


class Gone(NamedTuple):
    """A chain of this writer that a remote folded and removed: its ref here, and where it ended there."""

    ref: str
    tip: str


def go_on(repo: Repository, gone: Gone) -> None:
    """Let a chain that a remote has folded begin anew with what it holds beyond that, so that no push brings all back.

    The old chain stays here, under a ref that no push takes. Raises ``GitError`` or ``OSError``.
    """
    repo.make_own_dir()
    with locks.exclusive(os.path.join(repo.own_dir, "lock")), Reader(repo) as reader:
        tip = refs.read(repo, gone.ref)
        if tip is None or repo.ask("rev-list", "--max-count=1", gone.tip, "--not", tip):
            return
        with gclock.hold(repo, _PATIENCE_SECONDS):
            newer = repo.ask("rev-list", "--reverse", "--first-parent", f"{gone.tip}..{tip}").decode().split()
            parent: str | None = None
            for oid in newer:
                body = reader.body(oid, "commit")
                if objects.Commit(body).signed:  # a signature is of the commit with its parents
                    return
                parent = objects.write(repo, "commit", objects.on_parent(body, parent))
            kept = f"{FOLDED}jobs/{gone.ref.removeprefix(JOBS).partition('/')[0]}/{gone.tip[:16]}"
            if not refs.compare_and_swap(repo, kept, gone.tip, refs.read(repo, kept)):
                return
            if parent is None:
                refs.delete(repo, {gone.ref: tip})
            else:
                refs.compare_and_swap(repo, gone.ref, parent, tip)
