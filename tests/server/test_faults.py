"""Slow, hostile and dying clients, a full disk, a killed server: nothing accepted is lost, nothing refused is left."""

from __future__ import annotations

import base64
import contextlib
import gzip
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import make
import pytest

from roar.git import objects, refs
from roar.git.objects import Reader
from roar.git.repository import Repository, discover
from roar.server.people import People
from roar.server.storage import Storage
from server.cluster import Cluster
from server.crafted import REF, commit, files_of, push, told
from server.serving import PROJECT, ROOT, Glaas, until

Git = Callable[..., str]


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
        ROAR_SERVE_GITS="4",
    )
    server.migrate()
    server.start()
    yield server
    server.stop()


def serves_git(pid: int) -> bool:
    """True while a git runs below a process."""
    for place in Path(f"/proc/{pid}/task").glob("*/children"):
        with contextlib.suppress(OSError):
            for child in place.read_text().split():
                if Path(f"/proc/{child}/comm").read_text().startswith("git"):
                    return True
    return False


def is_clean(server: Glaas, project: str = PROJECT) -> bool:
    """No git runs, and no quarantine is left."""
    left = list(Path(server.storage.path(project), "objects").glob("tmp_objdir-*"))
    return not serves_git(server.pid) and not left


def head(server: Glaas, project: str, length: int | None) -> bytes:
    """The head of a push by hand."""
    word = base64.b64encode(f"x:{server.token()}".encode()).decode()
    size = f"Content-Length: {length}" if length is not None else "Transfer-Encoding: chunked"
    return (
        f"POST /{project}.git/git-receive-pack HTTP/1.1\r\nHost: x\r\nAuthorization: Basic {word}\r\n"
        f"Content-Type: application/x-git-receive-pack-request\r\n{size}\r\n\r\n"
    ).encode()


def connected(server: Glaas) -> socket.socket:
    return socket.create_connection(("127.0.0.1", server.port), timeout=20)


def pack_request(tree: Path, repo: Repository, new: str, ref: str) -> bytes:
    """The body of a push of one commit, as git makes it (gitprotocol-pack(5))."""
    line = f"{'0' * 40} {new} {ref}\0 report-status".encode()
    packed = subprocess.run(
        ["git", "pack-objects", "--stdout", "--revs", "-q"],
        input=new.encode(),
        cwd=tree,
        capture_output=True,
        check=True,
    )
    return b"%04x" % (len(line) + 4) + line + b"0000" + packed.stdout


def record(repo: Repository, size: int = 0) -> str:
    """The commit of a good record, with an overlay of so many bytes that do not compress."""
    make.job(repo, "python a.py")
    with Reader(repo) as reader:
        body = reader.body(f"{next(iter(refs.listing(repo, 'refs/roar/jobs/').values()))}:record.json", "blob")
    return commit(repo, {b"record.json": body} | ({b"files/x": os.urandom(size)} if size else {}))


# ---- too much


def test_too_much_of_everything(tight: Glaas, repo: Repository, tree: Path) -> None:
    before = files_of(tight.storage.path(PROJECT))
    url = tight.remote()
    assert "pack exceeds maximum allowed size" in push(tree, url, f"{record(repo, 300_000)}:{REF}")
    assert "error" in push(tree, url, f"{record(repo, 3_000_000)}:{REF}")  # more than a body may have
    many = objects.write_files(repo, {b"files/%d" % n: b"%d" % n for n in range(600)})
    with Reader(repo) as reader:
        body = next(oid for _, name, oid in reader.tree(reader.commit(record(repo)).tree) if name == b"record.json")
        entries = [*reader.tree(many), (b"100644", b"record.json", body)]
    oid = commit(repo, objects.write(repo, "tree", objects.tree_body(entries)))
    assert "it brings 60" in told(push(tree, url, f"{oid}:{REF}"))[0]
    assert files_of(tight.storage.path(PROJECT)) == before
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
    before = files_of(glaas.storage.path(project))
    lines = told(push(tree, glaas.remote(project), f"{oid}:{REF}"))
    assert f"has {objects.MAX_BYTES + 1} bytes, more than {objects.MAX_BYTES}" in lines[0]
    assert files_of(glaas.storage.path(project)) == before


