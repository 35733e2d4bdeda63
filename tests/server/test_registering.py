"""``roar register`` with a real server: sent, shown to be in its log, waiting while it is away."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import make
import pytest
from conftest import Git, Roar

from roar.git.repository import Repository
from roar.journal import JOBS
from server.serving import Glaas, until


@pytest.fixture
def remote(glaas: Glaas, project: str, roar: Roar, git: Git, home_key: object) -> str:
    """A private project that the repository has as the remote glaas, with somebody logged in who may write."""
    git(roar.folder, "remote", "add", "glaas", f"{glaas.url}/{project}.git")
    roar("auth", "login", glaas.url)
    return project


def pipeline(repo: Repository) -> list[str]:
    session = make.session(repo)
    first = make.job(repo, "prepare", {"raw": "r"}, {"train": "t"}, session=session)
    return [session, first, make.job(repo, "train", {"train": "t"}, {"model": "m"}, at=1, session=session)]


def answer(roar: Roar, *words: str, code: int = 0) -> Any:
    return json.loads(roar("register", *words, "--json", code=code).stdout)


def test_what_is_registered_is_shown_to_be_in_the_log(
    glaas: Glaas, remote: str, roar: Roar, repo: Repository, git: Git
) -> None:
    session, *_, last = pipeline(repo)
    model = make.digest("m")
    said = roar("register", model).stdout.decode()
    assert said == (
        f"registered {model} with glaas, 2 jobs: 3 records sent\n"
        f"  confirmed: 2 records in the log of {remote}, which has 3\n"
        f"  {glaas.url}/a/{model}\n"
    )
    again = answer(roar, model)
    assert (again["records"], again["log"]["included"], again["log"]["missing"]) == (0, 2, [])
    assert answer(roar, last)["url"] == f"{glaas.url}/j/{last}"
    assert answer(roar)["url"] == f"{glaas.url}/s/{session}"
    git(roar.folder, "config", "roar.glaas.webUrl", "https://lineage.example.org/")
    assert answer(roar, last)["url"] == f"https://lineage.example.org/j/{last}"
    git(roar.folder, "config", "--unset", "roar.glaas.webUrl")
    whole = answer(roar, "--all")
    assert (whole["url"], whole["log"]["included"]) == (f"{glaas.url}/p/{remote}", 3)
    assert git(glaas.storage.path(remote), "for-each-ref", "--format=x", JOBS) == "x"
    assert json.loads(roar("verify", "--json").stdout)["logs"][0]["included"] == 3


def test_without_the_code_beside_them(glaas: Glaas, remote: str, roar: Roar, repo: Repository, git: Git) -> None:
    text = "print('the private idea')\n"
    code = {"overlay": [make.overlaid("train.py", text)]}
    job = make.job(repo, "python train.py", {"train.py": text}, {"model": "m"}, code=code)
    sent = answer(roar, make.digest("m"), "--no-overlay")
    assert (sent["without_overlay"], sent["log"]["included"], sent["log"]["missing"]) == ([job], 1, [])
    until(lambda: glaas.api(f"jobs/{job}", glaas.token())[0] == 200)
    shown = glaas.api(f"jobs/{job}", glaas.token())[1]
    assert shown["overlay_withheld"] is True
    place = glaas.storage.path(remote)
    objects = subprocess.run(
        ["git", "-C", place, "cat-file", "--batch-all-objects", "--batch"], capture_output=True, check=True
    )
    assert b"the private idea" not in objects.stdout
    assert answer(roar, make.digest("m"))["with_overlay"] == [job]
    until(lambda: glaas.api(f"jobs/{job}", glaas.token())[1]["overlay_withheld"] is False)


def test_what_cannot_be_sent_waits(glaas: Glaas, remote: str, roar: Roar, repo: Repository, git: Git) -> None:
    pipeline(repo)
    make.job(repo, "other", {}, {"else": "e"}, at=2)
    glaas.stop()
    try:
        for name in (make.digest("m"), make.digest("e"), make.digest("m")):
            done = roar("register", name, code=1)
            assert b"it waits, and the records are kept here (next: roar register --waiting" in done.stderr
            assert done.stderr.count(b"\n") == 1
        assert b"cannot be reached" in roar("verify").stdout
        assert b"2 registrations with glaas waiting (next: roar register --waiting)\n" in roar("status").stdout
        make.job(repo, "last", {"model": "m"}, {"report": "p"}, at=3)
    finally:
        glaas.start()
    done = roar("register", make.digest("e"))
    assert b"registered " + make.digest("e").encode() in done.stdout
    assert f"roar: {make.digest('m')}, which waited, is registered with glaas, too\n".encode() in done.stderr
    assert roar("register", "--waiting").stdout == b"nothing waits to be registered\n"
    glaas.stop()
    try:
        roar("register", "--all", code=1)
    finally:
        glaas.start()
    (sent,) = answer(roar, "--waiting")
    assert sent["name"] == "everything recorded here"
    assert b"different things" in roar("register", "--all", "--waiting", code=2).stderr


def test_sync_sends_what_waited(glaas: Glaas, remote: str, roar: Roar, repo: Repository) -> None:
    pipeline(repo)
    model = make.digest("m")
    glaas.stop()
    try:
        roar("register", model, code=1)
        roar("sync", code=1)
        assert b"1 registration with glaas waiting" in roar("status").stdout
    finally:
        glaas.start()
    roar("sync", "--fetch-only")
    done = roar("sync")
    assert done.stderr == f"roar: {model}, which waited, is registered with glaas, too\n".encode()
    assert done.stdout.startswith(b"glaas: fetched ")
    assert json.loads(roar("sync", "--json").stdout)["registered"] == []
    assert roar("register", "--waiting").stdout == b"nothing waits to be registered\n"


def test_without_a_log_in_it_says_what_to_do(
    glaas: Glaas, project: str, roar: Roar, repo: Repository, git: Git
) -> None:
    pipeline(repo)
    git(roar.folder, "remote", "add", "glaas", f"{glaas.url}/{project}.git")
    git(roar.folder, "config", "roar.glaas.url", glaas.url)
    done = roar("register", "--all", code=1)
    assert done.stderr.decode().endswith(f"wants a log-in (next: roar auth login {glaas.url}/{project}.git)\n")
    git(roar.folder, "config", "--unset", "roar.glaas.url")
    done = roar("register", "--all", code=1)
    assert done.stderr == b"roar: nothing was registered: glaas wants a log-in (next: roar auth login glaas)\n"
    assert roar("register", "--waiting").stdout == b"nothing waits to be registered\n"


def test_the_code_goes_with_it(glaas: Glaas, remote: str, roar: Roar, repo: Repository, git: Git) -> None:
    head = make.commit(roar.folder, git, "code")
    make.job_on(repo, head)
    sent = answer(roar, "--all", "--with-code")
    assert head in sent["commits_sent"]
    assert git(glaas.storage.path(remote), "cat-file", "-t", head) == "commit"


def test_a_server_is_not_asked_to_take_branches_and_tags(
    glaas: Glaas, remote: str, roar: Roar, repo: Repository, git: Git
) -> None:
    head = make.commit(roar.folder, git, "code")
    make.job(repo, "train", {}, {"model": "m"}, code={"commit": head})
    git(roar.folder, "config", "roar.register.tag", "true")
    made = make.digest("m")
    done = roar("register", made)
    assert done.stderr == b"roar: 1 commit of a job is on no remote branch (next: roar register --with-code)\n"
    assert f", tagged roar/{made[:12]}\n" in done.stdout.decode()
    assert git(roar.folder, "rev-parse", f"roar/{made[:12]}^{{commit}}") == head
    assert b"(next: roar register --all --with-code --remote glaas)" in roar("sync").stderr
    git(roar.folder, "remote", "add", "zebra", "/nowhere")
    assert b"(next: roar register --with-code, or git push zebra HEAD)" in roar("register", made).stderr
    assert "tagged" not in roar("register", made).stdout.decode()


def test_one_that_is_killed_is_made_again(glaas: Glaas, remote: str, roar: Roar, repo: Repository) -> None:
    make.bulk(repo, make.pipelines(300))
    there = Path(glaas.storage.path(remote))
    words = [sys.executable, "-m", "roar", "register", "--all"]
    with subprocess.Popen(words, cwd=roar.folder, start_new_session=True, stdout=subprocess.DEVNULL) as killed:
        until(lambda: list((there / "objects").glob("tmp_objdir-*")) or killed.poll() is not None)
        os.killpg(killed.pid, signal.SIGKILL)
    done = answer(roar, "--all")
    assert (done["log"]["included"], done["log"]["size"]) == (300, 300)
    assert answer(roar, "--all")["records"] == 0
    until(lambda: not list((there / "objects").glob("tmp_objdir-*")))


def test_a_refusal_by_the_server_is_one_line(glaas: Glaas, remote: str, roar: Roar, repo: Repository, git: Git) -> None:
    make.job(repo, ["curl", "ghp_" + "aB3dE5gH7jK9" * 3], {}, {"m": "1"})
    done = roar("register", "--all", "-y", code=1)
    assert b"refused refs/roar/jobs" in done.stderr
    assert b"(next: roar pop --purge the record, or ask" in done.stderr, "the server's own words"
    assert done.stderr.count(b"\n") == 1
    assert roar("register", "--all", code=1).stderr.startswith(b"everything recorded here")
