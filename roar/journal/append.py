"""Appending: objects first, then the ref by compare-and-swap (the truth), then the note.

A file lock gives order, the ref's old value gives truth, ``gc.pid`` keeps the objects alive in between. While a gc
runs, or others write for longer than a moment, the entry goes to the spool, and the next command brings it in.
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import MutableMapping

from roar.config.model import Sign
from roar.config.read import load
from roar.errors import GitError, RecordError, RoarError
from roar.git import gclock, locks, notes, objects, refs, settings, signing
from roar.git.objects import Reader
from roar.git.repository import Repository
from roar.journal import JOBS, RECORD, keep, noted, spool
from roar.journal.entry import Draft, Entry, trailer_id
from roar.journal.writer import name_here, new_writer, writer_name
from roar.records import codec, ids
from roar.records.ids import clock_of
from roar.records.job import Job

log = logging.getLogger(__name__)

_MOMENT_SECONDS = 2.0
"""So long an append waits for others; an append takes some milliseconds."""
_BROUGHT_IN_WITH_ANOTHER = 50
"""So many waiting entries an append takes in before its own, lest one run pays for all."""
DATES_SECONDS = 1_000_000
"""So far before its code's a record's date may be: eleven days, and room for as many records on one commit."""
_NOBODY = "aside"
"""The writer of records that were sealed where no name could be had."""


def append(
    repo: Repository,
    draft: Draft,
    beside: MutableMapping[bytes, bytes] | None = None,
    after: int = 0,
    sign: Sign | None = None,
) -> Entry:
    """Put a record into the journal and give it back sealed, with its id.

    ``after`` is the largest clock of the records that this one names; ``sign`` None: as it is configured.

    Raises ``OSError``, ``GitError`` or ``RoarError`` when the repository cannot be written; nothing half-written is
    then reachable.
    """
    repo.make_own_dir()

    def seal(chain: Chain) -> Entry:
        clock = max(time.time_ns() // 1_000_000, after + 1, chain.clock + 1)
        return Entry(draft(min(clock, ids.LAST_CLOCK), chain.writer), beside or {})

    with Reader(repo) as reader:
        try:
            with locks.exclusive(_lock(repo), _MOMENT_SECONDS), gclock.hold(repo):
                _take_in_what_waits(repo, reader)
                chain = open_chain(repo, reader, sign)
                entry, before = seal(chain), chain.last_code()
                chain.extend(entry)
                if before and before != entry.commit:
                    _keep(repo, reader, chain.writer, before)
        except (locks.HeldError, gclock.GcRunningError) as error:
            log.debug("the record goes to the spool: %r", error)
            entry = seal(Chain(repo, reader, name_here(repo) or _NOBODY))
            spool.save(repo, entry)
    return entry


def _keep(repo: Repository, reader: Reader, writer: str, commit: str) -> None:
    """Keep the code of the record before, when it was amended or rebased meanwhile. The new record is in already."""
    try:
        keep.keep(repo, reader, writer, settings.identity(repo), keep.unheld(repo, [commit]))
    except (GitError, RoarError, OSError) as error:
        log.debug("commit %s is not kept: %s", commit, error)


def bring_in(repo: Repository, waiting: list[str] | None = None, *, patience_seconds: float = 0.0) -> list[str]:
    """Append spooled entries (default: all of this repository's spool), and give their ids.

    Entries that cannot go in now, because a gc runs or their bytes are damaged, stay where they are.
    """
    if waiting is None:
        for path in spool.abandoned(repo.own_dir):
            spool.remove(path)
        waiting = spool.entries(repo.own_dir)
    done: list[str] = []
    if not waiting:
        return done
    repo.make_own_dir()
    with locks.exclusive(_lock(repo)), Reader(repo) as reader:
        for path in waiting:
            try:
                with gclock.hold(repo, patience_seconds):
                    entry = _take_in(repo, reader, path)
            except gclock.GcRunningError:
                break
            if entry is not None:
                done.append(entry.identifier)
    return done


def _lock(repo: Repository) -> str:
    return os.path.join(repo.own_dir, "lock")


def _take_in_what_waits(repo: Repository, reader: Reader) -> None:
    """Older entries go first, so that clocks ascend; one that cannot go in does not stop the others."""
    for path in spool.entries(repo.own_dir)[:_BROUGHT_IN_WITH_ANOTHER]:
        try:
            _take_in(repo, reader, path)
        except (OSError, RoarError) as error:
            log.debug("%s stays in the spool: %s", path, error)


def _take_in(repo: Repository, reader: Reader, path: str) -> Entry | None:
    """Append one spooled entry under the locks that its caller holds; None when its bytes are damaged."""
    entry = spool.load(path)
    if entry is not None:
        open_chain(repo, reader).extend(entry)
        spool.remove(path)
    return entry


def open_chain(repo: Repository, reader: Reader, sign: Sign | None = None) -> Chain:
    """The chains of this writer, under the journal's lock. When an end cannot be read, a new writer begins anew."""
    try:
        return Chain(repo, reader, writer_name(repo), sign)
    except GitError as error:
        log.debug("the chain is damaged, a new one begins: %s", error)
        reader.close()
        return Chain(repo, reader, new_writer(repo), sign)


def head_date(repo: Repository, reader: Reader) -> int:
    """The committer date of the commit that is checked out, in seconds; 0 when there is none."""
    _, head = refs.head(repo)
    found = reader.get(head) if head else None
    return objects.Commit(found[2]).date if found and found[0] == "commit" else 0


def next_date(last: int, code: int) -> int:
    """The committer date, in seconds, of the record after one of the date ``last``, on code of the date ``code``.

    No later than the code's: many unpushed records would otherwise stand before every branch in the walk by date that
    each `git fetch` makes; and earlier than other recent code, for the same reason when the newest is not pushed. (Of
    30,000 records on one commit 30,627 haves became 16.) And each later than the one before as long as that goes: git
    walks all commits with the date of the newest, to see what it has (390 ms of CPU became 13 ms).
    """
    return max(last, min(last + 1, code), code - DATES_SECONDS)


class Chain:
    """A writer's chains, one a year, and where they end. Raises ``GitError`` when an end cannot be read."""

    def __init__(self, repo: Repository, reader: Reader, writer: str, sign: Sign | None = None) -> None:
        self._repo = repo
        self._sign = sign
        self._reader = reader
        self._who = settings.identity(repo)
        self.writer = writer
        self._tips: dict[str, str] = {}
        self._code_date = head_date(repo, reader)
        self._date = 0
        self.clock = 0
        """The last record's clock, 0 when there is none; a clock that was set back must not repeat it."""
        self._last: str | None = None
        for ref in refs.matching(repo, JOBS, "/" + writer):
            tip = refs.read(repo, ref)
            if tip:
                self._tips[ref] = tip
                last = reader.commit(tip)
                self._date = max(self._date, last.date)
                identifier = ids.normalise(trailer_id(last.message) or "")
                clock = clock_of(identifier) if identifier else 0
                if clock >= self.clock:
                    self.clock, self._last = clock, tip

    def extend(self, entry: Entry) -> None:
        """Write the entry's objects, move the ref of its year, add the note."""
        self._date = next_date(self._date, self._code_date)
        seconds = clock_of(entry.identifier) // 1000
        ref = f"{JOBS}{time.gmtime(seconds).tm_year}/{self.writer}"
        tip = self._tips.get(ref)
        tree = objects.write_files(self._repo, entry.tree)
        author = f"{self._who} {seconds} +0000"
        committer = f"{self._who} {self._date} +0000"
        body = objects.commit_body(tree, [tip] if tip else [], author, committer, entry.message)
        commit = self._store(body, entry)
        if not refs.compare_and_swap(self._repo, ref, commit, tip):
            raise GitError(f"{ref} was moved by another program while roar held its lock; run the command again")
        self._tips[ref] = self._last = commit
        if entry.note and entry.commit:
            self._note(entry.commit, entry.note, author, committer)

    def _store(self, body: bytes, entry: Entry) -> str:
        """Write the commit, signed where that is wanted. What cannot be signed is kept unsigned rather than lost."""
        sign = self._sign or load(self._repo).settings.sign
        if sign.enabled:
            try:
                return signing.write_signed(self._repo, body, sign.key or None)
            except GitError as error:
                entry.unsigned = error.message
        return objects.write(self._repo, "commit", body)

    def last_code(self) -> str | None:
        """The commit that the chain's last job ran on, None when the last record is no job."""
        try:
            found = self._reader.get(f"{self._last}:{RECORD.decode()}") if self._last else None
            record = codec.decode(found[2]) if found else None
        except (GitError, RecordError):
            return None
        return record.code.commit if isinstance(record, Job) else None

    def _note(self, commit: str, line: str, author: str, committer: str) -> None:
        """Notes are derived from the records: one that cannot be written is no loss, and no reason to fail."""
        try:
            noted.change(
                self._repo,
                self._reader,
                self.writer,
                author,
                committer,
                lambda tree: notes.add_line(self._repo, self._reader, tree, commit, line),
            )
        except (GitError, RoarError, OSError) as error:
            log.debug("no note on %s: %s", commit, error)
