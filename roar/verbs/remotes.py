"""Trying whether a remote takes the records, with a ref that is thrown away again."""

from __future__ import annotations

import os
import time
from typing import NamedTuple

from roar.git import objects, settings, transport
from roar.git.repository import Repository
from roar.journal import CHECK
from roar.verbs import sync


class Checked(NamedTuple):
    """What a remote did with a throw-away ``ref``.

    ``refused`` says why it was not taken, ``said`` are the remote's own lines; ``listed``: it was there when asked;
    ``left`` says why it could not be removed again, None when it was removed or never there.
    """

    remote: str
    ref: str
    refused: str | None
    said: list[str]
    listed: bool
    left: str | None

    @property
    def takes(self) -> bool:
        """True when records can be pushed to this remote and fetched from it."""
        return self.refused is None and self.listed


def check(repo: Repository, remote: str | None) -> Checked:
    """Push an empty commit to a new ref of a unique name, ask for it, delete it.

    Nothing that is there is touched. Raises ``UsageError`` for a wrong remote, ``GitError`` when it cannot be reached.
    """
    name, place = transport.check_remote(repo, remote or sync.default_remote(repo)), sync.place(repo)
    ref = CHECK + os.urandom(8).hex()
    there = place + ref.removeprefix(transport.OURS)
    oid = _empty_commit(repo)
    tried = transport.push_one(repo, name, oid, ref, place)
    if tried.why is not None:
        return Checked(name, there, tried.why, tried.said, listed=False, left=None)
    listed = transport.remote_refs(repo, name, ref, place).get(ref) == oid
    left = transport.delete_on(repo, name, {ref: oid}, place).refused.get(ref)
    return Checked(name, there, None, tried.said, listed, left)


def _empty_commit(repo: Repository) -> str:
    who = f"{settings.identity(repo)} {int(time.time())} +0000"
    tree = objects.write(repo, "tree", b"")
    return objects.write(repo, "commit", objects.commit_body(tree, [], who, who, "roar: a trial, to be deleted\n"))
