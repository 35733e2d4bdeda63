"""What a step of a plan lacks here: inputs, its commit, what was kept beside its record."""

from __future__ import annotations

from collections.abc import Callable

from roar.hashing import digest_bytes
from roar.records.job import Job, OverlayFile
from roar.records.summary import printable
from roar.verbs.inputs import Sources
from roar.verbs.plan import Need, Stop

WITHHELD = "was left out when its record was shared"


def missing(number: int, needs: list[Need], last_seen: Callable[[str], str]) -> list[Stop]:
    """Inputs that are nowhere, and who had them last."""
    return [
        Stop(number, source.note or "it is not here", f"--input {file.hash}=PATH", file, last_seen(file.hash or ""))
        for file, source in needs
        if source.kind == "missing"
    ]


def no_commit(number: int, job: Job, sources: Sources) -> Stop:
    """That its code is not here, and where it may be had."""
    commit = job.code.commit or ""
    host = printable(job.environment.machine.hostname or "the machine that ran it")
    place = sources.remote()
    hint = f"git fetch {place} {commit}; if it is not there, push it from {host}"
    if place is None:
        hint = f"git fetch URL {commit}, with the repository on {host}; or there: roar register --all --with-code"
    return Stop(number, f"its commit {commit[:12]} is not in this repository", hint)


def damaged(number: int, lay: list[tuple[OverlayFile, str]], sources: Sources, *, withheld: bool) -> list[Stop]:
    """What of the overlay is not here, or not what its record says."""
    stops = []
    for entry, blob in lay:
        body = sources.body(blob) if blob else None
        if entry.state != "deleted" and (body is None or digest_bytes(body) != entry.hash):
            what = "is damaged" if body is not None else WITHHELD if withheld else "is missing"
            stops.append(Stop(number, f"the kept copy of {printable(entry.path)} {what}", "git fsck"))
    return stops
