"""New rows, inserted in portions."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from typing import Any

from roar.cache.database import Connection, rows, value
from roar.cache.extract import FILES_AT_ONCE, Batch
from roar.cache.tables import SEARCHES
from roar.journal.manifests import INLINE_FILES

_REMEMBERED = 500_000
"""Paths (and hashes) whose rows are kept in memory while building."""


class Filling:
    """One transaction's worth of new rows."""

    def __init__(self, connection: Connection, *, fresh: bool) -> None:
        """``fresh``: all tables are empty, and the searches not made yet."""
        self._connection = connection
        self._fresh = fresh
        self._next = _last_row(connection, "records")
        self._paths = _Texts(connection, "paths", fresh=fresh)
        self._hashes = _Texts(connection, "hashes", fresh=fresh)

    def add(self, source: Iterable[Batch], *, renew: bool = False) -> None:
        """Insert these records. Those that are known keep their row, and get the files that an earlier copy lacked.

        With ``renew`` that is looked for in all of them, else in those that have manifests.

        Raises what the source raises.
        """
        for found, broken in source:
            for oid, reason, lasting in broken:
                self.note_broken(oid, reason, lasting=lasting)
            new: dict[str, Any] = {}
            for identifier, *rest in found:  # of a copy whose manifests are damaged fewer files are known
                if identifier not in new or len(rest[1]) > len(new[identifier][1]):
                    new[identifier] = rest
            known = dict(rows(self._connection, "SELECT id, row FROM records WHERE id IN :ids", {"ids": list(new)}))
            fuller = {row: new[identifier][1] for identifier, row in known.items()}
            self._complete({row: uses for row, uses in fuller.items() if renew or len(uses) > INLINE_FILES})
            self._insert({identifier: rest for identifier, rest in new.items() if identifier not in known})
            self._copy([(i, rest) for i, rest, *_ in found if i in known or new[i][0] is not rest])

    def note_broken(self, oid: str, reason: str, *, lasting: bool) -> None:
        """Remember what could not be read, and whether it may be readable another time."""
        tried = None if lasting else int(time.time())
        again = "ON CONFLICT (oid, reason) DO UPDATE SET tried = excluded.tried"
        self._connection.execute(f"INSERT INTO broken VALUES (?, ?, ?) {again}", (oid, reason, tried))

    def finish(self) -> None:
        """Make the searches if there are none yet; forget what was purged, mark what was withdrawn."""
        if self._fresh:
            for statement in SEARCHES:
                self._connection.execute(statement)
        _correct(self._connection)

    def _complete(self, files: dict[int, list[Any]]) -> None:
        """Put the files of these rows in place of the fewer ones that could be read before."""
        for row, uses in files.items():
            if len(uses) > value(self._connection, "SELECT count(*) FROM files WHERE record = :row", row=row):
                self._connection.execute("DELETE FROM files WHERE record = ?", (row,))
                self._insert_files([(row, use) for use in uses])

    def _copy(self, met: list[tuple[str, tuple[Any, ...]]]) -> None:
        """Remember where else records are that have a row."""
        there = "SELECT 1 FROM records WHERE id = ? AND oid = ?"
        self._connection.executemany(
            f"INSERT INTO copies SELECT ?, ?, ?, ?, ? WHERE NOT EXISTS ({there}) ON CONFLICT DO NOTHING",
            [(identifier, *rest[-4:], identifier, rest[-4]) for identifier, rest in met],
        )

    def _insert(self, new: dict[str, list[Any]]) -> None:
        records, uses, corrections, namings = [], [], [], []
        for identifier, (rest, files, corrects, names) in new.items():
            self._next += 1
            row = self._next
            records.append((row, identifier, *rest))
            uses += [(row, use) for use in files]
            corrections += [(*what, identifier) for what in corrects]
            namings += [(*what, identifier) for what in names]
        insert(self._connection, "records", records)
        insert(self._connection, "corrections", corrections)
        insert(self._connection, "namings", namings)
        self._insert_files(uses)

    def _insert_files(self, uses: list[tuple[int, Any]]) -> None:
        for start in range(0, len(uses), FILES_AT_ONCE):
            some = uses[start : start + FILES_AT_ONCE]
            paths = self._paths.rows({use[1] for _, use in some})
            hashes = self._hashes.rows({use[2] for _, use in some if use[2] is not None})
            insert(
                self._connection,
                "files",
                [(n, out, paths[p], hashes[h] if h else None, size, code) for n, (out, p, h, size, code) in some],
            )


def _correct(connection: Connection) -> None:
    """Forget what was purged, mark what was withdrawn: whatever came first, the record or what is said of it."""
    if value(connection, f"SELECT row FROM records WHERE id IN ({BURIED})") is not None:
        forget(connection, BURIED)
    connection.execute(f"UPDATE records SET withdrawn = 1 WHERE withdrawn = 0 AND id IN ({_WITHDRAWN})")


_TOMBSTONES = "FROM corrections WHERE kind = 'tombstone'"
BURIED = f"SELECT DISTINCT target {_TOMBSTONES} AND target NOT IN (SELECT id {_TOMBSTONES})"
"""The question for the ids of what was purged; no tombstone buries another."""
_WITHDRAWN = "SELECT target FROM corrections WHERE kind = 'withdrawal'"


def forget(connection: Connection, identifiers: str) -> None:
    """Delete all rows of the records with the ids that a question gives, what only they used, and what they said."""
    connection.execute(f"DELETE FROM files WHERE record IN (SELECT row FROM records WHERE id IN ({identifiers}))")
    for table in ("records", "copies", "namings", "corrections"):  # the last one may be what is asked
        connection.execute(f"DELETE FROM {table} WHERE id IN ({identifiers})")
    for table, column in (("paths", "path"), ("hashes", "hash")):
        connection.execute(
            f"DELETE FROM {table} WHERE NOT EXISTS (SELECT 1 FROM files f WHERE f.{column} = {table}.row)"
        )
    connection.execute(f"UPDATE records SET withdrawn = 0 WHERE withdrawn = 1 AND id NOT IN ({_WITHDRAWN})")


class _Texts:
    """The rows of texts in ``paths`` or ``hashes``, made where there is none yet."""

    def __init__(self, connection: Connection, table: str, *, fresh: bool) -> None:
        self._connection = connection
        self._table = table
        self._rows: dict[str, int] = {}
        self._complete = fresh
        """True while ``_rows`` holds all there are."""
        self._next = _last_row(connection, table)

    def rows(self, texts: set[str]) -> dict[str, int]:
        """The row of each text (and of others)."""
        if len(self._rows) > _REMEMBERED:
            self._rows, self._complete = {}, False
        missing = sorted(texts.difference(self._rows))
        if not self._complete:
            known = f"SELECT text, row FROM {self._table} WHERE text IN :texts"
            self._rows.update(rows(self._connection, known, {"texts": missing}))
            missing = [text for text in missing if text not in self._rows]
        new = [(self._next + n, text) for n, text in enumerate(missing, 1)]
        self._next += len(new)
        insert(self._connection, self._table, new)
        self._rows.update((text, row) for row, text in new)
        return self._rows


def _last_row(connection: Connection, table: str) -> int:
    return value(connection, f"SELECT max(row) FROM {table}") or 0


def insert(connection: Connection, table: str, rows: Sequence[tuple[Any, ...]]) -> None:
    """Insert rows given in the order of the table's columns."""
    if rows:
        places = ", ".join("?" * len(rows[0]))
        connection.executemany(f"INSERT INTO {table} VALUES ({places})", rows)
