"""Running commands and counting what they cost.

CPU is user and system time of a command and everything it starts: from a control group of its own where one can be
made (daemons that outlive their parents are then counted too), else from ``getrusage``.
"""

from __future__ import annotations

import os
import random
import resource
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple


class Sample(NamedTuple):
    """One run. Seconds; ``began`` and ``ended`` are CLOCK_MONOTONIC in nanoseconds."""

    cpu: float
    wall: float
    began: int
    ended: int
    out: str


class Variant(NamedTuple):
    """One way to run a command. ``before`` is called ahead of each run and is not measured."""

    argv: Sequence[str]
    cwd: str
    before: Callable[[], None] | None = None


class Meter:
    """CPU time of children. Use as a context."""

    def __init__(self) -> None:
        self._group: str | None = None
        self.how = "getrusage"

    def __enter__(self) -> Meter:
        for base, usage in (
            ("/sys/fs/cgroup/cpuacct", "cpuacct.usage"),
            ("/sys/fs/cgroup/cpu,cpuacct", "cpuacct.usage"),
            ("/sys/fs/cgroup", "cpu.stat"),
        ):
            group = os.path.join(base, f"roar-bench-{os.getpid()}")
            try:
                os.mkdir(group)
            except OSError:
                continue
            if os.path.exists(os.path.join(group, usage)):
                self._group, self._usage, self.how = group, os.path.join(group, usage), "a control group"
                break
            os.rmdir(group)
        return self

    def __exit__(self, *_: object) -> None:
        if self._group is not None:
            os.rmdir(self._group)

    def seconds(self) -> float:
        """CPU seconds so far."""
        if self._group is None:
            used = resource.getrusage(resource.RUSAGE_CHILDREN)
            return used.ru_utime + used.ru_stime
        with open(self._usage, encoding="ascii") as file:
            first = file.readline().split()
        return int(first[1]) / 1e6 if len(first) > 1 else int(first[0]) / 1e9

    def _enter(self) -> None:
        if self._group is not None:
            with open(os.path.join(self._group, "cgroup.procs"), "w", encoding="ascii") as file:
                file.write(str(os.getpid()))

    def run(self, variant: Variant) -> Sample:
        """One run. Stops the benchmark when the command fails."""
        if variant.before is not None:
            variant.before()
        with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
            cpu = self.seconds()
            began = time.monotonic_ns()
            child = subprocess.Popen(
                variant.argv,
                cwd=variant.cwd,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=err,
                preexec_fn=self._enter,  # noqa: PLW1509  there are no threads
            )
            status = child.wait()
            ended = time.monotonic_ns()
            cpu = self.seconds() - cpu
            out.seek(0)
            err.seek(0)
            if status != 0:
                words = " ".join(variant.argv)
                raise SystemExit(f"{words}: status {status}\n{err.read().decode(errors='replace')}")
            return Sample(cpu, (ended - began) / 1e9, began, ended, out.read().decode(errors="replace"))


def interleave(meter: Meter, variants: Mapping[str, Variant], rounds: int) -> dict[str, list[Sample]]:
    """Run every variant once per round, in another order each round; a first round warms up and is dropped."""
    samples: dict[str, list[Sample]] = {name: [] for name in variants}
    for turn in range(rounds + 1):
        names = list(variants)
        random.Random(turn).shuffle(names)
        for name in names:
            sample = meter.run(variants[name])
            if turn:
                samples[name].append(sample)
    return samples


def median(values: Sequence[float]) -> float:
    """The middle value."""
    return statistics.median(values)


def ratio(samples: Sequence[Sample], base: Sequence[Sample], what: Callable[[Sample], float]) -> float:
    """Median over the rounds of one run against the bare run of the same round."""
    return median([what(s) / what(b) for s, b in zip(samples, base, strict=True)])


def cpu(sample: Sample) -> float:
    """CPU seconds."""
    return sample.cpu


def wall(sample: Sample) -> float:
    """Seconds from start to end."""
    return sample.wall
