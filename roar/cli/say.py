"""Colour, only on a terminal and never with NO_COLOR (https://no-color.org); and a word when something takes long."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator
from typing import Any


@contextlib.contextmanager
def patience(text: str, seconds: float = 1.0) -> Iterator[None]:
    """Say once, on a terminal, what is going on inside the block, when it takes longer than so many seconds."""
    if sys.stderr is None or not sys.stderr.isatty():
        yield
        return
    import threading

    timer = threading.Timer(seconds, lambda: sys.stderr.write(f"roar: {text} ...\n"))
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


def write_json(value: Any) -> None:
    """Write a value to standard output as JSON."""
    import orjson

    sys.stdout.write(orjson.dumps(value, option=orjson.OPT_INDENT_2).decode() + "\n")


class Style:
    """Paints text, or leaves it as it is."""

    def __init__(self, *, on: bool) -> None:
        self.on = on

    @classmethod
    def of(cls, fd: int) -> Style:
        """The style for a file descriptor."""
        return cls(on=not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb" and os.isatty(fd))

    def _paint(self, code: str, text: str) -> str:
        return f"\x1b[{code}m{text}\x1b[0m" if self.on and text else text

    def bold(self, text: str) -> str:
        """Bold."""
        return self._paint("1", text)

    def dim(self, text: str) -> str:
        """Faint."""
        return self._paint("2", text)

    def red(self, text: str) -> str:
        """Red: what is wrong."""
        return self._paint("31", text)

    def green(self, text: str) -> str:
        """Green: what is well."""
        return self._paint("32", text)

    def yellow(self, text: str) -> str:
        """Yellow: ids, as git paints commits."""
        return self._paint("33", text)

    def cyan(self, text: str) -> str:
        """Cyan: hashes."""
        return self._paint("36", text)
