"""``roar run @N``: a step of the session, run once more as it was recorded."""

from __future__ import annotations

import os
import stat

from roar.cli import boundary
from roar.errors import RoarError
from roar.git.repository import discover
from roar.paths import OPEN, from_fs
from roar.records.summary import printable
from roar.verbs.again import step_again

Options = dict[str, list[str]]


def repeated(role: str, options: Options, argv: list[str]) -> tuple[str, Options, list[str]]:
    """Role, options and command that ``@N [extra words]`` stands for; its streams go where the record says.

    A stream that is a regular file already stays as it is. Raises what ``step_again`` raises, and ``RoarError`` when
    somebody else recorded the step and nobody here agrees to it.
    """
    again = step_again(discover(), argv[0], [from_fs(word) for word in argv[1:]])
    if again.stranger is not None:
        from roar.cli import present

        boundary.say(f"roar: {argv[0]} was recorded by {printable(again.stranger)}, not here: {again.text}")
        refusal = f"{argv[0]} was not run, for it was recorded elsewhere"
        present.agree("Run this command?", refusal, f"roar run {again.text}", yes=False)
    elif not options.keys() & {"quiet", "json"}:
        boundary.say(f"roar: {argv[0]} again: {again.text}")
    if again.stale and "json" not in options:
        boundary.say(f"roar: {again.stale}")
    known = {"cwd": [again.cwd], "name": [again.name]} if again.name else {"cwd": [again.cwd]}
    _redirect(again.redirects)
    return (again.role if role == "run" else role), {**known, **options}, again.argv


def _redirect(redirects: list[tuple[int, str, bool]]) -> None:
    opened: dict[str, int] = {}
    for fd, path, append in redirects:
        if _is_regular(fd):
            continue
        if path not in opened:
            how = os.O_WRONLY | os.O_CREAT | (os.O_APPEND if append else os.O_TRUNC)
            try:
                opened[path] = os.open(path, OPEN | (how if fd else os.O_RDONLY), 0o666)
            except OSError as error:
                raise RoarError(f"cannot open {printable(from_fs(path))}: {error.strerror}", "roar run CMD") from error
        os.dup2(opened[path], fd)
    for each in opened.values():
        os.close(each)


def _is_regular(fd: int) -> bool:
    try:
        return stat.S_ISREG(os.fstat(fd).st_mode)
    except OSError:  # closed
        return False
