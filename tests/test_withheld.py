"""Records that are registered without the uncommitted code beside them: what goes, what stays, what is said of it."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import make
import pytest
from conftest import Git, Roar, needs_tracer
from test_verify import key, states  # noqa: F401  a fixture

from roar.cache.index import open_index
from roar.git.repository import Repository, discover
from roar.hashing import digest_bytes
from roar.journal.append import append

SCRIPT = "import os; print('the private idea')\n"


def register(roar: Roar, *words: str, code: int = 0) -> Any:
    return json.loads(roar("register", "--all", "--no-overlay", "--json", *words, code=code).stdout)


def overlaid(repo: Repository, at: int = 0, text: str = SCRIPT, reads: dict[str, str] | None = None) -> str:
    """A job that ran a changed script."""
    code = {"overlay": [make.overlaid("train.py", text)]}
    inputs = {**(reads or {}), "train.py": text}
    return make.job(repo, "python train.py", inputs, {"model": f"m {at}"}, at=at, code=code)


def chains(folder: Path, git: Git) -> list[str]:
    """The names of the chains in a repository."""
    return git(folder, "for-each-ref", "--format=%(refname)", "refs/roar/jobs").split()


def has(folder: Path, text: str) -> bool:
    """Whether any object of a repository holds a text."""
    words = ["git", "cat-file", "--batch-all-objects", "--batch"]
    return text.encode() in subprocess.run(words, cwd=folder, capture_output=True, check=True).stdout


def test_the_code_stays_and_the_records_go(hub: Path, roar: Roar, repo: Repository, git: Git) -> None:
    plain, changed = make.job(repo, "prepare", {}, {"data": "d"}), overlaid(repo, 1)
    offered = register(roar, "-n")
    assert (offered["records"], offered["without_overlay"], offered["with_overlay"]) == (2, [changed], [])
    said = roar("register", "--all", "--no-overlay").stdout.decode()
    assert said == ("registered everything recorded here with origin: 2 records sent, 1 without its uncommitted code\n")
    (chain,) = chains(hub, git)
    assert chain.endswith("-bare")
    assert not has(hub, "the private idea")
    again = register(roar)
    assert (again["records"], again["refs"], again["without_overlay"]) == (0, [], [])
    before = git(hub, "rev-parse", chain)
    later = overlaid(repo, 2)
    assert register(roar)["without_overlay"] == [later]
    assert git(hub, "rev-parse", f"{chain}~") == before
    assert git(hub, "fsck", "--strict", "--no-dangling") == ""
    assert b"nothing is broken" in roar("fsck").stdout
    assert json.loads(roar("fsck", "--json").stdout)["findings"] == []
    for _ in range(2):  # the copy that came back never stands for the record with its code
        with open_index(repo) as index:
            assert sorted(index.jobs()) == [plain, changed, later]
            assert [index.is_withheld(job) for job in (plain, changed, later)] == [False, False, False]
            assert list(index.overlay(changed)) == ["train.py"]
        roar("cache", "rebuild")


def test_what_went_bare_goes_whole_when_that_is_asked_for(hub: Path, roar: Roar, repo: Repository, git: Git) -> None:
    overlaid(repo)
    register(roar)
    assert json.loads(roar("register", "--all", "--json").stdout)["records"] == 1
    assert has(hub, "the private idea")
    assert len(chains(hub, git)) == 2
    done = register(roar)
    assert (done["records"], done["refs"]) == (0, [])


def test_without_changed_code_there_is_nothing_to_leave_out(hub: Path, roar: Roar, repo: Repository, git: Git) -> None:
    make.job(repo, "prepare", {}, {"data": "d"})
    assert register(roar)["records"] == 1
    assert not chains(hub, git)[0].endswith("-bare")
    overlaid(repo, 1)
    assert register(roar)["records"] == 1
    assert [name.endswith("-bare") for name in chains(hub, git)] == [False, True]
    assert not has(hub, "the private idea")


def test_lists_of_files_stay_and_code_of_other_repositories_does_not(
    hub: Path, roar: Roar, repo: Repository, git: Git
) -> None:
    many = {f"data/{n:04}": f"{n}" for n in range(300)}
    long = overlaid(repo, 1, reads=many)
    other = [{"path": "lib", "commit": "1" * 40, "overlay": [make.file("x.py", "a hidden y", state="modified")]}]
    values = make.fields("use", {}, {"z": "z"}, code={"repositories": other})
    near = append(
        repo, lambda clock, writer: make.draft(values, clock, writer), {b"repositories/0/x.py": b"a hidden y"}
    )
    sent = register(roar)
    assert sorted(sent["without_overlay"]) == sorted([long, near.identifier])
    assert not has(hub, "the private idea")
    assert not has(hub, "a hidden y")
    clone = hub.parent / "clone"
    git(hub.parent, "clone", "-q", str(hub), str(clone))
    Roar(clone)("sync")
    with open_index(discover(str(clone))) as index:
        assert len(index.files(long)[0]) == 301
        assert index.is_withheld(long)
        assert index.is_withheld(near.identifier)
    assert json.loads(Roar(clone)("fsck", "--json").stdout)["findings"] == []


@needs_tracer
def test_who_gets_them_is_told_and_can_lay_the_code_in(hub: Path, roar: Roar, tree: Path, git: Git) -> None:
    (tree / "train.py").write_text("print(1)\n")
    git(tree, "add", ".")
    git(tree, "commit", "-qm", "code")
    git(tree, "push", "-q", "origin", "HEAD")
    (tree / "train.py").write_text("print(open('/dev/null').read(), 'mine', file=open('model', 'w'))\n")
    roar("run", "-q", "python3", "train.py")
    register(roar)
    clone = hub.parent / "clone"
    git(hub.parent, "clone", "-q", str(hub), str(clone))
    theirs = Roar(clone)
    theirs("sync")
    (job,) = json.loads(theirs("log", "--json").stdout)["jobs"]
    shown = theirs("show", job["id"]).stdout.decode()
    assert "the changed files are not here: they were left out when it was shared" in shown
    assert "kept with the record" not in shown
    assert b"left out when its record was shared" in theirs("reproduce", "model", "-y", code=1).stderr
    assert b"kept with the record" not in theirs("inputs", "model").stdout
    script = tree / "train.py"
    done = theirs("reproduce", "model", "-y", "--input", f"{digest_bytes(script.read_bytes())}={script}")
    assert b"identical" in done.stdout
    assert b"identical" in roar("reproduce", "model", "-y").stdout


def test_it_waits_without_the_code_too(hub: Path, roar: Roar, repo: Repository, git: Git) -> None:
    overlaid(repo)
    public = hub.parent / "public.git"
    git(roar.folder, "remote", "add", "public", str(public))
    assert b"it waits" in roar("register", "--all", "--no-overlay", "--remote", "public", code=1).stderr
    git(hub.parent, "init", "-q", "--bare", "public.git")
    roar("register", "--waiting")
    assert [name.endswith("-bare") for name in chains(public, git)] == [True]
    assert not has(public, "the private idea")


def test_as_it_is_configured(hub: Path, roar: Roar, repo: Repository, git: Git) -> None:
    overlaid(repo, text="TOKEN = 'ghp_" + "aB3dE5gH7jK9" * 3 + "'\n")
    assert json.loads(roar("register", "--all", "--json", "-n", code=3).stdout)["suspicious"]
    roar("config", "set", "register.overlay", "false")
    done = json.loads(roar("register", "--all", "--json").stdout)
    assert (done["suspicious"], len(done["without_overlay"])) == ([], 1)
    assert not has(hub, "TOKEN")
    make.job(repo, ["fetch", "--token=ghp_" + "aB3dE5gH7jK9" * 3], {}, {"raw": "r"})
    hint = roar("register", "--all", "--overlay", "--with-code", code=1).stderr
    assert hint.endswith(b"(next: roar register --all -y --overlay --with-code)\n")


def test_lineage_of_other_writers_goes_with_it(hub: Path, roar: Roar, repo: Repository, git: Git) -> None:
    theirs = hub.parent / "theirs"
    git(hub.parent, "clone", "-q", str(hub), str(theirs))
    made = overlaid(discover(str(theirs)))
    git(theirs, "push", "-q", "origin", "refs/roar/*")
    roar("sync")
    make.job(repo, "train", {"model": "m 0"}, {"end": "e"}, at=60)
    git(hub.parent, "init", "-q", "--bare", "public.git")
    git(roar.folder, "remote", "add", "public", str(hub.parent / "public.git"))
    words = ["register", make.digest("e"), "--no-overlay", "--remote", "public", "--json"]
    assert json.loads(roar(*words).stdout)["without_overlay"] == [made]
    assert not has(hub.parent / "public.git", "the private idea")
    assert json.loads(roar(*words).stdout)["records"] == 0


def test_they_are_signed_as_records_are(
    hub: Path,
    key: Path,  # noqa: F811
    tree: Path,
    roar: Roar,
    repo: Repository,
    git: Git,
) -> None:
    overlaid(repo)
    before = states(roar)
    register(roar)
    (chain,) = chains(hub, git)
    git(tree, "verify-commit", git(hub, "rev-parse", chain))
    assert states(roar) == before


@pytest.mark.parametrize("words", [("gc", "-q", "--prune=now"), ("reflog", "expire", "--all", "--expire=now")])
def test_nothing_is_lost_when_it_is_cut_short(
    hub: Path, roar: Roar, repo: Repository, git: Git, words: tuple[str, ...]
) -> None:
    overlaid(repo)
    (hub / "hooks" / "pre-receive").write_text("#!/bin/sh\nexit 1\n")
    (hub / "hooks" / "pre-receive").chmod(0o755)
    assert b"refused refs/roar/jobs/" in roar("register", "--all", "--no-overlay", code=1).stderr
    git(roar.folder, *words)
    (hub / "hooks" / "pre-receive").unlink()
    assert register(roar)["records"] == 1
    assert git(roar.folder, "fsck", "--strict", "--no-dangling") == ""
