"""Clocks that are wrong, the server's and its clients', and tokens that are not one's own, against a running server."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import make
import pytest
from conftest import Git, Roar

from roar.git import refs
from roar.git.repository import Repository
from roar.glaas import login, ssh
from roar.records import codec
from roar.server import tokens
from roar.server.log import Log
from server.conftest import on_both
from server.crafted import REF, commit, push, told
from server.serving import ADMIN, PROJECT, ROOT, Glaas
from server.state import assert_there, nothing_left

engine = on_both
HOUR, DAY = 3600, 86400

MOVED = """
import time
_ns = time.time_ns
def _moved():
    with open({path!r}) as file:
        return int(file.read() or 0) * 10**9
time.time_ns = lambda: _ns() + _moved()
time.time = lambda: time.time_ns() / 1e9
"""


class Clock:
    """The wall clock of the processes that have ``path`` in front of their PYTHONPATH."""

    def __init__(self, folder: Path) -> None:
        self._file = folder / "moved"
        self.path = f"{folder}:{ROOT}"
        self.move(0)
        (folder / "sitecustomize.py").write_text(MOVED.format(path=str(self._file)))

    def move(self, seconds: int) -> None:
        """Set it so far from the right time."""
        new = self._file.with_suffix(".new")
        new.write_text(str(seconds))
        new.replace(self._file)


@pytest.fixture(scope="module")
def clock(tmp_path_factory: pytest.TempPathFactory) -> Clock:
    return Clock(tmp_path_factory.mktemp("clock"))


@pytest.fixture(scope="module")
def glaas(tmp_path_factory: pytest.TempPathFactory, engine: tuple[str, ...], clock: Clock) -> Iterator[Glaas]:
    """A running server whose clock can be moved."""
    server = Glaas(tmp_path_factory.mktemp("glaas"), *engine, PYTHONPATH=clock.path)
    server.migrate()
    server.start()
    yield server
    server.stop()


@pytest.fixture(autouse=True)
def right_again(clock: Clock) -> Iterator[None]:
    yield
    clock.move(0)


def challenged(glaas: Glaas, project: str) -> dict[str, str]:
    """A challenge of the server, and the signature that answers it."""
    wish = {"audience": glaas.url, "project": project, "operation": "write"}
    status, answer = glaas.api("auth/challenge", data=wish)
    assert status == 200, answer
    key = ssh.read(str(glaas.key))
    message = login.message(glaas.url, project, "write", answer["challenge"])
    signature = ssh.sign(message, key, login.NAMESPACE)
    return {"challenge": answer["challenge"], "key": key.fingerprint, "signature": signature}


def logged_in(glaas: Glaas, project: str) -> str:
    status, answer = glaas.api("auth/token", data=challenged(glaas, project))
    assert status == 200, answer
    return str(answer["token"])


def test_the_clock_of_the_server_is_moved(
    glaas: Glaas, clock: Clock, project: str, repo: Repository, tree: Path
) -> None:
    """Ahead and back: what was given for a time is refused at another one, log-ins and pushes go on at once."""
    early, waiting, answered = (logged_in(glaas, project), challenged(glaas, project), challenged(glaas, project))
    assert glaas.api("auth/token", data=answered)[0] == 200
    asked = f"projects/{project}/log/checkpoint"
    assert glaas.api(asked, early)[0] == 200
    clock.move(HOUR)
    assert glaas.api(asked, early)[0] == 401
    assert glaas.api("auth/token", data=waiting)[0] == 403
    late, from_late = logged_in(glaas, project), challenged(glaas, project)
    jobs = [make.job(repo, "python a.py")]
    with nothing_left(glaas, project):
        push(tree, glaas.remote(project, early), "refs/roar/*", code=128)
    push(tree, glaas.remote(project, late), "refs/roar/*", code=0)
    assert glaas.api(asked, late)[0] == 200  # and so what came in is in the log
    (first,) = Log(glaas.storage.repo(project)).accepted(0, 1)
    assert abs(first.at_ns / 10**9 - time.time() - HOUR) < 600
    clock.move(0)
    for stale in (from_late, answered):  # from a time to come; and again, though the hour between had expired it
        assert glaas.api("auth/token", data=stale)[0] == 403
    assert glaas.api(asked, late)[0] == 401
    assert glaas.api(asked, early)[0] == 200
    jobs.append(make.job(repo, "python b.py"))
    push(tree, glaas.remote(project, logged_in(glaas, project)), "refs/roar/*", code=0)
    assert_there(glaas, project, *jobs)
    assert [entry.id for entry in Log(glaas.storage.repo(project)).accepted(0, 9)] == jobs
    (second,) = Log(glaas.storage.repo(project)).accepted(1, 2)
    assert second.at_ns >= first.at_ns


def test_servers_with_clocks_a_little_apart_take_each_others_tokens(glaas: Glaas, clock: Clock, project: str) -> None:
    token, waiting = logged_in(glaas, project), challenged(glaas, project)
    clock.move(-tokens.SKEW_SECONDS + 10)
    assert glaas.api(f"projects/{project}/log/checkpoint", token)[0] == 200
    assert glaas.api("auth/token", data=waiting)[0] == 200


def test_the_clock_of_a_writer_is_wrong(
    glaas: Glaas, clock: Clock, project: str, repo: Repository, tree: Path, git: Git
) -> None:
    """More than a day ahead of the server's, whichever is wrong: refused. Behind, by decades: taken."""
    job = make.job(repo, "python a.py")
    (ref,) = refs.listing(repo, "refs/roar/jobs/")
    url = glaas.remote(project)
    body = git(tree, "cat-file", "blob", f"{ref}:record.json").encode()

    def at(seconds: float) -> str:
        return commit(repo, {b"record.json": codec.dumps({**codec.orjson.loads(body), "clock": int(seconds * 1000)})})

    with nothing_left(glaas, project):
        (line,) = told(push(tree, url, f"{at(time.time() + DAY + HOUR)}:{REF}"))
        assert "which is yet to come" in line
    push(tree, url, f"{at(time.time() + DAY - HOUR)}:{REF}", f"{at(HOUR)}:{REF[:-1]}0", code=0)
    clock.move(-2 * DAY)  # now it is the server's
    url = glaas.remote(project, logged_in(glaas, project))
    (line,) = told(push(tree, url, ref))
    assert "which is yet to come" in line
    assert ref not in refs.listing(glaas.storage.repo(project), "refs/")
    clock.move(0)
    push(tree, glaas.remote(project), ref, code=0)
    assert_there(glaas, project, job)


