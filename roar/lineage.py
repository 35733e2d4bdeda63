"""Lineage: which job made what another one read, and everything up or down from there.

Two jobs are connected by content: one wrote the bytes that the other read. Where several jobs wrote the same bytes,
``choose_producer`` decides, and everything here agrees with it. Time and memory are linear in what is walked, a
chain of any length is walked without recursion, and a cycle (clocks that disagree) ends.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple, Protocol


class Use(NamedTuple):
    """A file that a job read or wrote. ``hash`` None: the content is not known. ``size`` in bytes.

    ``code``: its content is in git, tracked at the job's commit or kept in its overlay.
    """

    path: str
    hash: str | None
    size: int
    code: bool = False


class Made(NamedTuple):
    """That a job wrote some content to a path. ``started_ns`` is the job's start since the epoch."""

    job: str
    path: str
    started_ns: int
    again: bool
    """True when the job runs another one again."""
    home: str = ""
    """Among whose records this one stands, where there are several: a project. A job of two is told of twice."""


class Span(NamedTuple):
    """When a job ran, in nanoseconds since the epoch, and whether it runs another one again."""

    started_ns: int
    ended_ns: int
    again: bool
    homes: tuple[str, ...] = ("",)
    """Among whose records it stands."""


class Records(Protocol):
    """What lineage asks of the records; the index answers. Each question is about many jobs (or hashes) at once."""

    def nearby(self, jobs: Iterable[str], *, down: bool, limit: int) -> list[str]:
        """The jobs and those that content connects them to, nearest first, at least the jobs themselves."""

    def spans(self, jobs: Iterable[str]) -> dict[str, Span]:
        """When each job ran; unknown ones are absent."""

    def uses(self, jobs: Iterable[str]) -> dict[str, tuple[list[Use], list[Use]]]:
        """The inputs and the outputs of each job, by path."""

    def made(self, hashes: Iterable[str]) -> dict[str, list[Made]]:
        """Who wrote each content, in order of start; where there are several homes, those of the best first."""

    def read_by(self, hashes: Iterable[str]) -> dict[str, list[str]]:
        """The jobs that read each content."""


class Edge(NamedTuple):
    """A file that leads from one job to another."""

    producer: str
    consumer: str
    path: str
    """As the consumer names it."""
    hash: str


class External(NamedTuple):
    """An input that no recorded job made."""

    consumer: str
    path: str
    hash: str | None
    size: int
    code: bool
    """Its content is in git, tracked at the job's commit or kept in its overlay."""


class Lineage(NamedTuple):
    """Jobs in order of dependency (a producer stands before its consumers, else by time) and what connects them.

    Every input of these jobs is in one of three lists: in ``edges`` when one of them made it, in ``beyond`` when
    another job did, in ``external`` when no recorded one did. ``cut`` holds the jobs that a limit on depth or number
    left out although they belong here; what lies beyond them was not looked at. ``uses`` are the inputs and the outputs
    of each job.
    """

    jobs: list[str]
    edges: list[Edge]
    beyond: list[Edge]
    external: list[External]
    cut: list[str]
    uses: dict[str, tuple[list[Use], list[Use]]]


def choose_producer(records: Records, job: str, use: Use) -> str | None:
    """The job that made an input of ``job``, or None when no recorded one did.

    Of those that wrote this content and started before the job ended, never itself: first choice is one that does
    not merely run another again, then one that wrote it to the same path, then the latest. Code came from git and an
    empty file from anywhere, so neither is traced to another path, where the same bytes are a coincidence.

    Where records have several homes, only those of the first home that has such a job are looked at: the homes of
    ``job`` itself come first, the others follow in the order that the records give.
    """
    return choose_producers(records, job, [use])[0]


def choose_producers(records: Records, job: str, uses: Sequence[Use]) -> list[str | None]:
    """The same of each of these inputs of ``job``."""
    span = records.spans([job]).get(job)
    if span is None:
        return [None] * len(uses)
    made = {content: _Makers(found) for content, found in records.made({use.hash for use in uses if use.hash}).items()}
    return [makers.choose(job, span, use) if (makers := made.get(use.hash or "")) else None for use in uses]


def origins(records: Records, jobs: Iterable[str]) -> dict[str, list[tuple[Use, str | None]]]:
    """Each input of each job with the job that made it."""
    graph = _Graph(records)
    asked = list(dict.fromkeys(jobs))
    graph.learn_only(asked)
    return {job: graph.inputs(job) for job in asked}


