"""What may not be seen is told from what is not there by nothing that a caller gets, and takes the same work."""

from __future__ import annotations

import asyncio
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import make
import psycopg
import pytest
from fastapi import FastAPI

from roar.git.repository import discover
from roar.server import tokens, worker
from roar.server.app import create_app
from roar.server.migrate import migrate
from roar.server.people import People
from roar.server.storage import Storage
from server.conftest import on_both
from server.serving import make_key

SECRET, NONE = make.digest("secret"), make.digest("no such thing")
NO_JOB = "0" * 26
engine = on_both
_watched: list[list[str]] = []


def _hook(event: str, args: tuple[Any, ...]) -> None:
    """Note each file that is opened and each program that is started while somebody watches."""
    if _watched and event in ("open", "subprocess.Popen", "os.listdir", "os.scandir"):
        _watched[-1].append(f"{event} {args[0]}")


def _connect(*args: Any, **more: Any) -> sqlite3.Connection:
    """A connection whose every question is noted, with its values."""
    connection = _connected(*args, **more)
    connection.set_trace_callback(lambda text: _watched[-1].append(text) if _watched else None)
    return connection


def _execute(connection: psycopg.Connection[Any], statement: Any, values: Any = None, **more: Any) -> Any:
    """The same of PostgreSQL."""
    if _watched:
        _watched[-1].append(f"{statement} {values}")
    return _executed(connection, statement, values, **more)


_connected = sqlite3.connect
_executed = psycopg.Connection.execute
sys.addaudithook(_hook)


class Answer(NamedTuple):
    """All that a caller gets, and what was done for it."""

    status: int
    headers: list[tuple[bytes, bytes]]
    """All but the ETag, which is a hash of the body."""
    body: bytes
    work: list[str]

    def renamed(self, names: dict[str, str]) -> Answer:
        """The same of something else."""

        def to(text: str) -> str:
            for name, other in names.items():
                text = text.replace(name, other)
            return text

        body = to(self.body.decode()).encode()
        return Answer(self.status, self.headers, body, [to(line) for line in self.work])


class Site:
    """A server's application, with a public project and a private one that has far more in it."""

    def __init__(self, folder: Path, url: str | None) -> None:
        self.storage = Storage(str(folder / "data"))
        self.storage.prepare()
        people = People(self.storage)
        make_key(folder / "sam")
        people.add_user("sam", by="tests")
        key = people.add_key("sam", (folder / "sam.pub").read_text(), by="tests")
        people.add_project("team/open", by="tests", visibility="public")
        people.add_project("team/closed", by="tests")
        migrate(self.storage, url)
        subprocess.run(["git", "init", "-q", str(folder / "clone")], check=True)
        clone = discover(str(folder / "clone"))
        self.shown = make.job(clone, "shown", {}, {"shown": "shown"})
        self._bring(clone.git_dir, "team/open")
        (python,) = make.COMMON["environment"]["pythons"]
        python = {**python, "read": [{"name": "veiled-package", "version": "1"}]}
        more = {"code": {"commit": "c" * 40}, "environment": {**make.COMMON["environment"], "pythons": [python]}}
        self.hidden = make.job(clone, "veiled-command", {"shown": "shown"}, {"veiled-path": "secret"}, at=60, **more)
        self.session = make.session(clone, name="hidden")
        make.bulk(clone, make.pipelines(60, session=self.session))
        self._bring(clone.git_dir, "team/closed")
        worker.run_once(self.storage, url)
        self.app: FastAPI = create_app(self.storage, url, url="http://127.0.0.1")
        self.token = tokens.issue(
            self.storage.secret(),
            user="sam",
            fingerprint=key.fingerprint,
            project=None,
            scope="write",
            seconds=3600,
            now_ns=time.time_ns(),
        )

        self.visit = tokens.visit(self.storage.secret(), user="sam", fingerprint=key.fingerprint, now_ns=time.time_ns())

    def _bring(self, source: str, project: str) -> None:
        bare = self.storage.repo(project).git_dir
        subprocess.run(["git", f"--git-dir={bare}", "fetch", "-q", source, "+refs/roar/*:refs/roar/*"], check=True)
        self.storage.queue(project)

    def get(self, path: str, token: str | None, accept: str) -> Answer:
        """The answer of the application to a request."""
        path, _, query = path.partition("?")
        headers = [(b"host", b"127.0.0.1"), (b"accept", accept.encode())]
        if token:
            visit, bearer = (b"cookie", f"roar={token}"), (b"authorization", f"Bearer {token}")
            name, value = visit if token.startswith("roar-v1") else bearer
            headers.append((name, value.encode()))
        scope = {
            "type": "http",
            "asgi": {"version": "3.0"},
            "http_version": "1.1",
            "method": "GET",
            "scheme": "http",
            "path": path,
            "raw_path": path.encode(),
            "query_string": query.encode(),
            "headers": headers,
            "client": ("192.0.2.1", 1),
            "server": ("127.0.0.1", 80),
            "root_path": "",
            "state": {},
        }
        sent: list[Any] = []

        async def receive() -> dict[str, Any]:
            return {"type": "http.request", "body": b"", "more_body": False}

        async def send(message: Any) -> None:
            sent.append(message)

        _watched.append([])
        try:
            asyncio.run(self.app(scope, receive, send))
        finally:
            work = _watched.pop()
        start, *parts = sent
        body = b"".join(part.get("body", b"") for part in parts)
        headers = sorted(header for header in start["headers"] if header[0] != b"etag")
        return Answer(start["status"], headers, body, work)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory, engine: tuple[str, ...]) -> Iterator[Site]:
    with pytest.MonkeyPatch.context() as patch:
        folder = tmp_path_factory.mktemp("site")
        for name, value in {"HOME": str(folder), "GIT_CONFIG_NOSYSTEM": "1"}.items():
            patch.setenv(name, value)
        for name in ("AUTHOR", "COMMITTER"):
            patch.setenv(f"GIT_{name}_NAME", "Ada")
            patch.setenv(f"GIT_{name}_EMAIL", "ada@example.org")
        patch.setattr(sqlite3, "connect", _connect)
        patch.setattr(psycopg.Connection, "execute", _execute)
        made = Site(folder, engine[-1] if engine else None)
        yield made
        made.app.state.site.close()


