"""Work that goes on behind the user's back: from a process of its own that asks nobody for anything."""

from __future__ import annotations

import os
from collections.abc import Callable

from roar.errors import RoarError


def aside(work: Callable[[], object]) -> bool:
    """Start the work and return at once; False where there is no fork. What goes wrong in it is not said."""
    if not hasattr(os, "fork"):
        return False
    if os.fork():
        return True
    status = 1
    try:
        os.setsid()  # away from the terminal: no password prompt may come up behind the user's work
        nowhere = os.open(os.devnull, os.O_RDWR)
        for fd in range(3):
            os.dup2(nowhere, fd)
        os.environ.update(GIT_TERMINAL_PROMPT="0", GIT_ASKPASS="true", SSH_ASKPASS_REQUIRE="never", SSH_ASKPASS="true")
        work()
        status = 0
    except (RoarError, OSError):
        pass
    finally:
        os._exit(status)
