"""A file on its way into the record, in a third of the memory of a ``File``: a job may have met millions."""

from __future__ import annotations

import os
from collections.abc import Sequence
from stat import S_ISREG
from typing import NamedTuple

from roar.hashing import other_digests
from roar.paths import fs
from roar.records.job import File, Pointer


class Met(NamedTuple):
    """A file as a job met it; the fields of ``File``. ``kept``: the content that was met is still on the disk."""

    path: str
    hash: str | None
    size: int
    mode: int
    change: str | None = None
    asked: str | None = None
    unknown: str | None = None
    kept: bool = False
    blob: str | None = None
    pointer: Pointer | None = None
    digests: dict[str, str] = {}  # noqa: RUF012  shared by all, and never changed


def as_file(met: Met) -> File:
    """The file as a record has it."""
    fields = met._asdict()
    del fields["kept"]
    return File.model_validate(fields)


def with_digests(files: list[Met], root: str, algorithms: Sequence[str]) -> list[Met]:
    """The files with their digests by other algorithms, where the content that was met is still on the disk."""
    return [file._replace(digests=_digests(file, root, algorithms)) for file in files]


def _digests(file: Met, root: str, algorithms: Sequence[str]) -> dict[str, str]:
    if file.hash is None or not S_ISREG(file.mode) or not (file.kept or file.change):
        return {}
    try:
        return other_digests(os.path.join(root, fs(file.path)), file.hash, algorithms)
    except OSError:
        return {}
