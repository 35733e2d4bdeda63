"""From what a person typed to the recorded thing it means.

A job's id or the beginning of one, the first digits (four or more) of an artifact's hash or of a commit, a file's
path, a step ``@N`` or build step ``@BN`` of the session, any name git knows for a commit, or the name given to a step
or a session.
What could be two things is refused with the candidates; a file on the disk is looked up by its content, so a path means
the bytes that are there.
"""

from __future__ import annotations

import difflib
import os
import re
from typing import Literal, NamedTuple

from roar.cache.index import Index
from roar.errors import AmbiguousError, NotFoundError, RoarError, UsageError
from roar.git import program, transport
from roar.git.repository import Repository
from roar.hashing import digest_files, digest_link
from roar.paths import below, from_fs
from roar.records import ids
from roar.records.summary import command_line, printable
from roar.stamps import Stamps
from roar.verbs.steps import session_asked, steps_of

SHORTEST = 4
"""Digits that a hash or a commit needs at least."""
SHORT_ID = 12
"""Characters of a record id that tell records apart unless two were written in the same millisecond."""
SHORT_HASH = 12
_MOST = 5
_TELLING, _ALIKE, _MOST_COMPARED = 3, 0.75, 1000
"""Letters that a misspelt name must begin with rightly, how much of it must be right, names that are looked at."""
_STEP = re.compile(r"@(?P<build>[Bb]?)(?P<number>0*[1-9][0-9]*)")
_MOST_DIGITS = 9
_ALGORITHMS = {32: "md5", 64: "sha256", 128: "sha512"}
"""By the length of their digests: those that may be recorded beside BLAKE3."""
_HEX = re.compile(r"[0-9a-fA-F]+")


class Target(NamedTuple):
    """A recorded thing: its kind, its whole id or hash, and for an artifact the path by which it was asked for."""

    kind: Literal["job", "session", "artifact", "commit"]
    id: str
    path: str | None = None


def resolve(index: Index, repo: Repository, text: str, cwd: str) -> Target:
    """What ``text`` means, typed in the folder ``cwd``.

    Raises ``NotFoundError`` when nothing recorded answers to it, ``AmbiguousError`` when several things do, and
    ``UsageError`` when it cannot be the name of anything.
    """
    if not text or "\0" in text:
        raise UsageError("an empty name means nothing", "roar log")
    if text.startswith("@"):
        return Target("job", step(index, repo, text))
    found = _by_digits(index, text)
    path = None if len(found) == 1 and len(text) >= ids.LENGTH else _recorded_path(index, repo, text, cwd)
    if path is not None:
        found.append(path)
    if len(found) == 1:
        return found[0]
    if found:
        raise _ambiguous(index, text, found)
    name = from_fs(text)
    other = _by_revision(index, repo, text) or _by_step_name(index, repo, name) or _by_session_name(index, name)
    if other is None:
        raise _refusal(index, repo, text, cwd)
    return other


def resolve_many(index: Index, repo: Repository, text: str, cwd: str) -> list[Target]:
    """The artifacts of the collection that is called so, or the one thing that ``text`` means.

    Raises as ``resolve`` does, and ``AmbiguousError`` when a collection and something else have the name.
    """
    members = [Target("artifact", content) for content in index.collection(from_fs(text))]
    try:
        found = resolve(index, repo, text, cwd)
    except NotFoundError:
        if not members:
            raise
        return members
    if members:
        hint = "type ./ before a file's name, or more digits"
        raise AmbiguousError(f"{printable(text)} may be the collection or {_describe(index, found)}", hint)
    return [found]


