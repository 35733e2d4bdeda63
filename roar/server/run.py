"""One server process: listens, says where, and ends when it is told to."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import resource
import socket
from collections.abc import Callable
from typing import Any, NamedTuple

import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from roar.errors import RoarError
from roar.glaas import ssh
from roar.server import apart, worker
from roar.server.app import create_app
from roar.server.limits import limits
from roar.server.people import People
from roar.server.storage import Storage

FIRST_PROJECT = "default"


class Place(NamedTuple):
    """Where to listen, how clients reach it (None: as it listens), and the database of the index (None: SQLite).

    ``works``: a worker runs beside the server; else others bring in what is pushed.
    """

    host: str
    port: int
    url: str | None
    database: str | None
    works: bool = True


def begin(people: People, by: str) -> list[str]:
    """Make a data directory without users usable: its first user, by the SSH keys that are at hand, and a project.

    Gives lines that say what was made and what is left to do.
    """
    if people.users():
        return []
    name = re.sub(r"[^a-z0-9_.-]", "-", by.lower()).strip("-_.") or "me"
    keys = [f"{key.line} {key.comment}" for key in ssh.candidates()]
    people.add_user(name, by=by)
    for line in keys:
        with contextlib.suppress(RoarError):
            people.add_key(name, line, by=by)
    people.add_project(FIRST_PROJECT, by=by, visibility="internal", owner=name)
    said = [f"made the user {name} and the project {FIRST_PROJECT}"]
    if not keys:
        said.append(f"you have no SSH key to log in with (next: ssh-keygen -t ed25519, roar serve key add {name} FILE)")
    return said


def run(storage: Storage, place: Place, tell: Callable[[str], None]) -> int:
    """Serve until SIGINT or SIGTERM. ``tell`` is called with the server's URL once it listens.

    Raises ``RoarError`` when the address cannot be had.
    """
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    with contextlib.suppress(ValueError, OSError):  # the usual 1024 are fewer than our connections need
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    listening = _listen(place.host, place.port)
    host, port = listening.getsockname()[:2]
    url = place.url or f"http://{f'[{host}]' if ':' in host else host}:{port}"
    storage.note_url(url, told=place.url is not None)
    storage.settle()
    apart.do(lambda: _see_to_tables(storage, place.database))
    bounds = limits(os.environ)
    config = uvicorn.Config(
        create_app(storage, place.database, url=url.rstrip("/")),
        http=type("Timed", (_Timed,), {"head_seconds": bounds.head_seconds}),
        ws="none",
        lifespan="on",
        log_level="warning",
        access_log=False,
        server_header=False,
        proxy_headers=place.url is not None,  # behind another server, which says whom it speaks for
        limit_concurrency=bounds.connections,
        timeout_graceful_shutdown=20,
    )
    server = _Server(config, lambda: tell(url))
    with worker.kept_running(storage, place.database) if place.works else contextlib.nullcontext():
        server.run(sockets=[listening])
    return 0


def _see_to_tables(storage: Storage, database: str | None) -> None:
    from roar.server import migrate

    if database is None:
        migrate.migrate(storage, None)
    else:
        migrate.check(storage, database)


class _Server(uvicorn.Server):
    def __init__(self, config: uvicorn.Config, ready: Callable[[], None]) -> None:
        super().__init__(config)
        self._ready = ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            self._ready()


class _Timed(H11Protocol):
    """uvicorn's protocol, with a limit to the time until the head of a request is there."""

    head_seconds = 20
    _waiting: asyncio.TimerHandle | None = None

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        self._waiting = self.loop.call_later(self.head_seconds, self._give_up)

    def connection_lost(self, exc: Exception | None) -> None:
        if self._waiting:
            self._waiting.cancel()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        before = self.cycle
        super().data_received(data)
        if self.cycle is not before:  # a head is there
            if self._waiting:
                self._waiting.cancel()
                self._waiting = None
        elif self._waiting is None and before.response_complete:  # another one has begun
            self._waiting = self.loop.call_later(self.head_seconds, self._give_up)

    def _give_up(self) -> None:
        if self.transport is not None and not self.transport.is_closing():
            self.transport.close()


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # with its protocol named, or asyncio does not see that it is TCP, and each answer waits 40 ms for Nagle's algorithm
    found = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        found.bind((host, port))
    except OSError as error:
        found.close()
        raise RoarError(f"cannot listen on {host} port {port}: {error.strerror}", "roar serve --port 0") from error
    found.set_inheritable(False)
    return found
