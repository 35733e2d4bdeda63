"""Slow, hostile and dying clients, a full disk, a killed server: nothing accepted is lost, nothing refused is left."""

from __future__ import annotations

import contextlib
import gzip
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import make
import pytest

from roar.cache.index import path_of
from roar.git import objects, refs
from roar.git.objects import Reader
from roar.git.repository import Repository, discover
from roar.server.log import Log
from roar.server.people import People
from roar.server.storage import Storage
from server.cluster import Cluster
from server.conftest import on_both
from server.crafted import REF, commit, files_of, push, told
from server.serving import PROJECT, ROOT, Glaas, make_key, options, until
from server.state import assert_there, fsck, kept, nothing_left
from server.wire import basic, connected, head, pack_request

Git = Callable[..., str]
engine = on_both


@pytest.fixture(scope="module")
def tight(tmp_path_factory: pytest.TempPathFactory, engine: tuple[str, ...]) -> Iterator[Glaas]:
    """A server with small limits."""
    server = Glaas(
        tmp_path_factory.mktemp("tight"),
        *engine,
        ROAR_SERVE_HEAD_SECONDS="1",
        ROAR_SERVE_IDLE_SECONDS="1",
        ROAR_SERVE_PUSH_SECONDS="3",
        ROAR_SERVE_PUSH_BYTES="200000",
        ROAR_SERVE_OBJECTS="500",
        ROAR_SERVE_REFS="50",
        ROAR_SERVE_GITS="4",
    )
    server.migrate()
    server.start()
    yield server
    server.stop()


def serves_git(pid: int) -> bool:
    """True while a server answers a git: `git http-backend` runs below it. (What answers questions stays.)"""
    for place in Path(f"/proc/{pid}/task").glob("*/children"):
        with contextlib.suppress(OSError):
            for child in place.read_text().split():
                if Path(f"/proc/{child}/comm").read_text().startswith("git-http"):
                    return True
    return False


def is_clean(server: Glaas, project: str = PROJECT) -> bool:
    """No git is answered, and no quarantine is left."""
    left = list(Path(server.storage.path(project), "objects").glob("tmp_objdir-*"))
    return not serves_git(server.pid) and not left


def record(repo: Repository, size: int = 0) -> str:
    """The commit of a good record, with an overlay of so many bytes that do not compress."""
    make.job(repo, "python a.py")
    with Reader(repo) as reader:
        body = reader.body(f"{next(iter(refs.listing(repo, 'refs/roar/jobs/').values()))}:record.json", "blob")
    return commit(repo, {b"record.json": body} | ({b"files/x": os.urandom(size)} if size else {}))


# ---- too much


def test_too_much_of_everything(tight: Glaas, repo: Repository, tree: Path) -> None:
    url = tight.remote()
    many = objects.write_files(repo, {b"files/%d" % n: b"%d" % n for n in range(600)})
    with Reader(repo) as reader:
        body = next(oid for _, name, oid in reader.tree(reader.commit(record(repo)).tree) if name == b"record.json")
        entries = [*reader.tree(many), (b"100644", b"record.json", body)]
    oid = commit(repo, objects.write(repo, "tree", objects.tree_body(entries)))
    with nothing_left(tight, PROJECT):
        assert "pack exceeds maximum allowed size" in push(tree, url, f"{record(repo, 300_000)}:{REF}")
        assert "error" in push(tree, url, f"{record(repo, 3_000_000)}:{REF}")  # more than a body may have
        assert "it brings 60" in told(push(tree, url, f"{oid}:{REF}"))[0]
        ways = [f"{record(repo)}:{REF[:-4]}{n:04}" for n in range(51)]
        assert told(push(tree, url, *ways)) == ["it names 51 refs, more than 50 (next: push fewer at once)"]
    assert is_clean(tight)


def test_an_object_that_unpacks_to_too_much(glaas: Glaas, project: str, repo: Repository, tree: Path, git: Git) -> None:
    """A quarter of a megabyte on the wire."""
    zeros = tree / "zeros"
    with zeros.open("wb") as file:
        file.truncate(objects.MAX_BYTES + 1)
    blob = git(tree, "-c", "core.bigFileThreshold=1m", "hash-object", "-w", str(zeros))
    with Reader(repo) as reader:
        entries = reader.tree(reader.commit(record(repo)).tree)
    inner = objects.write(repo, "tree", objects.tree_body([(b"100644", b"x", blob)]))
    oid = commit(repo, objects.write(repo, "tree", objects.tree_body([*entries, (b"40000", b"files", inner)])))
    with nothing_left(glaas, project):
        lines = told(push(tree, glaas.remote(project), f"{oid}:{REF}"))
    assert f"has {objects.MAX_BYTES + 1} bytes, more than {objects.MAX_BYTES}" in lines[0]


