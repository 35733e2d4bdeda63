"""Where people run things: terminals, multiplexers, make, hooks, CI, other git directories, aliases of git."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ask import on_terminal
from conftest import Git, Roar, needs_tracer

pytestmark = needs_tracer


@pytest.fixture(autouse=True)
def on_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """``roar`` and ``git-roar`` are on PATH, as after `pip install`."""
    for name in ("roar", "git-roar"):
        program = tmp_path / "bin" / name
        program.parent.mkdir(exist_ok=True)
        program.write_text(f'#!/bin/sh\nexec {sys.executable} -m roar "$@"\n')
        program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}{os.pathsep}{os.environ['PATH']}")


def jobs(folder: Path) -> list[dict[str, Any]]:
    """The recorded jobs, oldest first."""
    found: list[dict[str, Any]] = json.loads(Roar(folder)("log", "-n", "0", "--json").stdout)["jobs"]
    return found[::-1]


def call(folder: Path, *words: str, code: int = 0, **env: str) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        words,
        cwd=folder,
        env={**os.environ, **env},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == code, (done.stdout, done.stderr)
    return done


@pytest.fixture
def tmux(tree: Path) -> Iterator[list[str]]:
    """The words that call a tmux server of the test's own, with a window of 70 by 15 in the work tree."""
    if shutil.which("tmux") is None:
        pytest.skip("tmux is not installed")
    words = ["tmux", "-L", f"roar-{os.getpid()}", "-f", "/dev/null"]
    subprocess.run([*words, "new-session", "-d", "-x", "70", "-y", "15", "-c", str(tree), "sh"], check=True)
    yield words
    subprocess.run([*words, "kill-server"], check=False, capture_output=True)


