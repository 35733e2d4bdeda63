"""A memo of large files' digests, kept beside the repository: what was hashed once is not hashed again.

An entry says: the file of this device and inode, with this size and these times, has this BLAKE3. It may be
believed later only if every change after hashing shows in the times, so an entry is made only for a ``settled``
digest:

- The file's times lie before the moment hashing began by more than a tick of the clock that stamps files. Any
  later write then gets a change time (ctime, which no program can set back) that differs. The clock is the
  kernel's coarse one, the same that stamps files, and ticks at most every 10 ms; a file system that keeps whole
  seconds shows it in the ctime, and gets two of them (FAT counts in twos).
- Nobody has the file open for writing. A shared writable mapping stamps the file when a page is first written
  and not again until that page has gone to disk, on tmpfs never again: content changes with no new time. Where
  the kernel cannot answer (not Linux, a file of another user, NFS), the times must be ten minutes old, by when
  any page has long gone to disk.

What this cannot see: a clock set back so exactly that a nanosecond repeats; a network server whose clock lags
and whose file is rewritten within one tick. Windows shows no ctime, so nothing is kept there.

Every row carries a seal over its key and value, so that a damaged database gives no answer rather than a wrong
one; for this reason nothing waits for the disk (``synchronous=OFF``). The journal mode is SQLite's classic one:
write-ahead logging must not be used over NFS by several hosts, and its extra files cost more than the one short
write of a run. Deleting the file at any time costs only time.
"""

from __future__ import annotations

import errno
import os
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
KEEP = 200_000
"""Rows kept per table; the ones stored first go first."""
WAIT_MS = 250
"""How long a look-up or a write waits for another process before it gives up."""

_TICK_NS = 10_000_000
_WHOLE_SECONDS_NS = 2_000_000_000
_UNKNOWN_NS = 600_000_000_000

_SCHEMA = """
CREATE TABLE IF NOT EXISTS stamps (place TEXT UNIQUE NOT NULL, state TEXT NOT NULL, value TEXT NOT NULL,
                                   seal TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS facts (place TEXT UNIQUE NOT NULL, state TEXT NOT NULL, value TEXT NOT NULL,
                                  seal TEXT NOT NULL);
"""


class Digest(NamedTuple):
    """The BLAKE3 of a file (64 hexadecimal digits) and the state of the file it belongs to.

    ``stat`` was taken on the open file before the first byte was read. ``stable`` is False when the file changed
    while it was read; the hash is then of no state the file ever had. ``settled`` is True when every later
    change must show in the stat, so that the hash may be remembered by it (only asked of large files).
    """

    hash: str
    stat: os.stat_result
    stable: bool
    settled: bool = False


def clock_ns() -> int:
    """Now, by the clock that stamps files, in nanoseconds since the epoch."""
    coarse = getattr(time, "CLOCK_REALTIME_COARSE", None)
    return time.time_ns() if coarse is None else time.clock_gettime_ns(coarse)


def is_settled(fd: int, stat: os.stat_result, began_ns: int) -> bool:
    """True when a change after ``began_ns`` (of ``clock_ns``, before ``stat`` was taken) cannot leave the stat as it is.

    ``fd`` is the file, open for reading only.
    """
    if os.name == "nt":
        return False
    age = began_ns - max(stat.st_mtime_ns, stat.st_ctime_ns)
    if age <= (_TICK_NS if stat.st_ctime_ns % 1_000_000_000 else _WHOLE_SECONDS_NS):
        return False
    writers = has_writers(fd, stat)
    return age > _UNKNOWN_NS if writers is None else not writers


def has_writers(fd: int, stat: os.stat_result) -> bool | None:
    """Whether anybody has the file open for writing or mapped for it; None when the kernel cannot tell.

    Asks for a read lease (fcntl(2), F_SETLEASE), which is refused with EAGAIN while there is a writer, and gives
    it back at once. Whoever opens the file in between waits those microseconds, and the kernel tells us so with
    a signal: not with SIGIO, whose default is to end the process, but with one that is ignored.
    """
    import fcntl  # absent on Windows

    if not hasattr(fcntl, "F_SETLEASE"):
        return None
    import signal

    try:
        fcntl.fcntl(fd, fcntl.F_SETSIG, signal.SIGURG)
        fcntl.fcntl(fd, fcntl.F_SETLEASE, fcntl.F_RDLCK)
        fcntl.fcntl(fd, fcntl.F_SETLEASE, fcntl.F_UNLCK)
    except OSError as error:
        # NFS says EAGAIN whenever the server has not delegated the file to this host.
        return True if error.errno == errno.EAGAIN and not _is_nfs(stat.st_dev) else None
    return False


def _is_nfs(device: int) -> bool:
    """Whether the device is an NFS mount, by proc_pid_mountinfo(5); False when that cannot be read."""
    number = f"{os.major(device)}:{os.minor(device)}"
    try:
        with open("/proc/self/mountinfo", encoding="utf-8", errors="replace") as lines:
            return any(
                words[2] == number and words[words.index("-") + 1].startswith("nfs")
                for words in map(str.split, lines)
            )
    except (OSError, ValueError, IndexError):
        return False


