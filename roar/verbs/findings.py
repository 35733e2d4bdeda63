"""What a check found: one thing that is wrong or odd, where, and what mends it."""

from __future__ import annotations

from typing import Literal, NamedTuple


class Finding(NamedTuple):
    """``broken``: something is damaged or lost. ``warning``: odd, and nothing is lost. ``repaired``: it was broken.

    ``where`` is a ref or a file, ``object`` the git object (or the record) in question, ``mend`` what to type next.
    """

    grade: Literal["broken", "warning", "repaired"]
    where: str
    object: str | None
    text: str
    mend: str | None = None
