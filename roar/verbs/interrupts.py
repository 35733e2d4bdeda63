"""Interrupts while commands of ours run: none is lost, and none leaves a command behind."""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Iterator

_ENDING = (signal.SIGTERM, signal.SIGHUP)


@contextlib.contextmanager
def interruptible() -> Iterator[None]:
    """Inside the block a request to end, or a closed terminal, is an interrupt: everything is cleared away first."""

    def interrupt(number: int, frame: object) -> None:
        del number, frame
        raise KeyboardInterrupt

    before = [signal.signal(name, interrupt) for name in _ENDING]
    try:
        yield
    finally:
        for name, handler in zip(_ENDING, before, strict=True):
            signal.signal(name, handler)


@contextlib.contextmanager
def held() -> Iterator[None]:
    """Inside the block an interrupt waits for its end: between the start of a command and the note that it runs."""
    came: list[int] = []
    names = (signal.SIGINT, *_ENDING)
    before = [signal.signal(name, lambda number, _: came.append(number)) for name in names]
    try:
        yield
    finally:
        for name, handler in zip(names, before, strict=True):
            signal.signal(name, handler)
    if came:
        raise KeyboardInterrupt
