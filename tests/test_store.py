"""The store: the real program, a folder, and a real S3 server on loopback."""

from __future__ import annotations

import functools
import http.server
import importlib.util
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import make
import pytest
from conftest import Git, Roar, needs_tracer

from roar.errors import RoarError, UsageError
from roar.git.repository import Repository
from roar.hashing import digest_bytes, digest_file
from roar.store.copying import DamagedError, Read, object_path
from roar.store.fetch import fetch
from roar.store.folder import Folder
from roar.store.place import opened
from roar.store.remote import Remote


def quiet(count: int) -> None:
    del count


def objects(store: Path) -> dict[str, bytes]:
    """The store's objects by hash; every file in it is one."""
    found = [path for path in store.rglob("*") if path.is_file()]
    return {path.parent.name + path.name: path.read_bytes() for path in found if path.parent.parent.name == "b3"}


def rest(store: Path) -> list[str]:
    """What lies in the store and is no object."""
    return [str(p.relative_to(store)) for p in store.rglob("*") if p.is_file() and p.parent.parent.name != "b3"]


@pytest.fixture
def shelf(tmp_path: Path, tree: Path, git: Git) -> Path:
    """A folder that the repository has as its store."""
    git(tree, "config", "roar.store.url", str(tmp_path / "shelf"))
    return tmp_path / "shelf"


@pytest.fixture
def made(tree: Path, repo: Repository) -> str:
    """A job that made ``out/model.bin`` of ``data.csv``; both are there."""
    (tree / "out").mkdir()
    (tree / "out" / "model.bin").write_text("a model")
    (tree / "data.csv").write_text("1,2\n")
    make.session(repo)
    return make.job(repo, "train", {"data.csv": "1,2\n"}, {"out/model.bin": "a model"})


# A folder


def test_what_is_put_can_be_got_back(roar: Roar, tree: Path, shelf: Path, made: str) -> None:
    done = roar("put", made)
    assert sorted(line.split()[0::2] for line in done.stdout.decode().splitlines()) == [
        ["stored", "data.csv"],
        ["stored", "out/model.bin"],
    ]
    assert objects(shelf) == {make.digest("a model"): b"a model", make.digest("1,2\n"): b"1,2\n"}
    assert rest(shelf) == []
    assert b"stored" not in roar("put", made).stdout  # it is there already
    (tree / "out" / "model.bin").unlink()
    (tree / "out").rmdir()
    assert roar("get", "out/model.bin").stdout.split()[0] == b"fetched"
    assert (tree / "out" / "model.bin").read_text() == "a model"
    assert roar("get", "out/model.bin").stdout.split()[0] == b"there"
    roar("get", make.digest("1,2\n")[:8], "--to", "elsewhere/new.csv")
    assert (tree / "elsewhere" / "new.csv").read_text() == "1,2\n"
    assert sorted(p.name for p in tree.rglob(".roar-get*")) == []


def test_without_words_the_sessions_data_is_kept_and_what_is_gone_is_said(
    roar: Roar, repo: Repository, tree: Path, shelf: Path
) -> None:
    session = make.session(repo)
    for name, text in (("a.csv", "a"), ("old.csv", "new"), ("id_rsa", "key")):
        (tree / name).write_text(text)
    make.job(repo, "go", {"a.csv": "a", "id_rsa": "key"}, {"old.csv": "old"}, session=session)
    done = roar("put", "--json")
    states = {file["path"]: file["state"] for file in json.loads(done.stdout)["files"]}
    assert states == {"a.csv": "stored", "old.csv": "gone", "id_rsa": "secret"}
    said = roar("put").stderr.decode()
    assert "roar: not here with the recorded content: old.csv\n" in said
    assert list(objects(shelf).values()) == [b"a"]
    roar("put", "id_rsa", "old.csv")  # by name they are what the user wants, recorded or not
    assert sorted(objects(shelf).values()) == [b"a", b"key", b"new"]


