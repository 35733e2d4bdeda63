"""What lies beside a record in its tree, by its path there, until it is written."""

from __future__ import annotations

import zlib
from collections.abc import Iterator, MutableMapping

PLAIN_BYTES = 8 << 20
"""So much is kept as it is; what comes after that, the manifests of a great many files, takes a third of its room."""


class Beside(MutableMapping[bytes, bytes]):
    """Bytes by their path, compressed when they are many."""

    def __init__(self) -> None:
        self._kept: dict[bytes, tuple[bool, bytes]] = {}
        self._plain = 0

    def __setitem__(self, path: bytes, data: bytes) -> None:
        plain = self._plain + len(data) <= PLAIN_BYTES
        self._plain += len(data) if plain else 0
        self._kept[path] = plain, data if plain else zlib.compress(data, 1)

    def __getitem__(self, path: bytes) -> bytes:
        plain, data = self._kept[path]
        return data if plain else zlib.decompress(data)

    def __delitem__(self, path: bytes) -> None:
        del self._kept[path]

    def __iter__(self) -> Iterator[bytes]:
        return iter(self._kept)

    def __len__(self) -> int:
        return len(self._kept)
