"""From the journal to rows: what is new since the tips that are already in, in one transaction.

What cannot be read is counted in ``broken`` and stops nothing. Order of arrival and duplicates do not matter.
"""

from __future__ import annotations

import contextlib
import gc
import logging
from collections.abc import Iterator

from roar.cache import again, extract
from roar.cache.database import Connection, transaction
from roar.cache.filling import Filling, insert
from roar.cache.tables import SEARCHES, TABLES
from roar.errors import GitError
from roar.git import program
from roar.git.repository import Repository
from roar.journal import read
from roar.paths import from_fs

log = logging.getLogger(__name__)


def update(connection: Connection, repo: Repository) -> None:
    """Bring the rows up to the journal's present tips. Raises ``GitError`` when git cannot be asked."""
    tips = {from_fs(ref): oid for ref, oid in read.tips(repo).items()}  # a name of a ref may be no text
    if tips == _known(connection) and not again.due(connection):
        return
    with transaction(connection), _no_garbage():
        known = _known(connection)
        if known and not _all_reachable(repo, known, tips):
            if again.follow(connection, repo, tips, known):
                known = tips
            else:
                log.debug("all records are read again")
                known = {}
        if not known:
            _clear(connection)
        done = {ref: oid for ref, oid in tips.items() if known.get(ref) == oid}
        done |= _take_in(connection, repo, {ref: oid for ref, oid in tips.items() if ref not in done}, known)
        again.read_broken(connection, repo)
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
    for statement in SEARCHES:
        connection.execute(f"DROP INDEX IF EXISTS {_made_by(statement)}")
    for statement in TABLES:
        connection.execute(f"DELETE FROM {_made_by(statement)}")


def _made_by(statement: str) -> str:
    """The name in ``CREATE TABLE name (...)`` and the like."""
    return statement.split()[2]


def _take_in(connection: Connection, repo: Repository, tips: dict[str, str], known: dict[str, str]) -> dict[str, str]:
    """Insert every record of these tips that is not in a known one; gives the tips whose records are all in."""
    filling = Filling(connection, fresh=not known)
    for oid in tips.values():  # a tip that could not be read last time may be whole now
        connection.execute("DELETE FROM broken WHERE oid = ?", (oid,))
    try:
        new, old = tips.values(), set(known.values())
        filling.add(extract.batches(repo, read.since(repo, new, old)) if known else extract.beside(repo, new))
        done = tips
    except GitError as error:
        log.debug("%s: each chain is read by itself", error)
        done = {}
        for ref, oid in tips.items():
            try:
                filling.add(extract.batches(repo, read.since(repo, [oid], old)))
                done[ref] = oid
            except GitError as why:  # one bad chain must not hide the others
                filling.note_broken(oid, f"{ref}: {why.message}", lasting=True)  # its ref is tried each time
    filling.finish()
    return done
