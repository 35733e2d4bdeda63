"""The active session of a work tree: a record in the journal, its id in a file of the git directory."""

from __future__ import annotations

import contextlib
import glob
import os
from collections.abc import Collection

from roar.config.model import Sign
from roar.errors import RoarError
from roar.git import locks, settings
from roar.git.repository import Repository
from roar.hashing import digest_bytes
from roar.journal.append import append
from roar.paths import from_fs
from roar.records.ids import LENGTH, normalise
from roar.records.job import Session


def active(repo: Repository) -> str | None:
    """The id of this work tree's active session, or None when there is none yet."""
    return _read(_path(repo))


def active_or_new(repo: Repository, sign: Sign | None = None) -> str:
    """The active session, begun now when there is none. Raises what ``append`` raises."""
    found = active(repo)
    if found:
        return found
    os.makedirs(os.path.dirname(_path(repo)), exist_ok=True)
    with locks.exclusive(_path(repo) + ".lock"):
        found = active(repo)
        if found is None:
            found = begin(repo, sign=sign)
            activate(repo, found)
    return found


def for_run(repo: Repository, name: str, sign: Sign | None = None) -> str:
    """The open session with a name or id, for a job to join; begun now when there is none.

    What a name stands for is kept beside the index, so that many runs at once mean the same one. Raises what ``append``
    raises.
    """
    repo.make_own_dir()
    place = os.path.join(repo.own_dir, "sessions", digest_bytes(name.encode())[:32])
    os.makedirs(os.path.dirname(place), exist_ok=True)
    with locks.exclusive(os.path.join(repo.own_dir, "sessions", "lock")):
        found = _read(place)
        if found is None:
            found = _known(repo, name) or begin(repo, name=name, sign=sign)
            _write(place, found)
    return found


def _known(repo: Repository, name: str) -> str | None:
    # A run opens the index only for this, the first time that a name is used here; the command is running meanwhile.
    from roar.cache.index import open_index
    from roar.verbs import session_table

    with open_index(repo) as index:
        try:
            row = session_table.find(index, name)
        except RoarError:
            return None
    return row.id if row.state == "open" else None


def begin(repo: Repository, *, name: str | None = None, reproduction: bool = False, sign: Sign | None = None) -> str:
    """Record a new session and give its id."""
    who = from_fs(settings.identity(repo))
    purpose = "reproduction" if reproduction else "work"

    def draft(clock: int, writer: str) -> Session:
        return Session.model_validate({"clock": clock, "writer": writer, "user": who, "name": name, "purpose": purpose})

    return append(repo, draft, sign=sign).identifier


def activate(repo: Repository, identifier: str) -> None:
    """Make a session the active one of this work tree."""
    os.makedirs(os.path.dirname(_path(repo)), exist_ok=True)
    _write(_path(repo), identifier)


def leave(repo: Repository, identifiers: Collection[str]) -> None:
    """Let no work tree and no name of this repository stand for these sessions any more."""
    for place in _places(repo):
        if _read(place) in identifiers:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(place)


def forget(repo: Repository) -> None:
    """The same for all sessions."""
    leave(repo, {identifier for place in _places(repo) if (identifier := _read(place))})


def _places(repo: Repository) -> list[str]:
    """The files that hold a session's id: of each work tree, and of each name."""
    common = glob.escape(repo.common_dir)
    patterns = ("roar/session", "worktrees/*/roar/session", "roar/sessions/*")
    return [path for pattern in patterns for path in glob.glob(os.path.join(common, pattern))]


def _read(path: str) -> str | None:
    try:
        with open(path, encoding="ascii") as file:
            identifier = file.read().strip()
    except (OSError, UnicodeDecodeError):
        return None
    return identifier if len(identifier) == LENGTH and normalise(identifier) == identifier else None


def _write(path: str, identifier: str) -> None:
    temporary = f"{path}.{os.getpid()}"
    with open(temporary, "w", encoding="ascii") as file:
        file.write(identifier + "\n")
    os.replace(temporary, path)


def _path(repo: Repository) -> str:
    return os.path.join(repo.git_dir, "roar", "session")
