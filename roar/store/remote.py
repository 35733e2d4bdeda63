"""A store, or a single address, that fsspec reaches: S3, Google, Azure, SSH, HTTP, the Hugging Face hub.

Credentials are the library's own matter (``AWS_*``, ``~/.aws``, ``gcloud``, an SSH agent): none is asked for or kept.
"""

from __future__ import annotations

import contextlib
import os
import re
import threading
from collections.abc import Iterator
from typing import Any

from roar.errors import RoarError, UsageError
from roar.redact import redact_url
from roar.store.copying import PIECE, Read, StoreError, Tell, object_path, send, spare_path

LIBRARIES = {
    "s3": "s3fs",
    "gs": "gcsfs",
    "gcs": "gcsfs",
    "az": "adlfs",
    "abfs": "adlfs",
    "abfss": "adlfs",
    "ssh": "sshfs",
    "sftp": "sshfs",
    "http": "aiohttp requests",
    "https": "aiohttp requests",
    "hf": "huggingface_hub",
}
"""What reaches each kind of address beside fsspec. No other kind is taken, and no chain of them (``a::b``)."""
_READ_ONLY = ("http", "https", "hf")
_RENAMED = ("ssh", "sftp")
"""Where a file is there as soon as its first byte is; at the others an object appears when it is complete."""
_LEAST_BLOCK = 16 << 20
_SFTP_BLOCK = 32 << 10
"""What every server takes at once (draft-ietf-secsh-filexfer-02, section 3); OpenSSH ends a connection at 256 KiB."""
_MOST_BLOCKS = 9_000
"""S3 takes 10,000 parts of at least 5 MiB (docs.aws.amazon.com/AmazonS3/latest/userguide/qfacts.html)."""


def scheme(text: str) -> str:
    """The kind of an address, in lower case; "" for a path."""
    found = re.match(r"([A-Za-z][A-Za-z0-9+.-]*)(://|::)", text)
    return found[1].lower() if found else ""


class Address:
    """Bytes at one address, whatever their hash is."""

    keeps = False

    def __init__(self, url: str) -> None:
        """Nothing is connected to yet. Raises ``UsageError`` for an address of no known kind."""
        self.scheme = scheme(url)
        self.name = redact_url(url)
        if self.scheme not in LIBRARIES or "::" in url:
            raise UsageError(f"{self.name} is no address that roar takes", f"one of {', '.join(LIBRARIES)}, as s3://")
        self._url = url
        self._opened: tuple[Any, str] | None = None
        self._lock = threading.Lock()

    def place(self, content: str) -> str:
        """The address itself."""
        del content
        return self.name

    @contextlib.contextmanager
    def open(self, content: str, at: int) -> Iterator[Read]:
        """The bytes from this offset on. Raises ``FileNotFoundError`` or ``StoreError``."""
        fs, path = self._connected()

        def read(size: int) -> bytes:
            with self._saying():
                piece: bytes = file.read(size)
                return piece

        with self._saying():
            file = self._opened_at(fs, self._path(path, content), at)
        with file:
            yield read

    def _opened_at(self, fs: Any, path: str, at: int) -> Any:
        """An open file of which ``at`` bytes have been passed over, which not every web server can do by itself."""
        web = self.scheme in ("http", "https")
        if at or not web:
            file = fs.open(path, "rb")
            try:
                file.seek(at)
                if web:
                    file.read(1)  # only now it is asked
                    file.seek(at)
            except ValueError:
                file.close()
            else:
                return file
        file = fs.open(path, "rb", block_size=0)  # as a stream
        while at and (passed := file.read(min(at, PIECE))):
            at -= len(passed)
        return file

    def _path(self, top: str, content: str) -> str:
        del content
        return top

    def _connected(self) -> tuple[Any, str]:
        """The file system and the path in it. Raises ``StoreError``."""
        with self._lock:
            if self._opened is None:
                self._opened = self._connect()
            return self._opened

    def _connect(self) -> tuple[Any, str]:
        library, url = LIBRARIES[self.scheme], self._url
        more: dict[str, Any] = {}
        try:
            import fsspec

            if library == "sshfs":
                import sshfs  # noqa: F401

                url = "ssh" + url[len(self.scheme) :]
                more["known_hosts"] = ()  # asyncssh's word for the user's file; sshfs alone would take any host key
            with self._saying():
                found: tuple[Any, str] = fsspec.core.url_to_fs(url, **more)
                return found
        except ImportError as error:
            raise StoreError(f"{self.name} needs Python packages", f"pip install fsspec {library}") from error

    @contextlib.contextmanager
    def _saying(self, *, writing: bool = False) -> Iterator[None]:
        """Turn whatever a back end raises into one line that names the place; each has errors of its own.

        What is not there to be read stays a ``FileNotFoundError``.
        """
        try:
            yield
        except (RoarError, ImportError):
            raise
        except Exception as error:
            if isinstance(error, FileNotFoundError) and not writing:
                raise
            lines = str(error).strip().splitlines() or [type(error).__name__]
            raise StoreError(f"{self.name}: {redact_url(lines[-1])[:300]}") from error


class Remote(Address):
    """The store below an address."""

    keeps = True

    def __init__(self, url: str, *, write: bool = False) -> None:
        """Raises ``UsageError`` for an address of no known kind, or that cannot be written to although it is to be."""
        super().__init__(url.rstrip("/"))
        if write and self.scheme in _READ_ONLY:
            raise UsageError(f"{self.name} can only be read from", "roar put X --store s3://BUCKET/PREFIX")

    def place(self, content: str) -> str:
        """The address of an object."""
        return f"{self.name}/{object_path(content)}"

    def has(self, content: str, size: int | None) -> bool:
        """True when an object of this size is there, of any size when it is None. Raises ``StoreError``."""
        fs, top = self._connected()
        try:
            with self._saying():
                found = fs.info(self._path(top, content)).get("size")
        except FileNotFoundError:
            return False
        return size is None or found is None or found == size

    def _path(self, top: str, content: str) -> str:
        return f"{top}/{object_path(content)}"

    def put(self, content: str, path: str, tell: Tell) -> None:
        """Keep the file at ``path``, which must have this hash. Raises ``RoarError`` or ``OSError``.

        An upload that is not completed leaves nothing under the object's name.
        """
        fs, top = self._connected()
        final = self._path(top, content)
        spare = f"{top}/{spare_path(content)}" if self.scheme in _RENAMED else final
        block = max(_LEAST_BLOCK, os.stat(path).st_size // _MOST_BLOCKS) if spare == final else _SFTP_BLOCK
        with self._saying(writing=True):
            if spare != final:
                for name in (spare, final):
                    fs.makedirs(name.rpartition("/")[0], exist_ok=True)
            file = fs.open(spare, "wb", block_size=block)
        try:
            send(path, content, self._sink(file), tell)
            with self._saying(writing=True):
                file.close()
                if spare != final:
                    fs.mv(spare, final)
        except BaseException:
            self._drop(fs, file, spare if spare != final else None)
            raise

    def _sink(self, file: Any) -> Any:
        def write(piece: bytes) -> None:
            with self._saying(writing=True):
                file.write(piece)

        return write

    def _drop(self, fs: Any, file: Any, spare: str | None) -> None:
        """Give an upload up. Closing it would complete it."""
        with contextlib.suppress(Exception):
            file.discard() if spare is None else file.close()
        with contextlib.suppress(Exception):
            if spare is None:
                file.closed = True  # or its destructor would close it
            else:
                fs.rm(spare)
