"""What is read a second time: chains that were made anew, and what could not be read at the first time."""

from __future__ import annotations

import logging
import time

from roar.cache import extract
from roar.cache.database import Connection, value
from roar.cache.filling import Filling, forget, insert
from roar.errors import GitError
from roar.git.commits import reached
from roar.git.repository import Repository
from roar.journal import read

log = logging.getLogger(__name__)

PAUSE_SECONDS = 60
"""What could not be read is tried again by the first question after so long: each try may ask a remote."""
_DUE = "tried IS NOT NULL AND (tried <= :now - :pause OR tried > :now)"


def due(connection: Connection) -> bool:
    """True when something that could not be read is to be tried again."""
    asked = f"SELECT 1 FROM broken WHERE {_DUE} LIMIT 1"
    return value(connection, asked, now=int(time.time()), pause=PAUSE_SECONDS) is not None


def read_broken(connection: Connection, repo: Repository) -> None:
    """Try again what is due: one, and when it can be read now, all the others. Needs a transaction."""
    asked = f"SELECT oid FROM broken WHERE {_DUE} GROUP BY oid ORDER BY min(tried), oid"
    found = connection.execute(asked, {"now": int(time.time()), "pause": PAUSE_SECONDS}).fetchall()
    oids = [oid for (oid,) in found]
    if oids and _is_whole(connection, repo, oids[:1]) and oids[1:]:
        _is_whole(connection, repo, oids[1:])
    if oids:
        connection.execute("UPDATE broken SET tried = ? WHERE tried IS NOT NULL", (int(time.time()),))


def _is_whole(connection: Connection, repo: Repository, oids: list[str]) -> bool:
    """Read these commits again; True when that brought all of the first one."""
    connection.executemany("DELETE FROM broken WHERE oid = ?", [(oid,) for oid in oids])
    filling = Filling(connection, fresh=False)
    try:
        filling.add(extract.batches(repo, read.of_commits(repo, oids)), renew=True)
    except GitError as error:
        for oid in oids:
            filling.note_broken(oid, error.message, lasting=False)
    filling.finish()
    return value(connection, "SELECT 1 FROM broken WHERE oid = :oid", oid=oids[0]) is None


def follow(connection: Connection, repo: Repository, tips: dict[str, str], known_tips: dict[str, str]) -> bool:
    """Let the rows follow chains that were rewritten or removed: read the commits that are new, and forget the rest.

    False when that cannot be done, and all records must be read. Needs a transaction.
    """
    try:
        reachable = reached(repo, set(tips.values()))
        for oid in set(tips.values()) - set(known_tips.values()):  # perhaps it could not be walked last time
            connection.execute("DELETE FROM broken WHERE oid = ?", (oid,))
        known = _commits(connection)
        log.debug("%d commits are gone, %d are new", len(known - reachable), len(reachable - known))
        filling = Filling(connection, fresh=False)
        filling.add(extract.batches(repo, read.of_commits(repo, reachable - known)))
    except GitError as error:
        log.debug("the chains cannot be followed: %s", error)
        return False
    if not _forget_commits(connection, known - reachable):
        return False
    filling.finish()
    return True


def _commits(connection: Connection) -> set[str]:
    """The journal's commits that were read."""
    return {place.partition(":")[0] for place in _places(connection)}


def _places(connection: Connection) -> list[str]:
    tables = " UNION ".join(f"SELECT oid FROM {table}" for table in ("records", "copies", "broken"))
    return [place for (place,) in connection.execute(tables).fetchall()]


def _forget_commits(connection: Connection, gone: set[str]) -> bool:
    """Let records that are also elsewhere be there, and forget the others.

    False when a tombstone is among those: nothing tells where what it buried is.
    """
    for table in ("gone", "lost"):
        connection.execute(f"DROP TABLE IF EXISTS {table}")
    connection.execute("CREATE TEMPORARY TABLE gone (oid TEXT PRIMARY KEY)")
    insert(connection, "gone", [(place,) for place in _places(connection) if place.partition(":")[0] in gone])
    connection.execute("DELETE FROM broken WHERE oid IN (SELECT oid FROM gone)")
    connection.execute("DELETE FROM copies WHERE oid IN (SELECT oid FROM gone)")
    lost = "SELECT id FROM records WHERE oid IN (SELECT oid FROM gone)"
    connection.execute(f"CREATE TEMPORARY TABLE lost AS {lost}")
    chosen = "FROM copies WHERE copies.id = records.id ORDER BY oid LIMIT 1"
    connection.execute(
        f"UPDATE records SET (oid, blob, start, length) = (SELECT oid, blob, start, length {chosen})"
        " WHERE id IN (SELECT id FROM lost) AND id IN (SELECT id FROM copies)"
    )
    connection.execute("DELETE FROM lost WHERE id IN (SELECT id FROM copies)")
    connection.execute(
        "DELETE FROM copies WHERE EXISTS (SELECT 1 FROM records r WHERE r.id = copies.id AND r.oid = copies.oid)"
    )
    dropped = "corrections WHERE kind = 'tombstone' AND id IN (SELECT id FROM lost)"
    if value(connection, f"SELECT id FROM {dropped}") is not None:
        return False
    if value(connection, "SELECT id FROM lost") is not None:
        forget(connection, "SELECT id FROM lost")
    return True
