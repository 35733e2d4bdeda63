"""Whose word stands first when several projects say that they made the same bytes; and that nobody's is hidden."""

from __future__ import annotations

import json
import subprocess
import urllib.request
from collections.abc import Callable
from itertools import count
from pathlib import Path
from typing import Any

import make
import pytest
from conftest import Git, Roar

from roar.cache.index import open_index
from roar.git import refs
from roar.git.repository import Repository, discover
from roar.glaas.address import Address
from roar.journal import JOBS
from roar.verbs import lookup
from server.crafted import push
from server.serving import ADMIN, Glaas, until

_NUMBERS = count()


class Writer:
    """A project that anybody may read, and the clone of whoever writes in it."""

    def __init__(self, glaas: Glaas, name: str, folder: Path) -> None:
        self.glaas = glaas
        self.project = f"{name}/p{next(_NUMBERS)}"
        glaas.people.add_project(self.project, by="tests", visibility="public", owner=ADMIN)
        self.folder = folder / name
        subprocess.run(["git", "init", "-q", str(self.folder)], check=True)
        self.repo: Repository = discover(str(self.folder))

    def has(self, *args: Any, **more: Any) -> str:
        """Record a job, push it and wait until it can be asked for."""
        job = make.job(self.repo, *args, **more)
        self.push()
        return job

    def push(self) -> None:
        """Push and wait until all of it can be asked for."""
        push(self.folder, self.glaas.remote(self.project), "refs/roar/*", code=0)
        with open_index(self.repo) as index:
            asked = "&".join(f"id={job}" for job in index.jobs())
        until(lambda: self.glaas.api(f"projects/{self.project}/records?{asked}")[1]["missing"] == [])

    def sign(self, git: Git) -> None:
        """Sign the last commit anew, as somebody who records with signatures would have."""
        ((ref, tip),) = refs.listing(self.repo, JOBS).items()
        message = git(self.folder, "log", "-1", "--format=%B", tip)
        parents = git(self.folder, "log", "-1", "--format=-p %P", tip).split()
        words = [f"-S{self.glaas.key}", *parents, "-m", message, f"{tip}^{{tree}}"]
        git(self.folder, "update-ref", ref, git(self.folder, "-c", "gpg.format=ssh", "commit-tree", *words))


@pytest.fixture
def writer(glaas: Glaas, tmp_path: Path) -> Callable[[str], Writer]:
    return lambda name: Writer(glaas, name, tmp_path)


def made(glaas: Glaas, content: str, project: str | None = None) -> tuple[list[str], dict[str, str]]:
    """The makers of a content, and what is also said, by project."""
    ask = f"artifacts/{make.digest(content)}" + (f"?project={project}" if project else "")
    status, found = glaas.api(ask)
    assert status == 200, found
    return [job["id"] for job in found["made_by"]], {also["project"]: also["job"] for also in found["also_made_by"]}


