"""Registrations that wait for a remote that could not be reached: what was asked for; the records are in git."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Callable
from typing import NamedTuple

from roar.git import locks
from roar.git.repository import Repository

_FILE = "to-register.json"


class Waiting(NamedTuple):
    """What is to be registered with a remote: a name that means the same anywhere here, None for everything; and
    whether with the commits that jobs ran on, and with the code beside the records.
    """

    remote: str
    name: str | None
    code: bool
    overlay: bool = True


def waiting(repo: Repository) -> list[Waiting]:
    """All that wait, the oldest first; a damaged list is none: what it asked for can be asked for again."""
    try:
        with open(os.path.join(repo.own_dir, _FILE), encoding="utf-8") as file:
            return [Waiting(*fields) for fields in json.load(file)]
    except (FileNotFoundError, ValueError, TypeError):
        return []


def add(repo: Repository, one: Waiting) -> None:
    """Let one wait, unless it does already. Raises ``OSError``."""
    _change(repo, lambda known: [*(each for each in known if each != one), one])


def done(repo: Repository, one: Waiting) -> None:
    """One waits no more. Raises ``OSError``."""
    if one in waiting(repo):
        _change(repo, lambda known: [each for each in known if each != one])


def _change(repo: Repository, change: Callable[[list[Waiting]], list[Waiting]]) -> None:
    repo.make_own_dir()
    with locks.exclusive(os.path.join(repo.own_dir, "to-register.lock")):
        fd, temporary = tempfile.mkstemp(dir=repo.own_dir)
        with os.fdopen(fd, "w", encoding="utf-8") as file:
            json.dump(change(waiting(repo)), file)
        os.replace(temporary, os.path.join(repo.own_dir, _FILE))
