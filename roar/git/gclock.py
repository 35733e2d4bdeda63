"""Keeping ``git gc`` away for the milliseconds of an append, by git's own ``gc.pid`` protocol.

``git gc --prune=now`` deletes objects that no ref reaches yet, and looking first whether a gc runs is not enough
(measured: the chain broke). Holding the file that a gc itself holds is. As in git's builtin/gc.c: ``gc.pid`` says
"pid host"; a dead process of this host, or a file older than twelve hours, holds nothing.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Iterator

from roar.git import locks
from roar.git.repository import Repository
from roar.paths import OPEN, hostname

_TOO_OLD_SECONDS = 12 * 3600


class GcRunningError(Exception):
    """A garbage collection is going on; nothing may be written now."""


@contextlib.contextmanager
def hold(repo: Repository, patience_seconds: float = 0.3) -> Iterator[None]:
    """Hold gc off inside the block. Raises ``GcRunningError`` when one runs for longer than the patience."""
    path = os.path.join(repo.common_dir, "gc.pid")
    deadline = time.monotonic() + patience_seconds
    while not _take(path):
        if time.monotonic() > deadline:
            raise GcRunningError
        time.sleep(0.005)
    try:
        yield
    finally:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(path)


def _take(path: str) -> bool:
    lock = path + ".lock"
    try:
        fd = os.open(lock, os.O_WRONLY | os.O_CREAT | os.O_EXCL | OPEN, 0o644)
    except FileExistsError:
        if locks.is_stale(lock):  # git, too, holds it for microseconds
            with contextlib.suppress(FileNotFoundError):
                os.unlink(lock)
        return False
    try:
        with os.fdopen(fd, "wb") as file:
            free = not _held(path)
            if free:
                file.write(f"{os.getpid()} {hostname()}".encode())
        if free:
            os.replace(lock, path)
        else:
            os.unlink(lock)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(lock)
        raise
    return free


def _held(path: str) -> bool:
    try:
        with open(path, "rb") as file:
            pid, _, host = file.read().decode(errors="replace").strip().partition(" ")
        age = abs(time.time() - os.stat(path).st_mtime)
    except FileNotFoundError:
        return False
    if age > _TOO_OLD_SECONDS or not pid.isdigit():
        return False
    if host != hostname():
        return True
    try:
        os.kill(int(pid), 0)
    except ProcessLookupError:
        return False
    except (PermissionError, OSError):
        return True
    return True
