#!/usr/bin/env python3
"""What the journal costs as it grows: prints Markdown tables as in docs/benchmarks.md.

    scripts/test --version >/dev/null                # makes .venv with roar
    .venv/bin/python scripts/bench/journal.py all    # or: append, size, index, network, lineage; --most 1000000

Histories are those of histories.py, kept in --scratch for the next time. CPU is of a command and all it starts.
"""

from __future__ import annotations

import argparse
import functools
import json
import os
import re
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from itertools import islice
from typing import Any

import histories
import orjson
from inputs import git
from measure import Meter, Variant, cpu, interleave, median, wall
from run import ms, table

from roar.cache.index import open_index
from roar.git import refs
from roar.git.repository import Repository, discover
from roar.journal import read
from roar.journal.append import append
from roar.journal.writer import writer_name
from roar.records import codec
from roar.records.job import Job
from roar.verbs.ancestry import ancestry
from roar.verbs.resolve import Target

FEW, SOME, MANY = 10, 10_000, 100_000
MIB = 1 << 20


class Bench:
    """Where things are."""

    def __init__(self, options: argparse.Namespace, meter: Meter) -> None:
        self.meter = meter
        self.rounds: int = options.rounds
        self.most: int = options.most
        self.scratch = os.path.abspath(options.scratch)
        self.roar = [sys.executable, "-m", "roar"]
        os.makedirs(self.scratch, exist_ok=True)

    def history(self, jobs: int, *, sealed: bool = False, one_commit: bool = False) -> str:
        """A repository with that many jobs; not to be changed."""
        return histories.repository_with(self.scratch, jobs, sealed=sealed, one_commit=one_commit)

    def copy(self, jobs: int, name: str, *, one_commit: bool = False) -> str:
        """A copy of it that may be changed, in which this clone's chain goes on after the first writer's."""
        path = os.path.join(self.scratch, f"copy-{name}-{jobs}")
        shutil.rmtree(path, ignore_errors=True)
        shutil.copytree(self.history(jobs, one_commit=one_commit), path, symlinks=True)
        repo = discover(path)
        repo.make_own_dir()
        tip = refs.read(repo, f"refs/roar/jobs/2026/{0:016x}")
        git(path, "update-ref", f"refs/roar/jobs/2026/{writer_name(repo)}", str(tip))
        return path

    def here(self, task: str, *words: str) -> Any:
        """What a task of this file gives in a process of its own, with nothing imported or cached by another."""
        done = subprocess.run([sys.executable, __file__, "--task", task, *words], capture_output=True, check=True)
        return json.loads(done.stdout)


def draft(fields: dict[str, Any], clock: int, writer: str) -> Job:
    """A job of the histories' kind."""
    return Job.model_validate({**fields, "clock": clock, "writer": writer})


def append_some(repo: Repository, count: int) -> None:
    """Append jobs as `roar run` does."""
    head = repo.ask("rev-parse", "HEAD").decode().strip()
    jobs = (made for made in histories.history(10_000_000, head) if b'"kind":"job"' in made.body)
    for made in islice(jobs, count):
        fields = {k: v for k, v in orjson.loads(made.body).items() if k not in ("clock", "writer")}
        append(repo, functools.partial(draft, fields))


# ------------------------------------------------------------------ in a process of their own
def cpu_used() -> float:
    """CPU seconds of this process and its children so far."""
    both = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(used.ru_utime + used.ru_stime for used in both)


def task_append(path: str) -> float:
    """CPU seconds of one append: the mean of 20, after the first ones."""
    repo = discover(path)
    append_some(repo, 3)
    began = cpu_used()
    append_some(repo, 20)
    return (cpu_used() - began) / 20


def task_news(path: str) -> float:
    """CPU seconds of bringing 100 new records into a warm index."""
    repo = discover(path)
    open_index(repo).close()
    append_some(repo, 100)
    began = cpu_used()
    open_index(repo).close()
    return cpu_used() - began


