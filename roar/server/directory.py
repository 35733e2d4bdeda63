"""The directory: which project knows which content, has which record, and ran with which packages.

It is derived from the indexes of the projects, as those are from the refs; what it says of a project is brought in by
the worker after each change of the project's index.
"""

from __future__ import annotations

import itertools
import os
import queue
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, TypeVar

from roar.cache import database
from roar.cache.database import Connection, Database, value
from roar.cache.filling import insert
from roar.cache.index import Extent, Index
from roar.errors import UnavailableError
from roar.hashing import digest_bytes
from roar.server.log import Accepted

T = TypeVar("T")

SCHEMA = "glaas"
"""In PostgreSQL."""
_OF = "h JOIN projects p ON p.row = h.project"
AT_ONCE = 5000
"""Rows brought in together."""


_NOTHING = Extent(0, 0, "")
Logged = Callable[[int], Iterator[Accepted]]


class Directory:
    """The directory of a server. Safe for threads: each question takes a connection of its own."""

    def __init__(self, root: str, url: str | None) -> None:
        """``root``: the data directory; ``url``: of PostgreSQL, or None for a file in that directory."""
        self._path = os.path.join(root, "directory.db")
        self._url = url
        self._free: queue.LifoQueue[Database] = queue.LifoQueue()

    def is_gone(self) -> bool:
        """True when the file of the directory was deleted; who keeps it in PostgreSQL makes it anew by command."""
        return self._url is None and not os.path.exists(self._path)

    def close(self) -> None:
        """Let go of all connections that nobody uses."""
        while not self._free.empty():
            self._free.get_nowait().close()

    def use(self, work: Callable[[Connection], T]) -> T:
        """What ``work`` gives on a connection. Raises ``UnavailableError`` when there is none."""
        try:
            taken = self._free.get_nowait()
        except queue.Empty:
            taken = self._new()
        try:
            return taken.use(work)
        finally:
            self._free.put(taken)

    def _new(self) -> Database:
        if self._url is None:
            return _File(self._path)
        from roar.cache.postgres import Postgres

        return Postgres(self._url, SCHEMA, lambda _: None)

    # Asking

    def holders(self, ids: Sequence[str], projects: Sequence[str]) -> dict[str, list[str]]:
        """The projects, of those that may be asked about, that have each record."""
        return self._homes("h.id", "holdings", ids, projects)

    def knowers(self, hashes: Sequence[str], projects: Sequence[str]) -> dict[str, list[str]]:
        """The projects, of those that may be asked about, that know each content."""
        return self._homes("h.hash", "contents", hashes, projects)

    def _homes(self, column: str, table: str, names: Sequence[str], projects: Sequence[str]) -> dict[str, list[str]]:
        order = {project: n for n, project in enumerate(projects)}
        found: dict[str, list[str]] = {}
        asked = f"SELECT {column}, p.name FROM {table} {_OF} WHERE {column} IN :names"
        for name, project in self._rows(asked, names=list(names)):
            if project in order:
                found.setdefault(name, []).append(project)
        return {name: sorted(homes, key=order.__getitem__) for name, homes in found.items()}

    def standings(self, ids: Sequence[str], projects: Sequence[str]) -> list[tuple[str, str, int | None, str | None]]:
        """Of each record in each of the projects that may be asked about: id, project, when it was accepted there
        (None: the log does not say yet), and the fingerprint of the key that signed it.
        """
        asked = f"SELECT h.id, p.name, h.accepted, h.signed_by FROM holdings {_OF} WHERE h.id IN :ids"
        among = set(projects)
        return [(i, project, *rest) for i, project, *rest in self._rows(asked, ids=list(ids)) if project in among]

    def ids_beginning(self, prefix: str, projects: Sequence[str], most: int) -> list[str]:
        """The first ids of jobs and sessions that begin so."""
        asked = (
            f"SELECT DISTINCT h.id FROM holdings {_OF} WHERE h.id >= :from AND h.id < :to"
            " AND h.kind IN ('job', 'session') AND p.name IN :projects ORDER BY h.id LIMIT :most"
        )
        return self._beginning(asked, prefix, projects, most)

    def hashes_beginning(self, prefix: str, projects: Sequence[str], most: int) -> list[str]:
        """The first hashes that begin so."""
        asked = (
            f"SELECT DISTINCT h.hash FROM contents {_OF} WHERE h.hash >= :from AND h.hash < :to"
            " AND p.name IN :projects ORDER BY h.hash LIMIT :most"
        )
        return self._beginning(asked, prefix, projects, most)

    def _beginning(self, asked: str, prefix: str, projects: Sequence[str], most: int) -> list[str]:
        values = {"from": prefix, "to": prefix + "~", "projects": list(projects), "most": most}
        return sorted({name for (name,) in self._rows(asked, **values)})[:most]

    def newest(self, projects: Sequence[str]) -> dict[str, str]:
        """The newest job of each project that has any."""
        job = "SELECT max(h.id) FROM holdings h WHERE h.project = p.row AND h.kind = 'job'"
        asked = f"SELECT p.name, ({job}) FROM projects p WHERE p.name IN :projects"
        return {project: job for project, job in self._rows(asked, projects=list(projects)) if job is not None}

    def repeating(self, jobs: Sequence[str], projects: Sequence[str]) -> list[str]:
        """The projects with jobs that run one of these again."""
        asked = f"SELECT DISTINCT p.name FROM holdings {_OF} WHERE h.reproduces IN :jobs"
        found = {name for (name,) in self._rows(asked, jobs=list(jobs))}
        return [project for project in projects if project in found]

    def with_package(self, name: str, version: str | None, projects: Sequence[str]) -> set[str]:
        """The jobs that read a file of a package, of one version or any."""
        exact = "" if version is None else " AND k.version = :version"
        # by list and project, so that what it takes does not tell how many jobs elsewhere read the package
        asked = (
            "SELECT h.id FROM packages k JOIN list_packages l ON l.package = k.row CROSS JOIN projects p"
            f" JOIN holdings h ON h.packages = l.list AND h.project = p.row WHERE k.name = :name{exact}"
            " AND p.name IN :projects"
        )
        return {job for (job,) in self._rows(asked, name=name, version=version, projects=list(projects))}

    def count(self) -> int:
        """How many records all projects have together."""
        return int(self._rows("SELECT coalesce(sum(records), 0) FROM projects")[0][0])

    def _rows(self, statement: str, **values: Any) -> list[Any]:
        return self.use(lambda connection: database.rows(connection, statement, values))

    # Bringing in

    def forget(self, projects: Iterable[str]) -> None:
        """Know nothing any more of all projects but these."""
        kept = set(projects)

        def work(connection: Connection) -> None:
            with database.transaction(connection):
                for row, name in connection.execute("SELECT row, name FROM projects").fetchall():
                    if name not in kept:
                        _clear(connection, row)
                        connection.execute("DELETE FROM projects WHERE row = ?", (row,))

        self.use(work)

    def bring_in(self, project: str, index: Index, logged: Logged) -> None:
        """Learn what the index of a project has that is not here yet; all anew when it lost something.

        ``logged``: what the project's log, as it was before its index was brought up to date, notes from an entry on.
        """

        def work(connection: Connection) -> None:
            with database.transaction(connection):
                _bring_in(connection, project, index, logged)

        self.use(work)


