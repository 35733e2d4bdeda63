"""A store in a folder. Needs nothing but the file system, so it may lie on a share of any kind."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Iterator

from roar.paths import OPEN
from roar.store.copying import Read, StoreError, Tell, object_path, send, spare_path

_ABANDONED_SECONDS = 7 * 86_400.0
"""What a killed ``put`` has left is removed when it is so old."""


class Folder:
    """The store below ``top`` (an absolute path). The folder is made by the first ``put``."""

    keeps = True

    def __init__(self, top: str) -> None:
        self.name = top
        self._swept = False

    def place(self, content: str) -> str:
        """The absolute path of an object."""
        return os.path.join(self.name, object_path(content))

    def has(self, content: str, size: int | None) -> bool:
        """True when an object of this size is there, of any size when it is None."""
        try:
            found = os.stat(self.place(content)).st_size
        except (FileNotFoundError, NotADirectoryError):
            return False
        except OSError as error:
            raise StoreError(f"the store {self.name} cannot be read: {error.strerror}") from error
        return size in (None, found)

    @contextlib.contextmanager
    def open(self, content: str, at: int) -> Iterator[Read]:
        """The bytes of an object from this offset on. Raises ``FileNotFoundError``, or what open raises."""
        with open(self.place(content), "rb", buffering=0) as file:
            file.seek(at)
            yield file.read

    def put(self, content: str, path: str, tell: Tell) -> None:
        """Keep the file at ``path``, which must have this hash. Raises ``RoarError`` or ``OSError``.

        It is written under another name and renamed when it is whole and on the disk.
        """
        spare = os.path.join(self.name, spare_path(content))
        final = self.place(content)
        for name in (spare, final):
            os.makedirs(os.path.dirname(name), exist_ok=True)
        self._sweep(os.path.dirname(spare))
        fd = os.open(spare, os.O_WRONLY | os.O_CREAT | os.O_EXCL | OPEN, 0o666)
        try:
            with open(fd, "wb", buffering=0) as file:
                send(path, content, file.write, tell)
                os.fsync(fd)
            os.replace(spare, final)
        except BaseException:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(spare)
            raise

    def _sweep(self, folder: str) -> None:
        """Remove, once, what killed processes left long ago."""
        if self._swept:
            return
        self._swept = True
        for entry in os.scandir(folder):
            with contextlib.suppress(OSError):
                if time.time() - entry.stat(follow_symlinks=False).st_mtime > _ABANDONED_SECONDS:
                    os.unlink(entry.path)
