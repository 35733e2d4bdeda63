"""Real pipelines, recorded in one place, shared through real remotes, made again in a fresh clone."""

from __future__ import annotations

import getpass
import json
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import orjson
import pytest
from conftest import ROOT, Git, Roar, needs_tracer
from test_run import by_path, jobs, last

pytestmark = needs_tracer

EXAMPLE = ROOT / "scripts" / "example"


def commit(folder: Path, git: Git, message: str) -> None:
    git(folder, "add", ".")
    git(folder, "commit", "-qm", message)


def shared_clone(tree: Path, git: Git, name: str = "clone") -> Path:
    """Push everything to a bare remote, and give a fresh clone of it."""
    top = tree.parent
    git(top, "init", "-q", "--bare", "hub.git")
    git(tree, "remote", "add", "origin", str(top / "hub.git"))
    git(tree, "push", "-q", "origin", "main", "refs/roar/*")
    git(top, "clone", "-q", "hub.git", name)
    return top / name


def verdicts(done: subprocess.CompletedProcess[bytes]) -> dict[str, str]:
    return {item["path"]: item["verdict"] for item in orjson.loads(done.stdout)["artifacts"]}


def untouched(folder: Path, git: Git) -> list[str]:
    """What a reproduction must leave as it was."""
    questions = (["status", "--porcelain"], ["for-each-ref", "refs/heads", "refs/stash"], ["worktree", "list"])
    return [git(folder, *words) for words in questions]


@pytest.fixture
def learned(tree: Path, roar: Roar, git: Git) -> Path:
    """The scikit-learn example, recorded in three steps."""
    pytest.importorskip("sklearn")
    shutil.copytree(EXAMPLE, tree, dirs_exist_ok=True)
    commit(tree, git, "read digits")
    for script in ("prepare.py", "train.py", "evaluate.py"):
        roar("run", "-q", sys.executable, script, PYTHONPATH="")
    return tree


def test_scikit_learn_is_recorded_whole(learned: Path, git: Git) -> None:
    prepare, train, evaluate = (job for _, job in jobs(learned))
    assert set(by_path(prepare.outputs)) == {"data/train.csv", "data/test.csv"}
    assert set(by_path(train.inputs)) == {"train.py", "params.json", "data/train.csv"}
    assert set(by_path(train.outputs)) == {"models/digits.pkl"}
    assert set(by_path(evaluate.inputs)) == {"evaluate.py", "models/digits.pkl", "data/test.csv"}
    assert by_path(train.inputs)["train.py"].blob == git(learned, "rev-parse", "HEAD:train.py")
    packages = {p.name for p in train.environment.pythons[0].read}
    assert {"scikit-learn", "numpy", "scipy", "joblib"} <= packages
    assert not train.incomplete, train.incomplete


def test_scikit_learn_is_made_again_in_a_fresh_clone(learned: Path, git: Git) -> None:
    metrics = by_path(last(learned).outputs)["metrics.json"]
    clone = shared_clone(learned, git)
    learned.rename(learned.parent / "moved away")
    before = untouched(clone, git)
    done = Roar(clone)("reproduce", "-y", "--env", "current", "--json", (metrics.hash or "")[:10])
    assert verdicts(done)["metrics.json"] == "identical"
    assert set(verdicts(done).values()) == {"identical"}
    assert before == untouched(clone, git)
    assert git(clone, "fsck", "--strict") == ""
    recorded = [job for _, job in jobs(clone) if job.reproduces]
    assert len(recorded) == 3


def test_a_c_project_whose_program_makes_data(tree: Path, roar: Roar, git: Git) -> None:
    if not shutil.which("make") or not shutil.which("cc"):
        pytest.skip("needs make and cc")
    (tree / "Makefile").write_text("squares: squares.c\n\tcc -O1 -o $@ $<\n")
    (tree / "squares.c").write_text(
        '#include <stdio.h>\nint main(int c, char **v) { FILE *o = fopen(v[1], "w");'
        ' for (int i = 0; i < 9; i++) fprintf(o, "%d,%d\\n", i, i * i); return fclose(o); }\n'
    )
    (tree / ".gitignore").write_text("squares\n")
    commit(tree, git, "squares")
    roar("build", "-q", "make")
    roar("run", "-q", "./squares", "squares.csv")
    roar("run", "-q", "sh", "-c", "cut -d, -f2 squares.csv | paste -sd+ > sum.txt")
    build, run, total = (job for _, job in jobs(tree))
    assert build.role == "build"
    assert set(by_path(build.inputs)) == {"Makefile", "squares.c"}
    assert by_path(run.inputs)["squares"].hash == by_path(build.outputs)["squares"].hash
    assert by_path(total.inputs)["squares.csv"].hash == by_path(run.outputs)["squares.csv"].hash
    clone = shared_clone(tree, git)
    done = Roar(clone)("reproduce", "-y", "--json", (by_path(total.outputs)["sum.txt"].hash or "")[:12])
    assert verdicts(done)["sum.txt"] == "identical"


