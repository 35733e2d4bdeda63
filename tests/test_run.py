"""``roar run``: the command is unchanged, and what it did is in the record."""

from __future__ import annotations

import os
import pty
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import orjson
import pytest
from blake3 import blake3
from conftest import ROOT, Git, Roar, needs_tracer

from roar.git.objects import Reader
from roar.git.repository import Repository, discover
from roar.journal import read
from roar.records import codec
from roar.records.job import File, Job
from roar.records.summary import command_line

pytestmark = needs_tracer


def jobs(folder: Path | str) -> list[tuple[str, Job]]:
    """Every recorded job, oldest first, with the commit that holds it."""
    repo = discover(str(folder))
    found = []
    for item in read.since(repo, read.tips(repo).values()):
        assert isinstance(item, read.Stored)
        record = codec.decode(item.body)
        if isinstance(record, Job):
            found.append((item.commit, record))
    return sorted(found, key=lambda pair: pair[1].clock)


def last(folder: Path | str) -> Job:
    return jobs(folder)[-1][1]


def by_path(files: list[File]) -> dict[str, File]:
    return {f.path: f for f in files}


def b3(data: bytes) -> str:
    return blake3(data).hexdigest()


def test_inputs_outputs_and_the_streams_are_the_commands_own(roar: Roar, tree: Path) -> None:
    (tree / "in.txt").write_bytes(b"3\n1\n2\n")
    done = roar("run", "sh", "-c", "sort in.txt > out.txt; cat; echo err >&2", stdin=b"through\n")
    assert done.stdout == b"through\n"
    assert done.stderr.startswith(b"err\n")
    job = last(tree)
    assert job.command.argv == ["sh", "-c", "sort in.txt > out.txt; cat; echo err >&2"]
    assert by_path(job.inputs)["in.txt"].hash == b3(b"3\n1\n2\n")
    assert by_path(job.outputs)["out.txt"].hash == b3(b"1\n2\n3\n")
    assert by_path(job.outputs)["out.txt"].change == "created"
    assert job.exit.code == 0
    assert job.process_count >= 3
    assert [gap.reason for gap in job.incomplete] == ["standard-input"]
    roar("run", "-q", "sort", "in.txt")
    assert not last(tree).incomplete


@pytest.mark.parametrize(
    ("script", "status"), [("exit 0", 0), ("exit 7", 7), ("kill -TERM $$", 143), ("kill -9 $$", 137), ("exit 255", 255)]
)
def test_the_exit_status_is_the_commands_own(roar: Roar, tree: Path, script: str, status: int) -> None:
    roar("run", "-q", "sh", "-c", script, code=status)
    job = last(tree)
    assert (job.exit.code if status < 128 or status == 255 else 128 + (job.exit.signal or 0)) == status


def test_what_cannot_be_run_is_said_in_one_line_and_not_recorded(roar: Roar, tree: Path) -> None:
    (tree / "plain.txt").write_text("no program\n")
    for words, status in ((("no-such-command-here",), 127), (("./plain.txt",), 126), (("./none",), 127)):
        done = roar("run", *words, code=status)
        assert done.stderr.startswith(b"roar: ")
        assert done.stderr.count(b"\n") == 1
    assert jobs(tree) == []


def test_outside_a_repository_nothing_is_started(tmp_path: Path) -> None:
    (tmp_path / "bare place").mkdir()
    place = tmp_path / "bare place"
    done = Roar(place)("run", "touch", "made", code=125)
    assert done.stderr == f"roar: not a git repository: {place} (next: git init)\n".encode()
    assert list(place.iterdir()) == []


def test_options_stand_before_the_command_only(roar: Roar, tree: Path) -> None:
    done = roar("run", "-q", "echo", "-q", "--json", "--", "-x")
    assert done.stdout == b"-q --json -- -x\n"
    assert done.stderr == b""
    done = roar("run", "--", "echo", "--name")
    assert done.stdout == b"--name\n"
    roar("run", "-q", "--name", "first step", "true")
    assert last(tree).command.name == "first step"
    assert b"no such option" in roar("run", "--nam", "x", "true", code=2).stderr.lower()
    assert roar("run", code=2).stderr.count(b"\n") == 1