def _bring_in(connection: Connection, project: str, index: Index, logged: Logged) -> None:
    row, records, hashes, noted = _known(connection, project)
    now = index.extent("records", records), index.extent("hashes", hashes)
    if None in now:
        _clear(connection, row)
        records, hashes, noted = _NOTHING, _NOTHING, 0
        now = index.extent("records"), index.extent("hashes")
    assert now[0] is not None and now[1] is not None
    for some in index.after("hashes", hashes.last, AT_ONCE):
        insert(connection, "contents", [(content, row) for _, content in some])
    lists = _Lists(connection)
    for some in index.after("records", records.last, AT_ONCE):
        known = lists.rows(index.packages_read(identifier for _, identifier, kind, _ in some if kind == "job"))
        insert(
            connection,
            "holdings",
            [(i, row, kind, original, known.get(i), None, None) for _, i, kind, original in some],
        )
    notes = logged(noted)
    while some := list(itertools.islice(notes, AT_ONCE)):
        update = "UPDATE holdings SET accepted = ?, signed_by = ? WHERE id = ? AND project = ?"
        connection.executemany(update, [(it.at_ns, it.key or None, it.id, row) for it in some])
        noted += len(some)
    connection.execute(
        "UPDATE projects SET records = ?, record = ?, record_id = ?, hashes = ?, hash = ?, hash_text = ?, logged = ?"
        " WHERE row = ?",
        (*now[0], *now[1], noted, row),
    )


