"""A memo of large files' digests, kept beside the repository: what was hashed once is not hashed again.

An entry says: the file of this name, device and inode, with this size and these times, has this BLAKE3. It
may be believed later only if every change after hashing shows in the times, so an entry is made only for a
``settled`` digest:

- The file's times lie before the moment hashing began by more than a tick of the clock that stamps files.
  Any later write then gets a change time (ctime, which no program can set back) that differs. The clock is
  the kernel's coarse one, the same that stamps files, and ticks at most every 10 ms; a file system that
  keeps whole seconds shows it in the ctime, and gets two of them (FAT counts in twos).
- Nobody has the file open for writing. A shared writable mapping stamps the file when a page is first
  written and not again until that page has gone to disk, on tmpfs never again: content changes with no new
  time. Where the kernel cannot answer (not Linux, a file of another user, NFS), the times must be ten
  minutes old, by when any page has long gone to disk.

What this cannot see: a clock set back so exactly that a nanosecond repeats; a network server whose clock
lags and whose file is rewritten within one tick; another user's mapping of a file on tmpfs. Windows shows
no ctime, so nothing is kept there.

Every row carries a seal over its key and value, so that a damaged database gives no answer rather than a
wrong one; for this reason nothing waits for the disk (``synchronous=OFF``). The journal mode is SQLite's
classic one: write-ahead logging must not be used over NFS by several hosts, and its extra files cost more
than the one short write of a run. Deleting the file at any time costs only time.
"""

from __future__ import annotations

import contextlib
import errno
import os
import sys
import time
from typing import TYPE_CHECKING, Any, NamedTuple

from blake3 import blake3

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable

FILE = "stamps-1.db"
"""The name holds the version of the schema: another version is another file."""
LARGE = 256 << 10
"""Files from this size (bytes) are worth an entry: a look-up costs as much as hashing 100 KiB."""
WORTH_OPENING = 64 << 20
"""Large files of less than this together (bytes) are hashed in the time that loading SQLite takes."""
KEEP = 200_000
"""Rows kept per table; the ones stored first go first."""
WAIT_MS = 250
"""How long a look-up or a write waits for another process before it gives up."""

_REALTIME_COARSE = 5  # clock_gettime(2); the module time does not name it
_TICK_NS = 10_000_000
_WHOLE_SECONDS_NS = 2_000_000_000
_UNKNOWN_NS = 600_000_000_000

_SCHEMA = """
CREATE TABLE IF NOT EXISTS stamps (place BLOB UNIQUE NOT NULL, state TEXT, value BLOB, seal TEXT);
CREATE TABLE IF NOT EXISTS facts (place BLOB UNIQUE NOT NULL, state TEXT, value BLOB, seal TEXT);
"""


class Digest(NamedTuple):
    """The BLAKE3 of a file (64 hexadecimal digits) and the state of the file it belongs to.

    ``stat`` was taken on the open file before the first byte was read. ``stable`` is False when the file
    changed while it was read; the hash is then of no state the file ever had. ``settled`` is True when
    every later change must show in the stat, so that the hash may be remembered by it (only asked of large
    files).
    """

    hash: str
    stat: os.stat_result
    stable: bool
    settled: bool = False


def clock_ns() -> int:
    """Now, by the clock that stamps files, in nanoseconds since the epoch."""
    if sys.platform != "linux":
        return time.time_ns()
    return time.clock_gettime_ns(_REALTIME_COARSE)


def is_settled(stat: os.stat_result, began_ns: int, writers: bool | None) -> bool:
    """True when no change after ``began_ns`` can leave the stat as it is.

    ``began_ns`` is ``clock_ns()`` from before ``stat`` was taken, ``writers`` what ``has_writers`` said after
    that and before the first byte was read.
    """
    if os.name == "nt" or writers:
        return False
    age = began_ns - max(stat.st_mtime_ns, stat.st_ctime_ns)
    if writers is None:
        return age > _UNKNOWN_NS
    return age > (_TICK_NS if stat.st_ctime_ns % 1_000_000_000 else _WHOLE_SECONDS_NS)


def has_writers(fd: int, device: int) -> bool | None:
    """Whether anybody has the file open for writing or mapped for it; None when the kernel cannot tell.

    ``fd`` is the file, open for reading only, ``device`` its ``st_dev``.

    Asks for a read lease (fcntl(2), F_SETLEASE), which is refused with EAGAIN while there is a writer, and
    gives it back at once. Whoever opens the file in between waits those microseconds, and the kernel tells
    us so with a signal: not with SIGIO, whose default is to end the process, but with one that is ignored.
    """
    if sys.platform != "linux":
        return None
    import fcntl
    import signal

    try:
        fcntl.fcntl(fd, fcntl.F_SETSIG, signal.SIGURG)
        fcntl.fcntl(fd, fcntl.F_SETLEASE, fcntl.F_RDLCK)
        fcntl.fcntl(fd, fcntl.F_SETLEASE, fcntl.F_UNLCK)
    except OSError as error:
        # NFS says EAGAIN whenever the server has not delegated the file to this host.
        return True if error.errno == errno.EAGAIN and not _is_nfs(device) else None
    return False


def _is_nfs(device: int) -> bool:
    """Whether the device is an NFS mount, by proc_pid_mountinfo(5); False when that cannot be read."""
    if sys.platform == "win32":
        return False
    number = f"{os.major(device)}:{os.minor(device)}"
    try:
        with open("/proc/self/mountinfo", encoding="utf-8", errors="replace") as lines:
            return any(
                words[2] == number and words[words.index("-") + 1].startswith("nfs") for words in map(str.split, lines)
            )
    except (OSError, ValueError, IndexError):
        return False


