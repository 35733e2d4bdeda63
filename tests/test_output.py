"""Standard output of every kind: full, closed, of another encoding, in a place whose name is no UTF-8."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import make
import pytest
from conftest import Git, Roar

from roar.git.repository import Repository, discover


@pytest.fixture
def place(repo: Repository, tree: Path) -> Path:
    make.job(repo, "sh -c 'echo é > öut'", {}, {"öut": "é\n"})
    return tree


def said(folder: Path, to: str, *words: str, **env: str) -> tuple[int, bytes]:
    """The exit code and what is said on standard error, with standard output as a shell's ``to`` has it."""
    done = subprocess.run(
        ["sh", "-c", f'"$@" {to}', "sh", sys.executable, "-m", "roar", *words],
        cwd=folder,
        stderr=subprocess.PIPE,
        env={**os.environ, **env},
    )
    return done.returncode, done.stderr


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="/dev/full is Linux's")
@pytest.mark.parametrize("more", [(), ("--json",)])
def test_a_full_disk_is_no_bug(place: Path, more: tuple[str, ...]) -> None:
    code, error = said(place, "> /dev/full", "log", *more)
    assert (code, error) == (1, b"roar: cannot write: No space left on device (next: make room there)\n")


@pytest.mark.parametrize("more", [(), ("--json",)])
def test_closed_it_is_written_to_nobody(place: Path, more: tuple[str, ...]) -> None:
    assert said(place, ">&-", "log", *more) == (0, b"")


def test_where_nothing_can_be_read_nobody_is_asked(place: Path) -> None:
    assert said(place, "", "log")[0] == 0  # which makes the index
    for words in (["reset"], ["reproduce", "öut"]):
        code, error = said(place, "<&-", *words)
        assert code == 1 and b"there is no terminal to ask on" in error
        assert said(place, "<&- >&- 2>&-", *words) == (1, b"")
    assert said(place, "<&- >&- 2>&-", "reproduce", "öut", "-y")[0] in (0, 1, 3)


@pytest.mark.parametrize("encoding", ["ascii", "latin-1"])
def test_json_is_utf_8_and_text_what_the_terminal_takes(place: Path, roar: Roar, encoding: str) -> None:
    known = json.loads(roar("log", "--json", PYTHONIOENCODING=encoding).stdout)
    assert known["jobs"][0]["outputs"][0]["path"] == "öut"
    assert "öut".encode(encoding, "backslashreplace") in roar("log", PYTHONIOENCODING=encoding).stdout


def test_a_name_that_is_no_utf_8_is_spelled_in_json_as_in_records(tmp_path: Path, git: Git) -> None:
    folder = Path(os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9"))
    folder.mkdir()
    git(folder, "init", "-q")
    git(folder, "commit", "-q", "--allow-empty", "-m", "first")
    git(folder, "checkout", "-q", "-b", os.fsdecode(b"b\xe9"))
    make.job(discover(str(folder)), "true", {}, {"out": "1"})
    roar = Roar(folder)
    assert json.loads(roar("cache", "path", "--json").stdout)["path"].startswith(f"//bytes/{tmp_path}/caf%E9/")
    assert json.loads(roar("status", "--json").stdout)["git"]["branch"] == "//bytes/b%E9"
    json.loads(roar("doctor", "--json", code=None).stdout)
