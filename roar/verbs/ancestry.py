"""The lineage of a recorded thing, upwards to where it came from or downwards to what was made of it."""

from __future__ import annotations

from typing import Literal, NamedTuple

from roar.cache.index import Index
from roar.lineage import Lineage, Use, among, downstream, upstream
from roar.records.job import Job
from roar.verbs.resolve import Target


class Product(NamedTuple):
    """A file of a lineage: who made it (perhaps a job beyond), if any, and which jobs of the lineage read it."""

    use: Use
    made_by: str | None
    used_by: list[str]


class Ancestry(NamedTuple):
    """Jobs in order of dependency with their files, what connects them, and every data file among them.

    ``lineage.cut`` holds the jobs that a limit left out. ``withdrawn`` are those of the jobs and contents
    that were taken back; ``withdrawn_makers`` the withdrawn jobs that made what no other did.
    """

    lineage: Lineage
    jobs: dict[str, Job]
    uses: dict[str, tuple[list[Use], list[Use]]]
    products: list[Product]
    withdrawn: set[str]
    withdrawn_makers: dict[str, str]


Direction = Literal["up", "down", "both"]


def ancestry(
    index: Index,
    target: Target,
    *,
    direction: Direction = "up",
    depth: int | None = None,
    to: Target | None = None,
    most: int | None = None,
) -> Ancestry:
    """The lineage of a target. ``depth`` counts jobs from it, 1 being the nearest. ``to``: only what lies between.
    ``most``: in each direction at most so many jobs, the nearest.

    Upwards an artifact begins with the job that made it, the newest when several did; downwards with the jobs that
    read it.
    """
    if to is None:
        lineage = _walk(index, target, direction, depth, most)
    else:
        lineage = _between(index, _walk(index, target, direction, depth), to, direction, most)
    return _told(index, target, lineage)


def around(index: Index, target: Target, most: int) -> tuple[Ancestry, Ancestry, Ancestry]:
    """What ``ancestry`` gives upwards, downwards and both ways, walked once."""
    up, down = (_walk(index, target, way, None, most) for way in ("up", "down"))
    return _told(index, target, up), _told(index, target, down), _told(index, target, _joined(index, [up, down]))


def _told(index: Index, target: Target, lineage: Lineage) -> Ancestry:
    """The lineage of a target, with all that is to be said of it."""
    uses = lineage.uses
    products = _products(lineage, uses, target.id)
    if target.kind == "artifact" and not any(product.use.hash == target.id for product in products):
        # made by nobody and asked upwards, or read by nobody and asked downwards: then nothing else mentions it
        maker = next(iter(roots(index, target, "up")), None)
        products[:0] = [Product(use, maker, []) for use in index.names(target.id)[:1]]
    contents = {product.use.hash for product in products if product.use.hash}
    withdrawn = set(index.corrections("withdrawal", [*lineage.jobs, *contents]))
    nobodys = {product.use.hash for product in products if product.use.hash and product.made_by is None}
    makers = index.withdrawn_makers(nobodys)
    return Ancestry(lineage, index.load_jobs(lineage.jobs), uses, products, withdrawn, makers)


def which_way(index: Index, target: Target, end: Target) -> Direction | None:
    """Up when ``end`` lies before the target, down when it lies after it, None when they are not connected."""
    if set(upstream(index, roots(index, target, "up")).jobs).intersection(roots(index, end, "down")):
        return "up"
    if set(downstream(index, roots(index, target, "down")).jobs).intersection(roots(index, end, "up")):
        return "down"
    return None


def _between(index: Index, whole: Lineage, to: Target, direction: Direction, most: int | None) -> Lineage:
    """Of a lineage, the jobs that also lie on the way back from its other end."""
    leads: dict[str, list[str]] = {}
    for edge in whole.edges:
        start, end = (edge.consumer, edge.producer) if direction == "down" else (edge.producer, edge.consumer)
        leads.setdefault(start, []).append(end)
    known = set(whole.jobs)
    waiting = [job for job in roots(index, to, "up" if direction == "down" else "down") if job in known]
    found = dict.fromkeys(waiting)
    while waiting:
        new = [job for job in leads.get(waiting.pop(), ()) if job not in found]
        found.update(dict.fromkeys(new))
        waiting += new
    kept = list(found)[:most]
    return among(index, kept, list(found)[len(kept) :])


def _walk(index: Index, target: Target, direction: Direction, depth: int | None, most: int | None = None) -> Lineage:
    ways = {"up": upstream, "down": downstream}
    asked = {name: way for name, way in ways.items() if direction in (name, "both")}
    found = [way(index, roots(index, target, name), depth, most) for name, way in asked.items()]
    return found[0] if len(found) == 1 else _joined(index, found)


def _joined(index: Index, found: list[Lineage]) -> Lineage:
    jobs = {job for lineage in found for job in lineage.jobs}
    return among(index, jobs, {job for lineage in found for job in lineage.cut if job not in jobs})


def roots(index: Index, target: Target, direction: str) -> list[str]:
    """The jobs with which a lineage begins: of an artifact, upwards, the one that made it."""
    if target.kind == "job":
        return [target.id]
    if target.kind == "session":
        return index.jobs(session=target.id)
    if target.kind == "commit":
        return index.jobs_at(target.id)
    if direction == "down":
        return index.consumers(target.id)
    return index.producers(target.id)[:1]


def _products(lineage: Lineage, uses: dict[str, tuple[list[Use], list[Use]]], asked: str) -> list[Product]:
    """In order of dependency: what came from outside, then the outputs of each job. Without code, which git knows,
    but for what was ``asked`` about.
    """
    found: dict[tuple[str | None, str, str | None], Product] = {}
    came: list[tuple[str, str | None, str, str | None]] = []
    came += [(item.path, item.hash, item.consumer, None) for item in lineage.external]
    came += [(edge.path, edge.hash, edge.consumer, edge.producer) for edge in lineage.beyond]
    inputs = {(job, use.path): use for job, (read, _) in uses.items() for use in read}
    for path, content, consumer, maker in sorted(came, key=lambda item: (item[0], item[2])):
        use = inputs[consumer, path]
        if not use.code or content == asked:
            found.setdefault((maker, path, content), Product(use, maker, [])).used_by.append(consumer)
    readers: dict[tuple[str, str], list[str]] = {}
    for edge in lineage.edges:
        readers.setdefault((edge.producer, edge.hash), []).append(edge.consumer)
    for job in lineage.jobs:
        for use in uses.get(job, ([], []))[1]:
            used_by = readers.get((job, use.hash), []) if use.hash else []
            found[job, use.path, use.hash] = Product(use, job, list(dict.fromkeys(used_by)))
    return list(found.values())
