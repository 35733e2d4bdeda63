"""Tab completion in real shells, for ``roar`` and behind ``git roar``."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import ROOT

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


def shell(path: str, *words: str) -> list[str]:
    done = subprocess.run(words, capture_output=True, text=True, check=True, env={**os.environ, "PATH": path})
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
