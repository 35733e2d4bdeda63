"""Commits that records name and that no branch holds any more, kept from ``git gc``.

After an amend, a rebase or the end of a branch only the reflog still holds the old commit, for 30 days as git has it.
``refs/roar-keep/<writer>`` holds them for good: one commit with an empty tree, whose parents they are. One ref,
because every ref and its commit is offered to the server when a branch is fetched. It is never pushed.

``refs/roar/code/<writer>`` holds commits that are to be pushed with the records. It only moves forward, as all that is
pushed: each of its commits has the one before and the new ones as parents.
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Iterable

from roar.errors import GitError, RoarError
from roar.git import gclock, locks, objects, refs, settings
from roar.git.commits import reached
from roar.git.gclock import GcRunningError
from roar.git.objects import Reader
from roar.git.repository import Repository
from roar.journal import CODE, KEEP, noted
from roar.journal.writer import writer_name

log = logging.getLogger(__name__)


def unheld(repo: Repository, commits: Iterable[str]) -> list[str]:
    """Those of the commits that no branch, tag, checked-out HEAD or keeping ref holds; what is gone is left out.

    Raises ``GitError``.
    """
    asked = list(dict.fromkeys(commits))
    if not asked:
        return []
    loose = reached(repo, asked, "--not", "--exclude=refs/roar*", "--all", f"--glob={KEEP}*")
    return [oid for oid in asked if oid in loose]


def keep(repo: Repository, reader: Reader, writer: str, who: str, commits: Iterable[str]) -> list[str]:
    """Keep these commits alive, and give those that were not kept yet.

    To be called under the journal's lock and while gc is held off. Raises ``GitError`` or ``OSError``.
    """
    ref = KEEP + writer
    for _ in range(3):
        tip = refs.read(repo, ref)
        old = reader.commit(tip) if tip else None
        parents = old.parents if old else []
        new = [oid for oid in commits if oid not in parents and (found := reader.get(oid)) and found[0] == "commit"]
        if not new:
            return []
        if refs.compare_and_swap(repo, ref, _holding(repo, reader, who, [*parents, *new]), tip):
            return new
    return []


def _holding(repo: Repository, reader: Reader, who: str, commits: list[str]) -> str:
    """Write a commit with an empty tree whose parents are these, and give its id."""
    date = max(reader.commit(oid).date for oid in commits)  # no newer than code: see Chain
    tree = objects.write(repo, "tree", b"")
    message = "roar: commits that records name and no branch holds\n"
    author = f"{who} {int(time.time())} +0000"
    body = objects.commit_body(tree, commits, author, f"{who} {date} +0000", message)
    return objects.write(repo, "commit", body)


def send_along(repo: Repository, commits: Iterable[str]) -> list[str]:
    """Let the next push of the records bring these commits, too; gives those that no earlier one was told to bring.

    Raises ``GcRunningError`` while a gc runs, and ``GitError`` or ``OSError`` when the repository cannot be written.
    """
    repo.make_own_dir()
    with locks.exclusive(os.path.join(repo.own_dir, "lock")), Reader(repo) as reader, gclock.hold(repo):
        ref = CODE + writer_name(repo)
        tip = refs.read(repo, ref)
        asked = list(dict.fromkeys(commits))
        loose = reached(repo, [*asked, *([f"^{tip}"] if tip else [])])
        new = [oid for oid in asked if oid in loose]
        if new:
            made = _holding(repo, reader, settings.identity(repo), [*([tip] if tip else []), *new])
            if not refs.compare_and_swap(repo, ref, made, tip):
                raise GitError(f"{ref} was moved by another program while roar held its lock; run the command again")
        return new


def keep_noted(repo: Repository) -> list[str]:
    """Keep alive whatever this clone's jobs ran on and nothing holds; gives what was not kept yet.

    Nobody waits for it and nobody fails for it: the next question tries again, and the reflog has it meanwhile.
    """
    try:
        loose = unheld(repo, noted.commits(repo))
        if not loose:
            return []
        who = settings.identity(repo)
        with locks.exclusive(os.path.join(repo.own_dir, "lock"), 1.0), Reader(repo) as reader, gclock.hold(repo):
            return keep(repo, reader, writer_name(repo), who, loose)
    except (RoarError, GcRunningError, OSError) as error:
        log.debug("commits that records name are not kept now: %s", error)
        return []
