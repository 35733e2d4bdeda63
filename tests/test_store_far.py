"""Stores of other kinds, each with a real server on loopback: SSH, what the hub is asked, and emulators of
Azure and Google.
"""

from __future__ import annotations

import getpass
import http.server
import json
import os
import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from conftest import Roar
from test_pipelines import ssh_server  # noqa: F401  a fixture
from test_store import kill_in_the_middle, objects, rest

from roar.hashing import digest_bytes
from roar.store.copying import object_path

AZURE = (
    "DefaultEndpointsProtocol=http;AccountName=devstoreaccount1;AccountKey=Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6"
    "IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw==;BlobEndpoint=http://127.0.0.1:{}/devstoreaccount1;"
)
"""The account of the emulator, as its manual gives it."""


def there_and_back(roar: Roar, tree: Path, url: str) -> str:
    """Put a file of two pieces and an empty one, twice, and get them; the hash of the first."""
    big = os.urandom(5 << 20)
    (tree / "big").write_bytes(big)
    (tree / "empty").write_bytes(b"")
    content = digest_bytes(big)
    roar("put", "big", "empty", "--store", url)
    assert b"stored" not in roar("put", "big", "empty", "--store", url).stdout
    (tree / f".roar-get-{content[:32]}").write_bytes(big[: 1 << 20])  # broken off
    roar("get", content, "--to", "back", "--store", url)
    roar("get", digest_bytes(b""), "--to", "nothing", "--store", url)
    assert (tree / "back").read_bytes() == big and (tree / "nothing").read_bytes() == b""
    return content


def test_ssh(ssh_server: int, roar: Roar, tree: Path, sealed: Path, tmp_path: Path) -> None:  # noqa: F811
    pytest.importorskip("sshfs")
    pytest.importorskip("fsspec")
    keys, own = tmp_path / "ssh", sealed / ".ssh"
    own.mkdir(mode=0o700)
    shutil.copy(keys / "user", own / "id_ed25519")
    shelf = tmp_path / "shelf"
    shelf.mkdir()
    url = f"ssh://{getpass.getuser()}@127.0.0.1:{ssh_server}{shelf}"
    said = roar("put", "README", "--store", url, code=1).stderr.decode()
    assert "ost key" in said and objects(shelf) == {}, "an unknown host gets nothing"
    (own / "known_hosts").write_text(f"[127.0.0.1]:{ssh_server} {(keys / 'host.pub').read_text()}")
    content = there_and_back(roar, tree, url)
    assert set(objects(shelf)) == {content, digest_bytes(b"")} and rest(shelf) == []
    place = shelf / object_path(content)
    place.chmod(0o644)
    place.write_bytes(b"x" * (5 << 20))
    assert b"is damaged" in roar("get", content, "--to", "again", "--store", url, code=1).stderr
    roar("put", "big", "--force", "--store", url)
    place.unlink()
    kill_in_the_middle(url, content, tree / "big", 4 << 20)
    assert content not in objects(shelf)
    roar("put", "big", "--store", url)
    assert content in objects(shelf)


def started(words: list[str]) -> subprocess.Popen[bytes]:
    return subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


@pytest.fixture
def port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def wait_for(port: int, server: subprocess.Popen[bytes]) -> None:
    for _ in range(300):
        try:
            socket.create_connection(("127.0.0.1", port)).close()
        except OSError:
            assert server.poll() is None
            time.sleep(0.1)
        else:
            return
    raise AssertionError("the server does not answer")


@pytest.fixture
def azure(port: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """``npm install azurite``, with its programs on PATH."""
    adlfs = pytest.importorskip("adlfs")
    if not shutil.which("azurite-blob"):
        pytest.skip("needs azurite-blob")
    words = ["azurite-blob", "--blobPort", str(port), "--location", str(tmp_path / "azure"), "--silent"]
    server = started([*words, "--skipApiVersionCheck", "--disableTelemetry"])
    try:
        wait_for(port, server)
        monkeypatch.setenv("AZURE_STORAGE_CONNECTION_STRING", AZURE.format(port))
        adlfs.AzureBlobFileSystem(connection_string=AZURE.format(port)).mkdir("box")
        yield "az://box/store"
    finally:
        server.terminate()
        server.wait()


@pytest.fixture
def google(port: int, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """``go install github.com/fsouza/fake-gcs-server@latest``, with it on PATH."""
    gcsfs = pytest.importorskip("gcsfs")
    if not shutil.which("fake-gcs-server"):
        pytest.skip("needs fake-gcs-server")
    where = f"127.0.0.1:{port}"
    words = ["-scheme", "http", "-host", "127.0.0.1", "-port", str(port), "-backend", "memory", "-public-host", where]
    server = started(["fake-gcs-server", *words])
    try:
        wait_for(port, server)
        monkeypatch.setenv("STORAGE_EMULATOR_HOST", f"http://{where}")
        gcsfs.GCSFileSystem(token="anon", project="p", endpoint_url=f"http://{where}").mkdir("box")
        yield "gs://box/store"
    finally:
        server.terminate()
        server.wait()


def test_azure(azure: str, roar: Roar, tree: Path) -> None:
    there_and_back(roar, tree, azure)


def test_google(google: str, roar: Roar, tree: Path) -> None:
    there_and_back(roar, tree, google)


FILE = b"a,b\n" * 300_000


class Hub(http.server.BaseHTTPRequestHandler):
    """What a client asks the Hugging Face hub of one file, ``hf://datasets/org/name/data/file.csv``."""

    def log_message(self, *_: object) -> None:
        pass

    def answer(self, status: int, body: bytes, **headers: str) -> None:
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **headers}.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self) -> None:
        path = self.path.partition("?")[0]
        entry = {"type": "file", "path": "data/file.csv", "size": len(FILE), "oid": "0" * 40}
        repository = {"id": "org/name", "sha": "1" * 40, "private": False, "siblings": [], "tags": []}
        if path.endswith("/resolve/main/data/file.csv"):
            first, last = map(int, self.headers["Range"].removeprefix("bytes=").split("-"))
            where = f"bytes {first}-{last}/{len(FILE)}"
            self.answer(206, FILE[first : last + 1], Content_Range=where)
        elif path.startswith("/api/datasets/org/name/tree/main"):
            self.answer(200, json.dumps([entry] if path.endswith("/data") else []).encode())
        elif path.startswith("/api/datasets/org/name"):
            self.answer(200, json.dumps(repository).encode())
        else:
            self.answer(404, b"")


def test_the_hub(roar: Roar, tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("fsspec")
    pytest.importorskip("huggingface_hub")
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Hub) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        monkeypatch.setenv("HF_ENDPOINT", f"http://127.0.0.1:{server.server_port}")
        url, content = "hf://datasets/org/name/data/file.csv", digest_bytes(FILE)
        roar("get", content, "--from", url, "--to", "file.csv")
        roar("get", url, "--to", "as-it-is.csv")
        roar("get", url, "--to", "folder/")
        assert (tree / "file.csv").read_bytes() == (tree / "as-it-is.csv").read_bytes() == FILE
        assert (tree / "folder" / "file.csv").read_bytes() == FILE
        said = roar("get", "0" * 64, "--from", url, "--to", "other.csv", code=1).stderr.decode()
        assert f"{url} holds another file: its bytes have the hash {content[:12]}, not 000000000000" in said
        gone = url.replace("file", "none")
        assert f"{gone} is not there" in roar("get", gone, "--to", "none", code=1).stderr.decode()
        server.shutdown()
