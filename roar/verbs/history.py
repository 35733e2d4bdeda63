"""The jobs that were recorded, newest first."""

from __future__ import annotations

from typing import NamedTuple

from roar.cache.index import Index
from roar.records.job import Job


class History(NamedTuple):
    """The newest jobs with their ids, and how many there are in all; ``withdrawn`` are all that were withdrawn."""

    jobs: list[tuple[str, Job]]
    total: int
    withdrawn: set[str]


def history(
    index: Index, limit: int | None = None, *, withdrawn: bool = False, label: tuple[str, str | None] | None = None
) -> History:
    """The newest jobs, at most ``limit`` of them; with those that were withdrawn when asked for.

    ``label``: only those that have this label, a key and a value (None: any).
    """
    taken_back = set(index.withdrawn())
    if label is not None:
        labelled = index.labelled(*label)
        found = [job for job in index.jobs(withdrawn=withdrawn) if job in labelled]
        return History(list(index.load_jobs(found[:limit]).items()), len(found), taken_back & labelled)
    found = index.jobs(limit=limit, withdrawn=withdrawn)
    total = len(found)
    if limit is not None and total >= limit:
        total = index.count_jobs() + (len(taken_back) if withdrawn else 0)
    return History(list(index.load_jobs(found).items()), total, taken_back)
