"""``roar cache``: the index, which may be deleted at any time."""

from __future__ import annotations

import os
import time

import click

from roar.cache.database import delete
from roar.cache.index import path_of
from roar.cli import present
from roar.cli.say import write_json
from roar.errors import RoarError
from roar.git.repository import discover


@click.group("cache", epilog="\b\nExamples:\n  git roar cache rebuild\n  git roar cache path")
def command() -> None:
    """Look after the index of the records.

    It is derived from the records in git. The next question makes it again, so it may be deleted at any time.
    """


@command.command("rebuild", epilog="\b\nExample:\n  git roar cache rebuild")
@click.option("--json", "as_json", is_flag=True, help="Write the result as JSON.")
def rebuild(*, as_json: bool) -> None:
    """Delete the index and make it again from the records."""
    repo = discover()
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


@command.command("path", epilog='\b\nExample:\n  rm "$(git roar cache path)"')
@click.option("--json", "as_json", is_flag=True, help="Write the result as JSON.")
def path_command(*, as_json: bool) -> None:
    """Say where the index's file is."""
    path = path_of(discover())
    if as_json:
        write_json({"path": path, "exists": os.path.exists(path)})
    else:
        present.write([path])
