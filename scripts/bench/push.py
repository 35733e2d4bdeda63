#!/usr/bin/env python3
"""What the checks of a server cost: pushes of one record over HTTP, to `roar serve` and to a bare `git http-backend`.

    .venv/bin/python scripts/bench/push.py --rounds 30

Each round makes one record and pushes it to both, in turn first. The other server is 40 lines of Python's `http.server`
around `git http-backend` and a repository with no hook and no settings but `http.receivepack`. Both get the same header
at once, so that neither is asked twice. CPU is that of the client and all of the server's processes.
"""

from __future__ import annotations

import argparse
import functools
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import NamedTuple

from inputs import git, new_repository
from records import job, job_fields

from roar.git.repository import Repository, discover
from roar.journal.append import append
from roar.server import tokens
from roar.server.people import People
from roar.server.storage import Storage

RECORD = "refs/roar/jobs/*"
RECORD_AND_NOTE = "refs/roar/*"


class Cgi(BaseHTTPRequestHandler):
    """The other server: `git http-backend`, and as little around it as can be."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # else each answer waits 40 ms for the client's acknowledgement of its header
    root = ""

    def do_GET(self) -> None:
        """Serve one request."""
        path, _, query = self.path.partition("?")
        length = self.headers.get("Content-Length", "0")
        env = {
            "PATH": os.environ["PATH"],
            "GIT_PROJECT_ROOT": self.root,
            "GIT_HTTP_EXPORT_ALL": "1",
            "PATH_INFO": path,
            "QUERY_STRING": query,
            "REQUEST_METHOD": self.command,
            "CONTENT_TYPE": self.headers.get("Content-Type", ""),
            "CONTENT_LENGTH": length,
            "HTTP_CONTENT_ENCODING": self.headers.get("Content-Encoding", ""),
            "GIT_PROTOCOL": self.headers.get("Git-Protocol", ""),
        }
        body = self.rfile.read(int(length))
        done = subprocess.run(["git", "http-backend"], env=env, input=body, stdout=subprocess.PIPE, check=True)
        head, _, answer = done.stdout.partition(b"\r\n\r\n")
        fields = dict(line.split(": ", 1) for line in head.decode().split("\r\n"))
        self.send_response(int(fields.pop("Status", "200").split()[0]))
        for name, value in fields.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    do_POST = do_GET  # noqa: N815

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Say nothing."""


class Push(NamedTuple):
    """Seconds of one push."""

    wall: float
    cpu: float


def cpu_of(pid: int) -> float:
    """CPU seconds of a process and of all its children that have ended."""
    with open(f"/proc/{pid}/stat", encoding="utf-8") as file:
        fields = file.read().rpartition(")")[2].split()
    return sum(map(int, fields[11:15])) / os.sysconf("SC_CLK_TCK")


def own_children() -> float:
    """CPU seconds of our children that have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def push(tree: str, url: str, refs: str, header: str, server: int) -> Push:
    """Push and measure; ``server`` is the process that serves."""
    words = ["git", "-c", f"http.extraHeader={header}", "push", "-q", url, refs]
    cpu = own_children() + cpu_of(server)
    began = time.perf_counter()
    subprocess.run(words, cwd=tree, check=True)
    wall = time.perf_counter() - began
    return Push(wall, own_children() + cpu_of(server) - cpu)


def one_more(repo: Repository, number: int) -> None:
    """Append a record."""
    fields = {**job_fields(number, 1), "started_ns": time.time_ns(), "code": {"commit": repo_head(repo)}}
    append(repo, functools.partial(job, fields))


def repo_head(repo: Repository) -> str:
    """The commit that is checked out."""
    return repo.ask("rev-parse", "HEAD").decode().strip()


def bare(folder: str) -> tuple[subprocess.Popen[str], str]:
    """Start the other server in a process of its own."""
    git(folder, "init", "-q", "--bare", "bare.git")
    git(f"{folder}/bare.git", "config", "http.receivepack", "true")
    words = [sys.executable, __file__, "--bare", folder]
    server = subprocess.Popen(words, stdout=subprocess.PIPE, text=True)
    assert server.stdout
    return server, f"http://127.0.0.1:{server.stdout.readline().strip()}/bare.git"


def glaas(folder: str) -> tuple[subprocess.Popen[str], str, str]:
    """Start `roar serve`; gives the URL of a project and a header that is let in."""
    storage = Storage(f"{folder}/data")
    storage.prepare()
    people = People(storage)
    git(folder, "init", "-q", "unused")
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", f"{folder}/key"], check=True)
    people.add_user("ada", by="bench")
    with open(f"{folder}/key.pub", encoding="utf-8") as file:
        key = people.add_key("ada", file.read(), by="bench")
    people.add_project("model", by="bench", owner="ada")
    words = [sys.executable, "-m", "roar", "serve", "--data", storage.root, "--port", "0"]
    server = subprocess.Popen(words, stdout=subprocess.PIPE, text=True)
    assert server.stdout
    url = server.stdout.readline().strip().rpartition(" ")[2]
    token = tokens.issue(
        storage.secret(),
        user="ada",
        fingerprint=key.fingerprint,
        project=None,
        scope="write",
        seconds=tokens.TOKEN_SECONDS,
        now_ns=time.time_ns(),
    )
    return server, f"{url}/model.git", f"Authorization: Bearer {token}"


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description="What a push of one record costs.")
    parser.add_argument("--rounds", type=int, default=30)
    parser.add_argument("--bare", metavar="DIR", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.bare:
        Cgi.root = options.bare
        http = ThreadingHTTPServer(("127.0.0.1", 0), Cgi)
        print(http.server_address[1], flush=True)
        http.serve_forever()
    with tempfile.TemporaryDirectory() as folder:
        tree = f"{folder}/tree"
        new_repository(tree)
        repo = discover(tree)
        other, other_url = bare(folder)
        ours, our_url, header = glaas(folder)
        try:
            print("| push of one record over HTTP | ours, wall | bare, wall | ratio | ours, CPU | bare, CPU | ratio |")
            print("|---|---:|---:|---:|---:|---:|---:|")
            for what, refs in (("the record", RECORD), ("the record and its note", RECORD_AND_NOTE)):
                found: dict[str, list[Push]] = {other_url: [], our_url: []}
                pushes: dict[str, Callable[[], Push]] = {
                    url: functools.partial(push, tree, url, refs, header, server.pid)
                    for url, server in ((other_url, other), (our_url, ours))
                }
                for number in range(options.rounds + 2):
                    one_more(repo, number)
                    for url in sorted(found, reverse=bool(number % 2)):
                        found[url].append(pushes[url]())
                print(row(what, found[our_url][2:], found[other_url][2:]))  # the first two warm up
        finally:
            for server in (ours, other):
                server.terminate()
                server.wait()


def row(what: str, ours: list[Push], base: list[Push]) -> str:
    """A line of the table."""
    cells = []
    for which in (0, 1):
        mine, its = ([one[which] for one in some] for some in (ours, base))
        ratio = statistics.median(a / b for a, b in zip(mine, its, strict=True))
        cells += [f"{statistics.median(mine) * 1000:.0f} ms", f"{statistics.median(its) * 1000:.0f} ms", f"{ratio:.2f}"]
    return f"| {what} | {' | '.join(cells)} |"


if __name__ == "__main__":
    main()
