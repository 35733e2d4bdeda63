"""Files that a job reads in a submodule: the record names its commit, and keeps what that does not have."""

from __future__ import annotations

from pathlib import Path

import pytest
from conftest import Git, Roar, needs_tracer
from test_run import by_path, last

pytestmark = needs_tracer


@pytest.fixture
def library(tree: Path, git: Git, tmp_path: Path) -> Path:
    """A submodule ``libs/tool`` of ``tree`` with code in it; another repository lies beside it."""
    origin = tmp_path / "origin"
    origin.mkdir()
    git(origin, "init", "-q")
    (origin / "tool.py").write_text("print(1)\n")
    (origin / "data.txt").write_text("data\n")
    git(origin, "add", ".")
    git(origin, "commit", "-qm", "tool")
    git(tree, "submodule", "add", "-q", str(origin), "libs/tool")
    git(tree, "commit", "-qm", "with a submodule")
    other = tree / "other"
    git(tree, "clone", "-q", str(origin), str(other))
    return tree / "libs" / "tool"


def test_a_submodule_is_named_with_its_commit(roar: Roar, tree: Path, git: Git, library: Path) -> None:
    roar("run", "-q", "cat", "libs/tool/tool.py", "libs/tool/data.txt", "README")
    job = last(tree)
    commit = git(library, "rev-parse", "HEAD")
    assert [(each.path, each.commit) for each in job.code.submodules] == [("libs/tool", commit)]
    assert job.code.submodules[0].remote == str(tree.parent / "origin")
    assert (job.code.overlay, job.incomplete) == ([], [])
    assert f"submodule  {commit[:12]}  libs/tool" in roar("show", "@1").stdout.decode()


def test_what_its_commit_does_not_have_is_kept(roar: Roar, tree: Path, git: Git, library: Path) -> None:
    (library / "tool.py").write_text("print(2)\n")
    (library / "new.py").write_text("print(3)\n")
    (library / "secret.py").write_text("KEY = '-----BEGIN RSA PRIVATE KEY-----'\n")
    names = [f"libs/tool/{name}.py" for name in ("tool", "new", "secret")]
    git(library, "config", "core.excludesFile", "/dev/null")
    roar("run", "-q", "cat", *names)
    job = last(tree)
    assert [(e.path, e.state) for e in job.code.overlay] == [(names[1], "untracked"), (names[0], "modified")]
    commit = git(tree, "for-each-ref", "--format=%(objectname)", "refs/roar/jobs/").split()[-1]
    assert git(tree, "show", f"{commit}:files/libs/tool/tool.py") == "print(2)"
    assert [(gap.reason, gap.detail) for gap in job.incomplete] == [
        ("code-not-kept", "libs/tool/secret.py: looks like a secret")
    ]
    assert roar("fsck").returncode == 0


def test_another_repository_is_named_and_nothing_of_it_runs(roar: Roar, tree: Path, git: Git, library: Path) -> None:
    git(tree / "other", "config", "filter.evil.clean", "touch ran; cat")
    (tree / "other" / ".gitattributes").write_text("*.py filter=evil\n")
    (tree / "other" / "tool.py").write_text("print(4)\n")
    roar("run", "-q", "cat", "other/tool.py")
    job = last(tree)
    assert by_path(job.inputs)["other/tool.py"].hash
    assert (job.code.submodules, job.code.overlay, job.incomplete) == ([], [], [])
    (other,) = job.code.repositories
    assert (other.path, other.commit) == ("other", git(tree / "other", "rev-parse", "HEAD"))
    assert [(entry.path, entry.state) for entry in other.overlay] == [("tool.py", "modified")]
    assert not list(tree.rglob("ran"))


def test_a_repository_that_git_cannot_read_is_said(roar: Roar, tree: Path) -> None:
    (tree / "other" / ".git").mkdir(parents=True)
    (tree / "other" / "tool.py").write_text("print(4)\n")
    roar("run", "-q", "cat", "other/tool.py")
    assert [gap.detail for gap in last(tree).incomplete] == ["other/tool.py: in another repository"]