def test_a_shell_pipeline_with_pandas_and_a_plot(tree: Path, roar: Roar, git: Git) -> None:
    pytest.importorskip("pandas")
    pytest.importorskip("matplotlib")
    (tree / "fetch.sh").write_text("for i in 1 2 3 4 5 6; do echo $i,$((i * i % 7)); done | sort -t, -k2n > raw.csv\n")
    (tree / "clean.py").write_text(
        "import pandas as pd\nd = pd.read_csv('raw.csv', names=['x', 'y'])\n"
        "d[d.y > 1].to_csv('clean.csv', index=False)\n"
    )
    (tree / "plot.py").write_text(
        "import matplotlib\nmatplotlib.use('Agg')\nimport matplotlib.pyplot as plt, pandas as pd\n"
        "pd.read_csv('clean.csv').plot(x='x', y='y')\nplt.savefig('plot.png', metadata={'Software': None})\n"
    )
    commit(tree, git, "plot")
    roar("run", "-q", "sh", "fetch.sh")
    roar("run", "-q", "sh", "-c", f"{sys.executable} clean.py && {sys.executable} plot.py", PYTHONPATH="")
    both = last(tree)
    assert {p for p in by_path(both.outputs) if not p.startswith("/")} == {"clean.csv", "plot.png"}
    assert {"raw.csv", "clean.py", "plot.py"} <= set(by_path(both.inputs))
    assert "clean.csv" not in by_path(both.inputs), "made by the job itself"
    assert {"pandas", "matplotlib"} <= {p.name for p in both.environment.pythons[0].read}


def test_redirections_by_the_shell_are_made_again(tree: Path, git: Git) -> None:
    (tree / "words.txt").write_text("pear\napple\nfig\n")
    (tree / "sub").mkdir()
    commit(tree, git, "words")
    roar = f"{sys.executable} -m roar run -q"
    script = (
        f"cd sub; {roar} sort < ../words.txt > sorted.txt; {roar} head -n 2 >> first.txt < sorted.txt 2> errors.log"
    )
    subprocess.run(["sh", "-c", script], cwd=tree, check=True)
    wanted = by_path(last(tree).outputs)["sub/first.txt"].hash or ""
    clone = shared_clone(tree, git)
    done = Roar(clone)("reproduce", "-y", "--json", wanted[:12])
    # errors.log was made by the shell and stayed as it was
    assert verdicts(done) == {"sub/sorted.txt": "identical", "sub/first.txt": "identical"}


def test_two_recording_clones_through_git_daemon(tree: Path, roar: Roar, git: Git, tmp_path: Path) -> None:
    first = shared_clone(tree, git, "first")
    git(tmp_path, "clone", "-q", "hub.git", "second")
    second = tmp_path / "second"
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    words = ["git", "daemon", f"--base-path={tmp_path}", "--export-all", "--enable=receive-pack", "--listen=127.0.0.1"]
    daemon = subprocess.Popen([*words, f"--port={port}", "--reuseaddr"], stderr=subprocess.DEVNULL)
    try:
        wait_for_port(port)
        made = []
        for turn in range(2):
            for clone in (first, second):
                git(clone, "remote", "set-url", "origin", f"git://127.0.0.1:{port}/hub.git")
                Roar(clone)("run", "-q", "sh", "-c", f"echo {clone.name} {turn} > {clone.name}.{turn}")
                made.append(f"{clone.name}.{turn}")
                if turn:
                    Roar(clone)("sync", "-q")
                else:  # stock git alone
                    git(clone, "push", "-q", "origin", "refs/roar/*")
                    git(clone, "fetch", "-q", "origin", "+refs/roar/*:refs/roar-remote/origin/*")
        Roar(first)("sync", "-q")
    finally:
        daemon.terminate()
        daemon.wait()
    for clone in (first, second):
        paths = {f.path for _, job in jobs(clone) for f in job.outputs}
        assert paths == set(made)
        assert git(clone, "fsck", "--strict") == ""
        assert git(clone, "status", "--porcelain", "--untracked-files=no") == ""


def wait_for_port(port: int) -> None:
    for _ in range(200):
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    raise AssertionError("nobody listens")


