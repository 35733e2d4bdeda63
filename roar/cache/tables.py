"""The statements that make the tables of ``schema``, and the searches over them, without SQLAlchemy.

Made by `scripts/make_tables.py`; not to be edited.
"""

from __future__ import annotations

TABLES = (
    """CREATE TABLE broken (
    oid TEXT NOT NULL,
    reason TEXT NOT NULL,
    tried INTEGER,
    PRIMARY KEY (oid, reason)
    )
    WITHOUT ROWID""",
    """CREATE TABLE copies (
    id TEXT NOT NULL,
    oid TEXT NOT NULL,
    blob TEXT NOT NULL,
    start INTEGER NOT NULL,
    length INTEGER NOT NULL,
    PRIMARY KEY (id, oid)
    )
    WITHOUT ROWID""",
    """CREATE TABLE corrections (
    target TEXT NOT NULL,
    kind TEXT NOT NULL,
    id TEXT NOT NULL
    )""",
    """CREATE TABLE files (
    record INTEGER NOT NULL,
    output INTEGER NOT NULL,
    path INTEGER NOT NULL,
    hash INTEGER,
    size INTEGER NOT NULL,
    code INTEGER NOT NULL
    )""",
    """CREATE TABLE hashes (
    "row" INTEGER NOT NULL,
    text TEXT NOT NULL,
    PRIMARY KEY ("row"),
    UNIQUE (text)
    )""",
    """CREATE TABLE namings (
    target TEXT NOT NULL,
    kind TEXT NOT NULL,
    "key" TEXT NOT NULL,
    value TEXT,
    id TEXT NOT NULL
    )""",
    """CREATE TABLE paths (
    "row" INTEGER NOT NULL,
    text TEXT NOT NULL,
    PRIMARY KEY ("row"),
    UNIQUE (text)
    )""",
    """CREATE TABLE records (
    "row" INTEGER NOT NULL,
    id TEXT NOT NULL,
    kind TEXT NOT NULL,
    role TEXT NOT NULL,
    session TEXT,
    code TEXT,
    started_ns INTEGER,
    ended_ns INTEGER,
    ok INTEGER,
    gaps INTEGER,
    step TEXT,
    reproduces TEXT,
    command TEXT,
    author TEXT,
    withdrawn INTEGER NOT NULL,
    oid TEXT NOT NULL,
    blob TEXT NOT NULL,
    start INTEGER NOT NULL,
    length INTEGER NOT NULL,
    PRIMARY KEY ("row"),
    UNIQUE (id)
    )""",
    """CREATE TABLE tips (
    ref TEXT NOT NULL,
    oid TEXT NOT NULL,
    PRIMARY KEY (ref)
    )""",
)
SEARCHES = (
    """CREATE INDEX files_of_record ON files (record, output, hash)""",
    """CREATE INDEX files_by_hash ON files (hash, output, record)""",
    """CREATE INDEX files_by_path ON files (path, output)""",
    """CREATE INDEX records_by_session ON records (session)""",
    """CREATE INDEX records_by_code ON records (code)""",
    """CREATE INDEX records_by_original ON records (reproduces)""",
    """CREATE INDEX corrections_of ON corrections (target, kind)""",
    """CREATE INDEX namings_of ON namings (target, kind, "key")""",
    """CREATE INDEX namings_by_key ON namings (kind, "key")""",
)
IN_POSTGRES = (
    """CREATE TABLE broken (
    oid TEXT COLLATE "C" NOT NULL,
    reason TEXT COLLATE "C" NOT NULL,
    tried BIGINT,
    PRIMARY KEY (oid, reason)
    )""",
    """CREATE TABLE copies (
    id TEXT COLLATE "C" NOT NULL,
    oid TEXT COLLATE "C" NOT NULL,
    blob TEXT COLLATE "C" NOT NULL,
    start BIGINT NOT NULL,
    length BIGINT NOT NULL,
    PRIMARY KEY (id, oid)
    )""",
    """CREATE TABLE corrections (
    target TEXT COLLATE "C" NOT NULL,
    kind TEXT COLLATE "C" NOT NULL,
    id TEXT COLLATE "C" NOT NULL
    )""",
    """CREATE TABLE files (
    record BIGINT NOT NULL,
    output BIGINT NOT NULL,
    path BIGINT NOT NULL,
    hash BIGINT,
    size BIGINT NOT NULL,
    code BIGINT NOT NULL
    )""",
    """CREATE TABLE hashes (
    row BIGINT NOT NULL,
    text TEXT COLLATE "C" NOT NULL,
    PRIMARY KEY (row),
    UNIQUE (text)
    )""",
    """CREATE TABLE namings (
    target TEXT COLLATE "C" NOT NULL,
    kind TEXT COLLATE "C" NOT NULL,
    key TEXT COLLATE "C" NOT NULL,
    value TEXT COLLATE "C",
    id TEXT COLLATE "C" NOT NULL
    )""",
    """CREATE TABLE paths (
    row BIGINT NOT NULL,
    text TEXT COLLATE "C" NOT NULL,
    PRIMARY KEY (row),
    UNIQUE (text)
    )""",
    """CREATE TABLE records (
    row BIGINT NOT NULL,
    id TEXT COLLATE "C" NOT NULL,
    kind TEXT COLLATE "C" NOT NULL,
    role TEXT COLLATE "C" NOT NULL,
    session TEXT COLLATE "C",
    code TEXT COLLATE "C",
    started_ns BIGINT,
    ended_ns BIGINT,
    ok BIGINT,
    gaps BIGINT,
    step TEXT COLLATE "C",
    reproduces TEXT COLLATE "C",
    command TEXT COLLATE "C",
    author TEXT COLLATE "C",
    withdrawn BIGINT NOT NULL,
    oid TEXT COLLATE "C" NOT NULL,
    blob TEXT COLLATE "C" NOT NULL,
    start BIGINT NOT NULL,
    length BIGINT NOT NULL,
    PRIMARY KEY (row),
    UNIQUE (id)
    )""",
    """CREATE TABLE tips (
    ref TEXT COLLATE "C" NOT NULL,
    oid TEXT COLLATE "C" NOT NULL,
    PRIMARY KEY (ref)
    )""",
    """CREATE INDEX corrections_of ON corrections (target, kind)""",
    """CREATE INDEX files_by_hash ON files (hash, output, record)""",
    """CREATE INDEX files_by_path ON files (path, output)""",
    """CREATE INDEX files_of_record ON files (record, output, hash)""",
    """CREATE INDEX namings_by_key ON namings (kind, key)""",
    """CREATE INDEX namings_of ON namings (target, kind, key)""",
    """CREATE INDEX records_by_code ON records (code)""",
    """CREATE INDEX records_by_original ON records (reproduces)""",
    """CREATE INDEX records_by_session ON records (session)""",
)