def test_a_body_that_unpacks_to_too_much(glaas: Glaas, project: str) -> None:
    body = gzip.compress(b"0" * 50_000_000)
    word = base64.b64encode(f"x:{glaas.token()}".encode()).decode()
    with connected(glaas) as wire:
        wire.sendall(
            f"POST /{project}.git/git-upload-pack HTTP/1.1\r\nHost: x\r\nAuthorization: Basic {word}\r\n"
            "Content-Type: application/x-git-upload-pack-request\r\nContent-Encoding: gzip\r\n"
            f"Content-Length: {len(body)}\r\n\r\n".encode()
            + body
        )
        assert wire.recv(100)
    until(lambda: is_clean(glaas, project))


# ---- too slow


def test_slow_clients_are_cut_off_and_keep_nobody_waiting(tight: Glaas, repo: Repository, tree: Path) -> None:
    slow = [connected(tight) for _ in range(20)]
    try:
        for number, wire in enumerate(slow):
            if number % 4 == 1:
                wire.sendall(head(tight, PROJECT, 1000)[:40])
            elif number % 4 == 3:  # after a request that was quick
                wire.sendall(b"GET /nothing HTTP/1.1\r\nHost: x\r\n\r\n")
                assert b"HTTP/1.1 " in wire.recv(1 << 16)
                wire.sendall(b"GET /no")
            else:
                wire.sendall(head(tight, PROJECT, 1000) + b"00")
        push(tree, tight.remote(), f"{record(repo)}:{REF}", code=0)
        for wire in slow:
            while wire.recv(1 << 16):  # until the server has closed it
                pass
    finally:
        for wire in slow:
            wire.close()
    until(lambda: is_clean(tight))


