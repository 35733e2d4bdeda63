"""The worker: brings what was pushed into the indexes and the directory. A process of its own, so that answers do not
wait for it; any number of them may work at once, on one data directory and one database.

A project is taken off the queue before it is looked at, so nothing that comes in meanwhile is missed; and whoever
starts looks at all of them, so nothing that a killed worker had taken off is missed either.
"""

from __future__ import annotations

import contextlib
import functools
import logging
import os
import select
import subprocess
import sys
import threading
import time
from collections.abc import Iterator

from roar.cache import build, database
from roar.cache.database import Connection, Database
from roar.cache.index import Index, path_of
from roar.cache.tables import IN_POSTGRES
from roar.errors import RoarError
from roar.server import apart, log
from roar.server.directory import Directory, Logged
from roar.server.storage import Storage

logger = logging.getLogger(__name__)

DATABASE = "ROAR_SERVE_DATABASE"
"""The variable that names the database to a worker: its URL may hold a password, which no list of processes shows."""
POLL_SECONDS = 0.2
_LONGEST_PAUSE = 30.0
"""Seconds until a project that could not be brought in is tried again; it begins with less."""


def index_to_fill(storage: Storage, url: str | None, project: str) -> Index:
    """The index of a project, brought up to date when it is first asked."""
    repo = storage.repo(project)

    def fill(connection: Connection) -> None:
        build.update(connection, repo)

    return Index(repo, database_of(storage, url, project, fill))


def database_of(storage: Storage, url: str | None, project: str, fill: database.Fill) -> Database:
    """The database of the index of a project."""
    if url is None:
        return Database(path_of(storage.repo(project)), fill)
    from roar.cache.postgres import Postgres, schema_of

    return Postgres(url, schema_of(project), fill, IN_POSTGRES)


class Worker:
    """What a worker knows: where the projects are, and which are to be tried again."""

    def __init__(self, storage: Storage, url: str | None) -> None:
        self._storage = storage
        self._url = url
        self._directory = Directory(storage.root, url)
        self._again: dict[str, tuple[float, float]] = {}
        """Of projects that could not be brought in: when to try again, and how long that pause is."""

    def run_once(self) -> int:
        """Bring in what is queued; gives how many projects that was."""
        if self._directory.is_gone():
            self._make_directory()
        done = 0
        now = time.monotonic()
        waiting = {project for project, (at, _) in self._again.items() if at > now}
        due = set(self._again) - waiting
        for project in sorted({*self._storage.queued(), *due} - waiting):
            self._storage.unqueue(project)
            done += self._bring_in(project)
        return done

    def _make_directory(self) -> None:
        """Make the directory's tables again, and queue all projects, of which it knows nothing."""

        def make() -> None:
            from roar.server import migrate  # in the other process, which ends

            migrate.migrate(self._storage, None)

        apart.do(make)
        for project in self._storage.projects():
            self._storage.queue(project)

    def _bring_in(self, project: str) -> bool:
        if not self._storage.exists(project):
            self._again.pop(project, None)
            return False
        try:
            logged = self._logged(project)  # first: what it has is in the refs, and so in the index after this
            with index_to_fill(self._storage, self._url, project) as index:
                self._directory.bring_in(project, index, logged)
        except (RoarError, OSError, database.Failure) as error:
            pause = min(2 * self._again.get(project, (0, 0.25))[1], _LONGEST_PAUSE)
            self._again[project] = (time.monotonic() + pause, pause)
            logger.warning("%s is not indexed yet: %s", project, error)
            return False
        self._again.pop(project, None)
        return True

    def _logged(self, project: str) -> Logged:
        """What the project's log notes now. A damaged log keeps no record from being found."""

        def none(start: int, why: Exception) -> Iterator[log.Accepted]:
            logger.warning("%s is indexed without its log from entry %d on: %s", project, start, why)
            return iter(())

        try:
            found = log.extend(self._storage.repo(project), self._storage.root)
        except (RoarError, OSError) as error:
            return functools.partial(none, why=error)

        def notes(start: int) -> Iterator[log.Accepted]:
            try:
                yield from found.accepted(start, max(start, found.checkpoint.size))
            except OSError as error:
                yield from none(start, error)

        return notes

    def close(self) -> None:
        """Let go of the database."""
        self._directory.close()


def run_once(storage: Storage, url: str | None) -> int:
    """Bring in what is queued; gives how many projects that was."""
    worker = Worker(storage, url)
    try:
        return worker.run_once()
    finally:
        worker.close()


def reindex(storage: Storage, url: str | None) -> None:
    """Make all indexes and the directory anew from the refs. Raises ``RoarError``."""
    from roar.server import migrate

    if url is None:
        database.delete(storage.place("directory.db"))  # however damaged it is
    migrate.migrate(storage, url)
    directory = Directory(storage.root, url)
    directory.forget([])
    directory.close()
    for project in storage.projects():
        if url is None:
            database.delete(path_of(storage.repo(project)))
        else:
            from roar.cache.postgres import drop, schema_of

            drop(url, schema_of(project))
        storage.queue(project)
    run_once(storage, url)


@contextlib.contextmanager
def kept_running(storage: Storage, url: str | None) -> Iterator[None]:
    """A worker beside this process, started again when it ends; it ends with the block, and when this process does."""
    stop = threading.Event()
    thread = threading.Thread(target=_keep, args=(storage, url, stop), name="worker", daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join(30)


def _keep(storage: Storage, url: str | None, stop: threading.Event) -> None:
    env = {**os.environ, DATABASE: url or ""}
    while not stop.is_set():
        began = time.monotonic()
        words = [sys.executable, "-m", "roar.server.worker", storage.root]
        with subprocess.Popen(words, stdin=subprocess.PIPE, env=env) as process:
            while process.poll() is None and not stop.wait(POLL_SECONDS):
                pass
            # leaving the block closes the pipe, which ends the worker, and waits for it
        stop.wait(max(0.0, 1 - (time.monotonic() - began)))  # one that ends at once is not started in haste


def main() -> None:
    """Work until standard input is closed."""
    logging.basicConfig(level=logging.WARNING, format="roar worker: %(message)s")
    storage, url = Storage(sys.argv[1]), os.environ.get(DATABASE) or None
    for project in storage.projects():
        storage.queue(project)
    worker = Worker(storage, url)
    while not select.select([sys.stdin], [], [], POLL_SECONDS)[0]:
        worker.run_once()
    worker.close()


if __name__ == "__main__":
    main()
