"""How often jobs were run again, on how many machines, and with how many results that differed."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from roar.cache.index import Index


class Repeated(NamedTuple):
    """``machines`` counts the names of machines that are known; ``differed`` the runs that did not write the same."""

    times: int
    machines: int
    differed: int


def repeated(index: Index, jobs: Iterable[str], content: str | None = None) -> Repeated:
    """How these jobs fared when they were run again: whether every output whose content is known came out the same.

    With ``content`` only outputs with this hash count.
    """
    originals = index.originals(jobs)
    uses = index.uses({*originals, *originals.values()})

    def wrote(job: str) -> dict[str, str | None]:
        return {use.path: use.hash for use in uses.get(job, ([], []))[1]}

    differed = 0
    for again, original in originals.items():
        found = wrote(again)
        asked = {path: known for path, known in wrote(original).items() if known and content in (None, known)}
        differed += any(found.get(path) != known for path, known in asked.items())
    hosts = {job.environment.machine.hostname for job in index.load_jobs(originals).values()} - {None}
    return Repeated(len(originals), len(hosts), differed)
