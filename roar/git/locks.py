"""An exclusive lock between processes, held while a block runs; the kernel frees it when its holder dies."""

from __future__ import annotations

import contextlib
import os
import sys
import time
from collections.abc import Iterator

from roar.errors import RoarError
from roar.paths import OPEN


@contextlib.contextmanager
def exclusive(path: str, patience_seconds: float = 30.0) -> Iterator[None]:
    """Wait for the lock file at ``path`` (made when missing) and hold it.

    Raises ``OSError`` when it cannot be made, ``RoarError`` when somebody holds it for longer than the patience.
    """
    fd = os.open(path, os.O_RDWR | os.O_CREAT | OPEN, 0o666)
    try:
        _share(fd, path)
        deadline = time.monotonic() + patience_seconds
        while not _taken(fd):
            if time.monotonic() > deadline:
                raise RoarError(f"{path} is held by another process for more than {patience_seconds:.0f} s")
            time.sleep(0.002)
        yield
    finally:
        os.close(fd)


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
