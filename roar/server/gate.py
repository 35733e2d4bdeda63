"""The gate of a project: whoever starts a git that receives stands beside it and answers its pre-receive hook.

The hook is a few lines of shell (``storage.HOOK``). It writes the path of git's quarantine and the refs to one pipe and
reads the answer from another; both ends were inherited from us through git. So nothing is imported for a push, over
HTTP and over SSH alike, and a gate that dies leaves a pipe without an end, which means no.
"""

from __future__ import annotations

import contextlib
import logging
import os
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping
from typing import NamedTuple

from roar.errors import RoarError
from roar.git import program, refs, signing
from roar.git.repository import Repository
from roar.journal import ARCHIVE, JOBS
from roar.redact import BUILT_IN
from roar.server import audit, log, usage
from roar.server.limits import Limits
from roar.server.people import People, Project, Role
from roar.server.storage import Storage
from roar.verbs import receive
from roar.verbs.arrived import Arrived
from roar.verbs.arriving import Rules, in_time

logger = logging.getLogger(__name__)

MOST_ASKED = 4 << 20
"""Bytes of the list of refs in one push."""
_SIGNATURES_AT_ONCE = 64
AHEAD_MS = 24 * 3600 * 1000
"""How far a record's clock may be ahead of ours: a record that names a later one must be later still."""


class Pusher(NamedTuple):
    """Who pushes, and from where."""

    user: str
    address: str


class Gate:
    """Stands beside one receiving git, which gets ``fds`` and ``environment``; then ``watch``; at its end ``close``."""

    def __init__(self, storage: Storage, people: People, project: str, pusher: Pusher, limits: Limits) -> None:
        self._storage = storage
        self._people = people
        self._project = project
        self._pusher = pusher
        self._limits = limits
        self._question, question = os.pipe()
        answer, self._answer = os.pipe()
        self.fds = (question, answer)
        self.environment = {
            "ROAR_ASK": str(question),
            "ROAR_ANSWER": str(answer),
            "ROAR_QUEUE": storage.queue_place(project),
        }
        self._accepted: dict[str, str] = {}
        self._thread: threading.Thread | None = None

    def watch(self) -> None:
        """Wait for the hook's question in a thread of its own. To be called when git has been started."""
        for fd in self.fds:
            os.close(fd)
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def is_beside_git(self) -> bool:
        """False once all of git has ended: nobody can ask any more."""
        return self._thread is not None and self._thread.is_alive()

    def close(self) -> bool:
        """When git has ended: what was let in and yet did not come in is noted. True when something was let in."""
        if self._thread is None:
            for fd in (*self.fds, self._question, self._answer):
                os.close(fd)
            return False
        self._thread.join()
        if not self._accepted:
            return False
        repo = self._storage.repo(self._project)
        here = {ref: refs.read(repo, ref) or "" for ref in self._accepted}
        lost = {ref: oid for ref, oid in here.items() if oid != self._accepted[ref]}
        if lost:  # somebody else's push of the same ref was faster, or the pusher left at the last moment
            self._note("not-done", lost)
        return True

    def _serve(self) -> None:
        with os.fdopen(self._question, "rb", 0) as question, os.fdopen(self._answer, "wb") as answer:
            try:
                asked = _question(question.fileno())
                if not asked:
                    return
                problems = self._judge(asked[0], asked[1:])
            except RoarError as error:
                problems = [receive.line(error.message)]
            except OSError as error:
                logger.exception("the gate of %s", self._project)
                problems = [
                    f"the server cannot check or note this push: {error.strerror} (next: tell its administrator)"
                ]
            except Exception:
                logger.exception("the gate of %s", self._project)
                problems = [
                    "the server cannot check this push (next: tell its administrator, whose log has the reason)"
                ]
            if problems:
                self._accepted = {}
                with contextlib.suppress(OSError):
                    self._note("refused", problems)
            lines = [f"roar: {problem}" for problem in problems] or ["ok"]
            with contextlib.suppress(BrokenPipeError):  # the pusher went away; close() says what became of it
                answer.write("".join(f"{line}\n" for line in lines).encode("utf-8", "backslashreplace"))
                answer.close()
            while os.read(question.fileno(), 1 << 16):  # until all of git has ended
                pass

    def _judge(self, quarantine: str, lines: list[str]) -> list[str]:
        settings = self._people.projects().get(self._project)
        if settings is None or self._people.role(self._pusher.user, self._project) < Role.WRITE:
            return [f"{self._pusher.user} may not write in {self._project} any more"]
        repo = self._storage.repo(self._project)
        repo.extra_env = _in_quarantine(repo, quarantine)
        pushed = [line.split(" ", 2) for line in lines]
        if len(pushed) > self._limits.refs:
            return [f"it names {len(pushed)} refs, more than {self._limits.refs} (next: push fewer at once)"]
        foreign = [ref for _, _, ref in pushed if not ref.startswith(receive.OURS)]
        if foreign:
            return [f"{ref}: this server keeps records alone (next: push {receive.OURS}*)" for ref in foreign[:20]]
        if quarantine and (count := usage.packed(quarantine)) > self._limits.objects:
            return [f"it brings {count} objects, more than {self._limits.objects} (next: push less at once)"]
        size = usage.used(repo) + (usage.measure(quarantine) if quarantine else 0)
        if size > settings.quota_bytes:
            return [
                f"{self._project} would have {size} bytes, more than its quota of {settings.quota_bytes} "
                "(next: ask one of its administrators)"
            ]
        rules = Rules(
            latest_ms=time.time_ns() // 1_000_000 + AHEAD_MS,
            secrets=None if settings.secrets == "allowed" else BUILT_IN,
            rewrites=settings.rewrites == "allowed",
            most_objects=self._limits.objects,
            deadline=time.monotonic() + self._limits.check_seconds,
        )

        def more(arrived: Arrived, updates: list[receive.Update]) -> list[str]:
            return self._unsigned(repo, settings, arrived, updates, rules)

        problems = receive.problems(repo, lines, rules, more)
        if not problems:
            self._accepted = {ref: new for _, new, ref in pushed if new != repo.zero}
            self._note("push", self._accepted)
            usage.add(repo, size)
        return problems

    def _unsigned(
        self, repo: Repository, settings: Project, arrived: Arrived, updates: list[receive.Update], rules: Rules
    ) -> list[str]:
        """What is wrong with signatures: bad ones, those of nobody here or of one who may not write; too few."""
        required = settings.signers == "required"
        signed = [oid for oid, commit in arrived.commits.items() if commit.signed]
        found: list[str] = []
        good: set[str] = set()
        with tempfile.NamedTemporaryFile(prefix="roar-signers-") as signers:
            if signed:
                signers.write(self._people.allowed_signers())
                signers.flush()
                repo.extra_env |= {
                    "GIT_CONFIG_COUNT": "1",
                    "GIT_CONFIG_KEY_0": "gpg.ssh.allowedSignersFile",
                    "GIT_CONFIG_VALUE_0": signers.name,
                }
            for oid, signature in _checked(repo, signed, rules):
                who = signature.signer or signature.key or "somebody"
                if signature.state == "good" and self._people.role(signature.signer, self._project) >= Role.WRITE:
                    good.add(oid)
                elif signature.state == "good":
                    found.append(f"commit {oid} is signed by {who}, who may not write in {self._project}")
                elif signature.state == "bad":
                    found.append(f"commit {oid} has a bad signature: its bytes are not what was signed")
                elif required or arrived.commits[oid].signed == "ssh":
                    found.append(
                        f"commit {oid} is signed with {signature.key or 'a key'} that is no user's here "
                        "(next: have it added, roar serve key add)"
                    )
        for update in updates if required and not found else ():
            chain = update.ref.startswith((JOBS, ARCHIVE))
            if chain and update.new in arrived.commits and update.new not in good:
                found.append(
                    f"{update.ref}: its last record is not signed, and {self._project} wants that "
                    "(next: roar config set sign.enabled true, then record or seal once more)"
                )
        return found

    def _note(self, what: audit.What, of: list[str] | Mapping[str, str]) -> None:
        """Audit a push: the reasons it was refused for, or its refs."""
        who, named = self._pusher, {"reasons" if what == "refused" else "refs": of}
        audit.note(self._storage, what, user=who.user, address=who.address, project=self._project, **named)


