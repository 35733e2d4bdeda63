"""The log of a project over HTTP: its checkpoint, proofs, and the entries themselves for whoever watches it."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Request
from pydantic import BaseModel, StringConstraints

from roar.errors import UsageError
from roar.server import access, answers, log
from roar.server.log import Log
from roar.server.people import Role
from roar.server.storage import Storage

router = APIRouter(prefix="/api/v1/projects/{project:path}/log", responses=answers.ERRORS, tags=["log"])

MOST_IDS = 100
MOST_ENTRIES = 5000
_Id = Annotated[str, StringConstraints(pattern=r"^[0-9A-HJKMNP-TV-Z]{26}$")]


class Signed(BaseModel):
    """The newest checkpoint, signed, and the key that signs (a line of a ``.pub`` file)."""

    checkpoint: str
    key: str


class Proof(BaseModel):
    """Where a record stands in the log, and the hashes from its leaf up to the root, in hexadecimal digits."""

    id: str
    index: int
    hashes: list[str]


class Proofs(BaseModel):
    """Proofs for the log of this size; ``missing`` are ids that are not in it."""

    size: int
    proofs: list[Proof]
    missing: list[str]


class Consistency(BaseModel):
    """The proof that the log of one size begins with that of another."""

    hashes: list[str]


class Leaf(BaseModel):
    """An entry: the record's id and the BLAKE3 of its bytes."""

    id: str
    content: str


class Leaves(BaseModel):
    """Entries from ``start`` on, in order."""

    start: int
    entries: list[Leaf]


@router.get("/checkpoint")
def checkpoint(project: str, request: Request) -> Signed:
    """The newest checkpoint. Every record that was accepted before the request is in it."""
    storage = _readable(project, request)
    found = log.extend(storage.repo(project), storage.root)
    with open(log.key_path(storage.root) + ".pub", encoding="utf-8") as file:
        return Signed(checkpoint=found.signed, key=" ".join(file.read().split()[:2]))


@router.get("/proof")
def proof(
    project: str,
    request: Request,
    ids: Annotated[list[_Id], Query(alias="id", max_length=MOST_IDS)],
    size: Annotated[int, Query(ge=1)],
) -> Proofs:
    """Proofs that records are in the log of a size that a checkpoint had."""
    found = _log(project, request, size)
    entries = found.find(ids, size)
    return Proofs(
        size=size,
        proofs=[
            Proof(id=entry.id, index=entry.place, hashes=[part.hex() for part in found.inclusion(entry.place, size)])
            for entry in entries.values()
        ],
        missing=sorted(set(ids) - entries.keys()),
    )


@router.get("/consistency")
def consistency(
    project: str, request: Request, old: Annotated[int, Query(ge=1)], new: Annotated[int, Query(ge=1)]
) -> Consistency:
    """The proof that the log of size ``new`` begins with that of size ``old``."""
    if old > new:
        raise UsageError(f"a log of {new} entries does not begin with {old}")
    return Consistency(hashes=[part.hex() for part in _log(project, request, new).consistency(old, new)])


@router.get("/entries")
def entries(
    project: str, request: Request, start: Annotated[int, Query(ge=0)] = 0, limit: Annotated[int, Query(ge=1)] = 1000
) -> Leaves:
    """The log itself, piece by piece."""
    found = _log(project, request, 0)
    end = min(start + min(limit, MOST_ENTRIES), found.checkpoint.size)
    return Leaves(
        start=start,
        entries=[Leaf(id=entry.id, content=entry.content) for entry in found.entries(start, max(start, end))],
    )


def _readable(project: str, request: Request) -> Storage:
    """The storage, if the caller may read the project. Raises ``access.Denied``."""
    storage: Storage = request.app.state.storage
    access.require(access.caller(request, storage), project, Role.READ)
    return storage


def _log(project: str, request: Request, size: int) -> Log:
    found = Log(_readable(project, request).repo(project))
    if size > found.checkpoint.size:
        raise UsageError(f"the log has {found.checkpoint.size} entries, not {size}", "ask for its checkpoint first")
    return found
