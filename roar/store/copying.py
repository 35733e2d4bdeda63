"""Copying bytes while they are hashed, and what a place that holds bytes can do."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import AbstractContextManager
from stat import S_ISREG
from typing import Protocol

from roar.errors import RoarError
from roar.hashing import Hasher
from roar.paths import OPEN

PIECE = 4 << 20
"""Bytes that are copied at once."""

Tell = Callable[[int], None]
"""Called with the number of bytes that were just copied. It may raise, which ends the copy."""


class StoreError(RoarError):
    """The store cannot be reached, or refuses."""


class DamagedError(RoarError):
    """Bytes do not have the hash that they lie under."""


Read = Callable[[int], bytes]
"""Gives at most so many bytes; none at the end."""


class Origin(Protocol):
    """Where bytes can be had by hash: a store, or an address that is said to hold them."""

    name: str
    """For people, without credentials."""
    keeps: bool
    """True for a store, whose objects have the hash that they lie under or are damaged."""

    def place(self, content: str) -> str:
        """Where these bytes lie there, for people."""

    def open(self, content: str, at: int) -> AbstractContextManager[Read]:
        """The bytes from this offset on. Raises ``FileNotFoundError``, ``StoreError`` or ``OSError``."""


class Store(Origin, Protocol):
    """A place that keeps bytes by hash."""

    def has(self, content: str, size: int | None) -> bool:
        """True when an object of this size is there, of any size when it is None. Raises ``StoreError``."""

    def put(self, content: str, path: str, tell: Tell) -> None:
        """Keep the file at ``path``, which must have this hash. Raises ``RoarError`` or ``OSError``."""


def object_path(content: str) -> str:
    """Where an object lies in a store."""
    return f"b3/{content[:2]}/{content[2:]}"


def spare_path(content: str) -> str:
    """Where an object lies until it is whole: a name that nobody else takes."""
    return f"tmp/{content}.{os.urandom(8).hex()}"


def send(path: str, content: str, sink: Callable[[bytes], object], tell: Tell) -> None:
    """Give a regular file's bytes to ``sink``. Raises ``RoarError`` when they do not have this hash in the end."""
    fd = os.open(path, os.O_RDONLY | OPEN | getattr(os, "O_NONBLOCK", 0))
    with open(fd, "rb", buffering=0) as file:
        if not S_ISREG(os.fstat(fd).st_mode):
            raise RoarError(f"{path} is not a regular file")
        left = os.fstat(fd).st_size + 1  # a log that grows as fast as it is read would have no end

        def read(size: int) -> bytes:
            nonlocal left
            piece = file.read(min(size, left))
            left -= len(piece)
            return piece

        found = receive(read, sink, Hasher(), tell)
    if found != content:
        raise RoarError(f"{path} has changed while it was stored", "run it again")


def receive(read: Read, sink: Callable[[bytes], object], hasher: Hasher, tell: Tell) -> str:
    """Copy what there is to read to ``sink``; the hash of it after what ``hasher`` has taken already."""
    while piece := read(PIECE):
        hasher.update(piece)
        sink(piece)
        tell(len(piece))
    return hasher.hash
