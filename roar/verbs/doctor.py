"""Whether everything that roar needs is here and works, one finding for each thing, with what mends it."""

from __future__ import annotations

import json
import os
import platform
import re
import subprocess
import sys
from collections.abc import Iterator
from typing import Literal, NamedTuple

import roar
from roar.cache.index import open_index
from roar.config import read as config
from roar.errors import RoarError
from roar.git import program, settings, transport
from roar.git.repository import Repository, discover
from roar.journal.read import tips
from roar.trace import start
from roar.verbs import sync
from roar.verbs.status import saved_aside

OLDEST_GIT = (2, 25)
"""The oldest git that all of this is known to work with."""
_SECONDS = 20
"""For the tracer to try itself out, and for a remote to answer."""

Grade = Literal["ok", "note", "bad"]


class Symptom(NamedTuple):
    """What was looked at, how it is, and what to type to mend it. ``note``: roar works, with less."""

    grade: Grade
    what: str
    text: str
    mend: str | None = None


def doctor(*, ask_remotes: bool) -> Iterator[Symptom]:
    """Look at everything, from the ground up. Remotes are asked over the network only when wanted."""
    yield Symptom("ok", "roar", f"{roar.__version__}, Python {platform.python_version()}, {platform.platform()}")
    yield from _git()
    yield from _tracer()
    try:
        repo = discover()
    except RoarError as error:
        yield Symptom("note", "repository", error.message, error.hint)
        return
    yield Symptom("ok", "repository", repo.work_tree or repo.git_dir)
    looks: dict[str, Iterator[Symptom]] = {
        "config": _config(repo),
        "identity": _identity(repo),
        "refs": _refs(repo),
        "spool": _spool(repo),
        "index": _index(repo),
        "remotes": _remotes(repo, ask=ask_remotes),
    }
    for what, look in looks.items():
        try:
            yield from look
        except (RoarError, OSError) as error:  # one thing that is wrong keeps no other from being looked at
            yield Symptom("bad", what, str(error), error.hint if isinstance(error, RoarError) else None)


def _git() -> Iterator[Symptom]:
    try:
        text = program.ask(["--version"]).decode("utf-8", "replace").strip()
    except RoarError as error:
        yield Symptom("bad", "git", error.message, error.hint)
        return
    version = tuple(map(int, re.findall(r"\d+", text)[:2]))
    if version < OLDEST_GIT:
        yield Symptom("bad", "git", f"{text} is older than {'.'.join(map(str, OLDEST_GIT))}", "install a newer git")
    else:
        yield Symptom("ok", "git", text)


def _tracer() -> Iterator[Symptom]:
    if not sys.platform.startswith("linux"):
        yield Symptom("note", "tracer", "tracing needs Linux; every other command works here")
        return
    try:
        done = subprocess.run([start.tracer_path(), "--self-test"], capture_output=True, check=False, timeout=_SECONDS)
        found = json.loads(done.stdout)
    except RoarError as error:
        yield Symptom("bad", "tracer", error.message, error.hint)
    except (OSError, ValueError, subprocess.TimeoutExpired) as error:
        yield Symptom("bad", "tracer", f"it cannot try itself out: {error}", "install roar again")
    else:
        works = [name for name in ("notify", "ptrace") if found.get(name) is True]
        if found.get("canary") is True and works:
            yield Symptom("ok", "tracer", f"a real file access was seen; mechanisms: {', '.join(works)}")
        else:
            said = [str(found[name]) for name in ("ptrace", "notify", "canary") if found.get(name) not in (True, None)]
            mend = "in a container, allow ptrace: docker run --cap-add SYS_PTRACE"
            yield Symptom("bad", "tracer", "; ".join(said) or "it saw nothing", mend)


def _config(repo: Repository) -> Iterator[Symptom]:
    found = config.load(repo)
    if found.ignored:
        names = ", ".join(found.ignored)
        yield Symptom("note", "config", f"{names} in .roarconfig may not stand there", "git config roar...")
    yield Symptom("ok", "config", f"{len(found.given)} setting{'s' * (len(found.given) != 1)} given")


def _identity(repo: Repository) -> Iterator[Symptom]:
    values = settings.values(repo)
    if "user.email" in values or os.environ.get("GIT_AUTHOR_EMAIL"):
        yield Symptom("ok", "identity", settings.identity(repo))
    else:
        mend = "git config --global user.name NAME; git config --global user.email EMAIL"
        yield Symptom("note", "identity", f"git does not know who you are: {settings.identity(repo)}", mend)


def _refs(repo: Repository) -> Iterator[Symptom]:
    for folder in (repo.objects_dir, repo.common_dir):
        if not os.access(folder, os.W_OK):
            yield Symptom(
                "bad", "refs", f"{folder} cannot be written: records would be saved aside", "look at its rights"
            )
            return
    chains = len(tips(repo))
    yield Symptom("ok", "refs", f"{chains} chain{'s' * (chains != 1)} of records")


def _spool(repo: Repository) -> Iterator[Symptom]:
    waiting = saved_aside(repo)
    if waiting:
        yield Symptom("bad", "spool", f"{waiting} records are saved aside", "roar recover")


def _index(repo: Repository) -> Iterator[Symptom]:
    with open_index(repo) as index:
        jobs, broken = index.count_jobs(), index.broken()
        if broken:
            yield Symptom("bad", "records", f"{len(broken)} objects could not be read", "roar fsck")
        if index.path is None:
            yield Symptom("note", "index", "it cannot be kept on the disk, which makes every question slow")
        yield Symptom("ok", "index", f"{jobs} jobs")


def _remotes(repo: Repository, *, ask: bool) -> Iterator[Symptom]:
    names = transport.remotes(repo)
    if not names:
        yield Symptom("note", "remotes", "there is none: records are in this clone only", "git remote add origin URL")
    for name in names:
        waiting = sync.unpushed(repo, name)
        text = f"{waiting} records not pushed" if waiting else "everything is pushed"
        if ask:
            count = len(transport.remote_refs(repo, name, "refs/roar/*"))
            text += f"; it answers, and has {count} roar refs"
        yield Symptom("note" if waiting else "ok", f"remote {name}", text, f"roar sync {name}" if waiting else None)
