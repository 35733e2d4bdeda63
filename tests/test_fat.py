"""Jobs of very many files: what is asked of them does not take the memory of all their files."""

from __future__ import annotations

import gc
import tracemalloc
from collections.abc import Callable
from typing import TypeVar

import make
import pytest

from roar.cache.index import Index, open_index
from roar.git.repository import Repository
from roar.hashing import digest_bytes
from roar.journal import beside, manifests
from roar.records.job import File, Pointer
from roar.verbs.met import Met, MetFiles, as_file
from roar.verbs.resolve import Target
from roar.verbs.show import JobShown, show

FILES = 50_000
"""Their ``File``s take some 90 MB, their rows as tuples 20 MB."""
MIB = 1 << 20

T = TypeVar("T")


def peak(work: Callable[[], T]) -> tuple[T, int]:
    """What some work gives, and the most memory it took, in bytes."""
    gc.collect()
    tracemalloc.start()
    try:
        return work(), tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def fat_job(repo: Repository, count: int, **more: object) -> str:
    """A job that read so many files of 7 bytes."""
    digests = (digest_bytes(b"%d" % n) for n in range(count))
    files = [File(path=f"data/{n // 1000:03}/{n:06}", hash=digest, size=7) for n, digest in enumerate(digests)]
    _, shards, tree = manifests.split(files, b"in", lambda file: file)
    values = {**make.fields("train", {}, {"model": "model"}, at=1, **more), "input_shards": shards}
    return make.append(repo, lambda clock, writer: make.draft(values, clock, writer), tree).identifier


@pytest.fixture
def fat(repo: Repository) -> str:
    """The id of a job of ``FILES`` inputs, in a session of its own."""
    return fat_job(repo, FILES, session=make.session(repo))


def shown(index: Index, repo: Repository, job: str, *, everything: bool = False) -> JobShown:
    found = show(index, repo, Target("job", job), everything=everything)
    assert isinstance(found, JobShown)
    return found


def test_show_reads_no_more_than_it_shows(repo: Repository, fat: str) -> None:
    maker = make.job(repo, "prepare", {}, {"data/000/000003": "3"}, at=0)
    with open_index(repo) as index:
        found, memory = peak(lambda: shown(index, repo, fat))
        whole = shown(index, repo, fat, everything=True)
    assert memory < 8 * MIB
    assert [file.path for file in found.inputs.files] == [f"data/000/{n:06}" for n in range(12)]
    assert found.inputs[:2] == whole.inputs[:2] == (FILES, 7 * FILES)
    assert found.outputs == whole.outputs
    assert whole.inputs.files[:12] == found.inputs.files
    assert found.made_by == whole.made_by == {"data/000/000003": maker}


def test_files_on_their_way_into_a_record_are_bytes(repo: Repository) -> None:
    def met(number: int) -> Met:
        return Met(f"data/{number // 1000:03}/{number:06}", digest_bytes(b"%d" % number), 7, 0o100644, kept=True)

    def record() -> tuple[int, int]:
        files = MetFiles()
        for number in range(FILES, 0, -1):
            files.add(met(number))
        _, shards, tree = manifests.split(files.taken(), b"in", as_file)
        return sum(shard.count for shard in shards), len(tree)

    (count, pieces), memory = peak(record)
    assert count == FILES
    assert pieces > 50
    assert memory < 18 * MIB


def test_nothing_of_a_file_is_lost_on_its_way() -> None:
    plain = Met("b", "ab" * 32, 1 << 40, 0o100755)
    odd = [
        Met("a\u00e9", None, 0, 0o120000, "created", asked="c", unknown="removed during the run"),
        Met("c/d", "cd" * 32, 5, 0o100644, kept=True, blob="1" * 40, pointer=Pointer(tool="dvc", oid="md5:0")),
        Met("c", "ef" * 32, 5, 0o100644, digests={"md5": "0" * 32}),
    ]
    files = MetFiles()
    for file in [plain, *odd]:
        files.add(file)
    assert list(files.where(lambda path: path > "b")) == odd[1:]
    files.change(lambda file: file if file.hash else None)
    files.change(lambda file: file._replace(path="z" + file.path) if file == plain else file)
    assert [*files.paths()] == ["zb", "c/d", "c"]
    assert [*files.taken()] == [odd[2], odd[1], plain._replace(path="zb")]
    assert len(files) == 0


def test_much_that_lies_beside_a_record_is_compressed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(beside, "PLAIN_BYTES", 10)
    kept = beside.Beside()
    kept.update({b"in/1": b"x" * 8, b"in/2": b"y" * 100_000, b"in/3": b"zz"})
    assert dict(kept) == {b"in/1": b"x" * 8, b"in/2": b"y" * 100_000, b"in/3": b"zz"}
    kept[b"in/4"] = b""
    assert len(kept) == 4
    assert b"in/5" not in kept
