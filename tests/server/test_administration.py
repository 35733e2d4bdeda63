"""``roar serve user|key|project|invite``, the first start, and the backup that the documentation describes."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import make
import pytest

from roar.errors import UsageError
from roar.git import refs
from roar.git.repository import Repository, discover
from roar.server import log
from roar.server.people import People, Role
from roar.server.storage import Storage, check_name
from server.crafted import push
from server.serving import PROJECT, ROOT, Glaas, make_key

Git = Callable[..., str]


class Serve:
    """``roar serve`` for administration, on a data directory."""

    def __init__(self, data: Path) -> None:
        self.data = data
        self.people = People(Storage(str(data)))

    def __call__(self, *words: str, code: int = 0, stdin: str = "") -> str:
        done = subprocess.run(
            [sys.executable, "-m", "roar", "serve", "--data", str(self.data), *words],
            capture_output=True,
            text=True,
            input=stdin,
            check=False,
            timeout=60,
        )
        assert done.returncode == code, done
        assert "Traceback" not in done.stderr
        assert not code or done.stderr.count("\n") == 1
        return done.stderr if code else done.stdout

    def json(self, *words: str) -> Any:
        return json.loads(self(*words, "--json"))


@pytest.fixture
def serve(tmp_path: Path) -> Serve:
    return Serve(tmp_path / "data")


def test_people_come_and_go_by_command(serve: Serve, tmp_path: Path, git: Git) -> None:
    key, newer = make_key(tmp_path / "one"), make_key(tmp_path / "two")
    ada = serve.json("user", "add", "ada", "--key", f"{key}.pub")
    (first,) = ada["keys"]
    assert first["fingerprint"].startswith("SHA256:")
    assert "is known already: it is ada's" in serve("key", "add", "ada", f"{key}.pub", code=1)
    assert serve.json("project", "add", "team/model", "--owner", "ada")["roles"] == {"ada": "admin"}
    assert os.path.isdir(serve.data / "projects/team/model.git")
    serve("user", "add", "bob")
    serve("key", "add", "bob", "-", "--days", "1", stdin=newer.with_suffix(".pub").read_text())
    assert serve.people.role("bob", "team/model") == Role.NONE
    serve("project", "grant", "team/model", "bob", "write")
    assert serve.people.role("bob", "team/model") == Role.WRITE
    assert serve.people.role(None, "team/model") == Role.NONE
    serve("project", "set", "team/model", "--visibility", "public", "--signers", "required", "--quota", "1000")
    assert serve.people.role(None, "team/model") == Role.READ
    serve("user", "disable", "bob")
    assert serve.people.role("bob", "team/model") == Role.READ
    assert serve.people.user_of_key(serve.json("key", "list", "bob")[0]["fingerprint"]) is None
    serve("user", "disable", "bob", "--undo")
    assert serve.people.role("bob", "team/model") == Role.WRITE
    third = make_key(tmp_path / "three")
    serve("key", "rotate", "ada", first["fingerprint"], f"{third}.pub")
    assert serve.people.user_of_key(first["fingerprint"]) is None
    assert serve.people.allowed_signers().count(b"ada namespaces=") == 2  # what the old one signed before stays good
    assert b"valid-before=" in serve.people.allowed_signers()
    serve("key", "remove", "ada", first["fingerprint"])
    assert serve.people.allowed_signers().count(b"ada namespaces=") == 1
    assert "ada" in serve("user", "list")
    assert "team/model" in serve("project", "list")
    code = serve("invite", "team/model", "--role", "read").strip()
    accepted = serve.people.accept(code, "eve", (make_key(tmp_path / "eve").with_suffix(".pub")).read_text())
    assert (accepted.project, serve.people.role("eve", "team/model")) == ("team/model", Role.READ)
    log = git(serve.data / "admin.git", "log", "--format=%s")
    assert log.splitlines()[0] == "accept an invitation as eve"
    assert "grant write in team/model to bob" in log
    assert git(serve.data / "admin.git", "fsck", "--strict") == ""
    assert code not in git(serve.data / "admin.git", "log", "-p")


def test_mistakes_are_said_in_a_line(serve: Serve, tmp_path: Path) -> None:
    key = make_key(tmp_path / "key")
    serve("user", "add", "ada")
    for words, said in (
        (("user", "add", "ada"), "there is a user ada already"),
        (("key", "add", "bob", f"{key}.pub"), "there is no user bob"),
        (("key", "rotate", "ada", "SHA256:x", f"{key}.pub"), "ada has no key SHA256:x"),
        (("project", "grant", "nothing", "ada", "read"), "there is no project nothing"),
        (("invite", "nothing"), "there is no project nothing"),
    ):
        assert said in serve(*words, code=1)
    for words, said in (
        (("user", "add", "../x"), "cannot be the name of a user"),
        (("key", "add", "ada", str(key)), "this is a private key"),
        (("key", "add", "ada", str(tmp_path / "none")), "cannot read"),
        (("key", "add", "ada", str(tmp_path / "key.pub.bad")), "damaged"),
        (("project", "set", "x"), "nothing to set"),
        (("project", "add", "../x"), "cannot be the name of a project"),
        (
            ("--database", "mysql://ada:secret@x/y"),
            "is for PostgreSQL by psycopg (next: --database postgresql",
        ),
        (("--url", "ftp://x"), "is no address of a server"),
        (("--url", "https://example.org/lineage"), "a server answers at the top of an address"),
    ):
        if words[-1].endswith(".bad"):
            Path(words[-1]).write_text("ssh-ed25519 " + (tmp_path / "key.pub").read_text().split()[1][:-8] + "=!\n")
        assert said in serve(*words, code=2), words
    for name in ("a/b/c", ".git", "a.git", "a..b", "A", "a/", "x.lock", "a/.b", "-a", "", "a\n", "a b", "a%2fb", "é"):
        with pytest.raises(UsageError):
            check_name(name)
    assert serve.people.projects() == {}


def test_two_who_administer_at_once_lose_nothing(serve: Serve) -> None:
    storage = Storage(str(serve.data))
    storage.prepare()

    def some(which: str) -> None:
        people = People(Storage(str(serve.data)))
        for n in range(10):
            people.add_user(f"{which}{n}", by=which)

    threads = [threading.Thread(target=some, args=(which,)) for which in "abc"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(serve.people.users()) == 30


def test_the_first_start_is_all_it_takes(tmp_path: Path, tree: Path, repo: Repository) -> None:
    """A home folder with an SSH key, no data directory: a user, a project, and how to go on."""
    home = tmp_path / "home"
    (home / ".ssh").mkdir(parents=True)
    make_key(home / ".ssh" / "id_ed25519")
    env = {k: v for k, v in os.environ.items() if not k.startswith(("XDG_", "ROAR_", "SSH_"))}
    env |= {"HOME": str(home), "PYTHONPATH": str(ROOT), "LOGNAME": "ada"}
    words = [sys.executable, "-m", "roar", "serve", "--port", "0"]
    server = subprocess.Popen(words, cwd=home, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        assert server.stdout and server.stderr
        line = server.stdout.readline()
        url = line.split()[-1]
        make.job(repo, "python a.py")
        login = subprocess.run(
            [sys.executable, "-m", "roar", "auth", "login", url], cwd=tree, env=env, capture_output=True, check=False
        )
        assert login.returncode == 0, login.stderr
        done = subprocess.run(
            ["git", "push", f"{url}/default.git", "refs/roar/*"],
            cwd=tree,
            env={**env, "PATH": f"{Path(sys.executable).parent}:{env['PATH']}"},
            capture_output=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
    finally:
        server.terminate()
        _, said = server.communicate()
    assert "made the user ada and the project default" in said
    assert (home / ".local/share/roar/serve/projects/default.git").is_dir()


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="needs systemd-analyze")
def test_systemd_takes_the_unit(tmp_path: Path) -> None:
    unit = tmp_path / "roar-serve.service"
    text = (ROOT / "docs/glaas/roar-serve.service").read_text()
    unit.write_text(text.replace("/usr/local/bin/roar", shutil.which("true") or ""))
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", unit], capture_output=True, text=True, check=False, timeout=60
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_a_backup_made_meanwhile_is_whole(tmp_path: Path, glaas: Glaas, tree: Path, repo: Repository, git: Git) -> None:
    """The script of the documentation, while pushes go on; its copy serves, and passes git's check."""
    (script,) = re.findall(r"```sh\n(# backup.*?)```", (ROOT / "docs/glaas.md").read_text(), re.DOTALL)
    (tmp_path / "backup.sh").write_text(script)
    copy = tmp_path / "copy"
    copy.mkdir()
    stop = threading.Event()

    def pushing() -> None:
        n = 0
        while not stop.is_set():
            make.job(repo, f"python {n}.py")
            push(tree, glaas.remote(), "refs/roar/*", code=0)
            n += 1

    thread = threading.Thread(target=pushing)
    thread.start()
    try:
        for _ in range(4):
            subprocess.run(["sh", str(tmp_path / "backup.sh"), str(glaas.data), str(copy)], check=True)
            there = copy / "projects" / f"{PROJECT}.git"
            assert git(there, "fsck", "--strict", "--no-dangling") == ""
    finally:
        stop.set()
        thread.join()
    subprocess.run(["sh", str(tmp_path / "backup.sh"), str(glaas.data), str(copy)], check=True)
    storage = Storage(str(copy))
    here = refs.listing(storage.repo(PROJECT), "refs/roar/")
    assert here == refs.listing(glaas.storage.repo(PROJECT), "refs/roar/")
    assert People(storage).users() == glaas.people.users()
    assert storage.secret() == glaas.storage.secret()
    assert log.extend(discover(storage.path(PROJECT)), str(copy)).checkpoint.size == len(
        git(tree, "log", "--format=%H", *here).split()
    )
