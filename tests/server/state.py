"""All that a server keeps of a project, to see that what was refused left nothing and what was accepted is there."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from roar.git import refs
from roar.glaas import checkpoint, merkle
from roar.server import log, worker
from roar.server.directory import Directory
from roar.server.storage import Storage
from server.crafted import files_of
from server.serving import Glaas, until

TABLES = {
    "records": "id, kind, role, session, code, started_ns, ok, gaps, step, reproduces, command, author, withdrawn, oid",
    "files f JOIN records r ON r.row = f.record JOIN paths p ON p.row = f.path LEFT JOIN hashes h ON h.row = f.hash": (
        "r.id, f.output, p.text, h.text, f.size, f.code"
    ),
    "corrections": "*",
    "namings": "*",
    "tips": "*",
    "broken": "oid, reason",
}


def rows(storage: Storage, url: str | None) -> list[Any]:
    """All that the indexes and the directory know, without the numbers that rows happen to have."""
    found: list[Any] = []
    for project in storage.projects():
        with worker.index_to_fill(storage, url, project) as index:
            for table, columns in TABLES.items():
                some = sorted(map(repr, index._rows(f"SELECT {columns} FROM {table}")))
                found += [(project, table, row) for row in some]
    directory = Directory(storage.root, url)
    for columns, table in (("t.hash", "contents"), ("t.id, t.kind, t.reproduces, t.accepted", "holdings")):
        asked = f"SELECT {columns}, p.name FROM {table} t JOIN projects p ON p.row = t.project"
        found += [(row[-1], table, repr(row[:-1])) for row in sorted(directory._rows(asked), key=repr)]
    directory.close()
    return found


def fsck(path: str) -> list[str]:
    """What git finds wrong with a repository. Objects that nothing names are not wrong."""
    inside = re.fullmatch(r"/proc/(\d+)/root(/.*)", path)  # where another process has a file system of its own
    enter = ["nsenter", "-t", inside[1], "-U", "-m", "--preserve-credentials"] if inside else []
    words = [*enter, "git", f"--git-dir={inside[2] if inside else path}", "fsck", "--strict", "--no-dangling"]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    return [line for line in (done.stdout + done.stderr).splitlines() if not line.startswith("notice: ")]


def kept(server: Glaas, project: str) -> dict[str, Any]:
    """Objects, refs, files, rows and log of a project, after the index has looked once more."""
    server.storage.queue(project)
    worker.run_once(server.storage, server.database)
    repo = server.storage.repo(project)
    logged = log.Log(repo)
    return {
        "objects": repo.ask("cat-file", "--batch-all-objects", "--batch-check"),
        "refs": refs.listing(repo, "refs/"),
        "files": files_of(repo.git_dir),
        "rows": [row for row in rows(server.storage, server.database) if row[0] == project],
        "log": list(logged.entries(0, 1 << 20)) if logged.signed else [],
    }


@contextmanager
def nothing_left(server: Glaas, project: str) -> Iterator[None]:
    """What the block pushes is refused, and of it is nothing in objects, refs, files, index, log and audit but why."""
    before = kept(server, project)
    noted = len(server.audited())
    yield
    quarantines = Path(server.storage.path(project), "objects")
    until(lambda: not list(quarantines.glob("tmp_objdir-*")))
    after = kept(server, project)
    assert {name for name in after if after[name] != before[name]} == set()
    assert fsck(server.storage.path(project)) == []
    whats = {line["what"] for line in server.audited()[noted:] if line["project"] == project}
    assert whats <= {"refused"}, whats


def assert_there(server: Glaas, project: str, *jobs: str) -> None:
    """What was accepted: each job is in the refs, answered by the API, and in the log by a proof that holds."""
    token = server.token()
    for job in jobs:
        until(lambda job=job: server.api(f"jobs/{job}", token)[0] == 200)
        assert project in server.api(f"jobs/{job}", token)[1]["projects"]
    status, answer = server.api(f"projects/{project}/log/checkpoint", token)
    assert status == 200
    signed = checkpoint.split(answer["checkpoint"])[0]
    entries = {entry.id: entry for entry in log.Log(server.storage.repo(project)).entries(0, signed.size)}
    wanted = "&".join(f"id={job}" for job in jobs)
    shown = server.api(f"projects/{project}/log/proof?size={signed.size}&{wanted}", token)[1]
    assert shown["missing"] == []
    for proof in shown["proofs"]:
        leaf = merkle.leaf_hash(checkpoint.leaf(proof["id"], entries[proof["id"]].content))
        hashes = [bytes.fromhex(each) for each in proof["hashes"]]
        assert merkle.includes(leaf, proof["index"], signed.size, hashes, signed.root)
    assert fsck(server.storage.path(project)) == []
