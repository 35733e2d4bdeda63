"""The writer: this clone's name in the journal.

A writer's chain may grow in one place only. The name is kept beside the inode, device and host of the git
directory, so that a copied clone (``cp -a``, a restored backup, an image) notices that it is a copy. It takes a new
name and its chains with it: the records in them keep their ids, whatever chain they are in, and readers take the union.
"""

from __future__ import annotations

import os
import re

from roar.errors import GitError
from roar.git import files, refs
from roar.git.repository import Repository
from roar.journal import JOBS, LOCAL_NOTES, NOTES, SPELLED_NOTES
from roar.paths import hostname
from roar.records.model import WRITER

_NAME = re.compile(WRITER)


def writer_name(repo: Repository) -> str:
    """The name of this clone, made on the first call. To be called under the journal's lock."""
    name, place = _kept(_path(repo))
    return name if name and place == _place(repo) else new_writer(repo, name)


def known_writer(repo: Repository) -> str | None:
    """The name that this clone has been given already, or None."""
    return _kept(_path(repo))[0]


def name_here(repo: Repository) -> str | None:
    """The name of this clone, for one who cannot wait for the lock; None when it has none yet, or is a copy."""
    name, place = _kept(_path(repo))
    return name if place == _place(repo) else None


def _kept(path: str) -> tuple[str | None, str]:
    """The name in a file, and the place it was given to."""
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            name, _, place = file.read().strip().partition(" ")
    except FileNotFoundError:
        return None, ""
    return (name if _NAME.fullmatch(name) else None), place


def new_writer(repo: Repository, old: str | None = None) -> str:
    """A new name for this clone, to which the chains of the ``old`` one are moved. Under the journal's lock.

    The name is noted first: if we are killed while the chains move, the next call goes on with it.
    """
    coming = _path(repo) + ".new"
    name, place = _kept(coming)
    if not name or place != _place(repo):
        name = os.urandom(8).hex()
        with open(coming, "w", encoding="utf-8") as file:
            file.write(f"{name} {_place(repo)}\n")
            files.open_to_sharers(repo, file.fileno())
    if old:
        _rename(repo, old, name)
    os.replace(coming, _path(repo))
    return name


def _rename(repo: Repository, old: str, new: str) -> None:
    held = refs.listing(repo, JOBS, NOTES + old)
    lines = [f"delete {SPELLED_NOTES}{old}"]
    for ref, oid in held.items():
        if ref.rpartition("/")[2] == old:
            renamed = ref.removesuffix(old) + new
            lines += [f"create {renamed} {oid}", f"delete {ref} {oid}"]
    try:
        repo.ask("update-ref", "--no-deref", "--stdin", stdin="".join(f"{line}\n" for line in lines).encode())
    except GitError:  # one of them is broken: they stay where they are, and the new chain begins empty
        return
    if refs.read(repo, NOTES + new):
        refs.symbolic(repo, LOCAL_NOTES, NOTES + new)
        refs.symbolic(repo, SPELLED_NOTES + new, NOTES + new)


def _path(repo: Repository) -> str:
    return os.path.join(repo.own_dir, "writer")


def _place(repo: Repository) -> str:
    stat = os.stat(repo.common_dir)
    return f"{stat.st_dev:x}:{stat.st_ino:x}:{hostname()}"