def test_json_describes_the_job(roar: Roar, tree: Path) -> None:
    (tree / "in.txt").write_text("x")
    done = roar("run", "--json", "cp", "in.txt", "out.txt")
    told = orjson.loads(done.stderr)
    assert told["kind"] == "job"
    assert told["outputs"][0]["path"] == "out.txt"
    assert len(told["id"]) == 26


def test_from_a_subfolder_and_a_linked_worktree(roar: Roar, tree: Path, git: Git, tmp_path: Path) -> None:
    (tree / "sub dir").mkdir()
    roar("run", "-q", "sh", "-c", "echo 1 > here.txt", cwd=tree / "sub dir")
    assert last(tree).command.cwd == "sub dir"
    assert [f.path for f in last(tree).outputs] == ["sub dir/here.txt"]
    linked = tmp_path / "linked tree"
    git(tree, "worktree", "add", "-q", "-b", "linked", str(linked))
    roar("run", "-q", "sh", "-c", "cat README > copy", cwd=linked)
    job = last(tree)
    assert [f.path for f in job.outputs] == ["copy"]
    assert by_path(job.inputs)["README"].blob == git(tree, "rev-parse", "HEAD:README")
    assert job.code.branch == "linked"
    assert git(tree, "fsck", "--strict") == ""


def test_as_a_git_command(tree: Path, tmp_path: Path) -> None:
    shim = tmp_path / "bin" / "git-roar"
    shim.parent.mkdir()
    shim.write_text(f'#!/bin/sh\nexec {sys.executable} -m roar "$@"\n')
    shim.chmod(0o755)
    env = {**os.environ, "PATH": f"{shim.parent}:{os.environ['PATH']}"}
    done = subprocess.run(["git", "roar", "run", "sh", "-c", "pwd; exit 3"], cwd=tree, env=env, capture_output=True)
    assert (done.returncode, done.stdout) == (3, f"{tree}\n".encode())


def test_the_overlay_holds_what_the_job_read_and_the_commit_lacks(roar: Roar, tree: Path, git: Git) -> None:
    (tree / "main.sh").write_text(". ./lib.sh; . ./conf.sh; cat data.csv > out.csv\n")
    (tree / "lib.sh").write_text("true\n")
    (tree / ".gitignore").write_text("ignored.sh\n")
    git(tree, "add", ".")
    git(tree, "commit", "-qm", "code")
    (tree / "lib.sh").write_text(". ./ignored.sh; . ./secrets.sh\n")
    (tree / "conf.sh").write_text("A=1\n")
    (tree / "ignored.sh").write_text("B=1\n")
    (tree / "secrets.sh").write_text("TOKEN=x\n")
    (tree / "data.csv").write_text("a,b\n")
    (tree / "unread.sh").write_text("C=1\n")
    git(tree, "stash", "list")
    before = (
        git(tree, "status", "--porcelain"),
        git(tree, "ls-files", "-s"),
        git(tree, "for-each-ref", "refs/heads", "refs/stash"),
    )
    roar("run", "-q", "sh", "main.sh")
    commit, job = jobs(tree)[-1]
    assert [(f.path, f.state) for f in job.code.overlay] == [("conf.sh", "untracked"), ("lib.sh", "modified")]
    repo = discover(str(tree))
    with Reader(repo) as reader:
        kept = {p: reader.body(oid, "blob") for p, oid in read.overlay(reader, commit).items()}
    assert kept == {"conf.sh": b"A=1\n", "lib.sh": b". ./ignored.sh; . ./secrets.sh\n"}
    assert by_path(job.inputs)["main.sh"].blob == git(tree, "rev-parse", "HEAD:main.sh")
    assert by_path(job.inputs)["data.csv"].hash == b3(b"a,b\n")
    gaps = {gap.detail for gap in job.incomplete}
    assert gaps == {"secrets.sh: looks like a secret", "ignored.sh: ignored by git"}
    (tree / "out.csv").unlink()
    assert before == (
        git(tree, "status", "--porcelain"),
        git(tree, "ls-files", "-s"),
        git(tree, "for-each-ref", "refs/heads", "refs/stash"),
    )


