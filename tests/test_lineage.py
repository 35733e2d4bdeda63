"""Lineage by content: which producer is chosen, order, depth, cycles, length; and the same answers from the index."""

from __future__ import annotations

import time
from collections.abc import Iterable

import make
import pytest
from hypothesis import given
from hypothesis import strategies as st

from roar.cache.index import open_index
from roar.git.repository import Repository
from roar.lineage import Edge, Made, Span, Use, choose_producer, downstream, origins, upstream


class Jobs:
    """Records in memory: job -> (start, end, runs another again, inputs, outputs), files as "path=content"."""

    def __init__(self, **jobs: tuple[int, int, bool, str, str]) -> None:
        self.jobs = jobs
        self.questions = 0

    def _side(self, job: str, side: int) -> list[Use]:
        words = sorted(str(self.jobs[job][side]).split())
        return [Use(w.partition("=")[0], w.partition("=")[2] or None, 1) for w in words]

    def nearby(self, jobs: Iterable[str], *, down: bool, limit: int) -> list[str]:
        self.questions += 1
        found = dict.fromkeys(jobs)
        waiting = [job for job in found if job in self.jobs]
        for job in waiting:
            contents = {use.hash for use in self._side(job, 4 if down else 3)}
            for other in self.jobs:
                if len(found) < limit and contents & {use.hash for use in self._side(other, 3 if down else 4)}:
                    if other not in found:
                        waiting.append(other)
                    found[other] = None
        return list(found)

    def spans(self, jobs: Iterable[str]) -> dict[str, Span]:
        return {job: Span(*self.jobs[job][:3]) for job in jobs if job in self.jobs}

    def uses(self, jobs: Iterable[str]) -> dict[str, tuple[list[Use], list[Use]]]:
        return {job: (self._side(job, 3), self._side(job, 4)) for job in jobs if job in self.jobs}

    def made(self, hashes: Iterable[str]) -> dict[str, list[Made]]:
        found: dict[str, list[Made]] = {}
        for job, (start, _, again, _, _) in self.jobs.items():
            for use in self._side(job, 4):
                if use.hash in hashes:
                    found.setdefault(use.hash or "", []).append(Made(job, use.path, start, again))
        return found

    def read_by(self, hashes: Iterable[str]) -> dict[str, list[str]]:
        wanted = set(hashes)
        return {h: [job for job in self.jobs if h in {use.hash for use in self._side(job, 3)}] for h in wanted}


def run(
    start: int, reads: str = "", writes: str = "", *, again: bool = False, length: int = 5
) -> tuple[int, int, bool, str, str]:
    return start, start + length, again, reads, writes


def test_the_latest_job_that_started_in_time() -> None:
    jobs = Jobs(a=run(0, "", "x=1"), b=run(10, "", "x=1"), c=run(20, "x=1"), d=run(30, "", "x=1"))
    assert choose_producer(jobs, "c", Use("x", "1", 1)) == "b"


def test_the_same_path_goes_before_a_later_job() -> None:
    jobs = Jobs(a=run(0, "", "x=1"), b=run(10, "", "copy=1"), c=run(20, "x=1"))
    assert choose_producer(jobs, "c", Use("x", "1", 1)) == "a"
    assert choose_producer(jobs, "c", Use("elsewhere", "1", 1)) == "b"


def test_code_and_empty_files_come_from_no_other_path() -> None:
    jobs = Jobs(a=run(0, "", "copy=1"), b=run(10, "", "x=1"), c=run(20, "x=1"))
    for path, maker in (("x", "b"), ("elsewhere", None)):
        assert choose_producer(jobs, "c", Use(path, "1", 1, code=True)) == maker
        assert choose_producer(jobs, "c", Use(path, "1", 0)) == maker


def test_coincidences_make_no_cycle(repo: Repository) -> None:
    """A copy of a tracked file, and empty files under other names, connect nothing."""
    tracked = make.file("conf.json", "{}", blob="b" * 40)
    one = make.put(repo, {**make.fields("one", {"a.log": ""}, {"copy.json": "{}", "b.log": ""}), "inputs": [tracked]})
    two = make.job(repo, "two", {"c.log": ""}, {"d.log": ""}, at=60)
    three = make.put(repo, {**make.fields("three", {}, {"z": "z"}, at=120), "inputs": [tracked]})
    with open_index(repo) as index:
        for job in (one, two, three):
            assert upstream(index, [job]).jobs == downstream(index, [job]).jobs == [job]


def test_a_reproduction_goes_last_even_at_the_same_path() -> None:
    jobs = Jobs(a=run(0, "", "y=1"), b=run(10, "", "x=1", again=True), c=run(20, "x=1"))
    assert choose_producer(jobs, "c", Use("x", "1", 1)) == "a"
    only = Jobs(b=run(10, "", "x=1", again=True), c=run(20, "x=1"))
    assert choose_producer(only, "c", Use("x", "1", 1)) == "b"


