"""A journal that grows: sealed ends, folded writers, long file lists."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import make
import pytest
from conftest import Git, Roar

from roar.cache.index import open_index
from roar.git.objects import Reader
from roar.git.repository import Repository, discover
from roar.journal import read, segments
from roar.records import codec


def ids(repo: Repository) -> list[str]:
    """The ids of all readable records, sorted, doubles and all."""
    found = []
    for item in read.since(repo, read.tips(repo).values()):
        assert isinstance(item, read.Stored), item
        found.append(codec.identify_bytes(item.body))
    return sorted(found)


def with_company(number: int) -> dict[str, Any]:
    """The fields of a job with an overlay and many inputs."""
    reads = {f"data/{n:03}": f"{number} {n}" for n in range(300)}
    code = {"overlay": [make.overlaid("src/a b.py", f"x = {number}\n")]}
    return make.fields("python a.py", reads, {"out": str(number)}, at=number, code=code)


@pytest.fixture
def hub(tree: Path, tmp_path: Path, git: Git) -> Path:
    git(tmp_path, "init", "-q", "--bare", "hub.git")
    git(tree, "remote", "add", "origin", str(tmp_path / "hub.git"))
    git(tree, "push", "-q", "origin", "main")
    return tmp_path / "hub.git"


def chain(repo: Repository) -> list[str]:
    own = [oid for ref, oid in read.tips(repo).items() if ref.startswith("refs/roar/jobs/")]
    return repo.ask("log", "--format=%s", *own).decode().splitlines()


def test_a_sealed_end_holds_the_same_records_with_what_lay_beside_them(
    repo: Repository, tree: Path, git: Git, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(segments, "MOST_RECORDS", 4)
    made = [make.put(repo, with_company(n)) for n in range(10)]
    with open_index(repo) as index:
        before = [index.files(i) for i in made]
    assert segments.seal(repo, 10) == 0
    assert segments.seal(repo, 9) == 10
    assert [line.split(",")[0] for line in chain(repo)] == ["roar: 2 records", "roar: 4 records", "roar: 4 records"]
    assert ids(repo) == made
    assert segments.count(repo, list(read.tips(repo).values()), []) == 10
    with open_index(repo) as index, Reader(repo) as reader:
        assert [index.files(i) for i in made] == before
        for number, identifier in enumerate(made):
            laid = index.overlay(identifier)
            assert reader.body(laid["src/a b.py"], "blob") == f"x = {number}\n".encode()
    assert make.job(repo, "true") > made[-1]
    assert segments.seal(repo, 1) == 0
    assert len(ids(repo)) == 11
    git(tree, "gc", "-q", "--prune=now")
    assert len(ids(repo)) == 11
    assert git(tree, "fsck", "--strict") == ""


def test_what_another_ref_holds_is_not_sealed(repo: Repository, tree: Path, git: Git, hub: Path) -> None:
    make.job(repo, "true")
    git(tree, "push", "-q", "origin", "refs/roar/*")
    git(tree, "fetch", "-q", "origin", "+refs/roar/*:refs/roar-remote/origin/*")
    for n in range(3):
        make.job(repo, f"echo {n}")
    assert segments.seal(repo, 1) == 3
    assert chain(repo)[1] == "roar: run true"
    git(tree, "push", "-q", "origin", "refs/roar/*")
    assert git(hub, "fsck", "--strict") == ""


def test_sync_seals_and_counts_what_it_has_sealed(
    repo: Repository, roar: Roar, hub: Path, git: Git, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = make.bulk(repo, make.pipelines(510), segments.writer_name(make_own(repo)))
    assert b'"origin": 510' in roar("status", "--json").stdout
    assert segments.seal(repo) == 510
    assert b'"origin": 510' in roar("status", "--json").stdout
    roar("sync")
    assert b'"unpushed": {}' in roar("status", "--json").stdout
    assert ids(discover(str(hub))) == sorted(made)
    assert int(git(hub, "rev-list", "--count", "--glob=refs/roar/jobs/*")) == 2


def make_own(repo: Repository) -> Repository:
    repo.make_own_dir()
    return repo


def test_a_chain_that_was_pushed_unseen_and_then_sealed_goes_on_under_a_new_name(
    repo: Repository, roar: Roar, hub: Path, git: Git, tree: Path
) -> None:
    made = [make.job(repo, f"echo {n}") for n in range(3)]
    git(tree, "push", "-q", str(hub), "refs/roar/*")
    assert segments.seal(repo, 1) == 3
    made.append(make.job(repo, "echo 3"))
    roar("sync", "origin")
    assert sorted(set(ids(discover(str(hub))))) == sorted(made)
    assert sorted(set(ids(repo))) == sorted(made)
    roar("sync")


def test_fsck_takes_sealed_records_as_it_takes_others(repo: Repository, roar: Roar) -> None:
    for n in range(3):
        make.put(repo, with_company(n))
    make.job(repo, "true")
    assert segments.seal(repo, 1) == 4
    assert b"is missing" not in roar("fsck", code=None).stdout
