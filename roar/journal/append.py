"""Appending: objects first, then the ref by compare-and-swap (the truth), then the note.

A file lock gives order, the ref's old value gives truth, ``gc.pid`` keeps the objects alive in between. While a gc
runs the entry goes to the spool, and the next command brings it in.
"""

from __future__ import annotations

import logging
import os
import time

from roar.errors import GitError, RecordError, RoarError
from roar.git import gclock, locks, notes, objects, refs, settings
from roar.git.objects import Reader
from roar.git.repository import Repository
from roar.journal import JOBS, RECORD, keep, noted, spool
from roar.journal.entry import Draft, Entry, trailer_id
from roar.journal.writer import new_writer, writer_name
from roar.records import codec, ids
from roar.records.ids import clock_of
from roar.records.job import Job

log = logging.getLogger(__name__)


def append(repo: Repository, draft: Draft, beside: dict[bytes, bytes] | None = None, after: int = 0) -> Entry:
    """Put a record into the journal and give it back sealed, with its id.

    ``after`` is the largest clock of the records that this one names. Raises ``OSError``, ``GitError`` or
    ``RoarError`` when the repository cannot be written; nothing half-written is then reachable.
    """
    repo.make_own_dir()
    who = settings.identity(repo)
    with locks.exclusive(os.path.join(repo.own_dir, "lock")), Reader(repo) as reader:
        wall = time.time_ns() // 1_000_000
        chain = open_chain(repo, reader, wall, who)
        entry = Entry(draft(max(wall, after + 1, chain.clock + 1), chain.writer), beside or {})
        try:
            with gclock.hold(repo):
                before = chain.last_code()
                chain.extend(entry)
                if before and before != entry.commit:
                    _keep(repo, reader, chain.writer, who, before)
        except gclock.GcRunningError:
            log.debug("a gc runs: %s goes to the spool", entry.identifier)
            spool.save(repo.own_dir, entry)
        return entry


def _keep(repo: Repository, reader: Reader, writer: str, who: str, commit: str) -> None:
    """Keep the code of the record before, when it was amended or rebased meanwhile. The new record is in already."""
    try:
        keep.keep(repo, reader, writer, who, keep.unheld(repo, [commit]))
    except (GitError, RoarError, OSError) as error:
        log.debug("commit %s is not kept: %s", commit, error)


def bring_in(repo: Repository, files: list[str] | None = None, *, patience_seconds: float = 0.0) -> list[str]:
    """Append spooled entries (default: all of this repository's spool), and give their ids.

    Entries that cannot go in now, because a gc runs or their bytes are damaged, stay where they are.
    """
    waiting = spool.entries(repo.own_dir) if files is None else files
    done: list[str] = []
    if not waiting:
        return done
    repo.make_own_dir()
    who = settings.identity(repo)
    with locks.exclusive(os.path.join(repo.own_dir, "lock")), Reader(repo) as reader:
        for path in waiting:
            entry = spool.load(path)
            if entry is None:
                continue
            try:
                with gclock.hold(repo, patience_seconds):
                    open_chain(repo, reader, clock_of(entry.identifier), who).extend(entry)
            except gclock.GcRunningError:
                break
            spool.remove(path)
            done.append(entry.identifier)
    return done


def open_chain(repo: Repository, reader: Reader, wall: int, who: str) -> Chain:
    """The chain of this writer for the year of ``wall``. When its end cannot be read, a new writer begins a new one."""
    try:
        return Chain(repo, reader, writer_name(repo), wall, who)
    except GitError as error:
        log.debug("the chain is damaged, a new one begins: %s", error)
        reader.close()
        return Chain(repo, reader, new_writer(repo), wall, who)


def head_date(repo: Repository, reader: Reader) -> int:
    """The committer date of the commit that is checked out, in seconds; 0 when there is none."""
    _, head = refs.head(repo)
    found = reader.get(head) if head else None
    return objects.Commit(found[2]).date if found and found[0] == "commit" else 0


class Chain:
    """The chain of one year's records by this writer, and its end. Raises ``GitError`` when that cannot be read."""

    def __init__(self, repo: Repository, reader: Reader, writer: str, wall: int, who: str) -> None:
        self._repo = repo
        self._reader = reader
        self._who = who
        self.writer = writer
        year = time.gmtime(wall // 1000).tm_year
        self.ref = f"{JOBS}{year}/{writer}"
        self.tip = refs.read(repo, self.ref)
        # The committer date is no later than the code's: many unpushed records would otherwise stand before every
        # branch in the walk by date that each `git fetch` makes (measured: 10,060 haves became 16).
        self._date = head_date(repo, reader)
        self.clock = 0
        """The last record's clock, 0 when there is none; a clock that was set back must not repeat it."""
        for near in (year - 1, year, year + 1):
            tip = refs.read(repo, f"{JOBS}{near}/{writer}")
            if tip:
                last = reader.commit(tip)
                self._date = max(self._date, last.date)
                identifier = ids.normalise(trailer_id(last.message) or "")
                self.clock = max(self.clock, clock_of(identifier) if identifier else 0)

    def extend(self, entry: Entry) -> None:
        """Write the entry's objects, move the ref, add the note."""
        tree = objects.write_files(self._repo, entry.tree)
        author = f"{self._who} {clock_of(entry.identifier) // 1000} +0000"
        committer = f"{self._who} {self._date} +0000"
        body = objects.commit_body(tree, [self.tip] if self.tip else [], author, committer, entry.message)
        commit = objects.write(self._repo, "commit", body)
        if not refs.compare_and_swap(self._repo, self.ref, commit, self.tip):
            raise GitError(f"{self.ref} was moved by another program while roar held its lock; run the command again")
        self.tip = commit
        if entry.note and entry.commit:
            self._note(entry.commit, entry.note, author)

    def last_code(self) -> str | None:
        """The commit that the chain's last job ran on, None when the last record is no job."""
        try:
            found = self._reader.get(f"{self.tip}:{RECORD.decode()}") if self.tip else None
            record = codec.decode(found[2]) if found else None
        except (GitError, RecordError):
            return None
        return record.code.commit if isinstance(record, Job) else None

    def _note(self, commit: str, line: str, who: str) -> None:
        """Notes are derived from the records: one that cannot be written is no loss, and no reason to fail."""
        try:
            noted.change(
                self._repo,
                self._reader,
                self.writer,
                who,
                lambda tree: notes.add_line(self._repo, self._reader, tree, commit, line),
            )
        except (GitError, RoarError, OSError) as error:
            log.debug("no note on %s: %s", commit, error)
