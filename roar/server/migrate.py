"""Bringing the tables of the directory to the present version, by alembic. The indexes of projects need none of it:
another version of theirs is another file or schema, made anew.
"""

from __future__ import annotations

import contextlib
import os

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory

from roar.cache import schema
from roar.errors import RoarError
from roar.git import locks
from roar.server.directory import SCHEMA
from roar.server.storage import Storage


def migrate(storage: Storage, url: str | None) -> None:
    """Make or change the tables; nothing happens when they are up to date. Safe to call from several servers."""
    alone = contextlib.nullcontext() if url else locks.exclusive(storage.place("directory.db.lock"))
    with alone, schema.connected(_address(storage, url), SCHEMA if url else None) as connection:
        config = _config()
        config.attributes |= {"connection": connection, "schema": SCHEMA if url else None}
        command.upgrade(config, "head")


def check(storage: Storage, url: str | None) -> None:
    """Raises ``RoarError`` when the tables are not those of this version."""
    with schema.connected(_address(storage, url), SCHEMA if url else None) as connection:
        options = {"version_table_schema": SCHEMA} if url else {}
        there = MigrationContext.configure(connection, opts=options).get_current_revision()
    if there is None:
        raise RoarError("the database has no tables yet", "roar serve --migrate, once")
    if there != ScriptDirectory.from_config(_config()).get_current_head():
        raise RoarError("the tables of the database are of another version", "roar serve --migrate, once")


def _address(storage: Storage, url: str | None) -> str:
    return url or f"sqlite:///{storage.place('directory.db')}"


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", os.path.join(os.path.dirname(__file__), "migrations").replace("%", "%%"))
    return config
