"""The directory of projects, contents, records and packages."""

from __future__ import annotations

from alembic import op

revision = "0001"
down_revision = None

_SPECIAL = {"sqlite": ("TEXT", "INTEGER"), "postgresql": ('TEXT COLLATE "C"', "BIGINT")}


def upgrade() -> None:
    """Make the tables. Texts are ordered by their bytes everywhere."""
    text, number = _SPECIAL[op.get_bind().dialect.name]
    for statement in (
        f"CREATE TABLE projects (row {number} PRIMARY KEY, name {text} NOT NULL UNIQUE,"
        f" records {number} NOT NULL, record {number} NOT NULL, record_id {text} NOT NULL,"
        f" hashes {number} NOT NULL, hash {number} NOT NULL, hash_text {text} NOT NULL)",
        f"CREATE TABLE contents (hash {text} NOT NULL, project {number} NOT NULL, PRIMARY KEY (hash, project))",
        f"CREATE TABLE holdings (id {text} NOT NULL, project {number} NOT NULL, kind {text} NOT NULL,"
        f" reproduces {text}, packages {number}, PRIMARY KEY (id, project))",
        f"CREATE TABLE lists (row {number} PRIMARY KEY, name {text} NOT NULL UNIQUE)",
        f"CREATE TABLE packages (row {number} PRIMARY KEY, name {text} NOT NULL, version {text} NOT NULL,"
        " UNIQUE (name, version))",
        f"CREATE TABLE list_packages (package {number} NOT NULL, list {number} NOT NULL, PRIMARY KEY (package, list))",
        "CREATE INDEX contents_of ON contents (project)",
        "CREATE INDEX holdings_of ON holdings (project)",
        "CREATE INDEX holdings_by_original ON holdings (reproduces)",
        "CREATE INDEX holdings_by_packages ON holdings (packages)",
    ):
        op.execute(statement)


def downgrade() -> None:
    """Drop the tables: they are derived."""
    for table in ("projects", "contents", "holdings", "lists", "packages", "list_packages"):
        op.execute(f"DROP TABLE {table}")