def test_a_script_without_a_suffix_is_code(roar: Roar, tree: Path) -> None:
    (tree / "tool").write_text("cat words\n")
    (tree / "words").write_text("some\n")
    roar("run", "-q", "sh", "tool")
    assert [(f.path, f.state) for f in last(tree).code.overlay] == [("tool", "untracked")]


def test_a_tracked_file_that_is_gone_is_in_the_overlay(roar: Roar, tree: Path) -> None:
    (tree / "README").unlink()
    roar("run", "-q", "sh", "-c", "cat README || true")
    assert [(f.path, f.state) for f in last(tree).code.overlay] == [("README", "deleted")]


def test_without_any_commit(tmp_path: Path, git: Git) -> None:
    git(tmp_path, "init", "-q", "new")
    place = tmp_path / "new"
    (place / "run.sh").write_text("echo 1 > out\n")
    Roar(place)("run", "-q", "sh", "run.sh")
    job = last(place)
    assert job.code.commit is None
    assert [(f.path, f.state) for f in job.code.overlay] == [("run.sh", "untracked")]
    assert git(place, "fsck", "--strict") == ""


def test_secrets_never_enter_a_record(roar: Roar, tree: Path, git: Git) -> None:
    token = "ghp_" + "a1B2" * 9
    git(tree, "remote", "add", "origin", f"https://me:{token}@example.org/x.git")
    roar("run", "-q", "sh", "-c", "true", "--token", token, f"API_KEY={token}", WANDB_API_KEY=token)
    everything = git(tree, "cat-file", "--batch-all-objects", "--batch")
    assert token not in everything
    assert last(tree).code.remote == "https://example.org/x.git"
    assert [g.reason for g in last(tree).incomplete] == ["redacted"]


def test_names_of_every_kind(roar: Roar, tree: Path, git: Git) -> None:
    names = [b"a b", b"quo'te\"", b"new\nline", b"caf\xe9", "ünï".encode(), b"%41", b"-dash"]
    script = (
        "import os,sys\nfor n in map(os.fsencode, sys.argv[1:]):\n open(n,'rb').read(); open(b'out '+n,'wb').write(n)\n"
    )
    (tree / "script.py").write_text(script)
    for name in names:
        (tree / os.fsdecode(name)).write_bytes(b"x" + name)
    roar("run", "-q", sys.executable, "script.py", *names)
    job = last(tree)
    from roar.paths import fs

    inputs = {os.fsencode(fs(f.path)): f.hash for f in job.inputs}
    outputs = {os.fsencode(fs(f.path)): f.hash for f in job.outputs}
    for name in names:
        assert inputs[name] == b3(b"x" + name)
        assert outputs[b"out " + name] == b3(name)
    assert git(tree, "fsck", "--strict") == ""


def test_code_with_a_name_that_is_not_utf8_is_code(roar: Roar, tree: Path, git: Git) -> None:
    """The text of such a path begins with a slash in a record; the path does not."""
    names = [os.fsdecode(name) for name in (b"clean\xe9.py", b"changed\xe9.py", b"new\xe9.py")]
    for name in names[:2]:
        (tree / name).write_text("print(1)\n")
    git(tree, "add", ".")
    git(tree, "commit", "-qm", "code")
    for name in names[1:]:
        (tree / name).write_text("print(2)\n")
    roar("run", "-q", "sh", "-c", "cat *.py > all")
    job = last(tree)
    kept = {file.path: file.state for file in job.code.overlay}
    assert kept == {"//bytes/changed%E9.py": "modified", "//bytes/new%E9.py": "untracked"}
    assert by_path(job.inputs)["//bytes/clean%E9.py"].blob
    for name in names[2:]:
        (tree / name).unlink()
    (tree / "all").unlink()
    status = roar("status").stdout.decode()
    assert "file in git //bytes/new%E9.py is gone" in status or "input //bytes/new%E9.py is gone" in status


