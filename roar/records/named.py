"""Labels, and named groups of artifacts: each a record, so that they merge. For each key the latest clock wins."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from roar.records.model import Blake3, Record, RecordId, Text

Name = Annotated[str, Field(pattern=r"^[^\x00-\x1f\x7f=\s][^\x00-\x1f\x7f=]*$", max_length=256)]
"""A key, or a collection's name: no control characters, no ``=``, no white space in front."""


class Label(Record):
    """Sets values by key on jobs, sessions and artifacts; a value of null takes the key away."""

    kind: Literal["label"] = "label"
    user: Text
    records: list[RecordId] = Field(default_factory=list)
    artifacts: list[Blake3] = Field(default_factory=list)
    labels: dict[Name, Text | None]


class Collection(Record):
    """Puts artifacts into a named group, or takes them out; each is in it or not by the latest record about it."""

    kind: Literal["collection"] = "collection"
    user: Text
    name: Name
    added: list[Blake3] = Field(default_factory=list)
    removed: list[Blake3] = Field(default_factory=list)
