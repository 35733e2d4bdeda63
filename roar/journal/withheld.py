"""Records without their overlays, for a remote that is not to have those: chains of segments beside our own.

    refs/roar/jobs/<yyyy>/<writer>-bare     on that remote; here there is the copy of what the remote has, and no more

The records keep their bytes and ids, and their manifests lie beside them. Beside each of which something was left out
lies ``withheld``, so that nobody takes it for damaged.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping

from roar.config.model import Sign
from roar.git import objects, settings
from roar.git.objects import FILE_MODE, Reader
from roar.git.repository import Repository
from roar.journal import JOBS, WITHHELD, archive, segments
from roar.journal.read import Stored
from roar.journal.segments import Item
from roar.records import codec
from roar.records.ids import clock_of

_BARE = "-bare"
_LONGEST = 64
"""Characters of a writer's name."""
OVERLAYS = (b"files", b"repositories")
"""The folders beside a record that hold its overlays."""


def bare_name(writer: str) -> str:
    """The name under which a writer shares records without overlays."""
    return writer[: _LONGEST - len(_BARE)] + _BARE


def extend(
    repo: Repository, items: Iterable[Stored], there: Mapping[str, str], writer: str, sign: Sign
) -> dict[str, str]:
    """Write commits that hold these records without overlays, on what a remote has of such chains.

    ``there`` maps refs, by their names on the remote, to commits; the answer maps the refs of ``writer`` that are to
    move to their new ends. Nothing here leads to those before the remote has them. Raises ``GitError``, ``OSError``.
    """
    years: dict[int, list[Item]] = {}
    dates: dict[str, int] = {}
    with Reader(repo) as reader:
        for stored in items:
            identifier = codec.identify_bytes(stored.body)
            year = time.gmtime(clock_of(identifier) // 1000).tm_year
            years.setdefault(year, []).append(Item(identifier, stored.body, _without_overlays(repo, reader, stored)))
            dates[identifier] = reader.commit(stored.commit).date
        moved = {}
        for year, some in years.items():
            ref = f"{JOBS}{year}/{bare_name(writer)}"
            tip = there.get(ref)
            date = reader.commit(tip).date if tip else 0
            for portion in segments.portions(iter(sorted(some))):
                date = max([date, *(dates[item.identifier] for item in portion)])
                tip = moved[ref] = segments.write(repo, portion, tip, settings.identity(repo), date, sign=sign)
    return moved


def _without_overlays(repo: Repository, reader: Reader, stored: Stored) -> list[tuple[bytes, bytes, str]]:
    """What lies beside a record, but for its overlays; their names are in ``withheld`` instead."""
    around = archive.beside(reader, stored)
    left_out = [name for _, name, _ in around if name in OVERLAYS]
    if not left_out:
        return around
    mark = objects.write(repo, "blob", b"".join(name + b"\n" for name in sorted(left_out)))
    kept = [entry for entry in around if entry[1] not in (*OVERLAYS, WITHHELD)]
    return sorted([*kept, (FILE_MODE, WITHHELD, mark)], key=lambda entry: entry[1])
