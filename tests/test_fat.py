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
from roar.journal import manifests
from roar.records.job import File
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
