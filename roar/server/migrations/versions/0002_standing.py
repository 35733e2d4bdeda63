"""When each record was accepted and which key signed it, as the log of its project says; and packages by project."""

from __future__ import annotations

from alembic import op

revision = "0002"
down_revision = "0001"

_SPECIAL = {"sqlite": ("TEXT", "INTEGER"), "postgresql": ('TEXT COLLATE "C"', "BIGINT")}


def upgrade() -> None:
    """Add the columns; a worker fills them in from the logs, which it has read nothing of."""
    text, number = _SPECIAL[op.get_bind().dialect.name]
    op.execute(f"ALTER TABLE holdings ADD COLUMN accepted {number}")
    op.execute(f"ALTER TABLE holdings ADD COLUMN signed_by {text}")
    op.execute(f"ALTER TABLE projects ADD COLUMN logged {number} NOT NULL DEFAULT 0")
    op.execute("DROP INDEX holdings_by_packages")
    op.execute("CREATE INDEX holdings_by_packages ON holdings (packages, project)")


def downgrade() -> None:
    """Drop the columns: they are derived."""
    op.execute("DROP INDEX holdings_by_packages")
    op.execute("CREATE INDEX holdings_by_packages ON holdings (packages)")
    for table, column in (("holdings", "accepted"), ("holdings", "signed_by"), ("projects", "logged")):
        op.execute(f"ALTER TABLE {table} DROP COLUMN {column}")