class Homes(Jobs):
    """Jobs by the name of their home and a number; each home stands before those that come after it in the alphabet."""

    def spans(self, jobs: Iterable[str]) -> dict[str, Span]:
        return {job: span._replace(homes=(job[0],)) for job, span in super().spans(jobs).items()}

    def made(self, hashes: Iterable[str]) -> dict[str, list[Made]]:
        def homed(made: list[Made]) -> list[Made]:
            return sorted((one._replace(home=one.job[0]) for one in made), key=lambda one: one.home)

        return {content: homed(made) for content, made in super().made(hashes).items()}


def test_the_own_home_goes_first_then_the_best_that_has_one_in_time() -> None:
    maker = Use("x", "1", 1)
    jobs = Homes(a1=run(5, "", "y=1"), a2=run(7, "", "y=1"), b1=run(0, "", "x=1"), c1=run(20), b2=run(20), c2=run(3))
    assert choose_producer(jobs, "b2", maker) == "b1"
    assert choose_producer(jobs, "c1", maker) == "a2", "neither the path nor the time counts between homes"
    jobs.jobs["c2"] = run(-9, length=10)
    assert choose_producer(jobs, "c2", maker) == "b1", "the others are too late"


def test_never_itself_and_never_what_is_not_known() -> None:
    jobs = Jobs(a=run(0, "x=1 y=", "x=1"))
    assert choose_producer(jobs, "a", Use("x", "1", 1)) is None
    assert choose_producer(jobs, "a", Use("y", None, 1)) is None
    assert choose_producer(jobs, "nobody", Use("x", "1", 1)) is None


def test_a_producer_that_overlaps_counts_one_that_began_too_late_does_not() -> None:
    jobs = Jobs(a=run(3, "", "x=1"), b=run(6, "", "x=1"), c=run(0, "x=1", length=5))
    assert choose_producer(jobs, "c", Use("x", "1", 1)) == "a"


DIAMOND = Jobs(
    prepare=run(0, "raw=r", "train=t test=e"),
    one=run(10, "train=t conf=c", "m1=1"),
    two=run(11, "train=t", "m2=2"),
    compare=run(20, "m1=1 m2=2 test=e", "report=z"),
    unrelated=run(21, "other=o", "thing=q"),
)


def test_upstream_in_order_with_edges_and_what_nobody_made() -> None:
    found = upstream(DIAMOND, ["compare"])
    assert found.jobs[0] == "prepare"
    assert found.jobs[-1] == "compare"
    assert set(found.jobs) == {"prepare", "one", "two", "compare"}
    assert set(found.edges) == {
        Edge("one", "compare", "m1", "1"),
        Edge("two", "compare", "m2", "2"),
        Edge("prepare", "compare", "test", "e"),
        Edge("prepare", "one", "train", "t"),
        Edge("prepare", "two", "train", "t"),
    }
    assert {(e.consumer, e.path) for e in found.external} == {("prepare", "raw"), ("one", "conf")}
    assert found.cut == []


def test_depth_counts_jobs_and_says_what_it_cut() -> None:
    found = upstream(DIAMOND, ["compare"], 1)
    assert (found.jobs, found.edges) == (["compare"], [])
    assert found.cut == ["one", "prepare", "two"]
    deeper = upstream(DIAMOND, ["compare"], 2)
    assert (set(deeper.jobs), deeper.cut) == ({"compare", "one", "prepare", "two"}, [])
    down = downstream(DIAMOND, ["prepare"], 1)
    assert (down.jobs, down.cut) == (["prepare"], ["compare", "one", "two"])


def test_downstream() -> None:
    found = downstream(DIAMOND, ["one"])
    assert found.jobs == ["one", "compare"]
    assert found.edges == [Edge("one", "compare", "m1", "1")]


def test_several_roots_and_unknown_ones() -> None:
    assert set(upstream(DIAMOND, ["one", "unrelated", "one"]).jobs) == {"prepare", "one", "unrelated"}
    assert upstream(DIAMOND, []).jobs == []
    assert upstream(DIAMOND, ["nobody"]).jobs == ["nobody"]


def test_a_cycle_ends() -> None:
    jobs = Jobs(a=run(0, "y=2", "x=1", length=50), b=run(1, "x=1", "y=2", length=50))
    for walk in (upstream, downstream):
        found = walk(jobs, ["a"])
        assert sorted(found.jobs) == ["a", "b"]
        assert len(found.edges) == 2


@pytest.mark.parametrize("root", [0, -1])
def test_a_chain_of_ten_thousand_jobs(repo: Repository, root: int) -> None:
    count = 10_000
    ids = make.bulk(repo, (make.fields("step", {"x": str(n)}, {"x": str(n + 1)}, at=n * 60) for n in range(count)))
    with open_index(repo) as index:
        began = time.process_time()
        found = downstream(index, ids[:1]) if root == 0 else upstream(index, ids[-1:])
        took = time.process_time() - began
    assert found.jobs == ids
    assert len(found.edges) == count - 1
    assert took < 5, f"{took:.1f} s"


