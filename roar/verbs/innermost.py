"""Which repository a file lies in: the innermost folder above it that has a ``.git``."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")


class Innermost(Generic[T]):
    """Finds what holds files, and looks at each folder once.

    ``found`` is asked for folders that have a ``.git``, as the paths that one asks for name them: relative to ``top``,
    which does not count itself, or absolute.
    """

    def __init__(self, top: str, found: Callable[[str], T]) -> None:
        self._top = top
        self._found = found
        self._known: dict[str, T | None] = {"": None, "/": None}

    def around(self, path: str) -> T | None:
        """What holds a file (an ``os`` path); None when nothing does."""
        folder = os.path.dirname(path)
        new = []
        while folder not in self._known:
            new.append(folder)
            folder = os.path.dirname(folder)
        found = self._known[folder]
        for below_it in reversed(new):
            if os.path.lexists(os.path.join(self._top, below_it, ".git")):
                found = self._found(below_it)
            self._known[below_it] = found
        return found