class Stamps:
    """The memo in a folder; made and opened on first use. No failure of it is more than an empty answer.

    Writes are collected and stored by ``close`` in one short transaction. Several processes may use one
    folder. A process forked from the owner gets nothing from it and stores nothing.
    """

    def __init__(self, folder: str | None, *, keep: int = KEEP, worth_opening: int = WORTH_OPENING) -> None:
        """``folder`` is made when missing; with None nothing is remembered."""
        self._folder = folder
        self._keep = keep
        self._unasked = worth_opening
        self._database: sqlite3.Connection | None = None
        self._broken = folder is None
        self._owner = os.getpid()
        self._new: dict[str, dict[bytes, tuple[str, bytes]]] = {"stamps": {}, "facts": {}}

    def get(self, path: str | bytes, stat: os.stat_result) -> str | None:
        """The remembered hash of the file at ``path`` (absolute), which has this stat now."""
        if stat.st_size < LARGE:
            return None
        self._unasked -= stat.st_size
        if self._database is None and self._unasked > 0:
            return None
        known = self._look("stamps", os.fsencode(path), _state(stat))
        return None if known is None else known.decode()

    def put(self, path: str | bytes, digest: Digest) -> None:
        """Remember a digest, if it is one that may be remembered."""
        if digest.settled and digest.stable and digest.stat.st_size >= LARGE:
            self._new["stamps"][os.fsencode(path)] = (_state(digest.stat), digest.hash.encode())

    def recall(self, key: str) -> str | None:
        """The text remembered under ``key``."""
        known = self._look("facts", _spell(key), "")
        return None if known is None else known.decode("utf-8", "surrogatepass")

    def remember(self, key: str, value: str) -> None:
        """Remember a text under ``key``."""
        self._new["facts"][_spell(key)] = ("", _spell(value))

    def close(self) -> None:
        """Store what is new and let go of the file. The memo may be used again afterwards."""
        if os.getpid() != self._owner:
            return
        worth = self._database is not None or self._unasked <= 0
        if self._new["facts"] or (self._new["stamps"] and worth):
            self._guarded(self._store)
        self._new = {"stamps": {}, "facts": {}}
        self._let_go()

    def _look(self, table: str, place: bytes, state: str) -> bytes | None:
        if (fresh := self._new[table].get(place)) is not None:
            return fresh[1] if fresh[0] == state else None
        question = f"SELECT value, seal FROM {table} WHERE place = ? AND state = ?"
        rows = self._guarded(lambda database: database.execute(question, (place, state)).fetchall())
        value, seal = rows[0] if rows else (None, None)
        return value if isinstance(value, bytes) and _seal(place, state, value) == seal else None

    def _store(self, database: sqlite3.Connection) -> None:
        database.execute("BEGIN IMMEDIATE")
        for table, entries in self._new.items():
            rows = [(place, *entry, _seal(place, *entry)) for place, entry in entries.items()]
            database.executemany(f"INSERT OR REPLACE INTO {table} VALUES (?, ?, ?, ?)", rows)
            # Every row stored gets the next rowid, so the rowid tells how many were stored after it.
            oldest = f"rowid <= (SELECT max(rowid) FROM {table}) - ?"
            database.execute(f"DELETE FROM {table} WHERE {oldest}", (self._keep,))
        database.execute("COMMIT")

    def _guarded(self, use: Callable[[sqlite3.Connection], Any]) -> Any:
        """What ``use`` returns; None when the database cannot be used. A corrupt one is made again."""
        if self._broken or os.getpid() != self._owner:
            return None
        import sqlite3  # 10 ms, and most runs meet no large file

        for attempt in (1, 2):
            try:
                if self._database is None:
                    self._database = self._open()
                return use(self._database)
            except sqlite3.OperationalError as error:
                # Locked, full or read-only is left as it is; a table that is not ours is not.
                self._broken = "no such" not in str(error) or attempt == 2 or not self._discard()
            except sqlite3.DatabaseError:
                self._broken = attempt == 2 or not self._discard()
            except (sqlite3.Error, OSError, ValueError):
                self._broken = True
            if self._broken:
                break
        self._let_go()
        return None

    def _open(self) -> sqlite3.Connection:
        import sqlite3

        os.makedirs(self._folder or "", exist_ok=True)
        database = sqlite3.connect(self._path(), timeout=WAIT_MS / 1000, isolation_level=None, check_same_thread=False)
        try:
            database.execute("PRAGMA synchronous=OFF")
            if not database.execute("PRAGMA schema_version").fetchone()[0]:
                database.executescript(f"BEGIN IMMEDIATE; {_SCHEMA} COMMIT;")
        except BaseException:
            database.close()
            raise
        return database

    def _path(self) -> str:
        return os.path.join(self._folder or "", FILE)

    def _discard(self) -> bool:
        """Delete a corrupt database, its journal first, lest it be played into the next; False: cannot."""
        self._let_go()
        try:
            for path in (self._path() + "-journal", self._path()):
                with contextlib.suppress(FileNotFoundError):
                    os.unlink(path)
        except OSError:
            return False
        return True

    def _let_go(self) -> None:
        if self._database is not None:
            self._database.close()
            self._database = None


def _state(stat: os.stat_result) -> str:
    return f"{stat.st_dev}:{stat.st_ino}:{stat.st_size}:{stat.st_mtime_ns}:{stat.st_ctime_ns}"


def _spell(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")


def _seal(place: bytes, state: str, value: bytes) -> str:
    return blake3(b"\0".join((place, state.encode(), value))).hexdigest(8)
