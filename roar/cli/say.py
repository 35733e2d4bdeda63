"""Colour, only on a terminal and never with NO_COLOR (https://no-color.org); and a word when something takes long."""

from __future__ import annotations

import contextlib
import io
import os
import sys
import time
from collections.abc import Iterable, Iterator
from typing import Any

from roar.errors import RoarError


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


class Counter:
    """A number on a line of a terminal's own, from the first second on; gone when the work is done."""

    _FIRST_SECONDS = 1.0

    def __init__(self, what: str) -> None:
        self._what = what
        self._began = time.monotonic()
        self._on = sys.stderr is not None and sys.stderr.isatty()
        self._shown = False

    def __enter__(self) -> Counter:
        return self

    def show(self, number: int | str) -> None:
        """Say how far the work has come."""
        if self._on and time.monotonic() - self._began > self._FIRST_SECONDS:
            self._shown = True
            sys.stderr.write(f"\rroar: {number} {self._what} ...\x1b[K")
            sys.stderr.flush()

    def __exit__(self, *_: object) -> None:
        if self._shown:
            sys.stderr.write("\r\x1b[K")
            sys.stderr.flush()


def write_file(path: str, lines: Iterable[str]) -> None:
    """Write lines, whatever characters they hold. Raises ``RoarError``."""
    from roar.records.summary import printable

    try:
        with open(path, "w", encoding="utf-8", errors="surrogateescape") as file:
            file.writelines(line + "\n" for line in lines)
    except OSError as error:
        raise RoarError(f"cannot write {printable(path)}: {error.strerror}") from error


def ready_streams() -> None:
    """Put nothing in the place of standard streams that are closed; what output's encoding lacks becomes escapes."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):  # in order: each gets its own number
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, mode, encoding="utf-8"))  # noqa: SIM115  until the end
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")


def write_json(value: Any, *, in_one_line: bool = False) -> None:
    """Write a value to standard output as JSON, which is UTF-8 whatever text is encoded as here (RFC 8259)."""
    import orjson

    how = orjson.OPT_APPEND_NEWLINE | (0 if in_one_line else orjson.OPT_INDENT_2)
    try:
        body = orjson.dumps(value, option=how)
    except TypeError:  # a name on this machine may be no UTF-8
        body = orjson.dumps(_spelled(value), option=how)
    sys.stdout.flush()
    sys.stdout.buffer.write(body)


def _spelled(value: Any) -> Any:
    """A value for JSON with each ``os`` string that is no UTF-8 spelled as in records."""
    from roar.paths import from_fs

    if isinstance(value, str):
        return value if value.encode(errors="replace").decode() == value else from_fs(value)
    if isinstance(value, dict):
        return {_spelled(key): _spelled(each) for key, each in value.items()}
    return [_spelled(each) for each in value] if isinstance(value, list | tuple) else value


def is_shown(fd: int) -> bool:
    """True when a person reads what is written there: it is a terminal, or standard output and a pager reads it."""
    return os.isatty(fd) or (fd == 1 and bool(os.environ.get("GIT_PAGER_IN_USE")))


class Style:
    """Paints text, or leaves it as it is."""

    def __init__(self, *, on: bool) -> None:
        self.on = on

    @classmethod
    def of(cls, fd: int, color: str = "auto") -> Style:
        """The style for a file descriptor, when ``color`` is auto: for terminals; else ``always`` or ``never``."""
        if os.environ.get("NO_COLOR") or color == "never":
            return cls(on=False)
        return cls(on=color == "always" or (os.environ.get("TERM") != "dumb" and is_shown(fd)))

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