def test_a_content_that_everybody_writes_and_reads(repo: Repository) -> None:
    """An empty file is made and read by every job: the work must not be the product of both."""
    ids = make.bulk(
        repo,
        (
            make.fields("step", {"log": "", f"in{n}": f"{n}"}, {"out": "", f"in{n + 1}": f"{n + 1}"}, at=n * 60)
            for n in range(1500)
        ),
    )
    with open_index(repo) as index:
        began = time.process_time()
        up, down = upstream(index, ids[-1:]), downstream(index, ids[:1])
        took = time.process_time() - began
    assert len(up.jobs) == len(down.jobs) == 1500
    assert took < 5, f"{took:.1f} s"


files = st.lists(st.tuples(st.sampled_from("pqr"), st.integers(0, 5)), max_size=3, unique_by=lambda f: f[0])
job = st.tuples(st.integers(0, 20), st.integers(0, 9), st.booleans(), files, files)


def text(used: list[tuple[str, int]]) -> str:
    return " ".join(f"{path}=c{content}" for path, content in used)


@given(st.lists(job, max_size=9))
def test_up_and_down_agree_with_every_single_choice(
    drawn: list[tuple[int, int, bool, list[tuple[str, int]], list[tuple[str, int]]]],
) -> None:
    jobs = Jobs(**{f"j{n}": (s, s + d, again, text(i), text(o)) for n, (s, d, again, i, o) in enumerate(drawn)})
    single = {
        (producer, job, use.path)
        for job in jobs.jobs
        for use in jobs.uses([job])[job][0]
        if (producer := choose_producer(jobs, job, use))
    }
    assert {
        (maker, job, use.path) for job, uses in origins(jobs, jobs.jobs).items() for use, maker in uses if maker
    } == single
    for root in jobs.jobs:
        above, below = closure(root, single, up=True), closure(root, single, up=False)
        up, down = upstream(jobs, [root]), downstream(jobs, [root])
        assert (set(up.jobs), set(down.jobs)) == (above, below)
        assert {(e.producer, e.consumer, e.path) for e in up.edges} == {e for e in single if e[1] in above}
        assert {(e.producer, e.consumer, e.path) for e in down.edges} == {e for e in single if {e[0], e[1]} <= below}


def closure(root: str, edges: set[tuple[str, str, str]], *, up: bool) -> set[str]:
    found, waiting = {root}, [root]
    for at in waiting:
        for producer, consumer, _ in edges:
            here, there = (consumer, producer) if up else (producer, consumer)
            if here == at and there not in found:
                found.add(there)
                waiting.append(there)
    return found


@given(st.lists(job, max_size=9))
def test_producers_stand_before_their_consumers(
    drawn: list[tuple[int, int, bool, list[tuple[str, int]], list[tuple[str, int]]]],
) -> None:
    """Jobs that do not overlap cannot be in a cycle, so the order must hold for each edge."""
    jobs = Jobs(
        **{f"j{n}": (n * 10, n * 10 + 5, again, text(i), text(o)) for n, (_, _, again, i, o) in enumerate(drawn)}
    )
    for root in jobs.jobs:
        found = upstream(jobs, [root])
        for edge in found.edges:
            assert found.jobs.index(edge.producer) < found.jobs.index(edge.consumer)


def test_the_index_answers_as_records_in_memory_do(repo: Repository) -> None:
    ids = make.bulk(repo, make.pipelines(36))
    with open_index(repo) as index:
        whole = upstream(index, ids[-1:])
        assert set(whole.jobs) == set(ids)
        assert whole.jobs == sorted(ids)
        last = {(e.producer, e.path) for e in whole.edges if e.consumer == ids[-1]}
        assert last == {(ids[-10 + 2 * k], f"runs/metrics-{k}.json") for k in range(5)}
        below = downstream(index, ids[-2:-1])
        assert below.jobs == [ids[-2], ids[-1]]


def test_a_limit_bounds_what_is_walked_and_looked_at(repo: Repository) -> None:
    first = make.job(repo, "make", {}, {"data": "data"})
    uses = [make.fields(f"use {n}", {"data": "data"}, {f"out/{n}": f"out {n}"}, at=60 + n) for n in range(300)]
    readers = make.bulk(repo, uses)
    with open_index(repo) as index:
        found = downstream(index, [first], most=40)
        assert len(found.jobs) == 40
        assert {*found.jobs, *found.cut} == {first, *readers}
        assert len(downstream(index, [first]).jobs) == 301
        up = upstream(index, readers, most=10)
        assert len(up.jobs) == 10
        assert up.cut
