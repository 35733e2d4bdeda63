"""Removing a record for good: this clone's chains are made anew without it.

All other records keep their bytes and ids. The new chains get a new name, since the old ones may have been pushed and
no ref that others have may move backwards; so no push is ever refused, and none is forced.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Collection, Mapping
from typing import NamedTuple

from roar.config.read import load
from roar.errors import GitError, RecordError
from roar.git import gclock, locks, objects, program, refs, settings, signing
from roar.git.objects import Reader
from roar.git.repository import Repository
from roar.journal import (
    ARCHIVE,
    FOLDED,
    JOBS,
    NOTES,
    OWN,
    PUSHED,
    REMOTES,
    archive,
    read,
    segments,
)
from roar.journal.segments import Item
from roar.journal.writer import new_writer, writer_name
from roar.records import codec, ids

log = logging.getLogger(__name__)

_PATIENCE_SECONDS = 30.0
"""How long a running gc is waited for."""


class Found(NamedTuple):
    """Where records are: the journal's commits that hold them, their blobs, all refs that lead there; and notes refs
    with a line on them.
    """

    commits: set[str]
    blobs: set[str]
    refs: dict[str, str]
    notes: dict[str, str]


class Purged(NamedTuple):
    """What was found; own refs that have a new name, by the old one (None: nothing was left in it); deleted copies."""

    found: Found
    renamed: dict[str, str | None]
    forgotten: list[str]


def find(repo: Repository, identifiers: Collection[str]) -> Found:
    """Where any of these records is in this repository. Raises ``GitError`` when a chain cannot be walked."""
    commits, blobs = set(), set()
    tips = read.tips(repo)
    try:
        for item in read.since(repo, tips.values()):
            if isinstance(item, read.Stored) and _is_one(item, identifiers):
                commits.add(item.commit)
                blobs.add(item.blob)
    except GitError as error:
        raise _unwalkable(repo, tips) or error from None
    with Reader(repo) as reader:
        noted = {
            ref: oid
            for ref, oid in refs.listing(repo, NOTES, REMOTES, PUSHED).items()
            if (ref.startswith(PUSHED) or "/notes/" in ref) and _mentions(reader, oid, identifiers)
        }
    return Found(commits, blobs, _containing(repo, commits), noted)


def _unwalkable(repo: Repository, tips: Mapping[str, str]) -> GitError | None:
    """What to say of the first chain that git cannot walk to its end."""
    for ref, tip in tips.items():
        done = program.call([*repo.args(), "rev-list", "--count", tip], cwd=repo.git_dir, env=repo.environment())
        if done.returncode:
            why = f"{ref} cannot be walked, so nobody can tell what it holds: {program.last_line(done.stderr)}"
            mend = "roar fsck" if ref.startswith(OWN) else f"git update-ref -d {ref}, then fetch it again"
            return GitError(why, mend)
    return None


def _mentions(reader: Reader, oid: str, identifiers: Collection[str]) -> bool:
    """Whether notes have a line on one of these records."""
    try:
        blobs = reader.files(reader.commit(oid).tree).values()
        return any(_id_of(line) in identifiers for _, b in blobs for line in reader.body(b, "blob").splitlines())
    except GitError:
        return False


def _id_of(line: bytes) -> str:
    """The record id that a line of notes begins with."""
    return line[: ids.LENGTH].decode("ascii", "replace")


def _containing(repo: Repository, commits: Collection[str]) -> dict[str, str]:
    found: dict[str, str] = {}
    for some in archive.batched(sorted(commits), 200):
        holds = [f"--contains={commit}" for commit in some]
        out = repo.ask("for-each-ref", "--format=%(objectname) %(refname)", *holds)
        found.update((ref, oid) for oid, _, ref in (line.partition(" ") for line in program.lines(out)))
    return found


def _is_one(item: read.Stored, identifiers: Collection[str]) -> bool:
    try:
        return codec.identify_bytes(item.body) in identifiers
    except RecordError:
        return False


def purge(repo: Repository, identifiers: Collection[str]) -> Purged:
    """Make this clone's chains and notes anew without these records, and delete its copies of the old ones.

    Raises ``GcRunningError`` while a gc runs, and ``GitError`` or ``OSError`` when the repository cannot be written.
    """
    repo.make_own_dir()
    with (
        locks.exclusive(os.path.join(repo.own_dir, "lock")),
        Reader(repo) as reader,
        gclock.hold(repo, _PATIENCE_SECONDS),
    ):
        found = find(repo, identifiers)
        own = {ref: tip for ref, tip in found.refs.items() if ref.startswith((JOBS, ARCHIVE, FOLDED))}
        old = writer_name(repo)
        if not own:
            return Purged(found, {}, _forget_copies(repo, found, None))
        before = refs.listing(repo, JOBS, NOTES)
        made = {ref: _without(repo, reader, tip, found.commits, identifiers) for ref, tip in own.items()}
        name = new_writer(repo, old)
        moved = _replace(repo, made, own, old, name)
        _renew_notes(repo, reader, identifiers, NOTES + name)
        now = refs.listing(repo, JOBS, NOTES)
        moved |= {ref: _named(ref, old, name) for ref in before if ref not in moved and ref not in now}
        return Purged(found, moved, _forget_copies(repo, found, old))


def _without(
    repo: Repository, reader: Reader, tip: str, commits: Collection[str], identifiers: Collection[str]
) -> str | None:
    """The end of a chain like the one that ends in ``tip``, without some records; None when nothing is left of it."""
    parent: str | None = None
    same = True
    for oid in repo.ask("rev-list", "--reverse", "--first-parent", tip).decode().split():
        if oid in commits:
            same = False
            parent = _reduced(repo, reader, oid, parent, identifiers)
        else:
            parent = oid if same else _on_parent(repo, reader.body(oid, "commit"), parent)
    return parent


def _on_parent(repo: Repository, commit: bytes, parent: str | None) -> str:
    """Write a commit again on another parent. What was signed is signed again if signing is on and works."""
    body = objects.on_parent(commit, parent)
    sign = load(repo).settings.sign
    if sign.enabled and objects.Commit(commit).signed:
        try:
            return signing.write_signed(repo, body, sign.key or None)
        except GitError as error:
            log.debug("a commit that was signed is not signed again: %s", error)
    return objects.write(repo, "commit", body)


def _reduced(
    repo: Repository, reader: Reader, oid: str, parent: str | None, identifiers: Collection[str]
) -> str | None:
    """A commit like this one without some of its records, on a parent; the parent when no record is left."""
    commit = reader.commit(oid)
    kept = [
        Item(codec.identify_bytes(item.body), item.body, archive.beside(reader, item))
        for item in read.of_commit(reader, oid, commit.tree)
        if isinstance(item, read.Stored) and not _is_one(item, identifiers)
    ]
    if not kept:
        return parent
    inside = next(inner for _, name, inner in reader.tree(commit.tree) if name == b"segment")
    folder = next(iter(reader.files(inside))).rpartition(b"/")[0]
    return segments.write(repo, kept, parent, settings.identity(repo), commit.date, folder)


def _replace(
    repo: Repository, made: Mapping[str, str | None], own: Mapping[str, str], old: str, name: str
) -> dict[str, str | None]:
    """Let the new chains take the place of the old ones, all or none; gives old names with the new ones."""
    there = refs.listing(repo, JOBS, ARCHIVE, FOLDED)
    moved: dict[str, str | None] = {}
    lines = []
    for ref, new in made.items():
        here = ref if ref in there else _named(ref, old, name)  # new_writer has renamed those of this writer
        target = (
            here if here != ref else _free(ref, name if new is None or not ref.startswith(FOLDED) else new[:16], there)
        )
        if new is None:
            lines.append(f"delete {here} {own[ref]}")
        elif target == here:
            lines.append(f"update {here} {new} {own[ref]}")
        else:
            lines += [f"create {target} {new}", f"delete {here} {own[ref]}"]
            there[target] = new
        moved[ref] = target if new else None
    repo.ask("update-ref", "--no-deref", "--stdin", stdin="".join(f"{line}\n" for line in lines).encode())
    return moved


def _free(ref: str, name: str, there: Collection[str]) -> str:
    """The ref with this last part, or with a random one when that is taken."""
    folder = ref.rpartition("/")[0]
    return f"{folder}/{name}" if f"{folder}/{name}" not in there else f"{folder}/{os.urandom(8).hex()}"


def _named(ref: str, old: str, name: str) -> str:
    return ref.removesuffix(old) + name if ref.endswith("/" + old) else ref


def _renew_notes(repo: Repository, reader: Reader, identifiers: Collection[str], ref: str) -> None:
    """Make the notes anew without these records' lines and without the history in which they still are."""
    tip = refs.read(repo, ref)
    if tip is None:
        return
    blobs = {path: blob for path, (_, blob) in reader.files(reader.commit(tip).tree).items()}
    for path, blob in list(blobs.items()):
        lines = reader.body(blob, "blob").splitlines(keepends=True)
        kept = [line for line in lines if _id_of(line) not in identifiers]
        if not kept:
            del blobs[path]
        elif len(kept) < len(lines):
            blobs[path] = objects.write(repo, "blob", b"".join(kept))
    if not blobs:
        refs.delete(repo, {ref: tip})
        return
    commit = reader.commit(tip)
    who = f"{settings.identity(repo)} {commit.date} +0000"
    body = objects.commit_body(objects.write_tree(repo, blobs), [], who, who, "roar: notes\n")
    if not refs.compare_and_swap(repo, ref, objects.write(repo, "commit", body), tip):
        raise GitError(f"{ref} was moved by another program; run the command again")