ASKED = [
    ("/api/v1/artifacts/{content}", 404),
    ("/api/v1/artifacts/{prefix}", 404),
    ("/api/v1/artifacts/{content}/lineage", 404),
    ("/api/v1/jobs/{job}", 404),
    ("/api/v1/jobs/{job}/diff/{shown}", 404),
    ("/api/v1/jobs/{shown}/diff/{job}", 404),
    ("/api/v1/jobs/{shown}?project={project}", 200),
    ("/api/v1/sessions/{session}", 404),
    ("/api/v1/projects/{project}", 404),
    ("/api/v1/projects/{project}/records?id={job}", 404),
    ("/api/v1/projects/{project}/log/checkpoint", None),
    ("/api/v1/projects/{project}/log/proof?size=1&id={job}", None),
    ("/api/v1/search?command={command}", 200),
    ("/api/v1/search?path={path}", 200),
    ("/api/v1/search?commit={commit}", 200),
    ("/api/v1/search?package={package}", 200),
    ("/a/{content}", 404),
    ("/j/{job}", 404),
    ("/s/{session}", 404),
    ("/c/{commit}", 404),
    ("/p/{project}", 404),
    ("/search?q={content}", 200),
    ("/search?q={path}", 200),
    ("/{project}.git/info/refs?service=git-upload-pack", None),
    ("/{project}.git/info/refs?service=git-receive-pack", None),
]


@pytest.mark.parametrize("who", ["nobody", "sam", "sam's browser"])
@pytest.mark.parametrize(("path", "status"), ASKED, ids=[path for path, _ in ASKED])
def test_the_hidden_and_the_missing_are_the_same(site: Site, path: str, status: int | None, who: str) -> None:
    hidden = {
        "content": SECRET,
        "prefix": SECRET[:9],
        "job": site.hidden,
        "session": site.session,
        "project": "team/closed",
        "command": "veiled-command",
        "path": "veiled-path",
        "commit": "c" * 40,
        "package": "veiled-package",
    }
    missing = {
        "content": NONE,
        "prefix": NONE[:9],
        "job": NO_JOB,
        "session": "0" * 25 + "1",
        "project": "team/cloud9",
        "command": "absent-command",
        "path": "absent-path",
        "commit": "d" * 40,
        "package": "absent-package",
    }
    token = {"nobody": None, "sam": site.token, "sam's browser": site.visit}[who]
    for accept in ("application/json", "text/html"):
        site.get(path.format(shown=site.shown, **missing), token, accept)  # connections are opened, templates read
        found = site.get(path.format(shown=site.shown, **hidden), token, accept)
        other = site.get(path.format(shown=site.shown, **missing), token, accept)
        names = {hidden[name]: missing[name] for name in hidden if f"{{{name}}}" in path}
        if "{prefix}" in path:
            names |= {SECRET[:9]: NONE[:9]}
        assert found.renamed(names) == other
        assert found.status == (status or (404 if who == "sam" else 401))


def test_who_may_see_what_is_asked_once_however_many_projects_there_are(site: Site) -> None:
    def work() -> list[str]:
        return site.get("/api/v1/search?command=no-such", site.token, "application/json").work

    work()  # connections are opened
    before = work()
    assert any("SELECT" in line for line in before)
    people = People(site.storage)
    for number in range(8):
        people.add_project(f"many/p{number}", by="tests")
    work()  # reads the settings anew
    assert work() == before
