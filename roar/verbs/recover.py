"""What was saved aside comes into the journal."""

from __future__ import annotations

import os
from typing import NamedTuple

from roar.errors import RecordError
from roar.git.repository import Repository
from roar.journal import spool
from roar.journal.append import bring_in
from roar.verbs import aside


class Recovered(NamedTuple):
    """Ids that are in the journal now, and files that hold no whole record."""

    recovered: list[str]
    broken: list[str]


def recover(repo: Repository) -> Recovered:
    """Bring in every record of this repository that was saved aside. Raises what appending raises."""
    waiting = [path for parent in spool.places(repo) for path in spool.entries(parent)]
    recovered = bring_in(repo, waiting, patience_seconds=30.0)
    broken = [path for path in waiting if os.path.exists(path)]
    for path in spool.reports_of(repo):
        try:
            recovered.append(aside.record_report(repo, path))
        except RecordError:
            broken.append(path)
    return Recovered(recovered, broken)