def test_drop_by_drop_has_an_end(tight: Glaas) -> None:
    with connected(tight) as wire:
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
    oid = record(repo, 400_000)
    before = files_of(glaas.storage.path(project))
    body = pack_request(tree, repo, oid, REF)
    for part in (50, len(body) // 2, len(body) - 30, len(body)):
        with connected(glaas) as wire:
            wire.sendall(head(glaas, project, len(body)) + body[:part])
            if part < len(body):
                until(lambda: serves_git(glaas.pid))
        if part == len(body):  # all is there: it comes in, whether or not somebody hears of it
            until(lambda: refs.listing(glaas.storage.repo(project), "refs/roar/").get(REF) == oid)
        until(lambda: is_clean(glaas, project))
        if part < len(body):
            assert files_of(glaas.storage.path(project)) == before
    assert "Everything up-to-date" in push(tree, glaas.remote(project), f"{oid}:{REF}", code=0)
    assert git(Path(glaas.storage.path(project)), "fsck", "--strict", "--no-dangling") == ""
    until(lambda: glaas.indexed(project) == 1)


def test_a_server_that_is_killed(tmp_path: Path, repo: Repository, tree: Path, git: Git) -> None:
    server = Glaas(tmp_path)
    server.start()
    oid = record(repo, 400_000)
    push(tree, server.remote(), f"{record(repo)}:{REF}", code=0)
    body = pack_request(tree, repo, oid, REF[:-1] + "0")
    with connected(server) as wire:
        wire.sendall(head(server, PROJECT, len(body)) + body[: len(body) // 2])
        until(lambda: serves_git(server.pid))
        server.stop(signal.SIGKILL)
    there = Path(server.storage.path(PROJECT))
    (there / "objects" / "tmp_objdir-incoming-left").mkdir()
    for left in there.glob("objects/tmp_objdir-*"):
        os.utime(left, (1, 1))
    shutil.rmtree(server.data / "queue")
    server.start()
    try:
        until(lambda: server.indexed(PROJECT) == 1)
        assert not list(there.glob("objects/tmp_objdir-*"))
        push(tree, server.remote(), f"{oid}:{REF[:-1]}0", code=0)
        assert git(there, "fsck", "--strict", "--no-dangling") == ""
    finally:
        server.stop()


def test_pushes_land_while_the_database_is_down(
    tmp_path: Path, postgres: Cluster, repo: Repository, tree: Path
) -> None:
    server = Glaas(tmp_path, "--database", postgres.database())
    server.migrate()
    server.start()

    def is_known(job: str) -> bool:
        return bool(server.api(f"jobs/{job}", server.token())[0] == 200)

    try:
        first = make.job(repo, "python a.py")
        push(tree, server.remote(), "refs/roar/*", code=0)
        until(lambda: is_known(first))
        postgres.stop()
        try:
            second = make.job(repo, "python b.py")
            push(tree, server.remote(), "refs/roar/*", code=0)
            assert server.api(f"jobs/{first}", server.token())[0] == 503
        finally:
            postgres.start()
        until(lambda: is_known(second))
    finally:
        server.stop()


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
    assert git(glaas.storage.path(project), "fsck", "--strict", "--no-dangling") == ""


# ---- a full disk

ON_A_SMALL_DISK = """
mount -t tmpfs -o size=$1 tmpfs "$2" || exit 77
shift 2
exec "$@"
"""


def test_a_full_disk(tmp_path: Path, repo: Repository, tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The data directory is a file system of 3 MB in a name space of its own."""
    disk = tmp_path / "disk"
    disk.mkdir()
    script = tmp_path / "script"
    script.write_text(ON_A_SMALL_DISK)
    words = [sys.executable, "-m", "roar", "serve", "--data", str(disk / "data"), "--port", "0"]
    env = {**os.environ, "PYTHONPATH": str(ROOT), "LOGNAME": "ada"}
    inside = ["unshare", "-Urm", "sh", str(script), "3m", str(disk), *words]
    server = subprocess.Popen(inside, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        assert server.stdout and server.stderr
        line = server.stdout.readline()
        if not line:
            pytest.skip(f"no file system of one's own can be had here: {server.stderr.read()}")
        seen = Glaas.__new__(Glaas)
        seen.port = int(line.rpartition(":")[2])
        seen.storage = Storage("")
        seen.storage.root = f"/proc/{server.pid}/root{disk}/data"
        seen.people = People(seen.storage)
        key = tmp_path / "key"
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(key)], check=True)
        seen.people.add_key("ada", key.with_suffix(".pub").read_text(), by="tests")
        url = seen.remote("default")
        push(tree, url, f"{record(repo)}:{REF}", code=0)
        here = refs.listing(seen.storage.repo("default"), "refs/roar/")
        said = push(tree, url, f"{record(repo, 4_000_000)}:{REF[:-1]}0", code=1)
        assert "No space left on device" in said
        assert refs.listing(seen.storage.repo("default"), "refs/roar/") == here
        until(lambda: not list(Path(seen.storage.path("default"), "objects").glob("tmp_objdir-*")))
        push(tree, url, f"{record(repo)}:{REF[:-1]}1", code=0)
    finally:
        server.terminate()
        server.communicate()


def test_what_cannot_be_noted_does_not_come_in(tight: Glaas, repo: Repository, tree: Path) -> None:
    audit = tight.data / "audit.jsonl"
    kept = audit.read_bytes() if audit.exists() else b""
    audit.unlink(missing_ok=True)
    audit.mkdir()
    try:
        (line,) = told(push(tree, tight.remote(), f"{record(repo)}:{REF[:-1]}9"))
        assert "the server cannot check or note this push" in line
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


def test_a_push_that_takes_too_long_to_check_is_refused_whole(tmp_path: Path) -> None:
    server = Glaas(tmp_path, ROAR_SERVE_CHECK_SECONDS="1")
    clone = tmp_path / "clone"
    subprocess.run(["git", "init", "-q", str(clone)], check=True)
    make.bulk(discover(str(clone)), make.pipelines(10_000))
    server.start()
    try:
        project = server.storage.path(PROJECT)
        before = files_of(project)
        said = push(clone, server.remote(), "refs/roar/*")
        assert told(said) == ["checking it takes too long (next: push fewer records at once)"]
        assert files_of(project) == before
        assert not refs.listing(server.storage.repo(PROJECT), "refs/")
        (line,) = (it for it in server.audited() if it["what"] != "log-in")
        assert (line["what"], len(line["reasons"])) == ("refused", 1)
        push(clone, server.remote(), "refs/roar/jobs/2025/bulk~9990:refs/roar/jobs/2025/bulk", code=0)
        until(lambda: server.indexed(PROJECT) == 10)
    finally:
        server.stop()