def test_a_body_that_unpacks_to_too_much(glaas: Glaas, project: str) -> None:
    body = gzip.compress(b"0" * 50_000_000)
    with connected(glaas) as wire:
        wire.sendall(
            f"POST /{project}.git/git-upload-pack HTTP/1.1\r\nHost: x\r\nAuthorization: {basic(glaas)}\r\n"
            "Content-Type: application/x-git-upload-pack-request\r\nContent-Encoding: gzip\r\n"
            f"Content-Length: {len(body)}\r\n\r\n".encode()
            + body
        )
        assert wire.recv(100)
    until(lambda: is_clean(glaas, project))


# ---- too slow


def test_slow_clients_are_cut_off_and_keep_nobody_waiting(tight: Glaas, repo: Repository, tree: Path) -> None:
    """Hundreds, who stop in the head, in the body, or after a request that was quick."""
    job = make.job(repo, "python a.py")
    slow = [connected(tight) for _ in range(200)]
    try:
        for number, wire in enumerate(slow):
            if number % 4 == 3:
                wire.sendall(b"GET /nothing HTTP/1.1\r\nHost: x\r\n\r\n")
                assert b"HTTP/1.1 " in wire.recv(1 << 16)
                wire.sendall(b"GET /no")
            elif number % 4 == 1 or number >= 20:
                wire.sendall(head(tight, PROJECT, 1000)[:40])
            else:
                wire.sendall(head(tight, PROJECT, 1000) + b"00")
        push(tree, tight.remote(), "refs/roar/jobs/*", code=0)
        assert_there(tight, PROJECT, job)
        before = kept(tight, PROJECT)
        for wire in slow:
            with contextlib.suppress(ConnectionResetError):
                while wire.recv(1 << 16):  # until the server has closed it
                    pass
    finally:
        for wire in slow:
            wire.close()
    until(lambda: is_clean(tight))
    assert kept(tight, PROJECT) == before


def test_nobody_in_particular_keeps_no_user_waiting(tmp_path: Path, repo: Repository, tree: Path) -> None:
    """A public project can be read by anybody; who takes minutes for it takes a part of the turns."""
    server = Glaas(tmp_path, ROAR_SERVE_GITS="4")
    server.people.set_project(PROJECT, by="tests", visibility="public")
    server.start()
    try:
        with contextlib.ExitStack() as stack:
            for _ in range(6):
                wire = stack.enter_context(connected(server))
                wire.sendall(
                    f"POST /{PROJECT}.git/git-upload-pack HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n"
                    "Content-Type: application/x-git-upload-pack-request\r\n\r\n00".encode()
                )
            until(lambda: serves_git(server.pid))
            job = make.job(repo, "python a.py")
            began = time.monotonic()
            push(tree, server.remote(), "refs/roar/*", code=0)
            assert time.monotonic() - began < 25, "and not when the others were cut off"
        assert_there(server, PROJECT, job)
    finally:
        server.stop()


def test_drop_by_drop_has_an_end(tight: Glaas) -> None:
    with nothing_left(tight, PROJECT), connected(tight) as wire:
        wire.sendall(head(tight, PROJECT, None))
        began = time.monotonic()
        with pytest.raises(OSError):
            while time.monotonic() - began < 30:
                wire.sendall(b"1\r\n0\r\n")
                time.sleep(0.2)
        assert time.monotonic() - began < 20
        until(lambda: is_clean(tight))


# ---- gone


def test_a_push_that_is_killed_half_way(glaas: Glaas, project: str, repo: Repository, tree: Path, git: Git) -> None:
    job = make.job(repo, "python a.py", code={"overlay": [make.overlaid("x", os.urandom(200_000).hex())]})
    (ref,) = refs.listing(repo, "refs/roar/jobs/")
    oid = git(tree, "rev-parse", ref)
    body = pack_request(tree, oid, ref)
    for part in (50, len(body) // 2, len(body) - 30):
        with nothing_left(glaas, project):
            with connected(glaas) as wire:
                wire.sendall(head(glaas, project, len(body)) + body[:part])
                until(lambda: serves_git(glaas.pid))
            until(lambda: is_clean(glaas, project))
    with connected(glaas) as wire:  # all is sent, and nobody listens: it is let in, or nothing is left
        wire.sendall(head(glaas, project, len(body)) + body)
        until(lambda: serves_git(glaas.pid))
    until(lambda: is_clean(glaas, project))
    assert refs.listing(glaas.storage.repo(project), "refs/") in ({}, {ref: oid})
    push(tree, glaas.remote(project), ref, code=0)
    assert_there(glaas, project, job)
    assert glaas.indexed(project) == 1


@pytest.fixture
def own(tmp_path: Path, database: str | None) -> Iterator[Glaas]:
    """A server of the test's own."""
    server = Glaas(tmp_path, *options(database))
    server.migrate()
    server.start()
    yield server
    server.stop()


def test_a_server_that_is_killed(own: Glaas, repo: Repository, tree: Path) -> None:
    job = make.job(repo, "python a.py")
    (ref,) = refs.listing(repo, "refs/roar/jobs/")
    push(tree, own.remote(), ref, code=0)
    oid = record(repo, 400_000)
    body = pack_request(tree, oid, REF)
    with connected(own) as wire:
        wire.sendall(head(own, PROJECT, len(body)) + body[: len(body) // 2])
        until(lambda: serves_git(own.pid))
        own.stop(signal.SIGKILL)
    there = Path(own.storage.path(PROJECT))
    (there / "objects" / "tmp_objdir-incoming-left").mkdir()
    for left in there.glob("objects/tmp_objdir-*"):
        os.utime(left, (1, 1))
    shutil.rmtree(own.data / "queue")
    own.start()
    assert_there(own, PROJECT, job)
    assert list(refs.listing(own.storage.repo(PROJECT), "refs/")) == [ref]
    assert not list(there.glob("objects/tmp_objdir-*"))
    push(tree, own.remote(), f"{oid}:{REF}", code=0)
    assert fsck(str(there)) == []


@contextlib.contextmanager
def database_down(server: Glaas, postgres: Cluster | None) -> Iterator[None]:
    """PostgreSQL is stopped; files of SQLite are locked by somebody who lets nobody write."""
    if postgres:
        postgres.stop()
        try:
            yield
        finally:
            postgres.start()
    else:
        with contextlib.ExitStack() as stack:
            for path in (server.data / "directory.db", path_of(server.storage.repo(PROJECT))):
                held = stack.enter_context(contextlib.closing(sqlite3.connect(path, isolation_level=None)))
                held.execute("BEGIN EXCLUSIVE")
            yield


def test_pushes_land_while_the_database_is_down(
    own: Glaas, request: pytest.FixtureRequest, repo: Repository, tree: Path
) -> None:
    postgres = request.getfixturevalue("postgres") if own.database else None
    first = make.job(repo, "python a.py")
    (ref,) = refs.listing(repo, "refs/roar/jobs/")
    push(tree, own.remote(), "refs/roar/*", code=0)
    assert_there(own, PROJECT, first)
    with database_down(own, postgres):
        second = make.job(repo, "python b.py")
        push(tree, own.remote(), "refs/roar/*", code=0)
        status, answer = own.api(f"jobs/{first}", own.token())
        assert status == (503 if postgres else 200)
        assert not postgres or "roar@" not in repr(answer)
        assert own.api(f"jobs/{second}", own.token())[0] == (503 if postgres else 404)
        assert "may not be deleted" in push(tree, own.remote(), f"{record(repo)}:{REF}", f":{ref}")
    assert_there(own, PROJECT, first, second)
    assert REF not in refs.listing(own.storage.repo(PROJECT), "refs/")
    assert "Traceback" not in own.log.read_text()


# ---- all at once


def test_many_push_at_once(glaas: Glaas, project: str, repo: Repository, tree: Path, git: Git) -> None:
    """To chains of their own, all land; to one and the same, one does, and nobody's is half there."""
    base = record(repo)
    commits = [commit(repo, git(tree, "rev-parse", f"{base}^{{tree}}"), f"roar: {n}") for n in range(12)]
    url = glaas.remote(project)
    ways = [f"{oid}:{REF[:-2]}{n:02}" if n < 6 else f"{oid}:{REF}" for n, oid in enumerate(commits)]
    codes: dict[str, int] = {}

    def one(way: str) -> None:
        codes[way] = subprocess.run(["git", "push", "-q", url, way], cwd=tree, capture_output=True).returncode

    threads = [threading.Thread(target=one, args=(way,)) for way in ways]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    here = refs.listing(glaas.storage.repo(project), "refs/roar/")
    assert [codes[way] for way in ways[:6]] == [0] * 6
    assert [codes[way] for way in ways[6:]].count(0) == 1
    assert len(here) == 7
    for way, code in codes.items():
        oid, _, ref = way.partition(":")
        assert (here[ref] == oid) == (code == 0)
    assert fsck(glaas.storage.path(project)) == []


# ---- a full disk

ON_A_SMALL_DISK = """
mount -t tmpfs -o size=$1 tmpfs "$2" || exit 77
shift 2
exec "$@"
"""


def test_a_full_disk(tmp_path: Path, database: str | None, repo: Repository, tree: Path) -> None:
    """The data directory is a file system of 3 MB in a name space of its own."""
    disk = tmp_path / "disk"
    disk.mkdir()
    script = tmp_path / "script"
    script.write_text(ON_A_SMALL_DISK)
    call = [sys.executable, "-m", "roar", "serve", "--data", str(disk / "data"), *options(database)]
    env = {**os.environ, "PYTHONPATH": str(ROOT), "LOGNAME": "ada"}
    if database:
        elsewhere = [str(tmp_path / "elsewhere") if word == str(disk / "data") else word for word in call]
        subprocess.run([*elsewhere, "--migrate"], env=env, check=True, capture_output=True)
    inside = ["unshare", "-Urm", "sh", str(script), "3m", str(disk), *call, "--port", "0"]
    server = subprocess.Popen(inside, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        assert server.stdout and server.stderr
        line = server.stdout.readline()
        if not line:
            pytest.skip(f"no file system of one's own can be had here: {server.stderr.read()}")
        seen = Glaas.__new__(Glaas)
        seen.words = options(database)
        seen.port = int(line.rpartition(":")[2])
        seen.storage = Storage("")
        seen.data = Path(f"/proc/{server.pid}/root{disk}/data")
        seen.storage.root = str(seen.data)
        seen.people = People(seen.storage)
        key = make_key(tmp_path / "key")
        seen.people.add_key("ada", key.with_suffix(".pub").read_text(), by="tests")
        url = seen.remote("default")
        first = make.job(repo, "python a.py")
        push(tree, url, "refs/roar/jobs/*", code=0)
        assert_there(seen, "default", first)
        path, bare = seen.storage.path("default"), seen.storage.repo("default")
        before = refs.listing(bare, "refs/"), files_of(path), Log(bare).signed
        assert "No space left on device" in push(tree, url, f"{record(repo, 4_000_000)}:{REF}", code=1)
        until(lambda: not list(Path(path, "objects").glob("tmp_objdir-*")))
        assert (refs.listing(bare, "refs/"), files_of(path), Log(bare).signed) == before
        filled = seen.data / "filled"
        with contextlib.suppress(OSError), filled.open("wb", 0) as file:  # to the last byte
            while file.write(b"x" * 4096):
                pass
        second = make.job(repo, "python b.py")
        push(tree, url, "refs/roar/jobs/*", code=1)
        assert refs.listing(bare, "refs/") == before[0]
        assert seen.api(f"jobs/{first}", seen.token())[0] == 200
        filled.unlink()
        push(tree, url, "refs/roar/jobs/*", code=0)
        assert_there(seen, "default", first, second)
    finally:
        server.terminate()
        server.communicate()


def test_what_cannot_be_noted_does_not_come_in(tight: Glaas, repo: Repository, tree: Path) -> None:
    audit = tight.data / "audit.jsonl"
    kept = audit.read_bytes() if audit.exists() else b""
    audit.unlink(missing_ok=True)
    audit.mkdir()
    try:
        before = refs.listing(tight.storage.repo(PROJECT), "refs/")
        (line,) = told(push(tree, tight.remote(), f"{record(repo)}:{REF[:-1]}9"))
        assert "the server cannot check or note this push" in line
        assert refs.listing(tight.storage.repo(PROJECT), "refs/") == before
        until(lambda: is_clean(tight))
    finally:
        audit.rmdir()
        audit.write_bytes(kept)


# ---- what is nobody's business


def asked(server: Glaas, path: str, token: str = "") -> tuple[str, bytes]:
    """The status line and the rest of the answer to a raw GET; the path is sent as it is."""
    extra = f"Authorization: Bearer {token}\r\n" if token else ""
    with connected(server) as wire:
        wire.sendall(f"GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{extra}\r\n".encode())
        answer = b""
        while piece := wire.recv(1 << 16):
            answer += piece
    status, _, rest = answer.partition(b"\r\n")
    rest = b"\r\n".join(line for line in rest.split(b"\r\n") if not line.lower().startswith(b"date:"))
    return status.decode(), rest


def shape(answer: bytes, name: str) -> bytes:
    """An answer without the name that was asked for, and without its length."""
    lines = answer.replace(name.encode(), b"NAME").split(b"\r\n")
    return b"\r\n".join(line for line in lines if not line.lower().startswith(b"content-length:"))


def test_a_private_project_looks_like_none(glaas: Glaas, project: str, tmp_path: Path) -> None:
    glaas.user("nobody", tmp_path)
    stranger = glaas.token("nobody", "admin")
    for token in ("", stranger):
        for path in ("info/refs?service=git-upload-pack", "info/refs?service=git-receive-pack", "HEAD", "config"):
            there, none = (asked(glaas, f"/{name}.git/{path}", token) for name in (project, "team/none"))
            assert there[0].split()[1] in ("401", "404")
            name = project.encode()
            assert (there[0], there[1].replace(name, b"team/none")) == (
                none[0],
                none[1].replace(name, b"team/none"),
            ) or (len(project) != len("team/none") and there[0] == none[0])


def test_paths_lead_to_projects_alone(glaas: Glaas, project: str) -> None:
    token = glaas.token(scope="admin")
    info = "info/refs?service=git-upload-pack"
    assert asked(glaas, f"/{project}.git/{info}", token)[0].split()[1] == "200"
    for path in (
        f"/admin.git/{info}",
        f"/../admin.git/{info}",
        f"/team/../../admin.git/{info}",
        f"/team/%2e%2e/%2e%2e/admin.git/{info}",
        f"/..%2fadmin.git/{info}",
        f"//{project}.git/{info}",
        f"/{project}.git/../../../admin.git/{info}",
        f"/{project}.git/objects/info/packs",
        f"/{project}.git/HEAD",
        f"/{project}.git/config",
        f"/{project}.git/info/refs",
        f"/{project}.git/info/refs?service=git-upload-archive",
        f"/{project}.git%00/{info}",
        f"/{project.upper()}.git/{info}",
    ):
        status, rest = asked(glaas, path, token)
        assert status.split()[1] in ("400", "404", "405"), (path, status)
        assert b"[core]" not in rest
        assert b"Traceback" not in rest


def test_nothing_but_records_is_shown(glaas: Glaas, project: str, repo: Repository, tree: Path, git: Git) -> None:
    push(tree, glaas.remote(project), f"{record(repo)}:{REF}", code=0)
    there = discover(glaas.storage.path(project))
    hidden = commit(there, {b"secret": b"x"})
    there.ask("update-ref", "refs/heads/main", hidden)
    assert git(tree, "ls-remote", glaas.remote(project)).split("\t")[1:] == [REF]
    assert git(tree, "-c", "protocol.version=0", "ls-remote", glaas.remote(project)).split("\t")[1:] == [REF]


def test_a_push_that_takes_too_long_to_check_is_refused_whole(tmp_path: Path, database: str | None) -> None:
    server = Glaas(tmp_path, *options(database), ROAR_SERVE_CHECK_SECONDS="1")
    clone = tmp_path / "clone"
    subprocess.run(["git", "init", "-q", str(clone)], check=True)
    make.bulk(discover(str(clone)), make.pipelines(10_000))
    server.migrate()
    server.start()
    try:
        with nothing_left(server, PROJECT):
            said = push(clone, server.remote(), "refs/roar/*")
        assert told(said) == ["checking it takes too long (next: push fewer records at once)"]
        (line,) = (it for it in server.audited() if it["what"] != "log-in")
        assert (line["what"], len(line["reasons"])) == ("refused", 1)
        push(clone, server.remote(), "refs/roar/jobs/2025/bulk~9990:refs/roar/jobs/2025/bulk", code=0)
        until(lambda: server.indexed(PROJECT) == 10)
    finally:
        server.stop()