def test_files_rewritten_renamed_and_removed_during_the_run(roar: Roar, tree: Path) -> None:
    for name in ("inplace", "gone", "moved", "appended", "touched"):
        (tree / name).write_text(f"old {name}\n")
    roar(
        "run", "-q", "sh", "-c",
        "sort inplace -o inplace; cat inplace; echo new >> inplace; cat gone; rm gone; cat moved; mv moved final;"
        "echo more >> appended; : >> touched; echo t > temp; rm temp",
    )  # fmt: skip
    job = last(tree)
    inputs, outputs = by_path(job.inputs), by_path(job.outputs)
    assert inputs["inplace"].hash == b3(b"old inplace\n")
    assert outputs["inplace"].hash == b3(b"old inplace\nnew\n")
    assert inputs["gone"].hash == b3(b"old gone\n")
    assert inputs["moved"].hash == b3(b"old moved\n")
    assert outputs["final"].hash == b3(b"old moved\n")
    assert inputs["appended"].hash == b3(b"old appended\n")
    assert outputs["appended"].hash == b3(b"old appended\nmore\n")
    assert "touched" not in outputs
    assert "temp" not in outputs
    assert job.temporaries >= 1


def test_redirections_by_the_users_shell(tree: Path, tmp_path: Path) -> None:
    (tree / "in.txt").write_text("b\na\n")
    log = tmp_path / "long.log"
    log.write_text("begun before\n")
    roar = f"{sys.executable} -m roar run -q"
    script = f"{roar} sort < in.txt > out.txt; {roar} sort < in.txt > {tmp_path}/far.txt; {roar} sort in.txt >> {log}"
    subprocess.run(["sh", "-c", script], cwd=tree, check=True)
    near, far, logged = (job for _, job in jobs(tree))
    assert command_line(near.command) == "sort < in.txt > out.txt"
    assert command_line(far.command) == "sort < in.txt"
    assert by_path(near.inputs)["in.txt"].hash == b3(b"b\na\n")
    assert by_path(near.outputs)["out.txt"].hash == b3(b"a\nb\n")
    assert by_path(far.outputs)[f"{tmp_path}/far.txt"].hash == b3(b"a\nb\n")
    assert logged.outputs == []
    assert [item.count for item in logged.left_out if item.reason.startswith("log")] == [1]


def test_the_repository_wins_over_every_filter(tmp_path: Path, git: Git) -> None:
    place = Path("/tmp") / f"roar-test-{os.getpid()}" / "venv-like" / "site-packages"
    place.mkdir(parents=True)
    try:
        git(place, "init", "-q")
        (place / "data").write_text("1")
        Roar(place)("run", "-q", "cp", "data", "copy")
        assert [f.path for f in last(place).outputs] == ["copy"]
        assert "data" in by_path(last(place).inputs)
    finally:
        shutil.rmtree(place.parent.parent)


def test_python_and_the_packages_it_read(roar: Roar, tree: Path) -> None:
    (tree / "use.py").write_text("import orjson, click\nopen('out.json','wb').write(orjson.dumps({'a':1}))\n")
    roar("run", "-q", sys.executable, "use.py", PYTHONPATH="")
    python = last(tree).environment.pythons[0]
    assert python.version == ".".join(map(str, sys.version_info[:3]))
    assert {"orjson", "click"} <= {p.name for p in python.read}
    assert "pytest" in {p.name for p in python.installed}
    assert all(not f.path.startswith("/") for f in last(tree).inputs), last(tree).inputs


def test_children_that_outlive_their_parent_are_seen(roar: Roar, tree: Path) -> None:
    roar("run", "-q", "sh", "-c", "(sleep 0.4; echo late > late.txt) & exit 0")
    assert "late.txt" in by_path(last(tree).outputs)


