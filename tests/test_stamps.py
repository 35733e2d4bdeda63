"""The memo never gives a wrong digest, and no damage to it is more than an empty answer."""

from __future__ import annotations

import mmap
import os
import random
import shutil
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from roar import stamps
from roar.hashing import digest_bytes, digest_file
from roar.stamps import FILE, LARGE, Digest, Stamps, clock_ns, has_writers, is_settled

linux = pytest.mark.skipif(sys.platform != "linux", reason="the memo needs what Linux tells")


@pytest.fixture
def memo(tmp_path: Path) -> Iterator[Stamps]:
    memo = Stamps(str(tmp_path / "memo"), worth_opening=0)
    yield memo
    memo.close()


def settle(path: Path) -> None:
    while clock_ns() - max(path.stat().st_ctime_ns, path.stat().st_mtime_ns) < 15_000_000:
        pass


def fake(number: int, size: int = LARGE) -> Digest:
    """A digest of a file that is nowhere."""
    stat = os.stat_result((0o100644, number, 1, 1, 0, 0, size, 1, 1, 1))
    return Digest(f"{number:064x}", stat, stable=True, settled=True)


def hash_through(memo: Stamps, path: Path) -> tuple[str, bool]:
    """The hash as a run takes it, and whether it was remembered."""
    known = memo.get(str(path), path.stat())
    if known is not None:
        return known, True
    digest = digest_file(str(path))
    memo.put(str(path), digest)
    return digest.hash, False


@linux
def test_an_unchanged_file_is_remembered_by_the_next_process(tmp_path: Path, memo: Stamps) -> None:
    file = tmp_path / "big"
    file.write_bytes(os.urandom(LARGE))
    settle(file)
    first, known = hash_through(memo, file)
    assert not known
    memo.close()
    assert hash_through(Stamps(str(tmp_path / "memo"), worth_opening=0), file) == (first, True)


@linux
def test_rewrites_of_the_same_size_in_a_tight_loop_are_never_mixed_up(tmp_path: Path, memo: Stamps) -> None:
    """Contents change in place, with the modification time put back, as fast as this machine can."""
    file = tmp_path / "big"
    contents = [bytes([number]) * LARGE for number in range(4)]
    truth = [digest_bytes(content) for content in contents]
    file.write_bytes(contents[0])
    before = file.stat()
    dice = random.Random(7)
    remembered = 0
    with open(file, "r+b", buffering=0) as handle:  # still open while hashed: nothing may be believed
        for _ in range(300):
            number = dice.randrange(4)
            os.pwrite(handle.fileno(), contents[number], 0)
            os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))
            assert hash_through(memo, file)[0] == truth[number]
            assert not hash_through(memo, file)[1]
    for turn in range(400):
        number = dice.randrange(4)
        with open(file, "r+b", buffering=0) as handle:
            handle.write(contents[number])
        os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))
        if turn % 40 == 0:
            settle(file)
        for _ in range(2):
            known, was_remembered = hash_through(memo, file)
            assert known == truth[number]
            remembered += was_remembered
    assert remembered >= 10, "the settled ones are remembered"


@linux
@pytest.mark.parametrize("folder", ["/tmp", "/dev/shm"])
def test_a_mapping_that_stamps_no_time_is_not_believed(folder: str, memo: Stamps) -> None:
    """Pages that were written once through a mapping change afterwards without a new time."""
    with tempfile.TemporaryDirectory(dir=folder) as place:
        file = Path(place, "big")
        file.write_bytes(bytes(LARGE))
        with open(file, "r+b") as handle:
            view = mmap.mmap(handle.fileno(), LARGE)
        view[0] = 1
        settle(file)
        hash_through(memo, file)
        stat = file.stat()
        view[0] = 2
        unnoticed = file.stat().st_ctime_ns == stat.st_ctime_ns
        assert hash_through(memo, file)[0] == digest_bytes(b"\2" + bytes(LARGE - 1))
        view.close()
        settle(file)
        hash_through(memo, file)
        assert hash_through(memo, file)[1], "and once it is gone the file is remembered again"
        assert unnoticed, "otherwise this test shows nothing"


@linux
def test_writers_are_seen_and_undisturbed(tmp_path: Path) -> None:
    file = tmp_path / "f"
    file.write_bytes(b"x")
    fd = os.open(file, os.O_RDONLY)
    device = file.stat().st_dev
    try:
        assert has_writers(fd, device) is False
        with open(file, "ab"):
            assert has_writers(fd, device) is True
        assert has_writers(fd, device) is False
        with open(file, "r+b") as handle, mmap.mmap(handle.fileno(), 1) as view:
            handle.close()
            assert has_writers(fd, device) is True
            view[0] = 0
        assert has_writers(fd, device) is False
    finally:
        os.close(fd)


