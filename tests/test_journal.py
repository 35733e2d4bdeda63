"""The journal on real repositories: appended, read back, checked by git itself."""

from __future__ import annotations

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from conftest import ROOT, Git

from roar.errors import GitError
from roar.git import gclock, objects, refs
from roar.git.objects import Reader
from roar.git.repository import Repository, discover
from roar.journal import manifests, read, spool
from roar.journal.append import append, bring_in, next_date
from roar.journal.entry import Draft, Entry
from roar.records import codec
from roar.records.job import Code, Command, Environment, Exit, File, Job, Machine, Tracer


def draft(commit: str | None = None, word: str = "true", **more: object) -> Draft:
    def make(clock: int, writer: str) -> Job:
        return Job(
            clock=clock,
            writer=writer,
            command=Command(argv=["run", word]),
            user="Ada Recorder <ada@example.org>",
            started_ns=1,
            duration_ns=2_000_000_000,
            exit=Exit(code=0),
            code=Code(commit=commit),
            environment=Environment(machine=Machine(system="s", kernel="k", architecture="a")),
            tracer=Tracer(version="0", mechanism="none"),
        ).model_copy(update=more)

    return make


def ids(repo: Repository) -> list[str]:
    found = []
    for item in read.since(repo, read.tips(repo).values()):
        assert isinstance(item, read.Stored), item
        found.append(codec.identify(codec.decode(item.body), item.body))
    return found


def test_a_record_comes_back_with_its_overlay(repo: Repository, tree: Path, git: Git) -> None:
    head = git(tree, "rev-parse", "HEAD")
    entry = append(repo, draft(head), {b"files/src/caf\xe9 b.py": b"x = 1\n"})
    assert ids(repo) == [entry.identifier]
    tip = next(iter(read.tips(repo).values()))
    with Reader(repo) as reader:
        laid = read.overlay(reader, tip)
        assert list(laid) == ["//bytes/src/caf%E9 b.py"]
        assert reader.body(laid["//bytes/src/caf%E9 b.py"], "blob") == b"x = 1\n"
    assert git(tree, "fsck", "--strict") == ""
    assert git(tree, "status", "--porcelain") == ""
    assert git(tree, "log", "-1", "--format=%an <%ae>", tip) == "Ada Recorder <ada@example.org>"


def test_committer_dates_ascend_and_are_never_later_than_the_code(
    repo: Repository, tree: Path, git: Git, monkeypatch: pytest.MonkeyPatch
) -> None:
    code = int(git(tree, "log", "-1", "--format=%ct"))
    for _ in range(3):
        append(repo, draft(None))
    assert dates(repo, git) == [code - 999_998, code - 999_999, code - 1_000_000]
    monkeypatch.setattr("roar.journal.append.DATES_SECONDS", 999_997)
    for _ in range(2):
        append(repo, draft(None))
    assert dates(repo, git)[:2] == [code - 999_996, code - 999_997]
    assert next_date(code - 1, code) == next_date(code, code) == code
    assert next_date(code + 7, code) == code + 7  # of a commit that was taken back
    assert next_date(0, 0) == 0


def dates(repo: Repository, git: Git) -> list[int]:
    (tip,) = read.tips(repo).values()
    return [int(line) for line in git(repo.git_dir, "log", "--format=%ct", tip).split()]


def test_notes_are_shown_by_stock_git(repo: Repository, tree: Path, git: Git) -> None:
    head = git(tree, "rev-parse", "HEAD")
    first, second = append(repo, draft(head)), append(repo, draft(head, "again"))
    for option in ("--notes=refs/roar/notes/*", "--notes=roar"):
        shown = git(tree, "log", "-1", option)
        assert f"{first.identifier} run ok 2.0 s  run true" in shown
        assert f"{second.identifier} run ok 2.0 s  run again" in shown


def test_notes_survive_an_amend_by_git(repo: Repository, tree: Path, git: Git) -> None:
    first = append(repo, draft(git(tree, "rev-parse", "HEAD")))
    git(tree, "config", "notes.rewriteRef", "refs/notes/roar")
    git(tree, "commit", "-q", "--amend", "-m", "amended")
    second = append(repo, draft(git(tree, "rev-parse", "HEAD")))
    shown = git(tree, "log", "-1", "--notes=roar")
    assert first.identifier in shown
    assert second.identifier in shown
    assert git(tree, "fsck", "--strict") == ""


