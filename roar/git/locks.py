"""Locks between processes: one that the kernel frees when its holder dies, and git's kind, which is a file."""

from __future__ import annotations

import contextlib
import os
import sys
import time
from collections.abc import Iterator

from roar.errors import RoarError
from roar.paths import OPEN

STALE_SECONDS = 5.0
"""A lock file of ours that is older was left by a killed process: what is done under one takes a millisecond."""
_LONGEST_NAP_SECONDS = 0.03


class HeldError(RoarError):
    """Another process has the lock, and for longer than one is willing to wait."""


@contextlib.contextmanager
def exclusive(path: str, patience_seconds: float = 30.0) -> Iterator[None]:
    """Wait for the lock file at ``path`` (made when missing) and hold it.

    Raises ``OSError`` when it cannot be made, ``HeldError`` when others hold it for longer than the patience.
    """
    fd = os.open(path, os.O_RDWR | os.O_CREAT | OPEN, 0o666)
    try:
        _share(fd, path)
        deadline, nap = time.monotonic() + patience_seconds, 0.001
        while not _taken(fd):
            if time.monotonic() > deadline:
                raise HeldError(f"{path} is held by another process for more than {patience_seconds:.0f} s")
            time.sleep(nap * (0.5 + os.urandom(1)[0] / 256))  # hundreds that wait must not ask all at once
            nap = min(nap * 1.5, _LONGEST_NAP_SECONDS)
        yield
    finally:
        os.close(fd)


def is_stale(lock: str) -> bool:
    """True for a lock file of ours that nobody alive holds. One from the future is from before the clock was set back.

    To be asked only of locks that are held for moments.
    """
    try:
        return abs(time.time() - os.stat(lock).st_mtime) > STALE_SECONDS
    except FileNotFoundError:
        return False


def _taken(fd: int) -> bool:
    try:
        if sys.platform == "win32":
            import msvcrt

            msvcrt.locking(fd, msvcrt.LK_NBLCK, 1)
        else:
            import fcntl

            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (BlockingIOError, PermissionError):
        return False
    return True


def _share(fd: int, path: str) -> None:
    """Let those write the lock who may write its folder (core.sharedRepository), when it is ours to say so."""
    if sys.platform != "win32" and os.fstat(fd).st_uid == os.geteuid():
        os.fchmod(fd, os.stat(os.path.dirname(path)).st_mode & 0o666)
