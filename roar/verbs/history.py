"""The jobs that were recorded, newest first."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import NamedTuple

from roar.cache.index import Index
from roar.cache.search import Wanted
from roar.config.globs import WILD, Globs, literal
from roar.errors import UsageError
from roar.git.repository import Repository
from roar.paths import below, from_fs, fs_if_path
from roar.records.job import Job
from roar.verbs.resolve import place


class History(NamedTuple):
    """The newest jobs with their ids, and how many there are in all; ``withdrawn`` are all that were withdrawn."""

    jobs: list[tuple[str, Job]]
    total: int
    withdrawn: set[str]


def history(index: Index, wanted: Wanted, limit: int | None = None, *, withdrawn: bool = False) -> History:
    """The newest jobs that are as wanted, at most ``limit``; with those that were withdrawn when asked for."""
    if limit is not None and wanted == Wanted():  # then the newest are found without a look at all others
        gone = set(index.withdrawn())
        newest = index.load_jobs(index.jobs(limit=limit, withdrawn=withdrawn))
        return History(list(newest.items()), index.count_jobs() + (len(gone) if withdrawn else 0), gone)
    found = index.search(wanted)
    taken_back = {job for job, is_withdrawn in found if is_withdrawn}
    shown = [job for job, is_withdrawn in found if withdrawn or not is_withdrawn]
    return History(list(index.load_jobs(shown[:limit]).items()), len(shown), taken_back)


def paths_meant(index: Index, repo: Repository, text: str, cwd: str) -> list[str]:
    """The recorded paths that a path typed in the folder ``cwd`` means: a file, all in a folder, what a glob matches.

    A glob without a slash means that name anywhere, as in gitignore(5); and what is spelled so is meant, too. Raises
    ``UsageError``.
    """
    if not text or "\0" in text:
        raise UsageError("an empty path means nothing", "roar log --path FILE")
    top = repo.work_tree or repo.git_dir
    where, name = place(repo, text, cwd)
    found = dict.fromkeys(_matching(index, top, literal(where), literal(name)))
    if any(sign in text for sign in WILD):
        if "/" in text.rstrip("/"):
            glob = os.path.normpath(os.path.join(literal(os.path.realpath(cwd)), text))
            found.update(dict.fromkeys(_matching(index, top, glob, from_fs(as_recorded(glob, top)))))
        else:
            found.update(dict.fromkeys(_matching(index, top, text, from_fs(text))))
    return list(found)


def as_recorded(glob: str, top: str) -> str:
    """A glob of absolute paths as records spell those: without the work tree ``top``, or any where it may lie above."""
    inside = below(glob, literal(top))
    if inside is not None:
        return inside
    fixed = next((at for at, sign in enumerate(glob) if sign in WILD), len(glob))
    return "*" if literal(top).startswith(glob[:fixed]) else glob


def _matching(index: Index, top: str, glob: str, recorded: str) -> list[str]:
    """The recorded paths that a glob matches; ``recorded`` is the same glob as records spell paths."""
    matches: Callable[[str], bool] = Globs([glob], top).match
    return [path for path in index.paths_like(recorded) if matches(os.path.join(top, fs_if_path(path)))]