def test_clocks_and_ids_ascend_even_when_the_wall_clock_stands(
    repo: Repository, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("time.time_ns", lambda: 1_800_000_000_000_000_000)
    made = [append(repo, draft()).identifier for _ in range(3)]
    assert made == sorted(made)
    assert len(set(made)) == 3


def test_while_a_gc_runs_the_record_waits_in_the_spool(repo: Repository) -> None:
    with gclock.hold(repo):
        entry = append(repo, draft(), {b"files/a.py": b"1"})
        assert ids(repo) == []
        assert [os.path.basename(p) for p in spool.entries(repo.own_dir)] == [entry.identifier + ".tar"]
    assert bring_in(repo) == [entry.identifier]
    assert ids(repo) == [entry.identifier]
    assert spool.entries(repo.own_dir) == []


def test_a_damaged_spool_entry_stays_and_harms_nobody(repo: Repository) -> None:
    with gclock.hold(repo):
        entry = append(repo, draft())
    record = Path(repo.own_dir, "spool", entry.identifier + ".tar")
    record.write_bytes(record.read_bytes().replace(b"true", b"fake"))
    assert bring_in(repo) == []
    assert record.exists()


def test_a_killed_gc_holds_nobody(repo: Repository) -> None:
    dead = subprocess.Popen(["true"])
    dead.wait()
    Path(repo.common_dir, "gc.pid").write_text(f"{dead.pid} {os.uname().nodename}")
    assert append(repo, draft()).identifier in ids(repo)
    assert not Path(repo.common_dir, "gc.pid").exists()


def test_a_stale_lock_of_our_ref_is_broken(repo: Repository) -> None:
    append(repo, draft())
    lock = Path(repo.common_dir, next(iter(read.tips(repo))) + ".lock")
    lock.write_text("")
    os.utime(lock, (1, 1))
    append(repo, draft())
    assert len(ids(repo)) == 2


def test_a_copied_clone_takes_a_new_name_and_both_can_push(
    repo: Repository, tree: Path, tmp_path: Path, git: Git
) -> None:
    append(repo, draft())
    subprocess.run(["cp", "-a", str(tree), str(tmp_path / "copy")], check=True)
    copy = discover(str(tmp_path / "copy"))
    append(copy, draft(word="in the copy"))
    append(repo, draft(word="in the original"))
    assert len(read.tips(copy)) == len(read.tips(repo)) == 1
    assert read.tips(copy).keys() != read.tips(repo).keys()
    assert len(ids(copy)) == len(ids(repo)) == 2
    git(tmp_path, "init", "-q", "--bare", "hub.git")
    for place in (tree, tmp_path / "copy", tree):
        git(place, "push", "-q", str(tmp_path / "hub.git"), "main", "refs/roar/*")


APPEND = """
import sys
from roar.git.repository import discover
from roar.journal.append import append
sys.path.insert(0, sys.argv[2])
from test_journal import draft
repo = discover(sys.argv[1])
for i in range(int(sys.argv[3])):
    print(append(repo, draft(sys.argv[4], str(i))).identifier, flush=True)
"""


def test_concurrent_writers_beside_gc_lose_nothing(repo: Repository, tree: Path, git: Git) -> None:
    head = git(tree, "rev-parse", "HEAD")

    def writer(_: int) -> list[str]:
        words = [sys.executable, "-c", APPEND, str(tree), str(ROOT / "tests"), "12", head]
        return subprocess.run(words, check=True, stdout=subprocess.PIPE, text=True).stdout.split()

    with ThreadPoolExecutor(8) as pool:
        work = [pool.submit(writer, i) for i in range(6)]
        while not all(w.done() for w in work):
            git(tree, "gc", "--quiet", "--prune=now", ok=False)
            git(tree, "pack-refs", "--all", ok=False)
        acknowledged = [i for w in work for i in w.result()]
    bring_in(repo)
    assert sorted(ids(repo)) == sorted(acknowledged)
    assert git(tree, "fsck", "--strict") == ""
    shown = git(tree, "log", "-1", "--notes=roar", head)
    assert all(i in shown for i in acknowledged)


def test_two_clones_push_and_fetch_in_any_order(tree: Path, tmp_path: Path, git: Git) -> None:
    git(tmp_path, "clone", "-q", "--bare", str(tree), "hub.git")
    clones = []
    for name in ("a", "b"):
        git(tmp_path, "clone", "-q", "hub.git", name)
        clones.append(discover(str(tmp_path / name)))
    made = []
    for round_ in range(3):
        for repo in clones:
            made.append(append(repo, draft(git(tree, "rev-parse", "HEAD"), str(round_))).identifier)
            git(repo.work_tree or "", "push", "-q", "origin", "refs/roar/*")
            git(repo.work_tree or "", "fetch", "-q", "origin", "+refs/roar/*:refs/roar-remote/origin/*")
    git(clones[0].work_tree or "", "fetch", "-q", "origin", "+refs/roar/*:refs/roar-remote/origin/*")
    for repo in clones:
        assert set(ids(repo)) == set(made)
        assert git(repo.work_tree or "", "fsck", "--strict") == ""


@pytest.mark.parametrize("kind", ["unborn", "detached", "worktree", "submodule", "sha256", "packed"])
def test_every_kind_of_repository(kind: str, tree: Path, tmp_path: Path, git: Git) -> None:
    place = tree
    if kind == "unborn":
        place = tmp_path / "unborn"
        git(tmp_path, "init", "-q", str(place))
    elif kind == "detached":
        git(tree, "checkout", "-q", "--detach")
    elif kind == "worktree":
        place = tmp_path / "linked"
        git(tree, "worktree", "add", "-q", str(place))
    elif kind == "submodule":
        git(tree, "submodule", "add", "-q", str(tree), "sub")
        place = tree / "sub"
    elif kind == "sha256":
        place = tmp_path / "sha256"
        git(tmp_path, "init", "-q", "--object-format=sha256", str(place))
        git(place, "commit", "-q", "--allow-empty", "-m", "one")
    elif kind == "packed":
        git(tree, "gc", "-q")
        git(tree, "pack-refs", "--all")
    repo = discover(str(place))
    _, head = refs.head(repo)
    made = [append(repo, draft(head, str(i)), {b"files/x": b"1"}).identifier for i in range(2)]
    assert sorted(ids(repo)) == made
    assert git(place, "fsck", "--strict") == ""
    if head:
        assert made[1] in git(place, "log", "-1", "--notes=roar")


def test_foreign_objects_are_named_and_passed_over(repo: Repository, tree: Path, git: Git) -> None:
    good = append(repo, draft())
    git(tree, "update-ref", "refs/roar/jobs/2020/foreign", "HEAD")
    items = list(read.since(repo, read.tips(repo).values()))
    assert next(i for i in items if isinstance(i, read.Stored)).body == good.body
    assert [i.reason for i in items if isinstance(i, read.Broken)] == ["its tree holds no record"]


def test_a_damaged_record_hides_no_other(repo: Repository, tree: Path) -> None:
    entries = [append(repo, draft(word=str(i))) for i in range(5)]
    blob = next(i.blob for i in read.since(repo, read.tips(repo).values()) if i.body == entries[2].body)
    loose = Path(repo.objects_dir, blob[:2], blob[2:])
    for damage in (loose.read_bytes()[:-20], b"", None):
        loose.chmod(0o644)
        loose.unlink() if damage is None else loose.write_bytes(damage)
        items = list(read.since(repo, read.tips(repo).values()))
        assert {i.body for i in items if isinstance(i, read.Stored)} == {e.body for e in entries if e != entries[2]}
        assert len([i for i in items if isinstance(i, read.Broken)]) == 1


def test_a_chain_whose_end_is_damaged_is_left_and_a_new_one_begins(repo: Repository) -> None:
    append(repo, draft())
    tip = next(iter(read.tips(repo).values()))
    loose = Path(repo.objects_dir, tip[:2], tip[2:])
    loose.chmod(0o644)
    loose.write_bytes(b"")
    after = append(repo, draft())
    assert after.identifier in [
        codec.identify(codec.decode(i.body), i.body)
        for ref_tip in read.tips(repo).values()
        if ref_tip != tip
        for i in read.since(repo, [ref_tip])
        if isinstance(i, read.Stored)
    ]


def test_trees_without_measure_are_named_and_passed_over(repo: Repository, tree: Path, git: Git) -> None:
    good = append(repo, draft())
    oid = objects.write(repo, "blob", b"x")
    bomb = objects.write(repo, "tree", objects.tree_body([(b"100644", b"f", oid)]))
    for _ in range(9):
        entries = [(objects.TREE_MODE, b"%d" % i, bomb) for i in range(10)]
        bomb = objects.write(repo, "tree", objects.tree_body(entries))
    deep = objects.write(repo, "tree", objects.tree_body([(b"100644", b"f", oid)]))
    for _ in range(1500):
        deep = objects.write(repo, "tree", objects.tree_body([(objects.TREE_MODE, b"segment", deep)]))
    for name, hostile in (("wide", bomb), ("deep", deep)):
        top = objects.write(repo, "tree", objects.tree_body([(objects.TREE_MODE, b"segment", hostile)]))
        commit = git(tree, "commit-tree", top, "-m", "x")
        git(tree, "update-ref", f"refs/roar-remote/a/b/jobs/2026/{name}", commit)
    items = list(read.since(repo, read.tips(repo).values()))
    assert [i.body for i in items if isinstance(i, read.Stored)] == [good.body]
    assert len([i for i in items if isinstance(i, read.Broken)]) == 2


def test_segments_are_read(repo: Repository, tree: Path, git: Git) -> None:
    bodies = [Entry(draft(word=str(i))(1_700_000_000_000 + i, "sealed"), {}).body for i in range(3)]
    blob = subprocess.run(
        ["git", "hash-object", "-w", "--stdin"],
        cwd=tree,
        input=b"\n".join(bodies) + b"\n",
        capture_output=True,
        check=True,
    ).stdout.decode()
    inner = subprocess.run(
        ["git", "mktree"], cwd=tree, input=f"100644 blob {blob.strip()}\t1.jsonl\n".encode(), capture_output=True
    )
    outer = subprocess.run(
        ["git", "mktree"], cwd=tree, input=b"040000 tree " + inner.stdout.strip() + b"\tsegment\n", capture_output=True
    )
    commit = git(tree, "commit-tree", outer.stdout.decode().strip(), "-m", "roar: sealed")
    git(tree, "update-ref", "refs/roar/archive/2023", commit)
    found = [i for i in read.since(repo, read.tips(repo).values()) if isinstance(i, read.Stored)]
    assert [i.body for i in found] == bodies
    with Reader(repo) as reader:
        last = found[-1]
        place = (last.blob, last.start, len(last.body))
        assert list(read.records(reader, codec.Decoder(), [place, place])) == [codec.decode(bodies[-1])] * 2


def test_an_object_that_is_missing_shifts_no_other_answer(repo: Repository) -> None:
    first, second, third = (objects.write(repo, "blob", word) for word in (b"first", b"second", b"third"))
    with Reader(repo) as reader:
        with pytest.raises(GitError, match="0" * 40):
            list(reader.bodies([first, "0" * 40, second, third], "blob"))
        assert reader.body(third, "blob") == b"third"


def test_long_lists_go_into_manifests_and_come_back(repo: Repository, tree: Path, git: Git) -> None:
    files = [File(path=f"data/d{i % 7}/{i:04}", hash=f"{i:064x}", size=i) for i in range(1000)]
    files.append(File(path="top", hash="a" * 64))
    inline, shards, beside = manifests.split(sorted(files, key=lambda file: file.path), b"in", lambda file: file)
    assert not inline
    assert sorted(s.directory for s in shards) == ["", *(f"data/d{n}" for n in range(7))]
    append(repo, draft(input_shards=shards), beside)
    tip = next(iter(read.tips(repo).values()))
    with Reader(repo) as reader:
        job = codec.decode(reader.body(f"{tip}:record.json", "blob"))
        assert isinstance(job, Job)
        assert sorted(read.inputs(reader, tip, job), key=lambda f: f.path) == sorted(files, key=lambda f: f.path)
    assert git(tree, "fsck", "--strict") == ""
