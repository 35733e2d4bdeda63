"""Letting go of what roar keeps in a repository: the index, or all of its refs."""

from __future__ import annotations

import contextlib
import glob
import os
from typing import NamedTuple

from roar.cache import database
from roar.errors import RoarError
from roar.git import locks, refs
from roar.git.repository import Repository
from roar.journal import ARCHIVE, FOLDED, JOBS, KEEP, LOCAL_NOTES, OWN, PUSHED, REMOTES, SPELLED_NOTES, archive, read
from roar.verbs import sessions
from roar.verbs.status import saved_aside


class Doomed(NamedTuple):
    """What a reset deletes: files with their sizes, refs with what they hold, symbolic refs. ``only_here`` counts the
    records that no remote had when it was last fetched from; ``aside`` those that wait in the spool, which stay.
    """

    files: dict[str, int]
    refs: dict[str, str]
    names: list[str]
    records: int
    only_here: int
    aside: int


def doomed(repo: Repository, *, everything: bool) -> Doomed:
    """What would go: the index, or with ``everything`` all refs of roar, too. Raises ``GitError``."""
    patterns = ["index-*.db*"] + (["writer", "sessions/*"] if everything else [])
    found = [path for pattern in patterns for path in glob.glob(os.path.join(glob.escape(repo.own_dir), pattern))]
    files = {path: os.stat(path).st_size for path in sorted(found)}
    if not everything:
        return Doomed(files, {}, [], 0, 0, 0)
    tips = read.tips(repo)
    own = archive.identifiers(repo, [oid for ref, oid in tips.items() if ref.startswith((JOBS, ARCHIVE, FOLDED))])
    theirs = archive.identifiers(repo, [oid for ref, oid in tips.items() if ref.startswith(REMOTES)])
    held = refs.listing(repo, OWN, FOLDED, KEEP, PUSHED, REMOTES)
    names = refs.symbolic_names(repo, LOCAL_NOTES, SPELLED_NOTES)
    return Doomed(files, held, names, len(own | theirs), len(own - theirs), saved_aside(repo))


def reset(repo: Repository, what: Doomed) -> None:
    """Delete it. Raises ``GitError`` when a ref has moved since; then no ref is deleted."""
    if what.refs:
        repo.make_own_dir()
        with locks.exclusive(os.path.join(repo.own_dir, "lock")):
            refs.delete(repo, what.refs)
            for name in what.names:
                repo.ask("symbolic-ref", "--delete", name)
            sessions.forget(repo)
            _unlink([path for path in what.files if not _is_index(path)])
    for path in what.files:
        if path.endswith(".db") and not database.delete(path):
            raise RoarError(f"cannot delete {path}", "look at the rights of its folder")
    _unlink([path for path in what.files if _is_index(path)])


def _is_index(path: str) -> bool:
    return os.path.basename(path).startswith("index-")


def _unlink(paths: list[str]) -> None:
    for path in paths:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(path)