@pytest.mark.parametrize("years", [-10, 10])
def test_the_clock_of_a_client_is_wrong(
    glaas: Glaas, project: str, roar: Roar, repo: Repository, tree: Path, home_key: Path, tmp_path: Path, years: int
) -> None:
    """Tokens last by the server's clock, so nobody is logged out by a wrong one, and git pushes."""
    mine = Clock(tmp_path)
    make.job(repo, "python a.py")
    url = f"{glaas.url}/{project}.git"
    mine.move(years * 365 * DAY)
    roar("auth", "login", url, PYTHONPATH=mine.path)
    push(tree, url, "refs/roar/*", code=0, PYTHONPATH=mine.path)
    assert len(refs.listing(glaas.storage.repo(project), "refs/roar/")) == 1


def test_tokens_that_are_worth_nothing(
    glaas: Glaas, project: str, repo: Repository, tree: Path, git: Git, tmp_path: Path
) -> None:
    """Expired, stolen and given back, of another project or server, too weak: nothing comes in and nothing is shown."""
    job = make.job(repo, "python a.py", {}, {"m": "secret"})
    push(tree, glaas.remote(project), "refs/roar/*", code=0)
    assert_there(glaas, project, job)
    late = make.job(repo, "python b.py")
    thief = f"thief{project.rpartition('/')[2]}"
    key = glaas.user(thief, tmp_path, **{project.replace("/", "_"): "admin"})
    stolen = glaas.token(thief, "admin")
    glaas.people.remove_key(thief, ssh.read(str(key)).fingerprint, by=ADMIN)
    about = {"user": ADMIN, "fingerprint": ssh.read(str(glaas.key)).fingerprint, "project": None, "scope": "admin"}
    foreign = tokens.issue(b"x" * 32, **about, seconds=600, now_ns=time.time_ns())
    worthless = {
        "expired": glaas.token(project=project, at_ns=time.time_ns() - HOUR * 10**9),
        "stolen": stolen,
        "of another server": foreign,
        "changed": glaas.token()[:-2] + "AA",
        "of another project": glaas.token(project=PROJECT, scope="admin"),
    }
    hidden = (
        f"jobs/{job}",
        f"artifacts/{make.digest('secret')}",
        f"projects/{project}",
        f"projects/{project}/log/entries",
    )
    with nothing_left(glaas, project):
        for name, token in {**worthless, "to read": glaas.token(project=project, scope="read")}.items():
            said = push(tree, glaas.remote(project, token), "refs/roar/*", code=128)
            assert token not in said
            if name != "to read":
                assert {glaas.api(path, token)[0] for path in hidden} <= {401, 404}, name
                asked = ["git", "ls-remote", glaas.remote(project, token)]
                shown = subprocess.run(
                    asked, cwd=tree, env={**os.environ, "GIT_TERMINAL_PROMPT": "0"}, capture_output=True
                )
                assert (shown.returncode, shown.stdout) == (128, b""), name
    for token in worthless.values():
        assert token not in (glaas.data / "audit.jsonl").read_text() + glaas.log.read_text()
    push(tree, glaas.remote(project), "refs/roar/*", code=0)
    assert_there(glaas, project, job, late)
