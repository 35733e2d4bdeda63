"""Manifests: long file lists, in pieces beside the record.

A job with more than ``INLINE_FILES`` inputs (or outputs) names pieces of the list, its shards, each with the digest of
its manifest, which lies in the record's tree under that digest. A piece that did not change is the same blob as last
time, so it costs nothing. Where a list is cut depends on the paths around the cut alone, so that a new file changes the
piece it falls into, and no others. When there are many shards their list is cut in the same way, level upon level.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import chain, islice
from typing import Protocol, TypeVar

from roar.errors import RecordError
from roar.hashing import digest_bytes
from roar.journal.beside import Beside
from roar.paths import to_bytes, to_text
from roar.records import codec
from roar.records.job import File, Shard

INLINE_FILES = 256
INLINE_SHARDS = 64
"""More shards than these become the files of another level, as it were."""
_FEWEST_FILES, _USUAL_FILES, _MOST_FILES = 64, 512, 4096
_FEWEST_SHARDS, _USUAL_SHARDS, _MOST_SHARDS = 16, 32, 256
_MOST_LEVELS = 8
MOST_FILES = 10_000_000
"""A shard that is said to hold more is not read."""


class Listed(Protocol):
    """A file, or what stands for one until it is written."""

    @property
    def path(self) -> str:
        """As a record spells it."""


T = TypeVar("T")
L = TypeVar("L", bound=Listed)


def split(files: Iterable[L], side: bytes, as_file: Callable[[L], File]) -> tuple[list[File], list[Shard], Beside]:
    """The files (given by path) to write inline, or the shards instead, and the manifests by their path in the tree.

    No more of the files is held at once than becomes one manifest.
    """
    manifests = Beside()
    left = iter(files)
    first = list(islice(left, INLINE_FILES + 1))
    if len(first) <= INLINE_FILES:
        return [as_file(file) for file in first], [], manifests
    shards = []
    for piece in _pieces(chain(first, left), _cut_files):
        folder = _common({os.path.dirname(to_bytes(file.path)) for file in piece})
        shards.append(_shard(manifests, side, [as_file(file) for file in piece], folder, len(piece), 0))
    while len(shards) > INLINE_SHARDS:
        lower, shards = shards, []
        for part in _pieces(lower, _cut_shards):
            folder = _common({to_bytes(shard.directory) for shard in part})
            shards.append(_shard(manifests, side, part, folder, sum(s.count for s in part), part[0].level + 1))
    return [], shards, manifests


def _shard(
    manifests: Beside, side: bytes, parts: Sequence[File | Shard], folder: bytes, count: int, level: int
) -> Shard:
    body = codec.encode_lines(parts)
    size = sum(part.size for part in parts)
    shard = Shard(directory=to_text(folder), count=count, size=size, hash=digest_bytes(body), level=level)
    manifests[tree_path(side, shard)] = body
    return shard


def _common(folders: set[bytes]) -> bytes:
    """The deepest folder that holds all of these; b"" when some are inside the work tree and some are not."""
    try:
        return os.path.commonpath(folders)
    except ValueError:
        return b""


def _pieces(parts: Iterable[T], cut: Callable[[T, T, int], bool]) -> Iterator[list[T]]:
    """The parts in pieces; ``cut`` is asked before each part: with it, with the one before, with the piece's length."""
    piece: list[T] = []
    for part in parts:
        if piece and cut(part, piece[-1], len(piece)):
            yield piece
            piece = []
        piece.append(part)
    yield piece


def _cut_files(file: Listed, before: Listed, length: int) -> bool:
    if length < _FEWEST_FILES or length >= _MOST_FILES:
        return length >= _MOST_FILES
    if os.path.dirname(file.path) != os.path.dirname(before.path):
        return True
    return _chance(file.path) % _USUAL_FILES == 0


def _cut_shards(shard: Shard, _: Shard, length: int) -> bool:
    if length < _FEWEST_SHARDS or length >= _MOST_SHARDS:
        return length >= _MOST_SHARDS
    return int(shard.hash[:8], 16) % _USUAL_SHARDS == 0


def _chance(path: str) -> int:
    return int(digest_bytes(path.encode())[:8], 16)


def tree_path(side: bytes, shard: Shard) -> bytes:
    """Where a shard's manifest lies in the record's tree."""
    return side + f"/{shard.hash[:1]}/{shard.hash[1:]}".encode()


def read(shard: Shard, fetch: Callable[[Shard], bytes | None]) -> Iterator[File]:
    """The files of a shard, through all its levels; ``fetch`` gives the manifest's bytes, or None.

    Raises ``RecordError`` for a manifest that is missing, is not what names it, or has no measure.
    """
    where = shard.directory or "."
    if shard.level > _MOST_LEVELS or shard.count > MOST_FILES:
        raise RecordError(f"the manifest of {where} is of level {shard.level} and {shard.count} files: without measure")
    body = fetch(shard)
    if body is None:
        raise RecordError(f"the manifest {shard.hash[:12]} of {where} is missing")
    if digest_bytes(body) != shard.hash:
        raise RecordError(f"the manifest {shard.hash[:12]} of {where} is not the one its record names")
    if not shard.level:
        files = codec.decode_lines(body, File)
        _check(shard, len(files), files)
        yield from files
        return
    lower = codec.decode_lines(body, Shard)
    _check(shard, sum(s.count for s in lower), lower)
    for part in lower:
        if part.level != shard.level - 1:
            raise RecordError(f"the manifest {shard.hash[:12]} of {where} names one of level {part.level}")
        yield from read(part, fetch)


def _check(shard: Shard, count: int, parts: Sequence[File | Shard]) -> None:
    size = sum(part.size for part in parts)
    idle = any(isinstance(part, Shard) and not part.count for part in parts)  # one may name itself empty over and over
    if idle or (count, size) != (shard.count, shard.size):
        raise RecordError(f"the manifest {shard.hash[:12]} does not hold {shard.count} files of {shard.size} bytes")
