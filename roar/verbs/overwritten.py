"""What recorded runs overwrote or removed: copies in this clone, for `roar get` to bring back.

They lie in a store of their own below roar's folder in the git directory, with a list of what they were. Both may be
deleted at any time, and are never shared.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
from collections.abc import Iterable
from typing import NamedTuple

from roar.config.model import Reversible
from roar.errors import AmbiguousError
from roar.git import locks
from roar.git.repository import Repository
from roar.hashing import digest_file
from roar.paths import below, from_fs
from roar.store.folder import Folder
from roar.trace.start import COPIES

log = logging.getLogger(__name__)

_LIST = "list"
_SHORTEST = 4


class Copy(NamedTuple):
    """One version of a file that is no more. ``path`` is as in records; ``job`` overwrote it at ``time_ns``."""

    hash: str
    path: str
    size: int
    job: str
    time_ns: int


def store(repo: Repository) -> Folder:
    """Where the bytes are."""
    return Folder(os.path.join(repo.own_dir, "kept"))


def take_in(
    repo: Repository, copies: Iterable[tuple[str, str]], job: str, time_ns: int, limits: Reversible
) -> list[Copy]:
    """Give the copies their names, forget the oldest beyond the limits, and say what was taken in.

    Copies of what is still there, byte code, and what cannot be read are dropped. Raises ``OSError``.
    """
    kept, top = store(repo), repo.require_work_tree()
    found = []
    for path, copy in copies:
        if os.path.dirname(copy) != os.path.join(repo.own_dir, COPIES):
            continue
        try:
            digest = digest_file(copy)
            if "/__pycache__/" not in path and not _holds(path, digest.hash):
                named = Copy(digest.hash, from_fs(below(path, top) or path), digest.stat.st_size, job, time_ns)
                found.append((copy, named))
                continue
        except OSError as error:
            log.debug("%s cannot be kept: %s", copy, error)
        with contextlib.suppress(OSError):
            os.unlink(copy)
    taken = [named for _, named in found]
    if taken:
        os.makedirs(kept.name, exist_ok=True)
        with locks.exclusive(os.path.join(kept.name, "lock")):
            for copy, named in found:
                place = kept.place(named.hash)
                os.makedirs(os.path.dirname(place), exist_ok=True)
                os.replace(copy, place)
            _write(repo, _within(kept, [*listed(repo), *taken], limits.max_total_size))
    return taken


def listed(repo: Repository) -> list[Copy]:
    """All copies, oldest first, but for damaged lines."""
    found = []
    with (
        contextlib.suppress(FileNotFoundError),
        open(os.path.join(store(repo).name, _LIST), encoding="utf-8", errors="replace") as file,
    ):
        for line in file:
            with contextlib.suppress(ValueError, TypeError):
                found.append(Copy(*json.loads(line)))
    return found


def find(repo: Repository, text: str) -> Copy | None:
    """The latest copy whose hash begins so. Raises ``AmbiguousError`` when several contents do."""
    found = [copy for copy in listed(repo) if len(text) >= _SHORTEST and copy.hash.startswith(text.lower())]
    if len({copy.hash for copy in found}) > 1:
        names = ", ".join(sorted({copy.hash[:16] for copy in found}))
        raise AmbiguousError(f"{text} may be {names}", "type more of it")
    return found[-1] if found else None


def _holds(path: str, content: str) -> bool:
    try:
        return digest_file(path).hash == content
    except OSError:
        return False


def _within(kept: Folder, copies: list[Copy], limit: int) -> list[Copy]:
    """The newest copies that fit into the limit; the bytes of the others are deleted."""
    newest: dict[str, int] = {}
    total = 0
    for copy in reversed(copies):
        if copy.hash not in newest and total + copy.size <= limit:
            newest[copy.hash] = copy.size
            total += copy.size
    for content in {copy.hash for copy in copies}.difference(newest):
        with contextlib.suppress(FileNotFoundError):
            os.unlink(kept.place(content))
    return [copy for copy in copies if copy.hash in newest]


def _write(repo: Repository, copies: list[Copy]) -> None:
    path = os.path.join(store(repo).name, _LIST)
    with open(path + ".new", "w", encoding="utf-8") as file:
        file.writelines(json.dumps(copy) + "\n" for copy in copies)
    os.replace(path + ".new", path)
