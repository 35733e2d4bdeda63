"""A file on its way into the record, in a third of the memory of a ``File``: a job may have met millions."""

from __future__ import annotations

from typing import NamedTuple

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


def as_file(met: Met) -> File:
    """The file as a record has it."""
    fields = met._asdict()
    del fields["kept"]
    return File.model_validate(fields)
