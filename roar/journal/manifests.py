"""Manifests: long file lists, one blob a directory, beside the record.

A job with more than ``INLINE_FILES`` inputs (or outputs) names directories in its record, each with the digest of
its manifest at ``in/<directory>`` (or ``out/<directory>``) in the record's tree. A directory that did not change
is the same blob as last time, so it costs nothing.
"""

from __future__ import annotations

import os

from roar.errors import RecordError
from roar.hashing import digest_bytes
from roar.paths import to_bytes, to_text
from roar.records import codec
from roar.records.job import File, Shard

INLINE_FILES = 256
_PLAIN = frozenset(b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-")


def split(files: list[File], side: bytes) -> tuple[list[File], list[Shard], dict[bytes, bytes]]:
    """The files to write inline, or the shards instead, and the manifests by their path in the tree."""
    if len(files) <= INLINE_FILES:
        return sorted(files, key=lambda f: f.path), [], {}
    folders: dict[str, list[File]] = {}
    for file in files:
        folders.setdefault(to_text(os.path.dirname(to_bytes(file.path))), []).append(file)
    shards, manifests = [], {}
    for folder in sorted(folders):
        body = codec.encode_manifest(folders[folder])
        manifests[tree_path(side, folder)] = body
        size = sum(f.size for f in folders[folder])
        shards.append(Shard(directory=folder, count=len(folders[folder]), size=size, hash=digest_bytes(body)))
    return [], shards, manifests


def tree_path(side: bytes, folder: str) -> bytes:
    """Where a directory's manifest lies: one tree entry, with every byte but letters, digits, ``_-`` as ``%XX``."""
    name = "".join(chr(b) if b in _PLAIN else f"%{b:02X}" for b in to_bytes(folder))
    return side + b"/" + (name or "%").encode()


def check(body: bytes, shard: Shard) -> list[File]:
    """The files of a manifest that must be the one its record names. Raises ``RecordError``."""
    if digest_bytes(body) != shard.hash:
        raise RecordError(f"the manifest of {shard.directory or '.'} is not the one its record names")
    return codec.decode_manifest(body)