def _checked(repo: Repository, commits: list[str], rules: Rules) -> Iterator[tuple[str, signing.Signature]]:
    """What git says of signatures, a few at a time: each takes a process. Raises ``TooMuchError``."""
    for start in range(0, len(commits), _SIGNATURES_AT_ONCE):
        in_time(rules)
        yield from signing.check(repo, commits[start : start + _SIGNATURES_AT_ONCE]).items()


def finish(storage: Storage, project: str) -> None:
    """What follows a push and nobody waits for: the log of records is extended, the repository packed in time."""
    repo = storage.repo(project)
    try:
        log.extend(repo, storage.root)
        if usage.wants_packing(repo):
            repo.ask("gc", "--auto", "--quiet")
        storage.sweep(project)
    except (RoarError, OSError):
        logger.exception("after a push to %s", project)


def _question(fd: int) -> list[str]:
    """What the hook asks: lines up to an empty one. Nothing when there was no question, or half of one.

    Raises ``RoarError`` for one that is too long, when all of it was heard: before, nobody listens to an answer.
    """
    data = bytearray()
    size = 0
    while piece := os.read(fd, 1 << 16):
        size += len(piece)
        data = data[-2:] + piece if size > MOST_ASKED else data + piece
        if data.endswith(b"\n\n"):
            if size > MOST_ASKED:
                raise RoarError(f"it names refs in {size} bytes, more than {MOST_ASKED} (next: push fewer at once)")
            return program.lines(bytes(data))[:-1]
    return []


def _in_quarantine(repo: Repository, path: str) -> dict[str, str]:
    """The environment in which git sees the objects of a push. Raises ``RoarError`` for a place that is not git's.

    A push that brings none, only deletions, has no quarantine.
    """
    if not path:
        return {"GIT_NO_REPLACE_OBJECTS": "1"}
    if os.path.dirname(os.path.realpath(path)) != os.path.realpath(repo.objects_dir):
        raise RoarError(f"{path} is no quarantine of {repo.git_dir}")
    return {
        "GIT_OBJECT_DIRECTORY": path,
        "GIT_ALTERNATE_OBJECT_DIRECTORIES": repo.objects_dir,
        "GIT_QUARANTINE_PATH": path,
        "GIT_NO_REPLACE_OBJECTS": "1",
    }
