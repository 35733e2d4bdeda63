"""Segments: many records in one commit, a third of their bytes and a hundredth of their objects. Their ids stay.

    segment/<name>              the records, one a line
    beside/<record id>/...      what lay beside each in its own commit: files/, in/, out/

A chain's end that nobody else has yet may be sealed by its writer; what was pushed is never rewritten.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import NamedTuple

from roar.config.model import Sign
from roar.errors import GitError, RecordError
from roar.git import gclock, locks, objects, refs, settings, signing
from roar.git.objects import FILE_MODE, TREE_MODE, Reader
from roar.git.repository import Repository
from roar.journal import JOBS, RECORD
from roar.journal.writer import known_writer, writer_name
from roar.records import codec
from roar.records.ids import clock_of

TAIL = 500
"""A longer unpushed end of a chain is worth sealing."""
MOST_RECORDS = 400
MOST_BYTES = 1_000_000
"""Of one segment: hosts advise against objects of more than 1 MB."""
_COUNT = "Roar-Records"
"""The trailer of a segment's commit that says how many records it holds."""


class Item(NamedTuple):
    """A record's id and bytes, and the entries that lie beside it."""

    identifier: str
    body: bytes
    beside: list[tuple[bytes, bytes, str]]


def portions(items: Iterator[Item]) -> Iterator[list[Item]]:
    """The items in portions that one segment may hold."""
    portion: list[Item] = []
    size = 0
    for item in items:
        if portion and (len(portion) == MOST_RECORDS or size + len(item.body) > MOST_BYTES):
            yield portion
            portion, size = [], 0
        portion.append(item)
        size += len(item.body) + 1
    if portion:
        yield portion


def write(  # noqa: PLR0913  what a commit is made of
    repo: Repository,
    items: list[Item],
    parent: str | None,
    who: str,
    date: int,
    folder: bytes = b"",
    *,
    sign: Sign | None = None,
) -> str:
    """Write a segment's commit with its objects and give its id. ``date`` is the committer's, in seconds.

    Raises ``GitError``, also when it cannot be signed though ``sign`` wants that.
    """
    items = sorted(items)
    first, last = items[0].identifier, items[-1].identifier
    blob = objects.write(repo, "blob", b"".join(item.body + b"\n" for item in items))
    tree = _folder(repo, folder, [(FILE_MODE, first.encode() + b".jsonl", blob)])
    entries = [(TREE_MODE, b"segment", tree)]
    beside = [
        (TREE_MODE, item.identifier.encode(), objects.write(repo, "tree", objects.tree_body(item.beside)))
        for item in items
        if item.beside
    ]
    if beside:
        entries.append((TREE_MODE, b"beside", objects.write(repo, "tree", objects.tree_body(beside))))
    top = objects.write(repo, "tree", objects.tree_body(entries))
    message = f"roar: {len(items)} records, {first} to {last}\n\n{_COUNT}: {len(items)}\nRoar-Id: {last}\n"
    author = f"{who} {clock_of(last) // 1000} +0000"
    body = objects.commit_body(top, [parent] if parent else [], author, f"{who} {date} +0000", message)
    if sign and sign.enabled:
        return signing.write_signed(repo, body, sign.key or None)
    return objects.write(repo, "commit", body)


def _folder(repo: Repository, name: bytes, entries: list[tuple[bytes, bytes, str]]) -> str:
    tree = objects.write(repo, "tree", objects.tree_body(entries))
    return objects.write(repo, "tree", objects.tree_body([(TREE_MODE, name, tree)])) if name else tree


def count(repo: Repository, new: list[str], known: list[str]) -> int:
    """How many records are reachable from the new commits and not from the known ones, as their commits say."""
    names = "".join(f"{oid}\n" for oid in new) + "".join(f"^{oid}\n" for oid in known)
    wanted = f"--format=:%(trailers:key={_COUNT},valueonly,separator=)"
    out = repo.ask("log", "--stdin", "--ignore-missing", wanted, stdin=names.encode())
    values = [line[1:].strip() for line in out.splitlines() if line.startswith(b":")]
    return sum(int(value) if value.isdigit() and len(value) < 10 else 1 for value in values)


def seal(repo: Repository, more_than: int = TAIL) -> int:
    """Seal the ends of this writer's chains that no other ref holds, where they are longer than ``more_than``.

    Gives how many records were sealed. Raises ``GitError`` or ``OSError`` when the repository cannot be written, and
    ``GcRunningError`` while a gc runs.
    """
    repo.make_own_dir()
    sealed = 0
    with locks.exclusive(os.path.join(repo.own_dir, "lock")), Reader(repo) as reader:
        for ref, tip in _own(repo, writer_name(repo)).items():
            singles = _loose_end(repo, reader, ref, tip)
            if len(singles) > more_than:
                with gclock.hold(repo):
                    sealed += _seal_chain(repo, ref, tip, singles)
    return sealed


def sealable(repo: Repository, more_than: int = TAIL) -> int:
    """How many records ``seal`` would seal now."""
    with Reader(repo) as reader:
        ends = [_loose_end(repo, reader, ref, tip) for ref, tip in _own(repo, known_writer(repo)).items()]
    return sum(len(end) for end in ends if len(end) > more_than)


def _own(repo: Repository, writer: str | None) -> dict[str, str]:
    return {ref: tip for ref, tip in refs.listing(repo, JOBS).items() if ref.rpartition("/")[2] == writer}


def _loose_end(repo: Repository, reader: Reader, ref: str, tip: str) -> list[tuple[Item, objects.Commit]]:
    """The records at the end of a chain that no other ref holds and that have a commit each, oldest first."""
    unshared = repo.ask("rev-list", "--first-parent", tip, "--not", f"--exclude={ref}", "--all").decode().split()
    singles: list[tuple[Item, objects.Commit]] = []
    for commit in map(reader.commit, unshared):
        item = _single(reader, commit)
        if item is None:
            break
        singles.append((item, commit))
    return singles[::-1]


def _seal_chain(repo: Repository, ref: str, tip: str, singles: list[tuple[Item, objects.Commit]]) -> int:
    parent = next(iter(singles[0][1].parents), None)
    dates = {item.identifier: commit.date for item, commit in singles}
    who = settings.identity(repo)
    for portion in portions(item for item, _ in singles):
        parent = write(repo, portion, parent, who, max(dates[item.identifier] for item in portion))
    if parent is None or not refs.compare_and_swap(repo, ref, parent, tip):
        raise GitError(f"{ref} was moved by another program while roar held its lock; run the command again")
    return len(singles)


def _single(reader: Reader, commit: objects.Commit) -> Item | None:
    """The record of a commit that holds just one. None for segments, signed commits, and what cannot be read."""
    try:
        entries = reader.tree(commit.tree)
        blob = next((inner for _, name, inner in entries if name == RECORD), None)
        if blob is None or commit.signed or len(commit.parents) > 1:
            return None
        body = reader.body(blob, "blob")
        identifier = codec.identify_bytes(body)
    except (GitError, RecordError):
        return None
    rest = [entry for entry in entries if entry[1] != RECORD]
    return None if b"\n" in body else Item(identifier, body, rest)