@linux
def test_asking_for_writers_never_ends_the_process_that_asks(tmp_path: Path) -> None:
    """Another process opens the file for writing all the time; the default of its signal would kill."""
    file = tmp_path / "f"
    file.write_bytes(b"x")
    opens = "import os,sys\nprint(flush=True)\nwhile True: os.close(os.open(sys.argv[1],os.O_WRONLY))"
    asks = (
        "import os,sys\nfrom roar.stamps import has_writers\nfd=os.open(sys.argv[1],os.O_RDONLY)\n"
        "answers=[has_writers(fd,os.fstat(fd).st_dev) for _ in range(20000)]\nprint(len(set(answers)))"
    )
    with subprocess.Popen([sys.executable, "-c", opens, str(file)], stdout=subprocess.PIPE) as writer:
        try:
            assert writer.stdout
            writer.stdout.readline()
            done = subprocess.run([sys.executable, "-c", asks, str(file)], capture_output=True, check=False)
            assert done.returncode == 0
            assert done.stdout == b"2\n"
        finally:
            writer.kill()


SECOND = 1_000_000_000


@given(
    mtime=st.integers(0, 100 * SECOND),
    ctime=st.integers(0, 100 * SECOND),
    began=st.integers(0, 100 * SECOND),
    writers=st.sampled_from([True, False, None]),
)
def test_only_old_enough_times_are_settled(mtime: int, ctime: int, began: int, writers: bool | None) -> None:
    stat = os.stat_result((0o100644, 1, 1, 1, 0, 0, 9, 0, 0, 0), {"st_mtime_ns": mtime, "st_ctime_ns": ctime})
    if is_settled(stat, began, writers):
        assert writers is False, "nothing here is ten minutes old"
        assert max(mtime, ctime) + 10_000_000 < began
        assert ctime % SECOND or ctime + 2 * SECOND < began
        assert os.name != "nt"


@linux
def test_a_file_of_unknown_writers_must_be_old() -> None:
    times = {"st_mtime_ns": SECOND + 1, "st_ctime_ns": SECOND + 1}
    stat = os.stat_result((0o100644, 1, 1, 1, 0, 0, 9, 0, 0, 0), times)
    assert is_settled(stat, 602 * SECOND, None)
    assert not is_settled(stat, 600 * SECOND, None)


anything = st.text(st.characters(), max_size=50)


@given(st.lists(st.tuples(anything, anything), max_size=20))
@settings(max_examples=50)
def test_facts_make_the_round_trip(pairs: list[tuple[str, str]]) -> None:
    folder = tempfile.mkdtemp()
    try:
        memo = Stamps(folder)
        for key, value in pairs:
            memo.remember(key, value)
        memo.close()
        for key, value in dict(pairs).items():
            assert memo.recall(key) == value
        memo.close()
    finally:
        shutil.rmtree(folder)


def test_text_that_is_no_utf8_is_no_trouble(memo: Stamps) -> None:
    memo.remember("/caf\udce9/python", "fine")
    memo.remember("plain", "not\udce9fine")
    memo.remember("other", "fine")
    memo.close()
    assert memo.recall("/caf\udce9/python") == "fine"
    assert memo.recall("plain") == "not\udce9fine"
    assert memo.recall("other") == "fine"


def test_small_files_and_few_bytes_never_load_sqlite(tmp_path: Path) -> None:
    code = (
        "import os,sys\nfrom roar.stamps import *\nm=Stamps(sys.argv[1])\n"
        "s=os.stat_result((33188,1,1,1,0,0,LARGE,1,1,1))\n"
        "m.get('/a',os.stat(sys.executable)); m.get('/a',s); m.put('/a',Digest('0'*64,s,True,True)); m.close()\n"
        "assert not {'sqlite3','subprocess','json'} & set(sys.modules), sorted(sys.modules)\n"
    )
    folder = tmp_path / "memo"
    assert subprocess.run([sys.executable, "-c", code, str(folder)], check=False).returncode == 0
    assert not folder.exists()


def test_the_oldest_rows_go_first_and_no_file_has_two(tmp_path: Path) -> None:
    memo = Stamps(str(tmp_path), keep=100, worth_opening=0)
    for start in range(0, 1000, 50):
        for number in range(start, start + 50):
            memo.put(f"/{number}", fake(number))
        memo.put("/same", fake(start))
        memo.close()
    rows = sqlite3.connect(tmp_path / FILE).execute("SELECT place FROM stamps").fetchall()
    assert 95 <= len(rows) <= 100
    assert memo.get("/999", fake(999).stat) == fake(999).hash
    assert memo.get("/same", fake(950).stat) == fake(950).hash
    assert memo.get("/0", fake(0).stat) is None


