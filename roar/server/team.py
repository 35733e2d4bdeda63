"""The site of a server: the projects of its storage, each seen by whom its settings let."""

from __future__ import annotations

import contextlib
import os
import threading
import time

from fastapi import Request

from roar.cache import database
from roar.cache.database import Connection
from roar.cache.index import Index, path_of
from roar.git.repository import Repository
from roar.records import codec
from roar.server import access
from roar.server.directory import Directory
from roar.server.links import Place
from roar.server.people import People
from roar.server.storage import Storage
from roar.server.union import Directory as AnyDirectory
from roar.server.worker import database_of

MOST_IDLE = 4
"""Indexes of one project that wait for the next request."""
MOST_IDLE_ALL = 64


class Team:
    """The site, and its library: indexes are opened once, used by one request at a time, and kept for the next."""

    local = False
    name = "GLaaS"

    def __init__(self, storage: Storage, people: People, url: str | None, origin: str) -> None:
        """``url`` is the database's (None: SQLite), ``origin`` the server's own."""
        self._storage = storage
        self._people = people
        self._url = url
        self.origin = origin
        self._began = time.time()
        self._lock = threading.Lock()
        self._idle: dict[str, list[tuple[Index, int]]] = {}
        self._files: dict[int, int] = {}
        self._decoder = codec.Decoder()
        self.library = self
        self.directory: AnyDirectory | None = Directory(storage.root, url)

    # As a site

    def visible(self, request: Request) -> list[str]:
        """The projects that whoever asks may read. Raises ``Denied`` for a token that does not count."""
        return access.visible(access.caller(request, self._storage))

    def user(self, request: Request) -> str | None:
        """Who asks."""
        return access.caller(request, self._storage).user

    def place(self, project: str) -> Place:
        """Where git fetches the records of a project."""
        return Place(project, f"{self.origin}/{project}.git")

    def metrics(self) -> dict[str, float]:
        """About the server as a whole."""
        directory = self.directory
        return {
            "roar_projects": len(self._people.projects()),
            "roar_projects_waiting": len(self._storage.queued()),
            "roar_records": directory.count() if isinstance(directory, Directory) else 0,
            "roar_users": len(self._people.users()),
            "process_resident_memory_bytes": _resident(),
            "process_start_time_seconds": self._began,
        }

    # As a library

    def repository(self, project: str) -> Repository:
        """The repository of a project."""
        return self._storage.repo(project)

    def is_signer(self, key: str) -> bool:
        """Whether a key is a user's, or was until it expired, which leaves good what was signed before."""
        user, _ = self._people.state().holders.get(key, (None, None))
        return user is not None and not user.disabled

    def take(self, project: str) -> Index:
        """An index that is read as the worker left it; one that has nothing yet is put on the worker's queue."""
        file = _file_number(path_of(self.repository(project))) if self._url is None else 0
        with self._lock:
            waiting = self._idle.get(project, [])
            while waiting:
                index, number = waiting.pop()
                if number == file:
                    self._files[id(index)] = number
                    return index
                index.close()  # of a file that was deleted, or made anew
        index = self._open(project) if file or self._url is not None else self._empty(project)
        with self._lock:
            self._files[id(index)] = file
        return index

    def give_back(self, project: str, index: Index) -> None:
        """Keep it for the next request, or close it when enough of them wait."""
        with self._lock:
            number = self._files.pop(id(index), 0)
            waiting = self._idle.setdefault(project, [])
            if len(waiting) < MOST_IDLE and sum(map(len, self._idle.values())) < MOST_IDLE_ALL and self._keeps(number):
                waiting.append((index, number))
                return
        index.close()

    def _keeps(self, number: int) -> bool:
        return bool(number) or self._url is not None

    def _open(self, project: str) -> Index:
        def look(connection: Connection) -> None:
            if database.value(connection, "SELECT 1 FROM tips LIMIT 1") is None:
                self._storage.queue(project)

        return Index(self.repository(project), database_of(self._storage, self._url, project, look), self._decoder)

    def _empty(self, project: str) -> Index:
        self._storage.queue(project)
        return Index(self.repository(project), database.Database(None, lambda _: None))

    def close(self) -> None:
        """Let go of everything that waits."""
        with self._lock:
            for waiting in self._idle.values():
                while waiting:
                    waiting.pop()[0].close()
        if isinstance(self.directory, Directory):
            self.directory.close()


def _file_number(path: str) -> int:
    with contextlib.suppress(OSError):
        return os.stat(path).st_ino
    return 0


def _resident() -> float:
    with contextlib.suppress(OSError, ValueError), open("/proc/self/statm", encoding="ascii") as file:
        return float(file.read().split()[1]) * os.sysconf("SC_PAGESIZE")
    return 0.0
