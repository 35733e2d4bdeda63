"""What stock git shows of the records and does with them, and what it does not stumble over."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path

import make
import pytest
from conftest import Git, Roar
from make import commit, job_on

from roar.git.repository import Repository, discover
from roar.journal import segments

# ---- notes are derived


def notes_tree(folder: Path, git: Git) -> str:
    return git(folder, "rev-parse", "refs/notes/roar^{tree}")


@pytest.mark.parametrize("lost", ["ref", "changed", "tree", "commit"])
def test_notes_are_made_again_as_appends_made_them(lost: str, roar: Roar, repo: Repository, git: Git) -> None:
    heads = [commit(roar.folder, git, str(n)) for n in range(5)]
    for n in range(12):
        job_on(repo, heads[n % 5], f"python {n}.py")
    make.job(repo, "no commit yet")
    make.session(repo)
    before = notes_tree(roar.folder, git)
    (own,) = git(roar.folder, "for-each-ref", "--format=%(refname)", "refs/roar/notes/").split()
    if lost == "ref":
        git(roar.folder, "update-ref", "-d", own)
    elif lost == "changed":
        git(roar.folder, "notes", "--ref=refs/notes/roar", "add", "-f", "-m", "something else", heads[0])
        git(roar.folder, "notes", "--ref=refs/notes/roar", "remove", heads[1])
    else:
        oid = git(roar.folder, "rev-parse", f"{own}^{{{lost}}}")
        loose = Path(repo.objects_dir, oid[:2], oid[2:])
        loose.chmod(0o644)
        loose.write_bytes(b"")
    assert roar("cache", "rebuild", "--notes").stdout == b"notes on 5 commits\n"
    assert notes_tree(roar.folder, git) == before
    assert git(roar.folder, "log", "--format=%N", "--notes=roar").count(" run ok ") == 12
    tip = git(roar.folder, "rev-parse", own)
    assert b'"noted_commits": 5' in roar("cache", "rebuild", "--notes", "--json").stdout
    assert git(roar.folder, "rev-parse", own) == tip  # nothing to do: nothing moved


def test_notes_made_again_keep_what_followed_an_amend(roar: Roar, repo: Repository, git: Git) -> None:
    roar("init")
    made = [job_on(repo, commit(roar.folder, git, "a"))]
    git(roar.folder, "commit", "-q", "--amend", "-m", "b")
    made.append(job_on(repo, git(roar.folder, "rev-parse", "HEAD")))
    roar("cache", "rebuild", "--notes")
    lines = [line.split()[0] for line in git(roar.folder, "log", "-1", "--format=%N").split("\n") if line]
    assert lines == made
    assert git(roar.folder, "fsck", "--strict", "--no-dangling") == ""


def test_notes_of_sealed_records_are_made_again(roar: Roar, repo: Repository, git: Git) -> None:
    heads = [commit(roar.folder, git, str(n)) for n in range(2)]
    for n in range(9):
        job_on(repo, heads[n % 2], f"python {n}.py")
    before = notes_tree(roar.folder, git)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(segments, "TAIL", 2)
        segments.seal(repo)
    git(roar.folder, "update-ref", "-d", "refs/notes/roar")
    roar("cache", "rebuild", "--notes")
    assert notes_tree(roar.folder, git) == before


def test_without_records_there_are_no_notes_to_make(roar: Roar, git: Git) -> None:
    assert roar("cache", "rebuild", "--notes").stdout == b"notes on 0 commits\n"
    assert not git(roar.folder, "for-each-ref", "refs/roar/", "refs/notes/")


# ---- others' notes


def clone_with_note(hub: Path, place: Path, git: Git, head: str) -> str:
    """A clone that has recorded a job on a commit and pushed it; gives the record's id."""
    git(place.parent, "clone", "-q", str(hub), str(place))
    made = job_on(discover(str(place)), head, f"python {place.name}.py")
    git(place, "push", "-q", "origin", "refs/roar/*")
    return made


def shown(folder: Path, git: Git, *options: str) -> list[str]:
    """The record ids in the notes that git log shows, as often as it shows them."""
    text = git(folder, "log", *options)
    return sorted(word for line in text.splitlines() for word in line.split()[:1] if len(word) == 26 and word.isupper())


