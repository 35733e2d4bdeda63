"""The database behind the index: a file that heals itself, or memory where no file can be kept.

A damaged or foreign file is deleted and made again; a locked one is waited for. A folder that cannot be written and
a full disk cost only time: the index is then made in memory for this one question.
"""

from __future__ import annotations

import contextlib
import logging
import os
import re
import sqlite3
from collections.abc import Callable, Iterator, Mapping, Sequence
from sqlite3 import DatabaseError
from typing import Any, Protocol, TypeVar

from roar.cache.tables import TABLES
from roar.git import locks

log = logging.getLogger(__name__)

VERSION = 8
"""Of the tables, and part of the file's name: an older roar beside this one keeps its own index."""
APPLICATION_ID = 0x726F6172
"""Tells our database from another one of that name: "roar"."""
WAIT_SECONDS = 20
"""How long a file locked by another process is waited for."""
AT_ONCE = 900
"""Values in one question: SQLite before 3.32 takes 999."""
_NOT_DAMAGED = ("locked", "readonly", "unable to open", "disk is full", "disk i/o")
_NOT_IN_URI = re.compile("[%?#]")
"""https://www.sqlite.org/uri.html, section 3.1."""
_LIST = re.compile(r"IN :(\w+)")

Failure = DatabaseError
"""What SQLite says when it cannot do something."""

T = TypeVar("T")


class Answer(Protocol):
    """What a statement gives."""

    def fetchall(self) -> list[Any]:
        """All rows that are left."""

    def fetchone(self) -> Any:
        """The next row; None when there is none."""


class Connection(Protocol):
    """What is asked of a connection of any engine: standard SQL, with values as ``?`` in order or ``:name`` by name."""

    def execute(self, statement: str, values: Any = ..., /) -> Answer:
        """Run a statement."""

    def executemany(self, statement: str, rows: Any, /) -> object:
        """Run a statement once for each row of values."""

    def close(self) -> None:
        """Let go of it."""


Fill = Callable[[Connection], None]
"""Brings a database that was just opened up to date."""


class Database:
    """One connection, opened on first use. It must not cross a fork."""

    def __init__(self, path: str | None, fill: Fill) -> None:
        """``path`` None means memory."""
        self.path = path
        self._fill = fill
        self._connection: Connection | None = None
        self._deleted = False

    def use(self, work: Callable[[Connection], T]) -> T:
        """What ``work`` gives; called again on a database made anew when the first one turns out to be damaged."""
        while True:
            try:
                if self._connection is None:
                    if self.path is not None and not os.path.exists(self.path):
                        _make(self.path, self._fill)
                    self._connection = connect(self.path)
                    self._fill(self._connection)
                return work(self._connection)
            except DatabaseError as error:
                self.close()
                if self.path is None:
                    raise
                self._retreat(self.path, error)

    def close(self) -> None:
        """Let go of the file."""
        if self._connection is not None:
            connection, self._connection = self._connection, None
            with contextlib.suppress(DatabaseError):
                connection.close()

    def _retreat(self, path: str, error: DatabaseError) -> None:
        why = str(error)
        damaged = not isinstance(error, sqlite3.OperationalError) or not any(w in why.lower() for w in _NOT_DAMAGED)
        if damaged and not self._deleted and delete(path):
            log.debug("the index was not usable (%s): deleted, made again", why)
            self._deleted = True
        else:
            log.debug("the index cannot be kept in %s (%s): made in memory", path, why)
            self.path = None


def _make(path: str, fill: Fill) -> None:
    """Fill a new file under another name, and rename it when it is whole. Raises ``DatabaseError``.

    So it needs no log of what to undo, which would be as large as the file, and nobody sees half of it.
    """
    new = path + ".new"
    try:
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with locks.exclusive(path + ".lock", WAIT_SECONDS):
            if os.path.exists(path):
                return
            delete(new)
            with contextlib.closing(open_file(new)) as connection:
                for setting in ("journal_mode=OFF", "synchronous=OFF", "locking_mode=EXCLUSIVE", "cache_size=-65536"):
                    connection.execute(f"PRAGMA {setting}")
                _create(connection)
                fill(connection)
            _settle(new)
            delete(path)  # its log, if that was left alone
            os.rename(new, path)
    except OSError as error:
        raise sqlite3.OperationalError(f"unable to open: {error}") from error
    except locks.HeldError as error:
        raise sqlite3.OperationalError(f"locked: {error.message}") from error


def _settle(path: str) -> None:
    fd = os.open(path, os.O_RDWR)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def open_file(path: str, *, made: bool = True) -> Connection:
    """A connection to an SQLite file, whatever is in it; for one thread at a time. Not ``made``: it must be there."""
    name = path if made else f"file:{_NOT_IN_URI.sub(lambda sign: f'%{ord(sign[0]):02x}', path)}?mode=rw"
    return sqlite3.connect(name, timeout=WAIT_SECONDS, isolation_level=None, check_same_thread=False, uri=not made)


def connect(path: str | None) -> Connection:
    """A connection to the database of a file, or to a new one in memory, with its tables. Raises ``DatabaseError``."""
    connection = open_file(path or ":memory:")
    try:
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=NORMAL")
        if path is None:
            _create(connection)
        else:
            _check(connection)
    except BaseException:
        connection.close()
        raise
    return connection


def _create(connection: Connection) -> None:
    with transaction(connection):
        for statement in TABLES:
            connection.execute(statement)
        connection.execute(f"PRAGMA application_id={APPLICATION_ID}")


def _check(connection: Connection) -> None:
    if value(connection, "PRAGMA application_id") != APPLICATION_ID:
        raise DatabaseError("it is not whole, or belongs to another program")


def rows(connection: Connection, statement: str, values: Mapping[str, Any]) -> list[Any]:
    """The rows of a question. ``IN :name`` stands for the texts of a list of any length; a question has one at most."""
    found = _LIST.search(statement)
    if found is None:
        return connection.execute(statement, values).fetchall()
    texts: Sequence[str] = values[found[1]]
    answer: list[Any] = []
    for start in range(0, len(texts), AT_ONCE):
        some = {f"{found[1]}_{n}": text for n, text in enumerate(texts[start : start + AT_ONCE])}
        names = ", ".join(f":{name}" for name in some)
        answer += connection.execute(_LIST.sub(f"IN ({names})", statement), {**values, **some}).fetchall()
    return answer


def value(connection: Connection, statement: str, **values: Any) -> Any:
    """The first column of the first row of a question; None when there is none."""
    found = connection.execute(statement, values).fetchone()
    return found[0] if found else None


@contextlib.contextmanager
def transaction(connection: Connection) -> Iterator[None]:
    """All or nothing, and no other writer meanwhile."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
    except BaseException:
        with contextlib.suppress(DatabaseError):
            connection.execute("ROLLBACK")
        raise
    connection.execute("COMMIT")


def delete(path: str) -> bool:
    """Delete the file; False when that fails. Its log goes first, lest it be played into the next one."""
    try:
        for name in (path + "-wal", path + "-shm", path):
            with contextlib.suppress(FileNotFoundError):
                os.unlink(name)
    except OSError:
        return False
    return True
