"""The active session of a work tree: a record in the journal, its id in a file of the git directory."""

from __future__ import annotations

import os

from roar.config.model import Sign
from roar.git import locks, settings
from roar.git.repository import Repository
from roar.journal.append import append
from roar.paths import from_fs
from roar.records.ids import LENGTH, normalise
from roar.records.job import Session


def active(repo: Repository) -> str | None:
    """The id of this work tree's active session, or None when there is none yet."""
    try:
        with open(_path(repo), encoding="ascii") as file:
            identifier = file.read().strip()
    except (OSError, UnicodeDecodeError):
        return None
    return identifier if len(identifier) == LENGTH and normalise(identifier) == identifier else None


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


def begin(repo: Repository, *, name: str | None = None, reproduction: bool = False, sign: Sign | None = None) -> str:
    """Record a new session and give its id."""
    who = from_fs(settings.identity(repo))
    purpose = "reproduction" if reproduction else "work"

    def draft(clock: int, writer: str) -> Session:
        return Session.model_validate({"clock": clock, "writer": writer, "user": who, "name": name, "purpose": purpose})

    return append(repo, draft, sign=sign).identifier


def activate(repo: Repository, identifier: str) -> None:
    """Make a session the active one of this work tree."""
    temporary = f"{_path(repo)}.{os.getpid()}"
    with open(temporary, "w", encoding="ascii") as file:
        file.write(identifier + "\n")
    os.replace(temporary, _path(repo))


def _path(repo: Repository) -> str:
    return os.path.join(repo.git_dir, "roar", "session")
