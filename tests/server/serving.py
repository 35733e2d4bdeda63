"""A real ``roar serve``: a process on a free port of loopback, with a data directory, a user and a project."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

from roar.server import tokens
from roar.server.people import People
from roar.server.storage import Storage

ROOT = Path(__file__).resolve().parent.parent.parent
ADMIN, PROJECT = "ada", "team/model"


def make_key(path: Path) -> Path:
    """A fresh ed25519 key without a passphrase; the public one lies beside it."""
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", path.name, "-f", str(path)], check=True)
    return path


def until(answer: Callable[[], object], seconds: float = 60.0) -> None:
    """Wait until something is so."""
    end = time.monotonic() + seconds
    while not answer():
        assert time.monotonic() < end, "it never came about"
        time.sleep(0.02)


def options(database: str | None) -> tuple[str, ...]:
    """The words that name the database of a server."""
    return ("--database", database) if database else ()


class Glaas:
    """A server, its data directory, and the key of its administrator ``ada`` of the private project ``team/model``."""

    def __init__(self, folder: Path, *words: str, **env: str) -> None:
        self.data = folder / "data"
        self.home = folder / "home"
        self.home.mkdir()
        self.words = words
        self.env = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("GIT_", "ROAR_", "XDG_", "SSH_")) and name != "HOME"
        }
        self.env |= {"HOME": str(self.home), "GIT_CONFIG_NOSYSTEM": "1", "PYTHONPATH": str(ROOT), **env}
        self.storage = Storage(str(self.data))
        self.storage.prepare()
        self.people = People(self.storage)
        self.key = make_key(folder / "ada")
        self.keys = {ADMIN: self.key}
        self.people.add_user(ADMIN, by="tests")
        self.people.add_key(ADMIN, (folder / "ada.pub").read_text(), by="tests")
        self.people.add_project(PROJECT, by="tests", owner=ADMIN)
        self.port = 0
        self.log = folder / "log"
        self._process: subprocess.Popen[str] | None = None

    @property
    def database(self) -> str | None:
        """The database of its index; None: SQLite beside the repositories."""
        return self.words[self.words.index("--database") + 1] if "--database" in self.words else None

    @property
    def url(self) -> str:
        """The origin of the server."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def pid(self) -> int:
        """The server's process."""
        assert self._process is not None
        return self._process.pid

    def start(self) -> None:
        """Start the server and wait until it listens; the same port again at a second start."""
        words = [sys.executable, "-m", "roar", "serve", "--data", str(self.data), "--port", str(self.port), *self.words]
        with self.log.open("a") as log:
            self._process = subprocess.Popen(
                words, cwd=self.home, env=self.env, stdout=subprocess.PIPE, stderr=log, text=True
            )
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        assert " at http" in line, self.log.read_text()
        self.port = self.port or int(line.rpartition(":")[2])

    def migrate(self) -> None:
        """Make the tables of its database."""
        words = [sys.executable, "-m", "roar", "serve", "--data", str(self.data), *self.words, "--migrate"]
        if self.database:
            subprocess.run(words, cwd=self.home, env=self.env, check=True, capture_output=True)

    def stop(self, number: int = signal.SIGTERM) -> None:
        """End the server by a signal."""
        if self._process is not None:
            self._process.send_signal(number)
            self._process.wait(30)
            if self._process.stdout:
                self._process.stdout.close()
            self._process = None

    def user(self, name: str, folder: Path, **roles: str) -> Path:
        """Add a user with a fresh key and roles in projects (``team_model="write"``); gives the private key."""
        self.people.add_user(name, by="tests")
        self.keys[name] = make_key(folder / name)
        self.people.add_key(name, (folder / f"{name}.pub").read_text(), by="tests")
        for project, role in roles.items():
            self.people.grant(project.replace("_", "/"), name, role, by="tests")  # type: ignore[arg-type]
        return self.keys[name]

    def token(
        self, user: str = ADMIN, scope: str = "write", project: str | None = None, *, seconds: int = 600, at_ns: int = 0
    ) -> str:
        """A token as a log-in gives it."""
        return tokens.issue(
            self.storage.secret(),
            user=user,
            fingerprint=self.people.users()[user].keys[0].fingerprint,
            project=project,
            scope=scope,
            seconds=seconds,
            now_ns=at_ns or time.time_ns(),
        )

    def code(self, user: str = ADMIN, page: str = "/", *, audience: str = "", at_ns: int = 0) -> str:
        """A code that lets a browser in, as ``roar auth browse`` gets it."""
        return tokens.code(
            self.storage.secret(),
            audience=audience or self.url,
            user=user,
            fingerprint=self.people.users()[user].keys[0].fingerprint,
            page=page,
            now_ns=at_ns or time.time_ns(),
        )

    def remote(self, project: str = PROJECT, token: str | None = None) -> str:
        """The URL of a project for git, with a token (default: the administrator's; "": none) as its password."""
        word = self.token() if token is None else token
        return self.url.replace("://", f"://x:{word}@" if word else "://") + f"/{project}.git"

    def api(self, path: str, token: str | None = None, data: Any = None) -> tuple[int, Any]:
        """Status and JSON of a request (POST when there is ``data``) to ``/api/v1/PATH``."""
        body = None if data is None else json.dumps(data).encode()
        asked = urllib.request.Request(f"{self.url}/api/v1/{path}", body, {"Content-Type": "application/json"})
        if token:
            asked.add_header("Authorization", f"Bearer {token}")
        try:
            with urllib.request.urlopen(asked, timeout=30) as answer:
                return answer.status, json.loads(answer.read())
        except urllib.error.HTTPError as error:
            with error:
                return error.code, json.loads(error.read())

    def indexed(self, project: str) -> int:
        """How many jobs of a project the index has by now."""
        return int(self.api(f"projects/{project}", self.token())[1]["jobs"])

    def audited(self) -> list[dict[str, Any]]:
        """The lines of the audit log."""
        path = self.data / "audit.jsonl"
        return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []
