#!/usr/bin/env python3
"""What roar costs, on this machine: prints Markdown tables as in docs/benchmarks.md.

    scripts/test --version >/dev/null            # makes .venv with roar, scikit-learn and all
    .venv/bin/python scripts/bench/run.py all    # or: startup, workloads, tail, scale

Every figure is the median of --rounds rounds; in each round every variant runs once, in another order, and a ratio
is that of one run to the bare run of the same round. Wall time means something on a quiet machine only.
"""

from __future__ import annotations

import argparse
import functools
import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Sequence

import blake3
import inputs
import records
from measure import Meter, Sample, Variant, cpu, interleave, median, ratio, wall

GIB = 1 << 30
PEERS = {
    "strace": "strace -f --seccomp-bpf -qq -o /dev/null -e trace=%file,%process",
    "reprozip": "reprozip trace --overwrite -d {scratch}/reprozip",
}


class Bench:
    """Where things are, and how often to run them."""

    def __init__(self, options: argparse.Namespace, meter: Meter) -> None:
        self.meter = meter
        self.rounds: int = options.rounds
        self.scratch = os.path.abspath(options.scratch)
        self.repository = f"{self.scratch}/inputs"
        self.roar = os.path.join(os.path.dirname(sys.executable), "roar")
        self.peers: list[str] = options.peer
        if not os.path.exists(self.roar):
            raise SystemExit(f"no roar beside {sys.executable}: run this with the Python that roar is installed in")
        os.makedirs(self.scratch, exist_ok=True)
        if not os.path.exists(self.repository):
            inputs.new_repository(self.repository)
        self.probe = inputs.probe(self.repository)

    def interleave(self, variants: dict[str, Variant]) -> dict[str, list[Sample]]:
        """Samples of every variant."""
        return interleave(self.meter, variants, self.rounds)

    def ways(self, argv: Sequence[str], cwd: str, before: Callable[[], None] | None = None) -> dict[str, Variant]:
        """A command as it is, under roar, and under the peers asked for."""
        ways = {"bare": Variant(argv, cwd, before), "roar": Variant([self.roar, "run", *argv], cwd, before)}
        for peer in self.peers:
            words = PEERS[peer].format(scratch=self.scratch).split()
            ways[peer] = Variant([*words, *argv], cwd, before)
        return ways


def table(title: str, head: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Print a Markdown table; columns after the first are figures."""
    print(f"\n### {title}\n\n| {' | '.join(head)} |\n|---|{'---:|' * (len(head) - 1)}")
    for row in rows:
        print(f"| {' | '.join(row)} |", flush=True)


def ms(seconds: float) -> str:
    """Milliseconds."""
    return f"{seconds * 1000:.0f} ms"


# ------------------------------------------------------------------ start
def printed(sample: Sample) -> int:
    """The clock that the probe printed last."""
    return int(sample.out.split()[-1])


def start_delay(sample: Sample) -> float:
    """Seconds until the command itself was running."""
    return (printed(sample) - sample.began) / 1e9


def startup(bench: Bench) -> None:
    """roar --help, and roar run of a command that does nothing."""
    here = records.repository_with(bench.scratch, 10)
    found = bench.interleave(
        {
            "`python -c pass`": Variant([sys.executable, "-c", "pass"], here),
            "`roar --help`": Variant([bench.roar, "--help"], here),
            "`true`": Variant(["true"], here),
            "`roar run true`": Variant([bench.roar, "run", "true"], here),
        }
    )
    rows = [(name, ms(median([*map(cpu, s)])), ms(median([*map(wall, s)]))) for name, s in found.items()]
    table("Start", ("command", "CPU", "wall"), rows)


# ------------------------------------------------------------------ work
def workloads(bench: Bench) -> None:
    """Commands of some seconds."""
    here = bench.repository
    big = f"{'/dev/shm' if os.path.isdir('/dev/shm') else bench.scratch}/roar-bench-{os.getpid()}"
    dd = f"dd if=/dev/zero of={big} bs=64k count=16384 status=none && dd if={big} of=/dev/null bs=64k status=none"
    through = "dd if=/dev/zero of=/dev/null bs=64k count=4194304 status=none"
    clean = functools.partial(inputs.clean_c_project, f"{here}/c")
    ways = {
        "scikit-learn: cross-validate and fit a forest": bench.ways([sys.executable, "train.py"], here),
        f"`make -j2`, {inputs.SOURCES} C files": bench.ways(["make", "-s", "-j2"], f"{here}/c", clean),
        "`dd bs=64k`, 1 GiB written and read": bench.ways(["sh", "-c", f"{dd}; rm {big}"], here),
        "`dd bs=64k`, 256 GiB from zero to null": bench.ways(["sh", "-c", through], here),
    }
    rows = []
    for name, variants in ways.items():
        found = bench.interleave(variants)
        base = found.pop("bare")
        for way, samples in found.items():
            costs = [f"{ratio(samples, base, what):.2f}" for what in (cpu, wall)]
            added = ms(median([s.cpu - b.cpu for s, b in zip(samples, base, strict=True)]))
            rows.append((name, way, ms(median([*map(cpu, base)])), ms(median([*map(wall, base)])), added, *costs))
    table("Work", ("command", "under", "bare CPU", "bare wall", "added CPU", "CPU ratio", "wall ratio"), rows)


# ------------------------------------------------------------------ after the command
def after(sample: Sample) -> float:
    """Seconds from the command's last act to the end of all."""
    return (sample.ended - printed(sample)) / 1e9


def tail(bench: Bench) -> None:
    """What is left to do when the command has ended: hashing, mostly."""
    rows = []
    for count in (10_000, 20_000):
        folder = f"{bench.repository}/many{count}"
        inputs.many_files(folder, count, 10_000)
        under = [bench.roar, "run", bench.probe, folder]
        found = bench.interleave(
            {
                "bare": Variant([bench.probe, folder], bench.repository),
                "changed": Variant(under, bench.repository, functools.partial(inputs.touch_all, folder)),
                "unchanged": Variant(under, bench.repository),
            }
        )
        base = median([*map(cpu, found["bare"])])
        for state in ("changed", "unchanged"):
            samples = found[state]
            seconds = ms(median([*map(after, samples)]))
            rows.append((f"{count:,} inputs of 10 KB, {state}", seconds, ms(median([*map(cpu, samples)]) - base)))
    table("After the command has ended", ("job", "until roar ends", "CPU over the bare command"), rows)
    hashing(bench)


def hashing(bench: Bench) -> None:
    """A large input: time over an unchanged one, against blake3's own multi-threaded mmap path."""
    big = f"{bench.repository}/big.bin"
    inputs.big_file(big, GIB)
    own = (
        f"import blake3, time; t = time.monotonic(); blake3.blake3(max_threads=blake3.blake3.AUTO).update_mmap({big!r})"
    )
    read = [bench.roar, "run", "head", "-c", "1", big]
    found = bench.interleave(
        {
            "blake3": Variant([sys.executable, "-c", f"{own}; print(time.monotonic() - t)"], bench.repository),
            "changed": Variant(read, bench.repository, functools.partial(os.utime, big)),
            "unchanged": Variant(read, bench.repository),
        }
    )
    alone = median([float(s.out) for s in found["blake3"]])
    again = median([*map(wall, found["unchanged"])])
    extra = median([c.wall - u.wall for c, u in zip(found["changed"], found["unchanged"], strict=True)])
    rows = [
        ("blake3 alone, `update_mmap`, all threads", ms(alone), f"{1 / alone:.2f} GiB/s"),
        (
            "`roar run head -c 1`, changed: over unchanged",
            ms(extra),
            f"{1 / extra:.2f} GiB/s" if extra > 1e-3 else "too fast to tell",
        ),
        ("`roar run head -c 1`, unchanged: in all", ms(again), "not hashed"),
    ]
    table(f"One input of 1 GiB (blake3 {blake3.__version__})", ("what", "time", "speed"), rows)


# ------------------------------------------------------------------ many jobs
def scale(bench: Bench) -> None:
    """The same command and the same questions, as records grow."""
    rows = []
    places = {f"{jobs:,} jobs": records.repository_with(bench.scratch, jobs) for jobs in (10, 1_000, 10_000)}
    found = bench.interleave({n: Variant([bench.roar, "run", bench.probe], path) for n, path in places.items()})
    for name, samples in found.items():
        figures = [median([*map(what, samples)]) for what in (cpu, wall, start_delay, after)]
        rows.append((name, *map(ms, figures)))
    head = ("`roar run` of a program that does nothing", "CPU", "wall", "until it runs", "after it ended")
    table("Growth", head, rows)
    questions(bench, {name: path for name, path in places.items() if path != places["10 jobs"]})


QUESTIONS = [
    words.split()
    for words in (
        "log", "log --path report.json", "log --failed", "log --author bench", "show report.json", "show @1",
        "show HEAD",
        "lineage report.json", "lineage data/raw.csv --down", "lineage report.json --json",
        "lineage report.json --html /dev/null", "inputs report.json", "dag", "status", "diff JOB JOB",
        "why report.json", "session list", "session show", "collection list", "label @1",
    )
]  # fmt: skip
"""Every command that reads, with the newest jobs; `lineage --down` of what all pipelines share is cut at its limit."""


def questions(bench: Bench, places: dict[str, str]) -> None:
    """Questions to a warm index (the first, unmeasured round brings it up to date)."""
    variants = {}
    for name, path in places.items():
        asked = [bench.roar, "log", "--json", "--limit", "2"]
        said = subprocess.run(asked, cwd=path, capture_output=True, check=True).stdout
        newest = [job["id"] for job in json.loads(said)["jobs"]]
        for words in QUESTIONS:
            jobs = iter(newest)
            named = [next(jobs) if word == "JOB" else word for word in words]
            variants[name, " ".join(words)] = Variant([bench.roar, *named], path)
    found = interleave(bench.meter, {" ".join(k): v for k, v in variants.items()}, bench.rounds)
    rows = []
    for name, asked_for in variants:
        samples = found[f"{name} {asked_for}"]
        rows.append(
            (f"`roar {asked_for}`, {name}", ms(median([*map(cpu, samples)])), ms(median([*map(wall, samples)])))
        )
    table("Questions, warm index", ("command", "CPU", "wall"), rows)


# ------------------------------------------------------------------ the machine
def facts(bench: Bench) -> None:
    """What the figures were measured on."""
    model = platform.processor() or platform.machine()
    if os.path.exists("/proc/cpuinfo"):
        with open("/proc/cpuinfo", encoding="utf-8") as file:
            model = next((line.split(":", 1)[1].strip() for line in file if line.startswith("model name")), model)
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / GIB
    versions = [
        subprocess.run(words, capture_output=True, text=True, check=True).stdout.strip().removesuffix("\n")
        for words in ([bench.roar, "--version"], ["git", "--version"])
    ]
    print(
        f"{time.strftime('%Y-%m-%d')}: {model}, {os.cpu_count()} processors, {memory:.0f} GiB; "
        f"{platform.system()} {platform.release()}; Python {platform.python_version()}; {'; '.join(versions)}. "
        f"Median of {bench.rounds}; CPU by {bench.meter.how}."
    )


SECTIONS = {"startup": startup, "workloads": workloads, "tail": tail, "scale": scale}


def main() -> None:
    """Read the options, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("section", nargs="+", choices=[*SECTIONS, "all"], help="what to measure")
    parser.add_argument("--rounds", type=int, default=7, help="measured rounds (default: 7)")
    where = os.path.join(tempfile.gettempdir(), "roar-bench")
    parser.add_argument(
        "--scratch", default=where, help=f"folder for inputs, kept for the next time (default: {where})"
    )
    parser.add_argument("--peer", action="append", default=[], choices=PEERS, help="measure another tracer too")
    options = parser.parse_args()
    missing = [tool for tool in ("cc", "make", *options.peer) if shutil.which(tool) is None]
    if missing:
        parser.error(f"not installed: {', '.join(missing)}")
    with Meter() as meter:
        bench = Bench(options, meter)
        facts(bench)
        for name, section in SECTIONS.items():
            if name in options.section or "all" in options.section:
                section(bench)


if __name__ == "__main__":
    main()
