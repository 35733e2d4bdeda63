"""When the making of a record takes too long, or the user does not want to wait for it: the report is saved aside.

The command has ended and its result stands; the tracer waits for us and hands on Ctrl-C and SIGTERM. A thread takes
them, because the one that makes the record may be inside a call that no signal interrupts: hashing a file of terabytes,
or reading one whose server does not answer.
"""

from __future__ import annotations

import contextlib
import os
import signal
import threading
import time
from types import TracebackType
from typing import NoReturn

from roar.cli import boundary
from roar.errors import EXIT_FAILURE, RoarError
from roar.trace.start import ended
from roar.verbs.aside import save_report
from roar.verbs.record import Run

_ENDING = (signal.SIGINT, signal.SIGTERM)
_GRACE_SECONDS = 10.0
"""How long a record that is just going into the journal may take for it."""


class GivingUp:
    """Watches over one record from the end of the command on.

    Inside a ``with`` block of it the record is put into the journal, or is saved by whoever makes it; nothing is saved
    a second time then or later.
    """

    def __init__(self, run: Run, report: int, done: int, limit_seconds: float) -> None:
        """``report`` is an open file, ``done`` reaches its end when it is complete; a limit of 0 is none."""
        self.run = run
        self._report = report
        self._done = done
        self._deadline: float | None = None
        self._limit_seconds = limit_seconds
        self.asked_before = False
        """It was Ctrl-C that ended the command: the next one is the second."""
        self._keeping = threading.Lock()
        self._kept = False
        # Blocked signals wait for the thread, also those that are ignored.
        signal.pthread_sigmask(signal.SIG_BLOCK, _ENDING)
        with contextlib.suppress(RuntimeError):  # no thread is to be had: the record is made, however long that takes
            threading.Thread(target=self._watch, daemon=True).start()

    def __enter__(self) -> None:
        self._keeping.acquire()

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._kept = True
        self._keeping.release()

    def _watch(self) -> None:
        ended(self._done, None)
        while signal.sigtimedwait(_ENDING, 0):
            continue  # what came earlier was meant for the command
        if self._limit_seconds:
            self._deadline = time.monotonic() + self._limit_seconds
        why = self._wait()
        if self._keeping.acquire(timeout=_GRACE_SECONDS) and self._kept:
            self._keeping.release()
            if why is None:  # the rest, such as a large upload, may take its time
                self._deadline = None
                self._wait()
            boundary.say("roar: interrupted; the record is kept (next: roar log)")
            os._exit(EXIT_FAILURE)
        os._exit(boundary.guarded(lambda: self._save_aside(why or self._too_long())))

    def _save_aside(self, why: RoarError) -> NoReturn:
        raise save_report(self.run, self._seen(), why, "roar recover")

    def _wait(self) -> RoarError | None:
        """Why to give up, once there is a reason: the user's, or None for the limit."""
        asked = False
        while True:
            left = None if self._deadline is None else max(0.0, self._deadline - time.monotonic())
            came = signal.sigwaitinfo(_ENDING) if left is None else signal.sigtimedwait(_ENDING, left)
            if came is None:
                return None
            if asked or self.asked_before or came.si_signo != signal.SIGINT:
                return RoarError("interrupted")
            asked = True
            what = "the outputs are being stored (Ctrl-C again: leave that)"
            if not self._kept:
                what = "the record is being made (Ctrl-C again: what was seen is saved for `roar recover`)"
            boundary.say(f"roar: {what}")

    def _too_long(self) -> RoarError:
        return RoarError(f"it took longer than roar.tracer.recordLimit, {self._limit_seconds:g} s")

    def _seen(self) -> bytes:
        size = os.fstat(self._report).st_size
        pieces, at = [], 0
        while at < size and (piece := os.pread(self._report, size - at, at)):
            pieces.append(piece)
            at += len(piece)
        return b"".join(pieces)
