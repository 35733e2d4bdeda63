"""Git over SSH: a real sshd that asks roar for the keys and forces its command."""

from __future__ import annotations

import getpass
import json
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import make
import pytest
from conftest import Roar

from roar.git.repository import Repository
from server.crafted import REF, commit, push, told
from server.serving import ROOT, Glaas, make_key, until

Git = Callable[..., str]
SSHD = shutil.which("sshd") or "/usr/sbin/sshd"
pytestmark = pytest.mark.skipif(not os.path.exists(SSHD), reason="needs OpenSSH's sshd")


class Sshd:
    """An OpenSSH server of the test's own on loopback."""

    def __init__(self, glaas: Glaas, folder: Path) -> None:
        folder.chmod(0o755)
        self.folder = folder
        make_key(folder / "host")
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = int(probe.getsockname()[1])
        program = folder / "roar"
        program.write_text(f'#!/bin/sh\nPYTHONPATH={ROOT} exec {sys.executable} -m roar "$@"\n')
        program.chmod(0o755)
        keys = f"{program} serve-ssh keys --data {glaas.data} --program {program}"
        if os.getuid() == 0:  # sshd wants the command and all folders above it to be root's, which /tmp is not
            asks = f"AuthorizedKeysCommand /usr/bin/env {keys} %t %k\nAuthorizedKeysCommandUser root\n"
            Path("/run/sshd").mkdir(exist_ok=True)
        else:
            lines = subprocess.run(keys.split(), capture_output=True, check=True).stdout
            (folder / "authorized").write_bytes(lines)
            asks = f"AuthorizedKeysFile {folder}/authorized\n"
        (folder / "config").write_text(
            f"Port {self.port}\nListenAddress 127.0.0.1\nHostKey {folder}/host\nPidFile none\nStrictModes no\n"
            f"UsePAM no\nPasswordAuthentication no\nAcceptEnv GIT_PROTOCOL\n{asks}"
        )
        self._log = (folder / "log").open("wb")
        self._server = subprocess.Popen([SSHD, "-D", "-e", "-f", str(folder / "config")], stderr=self._log)
        for _ in range(200):
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", self.port)) == 0:
                    break
            time.sleep(0.02)

    def stop(self) -> None:
        """End it."""
        self._server.terminate()
        self._server.wait()
        self._log.close()

    def url(self, project: str) -> str:
        """The URL of a project."""
        return f"ssh://{getpass.getuser()}@127.0.0.1:{self.port}/{project}.git"

    @staticmethod
    def command(key: Path) -> str:
        """What GIT_SSH_COMMAND is to be for somebody with a key."""
        options = "-o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null -o IdentitiesOnly=yes -o LogLevel=ERROR"
        return f"ssh -F none -i {key} {options}"


@pytest.fixture(scope="module")
def sshd(glaas: Glaas, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sshd]:
    """A running sshd, one a module. Without root it knows the keys that are there when it starts."""
    glaas.user("rita", tmp_path_factory.mktemp("rita"), team_model="read")
    server = Sshd(glaas, tmp_path_factory.mktemp("sshd"))
    yield server
    server.stop()


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


def test_registered_over_ssh(
    glaas: Glaas,
    sshd: Sshd,
    project: str,
    repo: Repository,
    roar: Roar,
    git: Git,
    home_key: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("GIT_SSH_COMMAND", sshd.command(glaas.key))
    git(roar.folder, "remote", "add", "glaas", sshd.url(project))
    make.job(repo, "prepare", {"raw": "r"}, {"train": "t"})
    job = make.job(repo, "train", {"train": "t"}, {"model": "m"}, at=60)
    model = make.digest("m")
    said = roar("register", model).stdout.decode()
    assert said == f"registered {model} with glaas, 2 jobs: 2 records sent\n", "git alone: no server is known"
    git(roar.folder, "config", "roar.glaas.url", glaas.url)
    said = roar("register", model).stdout.decode()
    assert "2 jobs: nothing new to send" in said
    assert "  not confirmed: " in said, said
    assert f"log in to use {project}\n" in said, "the log of a private project is asked for over HTTP"
    roar("auth", "login", glaas.url)
    said = roar("register", model).stdout.decode()
    assert f"  confirmed: 2 records in the log of {project}, which has 2\n  {glaas.url}/a/{model}\n" in said
    (log,) = json.loads(roar("verify", "--json").stdout)["logs"]
    assert (log["project"], log["included"], log["missing"]) == (project, 2, [])
    token = glaas.token()
    until(lambda: glaas.api(f"jobs/{job}", token)[0] == 200)
    assert glaas.api(f"artifacts/{model}?project={project}", token)[1]["made_by"][0]["id"] == job
    assert b"train" in roar("lookup", model).stdout


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
