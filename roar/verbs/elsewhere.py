"""Other git repositories, whose files a job reads: a library that is installed to be edited, a checkout beside ours.

Git is asked there for the commit and for ids of blobs, and for nothing by which the repository's own configuration
could name a program: no filter runs, nothing is fetched, and git itself refuses the repository of another user.
"""

from __future__ import annotations

import os
from typing import NamedTuple

from roar.errors import RoarError
from roar.git import program, refs
from roar.git.repository import Repository, discover


class Other(NamedTuple):
    """Another repository, with something checked out."""

    folder: str
    """The top of its work tree: absolute, an ``os`` path."""
    repo: Repository
    commit: str


def opened(folder: str) -> Other | None:
    """The repository with this work tree; None when it is none, has no commit, or git refuses it."""
    try:
        repo = discover(folder)
        repo.extra_env = program.sealed()
        commit = refs.head(repo)[1]
    except RoarError:
        return None
    if commit is None or repo.work_tree is None or os.path.realpath(repo.work_tree) != os.path.realpath(folder):
        return None
    return Other(folder, repo, commit)