def test_one_pattern_shows_everybodys_notes_once(hub: Path, roar: Roar, repo: Repository, git: Git) -> None:
    head = git(roar.folder, "rev-parse", "HEAD")
    theirs = [clone_with_note(hub, hub.parent / name, git, head) for name in ("a", "b")]
    every = ("--notes=refs/roar/notes/*",)
    roar("sync", "--fetch-only")  # before there are records of its own
    assert shown(roar.folder, git, *every) == sorted(theirs)
    own = job_on(repo, head)
    roar("sync")
    assert shown(roar.folder, git, *every) == sorted([*theirs, own])
    assert shown(roar.folder, git) == []
    roar("init")
    assert shown(roar.folder, git) == shown(roar.folder, git, *every) == sorted([*theirs, own])
    git(roar.folder, "fetch", "-q")
    git(roar.folder, "fetch", "-q", "--prune")
    roar("sync")
    assert shown(roar.folder, git) == shown(roar.folder, git, *every) == sorted([*theirs, own])
    assert git(hub, "for-each-ref", "--format=%(refname)", "refs/notes/") == ""
    fork = hub.parent / "fork.git"
    git(hub.parent, "clone", "-q", "--mirror", str(hub), str(fork))
    git(roar.folder, "remote", "add", "fork", str(fork))
    roar("sync", "fork")
    assert shown(roar.folder, git, *every) == sorted([*theirs, own])  # of two remotes that have the same


def test_of_two_remotes_with_the_same_records_plain_git_shows_each_note_once(
    hub: Path, roar: Roar, repo: Repository, git: Git
) -> None:
    head = git(roar.folder, "rev-parse", "HEAD")
    made = [clone_with_note(hub, hub.parent / "a", git, head), job_on(repo, head)]
    roar("init")
    roar("sync")
    shutil.copytree(hub, hub.parent / "mirror.git")
    git(roar.folder, "remote", "add", "mirror", str(hub.parent / "mirror.git"))
    assert "no notes.displayRef" in roar("init").stdout.decode()
    roar("sync", "mirror")
    git(roar.folder, "fetch", "-q", "--all")
    assert len(git(roar.folder, "for-each-ref", "--format=%(refname)", "refs/roar-remote/*/notes/*").split()) > 1
    assert shown(roar.folder, git) == sorted(made)
    git(roar.folder, "remote", "remove", "mirror")
    roar("init")
    assert shown(roar.folder, git) == sorted(made)


def test_notes_that_are_gone_leave_no_name_behind(hub: Path, roar: Roar, repo: Repository, git: Git) -> None:
    head = git(roar.folder, "rev-parse", "HEAD")
    clone_with_note(hub, hub.parent / "a", git, head)
    roar("init")
    roar("sync")
    names = ("for-each-ref", "--format=%(refname)", "refs/notes/refs/roar/notes/")
    (name,) = git(roar.folder, *names).split()
    git(hub, "update-ref", "-d", name.removeprefix("refs/notes/"))
    git(roar.folder, "fetch", "-q", "--prune")
    roar("sync")
    fsck = ["git", "fsck", "--strict", "--no-dangling"]
    done = subprocess.run(fsck, cwd=roar.folder, capture_output=True, check=True)
    assert done.stdout + done.stderr == b""
    done = subprocess.run(["git", *names], cwd=roar.folder, capture_output=True, check=True)
    assert done.stdout + done.stderr == b""


def test_of_thousands_of_writers_the_newest_are_named(hub: Path, roar: Roar, git: Git) -> None:
    head = git(roar.folder, "rev-parse", "HEAD")
    tree = git(roar.folder, "rev-parse", "HEAD^{tree}")
    lines = []
    for n in range(3):
        when = {"GIT_AUTHOR_DATE": f"{1_700_000_000 + n} +0000"}
        words = ["git", "commit-tree", tree, "-m", "notes"]
        done = subprocess.run(words, cwd=roar.folder, env={**os.environ, **when}, capture_output=True, check=True)
        oid = done.stdout.decode().strip()
        lines += [f"create refs/roar-remote/origin/notes/w{n}-{m} {oid}\n" for m in range((2000, 60, 30)[n])]
    subprocess.run(["git", "update-ref", "--stdin"], cwd=roar.folder, input="".join(lines).encode(), check=True)
    git(hub, "update-ref", "refs/roar/notes/new", head)
    roar("sync", "--fetch-only")
    names = git(roar.folder, "for-each-ref", "--format=%(refname:lstrip=5)", "refs/notes/refs/roar/notes/").split()
    assert len(names) == 100
    assert {f"w1-{m}" for m in range(60)} | {f"w2-{m}" for m in range(30)} | {"new"} < set(names)


# ---- what a remote takes