def test_an_interrupted_job_is_recorded(tree: Path) -> None:
    words = [sys.executable, "-m", "roar", "run", "sh", "-c", "echo 1 > out; echo ready; exec sleep 60"]
    for number, status in ((signal.SIGTERM, 143), (signal.SIGINT, 130), (signal.SIGHUP, 129)):
        run = subprocess.Popen(words, cwd=tree, stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True)
        assert run.stdout is not None
        run.stdout.readline()
        run.send_signal(number)
        _, errors = run.communicate(timeout=30)
        assert run.returncode == status, errors
        assert last(tree).exit.signal == number
        assert "out" in by_path(last(tree).outputs)


def test_a_handler_of_the_command_decides(tree: Path) -> None:
    script = (
        "import signal,sys,time\nsignal.signal(signal.SIGTERM, lambda *_: sys.exit(5))\n"
        "print('ready',flush=True)\ntime.sleep(60)\n"
    )
    words = [sys.executable, "-m", "roar", "run", "-q", sys.executable, "-c", script]
    run = subprocess.Popen(words, cwd=tree, stdout=subprocess.PIPE)
    assert run.stdout is not None
    run.stdout.readline()
    run.terminate()
    assert run.wait(30) == 5


def test_control_c_at_a_terminal(tree: Path) -> None:
    pid, master = pty.fork()
    if pid == 0:
        os.chdir(tree)
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        script = (
            "import time\ntry:\n print('ready',flush=True)\n time.sleep(60)\n"
            "except KeyboardInterrupt:\n print('caught',flush=True)\n raise SystemExit(9)"
        )
        os.execv(sys.executable, [sys.executable, "-m", "roar", "run", sys.executable, "-c", script])
    seen = b""
    while b"ready" not in seen:
        seen += os.read(master, 1000)
    os.write(master, b"\x03")
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        try:
            piece = os.read(master, 1000)
        except OSError:
            break
        seen += piece
        if not piece:
            break
    _, status = os.waitpid(pid, 0)
    assert os.waitstatus_to_exitcode(status) == 9
    assert seen.count(b"caught") == 1
    assert last(tree).exit.code == 9


def test_control_c_ends_a_loop_of_the_shell(tree: Path) -> None:
    pid, master = pty.fork()
    if pid == 0:
        os.chdir(tree)
        signal.signal(signal.SIGINT, signal.SIG_DFL)  # ignored where the tests run in the background of a script
        roar = f"{sys.executable} -m roar run -q"
        script = f"for i in 1 2 3; do {roar} sh -c 'echo began; sleep 5'; done; echo went on"
        os.execvp("bash", ["bash", "-c", script])
    seen = b""
    while b"began" not in seen:
        seen += os.read(master, 1000)
    os.write(master, b"\x03")
    try:
        while piece := os.read(master, 1000):
            seen += piece
    except OSError:
        pass
    _, status = os.waitpid(pid, 0)
    assert os.waitstatus_to_exitcode(status) in (130, -signal.SIGINT)
    assert seen.count(b"began") == 1
    assert b"went on" not in seen
    assert last(tree).exit.signal == signal.SIGINT


def test_a_repository_that_cannot_be_written_loses_nothing(roar: Roar, tree: Path, repo: Repository) -> None:
    roar("run", "-q", "true")
    folder = Path(repo.common_dir, "refs", "roar")
    folder.rename(folder.with_name("away"))
    folder.write_text("in the way")
    done = roar("run", "-q", "sh", "-c", "echo result > out; exit 4", code=4)
    assert b"its record could not be put into git" in done.stderr
    assert b"(next: roar recover)" in done.stderr
    assert done.stderr.count(b"\n") == 1
    folder.unlink()
    folder.with_name("away").rename(folder)
    done = roar("recover")
    assert len(done.stdout.split()) == 1
    assert last(tree).exit.code == 4
    assert b"nothing was saved aside" in roar("recover").stderr


