"""What git knows of paths in a work tree: tracked at a commit, ignored, and as which blob.

Paths are ``os`` path strings relative to the top of the work tree, with ``/``.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable
from itertools import islice
from typing import NamedTuple

from roar.errors import GitError
from roar.git import program
from roar.git.repository import Repository

_AT_ONCE = 50_000
"""Paths that one git is asked of."""


def blobs_at(repo: Repository, commit: str, paths: Iterable[str]) -> dict[str, str]:
    """The blob id of each of the paths that the commit has as a file. Raises ``GitError``."""
    found: dict[str, str] = {}
    left = iter(paths)
    while some := list(islice(left, _AT_ONCE)):
        plain = [p for p in some if "\n" not in p]
        names = "".join(f"{commit}:{p}\n" for p in plain).encode("utf-8", "surrogateescape")
        out = repo.ask("cat-file", "--buffer", "--batch-check=%(objectname) %(objecttype)", stdin=names)
        for path, line in zip(plain, out.split(b"\n"), strict=False):
            words = line.split(b" ")
            if len(words) == 2 and words[1] == b"blob":
                found[path] = words[0].decode()
        for path in set(some).difference(plain):
            line = repo.ask("--literal-pathspecs", "ls-tree", "-z", "--full-tree", commit, "--", path)
            if line:
                found[path] = line.split(b"\t")[0].split(b" ")[2].decode()
    return found


def sizes(repo: Repository, blobs: Collection[str]) -> dict[str, int]:
    """The size in bytes of each of these blobs. Raises ``GitError``."""
    if not blobs:
        return {}
    names = "".join(f"{blob}\n" for blob in blobs).encode()
    out = repo.ask("cat-file", "--buffer", "--batch-check=%(objectname) %(objectsize)", stdin=names).decode()
    pairs = (line.split(" ") for line in out.splitlines())
    return {blob: int(size) for blob, size in pairs if size.isdigit()}


def blob_id(repo: Repository, data: bytes) -> str:
    """The id that git would give a blob of these bytes."""
    return repo.hash(b"blob %d\0" % len(data) + data)


def stored_blob_ids(repo: Repository, paths: list[str], *, filtered: bool = True) -> dict[str, str]:
    """The ids of work tree files as git would store them: line ends and clean filters applied, if ``filtered``.

    A file that git cannot read, or whose filter fails, is absent.
    """
    words = ["hash-object", *([] if filtered else ["--no-filters"]), "--stdin-paths"]
    plain = [p for p in paths if "\n" not in p]
    stdin = "".join(f"{p}\n" for p in plain).encode("utf-8", "surrogateescape")
    try:
        out = repo.ask(*words, stdin=stdin).decode().split()
    except GitError:
        if len(plain) < 2:
            return {}
        half = len(plain) // 2
        return {
            **stored_blob_ids(repo, plain[:half], filtered=filtered),
            **stored_blob_ids(repo, plain[half:], filtered=filtered),
        }
    return dict(zip(plain, out, strict=True))


class Standing(NamedTuple):
    """What `git status` says: branch and commit (None: detached; no commit yet), the numbers of files that differ from
    the commit and of files and folders that are untracked, the upstream branch and how many commits it lacks.
    """

    branch: str | None
    commit: str | None
    changed: int
    untracked: int
    upstream: str | None
    ahead: int


def standing(repo: Repository) -> Standing:
    """How the work tree stands to its commit and its upstream, by git-status(1), porcelain format 2."""
    words = ["status", "--porcelain=v2", "--branch", "--no-renames", "--untracked-files=normal", "-z"]
    lines = os.fsdecode(repo.ask(*words)).split("\0")
    said = dict(line[len("# branch.") :].split(" ", 1) for line in lines if line.startswith("# branch."))
    branch, commit = said.get("head"), said.get("oid")
    return Standing(
        None if branch == "(detached)" else branch,
        None if commit == "(initial)" else commit,
        sum(line[:2] in ("1 ", "2 ", "u ") for line in lines),
        sum(line[:2] == "? " for line in lines),
        said.get("upstream"),
        int(said.get("ab", "+0").split(" ")[0]),
    )


def tracked(repo: Repository) -> set[str]:
    """Every path that git's index has. Raises ``GitError``."""
    return {os.fsdecode(p) for p in repo.ask("ls-files", "-z").split(b"\0") if p}


def ignored(repo: Repository, paths: list[str]) -> set[str]:
    """Those of the paths that git ignores. A path that git will not judge (in a submodule) is in nobody's way."""
    if not paths:
        return set()
    stdin = b"".join(os.fsencode(p) + b"\0" for p in paths)
    words = ["check-ignore", "-z", "--stdin"]
    done = program.call([*repo.args(), *words], cwd=repo.require_work_tree(), stdin=stdin, env=repo.environment())
    if done.returncode not in (0, 1):  # 1 says that none is ignored
        return set(paths) if len(paths) == 1 else {p for path in paths for p in ignored(repo, [path])}
    return {os.fsdecode(p) for p in done.stdout.split(b"\0") if p}
