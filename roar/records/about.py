"""Records about records and artifacts: a correction is a new record, never a change of one."""

from __future__ import annotations

from typing import Literal

from roar.records.model import Blake3, Record, RecordId, Text


class Withdrawal(Record):
    """Takes jobs, sessions or artifacts back: they stay where they are, and answers leave them out and say so."""

    kind: Literal["withdrawal"] = "withdrawal"
    user: Text
    """The git identity of who took them back."""
    reason: Text | None = None
    records: list[RecordId] = []
    artifacts: list[Blake3] = []


class Tombstone(Record):
    """Names records that were purged. Says nothing of what they held; readers pass them over wherever they turn up."""

    kind: Literal["tombstone"] = "tombstone"
    records: list[RecordId]


class Close(Record):
    """Ends a session: it takes no more jobs."""

    kind: Literal["close"] = "close"
    user: Text
    session: RecordId