def test_a_users_file_is_not_overwritten(roar: Roar, tree: Path, shelf: Path, made: str) -> None:
    roar("put", made)
    content = make.digest("a model")
    (tree / "mine").write_text("mine")
    (tree / "link").symlink_to("mine")
    for name in ("mine", "link"):
        said = roar("get", content, "--to", name, code=1).stderr.decode()
        assert f"{tree / name} has other content (next: --force" in said
    assert (tree / "mine").read_text() == "mine"
    roar("get", content, "--to", "link", "--force")
    assert not (tree / "link").is_symlink()
    assert (tree / "link").read_text() == "a model"
    assert (tree / "mine").read_text() == "mine"


def test_damaged_objects_are_refused_named_and_mended(roar: Roar, tree: Path, shelf: Path, made: str) -> None:
    roar("put", made)
    content = make.digest("a model")
    place = shelf / object_path(content)
    place.write_text("a mudel")
    (tree / "out" / "model.bin").rename(tree / "kept")
    said = roar("get", content, code=1).stderr.decode()
    assert f"{place} is damaged: its bytes do not have the hash {content}" in said
    assert not (tree / "out" / "model.bin").exists()
    assert list(tree.rglob(".roar-get*")) == []
    assert roar("put", "kept").stdout.split()[0] == b"there"
    roar("put", "kept", "--force")
    roar("get", content)
    assert (tree / "out" / "model.bin").read_text() == "a model"
    place.write_text("cut")  # another size is seen without reading
    assert roar("put", "kept").stdout.split()[0] == b"stored"
    assert place.read_text() == "a model"


def test_records_lead_nowhere_else(roar: Roar, repo: Repository, tree: Path, shelf: Path, tmp_path: Path) -> None:
    (tree / "good").write_text("x")
    roar("put", "good")
    (tree / "out").symlink_to(tmp_path)
    for path in ("../escape", "/etc/escape", ".git/hooks/post-checkout", "out/escape"):
        make.job(repo, "evil", {}, {path: "x"})
        roar("get", make.digest("x"), code=None)
    assert not (tmp_path / "escape").exists()
    assert not (tree / ".git" / "hooks" / "post-checkout").exists()
    evil = make.job(repo, "evil again", {}, {"out/escape": "x"})
    assert b"leaves the work tree: out/escape" in roar("get", evil, code=1).stderr


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["put", "README"], 2, "no store is set (next: roar config set store.url"),
        (["put", "README", "--store", "gopher://x"], 2, "is no address that roar takes"),
        (["put", "README", "--store", "simplecache::s3://x"], 2, "is no address that roar takes"),
        (["put", "README", "--store", "https://host/x"], 2, "https://host/x can only be read from"),
        (["put", "nothing", "--store", "x"], 1, "nothing is no recorded job"),
        (["get", "0" * 64, "--store", "x"], 2, "000000000000 has no place in this repository"),
        (["get", "0" * 64, "--store", "x", "--to", "y"], 1, "is not in "),
        (["get", "https://host/x"], 2, "(next: roar get URL --to PATH)"),
        (["run", "--store", "touch", "ran"], 2, "--store: no store is set"),
    ],
)
def test_what_cannot_be_meant(roar: Roar, tree: Path, words: list[str], code: int, said: str) -> None:
    done = roar(*words, code=code)
    assert said in done.stderr.decode()
    assert done.stderr.count(b"\n") == 1
    assert not (tree / "ran").exists()


def test_a_shared_file_sets_no_store(roar: Roar, tree: Path) -> None:
    (tree / ".roarconfig").write_text("[roar.store]\n\turl = /tmp/theirs\n".replace("roar.store", 'roar "store"'))
    assert b"no store is set" in roar("put", "README", code=2).stderr


def test_many_processes_put_and_get_at_once(roar: Roar, tree: Path, shelf: Path) -> None:
    data = os.urandom(3 << 20)
    for name in "abc":
        (tree / name).write_bytes(data if name != "c" else data[::-1])
    puts = [subprocess.Popen([sys.executable, "-m", "roar", "put", *"abc", "-q"], cwd=tree) for _ in range(3)]
    assert [put.wait(120) for put in puts] == [0, 0, 0]
    assert objects(shelf) == {digest_bytes(bytes_): bytes_ for bytes_ in (data, data[::-1])}
    assert rest(shelf) == []
    words = [sys.executable, "-m", "roar", "get", digest_bytes(data), "--to", "again", "-q"]
    gets = [subprocess.Popen(words, cwd=tree) for _ in range(3)]
    assert [get.wait(120) for get in gets] == [0, 0, 0]
    assert (tree / "again").read_bytes() == data
    assert list(tree.glob(".roar-get*")) == []


