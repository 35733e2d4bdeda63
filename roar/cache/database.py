"""The database behind the index: a file that heals itself, or memory where no file can be kept.

A damaged or foreign file is deleted and made again; a locked one is waited for. A folder that cannot be written and
a full disk cost only time: the index is then made in memory for this one question.
"""

from __future__ import annotations

import contextlib
import logging
import os
from collections.abc import Callable, Iterator
from typing import TypeVar

from sqlalchemy import URL, Connection, create_engine
from sqlalchemy.exc import DatabaseError, OperationalError
from sqlalchemy.pool import StaticPool

from roar.cache import schema

log = logging.getLogger(__name__)

WAIT_SECONDS = 20
"""How long a file locked by another process is waited for."""
_NOT_DAMAGED = ("locked", "readonly", "unable to open", "disk is full", "disk i/o")

T = TypeVar("T")


class Database:
    """One connection, opened on first use. It must not cross a fork."""

    def __init__(self, path: str | None, fill: Callable[[Connection], None]) -> None:
        """``fill`` brings a database that was just opened up to date; ``path`` None means memory."""
        self.path = path
        self._fill = fill
        self._connection: Connection | None = None
        self._deleted = False

    def use(self, work: Callable[[Connection], T]) -> T:
        """What ``work`` gives; called again on a database made anew when the first one turns out to be damaged."""
        while True:
            try:
                if self._connection is None:
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
            connection.engine.dispose()

    def _retreat(self, path: str, error: DatabaseError) -> None:
        why = str(error.orig)
        damaged = not isinstance(error, OperationalError) or not any(w in why.lower() for w in _NOT_DAMAGED)
        if damaged and not self._deleted and delete(path):
            log.debug("the index was not usable (%s): deleted, made again", why)
            self._deleted = True
        else:
            log.debug("the index cannot be kept in %s (%s): made in memory", path, why)
            self.path = None


def connect(path: str | None) -> Connection:
    """A connection to the database, with its tables. Raises ``DatabaseError``."""
    if path is not None:
        with contextlib.suppress(OSError):
            os.makedirs(os.path.dirname(path), exist_ok=True)
    url = URL.create("sqlite", database=path)
    engine = create_engine(
        url, connect_args={"timeout": WAIT_SECONDS}, poolclass=StaticPool, isolation_level="AUTOCOMMIT"
    )
    connection = engine.connect()
    try:
        _prepare(connection)
    except BaseException:
        connection.close()
        engine.dispose()
        raise
    return connection


def _prepare(connection: Connection) -> None:
    connection.exec_driver_sql("PRAGMA journal_mode=WAL")
    connection.exec_driver_sql("PRAGMA synchronous=NORMAL")
    if _is_ours(connection):
        return
    with transaction(connection):
        if not _is_ours(connection):
            if connection.exec_driver_sql("SELECT count(*) FROM sqlite_master").scalar():
                raise DatabaseError("open", None, ValueError("it belongs to another program"))
            schema.metadata.create_all(connection, checkfirst=False)
            connection.exec_driver_sql(f"PRAGMA application_id={schema.APPLICATION_ID}")


def _is_ours(connection: Connection) -> bool:
    return connection.exec_driver_sql("PRAGMA application_id").scalar() == schema.APPLICATION_ID


@contextlib.contextmanager
def transaction(connection: Connection) -> Iterator[None]:
    """All or nothing, and no other writer meanwhile."""
    connection.exec_driver_sql("BEGIN IMMEDIATE")
    try:
        yield
    except BaseException:
        with contextlib.suppress(DatabaseError):
            connection.exec_driver_sql("ROLLBACK")
        raise
    connection.exec_driver_sql("COMMIT")


def delete(path: str) -> bool:
    """Delete the file; False when that fails. Its log goes first, lest it be played into the next one."""
    try:
        for name in (path + "-wal", path + "-shm", path):
            with contextlib.suppress(FileNotFoundError):
                os.unlink(name)
    except OSError:
        return False
    return True
