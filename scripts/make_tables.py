#!/usr/bin/env python3
"""Write roar/cache/tables.py from roar/cache/schema.py. Run it after any change there."""

from __future__ import annotations

from pathlib import Path

from roar.cache import schema

TARGET = Path(__file__).resolve().parent.parent / "roar" / "cache" / "tables.py"
HEAD = '''"""The statements that make the tables of ``schema``, and the searches over them, without SQLAlchemy.

Made by `scripts/make_tables.py`; not to be edited.
"""

from __future__ import annotations
'''


def text() -> str:
    """The whole module."""
    lines = [HEAD]
    for name, statements in (
        ("TABLES", schema.tables()),
        ("SEARCHES", schema.searches()),
        ("IN_POSTGRES", schema.for_postgres()),
    ):
        lines.append(f"{name} = (")
        for statement in statements:
            words = [line.strip() for line in statement.strip().splitlines()]
            lines += [f'    """{words[0]}', *(f"    {line}" for line in words[1:])]
            lines[-1] += '""",'
        lines.append(")")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    TARGET.write_text(text(), encoding="utf-8")
