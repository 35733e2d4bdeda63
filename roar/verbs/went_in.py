"""What went into a recorded thing from outside of its lineage: sourced, when it is said where it came from, or not."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Literal, NamedTuple

from roar.cache.index import Index
from roar.errors import NotFoundError
from roar.git.repository import Repository
from roar.records.job import File, Job
from roar.records.summary import printable
from roar.stamps import Stamps
from roar.store.folder import Folder
from roar.verbs.ancestry import Ancestry, Product, ancestry
from roar.verbs.inputs import Kind, Known, Places, Sources
from roar.verbs.resolve import Target

Origin = Literal["git", "kept", "store", "declared", "unsourced"]
"""``git``: tracked at a job's commit · ``kept``: beside a job's record · ``store``: in the store, a
folder · ``declared``: the user said so and nobody saw it · ``unsourced``: nothing that was tracked made it."""


class Input(NamedTuple):
    """Something from outside. ``place`` is the commit, or for an unsourced one the withdrawn job that made it, if any;
    ``had`` says of an unsourced one how its content can be had here, ``note`` why it cannot.
    """

    path: str
    hash: str | None
    size: int
    origin: Origin
    used_by: list[str]
    place: str | None = None
    had: Kind | None = None
    note: str = ""

    @property
    def is_here(self) -> bool:
        """True for an unsourced input whose content is here."""
        return self.had in ("work tree", "in place")


class WentIn(NamedTuple):
    """The jobs of the lineage, what came from outside, and the files that the jobs made and others of them read."""

    jobs: dict[str, Job]
    inputs: list[Input]
    between: list[Product]

    @property
    def unsourced(self) -> list[Input]:
        """Those that nothing tracked made."""
        return [item for item in self.inputs if item.origin == "unsourced"]


def went_in(index: Index, repo: Repository, target: Target) -> WentIn:
    """All that went into a target. Raises ``NotFoundError`` when no recorded job made it."""
    found = ancestry(index, target)
    if not found.jobs:
        name = target.path or target.id
        raise NotFoundError(f"no recorded job made {printable(name)}", "roar run CMD, with the command that makes it")
    memo = Stamps(repo.own_dir)
    known = Known(lambda content: [use.path for use in index.names(content)])
    sources = Sources(repo, Places(all_of_git=False), known, memo)
    try:
        inputs = _inputs(found, sources, cache(index.is_withheld))
    finally:
        sources.close()
        memo.close()
    between = [product for product in found.products if product.made_by and product.used_by]
    return WentIn(found.jobs, inputs, between)


def _inputs(found: Ancestry, sources: Sources, is_withheld: Callable[[str], bool]) -> list[Input]:
    """The unsourced ones first, then by path."""
    store = sources.store if isinstance(sources.store, Folder) else None  # a question sends nothing anywhere
    seen: dict[tuple[str, str | None, Origin, str | None], Input] = {}
    for item in found.lineage.external:
        job = found.jobs[item.consumer]
        origin: Origin = "unsourced"
        place = found.withdrawn_makers.get(item.hash or "")
        if item.code and item.path not in job.code.kept:
            origin, place = "git", job.code.commit_of(item.path)
        elif item.code and not is_withheld(item.consumer):
            origin, place = "kept", None
        elif store is not None and item.hash and store.has(item.hash, item.size):
            origin = "store"
        key = (item.path, item.hash, origin, place)
        if key not in seen:
            known = Input(item.path, item.hash, item.size, origin, [], place)
            seen[key] = _looked_for(known, sources) if origin == "unsourced" else known
        seen[key].used_by.append(item.consumer)
    for identifier, job in found.jobs.items():
        for hint in job.hints:
            if hint.side == "input":
                declared = Input(hint.ref, None, 0, "declared", [])
                seen.setdefault((hint.ref, None, "declared", None), declared).used_by.append(identifier)
    return sorted(seen.values(), key=lambda item: (item.origin != "unsourced", item.origin, item.path, item.hash or ""))


def _looked_for(item: Input, sources: Sources) -> Input:
    source = sources.find(File(path=item.path, hash=item.hash, size=item.size), None)
    return item._replace(had=source.kind, note=source.note)