def task_read(path: str) -> list[float]:
    """Seconds for reading all records as JSON: with roar's reader, with git alone; and with roar's models."""
    repo = discover(path)
    tips = list(read.tips(repo).values())
    began = time.perf_counter()
    for item in read.since(repo, tips):
        assert isinstance(item, read.Stored)
        orjson.loads(item.body)
    ours = time.perf_counter() - began
    began = time.perf_counter()
    walk = ["git", "-C", path, "log", "--stdin", "--format=%T:record.json"]
    batch = ["git", "-C", path, "cat-file", "--batch", "--buffer"]
    with (
        subprocess.Popen(walk, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as log,
        subprocess.Popen(batch, stdin=log.stdout, stdout=subprocess.PIPE) as cat,
    ):
        assert log.stdin and cat.stdout
        log.stdin.write("".join(f"{tip}\n" for tip in tips).encode())
        log.stdin.close()
        while head := cat.stdout.readline():
            orjson.loads(cat.stdout.read(int(head.split()[2]) + 1))
    alone = time.perf_counter() - began
    began = time.perf_counter()
    for item in read.since(repo, tips):
        assert isinstance(item, read.Stored)
        codec.decode(item.body)
    return [ours, alone, time.perf_counter() - began]


def task_lineage(path: str) -> list[float]:
    """Seconds for ten jobs of lineage, in an open index, the first time and the median of five; and the jobs in it."""
    with open_index(discover(path)) as index:
        newest = index.versions("report.json")[0][0]
        took = []
        for _ in range(6):
            began = time.perf_counter()
            found = ancestry(index, Target("artifact", newest), depth=10)
            took.append(time.perf_counter() - began)
        return [took[0], median(took[1:]), len(found.lineage.jobs)]


TASKS: dict[str, Callable[[str], Any]] = {
    "append": task_append,
    "news": task_news,
    "read": task_read,
    "lineage": task_lineage,
}


# ------------------------------------------------------------------ sections
def appends(bench: Bench) -> None:
    """One record more."""
    places = {jobs: bench.copy(jobs, "append") for jobs in (FEW, MANY)}
    took: dict[int, list[float]] = {jobs: [] for jobs in places}
    for _ in range(bench.rounds):
        for jobs, path in places.items():
            took[jobs].append(bench.here("append", path))
    rows = [(f"{jobs:,} records", f"{median(took[jobs]) * 1000:.1f} ms") for jobs in places]
    ratio = median([many / few for few, many in zip(took[FEW], took[MANY], strict=True)])
    table("One append, CPU without imports", ("into", "CPU"), [*rows, ("ratio", f"{ratio:.2f}")])


def size(bench: Bench) -> None:
    """Bytes of a record in git."""
    rows = []
    empty = pack_bytes(bench, None)
    for kind, sealed in (("one commit a record, packed as `git gc` packs", False), ("sealed, packed the same", True)):
        rows.append((kind, f"{(pack_bytes(bench, sealed) - empty) / SOME:.0f} B"))
    repo = discover(bench.history(SOME))
    bodies = [len(item.body) for item in read.since(repo, read.tips(repo).values()) if isinstance(item, read.Stored)]
    rows.append(("its JSON as it is (median)", f"{median(bodies):.0f} B"))
    table(f"Bytes of one ordinary job, of {SOME:,}", ("how", "bytes"), rows)


def pack_bytes(bench: Bench, sealed: bool | None) -> int:
    """Bytes of the packs of a repacked history; None: of the repository without records."""
    path = os.path.join(bench.scratch, "packed.git")
    shutil.rmtree(path, ignore_errors=True)
    git(bench.scratch, "clone", "-q", "--bare", bench.history(SOME, sealed=bool(sealed)), path)
    if sealed is not None:
        git(path, "fetch", "-q", "origin", "+refs/roar/*:refs/roar/*")
    git(path, "-c", "pack.threads=2", "repack", "-adFq")
    packs = os.path.join(path, "objects", "pack")
    return sum(entry.stat().st_size for entry in os.scandir(packs) if entry.name.endswith(".pack"))


def index(bench: Bench) -> None:
    """Making the index, and keeping it."""
    rows = []
    for jobs in (SOME, MANY):
        samples = [rebuild(bench, bench.history(jobs)) for _ in range(3)]
        seconds, used, _ = (median(column) for column in zip(*samples, strict=True))
        speed = f"{jobs / seconds:,.0f} records/s, CPU {used / jobs * 1e6:.0f} µs each"
        rows.append((f"all of {jobs:,} jobs", f"{seconds:.1f} s", speed))
    for jobs in (FEW, MANY):
        path = bench.copy(jobs, "news")
        took = [bench.here("news", path) for _ in range(3)]
        rows.append((f"100 new ones among {jobs:,} (CPU)", ms(median(took)), f"{100 / median(took):,.0f} records/s"))
    table("The index", ("what", "time", "speed"), rows)
    speeds = []
    for jobs in (SOME, MANY):
        rounds = [bench.here("read", bench.history(jobs)) for _ in range(3)]
        ours, alone, models = (median(column) for column in zip(*rounds, strict=True))
        rates = [f"{jobs / seconds:,.0f}/s" for seconds in (ours, alone, models)]
        speeds.append((f"{jobs:,} records", *rates[:2], f"{alone / ours:.2f}", rates[2]))
    head = ("history", "as JSON", "`git cat-file` and JSON alone", "ratio", "as checked models")
    table("Reading alone", head, speeds)
    if bench.most > MANY:
        path = bench.history(bench.most)
        seconds, used, peak = rebuild(bench, path)
        file = os.path.getsize(subprocess.check_output([*bench.roar, "cache", "path"], cwd=path).decode().strip())
        row = (
            f"{seconds:.0f} s",
            f"{used:.0f} s",
            f"{bench.most / seconds:,.0f} records/s",
            f"{file / MIB:,.0f} MiB",
            f"{peak:,.0f} MiB",
        )
        table(
            f"The index of {bench.most:,} jobs",
            ("rebuild", "CPU", "speed", "file", "most memory of any process"),
            [row],
        )


def rebuild(bench: Bench, path: str) -> tuple[float, float, float]:
    """Seconds of `roar cache rebuild`, CPU seconds of it and of all it starts, and the most memory in MiB.

    That is of the largest of its processes, often a git, which maps the packs of the repository.
    """
    with subprocess.Popen([*bench.roar, "cache", "rebuild", "--json"], cwd=path, stdout=subprocess.PIPE) as child:
        assert child.stdout
        said = json.loads(child.stdout.read())
        _, status, used = os.wait4(child.pid, 0)
        child.returncode = os.waitstatus_to_exitcode(status)
    return said["duration_ns"] / 1e9, used.ru_utime + used.ru_stime, used.ru_maxrss / 1024


def network(bench: Bench) -> None:
    """Push and fetch, plain clones, the negotiation of a fetch of code."""
    rows = []
    pushes, fetches, clones = {}, {}, {}
    places = {f"{FEW}": (FEW, False), f"{MANY:,}": (MANY, False), f"{SOME:,} on one commit": (SOME, True)}
    for place, (jobs, one_commit) in places.items():
        near = bench.copy(jobs, "near", one_commit=one_commit)
        hub, far = (os.path.join(bench.scratch, f"{name}-{jobs}") for name in ("hub.git", "far"))
        for path in (hub, far):
            shutil.rmtree(path, ignore_errors=True)
        git(bench.scratch, "clone", "-q", "--bare", near, hub)
        git(hub, "fetch", "-q", near, "+refs/roar/*:refs/roar/*")
        git(bench.scratch, "clone", "-q", hub, far)
        bring = ["git", "fetch", "-q", f"file://{hub}", "+refs/roar/*:refs/roar-remote/origin/*"]
        subprocess.run(bring, cwd=far, check=True)
        grow = functools.partial(append_some, discover(near), 1)
        send = ["git", "push", "-q", f"file://{hub}", "refs/roar/*"]
        pushes[place] = Variant(send, near, grow)

        def ahead(near: str = near, send: Sequence[str] = send, grow: Callable[[], None] = grow) -> None:
            grow()
            subprocess.run(send, cwd=near, check=True)

        fetches[place] = Variant(bring, far, ahead)
        clones[place] = clone_variant(bench, hub)
    bare = os.path.join(bench.scratch, "none.git")
    shutil.rmtree(bare, ignore_errors=True)
    git(bench.scratch, "clone", "-q", "--bare", bench.history(FEW), bare)
    clones["none"] = clone_variant(bench, bare)
    for variants, name in ((pushes, "push"), (fetches, "fetch")):
        found = interleave(bench.meter, variants, bench.rounds)
        few = found[f"{FEW}"]
        for place, samples in found.items():
            ratios = (median([what(m) / what(f) for m, f in zip(samples, few, strict=True)]) for what in (cpu, wall))
            cost = ms(median([*map(cpu, samples)]))
            rows.append((f"{name} of one record into {place}", cost, *(f"{ratio:.2f}" for ratio in ratios)))
    head = ("what", "CPU", f"CPU over that into {FEW}", "wall likewise")
    table("One record over the network (CPU, both ends)", head, rows)
    found = interleave(bench.meter, clones, bench.rounds)
    plain = [
        (f"{name} records", ms(median([*map(cpu, samples)])), ms(median([*map(wall, samples)])))
        for name, samples in found.items()
    ]
    table(f"Plain `git clone` (objects of roar in it: {roar_objects(bench)})", ("of", "CPU", "wall"), plain)
    counts = [(name, str(haves(bench, ahead=ahead, **how))) for name, ahead, how in WAYS]
    table(f"`have` lines of a `git fetch` of a branch, {SOME:,} records unpushed", ("state", "haves"), counts)


WAYS: tuple[tuple[str, bool, dict[str, bool]], ...] = (
    ("HEAD is pushed", False, {}),
    ("HEAD is not pushed", True, {}),
    ("HEAD is not pushed, records are sealed", True, {"sealed": True}),
    ("HEAD is not pushed, all records are on it", True, {"one_commit": True}),
)


def clone_variant(bench: Bench, hub: str) -> Variant:
    """A plain clone."""
    path = os.path.join(bench.scratch, "clone")
    return Variant(
        ["git", "clone", "-q", f"file://{hub}", path], bench.scratch, functools.partial(shutil.rmtree, path, True)
    )


def roar_objects(bench: Bench) -> str:
    """How many commits of the last clone are no code."""
    path = os.path.join(bench.scratch, "clone")
    found = subprocess.check_output(["git", "-C", path, "cat-file", "--batch-all-objects", "--batch-check"]).decode()
    code = subprocess.check_output(["git", "-C", path, "rev-list", "--objects", "HEAD"]).decode()
    return str(len(found.splitlines()) - len(code.splitlines()))


def haves(bench: Bench, *, ahead: bool, **how: bool) -> int:
    """How many objects a fetch of code offers when 10,000 records are not pushed and the branch has news.

    With ``ahead`` the commit that the jobs ran on is not pushed either; ``how`` is for ``Bench.history``.
    """
    place = os.path.join(bench.scratch, "haves")
    shutil.rmtree(place, ignore_errors=True)
    mine = f"{place}/mine"
    shutil.copytree(bench.history(SOME, **how), mine, symlinks=True)
    git(place, "init", "-q", "--bare", "hub.git")
    git(mine, "push", "-q", f"{place}/hub.git", f"HEAD{'~' * ahead}:refs/heads/main")
    git(place, "clone", "-q", "-b", "main", "hub.git", "other")
    git(f"{place}/other", "commit", "-q", "--allow-empty", "-m", "news")
    git(f"{place}/other", "push", "-q", "origin", "main")
    words = ["git", "-C", mine, "fetch", f"file://{place}/hub.git", "main:refs/remotes/origin/main"]
    done = subprocess.run(words, env={**os.environ, "GIT_TRACE_PACKET": "1"}, capture_output=True, check=True)
    return len(re.findall(rb"fetch> have ", done.stderr))


def lineage(bench: Bench) -> None:
    """Where a file came from, ten jobs back."""
    rows = []
    for jobs in (SOME, MANY, *([bench.most] if bench.most > MANY else [])):
        path = bench.history(jobs)
        first, again, count = bench.here("lineage", path)
        command = Variant([*bench.roar, "lineage", "report.json", "--depth", "10"], path)
        found = interleave(bench.meter, {"roar": command}, bench.rounds)["roar"]
        rows.append((f"{jobs:,} jobs", ms(first), ms(again), ms(median([*map(wall, found)])), f"{count:.0f}"))
    table("Lineage of depth 10", ("among", "question, first", "again", "whole command", "jobs in it"), rows)


SECTIONS = {"append": appends, "size": size, "index": index, "network": network, "lineage": lineage}


def main() -> None:
    """Read the options, measure, print."""
    if sys.argv[1:2] == ["--task"]:
        print(json.dumps(TASKS[sys.argv[2]](sys.argv[3])))
        return
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("section", nargs="+", choices=[*SECTIONS, "all"], help="what to measure")
    parser.add_argument("--rounds", type=int, default=7, help="measured rounds (default: 7)")
    parser.add_argument("--most", type=int, default=0, help="also measure an index of so many jobs")
    where = os.path.join(tempfile.gettempdir(), "roar-bench")
    parser.add_argument("--scratch", default=where, help=f"folder for histories, kept (default: {where})")
    options = parser.parse_args()
    with Meter() as meter:
        bench = Bench(options, meter)
        for name, section in SECTIONS.items():
            if name in options.section or "all" in options.section:
                section(bench)


if __name__ == "__main__":
    main()