@pytest.mark.parametrize("damage", ["garbage", "empty", "truncated", "other tables", "folder", "random bytes"])
def test_a_damaged_database_gives_nothing_wrong_and_is_made_again(tmp_path: Path, damage: str) -> None:
    folder = tmp_path / "memo"
    memo = Stamps(str(folder), worth_opening=0)
    for number in range(2000):
        memo.put(f"/{number}", fake(number))
    memo.close()
    path = folder / FILE
    body = bytearray(path.read_bytes())
    if damage == "garbage":
        path.write_bytes(b"no database " * 1000)
    elif damage == "empty":
        path.write_bytes(b"")
    elif damage == "truncated":
        path.write_bytes(body[: len(body) // 3])
    elif damage == "other tables":
        path.unlink()
        with sqlite3.connect(path) as other:
            other.execute("CREATE TABLE stamps (x)")
        other.close()
    elif damage == "folder":
        path.unlink()
        path.mkdir()
    else:
        dice = random.Random(3)
        for place in dice.sample(range(100, len(body)), len(body) // 50):
            body[place] = dice.randrange(256)
        path.write_bytes(body)
    for number in range(2000):
        assert memo.get(f"/{number}", fake(number).stat) in (None, fake(number).hash)
    memo.put("/new", fake(5000))
    memo.close()
    again = Stamps(str(folder), worth_opening=0).get("/new", fake(5000).stat)
    assert again == (None if damage in ("folder", "random bytes") and again is None else fake(5000).hash)


def test_a_flipped_value_is_no_answer(memo: Stamps, tmp_path: Path) -> None:
    memo.put("/a", fake(1))
    memo.close()
    with sqlite3.connect(tmp_path / "memo" / FILE) as database:
        database.execute("UPDATE stamps SET value = ?", ("f" * 64,))
    database.close()
    assert memo.get("/a", fake(1).stat) is None


@pytest.mark.skipif(os.name == "nt", reason="POSIX folders")
def test_a_folder_that_cannot_be_made_is_an_empty_memo(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for folder in (None, str(tmp_path / "file" / "memo"), "/proc/roar"):
        memo = Stamps(folder, worth_opening=0)
        memo.put("/a", fake(1))
        memo.remember("k", "v")
        memo.close()
        assert memo.get("/a", fake(1).stat) is None
        assert memo.recall("k") is None


def test_a_locked_database_costs_a_moment_and_no_more(tmp_path: Path, memo: Stamps) -> None:
    memo.remember("k", "v")
    memo.close()
    other = sqlite3.connect(tmp_path / "memo" / FILE, isolation_level=None)
    other.execute("BEGIN EXCLUSIVE")
    began = clock_ns()
    assert memo.recall("k") is None
    assert memo.recall("k") is None
    memo.remember("l", "w")
    memo.close()
    assert clock_ns() - began < 2 * SECOND
    other.execute("ROLLBACK")
    assert Stamps(str(tmp_path / "memo")).recall("k") == "v"


def test_many_processes_write_at_once(tmp_path: Path) -> None:
    code = (
        "import sys\nfrom roar.stamps import Stamps\nmemo=Stamps(sys.argv[1])\nme=sys.argv[2]\n"
        "for turn in range(30):\n"
        "    memo.remember(f'{me}-{turn}', me); memo.remember('all', me); memo.close()\n"
        "    assert memo.recall(f'{me}-0') == me or memo._broken\n"
    )
    processes = [subprocess.Popen([sys.executable, "-c", code, str(tmp_path), str(number)]) for number in range(8)]
    assert [process.wait() for process in processes] == [0] * 8
    memo = Stamps(str(tmp_path))
    kept = [memo.recall(f"{me}-{turn}") == str(me) for me in range(8) for turn in range(30)]
    assert sum(kept) >= 200, "what was not kept met a lock for too long"
    assert memo.recall("all") in {str(number) for number in range(8)}


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_forked_child_gets_and_stores_nothing(tmp_path: Path) -> None:
    memo = Stamps(str(tmp_path))
    memo.remember("k", "v")
    memo.close()
    assert memo.recall("k") == "v"
    child = os.fork()
    if child == 0:
        memo.remember("child", "v")
        answer = memo.recall("k")
        memo.close()
        os._exit(0 if answer is None else 1)
    assert os.waitpid(child, 0)[1] == 0
    assert memo.recall("k") == "v"
    memo.close()
    assert memo.recall("child") is None


def test_the_constants_fit_each_other() -> None:
    assert stamps.LARGE <= stamps.WORTH_OPENING