SLOW = """
import os, sys, time
from roar.store.place import opened
from roar.store.copying import PIECE
copied = 0
def tell(count):
    global copied
    copied += count
    if copied >= int(sys.argv[4]):
        print("half", flush=True)
        time.sleep(600)
opened(sys.argv[1], "/").put(sys.argv[2], sys.argv[3], tell)
"""


def kill_in_the_middle(url: str, content: str, path: Path, after: int) -> None:
    """Put a file and kill the process with SIGKILL when so many bytes are copied."""
    words = [sys.executable, "-c", SLOW, url, content, str(path), str(after)]
    process = subprocess.Popen(words, stdout=subprocess.PIPE)
    assert process.stdout is not None
    assert process.stdout.readline() == b"half\n"
    process.send_signal(signal.SIGKILL)
    process.wait()


def test_a_put_that_is_killed_leaves_no_object(tree: Path, shelf: Path, roar: Roar) -> None:
    data = os.urandom(9 << 20)
    (tree / "big").write_bytes(data)
    kill_in_the_middle(str(shelf), digest_bytes(data), tree / "big", 8 << 20)
    assert objects(shelf) == {}
    (spare,) = rest(shelf)
    os.utime(shelf / spare, (0, 0))
    roar("put", "big")
    assert objects(shelf) == {digest_bytes(data): data}
    assert rest(shelf) == []


def test_a_file_that_changes_while_it_is_stored_is_not_stored(tmp_path: Path) -> None:
    path = tmp_path / "growing"
    path.write_bytes(b"a" * (5 << 20))
    store, content = Folder(str(tmp_path / "shelf")), digest_file(str(path)).hash

    def change(count: int) -> None:
        with path.open("ab") as file:
            file.write(b"b")

    with pytest.raises(RoarError, match="has changed while it was stored"):
        store.put(content, str(path), change)
    assert not store.has(content, None)
    assert rest(tmp_path / "shelf") == []


class Counted(Folder):
    """Counts the bytes that are read."""

    count = 0

    def open(self, content: str, at: int):  # type: ignore[no-untyped-def]
        import contextlib

        @contextlib.contextmanager
        def counting() -> Iterator[Read]:
            with super(Counted, self).open(content, at) as read:

                def counted(size: int) -> bytes:
                    piece = read(size)
                    self.count += len(piece)
                    return piece

                yield counted

        return counting()