def test_whoever_says_it_later_stands_behind_and_is_not_hidden(
    glaas: Glaas, writer: Callable[[str], Writer], roar: Roar, git: Git
) -> None:
    ours, theirs = writer("zeta"), writer("alpha")
    train = ours.has("train", {"raw": "raw 1"}, {"model.pkl": "model 1"})
    use = ours.has("use", {"model.pkl": "model 1"}, {"scores": "scores 1"}, at=600)
    evil = theirs.has("evil", {}, {"model.pkl": "model 1"}, at=300)  # newer by its own word, and first by name
    assert made(glaas, "model 1") == ([train, evil], {theirs.project: evil})
    assert made(glaas, "model 1", ours.project)[0] == [train, evil]
    assert made(glaas, "model 1", theirs.project) == ([evil, train], {ours.project: train})

    for end in ("", f"?project={ours.project}", "?project=no/such"):
        graph = glaas.api(f"artifacts/{make.digest('scores 1')}/lineage{end}")[1]
        assert [job["id"] for job in graph["jobs"]] == [train, use]
        (read,) = graph["jobs"][1]["inputs"]
        assert read["made_by"] == train
        assert read["also_made_by"] == [{"project": theirs.project, "job": evil, "jobs": 1}]
    assert glaas.api(f"jobs/{use}")[1]["inputs"][0]["also_made_by"] == [read["also_made_by"][0]]

    page = urllib.request.urlopen(f"{glaas.url}/a/{make.digest('model 1')}").read().decode()
    assert page.index("also made by") < page.index(f"/j/{evil}")
    assert f"{ours.project}.git" in page
    assert f"{theirs.project}.git" not in page
    page = urllib.request.urlopen(f"{glaas.url}/j/{use}").read().decode()
    assert f'href="/p/{theirs.project}"' in page
    assert f"/a/{make.digest('model 1')}?project=" in page, "links remember the project"

    told = roar("lookup", make.digest("model 1"), "--server", glaas.url).stdout.decode()
    assert told.index(f"  made by  {train[:12]}") < told.index(f"  also made by  {evil[:12]} in {theirs.project}")
    git(roar.folder, "config", "roar.glaas.url", glaas.url)
    git(roar.folder, "remote", "add", "glaas", f"{glaas.url}/{theirs.project}.git")
    own: Any = json.loads(roar("lookup", make.digest("model 1"), "--json").stdout)["found"][0]
    assert [maker["id"] for maker in own["made_by"]] == [evil, train], "a repository's own project stands first"
    assert [also["project"] for also in own["also_made_by"]] == [ours.project]


def test_its_own_maker_stands_first_in_each_project(glaas: Glaas, writer: Callable[[str], Writer]) -> None:
    ours, theirs = writer("zeta"), writer("alpha")
    early = theirs.has("download", {}, {"data.csv": "data 2"})
    late = ours.has("download", {}, {"data.csv": "data 2"}, at=60)
    assert made(glaas, "data 2")[0] == [early, late]
    assert made(glaas, "data 2", ours.project)[0] == [late, early]
    for one, maker in ((ours, late), (theirs, early)):
        use = one.has("use", {"data.csv": "data 2"}, {"out": one.project}, at=600)
        assert glaas.api(f"jobs/{use}")[1]["inputs"][0]["made_by"] == maker
    # a third one, that has it from elsewhere: the first that was accepted
    third = writer("middle").has("use", {"data.csv": "data 2"}, {"third": "third"}, at=600)
    assert glaas.api(f"jobs/{third}")[1]["inputs"][0]["made_by"] == early


def test_what_is_signed_stands_before_what_is_not(glaas: Glaas, writer: Callable[[str], Writer], git: Git) -> None:
    ours, theirs = writer("zeta"), writer("alpha")
    plain = theirs.has("train", {}, {"model.pkl": "model 3"})
    make.job(ours.repo, "before", {}, {"other": "other 3"})
    signed = make.job(ours.repo, "train", {}, {"model.pkl": "model 3"}, at=60)
    ours.sign(git)
    ours.push()
    assert made(glaas, "model 3")[0] == [signed, plain]
    try:
        glaas.people.disable_user(ADMIN, by="tests")
        assert made(glaas, "model 3")[0] == [plain, signed], "the signature of nobody who is known"
    finally:
        glaas.people.disable_user(ADMIN, by="tests", disabled=False)


def test_who_copies_records_gets_no_better_place(glaas: Glaas, writer: Callable[[str], Writer], git: Git) -> None:
    ours, theirs = writer("zeta"), writer("alpha")
    train = ours.has("train", {}, {"model.pkl": "model 4"})
    git(theirs.folder, "fetch", "-q", str(ours.folder), "refs/roar/*:refs/roar/*")
    theirs.push()
    (job,) = glaas.api(f"artifacts/{make.digest('model 4')}")[1]["made_by"]
    assert (job["id"], job["projects"]) == (train, [ours.project, theirs.project])
    page = urllib.request.urlopen(f"{glaas.url}/a/{make.digest('model 4')}").read().decode()
    assert f"{ours.project}.git" in page
    assert f"{theirs.project}.git" not in page
    found = lookup.origin(make.digest("model 4"), [Address(glaas.url)])
    assert found.projects == [Address(glaas.url, ours.project)], "reproduce fetches nothing else"
