"""The gate of a project: whoever starts a git that receives stands beside it and answers its pre-receive hook.

The hook is a few lines of shell (``storage.HOOK``). It writes the path of git's quarantine and the refs to one pipe and
reads the answer from another; both ends were inherited from us through git. So nothing is imported for a push, over
HTTP and over SSH alike, and a gate that dies leaves a pipe without an end, which means no.
"""

from __future__ import annotations

import logging
import os
import threading
from typing import NamedTuple

from roar.errors import RoarError
from roar.git.repository import Repository
from roar.server import audit
from roar.server.people import People
from roar.server.storage import Storage
from roar.verbs import receive

log = logging.getLogger(__name__)

MOST_ASKED = 4 << 20
"""Bytes of the list of refs in one push."""


class Pusher(NamedTuple):
    """Who pushes, and from where."""

    user: str
    address: str


class Gate:
    """Stands beside one receiving git, which gets ``fds`` and ``environment``; then ``watch``; at its end ``close``."""

    def __init__(self, storage: Storage, people: People, project: str, pusher: Pusher) -> None:
        self._storage = storage
        self._people = people
        self._project = project
        self._pusher = pusher
        self._question, question = os.pipe()
        answer, self._answer = os.pipe()
        self.fds = (question, answer)
        self.environment = {"ROAR_ASK": str(question), "ROAR_ANSWER": str(answer)}
        self._accepted: dict[str, str] = {}
        self._thread: threading.Thread | None = None

    def watch(self) -> None:
        """Wait for the hook's question in a thread of its own. To be called when git has been started."""
        for fd in self.fds:
            os.close(fd)
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def close(self) -> None:
        """When git has ended: what came in is noted and put on the queue of the index."""
        if self._thread is None:
            for fd in (*self.fds, self._question, self._answer):
                os.close(fd)
            return
        self._thread.join()
        if self._accepted:
            self._storage.queue(self._project)
            audit.note(self._storage, "push", project=self._project, refs=self._accepted, **self._pusher._asdict())

    def _serve(self) -> None:
        with os.fdopen(self._question, "rb", 0) as question, os.fdopen(self._answer, "wb") as answer:
            asked = _question(question.fileno())
            if not asked:
                return
            try:
                problems = self._judge(asked[0], asked[1:])
            except RoarError as error:
                problems = [error.message]
            except Exception:
                log.exception("the gate of %s", self._project)
                problems = ["the server cannot check this push; its administrator finds the reason in its log"]
            lines = [f"roar: {problem}" for problem in problems] or ["ok"]
            try:
                answer.write("".join(f"{line}\n" for line in lines).encode("utf-8", "backslashreplace"))
                answer.flush()
            except BrokenPipeError:  # the pusher went away
                self._accepted = {}

    def _judge(self, quarantine: str, lines: list[str]) -> list[str]:
        repo = self._storage.repo(self._project)
        repo.extra_env = _in_quarantine(repo, quarantine)
        foreign = [line.split(" ", 2)[-1] for line in lines if f" {receive.OURS}" not in line]
        problems = [f"{ref}: this server keeps records alone (next: push it elsewhere)" for ref in foreign]
        problems += receive.problems(repo, lines)
        refs = {ref: new for _, new, ref in (line.split(" ", 2) for line in lines)}
        if problems:
            audit.note(self._storage, "refused", project=self._project, reasons=problems, **self._pusher._asdict())
        else:
            self._accepted = refs
        return problems


def _question(fd: int) -> list[str]:
    """What the hook asks: lines up to an empty one. Nothing when there was no question, or half of one."""
    data = b""
    while piece := os.read(fd, 1 << 16):
        data += piece
        if data.endswith(b"\n\n"):
            return data.decode("utf-8", "surrogateescape").splitlines()[:-1]
        if len(data) > MOST_ASKED:
            break
    return []


def _in_quarantine(repo: Repository, path: str) -> dict[str, str]:
    """The environment in which git sees the objects of a push. Raises ``RoarError`` for a place that is not git's."""
    if os.path.dirname(os.path.realpath(path)) != os.path.realpath(repo.objects_dir):
        raise RoarError(f"{path} is no quarantine of {repo.git_dir}")
    return {
        "GIT_OBJECT_DIRECTORY": path,
        "GIT_ALTERNATE_OBJECT_DIRECTORIES": repo.objects_dir,
        "GIT_QUARANTINE_PATH": path,
        "GIT_NO_REPLACE_OBJECTS": "1",
    }