def _known(connection: Connection, project: str) -> tuple[int, Extent, Extent, int]:
    """The row of a project, how much of the two tables of its index was brought in, and how much of its log."""
    columns = "row, records, record, record_id, hashes, hash, hash_text, logged"
    asked = f"SELECT {columns} FROM projects WHERE name = :name"
    found = connection.execute(asked, {"name": project}).fetchone()
    if found is None:
        row = (value(connection, "SELECT max(row) FROM projects") or 0) + 1
        insert(connection, "projects", [(row, project, *_NOTHING, *_NOTHING, 0)])
        return row, _NOTHING, _NOTHING, 0
    return found[0], Extent(*found[1:4]), Extent(*found[4:7]), found[7]


def _clear(connection: Connection, project: int) -> None:
    for table in ("contents", "holdings"):
        connection.execute(f"DELETE FROM {table} WHERE project = ?", (project,))


class _Lists:
    """The lists of packages that jobs read files of. Few differ, so each is kept once."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._rows: dict[str, int] = {}

    def rows(self, read: Mapping[str, list[tuple[str, str]]]) -> dict[str, int]:
        """The row of the list of each job that read any, made where there is none."""
        names = {i: digest_bytes(repr(packages).encode()) for i, packages in read.items() if packages}
        self._look_up({name: read[i] for i, name in names.items() if name not in self._rows})
        return {i: self._rows[name] for i, name in names.items()}

    def _look_up(self, lists: dict[str, list[tuple[str, str]]]) -> None:
        asked = "SELECT name, row FROM lists WHERE name IN :names"
        self._rows.update(database.rows(self._connection, asked, {"names": list(lists)}))
        new = {name: packages for name, packages in lists.items() if name not in self._rows}
        last = value(self._connection, "SELECT max(row) FROM lists") or 0
        made = {name: last + n for n, name in enumerate(new, 1)}
        insert(self._connection, "lists", [(row, name) for name, row in made.items()])
        for name, packages in new.items():
            insert(self._connection, "list_packages", [(self._package(*package), made[name]) for package in packages])
        self._rows.update(made)

    def _package(self, name: str, version: str) -> int:
        asked = "SELECT row FROM packages WHERE name = :name AND version = :version"
        row = value(self._connection, asked, name=name, version=version)
        if row is None:
            row = (value(self._connection, "SELECT max(row) FROM packages") or 0) + 1
            insert(self._connection, "packages", [(row, name, version)])
        return int(row)


class _File(Database):
    """An SQLite file that alembic made. Another one may take its place at any time."""

    def __init__(self, path: str) -> None:
        super().__init__(None, lambda _: None)
        self._file = path
        self._inode: tuple[int, int] | None = None

    def use(self, work: Callable[[Connection], T]) -> T:
        """What ``work`` gives. Raises ``UnavailableError`` while there is no such file, or none that can be used."""
        try:
            there = os.stat(self._file)
            if self._inode != (there.st_dev, there.st_ino):
                self.close()
            if self._connection is None:
                self._connection = database.open_file(self._file, made=False)
                self._connection.execute("PRAGMA journal_mode=WAL")
                self._connection.execute("PRAGMA synchronous=NORMAL")
                self._inode = there.st_dev, there.st_ino
            return work(self._connection)
        except FileNotFoundError as error:
            self.close()
            raise UnavailableError("the directory of the index is being made again", "try again") from error
        except database.Failure as error:
            self.close()
            raise UnavailableError(
                f"the directory of the index cannot be used: {error}", "roar serve --reindex"
            ) from error