def step(index: Index, repo: Repository, text: str) -> str:
    """The latest job of the step ``@N``, or build step ``@BN``, of the session asked about.

    Raises ``UsageError`` or ``NotFoundError``.
    """
    form = _STEP.fullmatch(text)
    if form is None:
        raise UsageError(f"{printable(text)} is no step: a step is @1 or @2, a build step @B1 and so on", "roar dag")
    session = session_asked(index, repo)
    steps = steps_of(index, session) if session else []
    kind = "build step" if form["build"] else "step"
    same = [step for step in steps if isinstance(step.number, str) == bool(form["build"])]
    number = form["number"]
    if len(number) > _MOST_DIGITS or int(number) > len(same):
        count = f"has {len(same)} {kind}" + "s" * (len(same) != 1) if same else f"has no {kind}s"
        raise NotFoundError(f"there is no {kind} {text}: the session {count}", "roar dag" if steps else "roar run CMD")
    return same[int(number) - 1].job


def _by_digits(index: Index, text: str) -> list[Target]:
    """Jobs, sessions, artifacts and commits whose ids begin so."""
    found: list[Target] = []
    canonical = ids.normalise(text)
    if canonical is not None and len(canonical) >= SHORTEST:
        found += [Target(index.kind_of(identifier), identifier) for identifier in index.find_ids(canonical)]
    if _HEX.fullmatch(text) and len(text) >= SHORTEST:
        found += [Target("artifact", content) for content in index.find_hashes(text.lower())]
        found += [Target("commit", commit) for commit in index.code_commits(text.lower())]
    exact = [target for target in found if target.id in (canonical, text.lower())]
    if not found and _HEX.fullmatch(text) and len(text) in _ALGORITHMS:
        known = index.contents_of_digest(text.lower(), [_ALGORITHMS[len(text)]])
        found = [Target("artifact", content) for content in known]
    return exact or found


def place(repo: Repository, text: str, cwd: str) -> tuple[str, str]:
    """Where a path typed in the folder ``cwd`` lies (links to folders followed), and how records spell it."""
    asked = os.path.normpath(os.path.join(cwd, text))
    where = os.path.join(os.path.realpath(os.path.dirname(asked)), os.path.basename(asked))
    return where, _as_recorded(where, repo.work_tree)


def _recorded_path(index: Index, repo: Repository, text: str, cwd: str) -> Target | None:
    """The artifact at a path: the bytes on the disk, else the latest recorded version. None when no job met it.

    Raises ``NotFoundError`` for a file whose present content no job knows although other versions are recorded.
    """
    where, name = place(repo, text, cwd)
    content = content_at(repo, where)
    for known in content:
        if index.names(known):
            return Target("artifact", known, name)
    versions = index.versions(name) or index.readers_of_path(name)
    if not versions and os.path.islink(where):
        name = _as_recorded(os.path.realpath(where), repo.work_tree)
        versions = index.versions(name) or index.readers_of_path(name)
    if not versions:
        return None
    if content:
        many = len({known for known, _ in versions})
        raise NotFoundError(
            f"{printable(text)} was changed since: no job read or wrote its present content {content[-1][:SHORT_HASH]}"
            f" ({many} other version{'s' * (many > 1)} of it recorded)",
            f"roar show {versions[0][0][:SHORT_HASH]}",
        )
    return Target("artifact", versions[0][0], name)


def content_at(repo: Repository, path: str) -> list[str]:
    """The hashes by which the file at an absolute path may be recorded: of a link's target, and of the content."""
    found = []
    if os.path.islink(path):
        found.append(digest_link(path))
    if os.path.isfile(path):
        memo = Stamps(repo.own_dir)
        digest = digest_files([path], memo)[path]
        memo.close()
        if isinstance(digest, OSError):
            raise NotFoundError(f"{printable(path)} cannot be read: {digest.strerror}") from digest
        found.append(digest.hash)
    return found


def _as_recorded(path: str, top: str | None) -> str:
    inside = below(path, top) if top else None
    return from_fs(path if inside is None else inside)


def _by_revision(index: Index, repo: Repository, text: str) -> Target | None:
    """The commit that git knows by this name. Raises ``NotFoundError`` when no job ran there."""
    commit = _revision(repo, text)
    if commit is None:
        return None
    if not index.jobs_at(commit):
        raise NotFoundError(f"no recorded job ran at commit {commit[:SHORT_HASH]}", "roar log")
    return Target("commit", commit)


