"""The same tables and questions in PostgreSQL: each index in a schema of its own, behind the same few functions.

Statements are written for any engine; what has to be said differently here (names of values, a lock for writers,
true and false, texts with what PostgreSQL does not take) is said here and nowhere else.
"""

from __future__ import annotations

import contextlib
import functools
import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeVar

import psycopg

from roar.cache import database
from roar.cache.database import Connection, Database, Fill
from roar.errors import UnavailableError
from roar.hashing import digest_bytes

T = TypeVar("T")

_NAMED = re.compile(r"(?<!:):([a-z_][a-z_0-9]*)")
_PLAIN_INSERT = re.compile(r"INSERT INTO (\w+) VALUES \([?, ]+\)")
_WAIT_MS = 20_000
"""How long another's lock is waited for."""
_SETTINGS = f"-c lock_timeout={_WAIT_MS} -c jit=off -c max_parallel_workers_per_gather=0"
"""Questions are many and short: compiling one, or starting processes for it, takes longer than its answer."""
_MANY_ROWS = 1000
"""So many new rows of a table are worth a look at what it holds."""


def schema_of(project: str) -> str:
    """The schema of a project's index; the names of projects may be longer than those of schemas."""
    return f"p_{digest_bytes(project.encode())[:16]}_{database.VERSION}"


def lock_number(name: str) -> int:
    """The number by which those who write to a schema keep out of each other's way."""
    return int.from_bytes(bytes.fromhex(digest_bytes(f"roar {name}".encode())[:16]), "big", signed=True)


def drop(url: str, schema: str) -> None:
    """Delete a schema, when there is one. Raises ``UnavailableError``."""
    gone = Postgres(url, schema, lambda _: None)
    gone.use(lambda connection: connection.execute(f'DROP SCHEMA IF EXISTS "{schema}" CASCADE'))
    gone.close()


class Postgres(Database):
    """A schema of a PostgreSQL database. Raises ``UnavailableError`` when the database does not answer."""

    def __init__(
        self,
        url: str,
        schema: str,
        fill: Fill,
        tables: Iterable[str] | None = None,
    ) -> None:
        """``tables`` is what makes the schema's tables; None: others made them. ``fill`` as in ``Database``."""
        super().__init__(None, fill)
        self._url = url
        self._schema = schema
        self._tables = tables

    def use(self, work: Callable[[Connection], T]) -> T:
        """What ``work`` gives; called again on a new connection when an old one turns out to be cut."""
        while True:
            old = self._connection is not None
            try:
                if self._connection is None:
                    self._connection = self._connect()
                    self._fill(self._connection)
                return work(self._connection)
            except (psycopg.OperationalError, psycopg.InterfaceError) as error:
                self.close()
                if not old or isinstance(error, psycopg.errors.QueryCanceled | psycopg.errors.LockNotAvailable):
                    raise UnavailableError(f"the database does not answer: {_line(error)}", "try again") from error
            except psycopg.Error as error:
                self.close()
                raise UnavailableError(f"the database refuses: {_line(error)}", "roar serve --reindex") from error

    def close(self) -> None:
        """Let go of the connection."""
        if self._connection is not None:
            connection, self._connection = self._connection, None
            connection.close()

    def _connect(self) -> Connection:
        words = self._url.replace("postgresql+psycopg://", "postgresql://", 1)
        raw = psycopg.connect(words, autocommit=True, connect_timeout=5, options=_SETTINGS)
        connection = _Translated(raw, self._schema)
        try:
            if self._tables is not None and raw.execute("SELECT to_regclass('tips')").fetchone() == (None,):
                with database.transaction(connection):
                    if raw.execute("SELECT to_regclass('tips')").fetchone() == (None,):
                        raw.execute(f'CREATE SCHEMA IF NOT EXISTS "{self._schema}"')
                        for statement in self._tables:
                            raw.execute(statement)
        except BaseException:
            connection.close()
            raise
        return connection


class _Translated:
    """A connection that takes the statements of this program."""

    def __init__(self, raw: psycopg.Connection[Any], schema: str) -> None:
        self._raw = raw
        self._lock = lock_number(schema)
        self._new: Counter[str] = Counter()
        """Rows of each table that were inserted since its statistics were made."""
        self._old: Counter[str] = Counter()
        raw.execute(f'SET search_path TO "{schema}"')

    def execute(self, statement: str, values: Any = (), /) -> psycopg.Cursor[Any]:
        """Run a statement. One that begins to write waits until no other writes to the schema."""
        if statement == "BEGIN IMMEDIATE":
            self._raw.execute("BEGIN")
            return self._raw.execute("SELECT pg_advisory_xact_lock(%s)", (self._lock,))
        done = self._raw.execute(_translated(statement), _plain(values) if values else None)
        if statement == "COMMIT":
            self._make_statistics()
        return done

    def executemany(self, statement: str, rows: Iterable[Any], /) -> None:
        """Run a statement once for each row; plain insertions all at once."""
        plain = _PLAIN_INSERT.fullmatch(statement)
        with self._raw.cursor() as cursor:
            if plain is None:
                cursor.executemany(_translated(statement), [_plain(row) for row in rows])
                return
            with cursor.copy(f"COPY {plain[1]} FROM STDIN") as copy:
                for row in rows:
                    copy.write_row(_plain(row))
                    self._new[plain[1]] += 1

    def _make_statistics(self) -> None:
        """Let the planner know tables that have doubled: without, it reads all files of all jobs to find those of one.

        The server's own autovacuum comes a minute later at the earliest. It is no harm when this fails.
        """
        for table in [table for table, rows in self._new.items() if rows >= max(_MANY_ROWS, self._old[table])]:
            self._old[table] += self._new.pop(table)
            with contextlib.suppress(psycopg.Error):
                self._raw.execute(f"ANALYZE (SKIP_LOCKED) {table}")

    def close(self) -> None:
        """Let go of it."""
        self._raw.close()


@functools.cache
def _translated(statement: str) -> str:
    """The statement with psycopg's signs for values."""
    return _NAMED.sub(r"%(\1)s", statement.replace("%", "%%").replace("?", "%s"))


def _plain(values: Any) -> Any:
    if isinstance(values, Mapping):
        return {name: _value(value) for name, value in values.items()}
    return [_value(value) for value in values]


def _value(value: Any) -> Any:
    """Numbers for true and false; a text as PostgreSQL takes it, without NUL and halves of surrogate pairs."""
    if isinstance(value, bool):
        return int(value)
    if isinstance(value, str):
        return value.replace("\0", "\u2400").encode(errors="replace").decode()
    return value


def _line(error: Exception) -> str:
    return next(iter(str(error).splitlines()), type(error).__name__)