def test_a_full_disk_loses_nothing(sealed: Path, tmp_path: Path) -> None:
    place = tmp_path / "small"
    place.mkdir()
    roar = f"{sys.executable} -m roar"
    script = f"""mount -t tmpfs -o size=600k none {place} && cd {place} && git init -q . || exit 77
        {roar} run -q sh -c 'cat /dev/zero > fill 2>/dev/null; exit 6'; echo $?
        rm fill; {roar} recover; git fsck --strict"""
    done = subprocess.run(["unshare", "-rm", "sh", "-c", script], capture_output=True, text=True, check=False)
    if done.returncode == 77 or "unshare" in done.stderr:
        pytest.skip("needs user namespaces to mount a small disk")
    status, identifier = done.stdout.split()
    assert status == "6"
    assert len(identifier) == 26
    assert "its record could not be put into git (No space left on device" in done.stderr
    assert str(sealed) in done.stderr


def test_a_missing_tracer_is_said_before_anything_runs(roar: Roar, tree: Path) -> None:
    done = roar("run", "touch", "made", code=125, ROAR_TRACER="/nonexistent/tracer")
    assert done.stderr.startswith(b"roar: the tracer is missing: /nonexistent/tracer")
    assert not (tree / "made").exists()


@pytest.mark.parametrize("group", [False, True])
def test_a_killed_tracer_ends_the_command_and_the_record_says_so(tree: Path, *, group: bool) -> None:
    words = [sys.executable, "-m", "roar", "run", "sh", "-c", "echo $$; exec sleep 60"]
    run = subprocess.Popen(words, cwd=tree, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, start_new_session=True)
    assert run.stdout is not None
    command = int(run.stdout.readline())
    if group:
        os.killpg(run.pid, signal.SIGKILL)
    else:
        run.kill()
    assert run.wait(10) == -signal.SIGKILL
    deadline = time.monotonic() + 20
    while not jobs(tree) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert [gap.reason for gap in last(tree).incomplete] == ["tracer-died"]
    assert not Path(f"/proc/{command}/cwd").exists()


def test_pipes_end_when_the_command_lets_go_of_them(tree: Path) -> None:
    roar = f"{sys.executable} -m roar run -q"
    lines = f"yes | {roar} sh -c 'head -1; exec <&-; sleep 1; echo end'"
    done = subprocess.run(["bash", "-c", lines], cwd=tree, capture_output=True, timeout=60, check=False)
    assert done.stdout.startswith(b"y\nend\n")
    script = f"{roar} sh -c 'exec >&-; sleep 3' | (cat; date +%s)"
    began = int(time.time())
    done = subprocess.run(["bash", "-c", script], cwd=tree, capture_output=True, timeout=60, check=False)
    assert int(done.stdout) - began < 3


def test_many_runs_at_once(tree: Path, git: Git) -> None:
    words = [sys.executable, "-m", "roar", "run", "-q", "sh", "-c", "echo $0 > out.$0"]
    runs = [subprocess.Popen([*words, str(i)], cwd=tree) for i in range(8)]
    assert [r.wait(60) for r in runs] == [0] * 8
    recorded = [job for _, job in jobs(tree)]
    assert sorted(f.path for j in recorded for f in j.outputs) == [f"out.{i}" for i in range(8)]
    assert len({j.session for j in recorded}) == 1
    assert git(tree, "fsck", "--strict") == ""


@pytest.mark.parametrize("names", [None, ["PATH", "HOME", "PYTHONPATH"]])
def test_the_environment_and_descriptors_are_untouched(tree: Path, names: list[str] | None) -> None:
    env = None if names is None else {name: os.environ[name] for name in names}
    script = "env | sort; ls /proc/self/fd; cat /proc/self/status | grep -E '^Sig(Blk|Ign)|^NoNewPrivs'; umask"
    bare = subprocess.run(["sh", "-c", script], cwd=tree, capture_output=True, env=env, check=False)
    words = [sys.executable, "-m", "roar", "run", "-q", "sh", "-c", script]
    traced = subprocess.run(words, cwd=tree, capture_output=True, env=env, check=False)
    assert traced.stdout == bare.stdout


