"""Objects and pushes that no roar would make."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterable, Mapping
from pathlib import Path

from roar.git import objects
from roar.git.repository import Repository

WHO = "Ada Recorder <ada@example.org> 1735732800 +0000"
REF = "refs/roar/jobs/2026/0123456789abcdef"


def commit(
    repo: Repository, tree: Mapping[bytes, bytes] | str, message: str = "roar: x", parents: Iterable[str] = ()
) -> str:
    """A commit of these files, or of a tree that is there."""
    tree_id = tree if isinstance(tree, str) else objects.write_files(repo, tree)
    return objects.write(repo, "commit", objects.commit_body(tree_id, parents, WHO, WHO, message))


def tree(repo: Repository, *entries: tuple[bytes, bytes, str]) -> str:
    """A tree of (mode, name, id), whatever those are."""
    return objects.write(repo, "tree", objects.tree_body(entries))


def push(folder: Path, url: str, *refs: str, code: int = 1, **env: str) -> str:
    """Push and give what was said, without the lines of git's that every refused push has."""
    done = subprocess.run(
        ["git", "push", url, *refs], cwd=folder, env={**os.environ, **env}, capture_output=True, check=False
    )
    said = done.stderr.decode("utf-8", "replace")
    assert done.returncode == code, said
    assert "Traceback" not in said
    return said


def told(said: str) -> list[str]:
    """The lines of roar's in what a push said."""
    lines = [line.removeprefix("remote:").strip() for line in said.splitlines()]
    return [line.removeprefix("roar: ") for line in lines if line.startswith("roar: ")]


def files_of(path: str) -> set[str]:
    """Every file of a repository, but for those of its log and its index."""
    files = (it.relative_to(path) for it in Path(path).rglob("*") if it.is_file())
    return {str(it) for it in files if it.parts[0] not in ("glaas", "roar")}
