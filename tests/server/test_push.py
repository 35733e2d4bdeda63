"""Pushing records to a real server, by stock git over HTTP."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import make
import pytest
from conftest import Roar

from roar.git.repository import Repository
from server.serving import Glaas

Git = Callable[..., str]


def push(tree: Path, url: str, *refs: str, code: int = 0) -> str:
    """Push and give what the server and git said."""
    done = subprocess.run(["git", "push", url, *(refs or ("refs/roar/*",))], cwd=tree, capture_output=True, check=False)
    said = done.stderr.decode()
    assert done.returncode == code, said
    assert "Traceback" not in said
    return said


def test_records_go_in_and_come_out(glaas: Glaas, project: str, tree: Path, repo: Repository, git: Git) -> None:
    make.job(repo, "python a.py", {}, {"m": "1"})
    push(tree, glaas.remote(project))
    there = glaas.storage.path(project)
    assert git(tree, "for-each-ref", "--format=%(refname) %(objectname)", "refs/roar/") == git(
        there, "for-each-ref", "--format=%(refname) %(objectname)"
    )
    assert "Everything up-to-date" in push(tree, glaas.remote(project))
    (line,) = [line for line in glaas.audited() if line["project"] == project]
    assert (line["what"], line["user"], line["address"], len(line["refs"])) == ("push", "ada", "127.0.0.1", 1)
    listed = git(tree, "ls-remote", glaas.remote(project, glaas.token(scope="read")))
    assert listed.count("refs/roar/") == 1
    assert git(Path(there), "fsck", "--strict") == ""


@pytest.mark.parametrize(
    ("user", "scope", "words"),
    [
        (None, "", "could not read Username"),
        ("ada", "read", "ada may not write in"),
        ("ron", "write", "ron may not write in"),
        ("eve", "write", "there is no project"),
    ],
)
def test_who_may_not_may_not(
    glaas: Glaas, project: str, tmp_path: Path, tree: Path, repo: Repository, user: str | None, scope: str, words: str
) -> None:
    make.job(repo, "python a.py")
    if user not in (None, "ada"):
        glaas.user(user, tmp_path)
    if user == "ron":
        glaas.people.grant(project, user, "read", by="tests")
    assert words in push(tree, glaas.remote(project, glaas.token(user, scope) if user else ""), code=128)
    assert not list(Path(glaas.storage.path(project), "refs").rglob("*/*/*"))
    refused = [it["user"] for it in glaas.audited() if (it["what"], it["project"]) == ("refused", project)]
    assert refused == ([user] if "may not write" in words else [])


def test_a_remote_like_any_other(glaas: Glaas, project: str, roar: Roar, repo: Repository, git: Git) -> None:
    """`roar remote check`, `roar sync`, a partial clone: nothing of them knows that it talks to a server of lineage."""
    git(roar.folder, "remote", "add", "glaas", glaas.remote(project))
    roar("init")
    make.job(repo, "python a.py", code={"commit": git(roar.folder, "rev-parse", "HEAD")})
    assert b"refs/roar" in roar("remote", "check", "glaas").stdout
    assert b"pushed 2 refs" in roar("sync", "glaas").stdout
    assert "refs/roar/check/" not in git(roar.folder, "ls-remote", "glaas")
    git(roar.folder, "init", "-q", "partial")
    partial = roar.folder / "partial"
    git(partial, "remote", "add", "origin", glaas.remote(project))
    for what, taken in (("tree:0", False), ("sparse:oid=main", False), ("blob:none", True)):
        words = ["fetch", "-q", f"--filter={what}", "origin", "refs/roar/*:refs/roar-remote/origin/*"]
        done = subprocess.run(["git", *words], cwd=partial, capture_output=True, check=False)
        assert (done.returncode == 0) == taken, done.stderr