def _forget_copies(repo: Repository, found: Found, old: str | None) -> list[str]:
    """Delete copies of remotes' chains that hold what was purged and else nothing that this clone lacks.

    So goes what was fetched of this clone's own old chains, under whatever name. Copies of notes go if they have a line
    on it, or are of the name that this clone had until now (``old``): nothing is lost by that.
    """
    copies = {ref: oid for ref, oid in found.refs.items() if ref.startswith(REMOTES)}
    if copies:
        there = archive.identifiers(repo, copies.values())
        own = refs.listing(repo, JOBS, ARCHIVE, FOLDED).values()
        known = archive.held(repo, own, there) | archive.buried(repo)
        lacking = archive.uncovered(repo, copies, known)
        copies = {ref: oid for ref, oid in copies.items() if ref not in lacking}
    notes = {
        ref: oid
        for ref, oid in refs.listing(repo, REMOTES, PUSHED).items()
        if ref in found.notes or (ref.startswith(PUSHED) and ref.rpartition("/")[2] == old)
    }
    refs.delete(repo, copies | notes)
    return sorted(copies | notes)


def remaining(repo: Repository, found: Found) -> tuple[set[str], list[str]]:
    """Those of the objects that are still in this repository, and the refs that lead to them."""
    with Reader(repo) as reader:
        there = {oid for oid in found.commits | found.blobs if reader.get(oid)}
    return there, sorted(_containing(repo, found.commits & there))
