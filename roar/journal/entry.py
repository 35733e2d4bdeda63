"""An entry: a record on its way into the journal, with what lies beside it in its tree."""

from __future__ import annotations

from collections import ChainMap
from collections.abc import Callable, MutableMapping

from roar.records import codec
from roar.records.job import Job
from roar.records.model import Record
from roar.records.summary import note, subject

from . import RECORD

Draft = Callable[[int, str], Record]
"""Makes the record from its clock and its writer, which are known only under the journal's lock."""


class Entry:
    """A sealed record: its bytes are final, so is its id. ``tree`` maps each path in its commit's tree to bytes."""

    __slots__ = ("body", "commit", "identifier", "message", "note", "record", "tree", "unsigned")

    def __init__(self, record: Record, beside: MutableMapping[bytes, bytes]) -> None:
        self.record = record
        self.body = codec.encode(record)
        self.identifier = codec.identify(record, self.body)
        self.tree = ChainMap({RECORD: self.body}, beside)
        title = subject(record) if isinstance(record, Job) else f"roar: {record.kind}"
        self.message = f"{title}\n\nRoar-Id: {self.identifier}\n"
        self.commit = record.code.commit if isinstance(record, Job) else None
        """The commit that gets a note."""
        self.unsigned = ""
        """Why it could not be signed, when it was to be."""
        self.note = note(record, self.identifier) if isinstance(record, Job) and self.commit else None


def trailer_id(message: str) -> str | None:
    """The record id in a journal commit's message, or None."""
    for line in reversed(message.splitlines()):
        if line.startswith("Roar-Id: "):
            return line[9:].strip()
    return None
