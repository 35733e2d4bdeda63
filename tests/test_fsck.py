"""``roar fsck`` on repositories that were damaged by hand: what is broken is named, nothing is deleted."""

from __future__ import annotations

import os
import sqlite3
import time
from pathlib import Path

import make
import pytest
from ask import Ask
from conftest import Git

from roar.git import gclock, objects, refs
from roar.git.repository import Repository
from roar.hashing import digest_bytes
from roar.journal import RECORD, manifests, read, spool
from roar.records import codec
from roar.records.job import File, Job


@pytest.fixture
def ask(tree: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Ask:
    return Ask(tree, monkeypatch, capsys)


def loose(repo: Repository, oid: str) -> Path:
    path = Path(repo.objects_dir, oid[:2], oid[2:])
    path.chmod(0o644)
    return path


def replace(repo: Repository, changes: dict[bytes, bytes | None], message: str | None = None) -> str:
    """Put another commit in the place of the chain's last one: files of its tree changed or (None) removed."""
    (ref, tip), *_ = read.tips(repo).items()
    with objects.Reader(repo) as reader:
        commit = reader.commit(tip)
        files = {path: reader.body(oid, "blob") for path, (_, oid) in reader.files(commit.tree).items()}
    files = {path: data for path, data in {**files, **changes}.items() if data is not None}
    who = f"Ada Recorder <ada@example.org> {make.START // make.SECOND} +0000"
    tree = objects.write_files(repo, files)
    body = objects.commit_body(tree, commit.parents, who, who, commit.message if message is None else message)
    new = objects.write(repo, "commit", body)
    assert refs.compare_and_swap(repo, ref, new, tip)
    return new


def found(ask: Ask, *words: str, code: int = 3) -> list[tuple[str, str, str]]:
    """What is said: grade, ref or file, text."""
    answer = ask.json("fsck", *words, code=code)
    assert answer["clean"] == (code == 0)
    return [(f["grade"], f["where"], f["text"]) for f in answer["findings"]]


def test_a_sound_repository(repo: Repository, ask: Ask, git: Git, tree: Path) -> None:
    assert ask("fsck") == "\n0 records in 0 chains: nothing is broken\n"
    session = make.session(repo)
    code = {"commit": git(tree, "rev-parse", "HEAD"), "overlay": [make.overlaid("a.py", "x = 1\n")]}
    make.job(repo, "train", {f"data/{n}": str(n) for n in range(300)}, {"m": "1"}, session=session, code=code)
    make.on_chain(repo, "other", make.draft(make.fields("true"), make.START // 1_000_000, "other"))
    assert ask("fsck") == "\n3 records in 2 chains: nothing is broken\n"
    git(tree, "gc", "-q", "--prune=now")
    git(tree, "pack-refs", "--all")
    assert found(ask, code=0) == []


def test_a_record_with_other_bytes_is_named_by_ref_and_object(repo: Repository, ask: Ask) -> None:
    make.job(repo, "train", at=1)
    make.job(repo, "train", at=2)
    (ref, tip), *_ = read.tips(repo).items()
    with objects.Reader(repo) as reader:
        body = reader.body(f"{tip}:record.json", "blob")
    commit = replace(repo, {RECORD: body.replace(b"train", b"drain")})
    (finding,) = ask.json("fsck", code=3)["findings"]
    assert (finding["grade"], finding["where"], finding["object"]) == ("broken", ref, commit)
    assert "its bytes have the id" in finding["text"]
    assert "another clone" in finding["mend"]
    assert ask("fsck", code=3).endswith("1 record in 1 chain: 1 thing broken\n")


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b"{", "not JSON"),
        (b'{"clock":1,"format":1,"kind":"session","writer":"w"}', "user: Field required"),
        (b'{"clock":1,"format":9,"kind":"job","writer":"w"}', "format 9 is newer"),
        (None, "holds no record"),
    ],
)
def test_what_is_no_record(repo: Repository, ask: Ask, body: bytes | None, said: str) -> None:
    make.job(repo, "train")
    replace(repo, {RECORD: body, b"x": b""})
    ((grade, _, text),) = found(ask)
    assert grade == "broken"
    assert said in text


def test_a_record_that_is_not_canonical_is_odd_and_read(repo: Repository, ask: Ask) -> None:
    make.session(repo)
    clock = time.time_ns() // 1_000_000
    body = b'{"format": 1,"clock":%d,"kind":"session","user":"Ada","writer":"w"}' % clock
    replace(repo, {RECORD: body}, message="x")
    ((grade, _, text),) = found(ask, code=0)
    assert grade == "warning"
    assert "not in canonical form" in text


