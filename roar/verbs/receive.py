"""Judging what a push brings under ``refs/roar/*``, for the pre-receive hook of a server.

git has put the push's objects into quarantine and checked that none is missing (githooks(5), git-receive-pack(1)).
Whatever is wrong is said in one line each. Refs elsewhere are not looked at.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

from roar.config.read import load
from roar.errors import GitError, UsageError
from roar.git import program, refs
from roar.git.commits import is_ancestor, reached
from roar.git.repository import Repository, discover
from roar.journal import ARCHIVE, CHECK, CODE, JOBS, NOTES
from roar.records.model import GIT_ID, WRITER
from roar.records.summary import printable
from roar.verbs.arrived import Arrived
from roar.verbs.arriving import Rules, in_time

OURS = "refs/roar/"
MOST_LINES = 20
"""Problems that are named; the rest is counted."""
_LONGEST = 600
_YEAR = "[0-9]{4}"
_NAMES = re.compile(f"{JOBS}{_YEAR}/{WRITER}|({NOTES}|{CODE}|{CHECK}){WRITER}|{ARCHIVE}{_YEAR}(/{WRITER})?")
_NOTE = re.compile(GIT_ID)


class Update(NamedTuple):
    """One line of what git tells the hook; an object id of zeros means that there is none."""

    old: str
    new: str
    ref: str


More = Callable[[Arrived, list[Update]], list[str]]


def repository() -> Repository:
    """The repository that receives, with the push's objects in sight."""
    repo = discover()
    repo.extra_env = {name: os.environ[name] for name in program.QUARANTINE if name in os.environ}
    # refs/replace/* that were pushed before would show us other objects than those that come in
    repo.extra_env["GIT_NO_REPLACE_OBJECTS"] = "1"
    return repo


def problems(repo: Repository, lines: Iterable[str], rules: Rules | None = None, more: More | None = None) -> list[str]:
    """What is wrong with the refs of a push, as lines for people; nothing when all may come in.

    ``lines`` are "OLD NEW REF", as git gives them. With ``roar.receive.rewrites`` in the server's configuration refs
    may be deleted and rewritten, as when a leaked secret is purged. ``more`` is asked of chains that are in order.
    Raises ``UsageError`` for other lines, ``GitError`` when the push cannot be judged.
    """
    parsed = [line.split(" ", 2) for line in lines]
    if any(len(words) != 3 for words in parsed):
        raise UsageError("pre-receive is called by git, with lines of OLD NEW REF", "see githooks(5)")
    ours = [update for words in parsed if (update := Update(*words)).ref.startswith(OURS)]
    if not ours:
        return []
    rules = rules or Rules()
    allow = load(repo).settings.receive.rewrites if rules.rewrites is None else rules.rewrites
    found: list[str] = []
    here = refs.listing(repo, OURS)
    chains = {oid for ref, oid in here.items() if ref.startswith((JOBS, ARCHIVE))}
    tips = [update.new for update in ours if update.new != repo.zero]
    with Arrived(repo, tips, here.values(), rules) as arrived:
        for update in ours:
            in_time(rules)
            found += (f"{update.ref}: {text}" for text in _judged(repo, arrived, update, chains, rewrites=allow))
        found += (text for texts in arrived.problems.values() for text in texts)
        if not found and more:
            found += more(arrived, ours)
    left = len(found) - MOST_LINES
    return [line(text) for text in found[:MOST_LINES]] + ([f"and {left} more"] if left > 0 else [])


def line(text: str) -> str:
    """One line of bounded length, whatever a push brings into it: a key of a record, a name in a tree."""
    text = printable(text)
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"


def _judged(repo: Repository, arrived: Arrived, update: Update, chains: set[str], *, rewrites: bool) -> Iterator[str]:
    if _NAMES.fullmatch(update.ref) is None:
        yield "is no name of roar's (next: see docs/format.md, Refs)"
        return
    throw_away = update.ref.startswith(CHECK)
    if update.new == repo.zero:
        if not (throw_away or rewrites):
            yield "may not be deleted: records are never removed here"
        return
    commits, bases = arrived.chain(update.new)
    if not commits:
        kind = repo.ask("cat-file", "-t", update.new).decode().strip()
        if kind != "commit":
            arrived.problems.pop(update.new, None)
            yield f"is a {kind}, not a commit"
            return
    appended = update.old == repo.zero or update.old in bases or rewrites
    if not appended and not is_ancestor(repo, update.old, update.new):
        yield "would lose records that are here: its writer only ever appends (next: fetch, and push again)"
        return
    try:
        if throw_away:
            return
        if update.ref.startswith(NOTES):
            yield from arrived.faults_of_notes(commits, lambda path: bool(_NOTE.fullmatch(path)))
        elif update.ref.startswith(CODE):
            yield from arrived.faults_of_code(commits)
        else:
            yield from _elsewhere(repo, bases - chains, chains)
            yield from arrived.faults_of_chain(commits)
    except GitError as error:
        yield error.message


def _elsewhere(repo: Repository, bases: set[str], chains: set[str]) -> Iterator[str]:
    """Commits that are here, but came as code, as notes or to try the server, and so were never read as records.

    ``chains`` are the last commits of all chains of records.
    """
    if bases:
        for oid in reached(repo, [*sorted(bases), *(f"^{oid}" for oid in sorted(chains))], "--max-count=1"):
            yield f"commit {oid} is here, and in no chain of records"
