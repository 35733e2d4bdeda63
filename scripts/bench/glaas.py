#!/usr/bin/env python3
"""What a server of lineage does: indexing, lineage among many jobs, many readers at once while pushes go on.

    .venv/bin/python scripts/bench/glaas.py --jobs 100000 --seconds 20 [--database postgresql+psycopg://...]

One server process and its worker, on loopback, with the history of histories.py as one project. The readers are threads
of this process, which takes its share of the same machine; each asks the next question when it has the answer.
"""

from __future__ import annotations

import argparse
import functools
import http.client
import json
import os
import random
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable

import histories
from inputs import git
from records import job, job_fields

from roar.cache.index import open_index
from roar.git.repository import discover
from roar.journal.append import append
from roar.server import migrate, tokens, worker
from roar.server.people import People, Visibility
from roar.server.storage import Storage

PROJECT = "bench/history"


class Server:
    """A `roar serve` over a data directory with two projects, and what its processes take."""

    def __init__(self, folder: str, visibility: Visibility = "public", database: str | None = None) -> None:
        self.database = database
        self.storage = Storage(os.path.join(folder, "data"))
        self.storage.prepare()
        self.people = People(self.storage)
        self.folder = folder
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", f"{folder}/key"], check=True)
        self.people.add_user("ada", by="bench")
        with open(f"{folder}/key.pub", encoding="ascii") as file:
            self.people.add_key("ada", file.read(), by="bench")
        self.people.add_project(PROJECT, by="bench", visibility=visibility, owner="ada")
        self.people.add_project("bench/pushed", by="bench", visibility="public", owner="ada")
        self._process: subprocess.Popen[str] | None = None
        self.port = 0

    def start(self) -> None:
        """Start it, and wait until it listens."""
        words = [sys.executable, "-m", "roar", "serve", "--data", self.storage.root, "--port", "0"]
        words += ["--database", self.database] if self.database else []
        self._process = subprocess.Popen(words, stdout=subprocess.PIPE, text=True)
        assert self._process.stdout
        self.port = int(self._process.stdout.readline().rpartition(":")[2])

    def stop(self) -> None:
        """End it."""
        assert self._process
        self._process.terminate()
        self._process.wait()

    def remote(self, project: str) -> str:
        """The address to push to."""
        token = tokens.issue(
            self.storage.secret(),
            user="ada",
            fingerprint=self.people.users()["ada"].keys[0].fingerprint,
            project=None,
            scope="write",
            seconds=3600,
            now_ns=time.time_ns(),
        )
        return f"http://x:{token}@127.0.0.1:{self.port}/{project}.git"

    def cpu(self) -> float:
        """Seconds of CPU that the server process took so far; its worker and gits are others."""
        assert self._process
        with open(f"/proc/{self._process.pid}/stat", encoding="ascii", errors="replace") as file:
            fields = file.read().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def memory(self) -> dict[str, tuple[float, float]]:
        """The memory of the server, its worker and their gits, in MiB: PSS, where a page that n processes share counts
        1/n for each, and RSS, where it counts for each whole (proc(5), smaps_rollup).
        """
        assert self._process
        found: dict[str, tuple[float, float]] = {}
        with open(f"/proc/{self._process.pid}/cmdline", "rb") as file:
            own = file.read().split(b"\0")[1:]
        waiting = [self._process.pid]
        while waiting:
            pid = waiting.pop()
            try:
                with open(f"/proc/{pid}/smaps_rollup", encoding="ascii") as file:
                    fields = dict(line.split(":", 1) for line in file if ":" in line)
                with open(f"/proc/{pid}/cmdline", "rb") as file:
                    words = file.read().split(b"\0")
                for task in os.listdir(f"/proc/{pid}/task"):
                    with open(f"/proc/{pid}/task/{task}/children", encoding="ascii") as file:
                        waiting += map(int, file.read().split())
            except (OSError, ValueError):
                continue
            if pid != self._process.pid and words[1:] == own:
                continue  # a child that is not another program yet has the memory of its parent
            name = "worker" if b"roar.server.worker" in words else "git" if b"git" in words[0] else "server"
            before = found.get(name, (0.0, 0.0))
            pss, rss = (int(fields.get(kind, "0").split()[0]) / 1024 for kind in ("Pss", "Rss"))
            found[name] = before[0] + pss, before[1] + rss
        return found


def indexing(server: Server, source: str, count: int) -> None:
    """How fast a worker brings in a whole history of so many jobs."""
    bare = server.storage.repo(PROJECT).git_dir
    git(server.folder, f"--git-dir={bare}", "fetch", "-q", source, "+refs/roar/*:refs/roar/*")
    migrate.migrate(server.storage, server.database)
    server.storage.queue(PROJECT)
    before, began = _cpu(), time.perf_counter()
    worker.run_once(server.storage, server.database)
    took, cpu = time.perf_counter() - began, _cpu() - before
    print(f"indexing: {count} jobs in {took:.1f} s, {count / took:.0f} a second; {count / cpu:.0f} a second of CPU")


def _cpu() -> float:
    used = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(each.ru_utime + each.ru_stime for each in used)


