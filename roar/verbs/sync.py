"""Sharing: fetch what others recorded, push what this clone recorded, through a plain git remote."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable, Mapping
from typing import NamedTuple

from roar.config.read import load
from roar.errors import UsageError
from roar.git import locks, program, refs, settings, transport
from roar.git.commits import is_ancestor
from roar.git.gclock import GcRunningError
from roar.git.repository import Repository
from roar.journal import JOBS, LOCAL_NOTES, NOTES, REMOTES, SPELLED_NOTES, keep, noted, segments
from roar.journal.append import bring_in
from roar.journal.writer import new_writer, writer_name
from roar.verbs import folded, glaas

_AS_FETCHED = ("refs/roar/notes/*", "refs/roar-remote/*/notes/*")
"""Where notes lie."""
_BEHIND = ("(fetch first)", "(non-fast-forward)")
"""How git ends its line on a ref that the remote has in another state; with LC_ALL=C, under which we call it."""


class Synced(NamedTuple):
    """What a sync did with one remote. ``sealed`` counts the records that went into segments."""

    remote: str
    sealed: int
    fetched: list[str]
    pushed: list[str]
    refused: dict[str, str]


def sync(repo: Repository, remote: str | None, *, fetch: bool = True, push: bool = True, quiet: bool = True) -> Synced:
    """Fetch, then push the records. Raises ``UsageError`` for a wrong remote, ``GitError`` when git fails."""
    bring_in(repo)
    keep.keep_noted(repo)
    name, there = transport.check_remote(repo, remote or default_remote(repo)), place(repo)
    fetched = transport.fetch_records(repo, name, own_notes(repo), there, quiet=quiet) if fetch else []
    if any(ref.startswith(f"{REMOTES}{name}/archive/") for ref in fetched):
        folded.let_go(repo, name, there)
    noted.spell(repo)
    if fetch:
        _forgive(repo)
    sealed = seal(repo) if fetch and push else 0
    moved, refused = push_records(repo, name, there, quiet=quiet) if push else ([], {})
    return Synced(name, sealed, fetched, moved, refused)


def push_records(
    repo: Repository, name: str, there: str, also: Mapping[str, str] | None = None, *, quiet: bool = True
) -> transport.Pushed:
    """As ``transport.push_records``; under a new name when the remote has this clone's refs in another state."""
    done = transport.push_records(repo, name, there, also, quiet=quiet)
    if any(why.endswith(_BEHIND) for why in done.refused.values()) and _renamed(repo, done.refused):
        return transport.push_records(repo, name, there, also, quiet=quiet)
    return done


def _forgive(repo: Repository) -> None:
    from roar.cache.index import forgive

    forgive(repo)


def place(repo: Repository) -> str:
    """What the names of records begin with on remotes. Raises ``ConfigError``."""
    return transport.place_of(load(repo).settings.sync.branch)


def seal(repo: Repository) -> int:
    """Seal a long unpushed end of this clone's chain; while a gc runs that waits for the next time."""
    try:
        return segments.seal(repo)
    except GcRunningError:
        return 0


def _renamed(repo: Repository, refused: Iterable[str]) -> bool:
    """Give this clone a new name when a remote has more on its chain, or other things, than it has.

    So it is when the chain was pushed where no tracking ref tells of it and then sealed, or by a copy of this clone.
    """
    repo.make_own_dir()
    with locks.exclusive(os.path.join(repo.own_dir, "lock")):
        writer = writer_name(repo)
        if not any(ref.startswith((JOBS, NOTES)) and ref.rpartition("/")[2] == writer for ref in refused):
            return False
        new_writer(repo, writer)
    noted.spell(repo)
    return True


def default_remote(repo: Repository) -> str:
    """The remote of the current branch, else ``origin``, else the only one. Raises ``UsageError``."""
    names = transport.remotes(repo)
    branch, _ = refs.head(repo)
    bound = settings.values(repo).get(f"branch.{branch}.remote", [""])[-1]
    for name in (bound, "origin"):
        if name in names:
            return name
    if len(names) == 1:
        return names[0]
    if not names:
        raise UsageError("there is no remote to share records with", "git remote add origin URL")
    raise UsageError("there are several remotes", f"roar sync {names[0]}")


