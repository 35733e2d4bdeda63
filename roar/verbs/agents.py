"""The section on roar in ``AGENTS.md``, where coding agents look for how a repository is worked in.

It stands between two markers. All other bytes of the file stay as they are, and come back as they were when the
section is removed: one line end is put before it in a file that was there, and taken away with it.
"""

from __future__ import annotations

import contextlib
import os
import stat

from roar.errors import RoarError
from roar.git.repository import Repository
from roar.paths import below

NAME = "AGENTS.md"
BEGIN = b"<!-- roar: begin (written by `roar init --agents`, removed by `roar init --no-agents`) -->"
END = b"<!-- roar: end -->"
TEXT = """\
## Provenance with roar

This repository records how its data, models and results are made, so that each can be explained and made again.

- Put `git roar run` before any command that makes or changes such files: `git roar run python train.py --epochs 10`.
  It runs the command unchanged, with its output and exit status, and records what was read and written. Set-up steps
  (compile, install) go through `git roar build`. Tests, linters and editors need no record.
- Before using a file that somebody made: `roar show FILE` (what it is), `roar lineage FILE` (from what, by which
  commands), `roar why FILE` (why it differs from before).
- Before and after changing the pipeline: `roar status` (what is out of date, and why), `roar dag` (the steps).
  `git roar run @2` runs step 2 again.
- `roar reproduce FILE` makes a file again in a separate place and compares: exit 0 identical, 3 different.
- Every command has `--json` and `-h`. Exit 1 is an expected failure, with one line that says what to do next.
- Keep secrets out of command words. Never delete or rewrite `refs/roar/*`; a wrong record is taken back by `roar pop`.
"""


def write(repo: Repository) -> list[str]:
    """Put the section into the file, or bring it up to date; says what was changed. Raises ``RoarError``."""
    path = _path(repo)
    data = _read(path)
    parts = _parts(data or b"")
    line_end = b"\r\n" if b"\r\n" in (data or b"") else b"\n"
    section = line_end.join([BEGIN, *TEXT.encode().splitlines(), END, b""])
    if parts is None:
        new = section if data is None else data + line_end + section
    else:
        new = parts[0] + section + parts[1]
    if new == data:
        return []
    _replace(path, new)
    return [f"{NAME}: " + ("section on roar written" if parts is None else "section on roar brought up to date")]


def remove(repo: Repository) -> list[str]:
    """Take exactly the section out again, and the file when nothing else was ever in it. Raises ``RoarError``."""
    path = _path(repo)
    data = _read(path)
    parts = _parts(data or b"")
    if parts is None:
        return []
    before, after = parts
    if before or after:
        _replace(path, before.removesuffix(b"\n").removesuffix(b"\r") + after)
    else:
        os.unlink(path)
    return [f"{NAME}: section on roar removed"]


def _parts(data: bytes) -> tuple[bytes, bytes] | None:
    """What stands before and after the section; None when there is none. Raises ``RoarError`` for half of one."""
    if BEGIN not in data and END not in data:
        return None
    before, _, rest = data.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not end or BEGIN in rest or END in after or END in before:
        raise RoarError(f"{NAME} has not exactly one section of roar", f"delete the lines with 'roar:' in {NAME}")
    return before, after.removeprefix(b"\r").removeprefix(b"\n")


def _path(repo: Repository) -> str:
    """The file that the name leads to. Raises ``RoarError`` when that is none of the work tree."""
    top = repo.require_work_tree()
    path = os.path.realpath(os.path.join(top, NAME))
    if below(path, os.path.realpath(top)) is None or (os.path.lexists(path) and not os.path.isfile(path)):
        raise RoarError(f"{NAME} is no file of this work tree", f"make {NAME} a plain file")
    return path


def _read(path: str) -> bytes | None:
    try:
        with open(path, "rb") as file:
            return file.read()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise RoarError(f"cannot read {path}: {error.strerror}") from error


def _replace(path: str, data: bytes) -> None:
    """All or nothing, with the mode that the file has."""
    temporary = f"{path}.roar-{os.getpid()}"
    try:
        with open(temporary, "xb") as file:
            file.write(data)
            with contextlib.suppress(FileNotFoundError):
                os.chmod(temporary, stat.S_IMODE(os.stat(path).st_mode))
        os.replace(temporary, path)
    except OSError as error:
        with contextlib.suppress(OSError):
            os.unlink(temporary)
        raise RoarError(f"cannot write {path}: {error.strerror}") from error
