"""The tables. A row of ``records`` holds keys to search by and where the record itself is found.

Paths and hashes, which repeat, are in tables of their own. A change here, a new record format and a new kind of
record are a new ``database.VERSION``.

SQLAlchemy takes 100 to 200 ms to import, as long as all the rest of a question. So no command imports this module (but
for a server on PostgreSQL): `scripts/make_tables.py` writes what it says into ``tables``.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

from sqlalchemy import BigInteger, Column, Index, Integer, MetaData, Table, Text, create_engine, text
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import OperationalError
from sqlalchemy.schema import CreateIndex, CreateTable

from roar.errors import UnavailableError

metadata = MetaData()

tips = Table(
    "tips",
    metadata,
    Column("ref", Text, primary_key=True),
    Column("oid", Text, nullable=False),
)
"""The chains whose records are all in, with the commit each ended in."""

records = Table(
    "records",
    metadata,
    Column("row", Integer, primary_key=True),
    Column("id", Text, nullable=False, unique=True),
    Column("kind", Text, nullable=False),
    Column("role", Text, nullable=False),  # a job's role, a session's purpose, else ""
    Column("session", Text),
    Column("code", Text),  # the commit that was checked out
    Column("started_ns", Integer),
    Column("ended_ns", Integer),
    Column("ok", Integer),
    Column("gaps", Integer),  # how many things the record says it does not know
    Column("step", Text),
    Column("reproduces", Text),
    Column("command", Text),  # as one types it
    Column("author", Text),  # who ran it
    Column("withdrawn", Integer, nullable=False),
    Column("oid", Text, nullable=False),  # the journal's commit, or its folder, as ``read.Stored.place``
    Column("blob", Text, nullable=False),
    Column("start", Integer, nullable=False),
    Column("length", Integer, nullable=False),
)

copies = Table(
    "copies",
    metadata,
    Column("id", Text, primary_key=True),
    Column("oid", Text, primary_key=True),
    Column("blob", Text, nullable=False),
    Column("start", Integer, nullable=False),
    Column("length", Integer, nullable=False),
    sqlite_with_rowid=False,
)
"""Where else a record is: folded into an archive, on the chain before it was sealed. As in ``records``."""

paths = Table(
    "paths", metadata, Column("row", Integer, primary_key=True), Column("text", Text, nullable=False, unique=True)
)
hashes = Table(
    "hashes", metadata, Column("row", Integer, primary_key=True), Column("text", Text, nullable=False, unique=True)
)

files = Table(
    "files",
    metadata,
    Column("record", Integer, nullable=False),
    Column("output", Integer, nullable=False),
    Column("path", Integer, nullable=False),
    Column("hash", Integer),  # absent: the content is not known
    Column("size", Integer, nullable=False),
    Column("code", Integer, nullable=False),  # kept in git: tracked at the job's commit, or in its overlay
)
"""The inputs and outputs of jobs, those in manifests included."""

corrections = Table(
    "corrections",
    metadata,
    Column("target", Text, nullable=False),  # a record's id, or an artifact's hash
    Column("kind", Text, nullable=False),  # that of the record which corrects: withdrawal, tombstone, close
    Column("id", Text, nullable=False),  # of that record
)
"""What is said of other records and of artifacts."""

namings = Table(
    "namings",
    metadata,
    Column("target", Text, nullable=False),  # a record's id, or an artifact's hash
    Column("kind", Text, nullable=False),  # label, collection
    Column("key", Text, nullable=False),  # the label's key, the collection's name
    Column("value", Text),  # absent: taken away
    Column("id", Text, nullable=False),  # of the record that says so; of several the largest counts
)
"""Labels, and what is in collections."""

broken = Table(
    "broken",
    metadata,
    Column("oid", Text, primary_key=True),
    Column("reason", Text, primary_key=True),
    Column("tried", Integer),  # when it was last read, in seconds since the epoch; absent: it will never be readable
    sqlite_with_rowid=False,
)
"""Journal commits, and tips, that hold no record this version can read."""

SEARCHES = (
    Index("files_of_record", files.c.record, files.c.output, files.c.hash),
    Index("files_by_hash", files.c.hash, files.c.output, files.c.record),
    Index("files_by_path", files.c.path, files.c.output),
    Index("records_by_session", records.c.session),
    Index("records_by_code", records.c.code),
    Index("records_by_original", records.c.reproduces),
    Index("corrections_of", corrections.c.target, corrections.c.kind),
    Index("namings_of", namings.c.target, namings.c.kind, namings.c.key),
    Index("namings_by_key", namings.c.kind, namings.c.key),
)
"""Made after the rows when all of them are new, which is faster."""


def for_postgres() -> list[str]:
    """What makes all of it in PostgreSQL: 64-bit numbers, and texts that are ordered by their bytes, as in SQLite."""
    dialect = postgresql.dialect()  # type: ignore[no-untyped-call]
    copy = MetaData()
    for table in metadata.sorted_tables:
        made = table.to_metadata(copy)
        for column in made.columns:
            is_number = isinstance(column.type, Integer)
            column.type = BigInteger() if is_number else Text(collation="C")
            column.autoincrement = False
    searches = [index for table in copy.sorted_tables for index in sorted(table.indexes, key=lambda i: str(i.name))]
    return [
        *(str(CreateTable(table).compile(dialect=dialect)) for table in copy.sorted_tables),
        *(str(CreateIndex(index).compile(dialect=dialect)) for index in searches),
    ]


def tables() -> list[str]:
    """What makes the tables in SQLite, one statement each."""
    return [str(CreateTable(table).compile(dialect=sqlite.dialect())) for table in metadata.sorted_tables]


def searches() -> list[str]:
    """What makes the indexes in SQLite, one statement each."""
    return [str(CreateIndex(index).compile(dialect=sqlite.dialect())) for index in SEARCHES]


@contextlib.contextmanager
def connected(url: str, schema_name: str | None = None) -> Iterator[Any]:
    """A connection of SQLAlchemy, for migrations; in PostgreSQL to one schema, which is made when it is missing,
    with nobody else migrating it meanwhile. Raises ``UnavailableError``.
    """
    engine = create_engine(url)
    try:
        with engine.begin() as connection:
            if schema_name is not None:
                connection.execute(text("SELECT pg_advisory_xact_lock(hashtext(:name))"), {"name": schema_name})
                connection.execute(text(f'CREATE SCHEMA IF NOT EXISTS "{schema_name}"'))
                connection.execute(text(f'SET search_path TO "{schema_name}"'))
            yield connection
    except OperationalError as error:
        raise UnavailableError(f"the database does not answer: {error.orig}".splitlines()[0]) from error
    finally:
        engine.dispose()
