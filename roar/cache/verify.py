"""Whether the index says what a new one would say."""

from __future__ import annotations

import os
import tempfile

from roar.cache import build
from roar.cache.database import Connection, Database
from roar.cache.index import path_of
from roar.git.repository import Repository

CONTENT = {
    "records": "SELECT id, kind, role, session, code, started_ns, ended_ns, ok, gaps, step, reproduces, withdrawn"
    " FROM records",
    "files": "SELECT r.id, f.output, p.text, h.text, f.size, f.code FROM files f JOIN records r ON r.row = f.record"
    " JOIN paths p ON p.row = f.path LEFT JOIN hashes h ON h.row = f.hash",
    "paths": "SELECT text FROM paths",
    "hashes": "SELECT text FROM hashes",
    "corrections": "SELECT target, kind, id FROM corrections",
    "namings": "SELECT target, kind, key, value, id FROM namings",
    "broken": "SELECT oid, reason FROM broken",
}
"""Everything in each table that is not a matter of which came first."""


def differing(repo: Repository) -> list[str]:
    """The tables in which the index, brought up to date, is not what a new one is; none when there is no index.

    Takes as long as making a new one, and its room in the temporary folder. Raises ``GitError`` or ``OSError``.
    """
    if not os.path.exists(path_of(repo)):
        return []

    def fill(connection: Connection) -> None:
        build.update(connection, repo)

    with tempfile.TemporaryDirectory(prefix="roar-fsck-") as folder:
        present, new = Database(path_of(repo), fill), Database(os.path.join(folder, "index.db"), fill)
        try:
            return [table for table in CONTENT if not _same(present, new, CONTENT[table])]
        finally:
            present.close()
            new.close()


def _same(a: Database, b: Database, question: str) -> bool:
    columns = question.partition(" FROM ")[0].count(",") + 1
    ordered = f"{question} ORDER BY {', '.join(str(n) for n in range(1, columns + 1))}"
    here, there = a.use(lambda c: c.execute(ordered)), b.use(lambda c: c.execute(ordered))
    while (row := here.fetchone()) == there.fetchone():
        if row is None:
            return True
    return False
