"""Tab completion in real shells, for ``roar`` and behind ``git roar``."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import make
import pytest
from click.shell_completion import ShellComplete
from conftest import ROOT, Git

from roar.cli.main import cli, main
from roar.git.repository import Repository

GIT_COMPLETION = Path("/usr/share/bash-completion/completions/git")


@pytest.fixture
def path(tmp_path: Path) -> str:
    """A PATH with ``roar`` and ``git-roar`` on it."""
    folder = tmp_path / "bin"
    folder.mkdir()
    for name in ("roar", "git-roar"):
        program = folder / name
        program.write_text(f'#!/bin/sh\nPYTHONPATH={ROOT} exec {sys.executable} -m roar "$@"\n')
        program.chmod(0o755)
    return f"{folder}{os.pathsep}{os.environ['PATH']}"


def shell(path: str, *words: str, cwd: Path | None = None) -> list[str]:
    done = subprocess.run(words, capture_output=True, text=True, check=True, env={**os.environ, "PATH": path}, cwd=cwd)
    assert "rror" not in done.stderr, done.stderr
    return done.stdout.split()


def test_bash(path: str) -> None:
    script = (
        'eval "$(roar completion bash)"; COMP_WORDS=(roar li); COMP_CWORD=1; '
        '_roar_completion roar; echo "${COMPREPLY[@]}"'
    )
    assert shell(path, "bash", "-c", script) == ["lineage"]


@pytest.mark.skipif(not GIT_COMPLETION.exists(), reason="git's own completion is not installed")
def test_bash_behind_git(path: str) -> None:
    script = (
        f'. {GIT_COMPLETION}; eval "$(roar completion bash)"; COMP_WORDS=(git roar lineage --de); COMP_CWORD=3; '
        'COMP_LINE="git roar lineage --de"; COMP_POINT=${#COMP_LINE}; __git_wrap__git_main; echo "${COMPREPLY[@]}"'
    )
    assert shell(path, "bash", "-c", script) == ["--depth"]


@pytest.mark.skipif(shutil.which("fish") is None, reason="fish is not installed")
def test_fish(path: str) -> None:
    script = 'roar completion fish | source; complete -C "roar lin"; complete -C "git roar li"'
    found = shell(path, "fish", "--no-config", "-c", script)
    assert found.count("lineage") == 2


@pytest.mark.skipif(shutil.which("zsh") is None, reason="zsh is not installed")
def test_zsh_takes_the_script(path: str) -> None:
    script = 'autoload -U compinit; compinit -u -D; eval "$(roar completion zsh)"; whence -w _git-roar'
    assert shell(path, "zsh", "-f", "-c", script) == ["_git-roar:", "function"]


def offered(incomplete: str, *words: str) -> dict[str, str | None]:
    """What Tab offers after some words, with its explanation; names of files are the shell's own: <files>."""
    found = ShellComplete(cli, {"obj": []}, "roar", "_ROAR_COMPLETE").get_completions(list(words), incomplete)
    return {"<files>" if item.type == "file" else item.value: item.help for item in found}


def test_recorded_things(repo: Repository, tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    session = make.session(repo)
    reads = {"data/raw.csv": "r", "a b": "1", "data/two\nlines": "2", "/etc/x": "3"}
    first = make.job(repo, "make all", {}, {"tool": "t"}, session=session, role="build")
    second = make.job(repo, "prepare " + "x" * 90, reads, {"data/train.csv": "t"}, at=1, session=session)
    monkeypatch.chdir(tree)
    steps = {"@B1": "make all", "@1": "prepare " + "x" * 51 + "…"}
    paths = dict.fromkeys(["data/raw.csv", "data/train.csv"])
    assert offered("@", "show") == steps
    assert offered("@b", "lineage", "--down") == {"@B1": "make all"}
    assert offered("@7", "show") == {"<files>": None}
    assert offered("data/t", "why") == {"data/train.csv": None}
    assert offered("", "inputs") == {**steps, **paths, "tool": None, second: steps["@1"], first: "make all"}
    assert offered(first.lower(), "diff", second) == {first: "make all"}
    for command in ("reproduce", "verify", "diff", "label", "pop"):
        assert offered("to", command) == {"tool": None}, command
    assert offered("to", "lineage", "data/train.csv", "--to") == {"tool": None}
    assert offered("/etc", "show") == offered("./d", "show") == offered("nothing", "show") == {"<files>": None}
    (tree / "data").mkdir()
    monkeypatch.chdir(tree / "data")
    assert offered("", "why").keys() >= {"raw.csv", "train.csv"}
    assert offered("ra", "why") == {"raw.csv": None}


def test_names_of_other_things(repo: Repository, tree: Path, git: Git, monkeypatch: pytest.MonkeyPatch) -> None:
    make.job(repo, "make model", {}, {"model.pkl": "m"}, session=make.session(repo, name="night"))
    monkeypatch.chdir(tree)
    assert offered("overlay.maxT", "config", "set").keys() == {"overlay.maxTotalSize"}
    assert {"hash.run", "hash.put"} <= offered("roar.hash", "config", "get").keys()
    assert offered("", "collection", "show") == offered("", "sync") == {}
    git(tree, "remote", "add", "upstream", "/nowhere")
    assert offered("up", "sync") == offered("u", "remote", "check") == {"upstream": None}
    assert offered("n", "session", "use") == {"night": None}
    assert main(["collection", "add", "v1", make.digest("m")]) == 0
    assert offered("v", "collection", "show") == {"v1": None}


def test_many_files_are_left_to_the_shell(repo: Repository, tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make.job(repo, "draw", {f"images/{n}.png": str(n) for n in range(120)})
    monkeypatch.chdir(tree)
    assert offered("images/", "show") == {"<files>": None}
    assert len(offered("images/11", "show")) == 11


def test_nothing_recorded_and_no_repository(tree: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for folder in (tree, tmp_path):
        monkeypatch.chdir(folder)
        assert offered("", "show") == offered("@", "show") == {"<files>": None}


def test_bash_offers_recorded_things(path: str, repo: Repository, tree: Path) -> None:
    make.job(repo, "make model", {}, {"model.pkl": "m"}, session=make.session(repo))
    script = (
        'eval "$(roar completion bash)"; for typed in @ mod; do COMP_WORDS=(roar show $typed); COMP_CWORD=2; '
        'COMPREPLY=(); _roar_completion roar; echo "${COMPREPLY[@]}"; done'
    )
    assert shell(path, "bash", "-c", script, cwd=tree) == ["@1", "model.pkl"]
