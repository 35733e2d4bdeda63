"""Work in a child process, so that what it imports and allocates does not stay with the one that goes on serving."""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Callable

from roar.errors import RoarError


def do(work: Callable[[], object]) -> None:
    """Do it, and wait for its end; to be called while there is one thread. Raises the ``RoarError`` that it raises."""
    out, into = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(out)
        _do(work, into)
    os.close(into)
    with os.fdopen(out, "rb") as pipe:
        said = pipe.read()
    _, status = os.waitpid(child, 0)
    if said:
        raise RoarError(*json.loads(said))
    if status:
        raise RoarError("the server cannot begin; what went wrong is above")


def _do(work: Callable[[], object], into: int) -> None:
    """In the child, which never returns."""
    status = 1
    try:
        work()
        status = 0
    except RoarError as error:
        os.write(into, json.dumps([error.message, error.hint]).encode())
    except Exception:
        logging.getLogger(__name__).exception("the server cannot begin")
    finally:
        os._exit(status)
