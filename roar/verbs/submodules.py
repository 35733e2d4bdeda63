"""Which submodule a file lies in, and at which commit that is.

Only what this repository itself has checked out counts: a folder whose ``.git`` leads into our own ``modules``. Git is
never started in any other repository that happens to lie in the work tree, for its configuration may name programs.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import NamedTuple

from roar import redact
from roar.config.model import Redact
from roar.errors import NotARepositoryError
from roar.git import refs, settings
from roar.git.repository import Repository, discover
from roar.paths import below, from_fs
from roar.records.job import Submodule
from roar.verbs.innermost import Innermost


class Nested(NamedTuple):
    """A repository inside the work tree; ``repo`` and ``commit`` are None where it is not a submodule of ours."""

    folder: str
    """An ``os`` path, relative to the work tree."""
    repo: Repository | None
    commit: str | None


def nested_in(repo: Repository) -> Innermost[Nested]:
    """Finds the innermost repository that holds a path of a work tree, the work tree's own excepted."""
    top = repo.require_work_tree()
    return Innermost(top, lambda folder: _nested(repo, top, folder))


def _nested(repo: Repository, top: str, folder: str) -> Nested:
    place = os.path.join(top, folder)
    if os.path.isfile(os.path.join(place, ".git")) and _leads_to_ours(repo, top, place):
        try:
            inner = discover(place)
        except NotARepositoryError:
            return Nested(folder, None, None)
        commit = refs.head(inner)[1]
        if commit is not None and inner.work_tree is not None:
            return Nested(folder, inner, commit)
    return Nested(folder, None, None)


def _leads_to_ours(repo: Repository, top: str, place: str) -> bool:
    """True when the ``.git`` file of a folder names a git directory below ours (gitrepository-layout(5))."""
    try:
        with open(os.path.join(place, ".git"), "rb") as file:
            kind, _, target = file.read(1 << 16).partition(b": ")
    except OSError:
        return False
    inner = os.path.realpath(os.path.join(place, os.fsdecode(target.strip())))
    ours = {os.path.realpath(repo.common_dir), os.path.realpath(repo.git_dir)}
    ours.add(os.path.join(os.path.realpath(top), ".git"))  # a work area's own
    return kind == b"gitdir" and any(below(inner, os.path.join(folder, "modules")) for folder in ours)


def described(found: Iterable[Nested], rules: Redact) -> list[Submodule]:
    """Submodules as a record names them."""
    return [
        Submodule(path=from_fs(each.folder), commit=each.commit, remote=remote_of(each.repo, rules))
        for each in sorted(found, key=lambda nested: nested.folder)
        if each.repo is not None and each.commit is not None
    ]


def remote_of(repo: Repository, rules: Redact) -> str | None:
    """The URL of the remote of the branch that is checked out, without credentials."""
    url = settings.branch_remote(settings.values(repo), refs.head(repo)[0])
    return from_fs(redact.redact_url(url, rules)) if url else None
