"""Copies of clones, clocks that jump, locks that are left, and every kind of repository."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest
from conftest import Git, Roar, needs_tracer
from test_journal import draft, ids

from roar.git import gclock, locks, refs
from roar.git.repository import Repository, discover
from roar.journal import read, spool, writer
from roar.journal.append import append, bring_in
from roar.records.ids import LAST_CLOCK, clock_of
from roar.verbs import sync

YEAR_NS = 365 * 86_400 * 1_000_000_000


def hub_of(tree: Path, git: Git) -> Path:
    hub = tree.parent / "hub.git"
    git(tree.parent, "init", "-q", "--bare", str(hub))
    git(tree, "remote", "add", "origin", str(hub))
    git(tree, "push", "-q", "origin", "main")
    return hub


def clean(folder: Path | str, git: Git) -> bool:
    return git(folder, "fsck", "--strict", "--no-dangling", "--no-progress") == ""


# ------------------------------------------------------------------ copies
def test_a_copy_that_was_killed_while_it_took_its_new_name_goes_on_with_it(
    repo: Repository, tree: Path, tmp_path: Path, git: Git, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = append(repo, draft(git(tree, "rev-parse", "HEAD"))).identifier
    subprocess.run(["cp", "-a", str(tree), str(tmp_path / "copy")], check=True)
    copy = discover(str(tmp_path / "copy"))

    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", killed)
        with pytest.raises(KeyboardInterrupt):
            writer.writer_name(copy)
    (moved,) = read.tips(copy)
    assert moved not in read.tips(repo)
    assert moved.endswith("/" + writer.writer_name(copy))
    append(copy, draft(git(tree, "rev-parse", "HEAD")))
    assert len(read.tips(copy)) == 1
    assert made in ids(copy)
    assert clean(tmp_path / "copy", git)
    assert git(tmp_path / "copy", "for-each-ref", "--format=%(refname)", "refs/notes").count("\n") == 1


def test_two_containers_of_one_image_are_told_apart_when_they_share(
    repo: Repository, tree: Path, git: Git, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Same inode, device and host name: nothing in place tells them apart."""
    hub = hub_of(tree, git)
    append(repo, draft(git(tree, "rev-parse", "HEAD")))
    subprocess.run(["cp", "-a", str(tree), str(tree.parent / "twin")], check=True)
    twin = discover(str(tree.parent / "twin"))
    monkeypatch.setattr(writer, "_place", lambda _: "one:and:the-same")
    for one in (repo, twin):
        Path(one.own_dir, "writer").write_text(f"{writer.known_writer(repo)} one:and:the-same\n")
    for round_ in range(2):
        for one in (repo, twin):
            append(one, draft(git(tree, "rev-parse", "HEAD"), f"{one.git_dir} {round_}"))
            assert sync.sync(one, "origin").refused == {}
    assert writer.known_writer(repo) != writer.known_writer(twin)
    sync.sync(repo, "origin")
    assert set(ids(repo)) == set(ids(twin)) == set(ids(discover(str(hub))))
    assert len(set(ids(repo))) == 5
    assert clean(tree, git)
    assert clean(hub, git)


def test_a_clone_set_back_to_an_earlier_day_takes_a_new_name_when_it_shares(
    repo: Repository, tree: Path, git: Git
) -> None:
    hub = hub_of(tree, git)
    head = git(tree, "rev-parse", "HEAD")
    made = [append(repo, draft(head, "before")).identifier]
    sync.sync(repo, "origin")
    backup = tree.parent / "backup"
    shutil.copytree(repo.git_dir, backup)
    made.append(append(repo, draft(head, "after")).identifier)
    sync.sync(repo, "origin")
    for entry in os.scandir(repo.git_dir):  # in place: the folder itself, and so its inode, stays
        shutil.rmtree(entry.path) if entry.is_dir() else os.unlink(entry.path)
    shutil.copytree(backup, repo.git_dir, dirs_exist_ok=True)
    restored = discover(str(tree))
    made.append(append(restored, draft(head, "restored")).identifier)
    assert sync.sync(restored, "origin").refused == {}
    assert set(ids(restored)) == set(ids(discover(str(hub)))) == set(made)
    git(tree, "push", "-q", "origin", "refs/roar/*")
    assert clean(tree, git)