class Stamps:
    """The memo in a folder; made and opened on first use. No failure of it is ever more than an empty answer.

    Writes are collected and stored by ``close`` in one short transaction. Several processes may use one folder.
    A process forked from the owner gets nothing from it and stores nothing.
    """

    def __init__(self, folder: str | None) -> None:
        """``folder`` is made when missing; with None nothing is remembered."""
        self._folder = folder
        self._database: sqlite3.Connection | None = None
        self._broken = folder is None
        self._owner = os.getpid()
        self._new: dict[str, dict[str, tuple[str, str]]] = {"stamps": {}, "facts": {}}

    def get(self, stat: os.stat_result) -> str | None:
        """The remembered hash of the file that has this stat now."""
        place, state = _key(stat)
        return self._look("stamps", place, state)

    def put(self, digest: Digest) -> None:
        """Remember a digest, if it is one that may be remembered."""
        if digest.settled and digest.stable and digest.stat.st_size >= LARGE:
            place, state = _key(digest.stat)
            self._new["stamps"][place] = (state, digest.hash)

    def recall(self, key: str) -> str | None:
        """The text remembered under ``key``."""
        return self._look("facts", key, "")

    def remember(self, key: str, value: str) -> None:
        """Remember a text under ``key``."""
        self._new["facts"][key] = ("", value)

    def close(self) -> None:
        """Store what is new and let go of the file. The memo may be used again afterwards."""
        if os.getpid() != self._owner:
            return
        if any(self._new.values()):
            self._guarded(self._store)
            self._new = {"stamps": {}, "facts": {}}
        if self._database is not None:
            self._database.close()
            self._database = None

    def _look(self, table: str, place: str, state: str) -> str | None:
        if (fresh := self._new[table].get(place)) is not None:
            return fresh[1] if fresh[0] == state else None
        question = f"SELECT value, seal FROM {table} WHERE place = ? AND state = ?"  # noqa: S608 - two constants
        rows = self._guarded(lambda database: database.execute(question, (place, state)).fetchall())
        if rows and _seal(place, state, rows[0][0]) == rows[0][1]:
            return str(rows[0][0])
        return None

    def _store(self, database: sqlite3.Connection) -> None:
        database.execute("BEGIN IMMEDIATE")
        for table, entries in self._new.items():
            rows = [(place, state, value, _seal(place, state, value)) for place, (state, value) in entries.items()]
            # Every row stored gets the next rowid, so the rowid tells how many were stored after it.
            database.executemany(f"INSERT OR REPLACE INTO {table} VALUES (?, ?, ?, ?)", rows)  # noqa: S608
            database.execute(f"DELETE FROM {table} WHERE rowid <= (SELECT max(rowid) FROM {table}) - {KEEP}")  # noqa: S608
        database.execute("COMMIT")

    def _guarded(self, use: Callable[[sqlite3.Connection], Any]) -> Any:
        """What ``use`` returns; None when the database cannot be used. A corrupt one is deleted and made again."""
        if self._broken or os.getpid() != self._owner:
            return None
        import sqlite3  # 10 ms, and most runs meet no large file

        for attempt in (1, 2):
            try:
                if self._database is None:
                    self._database = self._open()
                return use(self._database)
            except sqlite3.OperationalError:  # locked, full, read-only: as it is for now
                self._broken = True
            except (sqlite3.Error, OSError, ValueError, OverflowError):
                self._broken = attempt == 2 or not self._discard()
            if self._broken:
                break
        self._let_go()
        return None

    def _open(self) -> sqlite3.Connection:
        import sqlite3

        assert self._folder is not None
        os.makedirs(self._folder, exist_ok=True)
        path = os.path.join(self._folder, FILE)
        database = sqlite3.connect(path, timeout=WAIT_MS / 1000, isolation_level=None, check_same_thread=False)
        try:
            database.execute("PRAGMA synchronous=OFF")
            if not database.execute("PRAGMA schema_version").fetchone()[0]:
                database.executescript(f"BEGIN IMMEDIATE; {_SCHEMA} COMMIT;")
        except BaseException:
            database.close()
            raise
        return database

    def _discard(self) -> bool:
        """Delete a corrupt database; False when that fails."""
        self._let_go()
        try:
            os.unlink(os.path.join(self._folder or "", FILE))
        except FileNotFoundError:
            pass
        except OSError:
            return False
        return True

    def _let_go(self) -> None:
        if self._database is not None:
            self._database.close()
            self._database = None


def _key(stat: os.stat_result) -> tuple[str, str]:
    """The file, and its state. As text: device and inode numbers may be larger than SQLite's integers."""
    return f"{stat.st_dev}:{stat.st_ino}", f"{stat.st_size}:{stat.st_mtime_ns}:{stat.st_ctime_ns}"


def _seal(place: str, state: str, value: str) -> str:
    return blake3(f"{place}\0{state}\0{value}".encode("utf-8", "surrogatepass")).hexdigest(8)