def test_tmux(tmux: list[str], tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def typed(line: str, until: str) -> str:
        subprocess.run([*tmux, "send-keys", line, "Enter"], check=True)
        deadline = time.monotonic() + 30
        while until not in (
            shown := subprocess.run([*tmux, "capture-pane", "-p"], capture_output=True, text=True).stdout
        ):
            assert time.monotonic() < deadline, shown
            time.sleep(0.1)
        return shown

    shown = typed("roar run sh -c 'stty size; exit 3'; echo status $?", "status 3")
    assert "15 70" in shown
    assert "exit 3" in shown
    typed("roar run sleep 60; echo status $?", "roar run sleep 60")
    time.sleep(1)
    subprocess.run([*tmux, "send-keys", "C-c"], check=True)
    typed("", "signal 2")
    longest = max(len(line) for line in typed("clear; roar log --oneline; echo done", "done\n").splitlines())
    assert longest <= 70
    assert [job["outcome"] for job in jobs(tree)] == ["exit 3", "signal 2"]


def test_a_terminal_of_an_editor(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    surroundings = {
        "TERM_PROGRAM": "vscode", "VSCODE_GIT_IPC_HANDLE": "/run/vscode-git.sock", "COLORTERM": "truecolor",
        "VSCODE_GIT_ASKPASS_NODE": "/usr/bin/code", "GIT_ASKPASS": "/usr/bin/askpass.sh", "GIT_PAGER": "",
        "VSCODE_NONCE": "0a1b2c3d-secret-of-the-editor", "TERM": "xterm-256color",
    }  # fmt: skip
    for name, value in surroundings.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("NO_COLOR")
    code, shown = on_terminal(tree, "", "run", "sh", "-c", 'echo "$VSCODE_NONCE $GIT_ASKPASS" > out')
    assert (code, (tree / "out").read_text()) == (0, "0a1b2c3d-secret-of-the-editor /usr/bin/askpass.sh\n")
    assert "\x1b[1mroar\x1b[0m" in shown
    record = Roar(tree)("show", "@1", "--json").stdout
    assert b"secret-of-the-editor" not in record
    assert b"askpass" not in record


def test_make(tree: Path) -> None:
    (tree / "Makefile").write_text(
        "all: a b\na b:\n\t@git roar run -q --name $@ $(MAKE) --no-print-directory part-$@\n"
        "part-%:\n\t@echo $* > $*\n\t@echo $(MAKEFLAGS) > flags-$*\n"
    )
    done = call(tree, "make", "-j2")
    assert "jobserver" not in done.stderr
    assert "-j" in (tree / "flags-a").read_text()
    assert sorted((job["outcome"], job["outputs"][0]["path"]) for job in jobs(tree)) == [("ok", "a"), ("ok", "b")]
    (tree / "Makefile").write_text("all:\n\t@roar run -q false\n")
    assert "Error 1" in call(tree, "make", code=2).stderr


def test_inside_a_hook_of_git(tree: Path, git: Git) -> None:
    """git tells a hook where its repository is by variables, relative ones, and pre-commit passes them on."""
    hook = tree / ".git" / "hooks" / "pre-commit"
    hook.write_text(
        "#!/bin/sh\nexec roar run -q sh -c 'echo \"$GIT_INDEX_FILE\" > index; git diff --cached --name-only > staged'\n"
    )
    hook.chmod(0o755)
    (tree / "new.txt").write_text("n")
    git(tree, "add", "new.txt")
    git(tree, "commit", "-qm", "with a hook")
    assert (tree / "staged").read_text() == "new.txt\n"
    assert (tree / "index").read_text().strip().endswith("index")
    (job,) = jobs(tree)
    assert {file["path"] for file in job["outputs"]} == {"index", "staged"}
    assert git(tree, "status", "--porcelain", "--untracked-files=no") == ""


def test_ci(tree: Path, git: Git, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A shallow clone with a detached HEAD, nobody's identity, no home folder, no terminal."""
    (tree / "data").write_text("d")
    git(tree, "add", "data")
    git(tree, "commit", "-qm", "second")
    git(tmp_path, "clone", "-q", "--depth", "1", f"file://{tree}", "runner")
    runner = tmp_path / "runner"
    git(runner, "checkout", "-q", "--detach")
    for name in ("GIT_AUTHOR_NAME", "GIT_AUTHOR_EMAIL", "GIT_COMMITTER_NAME", "GIT_COMMITTER_EMAIL", "HOME"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("CI", "true")
    monkeypatch.setenv("GITHUB_TOKEN", "ghs_" + "aB3dE5gH7jK9" * 3)
    done = call(runner, "roar", "run", "sh", "-c", "cat data > out")
    assert "\x1b" not in done.stderr
    (job,) = jobs(runner)
    assert (job["outcome"], job["branch"], job["commit"]) == ("ok", None, git(tree, "rev-parse", "HEAD"))
    assert b"ghs_" not in Roar(runner)("show", "@1", "--json").stdout


def test_git_dir_and_work_tree_apart(tree: Path, git: Git, tmp_path: Path) -> None:
    """As people keep their settings in a bare repository, with the home folder as its work tree."""
    apart = tmp_path / "apart.git"
    (tree / ".git").rename(apart)
    where = {"GIT_DIR": str(apart), "GIT_WORK_TREE": str(tree)}
    (tree / "sub").mkdir()
    call(tree / "sub", "roar", "run", "-q", "sh", "-c", "cat ../README > copy", **where)
    shown = json.loads(call(tmp_path, "roar", "show", "@1", "--json", **where).stdout)
    assert [file["path"] for file in shown["outputs"]] == ["sub/copy"]
    assert [file["path"] for file in shown["inputs"]] == ["README"]
    assert "not a git repository" in call(tree, "roar", "log", code=1).stderr
    assert call(tree, "git", f"--git-dir={apart}", f"--work-tree={tree}", "roar", "log", "--oneline").stdout


def test_behind_git(tree: Path, git: Git, tmp_path: Path) -> None:
    (tree / "sub").mkdir()
    call(tree / "sub", "git", "roar", "run", "-q", "sh", "-c", "echo x > made")
    git(tree, "config", "alias.r", "roar run -q")
    git(tree, "config", "alias.rr", "!roar run -q")
    call(tree / "sub", "git", "r", "sh", "-c", "echo y > made2")
    call(tree / "sub", "git", "rr", "sh", "-c", "echo z > made3")  # git runs such an alias at the top
    paths = [file["path"] for job in jobs(tree) for file in job["outputs"]]
    assert paths == ["sub/made", "sub/made2", "made3"]
    assert "made2" in call(tmp_path, "git", "-C", str(tree), "roar", "log", "--oneline").stdout
    assert "made2" in call(tmp_path, "roar", "-C", str(tree), "log", "--oneline").stdout