def test_an_environment_that_python_would_not_make(tree: Path) -> None:
    """An entry without a name: Python's exec refuses it, but a C program may have left one."""
    code = """import ctypes, os, sys
words = [w.encode() for w in (sys.executable, "-m", "roar", "run", "-q", "sh", "-c", "exit 7")]
given = [f"{k}={v}".encode() for k, v in os.environ.items()] + [b"=nameless", b"without"]
array = lambda items: (ctypes.c_char_p * (len(items) + 1))(*items, None)
ctypes.CDLL(None).execve(words[0], array(words), array(given))"""
    done = subprocess.run([sys.executable, "-c", code], cwd=tree, capture_output=True, check=False)
    assert (done.returncode, done.stderr) == (7, b"")
    assert last(tree).exit.code == 7


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
def test_closed_streams_stay_closed(tree: Path, closed: str) -> None:
    script = "ls /proc/self/fd > fds; exit 3"
    subprocess.run(["sh", "-c", f"sh -c '{script}' {closed}"], cwd=tree, check=False)
    bare = (tree / "fds").read_text()
    done = subprocess.run(
        ["sh", "-c", f"{sys.executable} -m roar run -q sh -c '{script}' {closed}"], cwd=tree, check=False
    )
    assert done.returncode == 3
    assert (tree / "fds").read_text() == bare
    assert [f.path for f in last(tree).outputs] == ["fds"]


def test_what_reproducible_builds_do_is_seen(roar: Roar, tree: Path) -> None:
    for number in ("1111", "2222"):
        (tree / "in").write_text(number)
        roar("run", "-q", "sh", "-c", "cat in > out; touch -d @0 out")
        assert by_path(last(tree).outputs)["out"].hash == b3(number.encode())


def test_files_move_with_their_folder(roar: Roar, tree: Path) -> None:
    (tree / "run1" / "sub").mkdir(parents=True)
    (tree / "run1" / "sub" / "model.bin").write_bytes(b"5")
    roar("run", "-q", "mv", "run1", "final")
    assert by_path(last(tree).inputs)["run1/sub/model.bin"].hash == b3(b"5")
    assert by_path(last(tree).outputs)["final/sub/model.bin"].hash == b3(b"5")


def test_nothing_that_surrounds_the_command_costs_the_record(roar: Roar, tree: Path, git: Git) -> None:
    git(tree, "remote", "add", "origin", os.fsdecode(b"/tmp/\xe9.git"))
    odd = {"GIT_AUTHOR_NAME": os.fsdecode(b"J\xe9r"), "TZ": os.fsdecode(b"\xe9"), "PYTHONPATH": f"/tmp/\udce9:{ROOT}"}
    roar("run", "-q", "--name", os.fsdecode(b"caf\xe9"), "true", **odd)
    assert last(tree).command.name == "//bytes/caf%E9"
    Path(tree, ".git", "roar", "session").write_bytes(b"\0" * 26)
    roar("run", "-q", "true")
    old = tree / "old"
    (old / "pydantic").mkdir(parents=True)
    (old / "pydantic" / "__init__.py").write_text("raise ImportError")
    roar("run", "-q", "true", PYTHONPATH=f"{old}:{ROOT}")
    assert len(jobs(tree)) == 3


def test_a_report_is_saved_when_no_record_can_be_made_of_it(roar: Roar, tree: Path, git: Git) -> None:
    done = roar("run", "-q", "sh", "-c", "echo '[x' >> .git/config; echo 1 > out; exit 2", code=2)
    assert b"its record could not be made" in done.stderr
    assert done.stderr.count(b"\n") == 1
    config = tree / ".git" / "config"
    config.write_text(config.read_text().replace("[x\n", ""))
    assert len(roar("recover").stdout.split()) == 1
    assert by_path(last(tree).outputs)["out"].hash == b3(b"1\n")
    assert last(tree).exit.code == 2


def test_a_run_inside_a_run_is_part_of_it(roar: Roar, tree: Path) -> None:
    inner = f"{sys.executable} -m roar run sh -c 'echo 1 > inner; exit 5'; echo $? > outer"
    done = roar("run", "-q", "sh", "-c", inner)
    assert b"inside a recorded run already" in done.stderr
    assert {"inner", "outer"} <= set(by_path(last(tree).outputs))
    assert (tree / "outer").read_text() == "5\n"
    assert len(jobs(tree)) == 1
