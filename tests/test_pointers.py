"""Inputs of which git keeps a pointer only: git-lfs, git-annex and DVC, the real programs where they are installed."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
from pathlib import Path

import pytest
from conftest import Git, Roar, needs_tracer
from test_run import b3, by_path, last

pytestmark = needs_tracer
DATA = b"1,2\n" * 5000


@pytest.mark.skipif(not shutil.which("git-lfs"), reason="git-lfs is not installed")
def test_git_lfs(roar: Roar, tree: Path, git: Git) -> None:
    git(tree, "lfs", "install", "--local")
    git(tree, "lfs", "track", "*.csv")
    (tree / "data.csv").write_bytes(DATA)
    git(tree, "add", ".")
    git(tree, "commit", "-qm", "data")
    roar("run", "-q", "wc", "data.csv")
    file = by_path(last(tree).inputs)["data.csv"]
    assert (file.hash, file.blob) == (b3(DATA), git(tree, "rev-parse", "HEAD:data.csv"))
    assert file.pointer and file.pointer.tool == "git-lfs"
    assert file.pointer.oid == "sha256:" + hashlib.sha256(DATA).hexdigest()
    assert f"git-lfs {file.pointer.oid[:19]}" in roar("show", "@1").stdout.decode()


@pytest.mark.skipif(not shutil.which("git-annex"), reason="git-annex is not installed")
@pytest.mark.parametrize("locked", [True, False])
def test_git_annex(roar: Roar, tree: Path, git: Git, *, locked: bool) -> None:
    git(tree, "annex", "init", "-q")
    (tree / "data.csv").write_bytes(DATA)
    git(tree, "annex", "add", "-q", "data.csv")
    if not locked:
        git(tree, "annex", "unlock", "-q", "data.csv")
    git(tree, "commit", "-qm", "data")
    roar("run", "-q", "wc", "data.csv")
    job = last(tree)
    file = by_path(job.inputs)["data.csv"]
    assert file.hash == b3(DATA)
    assert file.pointer and file.pointer.tool == "git-annex"
    assert file.pointer.oid == f"SHA256E-s{len(DATA)}--{hashlib.sha256(DATA).hexdigest()}.csv"
    assert (job.code.overlay, job.incomplete) == ([], [])
    subprocess.run(["chmod", "-R", "u+w", str(tree / ".git")], check=True)  # else pytest cannot remove it


def test_dvc(roar: Roar, tree: Path) -> None:
    """What `dvc add` writes, by the format of its .dvc files."""
    (tree / ".dvc").mkdir()
    (tree / "dir" / "sub").mkdir(parents=True)
    digest = hashlib.md5(DATA).hexdigest()
    for name in ("data.csv", "dir/sub/part.csv", "other.csv"):
        (tree / name).write_bytes(DATA)
    (tree / "data.csv.dvc").write_text(f"outs:\n- md5: {digest}\n  size: {len(DATA)}\n  hash: md5\n  path: data.csv\n")
    (tree / "dir.dvc").write_text(f"outs:\n- md5: {digest}.dir\n  size: 2\n  nfiles: 1\n  hash: md5\n  path: dir\n")
    (tree / "other.csv.dvc").write_text("not: ours\n")
    roar("run", "-q", "wc", "data.csv", "dir/sub/part.csv", "other.csv")
    found = {file.path: file.pointer and file.pointer.oid for file in last(tree).inputs}
    assert found == {"data.csv": f"md5:{digest}", "dir/sub/part.csv": f"md5:{digest}.dir", "other.csv": None}


def test_dvc_stages(roar: Roar, tree: Path) -> None:
    """What `dvc repro` writes: one lock for all stages, with paths from its own folder."""
    (tree / ".dvc").mkdir()
    (tree / "sub" / "images").mkdir(parents=True)
    for name in ("sub/train.csv", "sub/images/1.png", "sub/raw.csv", "sub/strange: name.csv"):
        (tree / name).write_bytes(DATA)
    digest = hashlib.md5(DATA).hexdigest()
    outs = "".join(
        f"    - path: {path}\n      hash: md5\n      md5: {oid}\n      size: 3\n"
        for path, oid in (("train.csv", digest), ("'strange: name.csv'", digest), ("./images", digest + ".dir"))
    )
    deps = f"    - path: raw.csv\n      hash: md5\n      md5: {digest}\n      size: 3\n"
    lock = f"schema: '2.0'\nstages:\n  prepare:\n    cmd: python prepare.py\n    deps:\n{deps}    outs:\n{outs}"
    (tree / "sub" / "dvc.lock").write_text(lock)
    roar("run", "-q", "wc", "sub/train.csv", "sub/images/1.png", "sub/raw.csv", "sub/strange: name.csv")
    found = {file.path: file.pointer and file.pointer.oid for file in last(tree).inputs}
    assert found == {
        "sub/train.csv": f"md5:{digest}",
        "sub/images/1.png": f"md5:{digest}.dir",
        "sub/raw.csv": None,
        "sub/strange: name.csv": f"md5:{digest}",
    }