class Asker:
    """Asks a server over one connection that stays open."""

    def __init__(self, port: int) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)

    def get(self, path: str, expected: tuple[int, ...] = (200,)) -> tuple[float, bytes]:
        """How long the answer took, in milliseconds, and the answer, which must be of a status that is expected."""
        began = time.perf_counter()
        self._connection.request("GET", path)
        answer = self._connection.getresponse()
        body = answer.read()
        if answer.status not in expected:
            raise SystemExit(f"{path}: {answer.status} {body[:300]!r}")
        return (time.perf_counter() - began) * 1000, body


def _share(times: list[float], part: float) -> float:
    return sorted(times)[min(int(len(times) * part), len(times) - 1)]


def _said(name: str, times: list[float]) -> None:
    print(
        f"{name}: median {statistics.median(times):.0f} ms, 95 % {_share(times, 0.95):.0f} ms,"
        f" 99 % {_share(times, 0.99):.0f} ms, most {max(times):.0f} ms, of {len(times)}"
    )


def lineage(server: Server, contents: list[str]) -> None:
    """How long a lineage of depth 10 takes through the API, both ways."""
    asker = Asker(server.port)
    for direction in ("up", "down"):
        times, jobs = [], []
        before = server.cpu()
        for content in contents:
            took, body = asker.get(f"/api/v1/artifacts/{content}/lineage?depth=10&direction={direction}&limit=500")
            times.append(took)
            jobs.append(json.loads(body)["total"])
        _said(f"lineage of depth 10 {direction}, {statistics.median(jobs):.0f} jobs in the middle", times)
        print(f"  CPU of the server: {(server.cpu() - before) * 1000 / len(times):.1f} ms each")


def readers(server: Server, contents: list[str], jobs: list[str], seconds: float, clients: int) -> None:
    """Many at once, while somebody pushes all the time."""
    paths = [
        *(f"/api/v1/artifacts/{content}" for content in contents),
        *(f"/api/v1/artifacts/{content}/lineage?depth=3" for content in contents),
        *(f"/api/v1/jobs/{identifier}" for identifier in jobs),
        *(f"/a/{content}" for content in contents[: len(contents) // 4]),
        *("/api/v1/search?command=train&limit=20", "/", "/api/v1/projects") * 4,
    ]
    end = time.monotonic() + seconds
    times: list[float] = []
    pushes: list[float] = []

    def read(number: int) -> None:
        asker, chance = Asker(server.port), random.Random(number)
        while time.monotonic() < end:
            times.append(asker.get(chance.choice(paths))[0])

    def push() -> None:
        here = os.path.join(server.folder, "pusher")
        subprocess.run(["git", "init", "-q", here], check=True)
        repo = discover(here)
        while time.monotonic() < end:
            append(
                repo, functools.partial(job, {**job_fields(len(pushes), 1), "started_ns": time.time_ns(), "code": {}})
            )
            began = time.perf_counter()
            git(here, "push", "-q", server.remote("bench/pushed"), "refs/roar/*")
            pushes.append((time.perf_counter() - began) * 1000)

    work: list[Callable[[], None]] = [functools.partial(read, number) for number in range(clients)]
    threads = [threading.Thread(target=target) for target in [*work, push]]
    most: dict[str, tuple[float, float]] = {}
    whole = 0.0
    cpu = server.cpu()
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        now = server.memory()
        whole = max(whole, sum(pss for pss, _ in now.values()))
        for name, (pss, rss) in now.items():
            before = most.get(name, (0.0, 0.0))
            most[name] = max(before[0], pss), max(before[1], rss)
        time.sleep(0.5)
    _said(f"{clients} clients at once, {len(times) / seconds:.0f} answers a second", times)
    print(f"  CPU of the server: {(server.cpu() - cpu) * 1000 / len(times):.1f} ms an answer, pushes included")
    _said("pushes meanwhile", pushes)
    each = ", ".join(f"{name} {pss:.0f} ({rss:.0f})" for name, (pss, rss) in sorted(most.items()))
    print(f"memory at most, PSS (RSS) in MiB: {each}; all together {whole:.0f} PSS")


def main() -> None:
    """Measure."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--jobs", type=int, default=100_000)
    parser.add_argument("--seconds", type=float, default=20)
    parser.add_argument("--clients", type=int, default=50)
    parser.add_argument("--database", metavar="URL", help="an empty PostgreSQL database, instead of SQLite")
    parser.add_argument("--scratch", default=os.path.join(tempfile.gettempdir(), "roar-bench"))
    options = parser.parse_args()
    os.makedirs(options.scratch, exist_ok=True)
    source = histories.repository_with(options.scratch, options.jobs)
    folder = tempfile.mkdtemp(prefix="roar-glaas-")
    try:
        server = Server(folder, database=options.database)
        chance = random.Random(1)
        with open_index(discover(source)) as index:
            indexing(server, source, index.count_jobs())
            jobs = chance.sample(index.jobs(), 200)
            uses = index.uses(jobs)
        contents = sorted({use.hash for _, made in uses.values() for use in made if use.hash})[:200]
        server.start()
        try:
            lineage(server, contents[:60])
            readers(server, contents, jobs, options.seconds, options.clients)
        finally:
            server.stop()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