def test_a_get_that_was_broken_off_goes_on(tmp_path: Path) -> None:
    data = os.urandom(9 << 20)
    (tmp_path / "file").write_bytes(data)
    store, content = Counted(str(tmp_path / "shelf")), digest_bytes(data)
    store.put(content, str(tmp_path / "file"), quiet)
    target = tmp_path / "back"

    def interrupt(count: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fetch(store, content, str(target), interrupt)
    assert not target.exists()
    store.count = 0
    assert fetch(store, content, str(target), quiet)
    assert store.count == 5 << 20
    assert target.read_bytes() == data
    # what lies there and is not the beginning of it is begun again
    target.unlink()
    (tmp_path / f".roar-get-{content[:32]}").write_bytes(b"something else")
    assert fetch(store, content, str(target), quiet)
    assert target.read_bytes() == data
    (tmp_path / "shelf" / object_path(content)).write_bytes(data[:-1])
    target.unlink()
    with pytest.raises(DamagedError):
        fetch(store, content, str(target), quiet)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["file", "shelf"]


# Runs and reproductions


@needs_tracer
def test_a_run_keeps_its_outputs(roar: Roar, tree: Path, shelf: Path, git: Git) -> None:
    done = roar("run", "--store", "sh", "-c", "echo one > one; cp one two; echo three > three")
    assert f"  2 outputs in {shelf}\n" in done.stderr.decode()
    assert sorted(objects(shelf).values()) == [b"one\n", b"three\n"]
    roar("run", "-q", "sh", "-c", "echo four > four")
    assert len(objects(shelf)) == 2
    git(tree, "config", "roar.store.policy", "outputs")
    roar("run", "-q", "sh", "-c", "echo five > five")
    assert len(objects(shelf)) == 3
    git(tree, "config", "roar.store.url", "/proc/nowhere")
    done = roar("run", "-q", "sh", "-c", "echo six > six; exit 4", code=4)
    assert "1 of 1 outputs are not in the store: /proc/nowhere" in done.stderr.decode()


@needs_tracer
def test_a_reproduction_finds_its_input_in_the_store(roar: Roar, tree: Path, shelf: Path, git: Git) -> None:
    (tree / "data.csv").write_text("b\na\n")
    (tree / ".gitignore").write_text("*.csv\n")
    git(tree, "add", ".gitignore")
    git(tree, "commit", "-qm", "work")
    roar("run", "-q", "sh", "-c", "sort data.csv > sorted.csv")
    roar("put", "-q", "data.csv")
    (tree / "data.csv").unlink()
    (tree / "sorted.csv").unlink()
    place = shelf / object_path(make.digest("b\na\n"))
    done = roar("reproduce", "-y", "sorted.csv")
    assert f"data.csv  from {place}" in done.stderr.decode()
    assert done.stdout.startswith(b"identical  sorted.csv")
    place.chmod(0o644)
    place.write_text("b\nb\n")
    assert f"the store's copy is damaged: {place}" in roar("reproduce", "-y", "sorted.csv", code=1).stderr.decode()


# S3


@pytest.fixture(scope="module")
def s3() -> Iterator[str]:
    """The address of an S3 server with an empty bucket."""
    for package in ("moto", "flask", "s3fs"):
        if importlib.util.find_spec(package) is None:
            pytest.skip(f"{package} is not installed: pip install 'roar[test]'")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    keys = {"AWS_ACCESS_KEY_ID": "key", "AWS_SECRET_ACCESS_KEY": "secret", "AWS_DEFAULT_REGION": "us-east-1"}
    server = subprocess.Popen(
        [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env={**os.environ, **keys},
    )
    url = f"http://127.0.0.1:{port}"
    before = dict(os.environ)
    os.environ.update(keys, AWS_ENDPOINT_URL=url)
    try:
        for _ in range(600):
            try:
                socket.create_connection(("127.0.0.1", port)).close()
                break
            except OSError:
                assert server.poll() is None
                time.sleep(0.1)
        import s3fs

        s3fs.S3FileSystem(endpoint_url=url).mkdir("bucket")
        yield "s3://bucket/store"
    finally:
        os.environ.clear()
        os.environ.update(before)
        server.kill()
        server.wait()


def in_bucket() -> dict[str, int]:
    """Keys and sizes."""
    import s3fs

    fs = s3fs.S3FileSystem(endpoint_url=os.environ["AWS_ENDPOINT_URL"], skip_instance_cache=True)
    return {name: info["size"] for name, info in fs.find("bucket", detail=True).items()}


def test_s3(s3: str, roar: Roar, repo: Repository, tree: Path, git: Git, made: str) -> None:
    git(tree, "config", "roar.store.url", s3)
    big = os.urandom(18 << 20)  # two parts
    (tree / "big").write_bytes(big)
    (tree / "empty").write_bytes(b"")
    content = digest_bytes(big)
    kill_in_the_middle(s3, content, tree / "big", 17 << 20)
    assert in_bucket() == {}
    roar("put", "big", "empty", made)
    place = f"bucket/store/{object_path(content)}"
    assert in_bucket()[place] == len(big)
    assert len(in_bucket()) == 4
    assert b"stored" not in roar("put", "big", made).stdout
    for name in ("big", "empty", "data.csv"):
        (tree / name).unlink()
    roar("get", "data.csv", content, "--store", s3, code=2)  # big was not recorded: it has no place
    roar("get", "data.csv")
    roar("get", content, "--to", "big")
    roar("get", digest_bytes(b""), "--to", "empty")
    assert (tree / "big").read_bytes() == big
    assert (tree / "empty").read_bytes() == b""
    assert (tree / "data.csv").read_text() == "1,2\n"
    # a part of it, and then damage
    (tree / "big").unlink()
    (tree / f".roar-get-{content[:32]}").write_bytes(big[: 1 << 20])
    roar("get", content, "--to", "big")
    assert (tree / "big").read_bytes() == big
    import s3fs

    s3fs.S3FileSystem(endpoint_url=os.environ["AWS_ENDPOINT_URL"]).pipe(place, b"wrong")
    (tree / "big").rename(tree / "whole")
    said = roar("get", content, "--to", "big", code=1).stderr.decode()
    assert f"s3://{place} is damaged" in said
    assert roar("put", "whole").stdout.split()[0] == b"stored"
    # by its address, as it is, and as what it is said to be
    roar("get", f"s3://{place}", "--to", "copy")
    assert (tree / "copy").read_bytes() == big
    (tree / "data.csv").unlink()
    said = roar("get", "data.csv", "--from", f"s3://{place}", code=1).stderr.decode()
    assert f"s3://{place} holds another file: its bytes have the hash {content[:12]}, not" in said
    assert (
        b"roar: s3://nowhere/x: The specified bucket"
        in roar("put", "whole", "--store", "s3://nowhere/x", code=1).stderr
    )


@needs_tracer
def test_a_reproduction_fetches_from_far_away(s3: str, roar: Roar, tree: Path, git: Git) -> None:
    git(tree, "config", "roar.store.url", s3)
    (tree / "far.csv").write_text("far")
    roar("run", "-q", "sh", "-c", "tr a-z A-Z < far.csv > near; echo out > out")
    roar("put", "far.csv")
    (tree / "far.csv").unlink()
    said = roar("reproduce", "-y", "out")
    assert f"to be fetched from {s3}/{object_path(make.digest('far'))}" in said.stderr.decode()
    assert said.stdout.count(b"identical") == 2
    assert not (tree / "far.csv").exists()


# HTTP


def test_http(tree: Path, roar: Roar, shelf: Path, made: str, repo: Repository) -> None:
    pytest.importorskip("fsspec")
    pytest.importorskip("aiohttp")
    roar("put", made)
    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=str(shelf))
    handler.log_message = lambda *_: None  # type: ignore[attr-defined]
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{server.server_port}"
        content = make.digest("a model")
        (tree / f".roar-get-{content[:32]}").write_text("a mo")  # this server knows no ranges
        roar("get", content, "--to", "copy", "--store", url)
        assert (tree / "copy").read_text() == "a model"
        roar("get", content, "--to", "other", "--from", f"{url}/{object_path(content)}")
        assert (tree / "other").read_text() == "a model"
        # an address in a record is shown, and not asked
        hints = [{"side": "input", "ref": f"{url}/{object_path(content)}"}]
        make.job(repo, "use", {"gone.bin": "never stored"}, {}, hints=hints)
        said = roar("get", "gone.bin", code=1).stderr.decode()
        assert f"(next: perhaps: roar get {make.digest('never stored')[:12]} --from {url}/b3/" in said
        assert f"{url}/x/y is not there" in roar("get", f"{url}/x/y", "--to", "no", code=1).stderr.decode()
        server.shutdown()
    said = roar("get", content, "--to", "third", "--store", url, code=1).stderr.decode()
    assert said.count("\n") == 1
    assert not (tree / "third").exists()


def test_addresses(tmp_path: Path) -> None:
    assert opened("shelf", str(tmp_path)).name == str(tmp_path / "shelf")
    assert opened(f"file://{tmp_path}", "/").name == str(tmp_path)
    remote = opened("https://me:secret@host/x/", "/")
    assert isinstance(remote, Remote)
    assert remote.name == "https://host/x"
    for wrong in ("", "a\0b", "simplecache::s3://y"):
        with pytest.raises(UsageError):
            opened(wrong, "/")