# ------------------------------------------------------------------ clocks and locks
def test_a_clock_that_jumps_by_years_loses_no_record_and_no_order(
    repo: Repository, git: Git, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = time.time_ns()
    made = []
    for jump in (0, 12, -20, 3, -56, 0, 30, 1):
        monkeypatch.setattr("time.time_ns", lambda jump=jump: max(now + jump * YEAR_NS, 0))
        monkeypatch.setattr("time.time", lambda jump=jump: max(now + jump * YEAR_NS, 0) / 1e9)
        made.append(append(repo, draft(word=str(jump))).identifier)
        if jump == 3:
            git(repo.git_dir, "pack-refs", "--all")
    assert made == sorted(made)
    assert len(set(made)) == 8
    assert sorted(ids(repo)) == made
    for ref, tip in read.tips(repo).items():
        year = int(ref.split("/")[3])
        for item in read.since(repo, [tip]):
            assert isinstance(item, read.Stored)
            seconds = int(git(repo.git_dir, "log", "-1", "--format=%at", item.commit))
            assert time.gmtime(seconds).tm_year == year, "the year of the record's clock"
    assert clean(repo.git_dir, git)


def test_a_record_that_names_one_from_the_end_of_time_is_recorded(repo: Repository) -> None:
    entry = append(repo, draft(), after=LAST_CLOCK)
    after = append(repo, draft(word="after"))
    assert clock_of(entry.identifier) == clock_of(after.identifier) == LAST_CLOCK
    assert set(ids(repo)) == {entry.identifier, after.identifier}


@pytest.mark.parametrize("age", [-3 * 365 * 86_400, 3600])
def test_a_lock_left_by_a_killed_recorder_is_broken_whatever_the_clock_says(repo: Repository, age: int) -> None:
    append(repo, draft())
    (ref,) = read.tips(repo)
    for name in (ref + ".lock", "gc.pid.lock"):
        lock = Path(repo.common_dir, name)
        lock.write_text("")
        os.utime(lock, (time.time() - age, time.time() - age))
    append(repo, draft())
    assert len(ids(repo)) == 2
    assert not spool.entries(repo.own_dir)


def test_locks_of_others_are_left_alone(repo: Repository, tree: Path) -> None:
    left = [Path(repo.git_dir, name) for name in ("index.lock", "HEAD.lock", "packed-refs.lock", "config.lock")]
    left.append(Path(repo.git_dir, "refs/heads/main.lock"))
    for lock in left:
        lock.write_text("")
        os.utime(lock, (1, 1))
    append(repo, draft())
    assert len(ids(repo)) == 1
    assert all(lock.exists() for lock in left)


def test_nobody_waits_for_more_than_a_moment(repo: Repository, monkeypatch: pytest.MonkeyPatch) -> None:
    """A recorder that was stopped in the middle holds the lock for ever; the others' records wait in the spool."""
    monkeypatch.setattr("roar.journal.append._MOMENT_SECONDS", 0.05)
    first = append(repo, draft())
    with locks.exclusive(os.path.join(repo.own_dir, "lock")):
        waiting = [append(repo, draft(word=str(n))).identifier for n in range(3)]
        assert len(spool.entries(repo.own_dir)) == 3
        assert ids(repo) == [first.identifier]
    last = append(repo, draft(word="last"))
    assert spool.entries(repo.own_dir) == []
    assert sorted(ids(repo)) == [first.identifier, *sorted(waiting), last.identifier]


def test_the_next_record_takes_in_what_a_gc_kept_out(repo: Repository) -> None:
    with gclock.hold(repo):
        waiting = append(repo, draft())
    after = append(repo, draft())
    chain = ids(repo)[::-1]
    assert chain == [waiting.identifier, after.identifier]


def test_what_a_killed_recorder_left_in_the_spool_is_swept(repo: Repository) -> None:
    with gclock.hold(repo):
        entry = append(repo, draft())
    half, fresh = (Path(repo.own_dir, "spool", f"{entry.identifier}.tar.{pid}") for pid in (1, 2))
    for path in (half, fresh):
        path.write_bytes(b"half")
    os.utime(half, (1, 1))
    bring_in(repo)
    assert not half.exists()
    assert fresh.exists()


def test_a_folder_that_cannot_be_written_costs_no_record(sealed: Path, tree: Path, roar: Roar, git: Git) -> None:
    roar("run", "-q", "true")
    script = f"""mount --bind -o ro {tree}/.git {tree}/.git && mount -o remount,bind,ro {tree}/.git || exit 77
        python -m roar run sh -c 'exit 6'; echo $?"""
    path = os.path.dirname(sys.executable) + os.pathsep + os.environ["PATH"]
    done = subprocess.run(
        ["unshare", "-rm", "sh", "-c", script],
        cwd=tree,
        capture_output=True,
        text=True,
        env={**os.environ, "PATH": path},
    )
    if done.returncode == 77 or "unshare" in done.stderr:
        pytest.skip("needs user namespaces to make a folder read-only")
    assert done.stdout == "6\n"
    assert "could not be put into git (Read-only file system" in done.stderr
    assert done.stderr.count("\n") == 1
    assert len(roar("recover").stdout.split()) == 1
    assert len(ids(discover(str(tree)))) == 3, "a session and two jobs"


# ------------------------------------------------------------------ all kinds of repository
KINDS = (
    *("plain", "unborn", "detached", "worktree", "submodule", "separate", "bare", "shallow", "partial", "alternates"),
    *("sha256", "packed", "ignorecase", "sparse", "gitfile", "mirror", "extension"),
)


def make_one(kind: str, tree: Path, hub: Path, git: Git) -> Path:
    """A repository of that kind, with a remote called origin."""
    place = tree.parent / f"a {kind}"
    url = hub.as_uri()
    git(hub, "config", "uploadpack.allowFilter", "true")
    if kind == "unborn":
        git(tree.parent, "init", "-q", str(place))
        git(place, "remote", "add", "origin", url)
        return place
    if kind == "worktree":
        git(tree, "worktree", "add", "-q", "-b", "linked", str(place))
        return place
    if kind == "submodule":
        git(tree, "submodule", "add", "-q", url, "sub")
        return tree / "sub"
    options = {
        "separate": ["--separate-git-dir", str(tree.parent / "elsewhere.git")],
        "bare": ["--bare"],
        "mirror": ["--mirror"],
        "shallow": ["--depth=1"],
        "partial": ["--filter=blob:none"],
        "alternates": ["--shared"],
        "sparse": ["--sparse"],
    }
    source = str(tree) if kind == "alternates" else url
    if kind == "sha256":
        other = tree.parent / "sha256.git"
        git(tree.parent, "init", "-q", "--bare", "--object-format=sha256", str(other))
        git(tree.parent, "init", "-q", "--object-format=sha256", str(place))
        git(place, "remote", "add", "origin", str(other))
        git(place, "commit", "-q", "--allow-empty", "-m", "one")
        return place
    git(tree.parent, "clone", "-q", *options.get(kind, []), source, str(place))
    if kind == "alternates":
        git(place, "remote", "set-url", "origin", url)
    elif kind == "detached":
        git(place, "checkout", "-q", "--detach")
    elif kind == "packed":
        git(place, "gc", "-q")
        git(place, "pack-refs", "--all")
    elif kind == "ignorecase":
        git(place, "config", "core.ignoreCase", "true")
    elif kind == "gitfile":
        (place / ".git").rename(tree.parent / "moved.git")
        (place / ".git").write_text("gitdir: ../moved.git\n")
    elif kind == "extension":
        git(place, "config", "core.repositoryFormatVersion", "1")
        git(place, "config", "extensions.preciousObjects", "true")
        git(place, "config", "extensions.worktreeConfig", "true")
    return place


def test_a_mirror_keeps_what_it_has_not_pushed(tree: Path, repo: Repository, git: Git) -> None:
    place = make_one("mirror", tree, hub_of(tree, git), git)
    found = discover(str(place))
    made = [append(found, draft(word="pushed")).identifier]
    sync.sync(found, "origin")
    made.append(append(found, draft(word="not yet pushed")).identifier)
    sync.sync(found, "origin", push=False)
    assert sorted(ids(found)) == made


@pytest.mark.parametrize("kind", KINDS)
def test_recorded_read_and_shared(kind: str, repo: Repository, tree: Path, git: Git) -> None:
    (tree / "more").write_text("more")
    git(tree, "add", "more")
    git(tree, "commit", "-q", "-m", "second")
    hub = hub_of(tree, git)
    others = {append(repo, draft(git(tree, "rev-parse", "HEAD"), "elsewhere")).identifier}
    git(tree, "push", "-q", "origin", "refs/roar/*")
    place = make_one(kind, tree, hub, git)
    found = discover(str(place))
    _, head = refs.head(found)
    made = {append(found, draft(head, str(n)), {b"files/Src/src/x.py": b"1"}).identifier for n in range(2)}
    assert made <= set(ids(found))
    done = sync.sync(found, "origin")
    assert done.refused == {}
    assert made <= set(ids(discover(git(place, "remote", "get-url", "origin").removeprefix("file://"))))
    if kind != "sha256":
        assert others <= set(ids(found))
    made.add(append(found, draft(head, "after")).identifier)
    assert made <= set(ids(found))
    if head:
        assert all(i in git(place, "log", "-1", "--notes=roar", head) for i in made)
    for name in read.tips(found):
        assert name == name.lower()
    assert clean(place, git)


def test_a_fetch_into_a_partial_clone_brings_the_records_at_once(tree: Path, repo: Repository, git: Git) -> None:
    hub = hub_of(tree, git)
    made = {append(repo, draft(word=str(n))).identifier for n in range(5)}
    sync.sync(repo, "origin")
    place = make_one("partial", tree, hub, git)
    found = discover(str(place))
    sync.sync(found, "origin")
    hub.rename(tree.parent / "away")
    assert set(ids(found)) == made


def test_where_refs_are_in_reftables_the_users_git_moves_them(
    repo: Repository, git: Git, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With any git: what is done for reftables is done through git alone, and nothing is written beside it."""
    monkeypatch.setattr(repo, "reftable", True)
    monkeypatch.setattr(refs, "_replace", None)
    monkeypatch.setattr(refs, "_slurp", None)
    head = git(repo.git_dir, "rev-parse", "HEAD")
    made = [append(repo, draft(head, str(n))).identifier for n in range(3)]
    assert sorted(ids(repo)) == made
    assert not refs.compare_and_swap(repo, next(iter(read.tips(repo))), head, head)
    assert made[2] in git(repo.git_dir, "log", "-1", "--notes=roar", head)
    assert clean(repo.git_dir, git)


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root can give a folder away")
def test_a_repository_of_somebody_else(tree: Path, roar: Roar, git: Git, sealed: Path) -> None:
    for path in [tree, *tree.rglob("*")]:
        os.chown(path, 12345, 12345)
    for words in (["run", "true"], ["log"], ["status"]):
        done = roar(*words, code=None)
        assert done.returncode in (1, 125)
        assert done.stderr.count(b"\n") == 1
        assert b"belongs to somebody else (next: " in done.stderr or b"safe.directory" in done.stderr
    assert not (tree / ".git" / "roar").exists()
    git(tree.parent, "config", "--global", "safe.directory", str(tree))
    roar("run", "-q", "true")
    assert len(ids(discover(str(tree)))) == 2


@needs_tracer
def test_names_that_mean_dot_git_elsewhere_do_not_reach_a_tree(tree: Path, git: Git, roar: Roar) -> None:
    names = ["git~1", "a/GIT~1", ".g\u200cit", "b\\.git"]
    for name in names:
        (tree / name).mkdir(parents=True)
        (tree / name / "x.py").write_text("1\n")
    roar("run", "cat", *(f"{name}/x.py" for name in names))
    (chain,) = read.tips(discover(str(tree)))
    assert "files/" not in git(tree, "ls-tree", "-r", "--name-only", chain)
    git(tree, "fsck", "--strict")