def hook(hub: Path, name: str, text: str) -> None:
    path = hub / "hooks" / name
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)


@pytest.fixture
def branches_only(hub: Path) -> Path:
    """A remote that refuses every ref but branches, as some hosts do."""
    hook(hub, "update", 'case $1 in refs/heads/*) ;; *) echo "only branches, please" >&2; exit 1 ;; esac')
    return hub


def test_a_plain_remote_takes_the_records(hub: Path, roar: Roar, git: Git) -> None:
    before = git(hub, "for-each-ref")
    done = roar("remote", "check")
    assert done.stdout == b"origin takes refs/roar/*: a ref was written, listed and deleted\n"
    assert done.stderr == b""
    assert git(hub, "for-each-ref") == before
    assert json.loads(roar("remote", "check", "origin", "--json").stdout)["takes"] is True
    assert not git(roar.folder, "for-each-ref", "refs/roar/", "refs/roar-remote/")


def test_a_remote_that_takes_branches_only_is_named(branches_only: Path, roar: Roar, git: Git) -> None:
    done = roar("remote", "check", code=3)
    assert done.stdout.startswith(b"origin does not take refs/roar/*: [remote rejected] (hook declined)\n")
    assert b"  origin: only branches, please\n" in done.stdout
    assert b"git config roar.sync.branch roar" in done.stderr
    git(roar.folder, "config", "roar.sync.branch", "roar")
    assert b"origin takes refs/heads/roar/*" in roar("remote", "check").stdout
    assert git(branches_only, "for-each-ref", "--format=%(refname)") == "refs/heads/main"


def test_a_remote_that_hides_the_records_or_keeps_the_trial_is_named(hub: Path, roar: Roar, git: Git) -> None:
    git(hub, "config", "transfer.hideRefs", "refs/roar")
    assert b"deny updating a hidden ref" in roar("remote", "check", code=3).stdout
    git(hub, "config", "--unset", "transfer.hideRefs")
    git(hub, "config", "uploadpack.hideRefs", "refs/roar")
    assert b"does not show it to who fetches" in roar("remote", "check", code=3).stdout
    git(hub, "config", "--unset", "uploadpack.hideRefs")
    hook(hub, "update", "case $3 in *[!0]*) ;; *) exit 1 ;; esac")
    done = roar("remote", "check")
    assert b"a ref was written, listed\n" in done.stdout
    assert b"is left on origin, which does not let it be deleted" in done.stderr
    assert len(git(hub, "for-each-ref", "refs/roar/check/").splitlines()) == 1
    git(roar.folder, "remote", "add", "gone", str(hub.parent / "gone.git"))
    assert roar("remote", "check", "gone", code=1).stderr.count(b"\n") == 1
    assert b"no remote is called 'nowhere'" in roar("remote", "check", "nowhere", code=2).stderr


def test_branches_carry_the_records(branches_only: Path, roar: Roar, repo: Repository, git: Git) -> None:
    head = git(roar.folder, "rev-parse", "HEAD")
    own = job_on(repo, head)
    refused = roar("sync", code=1)
    assert b"roar remote check origin" in refused.stderr
    git(roar.folder, "config", "roar.sync.branch", "team/roar")
    roar("sync")
    assert b"not on origin" not in roar("status").stdout
    there = git(branches_only, "for-each-ref", "--format=%(objectname) %(refname)", "refs/heads/team/roar/")
    here = git(roar.folder, "for-each-ref", "--format=%(objectname) %(refname)", "refs/roar/")
    assert there == here.replace(" refs/roar/", " refs/heads/team/roar/")
    other = branches_only.parent / "other"
    git(other.parent, "clone", "-q", str(branches_only), str(other))
    second = Roar(other)
    (other / ".roarconfig").write_text('[roar "sync"]\n\tbranch = team/roar\n')
    theirs = job_on(discover(str(other)), head)
    second("init")
    second("sync")
    roar("init")
    git(roar.folder, "fetch", "-q")
    roar("sync")
    git(other, "fetch", "-q", "--prune")
    second("sync")
    for place in (roar, second):
        assert {job["id"] for job in json.loads(place("log", "--json").stdout)["jobs"]} == {own, theirs}
        assert shown(place.folder, git) == sorted([own, theirs])
        assert b"fetched nothing new, pushed nothing new" in place("sync").stdout
        assert git(place.folder, "fsck", "--strict", "--no-dangling") == ""


