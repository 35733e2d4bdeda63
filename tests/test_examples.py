"""The examples of every command's help, run as they stand in a repository that has what they speak of."""

from __future__ import annotations

import os
import shlex
import shutil
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from ask import on_terminal
from conftest import ROOT, Git, Roar, needs_tracer
from test_commands import COMMANDS, examples

from roar.cli.main import main
from roar.hashing import digest_file

pytestmark = needs_tracer
SERVERS = ("serve", "ui", "auth", "lookup")
"""Of these commands the examples name servers; `tests/server` starts them."""
ELSEWHERE = ("s3://bucket/prefix", "hf://", "pip install", "https://roar.example.org")
"""What examples name that is not here."""
ANSWERS = {
    "git roar verify model.pkl --require-signed": 3,  # nothing here is signed
    "git roar log --label stage=candidate": 0,
}
ASKING = ("pop", "reset", "reproduce")
"""These get a terminal, and a yes."""
FILES = {
    "prepare.py": "open('data/train.csv', 'w').write(open('data/raw.csv').read().lower())\n",
    "train.py": "import sys\nopen('model.pkl', 'w').write(open('data/train.csv').read() + str(sys.argv))\n",
    "evaluate.py": "open('metrics.json', 'w').write('{\"size\": %d}' % len(open('model.pkl').read()))\n",
    "data.csv": "b\na\n",
    "data/raw.csv": "A\nB\n",
    "Makefile": "all:\n\t@echo made > made\npublish:\n",
    ".gitignore": "/data/train.csv\n/model.pkl\n/metrics.json\n/made\n/top.csv\n",
}
LINES = [(words, line) for words, command in COMMANDS.items() for line in examples(command) if words[0] not in SERVERS]
RUN = sorted({line for _, line in LINES if not any(name in line for name in ELSEWHERE)})


@pytest.fixture(scope="module")
def ready(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A place with a repository of three steps, two runs each, remotes, a store, a session, a collection."""
    place = tmp_path_factory.mktemp("examples")
    with pytest.MonkeyPatch.context() as patch:
        home = place / "home"
        home.mkdir()
        for name in [name for name in os.environ if name.startswith(("GIT_", "ROAR_"))]:
            patch.delenv(name)
        for name, value in {"HOME": str(home), "GIT_CONFIG_NOSYSTEM": "1", "PYTHONPATH": str(ROOT)}.items():
            patch.setenv(name, value)
        top = place / "project"

        def call(*words: str) -> None:
            subprocess.run(words, cwd=top, check=True, capture_output=True)

        who = "[user]\n\tname = Ada\n\temail = ada@example.org\n[init]\ndefaultBranch = main\n"
        (home / ".gitconfig").write_text(who)
        for name, text in FILES.items():
            (top / name).parent.mkdir(parents=True, exist_ok=True)
            (top / name).write_text(text)
        call("git", "init", "-q")
        call("git", "add", "-A")
        call("git", "commit", "-qm", "first")
        for remote in ("origin", "upstream"):
            call("git", "clone", "-q", "--bare", ".", str(place / f"{remote}.git"))
            call("git", "remote", "add", remote, str(place / f"{remote}.git"))
        call("git", "push", "-q", "-u", "origin", "main")
        call("git", "config", "roar.store.url", str(place / "store"))
        roar = Roar(top)
        roar("session", "new", "night")
        for words in (["prepare.py"], ["train.py"], ["evaluate.py"], ["train.py", "--depth", "2"], ["evaluate.py"]):
            roar("run", "-q", "--env", "PYTHONPATH=", sys.executable, *words)  # else code of roar's own is read
        roar("collection", "add", "v1", "model.pkl", "metrics.json")
        roar("put", "data/train.csv", "model.pkl")
        roar("env", "set", "OMP_NUM_THREADS=1")
        roar("config", "set", "output.color", "never")
    return place


@pytest.fixture
def project(ready: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A copy of the repository, with ``roar`` and ``git-roar`` on PATH."""
    for name in ("roar", "git-roar", "python"):
        program = tmp_path / "bin" / name
        program.parent.mkdir(exist_ok=True)
        words = sys.executable if name == "python" else f"{sys.executable} -m roar"
        program.write_text(f'#!/bin/sh\nexec {words} "$@"\n')
        program.chmod(program.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}{os.pathsep}{os.environ['PATH']}")
    copy = tmp_path / "project"
    shutil.copytree(ready / "project", copy, symlinks=True)
    monkeypatch.chdir(copy)
    (Path(os.environ["HOME"]) / ".zfunc").mkdir()
    (Path(os.environ["HOME"]) / ".config/fish/completions").mkdir(parents=True)
    return copy


def spelled(line: str, project: Path, git: Git) -> str:
    """The example with the hashes and ids that are here."""
    asked = ("log", "--format=%(trailers:key=Roar-Id,valueonly)", "--grep=^roar: run", "--glob=refs/roar/jobs/*")
    ids = git(project, *asked).split()
    model, metrics = (digest_file(str(project / name)).hash for name in ("model.pkl", "metrics.json"))
    names = {"3fa9c1d2": model[:8], "3fa9c0": model[:6], "88ab17": metrics[:6]}
    names |= {"01JGKX": ids[0], "01M84JCC80KG": ids[1]}
    for name, here in names.items():
        line = line.replace(name, here)
    return line.replace("/tmp/model.pkl", str(project.parent / "model.pkl"))


@pytest.mark.parametrize("line", RUN)
def test_it_runs(line: str, project: Path, git: Git, capfd: pytest.CaptureFixture[str]) -> None:
    if "session new night" in line:
        main(["session", "close"])
        capfd.readouterr()
    typed = spelled(line, project, git)
    words = shlex.split(typed)
    if any(sign in typed for sign in "|><&$*") or words[2] in ("run", "build"):
        done = subprocess.run(typed, shell=True, capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=120)
        status, said = done.returncode, done.stderr
    elif words[2] in ASKING:
        status, said = on_terminal(project, "y\ny\ny\n", *words[2:])
    else:
        status = main(words[2:])
        said = capfd.readouterr().err
    assert status == ANSWERS.get(line, 0), said
