"""Checkpoints of a project's log: what the server signs, and what a client remembers.

The text is that of https://c2sp.org/tlog-checkpoint: origin, size, root in base64, a line each. In place of that
format's signature lines stands a signature of ssh-keygen(1), namespace ``checkpoint@roar``, over those three lines.
"""

from __future__ import annotations

import base64
import binascii
import re
from typing import NamedTuple

from roar.errors import RecordError

NAMESPACE = "checkpoint@roar"
_FORM = re.compile(r"glaas/(?P<project>[^\n]+)\n(?P<size>0|[1-9][0-9]{0,15})\n(?P<root>[A-Za-z0-9+/]{43}=)\n")


class Checkpoint(NamedTuple):
    """How many records a project's log has, and the root of its tree (32 bytes)."""

    project: str
    size: int
    root: bytes

    @property
    def text(self) -> str:
        """What is signed."""
        return f"glaas/{self.project}\n{self.size}\n{base64.b64encode(self.root).decode()}\n"


def leaf(identifier: str, content: str) -> bytes:
    """The leaf of a record: its id, and the BLAKE3 of its bytes in hexadecimal digits, of which the id has 80 bits."""
    return f"{identifier} {content}".encode()


def note(checkpoint: Checkpoint, signature: str) -> str:
    """A checkpoint with its signature."""
    return f"{checkpoint.text}\n{signature}"


def split(text: str) -> tuple[Checkpoint, str]:
    """A checkpoint and its signature, which is not checked here. Raises ``RecordError`` when the text is none."""
    body, _, signature = text.partition("\n\n")
    found = _FORM.fullmatch(body + "\n")
    if found is None:
        raise RecordError("not a checkpoint")
    try:
        root = base64.b64decode(found["root"], validate=True)
    except binascii.Error as error:
        raise RecordError("not a checkpoint") from error
    return Checkpoint(found["project"], int(found["size"]), root), signature
