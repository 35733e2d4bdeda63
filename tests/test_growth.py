"""A journal that grows: sealed ends, folded writers, long file lists."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from pathlib import Path
from typing import Any

import make
import pytest
from conftest import Git, Roar

from roar.cache import extract
from roar.cache.index import open_index
from roar.errors import RecordError
from roar.git.objects import Reader
from roar.git.repository import Repository, discover
from roar.hashing import digest_bytes
from roar.journal import manifests, read, segments
from roar.records import codec
from roar.records.job import File, Job, Shard


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


@pytest.mark.parametrize("damaged", [0, 3, 5])
def test_between_segments_and_foreign_commits_a_damaged_record_hides_no_other(
    repo: Repository, git: Git, tree: Path, damaged: int
) -> None:
    made = [make.job(repo, f"echo {n}") for n in range(4)]
    assert segments.seal(repo, 1) == 4
    ((ref, tip),) = read.tips(repo).items()
    foreign = git(tree, "commit-tree", "main^{tree}", "-p", tip, "-m", "no record")
    git(tree, "update-ref", ref, foreign)
    made += [make.job(repo, f"echo {n}") for n in range(4, 10)]
    again = git(tree, "commit-tree", f"{ref}^{{tree}}", "-p", ref, "-m", "the same tree again")
    git(tree, "update-ref", "refs/roar-remote/origin/jobs/2026/other", again)
    lost = git(tree, "rev-parse", f"{ref}~{damaged}")
    oid = git(tree, "rev-parse", f"{lost}:record.json")
    loose = Path(repo.objects_dir, oid[:2], oid[2:])
    loose.chmod(0o644)
    loose.write_bytes(b"damaged")
    found = list(read.since(repo, read.tips(repo).values()))
    held = {codec.identify_bytes(item.body) for item in found if isinstance(item, read.Stored)}
    assert held == set(made) - {made[9 - damaged]}
    broken = {item.commit for item in found if isinstance(item, read.Broken)}
    assert broken == {foreign, lost} | ({again} if damaged == 0 else set())
    assert len([item for item in found if isinstance(item, read.Stored)]) == 9 + (damaged != 0)


def test_fsck_takes_sealed_records_as_it_takes_others(repo: Repository, roar: Roar) -> None:
    for n in range(3):
        make.put(repo, with_company(n))
    make.job(repo, "true")
    assert segments.seal(repo, 1) == 4
    assert b"is missing" not in roar("fsck", code=None).stdout


def ci(number: int, jobs: int = 1) -> list[tuple[str, dict[str, Any]]]:
    """Jobs of a machine that lives for a moment."""
    argv = f"make test-{number}"
    return [(f"ci-{number}", make.fields(argv, {"src": str(number)}, at=number * 60 + n)) for n in range(jobs)]


def refs_of(folder: Path, git: Git, pattern: str = "refs/roar/") -> list[str]:
    return git(folder, "for-each-ref", "--format=%(refname)", pattern).split()


def clone(hub: Path, name: str, git: Git) -> Roar:
    git(hub.parent, "clone", "-q", str(hub), name)
    return Roar(hub.parent / name)


def test_two_thousand_writers_become_a_few_refs(hub: Path, git: Git, roar: Roar, repo: Repository) -> None:
    made = sorted(make.bulk_of_many(discover(str(hub)), (job for n in range(2000) for job in ci(n, 1 + n % 2))))
    unaware = clone(hub, "unaware", git)
    git(unaware.folder, "fetch", "-q", "origin", "+refs/roar/*:refs/roar-remote/origin/*")
    roar("sync", "--fetch-only")
    said = json.loads(roar("compact", "--prune-remote", "origin", "--dry-run", "--json").stdout)
    assert (said["chains"], said["folded"], len(said["removed"])) == (2000, 3000, 2000)
    assert len(refs_of(hub, git)) == 2000
    said = json.loads(roar("compact", "--prune-remote", "origin", "--json").stdout)
    assert (said["chains"], said["folded"], len(said["removed"])) == (2000, 3000, 2000)
    assert len(refs_of(hub, git)) == 1
    assert len(refs_of(repo.work_tree or "", git, "refs/roar-remote/")) <= 1
    for place in (discover(str(hub)), repo):
        assert sorted(set(ids(place))) == made
    git(unaware.folder, "fetch", "-q", "origin", "+refs/roar/*:refs/roar-remote/origin/*")
    assert sorted(set(ids(discover(str(unaware.folder))))) == made
    with open_index(discover(str(unaware.folder))) as index:
        assert index.count_jobs() == 3000
    git(hub, "gc", "-q", "--prune=now")
    assert git(hub, "fsck", "--strict") == ""
    assert json.loads(roar("compact", "--json").stdout)["folded"] == 0


def test_only_what_is_quiet_and_wholly_in_the_archive_is_removed(
    hub: Path, git: Git, roar: Roar, repo: Repository
) -> None:
    make.bulk_of_many(discover(str(hub)), [*ci(1), *ci(2)])
    busy = clone(hub, "busy", git)
    make.job(discover(str(busy.folder)), "true")
    git(busy.folder, "push", "-q", "origin", "refs/roar/*")
    foreign = git(hub, "commit-tree", git(hub, "rev-parse", "main^{tree}"), "-p", "refs/roar/jobs/2025/ci-2", "-m", "x")
    git(hub, "update-ref", "refs/roar/jobs/2025/odd", foreign)
    git(hub, "update-ref", "refs/roar/notes/ci-1", foreign)
    said = json.loads(roar("compact", "--prune-remote", "origin", "--json").stdout)
    assert said["removed"] == ["refs/roar/jobs/2025/ci-1", "refs/roar/jobs/2025/ci-2", "refs/roar/notes/ci-1"]
    left = [ref.split("/")[2] for ref in refs_of(hub, git)]
    assert left == ["archive", "jobs", "jobs"]
    assert b"folded" in roar("compact", "--quiet-for", "0").stdout


@pytest.mark.parametrize(
    "beside", ["040000 tree {tree}\t.git", "160000 commit {commit}\tsub", "120000 blob {blob}\tlink"]
)
def test_what_a_careful_host_refuses_is_not_folded(
    beside: str, hub: Path, git: Git, roar: Roar, repo: Repository
) -> None:
    make.bulk_of_many(discover(str(hub)), ci(1))
    chain = "refs/roar/jobs/2025/ci-1"
    found = {"tree": f"{chain}^{{tree}}", "commit": "main", "blob": f"{chain}:record.json"}
    ids = {name: git(hub, "rev-parse", what) for name, what in found.items()}
    lines = [f"100644 blob {ids['blob']}\trecord.json", f"040000 tree {ids['tree']}\tfiles", beside.format(**ids)]
    body = "".join(f"{line}\n" for line in lines).encode()
    tree = subprocess.run(["git", "mktree"], cwd=hub, input=body, capture_output=True, check=True).stdout.decode()
    message = git(hub, "log", "-1", "--format=%B", chain)
    git(hub, "update-ref", chain, git(hub, "commit-tree", tree.strip(), "-m", message))
    said = json.loads(roar("compact", "--prune-remote", "origin", "--json").stdout)
    assert (said["chains"], said["folded"], said["removed"]) == (1, 0, [])
    assert refs_of(hub, git, "refs/roar/jobs/2025/") == [chain]
    assert refs_of(roar.folder, git, "refs/roar/archive") == []


def test_a_folded_writer_goes_on_without_bringing_all_back(hub: Path, git: Git, roar: Roar, repo: Repository) -> None:
    writer = clone(hub, "writer", git)
    place = discover(str(writer.folder))
    made = [make.put(place, with_company(0)), make.job(place, "echo a")]
    writer("sync")
    assert b"1 quiet chain: 2 records folded" in roar("compact", "--quiet-for", "0", "--prune-remote", "origin").stdout
    assert refs_of(hub, git, "refs/roar/jobs/") == []
    made.append(make.job(place, "echo b"))
    writer("sync")
    chains = refs_of(hub, git, "refs/roar/jobs/")
    assert [git(hub, "rev-list", "--count", ref) for ref in chains] == ["1"]
    assert ids(discover(str(hub))) == sorted(made)
    made.append(make.job(place, "echo c"))
    writer("sync")
    roar("sync")
    for where in (place, repo, discover(str(hub))):
        assert sorted(set(ids(where))) == sorted(made)
        assert git(where.git_dir, "fsck", "--strict", "--no-dangling") == ""
    with open_index(repo) as index, Reader(repo) as reader:
        assert len(index.files(made[0])[0]) == 300
        assert reader.body(index.overlay(made[0])["src/a b.py"], "blob") == b"x = 0\n"


def test_a_folded_writer_who_knows_nothing_of_it_doubles_his_own_records_only(hub: Path, git: Git, roar: Roar) -> None:
    writer = clone(hub, "writer", git)
    place = discover(str(writer.folder))
    made = [make.job(place, "echo a")]
    git(writer.folder, "push", "-q", "origin", "refs/roar/*")
    roar("compact", "--quiet-for", "0", "--prune-remote", "origin")
    made.append(make.job(place, "echo b"))
    git(writer.folder, "push", "-q", "origin", "refs/roar/*")
    assert ids(discover(str(hub))) == sorted([made[0], *made])


def test_own_years_that_are_over_move_into_the_archive(repo: Repository, roar: Roar, git: Git, tree: Path) -> None:
    made = make.bulk(repo, make.pipelines(5), segments.writer_name(make_own(repo)))
    assert json.loads(roar("compact", "--json").stdout)["folded"] == 5
    assert [ref.split("/")[2:4] for ref in refs_of(tree, git)] == [["archive", "2025"]]
    assert ids(repo) == sorted(made)
    assert b"5 jobs" in roar("cache", "rebuild").stdout


def test_a_shallow_clone_removes_nothing(hub: Path, git: Git) -> None:
    git(hub.parent, "clone", "-q", "--depth=1", f"file://{hub}", "shallow")
    done = Roar(hub.parent / "shallow")("compact", "--prune-remote", "origin", code=1)
    assert b"shallow" in done.stderr


def files(count: int, folder: str = "flat", changed: frozenset[int] = frozenset()) -> list[File]:
    """Files of one folder; those that changed have another content."""
    contents = (digest_bytes(f"{folder} {n} {n in changed}".encode()) for n in range(count))
    return [File(path=f"{folder}/{n:07}", hash=content, size=n) for n, content in enumerate(contents)]


def stored(repo: Repository, files: list[File]) -> tuple[str, int]:
    """Record a job that read these; gives its place and the bytes that came into the repository."""
    before = size_of(repo)
    _, shards, tree = manifests.split(files, b"in", lambda file: file)
    values = make.fields("train", {}, {}, at=1)
    make.append(repo, lambda clock, writer: make.draft({**values, "input_shards": shards}, clock, writer), tree)
    return next(oid for ref, oid in read.tips(repo).items() if ref.startswith("refs/roar/jobs/")), size_of(
        repo
    ) - before


def size_of(repo: Repository) -> int:
    loose = Path(repo.objects_dir)
    return sum(path.stat().st_size for path in loose.glob("??/*"))


@pytest.mark.parametrize("spread", [1, 100], ids=["one flat folder", "many folders"])
def test_the_second_run_over_a_large_data_set_adds_only_what_changed(repo: Repository, spread: int) -> None:
    def data(changed: frozenset[int]) -> list[File]:
        each = 20_000 // spread
        parts = (files(each, f"data/{n:03}", changed if n == 7 % spread else frozenset()) for n in range(spread))
        return [file for part in parts for file in part]

    _, first = stored(repo, data(frozenset()))
    _, again = stored(repo, data(frozenset()))
    _, changed = stored(repo, data(frozenset({3})))
    _, more = stored(repo, [*data(frozenset()), File(path="data/000/0000005-new", hash="ab" * 32, size=1)])
    assert first > 600_000
    assert again < 15_000
    assert changed < first / 8
    assert more < first / 8
    place, _ = stored(repo, data(frozenset({5})))
    with Reader(repo) as reader:
        job = codec.decode(reader.body(f"{place}:record.json", "blob"))
        assert isinstance(job, Job)
        assert len(job.input_shards) <= manifests.INLINE_SHARDS
        found = list(read.inputs(reader, place, job))
    assert sorted(found, key=lambda f: f.path) == data(frozenset({5}))


def test_pieces_have_a_measure_and_are_few(repo: Repository) -> None:
    many = [File(path=f"d{n % 40_000:05}/{n}", hash="cd" * 32, size=1) for n in range(80_000)]
    _, shards, tree = manifests.split(sorted(many, key=lambda file: file.path), b"in", lambda file: file)
    assert max(map(len, tree.values())) < 1_000_000
    assert len(shards) <= manifests.INLINE_SHARDS
    assert {shard.level for shard in shards} == {1}
    assert sum(shard.count for shard in shards) == 80_000
    again = [f for s in shards for f in manifests.read(s, lambda part: tree.get(manifests.tree_path(b"in", part)))]
    assert sorted(again, key=lambda f: f.path) == sorted(many, key=lambda f: f.path)


def bomb(**fields: Any) -> tuple[Shard, dict[str, bytes]]:
    """Shards of shards of shards."""
    bodies: dict[str, bytes] = {}
    shard = Shard(directory="", size=0, level=0, hash=digest_bytes(b""), **{"count": 0, **fields})
    bodies[shard.hash] = b""
    for level in range(1, 8):
        body = codec.encode_lines([shard] * 100)
        shard = Shard(directory="", size=0, hash=digest_bytes(body), level=level, count=shard.count * 100)
        bodies[shard.hash] = body
    return shard, bodies


@pytest.mark.parametrize("count", [0, 1], ids=["empty", "huge"])
def test_manifests_without_measure_are_refused(count: int) -> None:
    shard, bodies = bomb(count=count)
    with pytest.raises(RecordError):
        list(manifests.read(shard, lambda part: bodies.get(part.hash)))


def test_a_child_process_reads_what_we_would_and_may_be_killed(
    repo: Repository, monkeypatch: pytest.MonkeyPatch
) -> None:
    make.bulk(repo, make.pipelines(20))
    tips = list(read.tips(repo).values())
    here = list(extract.batches(repo, read.since(repo, tips)))
    assert list(extract.beside(repo, tips)) == here
    monkeypatch.setattr(extract, "_write_all", lambda fd, source: os.kill(os.getpid(), signal.SIGKILL))
    assert list(extract.beside(repo, tips)) == here
