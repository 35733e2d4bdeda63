"""The newest job of a project is found without looking at the others."""

from __future__ import annotations

from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Let the index by project go by kind and id, too."""
    op.execute("DROP INDEX holdings_of")
    op.execute("CREATE INDEX holdings_of ON holdings (project, kind, id)")


def downgrade() -> None:
    """As it was."""
    op.execute("DROP INDEX holdings_of")
    op.execute("CREATE INDEX holdings_of ON holdings (project)")