@pytest.fixture
def ssh_server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    """An OpenSSH server of the test's own on loopback; git reaches it by key."""
    sshd = shutil.which("sshd") or "/usr/sbin/sshd"
    if not os.path.exists(sshd) or not shutil.which("ssh"):
        pytest.skip("needs OpenSSH's sshd and ssh")
    place = tmp_path / "ssh"
    place.mkdir(mode=0o700)
    for name in ("host", "user"):
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(place / name)], check=True)
    shutil.copy(place / "user.pub", place / "authorized")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    (place / "config").write_text(
        f"Port {port}\nListenAddress 127.0.0.1\nHostKey {place}/host\nAuthorizedKeysFile {place}/authorized\n"
        f"PidFile none\nStrictModes no\nUsePAM no\nPasswordAuthentication no\n"
        "Subsystem sftp internal-sftp\n"
    )
    if os.getuid() == 0:
        Path("/run/sshd").mkdir(exist_ok=True)
    log = (place / "log").open("wb")
    server = subprocess.Popen([sshd, "-D", "-e", "-f", str(place / "config")], stderr=log)
    options = "-o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null -o IdentitiesOnly=yes -o LogLevel=ERROR"
    monkeypatch.setenv("GIT_SSH_COMMAND", f"ssh -F none -i {place}/user {options}")
    try:
        wait_for_port(port)
        yield port
    finally:
        server.terminate()
        server.wait()
        log.close()


def test_through_ssh(ssh_server: int, tree: Path, roar: Roar, git: Git, tmp_path: Path) -> None:
    git(tmp_path, "init", "-q", "--bare", "hub.git")
    url = f"ssh://{getpass.getuser()}@127.0.0.1:{ssh_server}{tmp_path}/hub.git"
    git(tree, "remote", "add", "origin", url)
    git(tree, "push", "-q", "origin", "main")
    roar("run", "-q", "sh", "-c", "echo 1 > one.txt")
    done = roar("sync")
    assert done.stdout.startswith(b"origin: fetched nothing new, pushed 2 refs")
    git(tmp_path, "clone", "-q", url, "far")
    roar_far = Roar(tmp_path / "far")
    roar_far("sync", "-q")
    assert [f.path for f in last(tmp_path / "far").outputs] == ["one.txt"]


def test_sync_says_what_is_wrong(tree: Path, roar: Roar, git: Git, tmp_path: Path) -> None:
    assert b"there is no remote" in roar("sync", code=2).stderr
    git(tree, "remote", "add", "origin", str(tmp_path / "nowhere.git"))
    roar("run", "-q", "true")
    done = roar("sync", code=1)
    assert done.stderr.startswith(b"roar: cannot fetch from origin: ")
    assert done.stderr.count(b"\n") == 1
    assert b"no remote is called '--upload-pack=x'" in roar("sync", "--", "--upload-pack=x", code=2).stderr
    git(tmp_path, "init", "-q", "--bare", "nowhere.git")
    git(tmp_path / "nowhere.git", "config", "transfer.hideRefs", "refs/roar")
    assert b"origin refused refs/roar/" in roar("sync", code=1).stderr
    git(tmp_path / "nowhere.git", "config", "--unset", "transfer.hideRefs")
    assert b"is on no remote branch (next: git push origin HEAD)" in roar("sync").stderr
    git(tree, "commit", "-q", "--amend", "-m", "amended")
    first = git(tree, "rev-parse", "HEAD@{1}")
    assert f"(next: git push origin {first[:12]}:refs/heads/NAME)".encode() in roar("sync").stderr
    git(tree, "push", "-q", "origin", f"{first}:refs/heads/kept")
    assert roar("sync").stderr == b""


def test_init_shows_notes_in_plain_log_and_can_be_repeated(tree: Path, roar: Roar, git: Git) -> None:
    git(tree.parent, "init", "-q", "--bare", "far.git")
    git(tree, "remote", "add", "origin", str(tree.parent / "far.git"))
    roar("run", "-q", "--name", "hello", "true")
    assert "run ok" not in git(tree, "log", "-1")
    roar("init")
    shown = git(tree, "log", "-1")
    assert shown.count("run ok") == 1
    git(tree, "push", "-q", "origin", "main", "refs/roar/*")
    roar("sync")
    git(tree, "fetch", "-q", "--prune")
    assert git(tree, "log", "-1") == shown
    assert b"nothing" in roar("sync").stdout
    config = git(tree, "config", "--list")
    assert roar("init").stdout == b""
    assert git(tree, "config", "--list") == config
    assert json.loads(roar("init", "--json").stdout)["changed"] == []
    assert git(tree, "status", "--porcelain") == ""