def test_init_follows_a_change_of_place(hub: Path, roar: Roar, git: Git) -> None:
    roar("init")
    before = git(roar.folder, "config", "--get-all", "remote.origin.fetch")
    git(roar.folder, "config", "roar.sync.branch", "roar/")
    roar("init")
    specs = git(roar.folder, "config", "--get-all", "remote.origin.fetch").splitlines()
    assert specs[:1] == before.splitlines()[:1]
    assert "+refs/heads/roar/*:refs/roar-remote/origin/*" in specs
    assert len(specs) == 4
    assert not [spec for spec in specs if "refs/roar/" in spec]
    git(roar.folder, "config", "--unset", "roar.sync.branch")
    roar("init")
    assert git(roar.folder, "config", "--get-all", "remote.origin.fetch") == before


@pytest.mark.parametrize("name", ["-x", "a..b", "a b", "/a", "a.lock", "*", "a//b", "@{0}"])
def test_a_branch_name_that_is_none_is_refused(name: str, roar: Roar) -> None:
    refused = roar("status", code=1, ROAR_SYNC_BRANCH=name)
    assert b"the name of a branch" in refused.stderr


# ---- what stock git does with the refs


def refs_of(folder: Path, git: Git, *patterns: str) -> dict[str, str]:
    lines = git(folder, "for-each-ref", "--format=%(refname) %(objectname)", *patterns).splitlines()
    return dict(line.split(" ") for line in lines)


def test_unpushed_records_are_not_offered_when_a_branch_is_fetched(
    hub: Path, roar: Roar, repo: Repository, git: Git
) -> None:
    head = git(roar.folder, "rev-parse", "HEAD")
    for n in range(60):
        job_on(repo, head, f"python {n}.py")
    roar("cache", "rebuild", "--notes")
    other = hub.parent / "other"
    git(other.parent, "clone", "-q", str(hub), str(other))
    commit(other, git, "news")
    git(other, "push", "-q", "origin", "main")
    done = subprocess.run(
        ["git", "fetch", "origin"],
        cwd=roar.folder,
        env={**os.environ, "GIT_TRACE_PACKET": "1"},
        capture_output=True,
        check=True,
    )
    assert 0 < done.stderr.count(b"fetch> have ") < 20


def test_log_all_shows_code_before_records_and_can_leave_them_out(
    hub: Path, roar: Roar, repo: Repository, git: Git
) -> None:
    roar("init")
    heads = [commit(roar.folder, git, str(n)) for n in range(3)]
    for head in heads:
        job_on(repo, head)
    roar("sync")
    every = git(roar.folder, "log", "--all", "--format=%s").splitlines()
    assert every[0] == "2"
    assert sum(line.startswith("roar: ") for line in every) > 3
    code = ["2", "1", "0", "first"]
    assert git(roar.folder, "log", "--format=%s").splitlines() == code
    for words in (
        ("--branches", "--tags", "--remotes"),
        ("--exclude=refs/roar*", "--exclude=refs/notes/*", "--all"),
    ):
        assert sorted(git(roar.folder, "log", *words, "--format=%s").splitlines()) == sorted(code)
    decorated = git(roar.folder, "log", "--all", "--decorate", "--oneline")
    assert "refs/roar" not in decorated  # git decorates with branches, tags and HEAD only
    git(roar.folder, "gc", "-q")
    assert git(roar.folder, "branch", "-a").split() == ["*", "main", "remotes/origin/main"]


def test_a_plain_clone_brings_no_record(hub: Path, roar: Roar, repo: Repository, git: Git) -> None:
    job_on(repo, git(roar.folder, "rev-parse", "HEAD"))
    roar("sync")
    plain = hub.parent / "plain"
    git(hub.parent, "clone", "-q", f"file://{hub}", str(plain))
    assert int(git(plain, "rev-list", "--objects", "--all", "--count")) == 3
    assert "in-pack: 3" in git(plain, "count-objects", "-v")
    assert list(refs_of(plain, git, "refs/roar*", "refs/notes")) == []


def test_a_mirror_has_all_and_answers(hub: Path, roar: Roar, repo: Repository, git: Git) -> None:
    made = job_on(repo, git(roar.folder, "rev-parse", "HEAD"))
    roar("sync")
    mirror, restored = hub.parent / "mirror.git", hub.parent / "restored.git"
    git(hub.parent, "clone", "-q", "--mirror", str(hub), str(mirror))
    assert refs_of(mirror, git) == refs_of(hub, git)
    assert made in Roar(mirror)("log").stdout.decode()
    git(hub.parent, "init", "-q", "--bare", str(restored))
    git(mirror, "push", "-q", "--mirror", str(restored))  # from a mirror to its backup: what it is for
    assert refs_of(restored, git, "refs/roar/") == refs_of(hub, git, "refs/roar/")
    later = job_on(repo, git(roar.folder, "rev-parse", "HEAD"))
    roar("sync")
    git(mirror, "remote", "update", "--prune")
    assert later in Roar(mirror)("log").stdout.decode()
    assert not refs_of(mirror, git, "refs/notes/")


