"""What an interrupted reproduction has made, kept until a second call has come to the end.

Only files whose bytes are what the record says, named by their hash; whoever takes one hashes it again. They are hard
links, so that keeping them costs nothing.
"""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Iterable, Iterator

from roar.errors import RoarError
from roar.git.locks import HeldError, exclusive
from roar.git.repository import Repository
from roar.hashing import digest_bytes
from roar.paths import is_outside
from roar.records.summary import printable
from roar.verbs import workspace
from roar.verbs.confined import Confined
from roar.verbs.fetched import needed
from roar.verbs.plan import Asked, Plan
from roar.verbs.rebuild_env import Mode
from roar.verbs.verdict import Verdict


def folder(repo: Repository, asked: Asked, mode: Mode) -> str:
    """Where it is kept for this plan; absolute, and perhaps not there. Raises ``RoarError``."""
    key = digest_bytes("\n".join([repo.common_dir, asked.job, asked.content or "", mode]).encode(errors="replace"))
    return os.path.join(workspace.place(repo), workspace.MADE + key[:20])


def keep(place: str, verdicts: Iterable[Verdict], files: Confined) -> None:
    """Keep what one step has made, when all of it is what was recorded. Raises ``OSError``."""
    found = list(verdicts)
    if all(v.state == "identical" and not is_outside(v.file.path) for v in found):
        os.makedirs(place, mode=0o700, exist_ok=True)
        for verdict in found:
            name = os.path.join(place, verdict.file.hash or "")
            if os.path.lexists(name):
                os.unlink(name)
            os.link(files.name(verdict.file.path), name, follow_symlinks=False)


@contextlib.contextmanager
def alone(made: Plan) -> Iterator[None]:
    """Inside the block no other process keeps, takes or forgets what this plan does. Raises ``RoarError`` when one does
    so already.
    """
    if made.made_in is None and not needed(made):
        yield
        return
    try:
        folder, name = os.path.split(made.fetched_to)
        lock = os.path.join(folder, f".{name}.lock")
        with exclusive(lock, patience_seconds=0):
            try:
                yield
            finally:
                with contextlib.suppress(OSError):
                    os.unlink(lock)
    except HeldError as error:
        said = f"another roar reproduce is making {printable(made.asked.name)} again"
        raise RoarError(said, "wait for its end") from error


def forget(made: Plan) -> None:
    """All of it has been made."""
    for place in (made.made_in, made.fetched_to):
        if place:
            shutil.rmtree(place, ignore_errors=True)
