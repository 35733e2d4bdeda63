"""The jobs that were recorded, newest first."""

from __future__ import annotations

from typing import NamedTuple

from roar.cache.index import Index
from roar.records.job import Job


class History(NamedTuple):
    """The newest jobs with their ids, and how many there are in all."""

    jobs: list[tuple[str, Job]]
    total: int


def history(index: Index, limit: int | None = None) -> History:
    """The newest jobs, at most ``limit`` of them."""
    found = index.jobs(limit=limit)
    total = len(found) if limit is None or len(found) < limit else index.count_jobs()
    return History(list(index.load_jobs(found).items()), total)
