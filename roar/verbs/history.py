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


def history(index: Index, limit: int | None = None, *, withdrawn: bool = False) -> History:
    """The newest jobs, at most ``limit`` of them; with those that were withdrawn when asked for."""
    found = index.jobs(limit=limit, withdrawn=withdrawn)
    taken_back = set(index.withdrawn())
    total = len(found)
    if limit is not None and total >= limit:
        total = index.count_jobs() + (len(taken_back) if withdrawn else 0)
    return History(list(index.load_jobs(found).items()), total, taken_back)
