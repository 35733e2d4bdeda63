#!/usr/bin/env python3
"""What hostile clients cost a server: a push of a million tiny objects, and hundreds who send drop by drop.

    .venv/bin/python scripts/bench/hostile.py tiny                    # refused: more than ROAR_SERVE_OBJECTS
    ROAR_SERVE_OBJECTS=2000000 .venv/bin/python scripts/bench/hostile.py tiny
    .venv/bin/python scripts/bench/hostile.py slow --connections 900

Each starts a server in a temporary folder (``tests/server/serving.py``). Memory is the most that a process had
resident. A slow client sends the first line of a request, and a header every two seconds until it is cut off; then it
comes again. Beside them one reader asks 300 questions, one after the other.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import resource
import socket
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent.parent / "tests"))

import make  # type: ignore[import-not-found]
from server.serving import PROJECT, Glaas, until  # type: ignore[import-not-found]

from roar.git import refs
from roar.git.objects import Reader
from roar.git.repository import Repository, discover

WHO = b"Ada Recorder <ada@example.org> 1735732800 +0000"


class Peaks:
    """The most memory that the server and each program below it had resident, in MiB. Use as a context."""

    def __init__(self, pid: int) -> None:
        self.most: dict[str, int] = {}
        self._pid = pid
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._watch)

    def __enter__(self) -> Peaks:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._done.wait(0.2):
            waiting = [self._pid]
            while waiting:
                pid = waiting.pop()
                with contextlib.suppress(OSError):
                    for task in Path(f"/proc/{pid}/task").iterdir():
                        waiting += map(int, (task / "children").read_text().split())
                    self._note(pid)

    def _note(self, pid: int) -> None:
        words = Path(f"/proc/{pid}/cmdline").read_bytes().decode().split("\0")
        verbs = [word for word in words if word in ("index-pack", "rev-list", "cat-file", "unpack-objects")]
        name = "server" if pid == self._pid else next(iter(verbs), "others")
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                self.most[name] = max(self.most.get(name, 0), int(line.split()[1]) >> 10)


def tiny(repo: Repository, count: int, *, folders: bool) -> str:
    """A commit of a good record and so many tiny files beside it (or folders, each around the same one)."""
    make.job(repo, "python a.py")
    with Reader(repo) as reader:
        body = reader.body(f"{next(iter(refs.listing(repo, 'refs/roar/jobs/').values()))}:record.json", "blob")
    words = ["git", f"--git-dir={repo.git_dir}", "fast-import", "--quiet", "--force", "--done"]
    with subprocess.Popen(words, stdin=subprocess.PIPE) as into:
        assert into.stdin
        into.stdin.write(b"blob\nmark :1\ndata 1\nx\ncommit refs/tiny\ncommitter " + WHO + b"\ndata 7\nroar: x\n")
        into.stdin.write(b"M 100644 inline record.json\ndata %d\n%s\n" % (len(body), body))
        for n in range(count):
            where = b"files/%d/%d" % (n // 1000, n)
            text = b"%d" % n
            one = b":1 %s/%d\n" % (where, n) if folders else b"inline %s\ndata %d\n%s\n" % (where, len(text), text)
            into.stdin.write(b"M 100644 " + one)
        into.stdin.write(b"done\n")
        into.stdin.close()
    return repo.ask("rev-parse", "refs/tiny").decode().strip()


def push_tiny(server: Glaas, repo: Repository) -> None:
    for name, folders in (("blobs", False), ("folders", True)):
        oid = tiny(repo, 998_000, folders=folders)
        words = ["git", f"--git-dir={repo.git_dir}", "push", server.remote(), f"{oid}:refs/roar/jobs/2026/{name}"]
        began = time.monotonic()
        with Peaks(server.pid) as peaks:
            done = subprocess.run(words, capture_output=True, text=True, check=False)
        said = next((line for line in done.stderr.splitlines() if "roar:" in line or "new reference" in line), "")
        print(f"{name}: {time.monotonic() - began:.1f} s, {said.strip()}")
        there = subprocess.run(["du", "-sm", server.storage.path(PROJECT)], capture_output=True, text=True, check=True)
        print(f"  MiB: {peaks.most}, on the disk {there.stdout.split()[0]}")


def read(server: Glaas) -> str:
    """How long each of 300 questions took."""
    token, took = server.token(), []
    for _ in range(300):
        began = time.perf_counter()
        assert server.api("search?limit=20", token)[0] == 200
        took.append((time.perf_counter() - began) * 1000)
    took.sort()
    return f"median {took[150]:.1f} ms, p99 {took[297]:.1f} ms"


def slow_clients(server: Glaas, repo: Repository, count: int) -> None:
    make.bulk(repo, make.pipelines(240))
    subprocess.run(["git", f"--git-dir={repo.git_dir}", "push", "-q", server.remote(), "refs/roar/jobs/*"], check=True)
    until(lambda: server.indexed(PROJECT) == 240)
    print("alone:", read(server))

    def one() -> socket.socket:
        wire = socket.create_connection(("127.0.0.1", server.port), timeout=5)
        wire.sendall(b"GET / HTTP/1.1\r\n")
        wire.setblocking(False)
        return wire

    wires, done, cut = [one() for _ in range(count)], threading.Event(), [0]

    def drop() -> None:
        while not done.wait(2):
            for n, wire in enumerate(wires):
                try:
                    wire.send(b"X-Slow: %d\r\n" % n)
                except OSError:
                    cut[0] += 1
                    wire.close()
                    wires[n] = one()

    thread = threading.Thread(target=drop)
    thread.start()
    print(f"beside {count}:", read(server))
    time.sleep(25)  # until the first were cut off and came again
    print("25 s later:", read(server), f"({cut[0]} were cut off)")
    done.set()
    thread.join()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["tiny", "slow"])
    parser.add_argument("--connections", type=int, default=500)
    chosen = parser.parse_args()
    resource.setrlimit(resource.RLIMIT_NOFILE, (4096, 4096))
    with tempfile.TemporaryDirectory() as folder:
        os.environ.update(HOME=folder, GIT_AUTHOR_NAME="a", GIT_AUTHOR_EMAIL="a@example.org")
        os.environ.update(GIT_COMMITTER_NAME="a", GIT_COMMITTER_EMAIL="a@example.org")
        limits = {name: value for name, value in os.environ.items() if name.startswith("ROAR_SERVE_")}
        subprocess.run(["git", "init", "-q", f"{folder}/clone"], check=True)
        server = Glaas(Path(folder), **limits)
        server.start()
        try:
            repo = discover(f"{folder}/clone")
            push_tiny(server, repo) if chosen.what == "tiny" else slow_clients(server, repo, chosen.connections)
        finally:
            server.stop()


if __name__ == "__main__":
    main()
