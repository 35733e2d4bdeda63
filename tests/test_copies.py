"""A record in several places: a copy with damaged company never stands for one whose company is whole."""

from __future__ import annotations

import itertools
import json
from pathlib import Path
from typing import Any

import make
import pytest
from conftest import Git, Roar

from roar.cache.index import open_index
from roar.git import objects, refs
from roar.git.objects import Reader
from roar.git.repository import Repository
from roar.hashing import digest_bytes
from roar.journal import archive, manifests, read
from roar.journal.append import append
from roar.journal.company import Company
from roar.journal.entry import Entry
from roar.records.about import Close, Tombstone, Withdrawal
from roar.records.job import File
from roar.records.named import Label

GOOD = b"x = 1\n"
READS = [File(path=f"data/{n:04}", hash=digest_bytes(b"%d" % n), size=n) for n in range(300)]


def entry() -> Entry:
    """A job with an overlay and a long list of inputs, and what lies beside it."""
    _, shards, tree = manifests.split([*READS], b"in", lambda file: file)
    laid = {"path": "conf.py", "state": "modified", "hash": digest_bytes(GOOD), "size": len(GOOD)}
    values = make.fields("fit", code={"overlay": [laid]}, input_shards=shards)
    record = make.draft(values, make.START // 1_000_000, "elsewhere")
    return Entry(record, {**tree, b"files/conf.py": GOOD})


def copy(repo: Repository, ref: str, made: Entry, damage: str = "") -> str:
    """Put the record on a chain of its own; ``damage`` says what is wrong beside it. Gives the commit."""
    tree = dict(made.tree)
    if damage == "overlay":
        tree[b"files/conf.py"] = b"x = 2\n"
    elif damage == "no overlay":
        del tree[b"files/conf.py"]
    elif damage == "manifest":
        tree = {path: body[:-9] if path.startswith(b"in/") else body for path, body in tree.items()}
    elif damage == "no manifest":
        tree = {path: body for path, body in tree.items() if not path.startswith(b"in/")}
    who = f"Ada <ada@example.org> {make.START // make.SECOND} +0000"
    body = objects.commit_body(objects.write_files(repo, tree), [], who, who, made.message)
    oid = objects.write(repo, "commit", body + damage.encode())
    refs.compare_and_swap(repo, ref, oid, None)
    return oid


DAMAGES = ("overlay", "no overlay", "manifest", "no manifest")
PLACES = ("refs/roar-remote/a/jobs/2025/elsewhere", "refs/roar-remote/b/jobs/2025/elsewhere")


@pytest.mark.parametrize(("damage", "places"), [*itertools.product(DAMAGES, (PLACES, PLACES[::-1]))])
def test_the_whole_copy_is_archived_and_read(repo: Repository, damage: str, places: tuple[str, str]) -> None:
    made = entry()
    bad, good = copy(repo, places[0], made, damage), copy(repo, places[1], made)
    whole_and_read(repo, made)
    assert archive.held(repo, [bad], {made.identifier}) == set()
    assert archive.held(repo, [bad, good], {made.identifier}) == {made.identifier}
    assert sum(archive.fold(repo, [bad, good], set())) == 1
    (tip,) = refs.listing(repo, "refs/roar/archive/").values()
    with Reader(repo) as reader:
        (item,) = (item for item in read.since(repo, [tip]) if isinstance(item, read.Stored))
        assert item.body == made.body
        assert not list(Company(reader).faults(item.place, made.record))
    refs.delete(repo, {places[1]: good})
    whole_and_read(repo, made)


def whole_and_read(repo: Repository, made: Entry) -> None:
    with open_index(repo) as index, Reader(repo) as reader:
        assert [file.path for file in index.files(made.identifier)[0]] == [file.path for file in READS]
        assert reader.body(index.overlay(made.identifier)["conf.py"], "blob") == GOOD
        assert len(index.readers_of_path("data/0007")) == 1


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_copy_alone_is_not_archived_and_hinders_no_later_one(
    repo: Repository, roar: Roar, damage: str
) -> None:
    made = entry()
    bad = copy(repo, PLACES[0], made, damage)
    assert list(archive.fold(repo, [bad], set())) == []
    (finding,) = broken(roar, 3)
    assert finding["text"].startswith(f"record {made.identifier}: ")
    with open_index(repo) as index:
        assert index.count_jobs() == 1
    copy(repo, "refs/roar-remote/b/archive/2025/elsewhere", made)
    whole_and_read(repo, made)
    assert broken(roar, 0) == []
    findings = json.loads(roar("fsck", "--json").stdout)["findings"]
    assert [f["object"] for f in findings if "which is whole elsewhere" in f["text"]] == [bad]


def broken(roar: Roar, code: int) -> list[dict[str, Any]]:
    found = json.loads(roar("fsck", "--json", code=code).stdout)["findings"]
    return [finding for finding in found if finding["grade"] == "broken"]


def test_a_damaged_archive_lets_no_chain_go(repo: Repository, roar: Roar, tmp_path: Path, git: Git, tree: Path) -> None:
    git(tmp_path, "init", "-q", "--bare", "hub.git")
    git(tree, "remote", "add", "origin", str(tmp_path / "hub.git"))
    made = entry()
    copy(repo, "refs/roar/jobs/2025/elsewhere", made)
    copy(repo, "refs/roar/archive/2025/elsewhere", made, "overlay")
    git(tree, "push", "-q", "origin", "refs/roar/*")
    git(tree, "update-ref", "-d", "refs/roar/jobs/2025/elsewhere")
    git(tree, "update-ref", "-d", "refs/roar/archive/2025/elsewhere")
    said = json.loads(roar("compact", "--prune-remote", "origin", "--json").stdout)
    assert (said["folded"], said["removed"]) == (1, ["refs/roar/jobs/2025/elsewhere"])
    whole_and_read(repo, made)


def test_no_tombstone_buries_another(repo: Repository, roar: Roar) -> None:
    job, other = make.job(repo, "fit secret"), make.job(repo, "fit", at=1)
    first = append(repo, lambda clock, writer: Tombstone(clock=clock, writer=writer, records=[job])).identifier
    second = append(repo, lambda clock, writer: Tombstone(clock=clock, writer=writer, records=[first])).identifier
    assert archive.buried(repo) == {job}
    with open_index(repo) as index:
        assert index.jobs() == [other]
        assert index.tombstones() == [job]
    done = roar("pop", "--purge", second, "-y", code=2)
    assert f"{second} is a tombstone: it stays" in done.stderr.decode()
    texts = [finding["text"] for finding in json.loads(roar("fsck", "--json").stdout)["findings"]]
    assert f"the tombstone {first} is named by another: it stays" in texts
    assert f"tombstone {first}" in roar("show", first).stdout.decode()


def test_records_about_records_are_shown_by_their_ids(repo: Repository, roar: Roar) -> None:
    job, session = make.job(repo, "fit"), make.session(repo)
    who = "Ada \x1b[31m <ada@example.org>"

    def put(kind: Any, **fields: Any) -> str:
        return append(repo, lambda clock, writer: kind(clock=clock, writer=writer, user=who, **fields)).identifier

    back = put(Withdrawal, records=[job], reason="wrong data")
    named = put(Label, records=[job], labels={"stage": "draft", "old": None})
    ended = put(Close, session=session)
    shown = roar("show", back).stdout.decode()
    assert shown.startswith(f"withdrawal {back}\n")
    assert "by Ada \\x1b[31m" in shown
    assert f"records  {job}" in shown
    assert "reason   wrong data" in shown
    assert "labels   old taken away" in (text := roar("show", named[:14].lower()).stdout.decode())
    assert "labels   stage=draft" in text
    found = json.loads(roar("show", ended, "--json").stdout)
    assert (found["id"], found["kind"], found["session"]) == (ended, "close", session)
    assert b"--env is about a job" in roar("show", ended, "--env", code=2).stderr


def test_a_purge_names_the_chain_that_cannot_be_walked(repo: Repository, roar: Roar) -> None:
    jobs = [make.job(repo, f"fit {n}") for n in range(3)]
    ((ref, tip),) = refs.listing(repo, "refs/roar/jobs/").items()
    middle = repo.ask("rev-parse", f"{tip}~1").decode().strip()
    Path(repo.objects_dir, middle[:2], middle[2:]).unlink()
    done = roar("pop", "--purge", jobs[2], "-y", code=1)
    assert f"{ref} cannot be walked, so nobody can tell what it holds" in done.stderr.decode()
    assert "(next: roar fsck)" in done.stderr.decode()