def test_overlays_are_compared_with_the_record(repo: Repository, ask: Ask) -> None:
    code = {"overlay": [make.overlaid("src/a.py", "x = 1\n"), make.overlaid("b.py", "y = 1\n", "untracked")]}
    make.job(repo, "train", code=code)
    replace(repo, {b"files/src/a.py": b"x = 2\n", b"files/b.py": None})
    texts = [text for _, _, text in found(ask)]
    assert len(texts) == 2
    assert "files/src/a.py" in texts[0]
    assert "is not the file that the record names" in texts[0]
    assert texts[1].endswith("files/b.py is missing")


def manifest_of(repo: Repository, folder: str) -> bytes:
    """Where the manifest of a folder lies beside the newest record."""
    tip = next(iter(read.tips(repo).values()))
    with objects.Reader(repo) as reader:
        job = codec.decode(reader.body(f"{tip}:record.json", "blob"))
    assert isinstance(job, Job)
    return next(manifests.tree_path(b"in", shard) for shard in job.input_shards if shard.directory == folder)


def test_manifests_are_compared_with_the_record(repo: Repository, ask: Ask) -> None:
    make.job(repo, "train", {f"{folder}/{n}": str(n) for folder in "ab" for n in range(150)})
    replace(repo, {manifest_of(repo, "a"): b""})
    assert any("of a is not the one its record names" in text for _, _, text in found(ask))
    make.job(repo, "train", {f"{folder}/{n}": str(n) for folder in "ab" for n in range(150)}, at=9)
    replace(repo, {manifest_of(repo, "b"): None})
    assert any("of b is missing" in text for _, _, text in found(ask))