def _revision(repo: Repository, text: str) -> str | None:
    if "\n" in text:
        return None
    words = ["rev-parse", "--verify", "--quiet", "--end-of-options", text + "^{commit}"]
    return program.call([*repo.args(), *words]).stdout.decode().strip() or None


def commit_named(index: Index, repo: Repository, text: str) -> str:
    """The commit that git knows by this name, or that a job ran at and git has lost.

    Raises ``NotFoundError``, or ``AmbiguousError`` when several commits of jobs begin so.
    """
    if not text or "\0" in text:
        raise UsageError("an empty name means no commit", "roar log --commit HEAD")
    commit = _revision(repo, text)
    if commit is not None:
        return commit
    found = index.code_commits(text.lower()) if _HEX.fullmatch(text) and len(text) >= SHORTEST else []
    if len(found) > 1:
        raise _ambiguous(index, text, [Target("commit", oid) for oid in found])
    if not found:
        raise NotFoundError(f"{printable(text)} is no commit", "git log")
    return found[0]


def _by_step_name(index: Index, repo: Repository, text: str) -> Target | None:
    """The latest job of the session's steps that were given this name."""
    session = session_asked(index, repo)
    latest = sorted((found.job for found in steps_of(index, session)), reverse=True) if session else []
    named = (identifier for identifier, job in index.load_jobs(latest).items() if job.command.name == text)
    job = next(named, None)
    return Target("job", job) if job else None


def _by_session_name(index: Index, text: str) -> Target | None:
    """The newest session of this name."""
    named = (found for found in index.sessions() if getattr(index.load(found), "name", None) == text)
    session = next(named, None)
    return Target("session", session) if session else None


def _refusal(index: Index, repo: Repository, text: str, cwd: str) -> RoarError:
    shown = printable(text)
    if os.path.isdir(os.path.join(cwd, text)):
        return NotFoundError(f"{shown} is a folder; lineage is kept of files", "name a file in it")
    if os.path.lexists(os.path.join(cwd, text)):
        return NotFoundError(f"no recorded job read or wrote {shown}", "roar run CMD, with the command that makes it")
    if _HEX.fullmatch(text) and len(text) < SHORTEST:
        return UsageError(f"{shown} is too short for a hash: type {SHORTEST} digits or more", "roar log")
    if _HEX.fullmatch(text):
        what = f"no job, artifact or commit begins with {shown}"
    elif ids.normalise(text) is not None and len(text) >= SHORT_ID:
        what = f"no job begins with {shown}"
    else:
        what = f"{shown} is no recorded job, file, step or commit"
        near = _near(index, place(repo, text, cwd)[1])
        if near is not None:
            return NotFoundError(what, f"perhaps {printable(near)} is meant")
    return NotFoundError(what, "roar sync, if somebody else recorded it" if transport.remotes(repo) else "roar log")


def _near(index: Index, path: str) -> str | None:
    """A recorded path that is spelled almost so, if one has the first letters of its last name."""
    start = path.rpartition("/")[2][:_TELLING]
    known = index.paths_like(f"*{start}*") if len(start) == _TELLING and start.isalnum() else []
    return next(iter(difflib.get_close_matches(path, known[:_MOST_COMPARED], 1, _ALIKE)), None)


def _ambiguous(index: Index, text: str, found: list[Target]) -> AmbiguousError:
    shown = ", ".join(_describe(index, target) for target in found[:_MOST])
    more = " and others" if len(found) > _MOST else ""
    path = next((t for t in found if t.path is not None), None)
    hint = "type ./ before a file's name, or more digits" if path else "type more of it"
    return AmbiguousError(f"{printable(text)} may be {shown}{more}", hint)


def _describe(index: Index, target: Target) -> str:
    if target.path is not None:
        return f"the file {printable(target.path)}"
    if target.kind == "job":
        return f"job {target.id} ({command_line(index.load_job(target.id).command, 30)})"
    if target.kind == "artifact":
        names = index.names(target.id)
        return f"{target.id[:16]} ({printable(names[0].path)})" if names else target.id[:16]
    return f"{target.kind} {target.id[: ids.LENGTH]}"
