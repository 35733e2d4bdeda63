"""``roar cache``: the index, which may be deleted at any time."""

from __future__ import annotations

import os
import time

import click

from roar.cache.database import delete
from roar.cache.index import path_of
from roar.cli import present
from roar.cli.say import patience, write_json
from roar.errors import RoarError
from roar.git.gclock import GcRunningError
from roar.git.repository import Repository, discover
from roar.journal import noted


@click.group("cache", epilog="\b\nExamples:\n  git roar cache rebuild\n  git roar cache path")
def command() -> None:
    """Look after the index of the records.

    It is derived from the records in git. The next question makes it again, so it may be deleted at any time.
    """


@command.command("rebuild", epilog="\b\nExamples:\n  git roar cache rebuild\n  git roar cache rebuild --notes")
@click.option("--notes", is_flag=True, help="Make this clone's notes on commits again, instead of the index.")
@click.option("--json", "as_json", is_flag=True, help="Write the result as JSON.")
def rebuild(*, notes: bool, as_json: bool) -> None:
    """Delete the index and make it again from the records."""
    repo = discover()
    if notes:
        _rebuild_notes(repo, as_json=as_json)
        return
    path = path_of(repo)
    if os.path.exists(path) and not delete(path):
        raise RoarError(f"cannot delete {path}", "look at the rights of its folder")
    began = time.perf_counter_ns()
    with present.opened_index(repo) as index:
        jobs, broken, kept = index.count_jobs(), index.broken(), index.path
    took = time.perf_counter_ns() - began
    if as_json:
        fields = {"jobs": jobs, "broken": len(broken), "path": kept, "duration_ns": took}
        write_json(fields)
        return
    text = f"{present.count(jobs, 'job')} in the index ({took / 1e9:.1f} s)"
    if broken:
        text += f"; {present.count(len(broken), 'object')} could not be read (next: roar status)"
    if kept is None:
        text += "; it could not be kept on the disk"
    present.write([text])


def _rebuild_notes(repo: Repository, *, as_json: bool) -> None:
    with patience("reading the records of this clone"):
        try:
            commits = noted.rebuild(repo)
        except GcRunningError:
            raise RoarError("git gc is running, nothing can be written now", "wait for it") from None
    if as_json:
        write_json({"noted_commits": commits})
    else:
        present.write([f"notes on {present.count(commits, 'commit')}"])


@command.command("path", epilog='\b\nExample:\n  rm "$(git roar cache path)"')
@click.option("--json", "as_json", is_flag=True, help="Write the result as JSON.")
def path_command(*, as_json: bool) -> None:
    """Say where the index's file is."""
    path = path_of(discover())
    if as_json:
        write_json({"path": path, "exists": os.path.exists(path)})
    else:
        present.write([path])
