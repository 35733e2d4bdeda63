"""Judging what a push brings under ``refs/roar/*``, for the pre-receive hook of a server.

git has put the push's objects into quarantine and checked that none is missing (githooks(5), git-receive-pack(1)).
Whatever is wrong is said in one line each. Refs elsewhere are not looked at.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from roar.config.read import load
from roar.errors import GitError, RecordError, UsageError
from roar.git import objects, program, refs
from roar.git.repository import Repository, discover
from roar.journal import ARCHIVE, CHECK, CODE, JOBS, NOTES, read
from roar.journal.read import Broken
from roar.records import codec

OURS = "refs/roar/"
MOST_LINES = 20
"""Problems that are named; the rest is counted."""
_WRITER = r"[a-z0-9][a-z0-9-]{0,63}"
_NAMES = re.compile(rf"({JOBS}\d{{4}}/{_WRITER})|(({NOTES}|{CODE}|{CHECK}){_WRITER})|({ARCHIVE}\d{{4}}(/{_WRITER})?)")
_NOTE = re.compile(r"([0-9a-f]{40}|[0-9a-f]{64})")


class Update(NamedTuple):
    """One line of what git tells the hook; an object id of zeros means that there is none."""

    old: str
    new: str
    ref: str


def repository() -> Repository:
    """The repository that receives, with the push's objects in sight."""
    repo = discover()
    repo.extra_env = {name: os.environ[name] for name in program.QUARANTINE if name in os.environ}
    # refs/replace/* that were pushed before would show us other objects than those that come in
    repo.extra_env["GIT_NO_REPLACE_OBJECTS"] = "1"
    return repo


def problems(repo: Repository, lines: Iterable[str]) -> list[str]:
    """What is wrong with the refs of a push, as lines for people; nothing when all may come in.

    ``lines`` are "OLD NEW REF", as git gives them. With ``roar.receive.rewrites`` in the server's configuration refs
    may be deleted and rewritten, as when a leaked secret is purged. Raises ``UsageError`` for other lines.
    """
    parsed = [line.split(" ", 2) for line in lines]
    if any(len(words) != 3 for words in parsed):
        raise UsageError("pre-receive is called by git, with lines of OLD NEW REF", "see githooks(5)")
    ours = [update for words in parsed if (update := Update(*words)).ref.startswith(OURS)]
    if not ours:
        return []
    allow = load(repo).settings.receive.rewrites
    known = list(refs.listing(repo, OURS).values())
    found: list[str] = []
    for update in ours:
        found += (f"{update.ref}: {text}" for text in _judged(repo, update, known, rewrites=allow))
    more = len(found) - MOST_LINES
    return found if more <= 0 else [*found[:MOST_LINES], f"and {more} more"]


def _judged(repo: Repository, update: Update, known: list[str], *, rewrites: bool) -> Iterator[str]:
    name = _NAMES.fullmatch(update.ref)
    if name is None:
        yield "is no name of roar's (next: see docs/format.md, Refs)"
        return
    throw_away = update.ref.startswith(CHECK)
    if update.new == repo.zero:
        if not (throw_away or rewrites):
            yield "may not be deleted: records are never removed here"
        return
    kind = repo.ask("cat-file", "-t", update.new).decode().strip()
    if kind != "commit":
        yield f"is a {kind}, not a commit"
        return
    if update.old != repo.zero and not (rewrites or _is_ancestor(repo, update.old, update.new)):
        yield "would lose records that are here: its writer only ever appends (next: fetch, and push again)"
        return
    try:
        yield from _objects(repo, update.new, known, notes=update.ref.startswith(NOTES))
        if not (throw_away or update.ref.startswith((NOTES, CODE))):
            yield from _records(repo, update.new, known)
    except GitError as error:
        yield error.message


def _is_ancestor(repo: Repository, old: str, new: str) -> bool:
    words = [*repo.args(), "merge-base", "--is-ancestor", old, new]
    return program.call(words, env=repo.environment()).returncode == 0


def _new(known: list[str], tip: str) -> bytes:
    return "".join(f"{name}\n" for name in [tip, *(f"^{oid}" for oid in known)]).encode()


def _objects(repo: Repository, tip: str, known: list[str], *, notes: bool) -> Iterator[str]:
    """Objects that nobody would read: too large ones; and in notes, what is no note."""
    listed = repo.ask("rev-list", "--objects", "--stdin", stdin=_new(known, tip))
    batch = "--batch-check=%(objectname) %(objecttype) %(objectsize) %(rest)"
    for line in repo.ask("cat-file", "--buffer", batch, stdin=listed).decode("utf-8", "replace").splitlines():
        oid, kind, size, path = (*line.split(" ", 3), "")[:4]
        if not size.isdigit():
            yield f"object {oid} is {kind}"
        elif int(size) > objects.MAX_BYTES:
            yield f"{kind} {oid} ({path}) has {size} bytes, more than {objects.MAX_BYTES}"
        elif notes and kind == "blob" and not _NOTE.fullmatch(path.replace("/", "")):
            yield f"{path!r} is no note: notes are named by the commits they stand on"


def _records(repo: Repository, tip: str, known: list[str]) -> Iterator[str]:
    names = _new(known, tip)
    trailer = "%(trailers:key=Roar-Id,valueonly,separator=%x2C)"
    out = repo.ask("log", "--stdin", f"--format=%H,%P,{trailer}", stdin=names).decode("utf-8", "replace")
    promised: dict[str, str] = {}
    for line in filter(None, out.splitlines()):
        commit, parents, identifier = line.split(",", 2)
        promised[commit] = identifier
        if " " in parents:
            yield f"commit {commit} has several parents: a chain has none"
    for item in read.since(repo, [tip], known):
        if isinstance(item, Broken):
            yield f"commit {item.commit}: {item.reason}"
            continue
        try:
            record = codec.decode(item.body)
        except RecordError as error:
            yield f"commit {item.commit}: {error.message}"
            continue
        identifier, said = codec.identify(record, item.body), promised.get(item.commit, "")
        if said and said != identifier:
            yield f"commit {item.commit} says that its record is {said}, but its bytes are {identifier}"
