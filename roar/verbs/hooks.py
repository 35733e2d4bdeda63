"""What roar does when git calls: after a checkout, a merge or a rewrite, and before a push.

A hook of ours never stops what the user does and takes no time that is noticed.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable

import roar
from roar.config.read import load
from roar.git import transport
from roar.git.gclock import GcRunningError
from roar.git.repository import Repository
from roar.journal import keep, noted
from roar.journal.append import bring_in
from roar.records.model import GIT_ID
from roar.verbs import background, sync

_ID = re.compile(GIT_ID)


def scripts() -> str:
    """The folder of the hook scripts: in the installed package, or beside it in a checkout of roar."""
    package = os.path.dirname(os.path.abspath(roar.__file__))
    inside = os.path.join(package, "git-hooks")
    return inside if os.path.isdir(inside) else os.path.join(os.path.dirname(package), "git-hooks")


def after_checkout(repo: Repository) -> None:
    """Bring in the records that wait, and do nothing else."""
    bring_in(repo)


def after_rewrite(repo: Repository, lines: Iterable[str]) -> None:
    """After an amend or a rebase: notes go along, and the old commits stay alive. ``lines`` are "OLD NEW [...]"."""
    words = [line.split(" ") for line in lines]
    rewritten = [(w[0], w[1]) for w in words if len(w) > 1 and _ID.fullmatch(w[0]) and _ID.fullmatch(w[1])]
    keep.keep_noted(repo)
    try:
        noted.follow(repo, rewritten)
    except GcRunningError:  # git's own notes.rewriteRef has done it, after `roar init`
        return


def before_push(repo: Repository, remote: str, lines: Iterable[str]) -> str | None:
    """The line to say before a branch is pushed, or None. As configured, a background process pushes the records.

    ``lines`` are git's: "LOCAL-REF OID REMOTE-REF OID". Raises ``ConfigError``.
    """
    auto = load(repo).settings.sync.auto
    if auto == "never" or remote not in transport.remotes(repo):
        return None
    if any(line.startswith("refs/roar/") for line in lines):
        return None
    count = sync.unpushed(repo, remote)
    if not count:
        return None
    records = f"{count} record{'s' * (count > 1)}"
    if auto == "push" and background.aside(lambda: sync.sync(repo, remote, fetch=False)):
        return f"{records} {'go' if count > 1 else 'goes'} to {remote} in the background"
    return f"{records} of this clone {'are' if count > 1 else 'is'} not on {remote} yet (next: roar sync {remote})"
