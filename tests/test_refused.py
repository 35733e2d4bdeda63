"""What git-fsck(1) finds fault with is not kept beside a record, and what it does not mind is."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from conftest import Git, Roar, needs_tracer

from roar.git import refused

NAMES = [
    (b".git", True), (b".GIT", True), (b".Git ", True), (b".git.", True), (b".git. .", True), (b".git:x", True),
    (b"git~1", True), (b"GIT~1", True), (b"git~2", True), (b"a\\.git\\b", True), (b"a\\git~1", True),
    (".g\u200cit".encode(), True), ("\ufeff.GiT".encode(), True), (b".GITMODULES", True), (b"gi7eba~1", True),
    (b".gitx", False), (b".github", False), (b".gitignore", False), (b".gitlab-ci.yml", False), (b".gitkeep", False),
    (b".gitmodules", False), (b".gitattributes", False), (b"git~1x", False), (b"git", False), (b"x.git", False),
    (b".git x", False), (b".git-blame-ignore-revs", False), (b".git\xffx", True), (b"x.git\xff", False),
]  # fmt: skip
MODULES = [
    (b"path = a\n\turl = https://example.org/a.git", False),
    (b"path = some folder/a\n\turl = ../../a.git\n\tbranch = main\n\tshallow = true", False),
    (b"url = git@example.org:team/a.git\n# remark\n\tupdate = rebase", False),
    (b"url = /srv/git/a", False),
    (b"url = -x", True),
    (b"path = -x\n\turl = ./a", True),
    (b"update = !sh\n\turl = ./a", True),
    (b'url = "https://example.org/%0ahost=other"', True),
    (b"url = http://", True),
    (b"url = https:///x", True),
    (b"url = ..//x", True),
    (b"url = ./..//x", True),
    (b"url = ../../:x", True),
    (b"url = \\\n-x", True),
    (b'url = ./a\n[submodule "../b"]\n\turl = ./b', True),
    (b"url = ./a\n[submodule.../b]\n\turl = ./b", True),
]


@pytest.fixture
def place(tmp_path: Path, git: Git) -> Path:
    git(tmp_path, "init", "-q")
    return tmp_path


def git_minds(place: Path, name: bytes, content: bytes) -> bool:
    """Whether git finds fault with a tree that holds this file."""

    def stored(kind: str, body: bytes) -> str:
        words = ["git", "hash-object", "-w", "-t", kind, "--literally", "--stdin"]
        return subprocess.run(words, cwd=place, input=body, capture_output=True, check=True).stdout.decode().strip()

    tree = stored("tree", b"100644 %b\0" % name + bytes.fromhex(stored("blob", content)))
    who = b"a <a@example.org> 1 +0000"
    commit = stored("commit", b"tree %b\nauthor %b\ncommitter %b\n\nx\n" % (tree.encode(), who, who))
    return subprocess.run(["git", "fsck", "--strict", commit], cwd=place, capture_output=True).returncode != 0


@pytest.mark.parametrize(("name", "refuses"), NAMES)
def test_names(name: bytes, refuses: bool, place: Path) -> None:
    assert refused.name(name) is refuses
    assert refused.name(b"src/" + name) is refuses
    assert refused.name(b"src/" + name + b"/x") is (refuses or name in refused.SETTINGS)
    assert refuses or not git_minds(place, name, b"")


@pytest.mark.parametrize(("body", "refuses"), MODULES)
def test_submodules(body: bytes, refuses: bool, place: Path) -> None:
    text = b'[submodule "a"]\n\t' + body + b"\n"
    assert refused.content(b"src/.gitmodules", text) is refuses
    assert refuses or not git_minds(place, b".gitmodules", text)


@pytest.mark.parametrize(("length", "refuses"), [(2047, False), (2048, True)])
def test_attributes(length: int, refuses: bool, place: Path) -> None:
    text = b"*.bin -text\n" + b"a" * length + b"\n"
    assert refused.content(b".gitattributes", text) is refuses
    assert refuses or not git_minds(place, b".gitattributes", text)


@needs_tracer
def test_the_overlay_keeps_what_only_looks_like_git(tree: Path, roar: Roar, git: Git) -> None:
    (tree / ".github").mkdir()
    names = (".github/ci.yml", ".gitlab-ci.yml", ".gitmodules", "a.sh")
    for name in names:
        (tree / name).write_text("" if name == ".gitmodules" else "x: 1\n")
    git(tree, "add", ".gitmodules")
    git(tree, "commit", "-qm", "modules")
    (tree / ".gitmodules").write_text('[submodule "a"]\n\turl = -y\n')
    said = roar("run", "cat", *names).stderr.decode()
    assert "code-not-kept: .gitmodules: git may refuse what it says" in said
    assert "kept with the record: .github/ci.yml, .gitlab-ci.yml, a.sh" in said
    assert git(tree, "fsck", "--strict") == ""
