"""Pushing what is known of something to a remote: what goes, what looks secret, and what a plain remote can do."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import make
import pytest
from ask import on_terminal
from conftest import Git, Roar
from make import commit, job_on

from roar.git.repository import Repository, discover

SECRET = "ghp_" + "aB3dE5gH7jK9" * 3


def there(hub: Path, git: Git, below: str = "refs/roar") -> list[str]:
    return [line.split("/")[2] for line in git(hub, "for-each-ref", "--format=%(refname)", below).split()]


def answer(roar: Roar, *words: str, code: int = 0) -> Any:
    return json.loads(roar("register", *words, "--json", code=code).stdout)


def pipeline(repo: Repository, **more: Any) -> list[str]:
    session = make.session(repo)
    first = make.job(repo, "prepare", {"raw": "r"}, {"train": "t"}, session=session, **more)
    second = make.job(repo, "train", {"train": "t"}, {"model": "m"}, at=1, session=session, **more)
    return [session, first, second]


def test_a_file_is_registered_once(hub: Path, roar: Roar, repo: Repository, git: Git) -> None:
    pipeline(repo)
    make.job(repo, "other", {}, {"else": "e"}, at=2)
    planned = answer(roar, make.digest("m"), "--dry-run")
    assert (planned["records"], len(planned["jobs"]), planned["sent"]) == (4, 2, False)
    assert there(hub, git) == []
    said = roar("register", make.digest("m")[:8])
    assert said.stdout.decode() == f"registered {make.digest('m')[:8]} with origin, 2 jobs: 4 records sent\n"
    assert there(hub, git) == ["jobs"]
    again = answer(roar, make.digest("m"))
    assert (again["records"], again["refs"], again["sent"]) == (0, [], True)
    assert b"nothing new to send" in roar("register").stdout
    assert git(hub, "fsck", "--strict", "--no-dangling") == ""


@pytest.mark.parametrize("name", ["@2", "train-step", "baseline", "v1", "model", "HEAD"])
def test_names_of_all_kinds(name: str, hub: Path, roar: Roar, repo: Repository, git: Git) -> None:
    head = git(roar.folder, "rev-parse", "HEAD")
    session = make.session(repo, name="baseline")
    for argv, reads, writes in (("prepare", {}, {"train": "t"}), ("train", {"train": "t"}, {"model": "m"})):
        named = {"name": f"{argv}-step"}
        make.job(repo, argv, reads, writes, session=session, code={"commit": head}, command=named)
    roar("collection", "add", "v1", make.digest("m"))
    assert len(answer(roar, name, "-n")["jobs"]) == 2


def test_what_is_a_collection_and_a_file_is_ambiguous(hub: Path, roar: Roar, repo: Repository) -> None:
    pipeline(repo)
    roar("collection", "add", "model", make.digest("t"))
    done = roar("register", "model", code=2)
    assert done.stderr.startswith(b"roar: model may be the collection or the file model (next: ")
    assert len(answer(roar, "./model", "-n")["jobs"]) == 2


def test_secrets_are_shown_and_asked_about(hub: Path, roar: Roar, repo: Repository, git: Git) -> None:
    git(roar.folder, "config", "roar.redact.values", "salamander")
    leaky = make.job(repo, ["fetch", f"--token={SECRET}"], {}, {"raw": "r"}, tags={"note": "the salamander"})
    kept = make.overlaid("fetch.py", f"TOKEN = '{SECRET}'\n", "untracked")
    beside = make.job(repo, "python fetch.py", {"fetch.py": kept["data"].decode()}, {}, code={"overlay": [kept]})
    shown = answer(roar, "--all", "-n", code=3)
    assert [(each["record"], each["where"]) for each in shown["suspicious"]] == [
        (beside, "fetch.py"),
        (leaky, "command"),
        (leaky, "tag"),
    ]
    text = roar("register", "--all", "-n", code=3).stdout.decode()
    assert SECRET not in text
    assert "salamander" not in text
    assert "fetch --token=[redacted:secret]" in text
    refused = roar("register", "--all", code=1).stderr.decode()
    assert SECRET not in refused
    assert "nothing was registered, since something looks secret" in refused
    assert refused.endswith("(next: roar register --all -y)\n")
    assert there(hub, git) == []
    assert on_terminal(roar.folder, "n\n", "register", "--all")[0] == 1
    assert there(hub, git) == []
    assert on_terminal(roar.folder, "y\n", "register", "--all")[0] == 0
    assert there(hub, git)


def test_yes_sends_what_looks_secret(hub: Path, roar: Roar, repo: Repository, git: Git) -> None:
    make.job(repo, ["fetch", f"--token={SECRET}"], {}, {"raw": "r"})
    assert answer(roar, "--all", "-y")["records"] == 1
    assert there(hub, git)


def test_code_goes_along_and_comes_back(hub: Path, roar: Roar, repo: Repository, git: Git, tmp_path: Path) -> None:
    heads = [commit(roar.folder, git, "one")]
    job_on(repo, heads[0])
    git(roar.folder, "commit", "-q", "--amend", "-m", "two")
    heads.append(git(roar.folder, "rev-parse", "HEAD"))
    job_on(repo, heads[1])
    done = roar("register", "--all")
    assert b"2 commits of jobs are on no remote branch (next: roar register --with-code" in done.stderr
    assert sorted(answer(roar, "--all", "--with-code")["commits_sent"]) == sorted(heads)
    assert there(hub, git) == ["code", "jobs", "notes"]
    assert answer(roar, "--all", "--with-code")["commits_sent"] == []
    clone = tmp_path / "clone"
    git(tmp_path, "clone", "-q", str(hub), str(clone))
    Roar(clone)("sync")
    for head in heads:
        assert git(clone, "cat-file", "-t", head) == "commit"
    third = commit(roar.folder, git, "three")
    job_on(repo, third)
    git(roar.folder, "config", "roar.register.code", "true")
    assert answer(roar, "--all")["commits_sent"] == [third]
    assert git(hub, "fsck", "--strict", "--no-dangling") == ""
    assert roar("fsck").returncode == 0


def test_chains_of_others_go_where_lineage_needs_them(hub: Path, roar: Roar, repo: Repository, git: Git) -> None:
    theirs = hub.parent / "theirs"
    git(hub.parent, "clone", "-q", str(hub), str(theirs))
    made = make.job(discover(str(theirs)), "prepare", {}, {"train": "t"})
    git(theirs, "push", "-q", "origin", "refs/roar/*")
    roar("sync")
    make.job(repo, "train", {"train": "t"}, {"model": "m"}, at=60)
    git(hub.parent, "init", "-q", "--bare", "public.git")
    git(roar.folder, "remote", "add", "public", str(hub.parent / "public.git"))
    git(roar.folder, "config", "roar.register.remote", "public")
    sent = answer(roar, make.digest("m"))
    assert (sent["remote"], made in sent["jobs"], len(sent["chains_of_others"])) == ("public", True, 1)
    assert there(hub.parent / "public.git", git).count("jobs") == 2
    assert answer(roar, make.digest("m"))["chains_of_others"] == []


def test_a_tag_on_success(hub: Path, roar: Roar, repo: Repository, git: Git) -> None:
    head = commit(roar.folder, git, "code")
    make.job(repo, "train", {}, {"model": "m"}, code={"commit": head})
    git(roar.folder, "config", "roar.register.tag", "true")
    name = f"roar/{make.digest('m')[:12]}"
    assert answer(roar, make.digest("m"))["tag"] == name
    assert git(hub, "rev-parse", f"{name}^{{commit}}") == head
    assert answer(roar, make.digest("m"))["tag"] is None
    git(roar.folder, "tag", "-f", name, "HEAD~")
    assert b"stands on another commit" in roar("register", make.digest("m"), code=1).stderr


def test_offline_it_says_so(hub: Path, roar: Roar, repo: Repository, git: Git) -> None:
    pipeline(repo)
    git(roar.folder, "remote", "set-url", "origin", "/nowhere")
    done = roar("register", "--all", code=1)
    assert done.stderr == (
        b"roar: nothing was registered, cannot fetch from origin: '/nowhere' does not appear to be a git repository;"
        b" it waits, and the records are kept here (next: roar register --waiting, when the remote can be reached)\n"
    )
    assert answer(roar, "--all", "-n")["records"] == 3


def test_a_refusal_is_named(hub: Path, roar: Roar, repo: Repository, git: Git) -> None:
    pipeline(repo)
    git(hub, "config", "transfer.hideRefs", "refs/roar")
    done = roar("register", "--all", code=1)
    assert b"(next: roar remote check origin)" in done.stderr
    assert done.stderr.count(b"\n") == 1


def test_nothing_to_register(hub: Path, roar: Roar, repo: Repository) -> None:
    assert b"no jobs recorded yet" in roar("register", code=1).stderr
    make.job(repo, "read", {"raw": "r"}, {})
    assert b"no recorded job made " in roar("register", make.digest("r"), code=1).stderr
    assert b"(next: " in roar("register", "nothing", code=1).stderr
    assert b"different things" in roar("register", "x", "--all", code=2).stderr
    assert b"no remote is called" in roar("register", "--all", "--remote", "x", code=2).stderr