def upstream(records: Records, roots: Iterable[str], depth: int | None = None, most: int | None = None) -> Lineage:
    """The jobs and everything that led to them. ``depth`` 1 is the jobs alone, 2 adds those that made their inputs.

    ``most``: at most so many jobs, the nearest.
    """
    graph = _Graph(records, most)

    def makers(job: str) -> Iterable[str | None]:
        return (maker for _, maker in graph.inputs(job))

    return _walk(graph, roots, makers, down=False, depth=depth, most=most)


def downstream(records: Records, roots: Iterable[str], depth: int | None = None, most: int | None = None) -> Lineage:
    """The jobs and everything made of what they wrote. ``depth`` 1 is the jobs alone; ``most`` as in ``upstream``."""
    graph = _Graph(records, most)
    return _walk(graph, roots, graph.consumers, down=True, depth=depth, most=most)


def _walk(
    graph: _Graph,
    roots: Iterable[str],
    beside: Callable[[str], Iterable[str | None]],
    *,
    down: bool,
    depth: int | None,
    most: int | None,
) -> Lineage:
    following = dict.fromkeys(roots)
    found: set[str] = set()
    cut: dict[str, None] = {}
    while following:
        level = list(following) if most is None else list(following)[: max(most - len(found), 0)]
        found.update(level)
        cut.update((job, None) for job in following if job not in found)
        graph.learn(level, down=down)
        depth = None if depth is None else depth - 1
        near = (job for asked in level for job in beside(asked))
        following = dict.fromkeys(job for job in near if job is not None and job not in found)
        if depth == 0:
            cut.update(following)
            following = {}
    return _lineage(graph, found, {*cut, *graph.left_out(found)} - found)


def among(records: Records, jobs: Iterable[str], cut: Iterable[str] = ()) -> Lineage:
    """These jobs and what connects them, without any others."""
    graph = _Graph(records)
    found = set(jobs)
    graph.learn_only(sorted(found))
    return _lineage(graph, found, cut)


def _lineage(graph: _Graph, jobs: set[str], cut: Iterable[str]) -> Lineage:
    """The jobs put in order, with where each of their inputs came from."""
    edges: list[Edge] = []
    beyond: list[Edge] = []
    external: list[External] = []
    for job in sorted(jobs):
        for use, producer in graph.inputs(job):
            if producer is None or use.hash is None:
                external.append(External(job, *use))
            else:
                (edges if producer in jobs else beyond).append(Edge(producer, job, use.path, use.hash))
    order = _ordered(jobs, edges)
    return Lineage(order, edges, beyond, external, sorted(cut), {job: graph.uses(job) for job in order})


def _ordered(jobs: set[str], edges: list[Edge]) -> list[str]:
    """Producers before consumers; by id, which is by time, where that leaves a choice, and to break a cycle."""
    waits = dict.fromkeys(jobs, 0)
    leads: dict[str, set[str]] = {}
    for edge in edges:
        if edge.consumer not in leads.setdefault(edge.producer, set()):
            leads[edge.producer].add(edge.consumer)
            waits[edge.consumer] += 1
    ready = [job for job, count in waits.items() if not count]
    heapq.heapify(ready)
    left = sorted(jobs, reverse=True)
    order: dict[str, None] = {}
    while len(order) < len(jobs):
        if not ready:
            while left[-1] in order:
                left.pop()
            ready.append(left.pop())
        job = heapq.heappop(ready)
        if job in order:
            continue
        order[job] = None
        for consumer in leads.get(job, ()):
            waits[consumer] -= 1
            if not waits[consumer]:
                heapq.heappush(ready, consumer)
    return list(order)


