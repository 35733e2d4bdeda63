"""The ground of every record: frozen, integers and text only, unknown fields kept."""

from __future__ import annotations

import sys
from types import ModuleType
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

# When pydantic builds its first model it looks for plugins in the metadata of every installed distribution: 17 ms for
# nothing, since roar uses none. A later pydantic that does without this module just does not find the stand-in.
_NO_PLUGINS = ModuleType("pydantic.plugin._loader")
_NO_PLUGINS.__dict__["get_plugins"] = tuple
sys.modules.setdefault(_NO_PLUGINS.__name__, _NO_PLUGINS)

FORMAT = 1
"""The major version of the record format; a reader refuses a larger one and keeps its bytes."""

Blake3 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
"""The BLAKE3 of some bytes, 32 bytes in lower-case hexadecimal."""

GIT_ID = "(?:[0-9a-f]{40}|[0-9a-f]{64})"
"""A git object id, SHA-1 or SHA-256 by the repository's object format: a regular expression, as the next one."""
WRITER = "[a-z0-9][a-z0-9-]{0,63}"
"""The name of a writer, which is part of names of refs: ``docs/format.md``."""

GitId = Annotated[str, Field(pattern=f"^{GIT_ID}$")]

RecordId = Annotated[str, Field(pattern=r"^[0-9A-HJKMNP-TV-Z]{26}$")]
"""A record id as ``records.ids`` makes it."""

Text = Annotated[str, Field(max_length=1 << 20)]
Count = Annotated[int, Field(ge=0, lt=1 << 63)]
Nanoseconds = Annotated[int, Field(ge=0, lt=1 << 63)]
"""A time since the epoch in UTC, or a duration, as the field's name says."""


class Part(BaseModel):
    """A part of a record. Fields that are None or empty are not written."""

    model_config = ConfigDict(frozen=True, extra="allow", defer_build=True, strict=True)


class Record(Part):
    """What every record says of itself.

    ``clock`` is a hybrid logical clock in milliseconds since the epoch: the wall clock, but always later than
    every record that its writer made before or that this record names. The record id begins with it.
    """

    format: int = FORMAT
    kind: str
    clock: Annotated[int, Field(ge=0, lt=1 << 48)]
    writer: Annotated[str, Field(pattern=f"^{WRITER}$")]
