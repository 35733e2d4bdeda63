"""What Tab offers where a recorded thing is named: steps, files that jobs read or wrote, ids of jobs."""

from __future__ import annotations

import os
import shlex
from collections.abc import Callable, Iterator

import click
from click.shell_completion import CompletionItem

from roar.cache.index import Index, open_index
from roar.config.model import KEYS
from roar.errors import RoarError
from roar.git import transport
from roar.git.repository import Repository, discover
from roar.paths import below, from_fs
from roar.records import ids
from roar.records.summary import command_line
from roar.verbs.session_table import table
from roar.verbs.steps import session_asked, steps_of

_MOST_PATHS = 100
"""With more of them the shell completes what is on the disk, folder by folder."""
_RECENT = 10
_WIDTH = 60


def recorded(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """The recorded things that begin so; where there is none, or too many, the shell's own names of files."""
    del context, parameter
    files = [CompletionItem(incomplete, type="file")]
    if incomplete.startswith(("/", ".", "~")):
        return files
    try:
        repo = discover()
        with open_index(repo) as index:
            found = list(_things(index, repo, incomplete))
    except (RoarError, OSError):
        return files
    return found or files


def _things(index: Index, repo: Repository, incomplete: str) -> Iterator[CompletionItem]:
    if incomplete[:1] in ("", "@"):
        session = session_asked(index, repo)
        steps = steps_of(index, session) if session else []
        named = {f"@{step.number}": step.job for step in steps}
        yield from _jobs(index, {name: job for name, job in named.items() if name.startswith(incomplete.upper())})
    if incomplete.startswith("@"):
        return
    yield from (CompletionItem(path) for path in _paths(index, repo, incomplete))
    prefix = ids.normalise(incomplete)
    if prefix is not None or not incomplete:
        recent = [job for job in index.jobs() if job.startswith(prefix or "")][:_RECENT]
        yield from _jobs(index, dict(zip(recent, recent, strict=True)))


def _jobs(index: Index, named: dict[str, str]) -> Iterator[CompletionItem]:
    jobs = index.load_jobs(named.values())
    for name, job in named.items():
        yield CompletionItem(name, help=command_line(jobs[job].command, _WIDTH))


def _paths(index: Index, repo: Repository, incomplete: str) -> list[str]:
    """The recorded paths below this folder that begin so, as one types them here; none when there are many.

    One that a shell would have to quote is left out.
    """
    inside = below(os.path.realpath(os.getcwd()), repo.work_tree) if repo.work_tree else None
    if inside is None:
        return []
    folder = from_fs(inside + "/") if inside else ""
    found = [path[len(folder) :] for path in index.paths_beginning(folder + incomplete, _MOST_PATHS + 1)]
    plain = [path for path in found if path == shlex.quote(path) and not path.startswith("/")]
    return plain if len(found) <= _MOST_PATHS else []


def settings_keys(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """The names of settings that begin so, with what each does."""
    del context, parameter
    asked = incomplete.lower().removeprefix("roar.")
    return [CompletionItem(key.name, help=key.help) for name, key in KEYS.items() if name.startswith(asked)]


def collections(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """The collections whose names begin so."""
    del context, parameter
    return _named(incomplete, lambda repo: _with_index(repo, lambda index: list(index.collections())))


def session_names(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """The sessions whose names begin so."""
    del context, parameter
    return _named(incomplete, lambda repo: _with_index(repo, lambda i: [r.session.name or r.id for r in table(i)]))


def remote_names(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """The remotes whose names begin so."""
    del context, parameter
    return _named(incomplete, transport.remotes)


def _with_index(repo: Repository, names: Callable[[Index], list[str]]) -> list[str]:
    with open_index(repo) as index:
        return names(index)


def _named(incomplete: str, names: Callable[[Repository], list[str]]) -> list[CompletionItem]:
    """Those of the names that begin so and that a shell takes as they are."""
    try:
        found = names(discover())
    except (RoarError, OSError):
        return []
    return [CompletionItem(n) for n in dict.fromkeys(found) if n.startswith(incomplete) and n == shlex.quote(n)]