class _Graph:
    """What is known so far of the jobs around; asks for more in ever larger portions.

    A short lineage costs a few questions, and so does a chain of ten thousand jobs.
    """

    _FIRST = 50
    _GROWTH = 8

    def __init__(self, records: Records, most: int | None = None) -> None:
        """``most``: of the readers of what is learnt together at most so many are looked at."""
        self._records = records
        self._most = most
        self._limit = self._FIRST
        self._left_out: dict[str, set[str]] = {}
        """Of each content, the readers that were not looked at."""
        self._spans: dict[str, Span] = {}
        self._uses: dict[str, tuple[list[Use], list[Use]]] = {}
        self._made: dict[str, _Makers | None] = {}
        self._inputs: dict[str, list[tuple[Use, str | None]]] = {}
        self._read_by: set[str] = set()
        """The contents whose readers are adopted: known to the producers of what they read."""
        self._adopted: set[str] = set()
        self._consumers: dict[str, dict[str, None]] = {}

    def learn(self, jobs: list[str], *, down: bool) -> None:
        """Make sure that these jobs are known, with what leads to them and, when ``down``, from them."""
        unknown = [job for job in jobs if job not in self._uses or (down and self._unread(job))]
        if not unknown:
            return
        more = self._limit if self._most is None else min(self._limit, self._most)
        near = self._records.nearby(unknown, down=down, limit=len(unknown) + more)
        self._limit *= self._GROWTH
        self.learn_only(near)
        if down:
            written = {use.hash for job in near for use in self._uses[job][1] if use.hash}.difference(self._read_by)
            read_by = self._records.read_by(written)
            self._read_by.update(written)
            new = {reader for readers in read_by.values() for reader in readers}.difference(self._adopted)
            looked_at = set(sorted(new)[: self._most])
            for content, readers in read_by.items():
                self._left_out.setdefault(content, set()).update(new.intersection(readers) - looked_at)
            self._adopt(looked_at)

    def _unread(self, job: str) -> bool:
        return any(use.hash and use.hash not in self._read_by for use in self._uses[job][1])

    def learn_only(self, jobs: Iterable[str]) -> None:
        """Make sure that these jobs are known, and who made what they read."""
        new = [job for job in jobs if job not in self._uses]
        self._spans.update(self._records.spans(new))
        self._uses.update(dict.fromkeys(new, ([], [])) | self._records.uses(new))
        wanted = {use.hash for job in new for use in self._uses[job][0] if use.hash}.difference(self._made)
        made = self._records.made(wanted)
        self._made.update((content, _Makers(made[content]) if content in made else None) for content in wanted)

    def inputs(self, job: str) -> list[tuple[Use, str | None]]:
        """The inputs of a job that was learnt, each with who made it."""
        known = self._inputs.get(job)
        if known is None:
            span = self._spans.get(job)
            known = self._inputs[job] = [
                (use, makers.choose(job, span, use) if span and (makers := self._made.get(use.hash or "")) else None)
                for use in self._uses[job][0]
            ]
        return known

    def uses(self, job: str) -> tuple[list[Use], list[Use]]:
        """The inputs and the outputs of a job that was learnt."""
        return self._uses[job]

    def consumers(self, job: str) -> list[str]:
        """The jobs that read what this one, which was learnt downwards, has made."""
        return list(self._consumers.get(job, ()))

    def left_out(self, jobs: Iterable[str]) -> set[str]:
        """The readers of what these jobs wrote that were not looked at."""
        written = (use.hash for job in jobs for use in self._uses[job][1] if use.hash)
        return {reader for content in written for reader in self._left_out.get(content, ())}

    def _adopt(self, readers: set[str]) -> None:
        self.learn_only(sorted(readers))
        self._adopted |= readers
        for reader in sorted(readers):
            for _, producer in self.inputs(reader):
                if producer is not None:
                    self._consumers.setdefault(producer, {})[reader] = None


class _Makers:
    """Who wrote one content, sorted so that a choice takes logarithmic time however many they are."""

    def __init__(self, made: list[Made]) -> None:
        self._homes: dict[str, dict[tuple[bool, str | None], list[Made]]] = {}
        for home in dict.fromkeys(one.home for one in made):
            self._homes[home] = {}
        for one in sorted(made, key=lambda m: (m.started_ns, m.job)):
            by_rank = self._homes[one.home]
            by_rank.setdefault((one.again, one.path), []).append(one)
            anywhere = by_rank.setdefault((one.again, None), [])
            if not anywhere or anywhere[-1].job != one.job:
                anywhere.append(one)

    def choose(self, job: str, span: Span, use: Use) -> str | None:
        """The best of those that started before the job ended and are not the job itself."""
        for home in sorted(self._homes, key=lambda home: home not in span.homes):
            for again in (False, True):
                for where in (use.path,) if use.code or not use.size else (use.path, None):
                    found = _latest(self._homes[home].get((again, where), []), job, span.ended_ns)
                    if found is not None:
                        return found
        return None


def _latest(made: list[Made], job: str, before_ns: int) -> str | None:
    """The last of those that started before a time and are not a job itself."""
    at = _first_not_before(made, before_ns)
    while at > 0:
        at -= 1
        if made[at].job != job:
            return made[at].job
    return None


def _first_not_before(made: list[Made], time_ns: int) -> int:
    low, high = 0, len(made)
    while low < high:
        middle = (low + high) // 2
        if made[middle].started_ns < time_ns:
            low = middle + 1
        else:
            high = middle
    return low