def own_notes(repo: Repository) -> str:
    """The notes ref of this clone, whether it has recorded anything yet or not."""
    repo.make_own_dir()
    with locks.exclusive(os.path.join(repo.own_dir, "lock")):
        return NOTES + writer_name(repo)


def unpushed(repo: Repository, remote: str) -> int:
    """How many records of this clone are not known to be on a remote."""
    own = refs.listing(repo, JOBS)
    there = refs.listing(repo, f"{REMOTES}{remote}/jobs/", f"{REMOTES}{remote}/archive/")
    return segments.count(repo, list(own.values()), list(there.values())) if own else 0


def init(repo: Repository) -> list[str]:
    """Let plain git show and fetch the records: git config and one symbolic ref. Gives what was changed."""
    config = settings.values(repo)
    changed = _display_notes(repo, config.get("notes.displayref", []))
    own = own_notes(repo)
    if LOCAL_NOTES not in config.get("notes.rewriteref", []):  # git takes none outside refs/notes/
        repo.ask("config", "--local", "--add", "notes.rewriteRef", LOCAL_NOTES)
        changed.append(f"notes.rewriteRef = {LOCAL_NOTES}")
    if refs.read(repo, own):
        refs.symbolic(repo, LOCAL_NOTES, own)
    for remote in transport.remotes(repo):
        known = config.get(f"remote.{remote}.fetch", [])
        wanted = transport.refspecs(remote, own, place(repo))
        there = [spec for spec in known if transport.is_for_records(spec, own)]
        if there == wanted:  # their order counts
            continue
        for spec in there:  # of another place or an earlier name; what stands in another file stays
            words = ["config", "--local", "--unset-all", "--fixed-value", f"remote.{remote}.fetch", spec]
            program.call([*repo.args(), *words])
        changed += [f"no remote.{remote}.fetch = {spec}" for spec in there if spec not in wanted]
        for spec in wanted:
            repo.ask("config", "--local", "--add", f"remote.{remote}.fetch", spec)
        changed += [f"remote.{remote}.fetch = {spec}" for spec in wanted if spec not in there]
    return changed


def _display_notes(repo: Repository, known: Collection[str]) -> list[str]:
    """Let plain `git log` show notes. Of several remotes that have the same ones it would show each once a remote."""
    with_notes = [ref.removeprefix(REMOTES) for ref in refs.listing(repo, REMOTES) if "/notes/" in ref]
    places = {ref.partition("/notes/")[0] for ref in with_notes}
    wanted = (f"{SPELLED_NOTES}*",) if len(places.union(transport.remotes(repo))) > 1 else _AS_FETCHED
    changed = []
    for pattern in {*_AS_FETCHED, f"{SPELLED_NOTES}*"}.intersection(known).difference(wanted):
        program.call([*repo.args(), "config", "--local", "--unset-all", "--fixed-value", "notes.displayRef", pattern])
        changed.append(f"no notes.displayRef = {pattern}")
    for pattern in wanted:
        if pattern not in known:
            repo.ask("config", "--local", "--add", "notes.displayRef", pattern)
            changed.append(f"notes.displayRef = {pattern}")
    noted.spell(repo)
    return changed


def how_to_share(repo: Repository, remote: str, commit: str) -> str:
    """The command that brings a commit to a remote: with the branch when it holds it, else under a name. One that is a
    project of a server takes no branch, so another remote gets it or, when there is none, it goes beside the records.
    """
    servers = glaas.projects(repo)
    if remote in servers:
        others = [each for each in transport.remotes(repo) if each not in servers]
        if not others:
            return f"roar register --all --with-code --remote {remote}"
        remote = others[0]
    what = "HEAD" if is_ancestor(repo, commit, "HEAD") else f"{commit[:12]}:refs/heads/NAME"
    return f"git push {remote} {what}"


def noted_and_unshared(repo: Repository) -> list[str]:
    """The commits that this clone's jobs ran on and that no remote-tracking branch holds."""
    return transport.on_no_remote_branch(repo, noted.commits(repo))
