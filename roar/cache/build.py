"""From the journal to rows: what is new since the tips that are already in, in one transaction.

What cannot be read is counted in ``broken`` and stops nothing. Order of arrival and duplicates do not matter.
"""

from __future__ import annotations

import contextlib
import gc
import logging
from collections.abc import Iterator, Sequence
from sqlite3 import Connection
from typing import Any

from roar.cache import extract
from roar.cache.database import rows, transaction, value
from roar.cache.extract import Batch
from roar.errors import GitError
from roar.git import program
from roar.git.repository import Repository
from roar.journal import read

log = logging.getLogger(__name__)

_REMEMBERED = 500_000
"""Paths (and hashes) whose rows are kept in memory while building."""


def update(connection: Connection, repo: Repository) -> None:
    """Bring the rows up to the journal's present tips. Raises ``GitError`` when git cannot be asked."""
    tips = read.tips(repo)
    if tips == _known(connection):
        return
    with transaction(connection), _no_garbage():
        known = _known(connection)
        if known and not _all_reachable(repo, known, tips):
            log.debug("a chain was rewritten or removed: all records are read again")
            known = {}
        if not known:
            _clear(connection)
        filling = Filling(connection, repo, fresh=not known)
        done = {ref: oid for ref, oid in tips.items() if known.get(ref) == oid}
        done |= filling.take_in({ref: oid for ref, oid in tips.items() if ref not in done}, set(known.values()))
        connection.execute("DELETE FROM tips")
        insert(connection, "tips", list(done.items()))


@contextlib.contextmanager
def _no_garbage() -> Iterator[None]:
    """Without the collector of cycles: records have none, and it takes 45 % of the time [10,000 records]."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


def _known(connection: Connection) -> dict[str, str]:
    return dict(connection.execute("SELECT ref, oid FROM tips").fetchall())


def _all_reachable(repo: Repository, known: dict[str, str], tips: dict[str, str]) -> bool:
    """True when every chain that was read is still part of one that is there."""
    old, new = set(known.values()), set(tips.values())
    if old <= new:
        return True
    names = "".join(f"{oid}\n" for oid in sorted(old)) + "".join(f"^{oid}\n" for oid in sorted(new))
    done = program.call([*repo.args(), "rev-list", "--max-count=1", "--stdin"], stdin=names.encode())
    return done.returncode == 0 and not done.stdout


def _clear(connection: Connection) -> None:
    for kind, name in connection.execute("SELECT type, name FROM sqlite_master WHERE sql IS NOT NULL").fetchall():
        connection.execute(f"DROP INDEX {name}" if kind == "index" else f"DELETE FROM {name}")


class Filling:
    """One transaction's worth of new rows."""

    def __init__(self, connection: Connection, repo: Repository, *, fresh: bool) -> None:
        """``fresh``: all tables are empty, and the searches not made yet."""
        self._connection = connection
        self._repo = repo
        self._fresh = fresh
        self._seen: set[str] = set()
        self._next = _last_row(connection, "records")
        self._paths = _Texts(connection, "paths", fresh=fresh)
        self._hashes = _Texts(connection, "hashes", fresh=fresh)

    def take_in(self, tips: dict[str, str], known: set[str]) -> dict[str, str]:
        """Insert every record of these tips that is not in a known one; gives the tips whose records are all in."""
        for oid in tips.values():  # a tip that could not be read last time may be whole now
            self._connection.execute("DELETE FROM broken WHERE oid = ?", (oid,))
        try:
            source = extract.beside if self._fresh else extract.batches
            self._insert_all(source(self._repo, tips.values(), known))
            done = tips
        except GitError as error:
            log.debug("%s: each chain is read by itself", error)
            done = {}
            for ref, oid in tips.items():
                try:
                    self._insert_all(extract.batches(self._repo, [oid], known))
                    done[ref] = oid
                except GitError as why:  # one bad chain must not hide the others
                    self._break(oid, f"{ref}: {why.message}")
        if self._fresh:
            from roar.cache import schema

            for statement in schema.searches():
                self._connection.execute(statement)
        _correct(self._connection)
        return done

    def _insert_all(self, source: Iterator[Batch]) -> None:
        for found, broken in source:
            for oid, reason in broken:
                self._break(oid, reason)
            self._insert({identifier: rest for identifier, *rest in found if identifier not in self._seen})

    def _insert(self, new: dict[str, list[Any]]) -> None:
        if not self._fresh:
            for (identifier,) in rows(self._connection, "SELECT id FROM records WHERE id IN :ids", {"ids": list(new)}):
                del new[identifier]
        self._seen.update(new)
        records, uses, corrections, namings = [], [], [], []
        for identifier, (rest, files, corrects, names) in new.items():
            self._next += 1
            records.append((self._next, identifier, *rest))
            uses += [(self._next, *use) for use in files]
            corrections += [(*what, identifier) for what in corrects]
            namings += [(*what, identifier) for what in names]
        insert(self._connection, "records", records)
        insert(self._connection, "corrections", corrections)
        insert(self._connection, "namings", namings)
        path_rows = self._paths.rows({u[2] for u in uses})
        hash_rows = self._hashes.rows({u[3] for u in uses if u[3] is not None})
        insert(
            self._connection,
            "files",
            [(n, out, path_rows[p], hash_rows[h] if h else None, size, code) for n, out, p, h, size, code in uses],
        )

    def _break(self, oid: str, reason: str) -> None:
        known = "SELECT 1 FROM broken WHERE oid = :oid AND reason = :reason"
        if not value(self._connection, known, oid=oid, reason=reason):
            insert(self._connection, "broken", [(oid, reason)])


def _correct(connection: Connection) -> None:
    """Forget what was purged, mark what was withdrawn: whatever came first, the record or what is said of it."""
    said = "id IN (SELECT target FROM corrections WHERE kind = '{}')"
    purged = f"SELECT row FROM records WHERE {said.format('tombstone')}"
    mark = f"UPDATE records SET withdrawn = 1 WHERE {said.format('withdrawal')}"
    connection.execute(mark)
    if value(connection, purged) is None:
        return
    connection.execute(f"DELETE FROM files WHERE record IN ({purged})")
    for table in ("records", "namings", "corrections"):
        connection.execute(f"DELETE FROM {table} WHERE {said.format('tombstone')}")
    connection.execute("UPDATE records SET withdrawn = 0 WHERE withdrawn = 1")  # by what was purged, perhaps
    connection.execute(mark)
    for table, column in (("paths", "path"), ("hashes", "hash")):
        connection.execute(
            f"DELETE FROM {table} WHERE NOT EXISTS (SELECT 1 FROM files f WHERE f.{column} = {table}.row)"
        )


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
