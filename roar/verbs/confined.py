"""A folder whose files are named by records, which may come from anybody.

Every path is walked component by component and no symbolic link is followed on the way, so that neither ``..`` nor
a link that a commit or a step has put into the folder leads a write, or a removal, out of it. Content is written
under a temporary name and renamed: what was there, be it a link, is replaced and not written through.
"""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Iterator
from stat import S_ISDIR, S_ISLNK, S_ISREG

from roar.errors import RoarError
from roar.hashing import digest_file, digest_link
from roar.paths import OPEN, fs, is_safe_relative
from roar.records.summary import printable

_FOLDER = os.O_RDONLY | OPEN | getattr(os, "O_DIRECTORY", 0) | getattr(os, "O_NOFOLLOW", 0)


class Confined:
    """The files below ``top`` (absolute, without symbolic links). Paths are those of records."""

    def __init__(self, top: str) -> None:
        self.top = top

    def write(self, path: str, data: bytes, mode: int) -> None:
        """Put a file there with these bytes and permissions. Raises ``RoarError`` or ``OSError``."""
        with self._new(path) as temporary, open(temporary, "xb") as file:
            file.write(data)
            os.fchmod(file.fileno(), mode & 0o777 | 0o600)

    def copy(self, path: str, source: str, mode: int, expected: str | None = None) -> None:
        """Put a copy of ``source`` there; its bytes are checked before the name appears.

        Raises ``RoarError`` when they do not have the ``expected`` BLAKE3, ``OSError`` when they cannot be copied.
        """
        with self._new(path) as temporary:
            shutil.copyfile(source, temporary)
            if expected is not None and digest_file(temporary).hash != expected:
                raise RoarError(f"{printable(source)} has changed since it was verified", "run it again")
            os.chmod(temporary, mode & 0o777 | 0o600)

    def open(self, path: str, flags: int) -> int:
        """A descriptor of the file there, which no symbolic link may be. Raises ``RoarError`` or ``OSError``."""
        with self._parent(path, make=True) as (parent, name):
            return os.open(name, flags | OPEN | getattr(os, "O_NOFOLLOW", 0), 0o666, dir_fd=parent)

    def link(self, path: str, target: bytes) -> None:
        """Put a symbolic link there. It is never followed here."""
        with self._new(path) as temporary:
            os.symlink(target, os.fsencode(temporary))

    def folder(self, path: str) -> str:
        """The folder of this path ("" is the top), made when missing; gives its absolute name."""
        if not path:
            return self.top
        with self._parent(path, make=True) as (parent, name):
            with contextlib.suppress(FileExistsError):
                os.mkdir(name, dir_fd=parent)
            os.close(self._enter(parent, name, path))
        return os.path.join(self.top, fs(path))

    def remove(self, path: str) -> None:
        """Remove the file or link there, if there is one. Folders stay."""
        with contextlib.suppress(FileNotFoundError), self._parent(path, make=False) as (parent, name):
            if not S_ISDIR(os.stat(name, dir_fd=parent, follow_symlinks=False).st_mode):
                os.unlink(name, dir_fd=parent)

    def digest(self, path: str) -> str | None:
        """The BLAKE3 of the file there (of its target's bytes for a symbolic link), or None when there is none."""
        try:
            with self._parent(path, make=False) as (parent, name):
                mode = os.stat(name, dir_fd=parent, follow_symlinks=False).st_mode
                where = os.path.join(self.top, fs(path))
                if S_ISLNK(mode):
                    return digest_link(where)
                return digest_file(where).hash if S_ISREG(mode) else None
        except (FileNotFoundError, RoarError):
            return None

    def name(self, path: str) -> str:
        """The absolute name of a path that was checked. Raises ``RoarError`` when it would lead out."""
        if not is_safe_relative(path):
            raise RoarError(f"a record names a path that leaves the work area: {printable(path)!r}")
        return os.path.join(self.top, fs(path))

    @contextlib.contextmanager
    def _new(self, path: str) -> Iterator[str]:
        """A name beside ``path`` to be filled; renamed to it at the end, removed after an error."""
        with self._parent(path, make=True) as (parent, name):
            with contextlib.suppress(FileNotFoundError, OSError):
                os.rmdir(name, dir_fd=parent)  # an empty folder, left where a file is to be
            spare = f".roar-{os.getpid()}-{os.urandom(4).hex()}"
            temporary = os.path.join(os.path.dirname(os.path.join(self.top, fs(path))), spare)
            try:
                yield temporary
                os.replace(spare, name, src_dir_fd=parent, dst_dir_fd=parent)
            except BaseException:
                with contextlib.suppress(FileNotFoundError):
                    os.unlink(temporary)
                raise

    @contextlib.contextmanager
    def _parent(self, path: str, *, make: bool) -> Iterator[tuple[int, str]]:
        """The open folder that holds ``path``, and the path's last name in it. Raises ``FileNotFoundError``."""
        self.name(path)
        *folders, name = fs(path).split("/")
        at = os.open(self.top, _FOLDER)
        try:
            for folder in folders:
                if make:
                    with contextlib.suppress(FileExistsError):
                        os.mkdir(folder, dir_fd=at)
                below = self._enter(at, folder, path)
                os.close(at)
                at = below
            yield at, name
        finally:
            os.close(at)

    def _enter(self, parent: int, name: str, path: str) -> int:
        try:
            return os.open(name, _FOLDER, dir_fd=parent)
        except FileNotFoundError:
            raise
        except OSError as error:  # ELOOP or ENOTDIR: a link, or a file
            raise RoarError(
                f"{printable(path)}: {printable(name)} is no folder in the work area ({error.strerror})"
            ) from error
