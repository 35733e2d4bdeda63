"""Reproducing what others recorded: only signed records, and steps in a sandbox."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import pytest
from conftest import Git, Roar, needs_tracer
from test_reproduce import areas, commit, reproductions, verdicts
from test_verify import key  # noqa: F401  a fixture


def _can_make_sandboxes() -> bool:
    words = ["bwrap", "--unshare-net", "--unshare-pid", "--ro-bind", "/", "/", "--proc", "/proc", "true"]
    return shutil.which("bwrap") is not None and subprocess.run(words, capture_output=True).returncode == 0


needs_bwrap = pytest.mark.skipif(not _can_make_sandboxes(), reason="bubblewrap is not here, or not permitted")


@needs_tracer
def test_unsigned_records_run_nothing(key: Path, tree: Path, git: Git, roar: Roar) -> None:  # noqa: F811
    commit(tree, git)
    git(tree, "config", "roar.sign.enabled", "false")
    roar("run", "-q", "sh", "-c", "echo 1 > one")
    said = roar("reproduce", "-y", "one", "--require-signed", code=1).stderr
    assert b"it cannot be made again: @1: the signature of its record: unsigned (next: roar verify " in said
    assert reproductions(tree) == []
    assert not json.loads(roar("reproduce", "--plan", "--json", "one", "--require-signed", code=1).stdout)["can_start"]
    git(tree, "config", "roar.sign.enabled", "true")
    roar("run", "-q", "sh", "-c", "cat one > two")  # its signature covers the record before it
    assert verdicts(roar("reproduce", "-y", "--json", "--force", "two", "--require-signed"))["two"] == "identical"


@needs_tracer
@needs_bwrap
def test_in_the_sandbox_nothing_outside_is_written_and_no_network_is_there(tree: Path, roar: Roar, git: Git) -> None:
    outside = tree.parent / "outside"
    outside.mkdir()
    commit(tree, git)
    script = (
        "echo in > in; cat in > out; wc -l < /proc/net/dev > devices; echo x > $(mktemp); "
        f"echo x > {outside}/x || true; echo x > {tree}/x || true; cut -d: -f1 /proc/net/dev > names; true"
    )
    roar("run", "-q", "sh", "-c", script)
    for path in (outside / "x", tree / "x"):
        path.unlink()
    before = git(tree, "status", "--porcelain")
    done = roar("reproduce", "-y", "--json", "--sandbox", "out", code=3)  # other devices of the network
    assert verdicts(done)["out"] == "identical" and verdicts(done)["names"] == "differs"
    assert not (outside / "x").exists() and not (tree / "x").exists()
    assert git(tree, "status", "--porcelain") == before
    kept = json.loads(roar("reproduce", "-y", "--json", "--sandbox", "--keep", "out", code=3).stdout)["work_area"]
    assert [line.strip() for line in (Path(kept) / "names").read_text().splitlines()[2:]] == ["lo"]


@needs_tracer
def test_without_bubblewrap_it_says_so(tree: Path, roar: Roar, git: Git, sealed: Path, tmp_path: Path) -> None:
    commit(tree, git)
    roar("run", "-q", "sh", "-c", "echo 1 > one")
    bare = tmp_path / "bin"
    bare.mkdir()
    for name in ("git", "sh", "uname"):
        (bare / name).symlink_to(str(shutil.which(name)))
    said = roar("reproduce", "-y", "one", "--sandbox", code=1, PATH=str(bare)).stderr
    assert b"--sandbox needs bubblewrap, and there is no bwrap on PATH (next: install bubblewrap)\n" in said
    refusing = bare / "bwrap"
    refusing.write_text("#!/bin/sh\necho 'bwrap: No permissions to create a new namespace' >&2\nexit 1\n")
    refusing.chmod(0o755)
    said = roar("reproduce", "-y", "one", "--sandbox", code=1, PATH=str(bare)).stderr
    assert b"bubblewrap cannot make a sandbox here: bwrap: No permissions to create a new namespace" in said
    assert reproductions(tree) == [] and areas(sealed) == []
