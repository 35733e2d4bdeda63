"""Where ``roar reproduce`` finds what it is to make again: here, or else by asking servers."""

from __future__ import annotations

import os
import shlex

from roar.cli import present
from roar.cli.lookup_command import to_ask
from roar.errors import NotARepositoryError, NotFoundError, RoarError
from roar.git import transport
from roar.git.repository import Repository, discover
from roar.paths import from_fs
from roar.records.summary import printable
from roar.verbs import borrowed, glaas, lookup, sync
from roar.verbs.installing import Progress
from roar.verbs.lookup import Origin
from roar.verbs.plan import Plan
from roar.verbs.prepare import Wish, prepare
from roar.verbs.resolve import resolve_many


def prepared(wish: Wish, say: Progress, *, yes: bool) -> tuple[Repository, Plan | list[str]]:
    """The plan, or the files of the collection that is meant, and the repository it is of: the one here or, for a hash
    that it does not know, a clone of others.

    Raises as ``discover`` and ``prepare`` do when no server knows more.
    """
    repo = None
    try:
        repo = discover()
        return repo, _prepared(repo, wish, say)
    except (NotFoundError, NotARepositoryError) as error:
        found = _asked(wish.text, say)
        if found is None and isinstance(error, NotARepositoryError) and lookup.is_hash(wish.text):
            unknown = f"no repository is here, and no server says who made {printable(wish.text)}"
            raise NotFoundError(unknown, "roar auth login URL, or do it in a repository that has its records") from None
        if found is None:
            raise error from None
    if repo is not None and _brought_here(repo, found, say):
        return repo, prepare(repo, wish, say)
    clone = borrowed.clone(found, say)
    _bring_code(clone, found, wish.text, say, yes=yes)
    return clone, prepare(clone, wish._replace(text=found.hash, cwd=clone.require_work_tree()), say)


def _prepared(repo: Repository, wish: Wish, say: Progress) -> Plan | list[str]:
    """The plan, or the files of the collection that is meant."""
    members = _members(repo, wish.text)
    if members:
        return members
    try:
        return prepare(repo, wish, say)
    except NotFoundError:
        members = _members(repo, wish.text)  # now that the records were fetched
        if not members:
            raise
        return members


def _members(repo: Repository, name: str) -> list[str]:
    """The files of the collection that is called so; none when the name means something else."""
    with present.opened_index(repo) as index:
        if not index.collection(from_fs(name)):
            return []
        return [target.id for target in resolve_many(index, repo, name, os.getcwd())]


def _asked(text: str, say: Progress) -> Origin | None:
    """What a server knows of a hash; None when there is nobody to ask, or nobody knows."""
    if not lookup.is_hash(text) or os.path.lexists(text):
        return None
    try:
        servers = to_ask()
        return lookup.origin(text.lower(), servers) if servers else None
    except RoarError as error:
        say(error.message)
        return None


def _brought_here(repo: Repository, found: Origin, say: Progress) -> bool:
    """Fetch the records when all projects that hold them are remotes of this repository."""
    mine = {(project.origin, project.project): remote for remote, project in glaas.projects(repo).items()}
    remotes = [mine.get((project.origin, project.project)) for project in found.projects]
    if not all(remotes):
        return False
    for remote in filter(None, remotes):
        say(f"fetching the records of {remote}")
        transport.fetch_records(repo, remote, sync.own_notes(repo), sync.place(repo))
    return True


def _bring_code(clone: Repository, found: Origin, text: str, say: Progress, *, yes: bool) -> None:
    """Fetch the code, after a yes: where it is, somebody's records say. Raises ``RoarError`` without one."""
    urls, odd = borrowed.code_of(clone, found)
    for url in odd:
        say(f"git is not asked for the code at {printable(url)}")
    if urls:
        from_where = present.some([printable(url) for url in urls])
        present.agree(
            f"The code is noted to be at {from_where}. Fetch it?",
            f"{printable(text)} is not known here, and its code is noted to be at {from_where}: it was not fetched",
            f"roar reproduce {shlex.quote(printable(text))} -y",
            yes=yes,
        )
    borrowed.fetch_code(clone, urls, say)
