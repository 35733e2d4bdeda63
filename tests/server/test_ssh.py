"""Git over SSH: a real sshd that asks roar for the keys and forces its command."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import make
import pytest

from roar.git.repository import Repository
from server.crafted import REF, commit, push, told
from server.serving import Glaas, make_key, until
from server.sshd import Sshd, needs_sshd, roars

Git = Callable[..., str]
pytestmark = needs_sshd


@pytest.fixture(scope="module")
def sshd(glaas: Glaas, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sshd]:
    """A running sshd, one a module. Without root it knows the keys that are there when it starts."""
    glaas.user("rita", tmp_path_factory.mktemp("rita"), team_model="read")
    with roars(glaas, tmp_path_factory.mktemp("sshd")) as running:
        yield running


def test_push_and_fetch(
    glaas: Glaas, sshd: Sshd, project: str, repo: Repository, tree: Path, git: Git, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GIT_SSH_COMMAND", sshd.command(glaas.key))
    make.job(repo, "python a.py", {}, {"m": "1"})
    url = sshd.url(project)
    push(tree, url, "refs/roar/*", code=0)
    until(lambda: glaas.indexed(project) == 1)
    git(tree, "fetch", "-q", url, "refs/roar/*:refs/roar-remote/glaas/*")
    assert git(tree, "for-each-ref", "refs/roar-remote/glaas/jobs/")
    (line,) = [it for it in glaas.audited() if it["project"] == project]
    assert (line["what"], line["user"], line["address"]) == ("push", "ada", "127.0.0.1")
    oid = commit(repo, {b"record.json": b"{"})
    assert "not JSON" in told(push(tree, url, f"{oid}:{REF}"))[0]
    assert (Path(glaas.storage.path(project)) / "glaas/log/checkpoint").exists()


def test_who_may_not_may_not(
    glaas: Glaas,
    sshd: Sshd,
    project: str,
    repo: Repository,
    tree: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    make.job(repo, "python a.py")
    monkeypatch.setenv("GIT_SSH_COMMAND", sshd.command(glaas.keys["rita"]))

    def refused(name: str) -> str:
        return push(tree, sshd.url(name), "refs/roar/*", code=128)

    assert "rita may not write in team/model" in refused("team/model")
    assert refused(project) == refused("team/none").replace("team/none", project)  # a private one looks like none
    monkeypatch.setenv("GIT_SSH_COMMAND", sshd.command(make_key(tmp_path / "stranger")))
    assert "Permission denied" in refused(project)


def test_a_key_that_was_removed_opens_nothing(
    glaas: Glaas, sshd: Sshd, project: str, tree: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    user = project.replace("/", "-")
    key = glaas.user(user, tmp_path)
    glaas.people.grant(project, user, "read", by="tests")
    monkeypatch.setenv("GIT_SSH_COMMAND", sshd.command(key))
    words = ["git", "ls-remote", sshd.url(project)]
    assert os.getuid() or subprocess.run(words, cwd=tree, capture_output=True).returncode == 0
    glaas.people.remove_key(user, glaas.people.users()[user].keys[0].fingerprint, by="tests")
    assert b"Permission denied" in subprocess.run(words, cwd=tree, capture_output=True).stderr


def test_there_is_no_shell(glaas: Glaas, sshd: Sshd, project: str) -> None:
    def asked(*words: str) -> str:
        ssh = [*sshd.command(glaas.key).split(), "-p", str(sshd.port), "127.0.0.1", *words]
        done = subprocess.run(ssh, capture_output=True, stdin=subprocess.DEVNULL, timeout=30, check=False)
        assert done.returncode not in (0, 70), done
        assert done.stdout == b""
        return done.stderr.decode()

    for words in (
        "id",
        "",
        f"git-receive-pack /{project}.git; id",
        f"git-receive-pack /{project}.git /etc",
        "git-upload-pack '/../../etc.git'",
        "git-upload-pack '--upload-pack=id'",
        f"git-upload-pack '{glaas.data}/admin.git'",
    ):
        said = asked(*([words] if words else []))
        assert said.startswith("roar: "), (words, said)
        assert said.count("\n") == 1
