"""The audit log: one JSON line for each write and each refusal, appended to ``audit.jsonl`` of the data directory.

Administration is not in it: that is the history of ``admin.git``.
"""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from typing import Literal

from roar.paths import OPEN
from roar.records import codec
from roar.server.storage import Storage

_LONGEST = 4000
"""Characters of a line's longest text: what somebody else chose must not fill the disk."""


What = Literal["push", "not-done", "refused", "log-in", "invitation", "enter"]
"""``not-done``: a push that was let in, and whose refs did not move all the same. ``enter``: a browser was let in."""


def note(
    storage: Storage,
    what: What,
    *,
    user: str | None,
    address: str,
    project: str | None = None,
    **more: str | list[str] | Mapping[str, str] | None,
) -> None:
    """Append a line. Raises ``OSError`` when it cannot be written."""
    line = {
        "time_ns": time.time_ns(),
        "what": what,
        "user": user,
        "address": address,
        "project": project,
        **more,
    }
    shown = {key: value[:_LONGEST] if isinstance(value, str) else value for key, value in line.items()}
    fd = os.open(storage.place("audit.jsonl"), os.O_WRONLY | os.O_CREAT | os.O_APPEND | OPEN, 0o600)
    try:
        os.write(fd, codec.dumps(shown) + b"\n")
    finally:
        os.close(fd)
