"""BLAKE3 of real files of every kind and size; refused are the things whose opening does something."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from blake3 import blake3
from hypothesis import given
from hypothesis import strategies as st

from roar import hashing
from roar.hashing import MAPPED, THREADED, digest_bytes, digest_file, digest_files, digest_link
from roar.stamps import LARGE, Digest, Stamps

needs_posix = pytest.mark.skipif(os.name == "nt", reason="POSIX files")
SIZES = [0, 1, 1023, 1024, 1025, 65536, LARGE - 1, LARGE, MAPPED - 1, MAPPED, MAPPED + 1, THREADED, THREADED + 4097]


def test_a_known_digest() -> None:
    # https://github.com/BLAKE3-team/BLAKE3/blob/master/test_vectors/test_vectors.json: the empty input
    assert digest_bytes(b"") == "af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262"


@pytest.mark.parametrize("size", SIZES)
def test_every_size_gives_the_hash_of_its_bytes(tmp_path: Path, size: int) -> None:
    data = os.urandom(size)
    file = tmp_path / "f"
    file.write_bytes(data)
    for path in (str(file), os.fsencode(file)):
        digest = digest_file(path)
        assert digest.hash == digest_bytes(data) == blake3(data).hexdigest()
        assert digest.stable
        assert digest.stat.st_size == size
        assert digest.stat.st_ino == file.stat().st_ino


@given(st.binary(max_size=5000))
def test_any_bytes(tmp_path_factory: pytest.TempPathFactory, data: bytes) -> None:
    file = tmp_path_factory.getbasetemp() / "any"
    file.write_bytes(data)
    assert digest_file(str(file)).hash == digest_bytes(data)


@needs_posix
@pytest.mark.parametrize("name", [b"with space", b"new\nline", b"\xff\xfe not utf-8", "für".encode()])
def test_any_name(tmp_path: Path, name: bytes) -> None:
    path = os.path.join(os.fsencode(tmp_path), name)
    with open(path, "wb") as file:
        file.write(b"x")
    assert digest_file(path).hash == digest_file(os.fsdecode(path)).hash == digest_bytes(b"x")


@needs_posix
def test_a_link_is_hashed_by_its_target_and_followed_by_digest_file(tmp_path: Path) -> None:
    (tmp_path / "target").write_bytes(b"content")
    link = tmp_path / "link"
    link.symlink_to("target")
    assert digest_link(str(link)) == digest_link(os.fsencode(link)) == digest_bytes(b"target")
    assert digest_file(str(link)).hash == digest_bytes(b"content")
    with pytest.raises(OSError):
        digest_link(str(tmp_path / "target"))


@needs_posix
def test_what_is_no_regular_file_is_refused_and_not_opened(tmp_path: Path) -> None:
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    opened = threading.Event()

    def write() -> None:
        fd = os.open(fifo, os.O_WRONLY)  # returns once somebody opens the other end
        opened.set()
        os.close(fd)

    writer = threading.Thread(target=write, daemon=True)
    writer.start()
    with pytest.raises(OSError, match="not a regular file"):
        digest_file(str(fifo))
    assert not opened.wait(0.2)
    os.close(os.open(fifo, os.O_RDONLY | os.O_NONBLOCK))
    writer.join(5)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "socket"))
        for path in (str(tmp_path / "socket"), str(tmp_path), "/dev/null", "/dev/zero"):
            with pytest.raises(OSError, match="not a regular file"):
                digest_file(path)


def test_a_missing_file_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        digest_file(str(tmp_path / "nothing"))


@pytest.mark.skipif(not os.path.exists("/proc/self/status"), reason="needs /proc")
def test_a_file_without_a_size_is_read_to_its_end_and_not_called_stable() -> None:
    digest = digest_file("/proc/self/limits")
    assert digest.stat.st_size == 0
    assert digest.hash != digest_bytes(b"")
    assert not digest.stable


@pytest.mark.parametrize("size", [50_000, MAPPED * 3])
def test_a_file_that_grows_meanwhile_is_not_stable(tmp_path: Path, size: int) -> None:
    """A writer in another process appends for as long as the file is hashed."""
    file = tmp_path / "f"
    file.write_bytes(bytes(size))
    code = "import sys\nwhile True:\n f=open(sys.argv[1],'ab'); f.write(b'x'*999); f.close()"
    with subprocess.Popen([sys.executable, "-c", code, str(file)]) as writer:
        try:
            while file.stat().st_size == size:
                pass
            assert any(not digest_file(str(file)).stable for _ in range(500))
        finally:
            writer.kill()


@pytest.mark.skipif(sys.platform != "linux", reason="asks the kernel for writers")
def test_a_file_cut_short_by_its_writer_does_not_kill_us(tmp_path: Path) -> None:
    """A mapping of a shrinking file ends in SIGBUS, so a file that is open for writing is read."""
    file = tmp_path / "f"
    file.write_bytes(bytes(64 << 20))
    cut = (
        "import os,sys,time\nfd=os.open(sys.argv[1],os.O_RDWR)\nprint(flush=True)\n"
        "while True: os.ftruncate(fd,0); time.sleep(1e-3); os.ftruncate(fd,64<<20); time.sleep(4e-3)"
    )
    hash_it = "import sys\nfrom roar.hashing import digest_file\nfor i in range(200): digest_file(sys.argv[1])"
    with subprocess.Popen([sys.executable, "-c", cut, str(file)], stdout=subprocess.PIPE) as writer:
        try:
            assert writer.stdout
            writer.stdout.readline()
            assert subprocess.run([sys.executable, "-c", hash_it, str(file)], check=False).returncode == 0
        finally:
            writer.kill()


def test_many_files_with_errors_in_place(tmp_path: Path) -> None:
    paths = []
    for number in range(50):
        path = tmp_path / str(number)
        path.write_bytes(b"%d" % number)
        paths.append(str(path))
    missing = str(tmp_path / "missing")
    found = digest_files([*paths, missing, str(tmp_path)])
    assert isinstance(found[missing], FileNotFoundError)
    assert isinstance(found[str(tmp_path)], OSError)
    for number, path in enumerate(paths):
        digest = found[path]
        assert isinstance(digest, Digest)
        assert digest.hash == digest_bytes(b"%d" % number)


@pytest.mark.skipif(sys.platform != "linux", reason="the memo needs what Linux tells")
def test_a_large_file_is_not_read_twice(tmp_path: Path) -> None:
    file = tmp_path / "big"
    file.write_bytes(os.urandom(LARGE))
    settle(file)
    memo = Stamps(str(tmp_path / "memo"), worth_opening=0)
    first = digest_files([str(file)], memo)[str(file)]
    memo.close()
    assert isinstance(first, Digest)
    assert first.settled
    before = bytes_read()
    again = digest_files([str(file)], memo)[str(file)]
    assert bytes_read() - before < LARGE  # what SQLite reads
    assert isinstance(again, Digest)
    assert again.hash == first.hash
    assert again.stable


def settle(file: Path) -> None:
    """Wait until the file's times lie in the past by more than a tick."""
    while hashing.clock_ns() - file.stat().st_ctime_ns < 15_000_000:
        pass


def bytes_read() -> int:
    with open("/proc/self/io", encoding="ascii") as lines:
        return int(next(lines).split()[1])