def test_a_bundle_carries_the_records(hub: Path, roar: Roar, repo: Repository, git: Git) -> None:
    made = job_on(repo, git(roar.folder, "rev-parse", "HEAD"))
    for name, what in (("all.bundle", ["--all"]), ("ours.bundle", ["main", "--glob=refs/roar/*"])):
        bundle, there = hub.parent / name, hub.parent / f"from-{name}"
        git(roar.folder, "bundle", "create", "-q", str(bundle), *what)
        git(roar.folder, "bundle", "verify", "-q", str(bundle))
        git(hub.parent, "clone", "-q", "-b", "main", str(bundle), str(there))
        assert "no jobs recorded yet" in Roar(there)("log").stderr.decode()
        git(there, "fetch", "-q", "origin", "+refs/roar/*:refs/roar-remote/origin/*")
        assert made in Roar(there)("log").stdout.decode()
        Roar(there)("sync", "--fetch-only")
        assert git(there, "fsck", "--strict", "--no-dangling") == ""


@pytest.mark.parametrize("prepared", [False, True], ids=["plain", "after roar init"])
def test_pruning_takes_no_record_of_this_clone(
    prepared: bool, hub: Path, roar: Roar, repo: Repository, git: Git
) -> None:
    if prepared:
        roar("init")
    git(roar.folder, "config", "fetch.prune", "true")
    pushed = job_on(repo, git(roar.folder, "rev-parse", "HEAD"))
    roar("sync")
    unpushed = job_on(repo, git(roar.folder, "rev-parse", "HEAD"))
    before = refs_of(roar.folder, git, "refs/roar/")
    for words in (["fetch", "--prune"], ["fetch", "--all", "--prune", "--prune-tags"], ["remote", "prune", "origin"]):
        git(roar.folder, *words)
    git(hub, "update-ref", "-d", next(ref for ref in before if "/jobs/" in ref))  # somebody deletes it there
    git(roar.folder, "pull", "-q", "--prune")
    assert refs_of(roar.folder, git, "refs/roar/") == before
    assert {job["id"] for job in json.loads(roar("log", "--json").stdout)["jobs"]} == {pushed, unpushed}
    roar("sync")
    assert refs_of(hub, git, "refs/roar/") == before


def test_a_mirror_push_from_a_clone_deletes_what_others_pushed_and_they_bring_it_back(
    hub: Path, roar: Roar, repo: Repository, git: Git
) -> None:
    head = git(roar.folder, "rev-parse", "HEAD")
    theirs = clone_with_note(hub, hub.parent / "a", git, head)
    job_on(repo, head)
    git(roar.folder, "push", "-q", "--mirror", "origin")  # never do this from a clone
    assert theirs not in git(hub, "log", "--format=%B", "--glob=refs/roar/jobs/*")
    assert refs_of(hub, git, "refs/notes/")  # and it spreads what belongs to the clone alone
    Roar(hub.parent / "a")("sync")
    assert theirs in git(hub, "log", "--format=%B", "--glob=refs/roar/jobs/*")


def test_a_name_on_the_remote_that_hinders_ours_stops_no_sync(
    hub: Path, roar: Roar, repo: Repository, git: Git, tmp_path: Path
) -> None:
    """Somebody puts a ref ``jobs/2025`` where chains lie below ``jobs/2025/``: their records are not lost here."""
    theirs = make.on_chain(repo, "x", make.draft(make.fields("train"), make.START // 1_000_000, "x"))
    git(roar.folder, "push", "-q", "origin", "refs/roar/*")
    git(roar.folder, "update-ref", "-d", "refs/roar/jobs/2025/x")
    roar("sync")
    tip = git(hub, "rev-parse", "refs/roar/jobs/2025/x")
    git(hub, "update-ref", "-d", "refs/roar/jobs/2025/x")
    git(hub, "update-ref", "refs/roar/jobs/2025", tip)
    for _ in range(2):
        roar("sync")
        assert theirs[0][:12] in roar("log", "--oneline").stdout.decode()
    git(roar.folder, "fsck", "--strict")
