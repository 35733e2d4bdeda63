#!/usr/bin/env python3
"""Whether what is hidden answers in the same time as what is not there.

    .venv/bin/python scripts/bench/hidden.py --jobs 20000 --rounds 1000

One server with a private project of so many jobs. Somebody without rights asks in turn, over one connection, for a
thing in it and for one that is nowhere. The last column is how often the hidden one took longer than a missing one, of
all pairs: 50 % is what chance gives, and how far from it this is tells them apart (the statistic of Mann and Whitney,
over the number of pairs). The same is done with two things that are nowhere, to see what the machine's own noise is.
"""

from __future__ import annotations

import argparse
import bisect
import os
import random
import shutil
import statistics
import tempfile
import time

import histories
from glaas import PROJECT, Asker, Server
from inputs import git

from roar.cache.index import open_index
from roar.server import migrate, worker


def longer(hidden: list[float], missing: list[float]) -> float:
    """The share of pairs of which the first took longer."""
    ordered = sorted(missing)
    return sum(bisect.bisect_left(ordered, each) for each in hidden) / (len(hidden) * len(missing))


def compare(asker: Asker, name: str, hidden: str, missing: str, rounds: int) -> None:
    """Ask for both in turn, in an order that changes."""
    times: dict[str, list[float]] = {hidden: [], missing: []}
    chance = random.Random(1)
    for number in range(rounds + 50):
        for path in chance.sample([hidden, missing], 2):
            took, _ = asker.get(path, (200, 401, 404))
            if number >= 50:  # connections and caches are warm
                times[path].append(took)
    one, other = (statistics.median(times[path]) for path in (hidden, missing))
    print(f"{name:24} {one:8.3f} ms {other:8.3f} ms {longer(times[hidden], times[missing]):8.1%}")


def main() -> None:
    """Measure."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--jobs", type=int, default=20_000)
    parser.add_argument("--rounds", type=int, default=1000)
    parser.add_argument("--scratch", default=os.path.join(tempfile.gettempdir(), "roar-bench"))
    options = parser.parse_args()
    os.makedirs(options.scratch, exist_ok=True)
    source = histories.repository_with(options.scratch, options.jobs)
    folder = tempfile.mkdtemp(prefix="roar-hidden-")
    try:
        server = Server(folder, visibility="private")
        bare = server.storage.repo(PROJECT).git_dir
        git(folder, f"--git-dir={bare}", "fetch", "-q", source, "+refs/roar/*:refs/roar/*")
        migrate.migrate(server.storage, None)
        server.storage.queue(PROJECT)
        worker.run_once(server.storage, None)
        with open_index(server.storage.repo(PROJECT)) as index:
            job = index.jobs()[options.jobs // 2]
            made = index.uses([job])[job][1]
        content = next(use.hash for use in made if use.hash)
        server.start()
        time.sleep(3)  # the worker looks at all projects once
        try:
            asker = Asker(server.port)
            pairs = {
                "an artifact": ("/api/v1/artifacts/{}", content, "0" * 64),
                "a part of its hash": ("/api/v1/artifacts/{}", content[:10], "0" * 10),
                "a job": ("/api/v1/jobs/{}", job, "0" * 26),
                "a project": ("/api/v1/projects/{}", PROJECT, "bench/nothing"),
                "its repository": ("/{}.git/info/refs?service=git-upload-pack", PROJECT, "bench/nothing"),
                "a command": ("/api/v1/search?command={}", "train", "niart"),
                "a package": ("/api/v1/search?package={}", "package-1", "nothing-1"),
                "nothing, twice": ("/api/v1/artifacts/{}", "1" * 64, "0" * 64),
            }
            print(f"{'':24} {'hidden':>11} {'missing':>11} {'longer':>8}")
            for name, (path, hidden, missing) in pairs.items():
                compare(asker, name, path.format(hidden), path.format(missing), options.rounds)
        finally:
            server.stop()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
