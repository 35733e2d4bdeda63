"""The one place where errors become a line on standard error and an exit code."""

from __future__ import annotations

import contextlib
import errno
import os
import sys
from collections.abc import Callable

from roar import log
from roar.errors import EXIT_BUG, EXIT_FAILURE, EXIT_INTERRUPTED, RoarError
from roar.log import debugging

_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_LONGEST = 400
"""Characters of an error, and of its next step; a longer one is cut in its middle."""


def guarded(function: Callable[[], int]) -> int:
    """Call a function and give its exit code, or that of the error it ended with, after saying what it was."""
    try:
        status = function()
        if sys.stdout is not None:  # None: closed by whoever started us
            sys.stdout.flush()
    except RoarError as error:
        say_error(error)
        status = error.exit_code
    except KeyboardInterrupt:
        status = EXIT_INTERRUPTED
    except BrokenPipeError:
        # the reader of our output went away, as with `| head`; nothing is wrong
        _write_no_more()
        status = EXIT_FAILURE
    except Exception as error:  # noqa: BLE001  whatever it is, the user gets one line and a log
        if isinstance(error, OSError) and error.errno in _FULL:
            where = f" {error.filename}" if error.filename else ""
            say_error(RoarError(f"cannot write{where}: {error.strerror}", "make room there"))
            _write_no_more()
            status = EXIT_FAILURE
        else:
            say_bug(error)
            status = EXIT_BUG
    return status


def _write_no_more() -> None:
    """Let what is left for standard output go nowhere: Python would complain of it at the end."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)


def say(line: str) -> None:
    """Write one line to standard error, whatever characters it holds; where it cannot be written, nobody listens."""
    if sys.stderr is None:
        return
    with contextlib.suppress(OSError):  # a full disk, a pipe whose reader has gone
        sys.stderr.write(line.encode("utf-8", "backslashreplace").decode() + "\n")
        sys.stderr.flush()


def say_error(error: RoarError) -> None:
    """One line: what happened, and what to do next."""
    if debugging():
        import traceback

        traceback.print_exception(error)
    say(f"roar: {_in_one_line(error.message)}" + (f" (next: {_in_one_line(error.hint)})" if error.hint else ""))
    log.error(error.message)


def _in_one_line(text: str) -> str:
    """What was typed may be part of it: of any length, with characters that a terminal obeys."""
    if not text.isprintable():
        text = "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST // 2]}…{text[-_LONGEST // 2 :]}"


def say_bug(error: BaseException) -> None:
    """One line that names the log with the whole story."""
    import traceback

    story = "".join(traceback.format_exception(error))
    log.error(story)
    if debugging():
        say(story)
    what = _in_one_line(f"{type(error).__name__}: {error}".partition("\n")[0])
    say(f"roar: a bug in roar: {what} (next: report it with {_keep(story)})")


def _keep(story: str) -> str:
    import time

    from roar.paths import state_folder

    path = os.path.join(state_folder(), f"bug-{time.strftime('%Y%m%d-%H%M%S')}-{os.getpid()}.log")
    try:
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w", encoding="utf-8", errors="backslashreplace") as file:
            file.write(story)
    except OSError:
        return "ROAR_DEBUG=1 roar ..., which shows it"
    return path
