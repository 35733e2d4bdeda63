"""Two teams with a repository, a project and a key each exchange lineage through one server, by real programs alone."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import make
import pytest
from conftest import Git, Roar, needs_tracer

from roar.hashing import digest_file
from server.clients import agent
from server.serving import Glaas

pytestmark = needs_tracer


class Team:
    """A person with a home, an agent and a clone of the team's code."""

    def __init__(self, glaas: Glaas, name: str, top: Path, stack: ExitStack) -> None:
        self.home = top / f"home-{name}"
        self.home.mkdir()
        shutil.copy(Path(os.environ["HOME"]) / ".gitconfig", self.home / ".gitconfig")
        self.project = f"{name}/models"
        self.key = glaas.user(name, top)
        glaas.people.add_project(self.project, by="tests", owner=name, visibility="internal")
        self.env = {"HOME": str(self.home), "XDG_STATE_HOME": str(self.home / "state")}
        self.env |= {"XDG_CACHE_HOME": str(self.home / "cache"), **stack.enter_context(agent(self.key))}
        self.hub, self.clone = self.home / "code.git", self.home / "code"
        subprocess.run(["git", "init", "-q", "--bare", str(self.hub)], check=True)
        subprocess.run(["git", "clone", "-q", str(self.hub), str(self.clone)], check=True, capture_output=True)
        subprocess.run(["git", "remote", "add", "glaas", f"{glaas.url}/{self.project}.git"], cwd=self.clone, check=True)

    def roar(self, *words: str, cwd: Path | None = None, code: int = 0) -> subprocess.CompletedProcess[bytes]:
        return Roar(self.clone)(*words, cwd=cwd, code=code, **self.env)

    def commit(self, name: str, text: str) -> None:
        (self.clone / name).write_text(text)
        for words in (["add", name], ["commit", "-qm", name], ["push", "-q", "origin", "HEAD"]):
            subprocess.run(["git", *words], cwd=self.clone, check=True, env={**os.environ, **self.env})


@pytest.fixture
def teams(glaas: Glaas, tmp_path: Path) -> Iterator[tuple[Team, Team]]:
    with ExitStack() as stack:
        yield Team(glaas, "ann", tmp_path, stack), Team(glaas, "bob", tmp_path, stack)


def indexed(glaas: Glaas, token: str, *hashes: str) -> None:
    """Wait until the server's worker has brought in what was pushed."""
    for content in hashes:
        deadline = time.monotonic() + 60
        while glaas.api(f"artifacts/{content}", token)[0] != 200:
            assert time.monotonic() < deadline, glaas.log.read_text()
            time.sleep(0.1)


def test_what_one_team_made_and_another_used_is_one_graph(glaas: Glaas, teams: tuple[Team, Team], git: Git) -> None:
    ann, bob = teams
    for team in teams:
        assert f"as {team.key.name}".encode() in team.roar("auth", "login", glaas.url).stdout

    ann.commit("train.sh", "echo 1 2 3 >model.txt\n")
    ann.roar("run", "sh", "train.sh")
    model = digest_file(ann.clone / "model.txt").hash
    told = ann.roar("register", "model.txt").stdout.decode()
    assert f"confirmed: 1 record in the log of {ann.project}, which has 2" in told

    bob.commit("use.sh", "wc -w <model.txt >words.txt\n")
    shutil.copy(ann.clone / "model.txt", bob.clone / "model.txt")
    token = glaas.token("bob", "read")
    indexed(glaas, token, model)
    found: Any = json.loads(bob.roar("lookup", "model.txt", "--json").stdout)["found"][0]
    assert found["projects"] == [ann.project]
    assert found["made_by"][0]["command"] == "sh train.sh"
    bob.roar("run", "sh", "use.sh")
    words = digest_file(bob.clone / "words.txt").hash
    assert bob.project in bob.roar("register", "words.txt").stdout.decode()

    indexed(glaas, token, words)
    graph = glaas.api(f"artifacts/{words}/lineage", token)[1]
    assert {job["command"]: job["projects"] for job in graph["jobs"]} == {
        "sh train.sh": [ann.project],
        "sh use.sh": [bob.project],
    }
    assert [(edge["path"], edge["hash"]) for edge in graph["edges"]] == [("model.txt", model)]
    assert glaas.api(f"artifacts/{words}")[0] == 404, "internal: nobody sees it who is not logged in"

    for team in teams:
        (log,) = json.loads(team.roar("verify", "--json").stdout)["logs"]
        assert (log["project"], log["size"], log["missing"]) == (team.project, 2, [])

    nowhere = ann.home / "nowhere"
    nowhere.mkdir()
    asked = ann.roar("reproduce", words, cwd=nowhere, code=1)
    assert str(ann.hub).encode() in asked.stderr
    assert b"it was not fetched: there is no terminal to ask on (next: roar reproduce" in asked.stderr
    done = ann.roar("reproduce", words[:16], "-y", "--json", cwd=nowhere)
    verdicts = {a["path"]: a["verdict"] for a in json.loads(done.stdout)["artifacts"]}
    assert verdicts == {"model.txt": "identical", "words.txt": "identical"}
    assert ann.roar("reproduce", words, "-y", cwd=ann.clone).returncode == 0
    assert list(nowhere.iterdir()) == []


def test_a_server_is_not_asked_for_branches(
    glaas: Glaas, project: str, roar: Roar, tree: Path, repo: Any, git: Git, home_key: Path, tmp_path: Path
) -> None:
    remote = f"{glaas.url}/{project}.git"
    make.job(repo, "sh a.sh", {"a.sh": "s"}, {"a": "a"}, code={"commit": "c" * 40, "remote": remote})
    git(tree, "remote", "add", "glaas", remote)
    roar("auth", "login", glaas.url)
    roar("register", "--all")
    indexed(glaas, glaas.token(scope="read"), make.digest("a"))
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    done = roar("reproduce", make.digest("a"), cwd=elsewhere, code=1)
    assert b"fetch" not in done.stderr.replace(b"fetching the records of", b"").partition(b"(next: ")[0]
    assert b"or there: roar register --all --with-code)" in done.stderr


def test_what_records_name_as_their_code_is_not_run(
    glaas: Glaas, project: str, roar: Roar, tree: Path, repo: Any, git: Git, home_key: Path, tmp_path: Path
) -> None:
    mark = tmp_path / "pwned"
    made: dict[str, str] = {}
    for remote in (f"ext::sh -c touch% {mark}", f"--upload-pack=touch {mark}", "file:///nowhere"):
        reads, made = made, {"a": f"{made} {remote}"}
        make.job(repo, "sh a.sh", reads, made, at=len(made), code={"commit": "c" * 40, "remote": remote})
    git(tree, "remote", "add", "glaas", f"{glaas.url}/{project}.git")
    roar("auth", "login", glaas.url)
    roar("register", "--all")
    content = make.digest(made["a"])
    indexed(glaas, glaas.token(scope="read"), content)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    done = roar("reproduce", content, "-y", cwd=elsewhere, code=1)
    assert done.stderr.count(b"git is not asked for the code at ") == 2
    assert b"fetching the code from file:///nowhere" in done.stderr
    assert not mark.exists()
