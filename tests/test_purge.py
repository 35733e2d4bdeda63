"""``roar pop --purge``: a leaked secret is gone here, named elsewhere, and does not come back."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import make
import pytest
from ask import Ask, on_terminal
from conftest import Git

from roar.git import gclock, refs
from roar.git.repository import Repository, discover
from roar.journal import archive, read, segments
from roar.journal.append import append

SECRET = "hunter2-the-secret"


@pytest.fixture
def ask(tree: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Ask:
    return Ask(tree, monkeypatch, capsys)


@pytest.fixture
def hub(tree: Path, tmp_path: Path, git: Git) -> Path:
    git(tmp_path, "clone", "-q", "--bare", str(tree), "hub.git")
    git(tree, "remote", "add", "origin", str(tmp_path / "hub.git"))
    return tmp_path / "hub.git"


def record(repo: Repository, git: Git, count: int = 4, leak: int = 1) -> list[str]:
    code = {"commit": git(repo.work_tree or "", "rev-parse", "HEAD")}
    ids = []
    for number in range(count):
        word = SECRET if number == leak else f"word{number}"
        overlay = [make.overlaid("conf.py", f"key = '{word}'\n")]
        ids.append(make.job(repo, f"fit {word}", {}, {f"out-{word}": str(number)}, code={**code, "overlay": overlay}))
    return ids


def ids_of(repo: Repository) -> list[str]:
    return sorted(archive.identifiers(repo, read.tips(repo).values()))


def everything(tree: Path, git: Git) -> str:
    """Every object that any ref or reflog leads to, as text."""
    git_dir = git(tree, "rev-parse", "--absolute-git-dir")
    names = git(tree, "rev-list", "--all", "--reflog", "--objects").splitlines()
    oids = "".join(line.split(" ")[0] + "\n" for line in names)
    words = ["git", f"--git-dir={git_dir}", "cat-file", "--batch"]
    return subprocess.run(words, input=oids.encode(), capture_output=True, check=True).stdout.decode(errors="replace")


def test_it_is_gone_and_all_others_keep_bytes_and_ids(repo: Repository, tree: Path, ask: Ask, git: Git) -> None:
    ids = record(repo, git)
    before = {item.body for item in read.since(repo, read.tips(repo).values()) if isinstance(item, read.Stored)}
    (old,) = refs.listing(repo, "refs/roar/jobs/")
    assert SECRET in everything(tree, git)
    ask("log")
    answer = ask.json("pop", "--purge", ids[1], "-y")
    assert answer["purged"] == [ids[1]]
    (new,) = refs.listing(repo, "refs/roar/jobs/")
    assert answer["renamed"][old] == new != old
    assert SECRET not in everything(tree, git)
    after = {item.body for item in read.since(repo, read.tips(repo).values()) if isinstance(item, read.Stored)}
    assert len(before - after) == 1
    assert SECRET in next(iter(before - after)).decode()
    (tombstone,) = after - before
    assert SECRET not in tombstone.decode()
    assert answer["objects_left"] == 2
    git(tree, "gc", "-q", "--prune=now")
    assert git(tree, "fsck", "--strict") == ""
    for path in Path(repo.git_dir).rglob("*"):
        assert not path.is_file() or SECRET.encode() not in path.read_bytes(), path
    assert ask.json("fsck")["findings"] == []
    assert [job["id"] for job in ask.json("log")["jobs"]] == ids[:1:-1] + ids[:1]
    notes = git(tree, "log", "-1", "--notes=roar")
    assert SECRET not in notes
    assert notes.count("fit word") == 3
    assert "no job begins with" in ask("show", ids[1], code=1)
    after_it = make.job(repo, "more", at=9)
    assert after_it in ids_of(repo)
    again = ask.json("pop", "--purge", ids[1], "-y")
    assert (again["renamed"], again["objects_left"]) == ({}, 0)


def test_remotes_are_named_with_the_commands_and_nothing_comes_back(
    repo: Repository, tree: Path, hub: Path, ask: Ask, git: Git, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ids = record(repo, git)
    ask("init")
    ask("sync")
    git(tmp_path, "clone", "-q", "hub.git", "stale")
    monkeypatch.chdir(tmp_path / "stale")
    ask("sync")
    assert len(ask.json("log")["jobs"]) == 4
    monkeypatch.chdir(tree)
    answer = ask.json("pop", "--purge", ids[1], "-y")
    (held,) = answer["remotes"]
    assert set(held["own"]) == set(answer["renamed"])
    assert (held["others"], held["unknown"]) == ([], None)
    assert any(ref.startswith("refs/roar-remote/origin/jobs/") for ref in answer["copies_deleted"])
    assert SECRET not in everything(tree, git)
    assert "refused" not in ask("sync")
    assert SECRET in everything(tree, git)  # the fetch has brought it back: the remote still had it
    git(tree, "push", "-q", "origin", "--delete", *held["own"])
    again = ask("pop", "--purge", ids[1], "-y")
    assert "origin holds none of it" in again
    assert "refs/roar-remote/origin/notes/" not in git(tree, "for-each-ref")
    assert SECRET not in everything(tree, git)
    monkeypatch.chdir(tmp_path / "stale")
    ask("sync")
    assert len(ask.json("log")["jobs"]) == 3
    make.job(discover(str(tmp_path / "stale")), "other", at=3)
    ask("sync")
    texts = [f["text"] for f in ask.json("fsck", code=0)["findings"]]
    assert texts == [f"record {ids[1]} was purged, and is still here"]
    monkeypatch.chdir(tree)
    ask("sync")
    assert len(ask.json("log")["jobs"]) == 4
    assert SECRET not in everything(tree, git)
    git(hub, "gc", "-q", "--prune=now")
    assert SECRET not in everything(hub, git)


def test_a_remote_that_cannot_be_asked(repo: Repository, tree: Path, ask: Ask, git: Git) -> None:
    git(tree, "remote", "add", "origin", str(tree / "nowhere"))
    ids = record(repo, git)
    said = ask("pop", "--purge", ids[1], "-y")
    assert "origin could not be asked what it holds" in said
    assert "origin may hold it in refs/roar/jobs/" in said
    assert SECRET not in everything(tree, git)


def test_a_record_of_another_clone_is_left_to_that_clone(
    repo: Repository, tree: Path, hub: Path, ask: Ask, git: Git, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ids = record(repo, git)
    ask("sync")
    git(tmp_path, "clone", "-q", "hub.git", "other")
    monkeypatch.chdir(tmp_path / "other")
    ask("sync")
    said = ask("pop", "--purge", ids[1], "-y")
    assert "still here in refs/roar-remote/origin/jobs/" in said
    assert f"which others write (next, in the clones that write them: roar pop --purge {ids[1]})" in said
    assert len(ask.json("log")["jobs"]) == 3
    ask("sync")
    monkeypatch.chdir(tree)
    ask("sync")
    assert len(ask.json("log")["jobs"]) == 3
    assert "roar pop --purge " + ids[1] in ask("fsck")
    ask("pop", "--purge", ids[1], "-y")
    assert ask.json("fsck")["findings"] == []
    assert SECRET not in "".join(
        item.body.decode()
        for item in read.since(repo, refs.listing(repo, "refs/roar/jobs/").values())
        if isinstance(item, read.Stored)
    )


def test_in_a_segment_and_in_the_archive(repo: Repository, tree: Path, ask: Ask, git: Git) -> None:
    ids = record(repo, git, 6, leak=2)
    assert segments.seal(repo, 3) == 6
    list(archive.fold(repo, refs.listing(repo, "refs/roar/jobs/").values(), set()))
    more = record(repo, git, 2, leak=5)
    assert SECRET in everything(tree, git)
    ask("pop", "--purge", ids[2], "-y")
    assert SECRET not in everything(tree, git)
    assert [i for i in ids_of(repo) if i in ids + more] == [i for i in ids + more if i != ids[2]]
    assert len(refs.listing(repo, "refs/roar/archive/")) == 1
    assert ask.json("fsck")["findings"] == []
    with segments.Reader(repo) as reader:
        stored = next(i for i in read.since(repo, read.tips(repo).values()) if isinstance(i, read.Stored) and i.folder)
        assert list(read.overlay(reader, stored.place)) == ["conf.py"]


def test_a_chain_with_nothing_else_and_a_signed_commit(repo: Repository, tree: Path, ask: Ask, git: Git) -> None:
    key = tree.parent / "key"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(key)], check=True)
    job = make.job(repo, f"fit {SECRET}")
    kept = make.job(repo, "fit", at=1)
    (ref, tip), *_ = read.tips(repo).items()
    git(tree, "config", "gpg.format", "ssh")
    signed = git(
        tree, "-c", f"user.signingKey={key}", "commit-tree", "-S", f"{tip}^{{tree}}", "-p", f"{tip}^", "-m",
        git(tree, "log", "-1", "--format=%B", tip),
    )  # fmt: skip
    git(tree, "update-ref", ref, signed)
    ask("pop", "--purge", job, "-y")
    assert kept in ids_of(repo)
    assert git(tree, "fsck", "--strict", "--no-dangling") == ""
    assert "gpgsig" not in everything(tree, git)


def test_what_waits_in_the_spool(repo: Repository, tree: Path, ask: Ask) -> None:
    with gclock.hold(repo):
        job = make.job(repo, f"fit {SECRET}")
    answer = ask.json("pop", "--purge", job, "-y")
    assert job not in [j["id"] for j in ask.json("log")["jobs"]]
    assert answer["purged"] == [job]


def test_it_asks_on_a_terminal(repo: Repository, tree: Path, git: Git) -> None:
    ids = record(repo, git)
    status, said = on_terminal(tree, "n\n", "pop", "--purge", ids[1])
    assert (status, ids[1] in ids_of(repo)) == (1, True), said
    status, said = on_terminal(tree, "y\ny\n", "pop", "--purge", ids[1])
    assert status == 0, said
    assert "with everything else in the repository that nothing leads to" in said
    assert "still in this repository" not in said
    git_dir = Path(repo.git_dir)
    assert not any(SECRET.encode() in path.read_bytes() for path in git_dir.rglob("*") if path.is_file())


def test_words_and_questions(repo: Repository, tree: Path, ask: Ask, git: Git) -> None:
    ids = record(repo, git)
    assert "--purge takes the ids" in ask("pop", "--purge", code=2)
    assert "--purge takes the ids" in ask("pop", "--purge", ids[0], "--reason", "x", code=2)
    assert "is no job" in ask("pop", "--purge", "out-word0", code=2)
    assert "no record has the id" in ask("pop", "--purge", "0" * 26, "-y", code=1)
    said = ask("pop", "--purge", ids[1], code=1)
    assert f"nothing was purged: there is no terminal to ask on (next: roar pop --purge -y {ids[1]})" in said
    assert ids[1] in ids_of(repo)
    ask("label", ids[1], "note=something")
    (label,) = set(ids_of(repo)) - set(ids)
    assert f"purged {label}" in ask("pop", "--purge", "-y", label[:12]), "the beginning of a label's id is enough"


def test_the_reader_of_an_older_clone_is_not_needed_for_the_order(repo: Repository, ask: Ask, git: Git) -> None:
    """A tombstone that arrives before the record, or without it, hides it all the same."""
    from roar.records.about import Tombstone

    session = make.session(repo)
    late = make.draft(make.fields("late", session=session), make.START // 1_000_000, "late")
    from roar.journal.entry import Entry

    identifier = Entry(late, {}).identifier
    append(repo, lambda clock, writer: Tombstone(clock=clock, writer=writer, records=[identifier]))
    assert ask.json("log")["jobs"] == []
    make.on_chain(repo, "late", late)
    assert ask.json("log")["jobs"] == []
    os.unlink(ask.json("cache", "path")["path"])
    assert ask.json("log")["jobs"] == []