def test_counts_of_a_manifest(repo: Repository, ask: Ask) -> None:
    lines = b'{"path":"a/1","size":4}\n'
    values = make.fields("train")
    shard = {"directory": "a", "count": 2, "size": 4, "hash": digest_bytes(lines)}
    job = make.draft({**values, "input_shards": [shard]}, make.START // 1_000_000, "w")
    assert File.model_validate_json(lines)
    make.on_chain(repo, "w", job)
    replace(repo, {manifests.tree_path(b"in", job.input_shards[0]): lines})
    assert found(ask)[0][2].endswith("does not hold 2 files of 4 bytes")


def test_lost_objects(repo: Repository, ask: Ask, tree: Path, tmp_path: Path, git: Git) -> None:
    for number in range(3):
        make.job(repo, "train", at=number)
    (ref, tip), *_ = read.tips(repo).items()
    git(tmp_path, "clone", "-q", "--bare", str(tree), "hub.git")
    git(tree, "remote", "add", "origin", str(tmp_path / "hub.git"))
    git(tree, "push", "-q", "origin", "refs/roar/*")
    lost = git(tree, "rev-parse", f"{tip}~1:record.json")
    loose(repo, lost).unlink()
    answer = ask.json("fsck", code=3)
    (finding,) = answer["findings"]
    assert answer["records"] == 2
    assert (finding["where"], finding["object"]) == (ref, git(tree, "rev-parse", f"{tip}~1"))
    git(tree, *finding["mend"].replace("'", "").split()[1:])
    assert found(ask, code=0) == []
    commit = git(tree, "rev-parse", f"{tip}~1")
    git(tree, "update-ref", "-d", "refs/roar-remote/origin/" + ref.removeprefix("refs/roar/"))
    for pack in Path(repo.objects_dir, "pack").glob("*"):
        pack.chmod(0o644)
        pack.unlink()
    loose(repo, commit).write_bytes(b"")
    assert [(grade, where) for grade, where, _ in found(ask)] == [("broken", ref)]


def test_merges_and_strange_names(repo: Repository, ask: Ask, git: Git, tree: Path) -> None:
    make.job(repo, "train")
    (ref, tip), *_ = read.tips(repo).items()
    other = git(tree, "commit-tree", f"{tip}^{{tree}}", "-m", "x")
    merge = git(tree, "commit-tree", f"{tip}^{{tree}}", "-p", tip, "-p", other, "-m", "x")
    git(tree, "update-ref", ref, merge)
    git(tree, "update-ref", "refs/roar/jobs/one", tip)
    Path(repo.common_dir, "refs/roar/jobs/2025").mkdir(exist_ok=True)
    Path(repo.common_dir, "refs/roar/jobs/2025/bad").write_text("nonsense\n")
    texts = {(where, text.split(":")[0]) for _, where, text in found(ask)}
    assert texts == {
        (ref, "has 2 parents"),
        ("refs/roar/jobs/one", "is no name of a chain"),
        ("refs/roar/jobs/2025/bad", "the ref holds no object id"),
    }


def test_records_that_are_named_and_not_here_are_a_warning(repo: Repository, ask: Ask) -> None:
    gone = "0" * 26
    make.job(repo, "train", session=gone, reproduces=gone)
    ((grade, _, text),) = found(ask, code=0)
    assert (grade, text) == ("warning", f"names the record {gone} and 1 more, which is not here")


def test_notes(repo: Repository, ask: Ask, tree: Path, git: Git) -> None:
    head = git(tree, "rev-parse", "HEAD")
    make.job(repo, "train", code={"commit": head})
    git(tree, "notes", "--ref=refs/notes/roar", "append", "-m", "0" * 26 + " run ok 1 s  true", head)
    git(tree, "notes", "--ref=refs/notes/roar", "append", "-m", "a line of the user's", head)
    ((grade, where, text),) = found(ask, code=0)
    assert (grade, where.rpartition("/")[0]) == ("warning", "refs/roar/notes")
    assert text == f"the note names the record {'0' * 26}, which is not here"


def test_own_notes_that_are_damaged_are_made_again(repo: Repository, ask: Ask, tree: Path, git: Git) -> None:
    make.job(repo, "train", code={"commit": git(tree, "rev-parse", "HEAD")})
    (ref,) = refs.listing(repo, "refs/roar/notes/")
    note = git(tree, "ls-tree", "-r", "--format=%(objectname)", ref)
    loose(repo, note).unlink()
    assert [(grade, where) for grade, where, _ in found(ask)] == [("broken", ref)]
    assert [(grade, where) for grade, where, _ in found(ask, "--repair", code=0)] == [("repaired", ref)]
    assert found(ask, code=0) == []
    assert "train" in git(tree, "log", "-1", "--notes=roar")


def test_an_index_that_says_something_else(repo: Repository, ask: Ask) -> None:
    make.job(repo, "train", {"in": "1"}, {"out": "2"})
    assert len(ask.json("log")["jobs"]) == 1
    path = ask.json("cache", "path")["path"]
    connection = sqlite3.connect(path)
    with connection:
        connection.execute("UPDATE records SET ok = 0")
        connection.execute("DELETE FROM files WHERE output = 1")
    connection.close()
    assert found(ask) == [("broken", path, "the index is not what the records say (records, files)")]
    assert found(ask, "--repair", code=0)[0][0] == "repaired"
    assert found(ask, code=0) == []
    assert len(ask.json("log")["jobs"]) == 1
    Path(path).write_bytes(b"nonsense")
    assert found(ask, code=0) == []


def test_names_and_locks_are_mended(repo: Repository, ask: Ask, tree: Path, git: Git) -> None:
    make.job(repo, "train", code={"commit": git(tree, "rev-parse", "HEAD")})
    git(tree, "symbolic-ref", "refs/notes/roar", "refs/roar/notes/gone")
    lock = Path(repo.common_dir, "refs/roar/jobs/left.lock")
    half = Path(repo.own_dir, "spool", "0" * 26 + ".tar.99")
    half.parent.mkdir()
    for path in (lock, half):
        path.write_text("")
        os.utime(path, (1, 1))
    wanted = {("refs/notes/roar"), str(lock), str(half)}
    assert {where for grade, where, _ in found(ask) if grade == "broken"} == wanted
    assert {where for grade, where, _ in found(ask, "--repair", code=0) if grade == "repaired"} == wanted
    assert found(ask, code=0) == []
    assert not lock.exists()
    assert "train" in git(tree, "log", "-1", "--notes=roar")


def test_a_notes_ref_of_the_users_is_left_alone(repo: Repository, ask: Ask, tree: Path, git: Git) -> None:
    head = git(tree, "rev-parse", "HEAD")
    git(tree, "notes", "--ref=refs/notes/roar", "add", "-m", "mine", head)
    make.job(repo, "train", code={"commit": head})
    ((_, where, _),) = found(ask, "--repair")
    assert where == "refs/notes/roar"
    assert "mine" in git(tree, "log", "-1", "--notes=roar")


def test_what_waits_and_what_is_damaged_there(repo: Repository, ask: Ask) -> None:
    with gclock.hold(repo):
        make.job(repo, "one")
        make.job(repo, "two", at=1)
    waiting, damaged = (Path(path) for path in spool.entries(repo.own_dir))
    damaged.write_bytes(damaged.read_bytes().replace(b"two", b"too"))
    reports = Path(repo.own_dir, "reports")
    reports.mkdir()
    (reports / "1.report").write_text("{}\n")
    (reports / "2.report").write_text("nonsense\n")
    assert {(grade, where) for grade, where, _ in found(ask)} == {
        ("warning", str(waiting)),
        ("broken", str(damaged)),
        ("warning", str(reports / "1.report")),
        ("broken", str(reports / "2.report")),
    }
    assert damaged.exists()
