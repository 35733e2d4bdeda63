"""Points in time as git takes them: ``2 weeks ago``, ``yesterday``, ``2025-01-31 12:00``."""

from __future__ import annotations

from roar.errors import UsageError
from roar.git import program

_LATEST_NS = (1 << 63) - 1


def moment(text: str) -> int:
    """The point in time, in nanoseconds since the epoch, that git understands by a text.

    Asked by ``git config --type=expiry-date``: that reads what ``git log --since`` reads, but refuses what is no date,
    where ``--since`` takes it for the present. Raises ``UsageError`` for what it refuses.
    """
    words = ["-c", f"roar.date={text}", "config", "--type=expiry-date", "--get", "roar.date"]
    said = "" if "\0" in text else program.call(words).stdout.decode().strip()
    if not said.isdigit():
        shown = ascii(text)[1:-1] or "an empty text"
        raise UsageError(f"{shown} is no date that git knows", 'type "2 weeks ago", yesterday or 2025-01-31')
    return min(int(said) * 1_000_000_000, _LATEST_NS)
