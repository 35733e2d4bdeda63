"""What reaches the disk and with which rights: as git's own configuration asks, compared with git itself."""

from __future__ import annotations

import os
import re
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import ROOT, Git
from faults import needs_strace
from test_journal import APPEND, draft, ids

from roar.git import objects
from roar.git.repository import Repository, discover
from roar.journal import spool
from roar.journal.append import append

VALUES = (None, "none", "loose-object", "reference", "committed", "objects,-pack", "all", "committed,-loose-object")
VALUES += ("none,reference", "index", "-reference")


def flushed(*words: str | Path) -> list[tuple[str, str]]:
    """The flushes of a program, and what was named, in order: ("flush" or "name", the path)."""
    calls = "fsync,fdatasync,sync_file_range,rename,renameat,renameat2,link,linkat"
    done = subprocess.run(
        ["strace", "-f", "-y", "-e", f"trace={calls}", "--", *words], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    found = []
    for call, rest in re.findall(r"\b(fsync|fdatasync|sync_file_range|rename\w*|link\w*)\((.*)\)\s+= 0", done.stderr):
        paths = re.findall(r'"([^"]+)"', rest) or re.findall(r"<([^>]+)>", rest)
        found.append(("name" if call[0] in "rl" else "flush", paths[0]))
    return [(what, path) for what, path in found if "/objects/" in path or "refs/" in path]


@needs_strace
@pytest.mark.parametrize("value", VALUES)
def test_what_is_flushed_is_what_git_flushes(value: str | None, repo: Repository, tree: Path, git: Git) -> None:
    append(repo, draft())
    if value is not None:
        git(tree, "config", "core.fsync", value)
    (tree / "new").write_text(f"{value}")
    asked = (["hash-object", "-w", "new"], ["update-ref", "refs/heads/other", "HEAD"])
    kinds = [any(what == "flush" for what, _ in flushed("git", "-C", str(tree), *words)) for words in asked]
    seen = flushed(sys.executable, "-c", APPEND, str(tree), str(ROOT / "tests"), "1", git(tree, "rev-parse", "HEAD"))
    named = [path for what, path in seen if what == "name"]
    written = {path for what, path in seen if what == "flush"}
    assert len(named) >= 7, "three objects of the record, four of its note, and two refs"
    for path in named:
        is_object = "/objects/" in path
        assert (path in written) == kinds[0 if is_object else 1], path
        if path in written:
            assert seen.index(("flush", path)) < seen.index(("name", path))
    tips = [number for number, path in enumerate(named) if "refs/roar/jobs/" in path]
    assert tips, "objects first, then the ref that reaches them"
    assert len([path for path in named[: tips[0]] if "/objects/" in path]) == 3


@needs_strace
def test_the_older_name_of_that_setting_counts_too(repo: Repository, tree: Path, git: Git) -> None:
    git(tree, "config", "core.fsyncObjectFiles", "yes")
    seen = flushed(sys.executable, "-c", APPEND, str(tree), str(ROOT / "tests"), "1", git(tree, "rev-parse", "HEAD"))
    assert {"/objects/" in path for what, path in seen if what == "flush"} == {True}


def test_an_object_that_a_power_failure_emptied_is_written_again(repo: Repository) -> None:
    oid = objects.write(repo, "blob", b"shared by many records\n")
    path = Path(repo.objects_dir, oid[:2], oid[2:])
    path.chmod(0o644)
    path.write_bytes(b"")
    assert objects.write(repo, "blob", b"shared by many records\n") == oid
    assert path.stat().st_size > 0


def test_an_object_that_is_used_again_is_young_again(repo: Repository) -> None:
    oid = objects.write(repo, "blob", b"used again\n")
    path = Path(repo.objects_dir, oid[:2], oid[2:])
    os.utime(path, (1, 1))
    objects.write(repo, "blob", b"used again\n")
    assert path.stat().st_mtime > 1, "a prune by age must not take it"


@pytest.mark.skipif(os.name == "nt", reason="rights are POSIX's")
@pytest.mark.parametrize("shared", [True, False])
def test_who_shares_the_repository_shares_the_journal(shared: bool, tmp_path: Path, git: Git) -> None:
    top = tmp_path / "shared"
    before = os.umask(0o022)
    try:
        git(tmp_path, "init", "-q", *(["--shared=group"] if shared else []), str(top))
        git(top, "commit", "-q", "--allow-empty", "-m", "one")
        known = set((top / ".git").rglob("*"))
        os.umask(0o077)
        repo = discover(str(top))
        entry = append(repo, draft(git(top, "rev-parse", "HEAD")), {b"files/a/b.py": b"1"})
        spool.save(repo, entry)
    finally:
        os.umask(before)
    made = [path for path in (top / ".git").rglob("*") if path not in known]
    assert len(made) > 12
    for path in made:
        mode = path.lstat().st_mode
        if shared:
            assert mode & stat.S_IRGRP, path
            assert path.is_file() or (mode & stat.S_IXGRP and mode & stat.S_IWGRP), path
            assert path.is_dir() or mode & stat.S_IWGRP or "objects" in path.parts, path
        elif "roar" not in path.relative_to(top / ".git").parts[:1]:
            assert not mode & 0o077, path
    assert ids(repo) == [entry.identifier]
