"""A step of the session as something to run once more, from what its latest job recorded."""

from __future__ import annotations

import os
import re
from typing import NamedTuple

from roar.cache.index import open_index
from roar.errors import NotFoundError, RoarError
from roar.git import refs
from roar.git.commits import is_ancestor
from roar.git.repository import Repository
from roar.journal import JOBS
from roar.paths import fs, is_safe_relative
from roar.records.job import Redirect
from roar.records.summary import command_line, printable
from roar.verbs import outdated, translate
from roar.verbs.resolve import step

_REDACTED = re.compile(r"\[redacted:[a-z-]*\]")


class Again(NamedTuple):
    """What to run, where, and how. Paths and words are ``os`` strings."""

    text: str
    """The command as one types it."""
    argv: list[str]
    cwd: str
    name: str | None
    role: str
    redirects: list[tuple[int, str, bool]]
    """Standard stream, absolute path, append."""
    stranger: str | None
    """Who recorded it, when that was not this clone."""
    stale: str | None
    """Why another step should run first."""


def step_again(repo: Repository, asked: str, extra: list[str]) -> Again:
    """The step ``@N``, or build step ``@BN``, with words appended, which are spelled as in records.

    Raises ``UsageError`` or ``NotFoundError`` where there is no such step, and ``RoarError`` for one that cannot run
    again as it was recorded.
    """
    top = repo.require_work_tree()
    with open_index(repo) as index:
        identifier = step(index, repo, asked)
        job = index.load_job(identifier)
        command = job.command
        ours = _is_ours(repo, index.place_of(identifier))
        first = outdated.of_step(index, repo, job.session or "", identifier)
    if any(_REDACTED.search(word) for word in command.argv):
        raise RoarError(
            f"the command of {asked} had a secret that was not recorded", f"roar run {command_line(command)}"
        )
    argv = [*translate.words(command, top, []), *map(fs, extra)]
    cwd = os.path.join(top, fs(command.cwd))
    if not os.path.isdir(cwd):
        raise NotFoundError(f"the folder of {asked} is gone: {printable(command.cwd)}", f"mkdir -p {cwd}")
    again = command.model_copy(update={"argv": [*command.argv, *extra]})
    return Again(
        command_line(again),
        argv,
        cwd,
        fs(command.name) if command.name else None,
        job.role,
        [_redirect(each, top) for each in command.redirects],
        None if ours else job.user,
        first.text if first else None,
    )


def _redirect(each: Redirect, top: str) -> tuple[int, str, bool]:
    if not is_safe_relative(each.path):
        raise RoarError(f"a stream of the step was {printable(each.path)}, which is no file of the work tree")
    return each.fd, os.path.join(top, fs(each.path)), each.append


def _is_ours(repo: Repository, place: str) -> bool:
    """True when a record lies on a chain of this clone, where nobody else writes."""
    tips = refs.listing(repo, JOBS)
    commit = place.partition(":")[0]
    return any(is_ancestor(repo, commit, tip) for tip in tips.values())
