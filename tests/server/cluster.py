"""A private PostgreSQL: made by initdb, reached by a socket in its own folder, run by a user without rights."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from glob import glob
from itertools import count
from pathlib import Path

import pytest

_NUMBERS = count(1)


def _program(name: str) -> str | None:
    found = sorted(glob(f"/usr/lib/postgresql/*/bin/{name}") + glob(f"/usr/pgsql-*/bin/{name}"))
    return found[-1] if found else shutil.which(name)


class Cluster:
    """A running PostgreSQL that can be stopped and started again."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        # PostgreSQL refuses to run as root
        self._user = next((n for n in ("postgres", "nobody") if _is_user(n)), None) if os.getuid() == 0 else None

    def call(self, program: str, *words: str) -> None:
        found = _program(program)
        assert found is not None
        done = subprocess.run([found, *words], cwd=self.folder, user=self._user, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr

    def make(self) -> None:
        if self._user is not None:
            shutil.chown(self.folder, self._user)
        self.folder.chmod(0o755)
        self.call("initdb", "-D", "data", "-A", "trust", "-U", "roar", "-E", "UTF8", "--no-sync", "--locale=C.UTF-8")

    def start(self) -> None:
        options = f"-k {self.folder} -c listen_addresses= -c fsync=off -c max_connections=200 -c shared_buffers=32MB"
        self.call("pg_ctl", "-D", "data", "-w", "-l", "log", "-o", options, "start")

    def stop(self) -> None:
        self.call("pg_ctl", "-D", "data", "-w", "-m", "immediate", "stop")

    def database(self) -> str:
        """The URL of a new, empty database."""
        name = f"test_{next(_NUMBERS)}"
        self.call("createdb", "-h", str(self.folder), "-U", "roar", name)
        return f"postgresql+psycopg://roar@/{name}?host={self.folder}"


@contextmanager
def cluster() -> Iterator[Cluster]:
    """A running cluster; the test is skipped where PostgreSQL is not installed."""
    if _program("initdb") is None:
        pytest.skip("no PostgreSQL is installed")
    folder = Path(tempfile.mkdtemp(prefix="roar-pg-"))  # not below pytest's folders, which are closed to other users
    made = Cluster(folder)
    try:
        made.make()
        made.start()
        yield made
        made.stop()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _is_user(name: str) -> bool:
    try:
        pwd.getpwnam(name)
    except KeyError:
        return False
    return True
