"""Records that were saved aside come into the journal."""

from __future__ import annotations

import os
from typing import NamedTuple

from roar.git.repository import Repository
from roar.journal import spool
from roar.journal.append import bring_in
from roar.paths import state_folder


class Recovered(NamedTuple):
    """Ids that are in the journal now, and folders that hold no whole record."""

    recovered: list[str]
    broken: list[str]


def recover(repo: Repository) -> Recovered:
    """Bring in every record of this repository that was saved aside. Raises what appending raises."""
    recovered, broken = [], []
    aside = os.path.join(state_folder(), "aside")
    for parent in (repo.own_dir, aside):
        mine = [f for f in spool.entries(parent) if parent == repo.own_dir or _belongs(f, repo)]
        recovered += bring_in(repo, mine, patience_seconds=30.0) if mine else []
        broken += [f for f in mine if os.path.isdir(f)]
    return Recovered(recovered, broken)


def _belongs(folder: str, repo: Repository) -> bool:
    try:
        with open(os.path.join(folder, "repository"), encoding="utf-8", errors="surrogateescape") as file:
            return file.read().rstrip("\n") == repo.common_dir
    except OSError:
        return False
