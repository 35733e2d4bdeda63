"""A real ``git diff`` between two states of code, each a commit with its overlay laid over it.

Only files that differ are compared, by the blobs that the records name. The trees that git needs for it are written
into a folder of their own, which borrows the repository's objects: nothing is added to the repository.
"""

from __future__ import annotations

import os
import tempfile
from typing import NamedTuple

from roar.errors import GitError
from roar.git import program
from roar.git.repository import Repository
from roar.paths import from_fs, fs, is_safe_relative

_SEALED = ["--no-ext-diff", "--no-textconv", "--no-renames"]
"""Nothing that the repository's attributes name may run on what a record brings."""


class Patch(NamedTuple):
    """``text`` is git's own; ``counts`` are lines added and removed by path (None: binary), in the text's order."""

    text: bytes
    counts: dict[str, tuple[int, int] | None]
    missing: list[str]
    """Paths whose content is not here on one side."""


def patch(repo: Repository, files: list[tuple[str, str | None, str | None]]) -> Patch:
    """The difference between two blobs for each path; None where the file is absent, "" where git never had it.

    Raises ``GitError``.
    """
    files = [file for file in files if is_safe_relative(file[0])]
    here = _present(repo, [oid for _, *pair in files for oid in pair if oid])
    missing = [path for path, *pair in files if any(oid is not None and oid not in here for oid in pair)]
    known = [file for file in files if file[0] not in missing]
    if not known:
        return Patch(b"", {}, missing)
    with tempfile.TemporaryDirectory(prefix="roar-diff-") as folder:
        env = program.environment(
            GIT_OBJECT_DIRECTORY=folder, GIT_ALTERNATE_OBJECT_DIRECTORIES=_listed(repo.objects_dir)
        )
        trees = [_tree(repo, env, folder, [(path, pair[n]) for path, *pair in known]) for n in (0, 1)]
        words = [*repo.args(), "diff-tree", "-r", *_SEALED]
        text = program.ask([*words, "-p", "--no-color", *trees], env=env)
        numbers = program.ask([*words, "--numstat", "-z", *trees], env=env)
    return Patch(text, _counts(numbers), missing)


def _present(repo: Repository, oids: list[str]) -> set[str]:
    if not oids:
        return set()
    out = repo.ask("cat-file", "--batch-check=%(objectname) %(objecttype)", stdin="\n".join(oids).encode() + b"\n")
    return {line.split()[0] for line in out.decode().splitlines() if line.endswith(" blob")}


def _tree(repo: Repository, env: dict[str, str], folder: str, files: list[tuple[str, str | None]]) -> str:
    env = {**env, "GIT_INDEX_FILE": os.path.join(folder, "index")}
    lines = b"".join(f"100644 {oid}\t".encode() + os.fsencode(fs(path)) + b"\0" for path, oid in files if oid)
    program.ask([*repo.args(), "read-tree", "--empty"], env=env)
    program.ask([*repo.args(), "update-index", "-z", "--index-info"], env=env, stdin=lines)
    return program.ask([*repo.args(), "write-tree"], env=env).decode().strip()


def _listed(path: str) -> str:
    """A path as git reads it in a list separated by colons."""
    return '"' + path.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _counts(raw: bytes) -> dict[str, tuple[int, int] | None]:
    found: dict[str, tuple[int, int] | None] = {}
    for line in raw.split(b"\0"):
        words = line.split(b"\t", 2)
        if len(words) == 3:
            path = from_fs(os.fsdecode(words[2]))
            found[path] = None if words[0] == b"-" else (int(words[0]), int(words[1]))
    return found


def unread_changes(repo: Repository, before: str | None, after: str | None, read: set[str]) -> int | None:
    """How many files differ between two commits that are not among those read; None when a commit is not here."""
    if before is None or after is None:
        return None
    try:
        out = repo.ask("diff-tree", "-r", "-z", "--no-renames", "--name-only", "--end-of-options", before, after)
    except GitError:
        return None
    return sum(os.fsdecode(path) not in read for path in out.split(b"\0") if path)
