"""Contents that lie somewhere else than their name says: under any name in git, or anywhere in a folder."""

from __future__ import annotations

import os
import re
from collections.abc import Callable

from roar.git.objects import MAX_BYTES, Reader
from roar.git.repository import Repository
from roar.hashing import digest_bytes, digest_files
from roar.stamps import Stamps

_MOST_READ = 1 << 30
"""Bytes of blobs of one size that are read."""
_MOST_FILES = 2_000_000
"""Files of a folder that are looked at."""
_TOLD_EVERY = 1000


class Blobs:
    """The blobs of a repository, of any commit, ref or none, found by their size and then by BLAKE3."""

    def __init__(self, repo: Repository, reader: Reader) -> None:
        self._repo = repo
        self._reader = reader
        self._listed: bytes | None = None
        self._of_size: dict[int, dict[str, str]] = {}

    def find(self, content: str, size: int) -> str | None:
        """The id of a blob with this BLAKE3 and size; None when there is none. Raises ``GitError``."""
        if not 0 < size <= MAX_BYTES:
            return None
        if size not in self._of_size:
            self._of_size[size] = self._hashed(size)
        return self._of_size[size].get(content)

    def _hashed(self, size: int) -> dict[str, str]:
        """The blobs of a size by their BLAKE3. The first question lists all objects, 50 bytes each."""
        if self._listed is None:
            words = ["--batch-all-objects", "--unordered", "--batch-check=%(objectname) %(objecttype) %(objectsize)"]
            self._listed = self._repo.ask("cat-file", *words)
        hashes = {}
        blobs = re.findall(rb"^([0-9a-f]+) blob %d$" % size, self._listed, re.MULTILINE)
        for blob in blobs[: max(1, _MOST_READ // size)]:
            hashes[digest_bytes(self._reader.body(blob.decode(), "blob"))] = blob.decode()
        return hashes


class Folder:
    """The regular files below a folder, found by their size and then by BLAKE3. No link is followed."""

    def __init__(self, top: str, tell: Callable[[int], object]) -> None:
        """``tell`` is called with the number of files that have been looked at."""
        self.top = top
        self.ended_early = False
        """True when the folder has more files than are looked at."""
        self._tell = tell
        self._by_size: dict[int, list[str]] | None = None

    def find(self, content: str, size: int, stamps: Stamps) -> str | None:
        """The absolute name of a file with this BLAKE3 and size; None when there is none."""
        if self._by_size is None:
            self._by_size = self._scanned()
        for place in self._by_size.get(size, []):
            digest = digest_files([place], stamps)[place]
            if not isinstance(digest, OSError) and digest.hash == content:
                return place
        return None

    def _scanned(self) -> dict[int, list[str]]:
        found: dict[int, list[str]] = {}
        count, waiting = 0, [self.top]
        while waiting:
            try:
                entries = list(os.scandir(waiting.pop()))
            except OSError:  # gone, or not for us
                continue
            for entry in entries:
                try:
                    if entry.is_dir(follow_symlinks=False):
                        waiting.append(entry.path)
                    elif entry.is_file(follow_symlinks=False):
                        found.setdefault(entry.stat(follow_symlinks=False).st_size, []).append(entry.path)
                except OSError:
                    continue
                count += 1
                if count % _TOLD_EVERY == 0:
                    self._tell(count)
            if count > _MOST_FILES:
                self.ended_early = True
                break
        return found
