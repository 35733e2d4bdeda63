"""How the tracer is started and how it ends: exit statuses, descriptors, the recorder, the report's frame."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from cases import CLOSED, CONTAINER
from conftest import Traced
from tracing import trace


def test_not_found(traced: Traced, tmp_path: Path) -> None:
    work = tmp_path / "work"
    work.mkdir()
    # A folder of PATH that may not be searched would make it "cannot be executed", as env(1) has it.
    report = traced(["nosuchcmd"], work, env={"PATH": "/usr/bin:/bin"})
    assert report.returncode == 127
    assert report.stderr == b"roar: nosuchcmd: command not found\n"
    assert report.end["started"] is False
    assert report.end["exit_code"] == 127
    assert report.of_kind("process") == report.of_kind("file") == []


def test_not_executable(traced: Traced, tmp_path: Path) -> None:
    work = tmp_path / "work"
    work.mkdir()
    (work / "data").write_text("x")
    report = traced(["./data"], work)
    assert report.returncode == 126
    assert report.stderr == b"roar: ./data: cannot be executed (Permission denied)\n"
    (work / "script").write_text("#!/none/here\n")
    (work / "script").chmod(0o755)
    report = traced(["./script"], work)
    assert (report.returncode, report.end["started"]) == (127, False)


def test_wrong_words(tracer: Path) -> None:
    for words in ([], ["--report"], ["--mechanism", "magic", "--", "true"], ["--what", "x", "--", "true"]):
        done = subprocess.run([tracer, *words], capture_output=True, check=False)
        assert done.returncode == 125
        assert done.stderr.startswith(b"roar-tracer: ")
        assert done.stderr.count(b"\n") == 1


def test_version_and_self_test(tracer: Path) -> None:
    assert subprocess.check_output([tracer, "--version"]).startswith(b"roar-tracer ")
    found = json.loads(subprocess.run([tracer, "--self-test"], capture_output=True, check=True).stdout)
    assert found["ptrace"] is True
    assert found["canary"] is True
    assert set(found) == {"ptrace", "notify", "canary"}


def test_frame_of_the_report(traced: Traced, mechanism: str, tmp_path: Path) -> None:
    work = tmp_path / "work"
    work.mkdir()
    before = time.time_ns()
    report = traced(["sh", "-c", "ulimit -t; /bin/true; exit 3"], work)
    start, end = report.start, report.end
    assert start["format"] == 1
    assert start["mechanism"] == mechanism
    assert start["umask"] == os.umask(os.umask(0)) or start["umask"] >= 0
    assert before - 10**9 < start["time_ns"] <= end["root_end_ns"] <= end["time_ns"] < time.time_ns() + 10**9
    assert end["started"] is True
    assert end["exit_code"] == 3
    processes = report.of_kind("process")
    assert len(processes) == end["processes"] == 2
    root = next(p for p in processes if p["pid"] == start["root"])
    child = next(p for p in processes if p["pid"] != start["root"])
    assert child["parent"] == start["root"]
    assert (root["exit_code"], child["exit_code"]) == (3, 0)
    assert root["programs"][0]["argv"] == ["sh", "-c", "ulimit -t; /bin/true; exit 3"]
    assert child["programs"][0]["path"] == os.path.realpath("/bin/true")
    assert all(p["start_ns"] <= p["end_ns"] and p["peak_bytes"] > 0 for p in processes)


def test_cpu_time_is_each_process_s_own(traced: Traced, tmp_path: Path) -> None:
    work = tmp_path / "work"
    work.mkdir()
    burn = "i=0; while [ $i -lt 200000 ]; do i=$((i+1)); done"
    report = traced(["sh", "-c", f"sh -c '{burn}'; true"], work)
    times = {p["pid"]: p["user_ns"] + p["system_ns"] for p in report.of_kind("process")}
    root = times.pop(report.start["root"])
    assert root < min(times.values())
    assert sum(times.values()) + root == report.end["user_ns"] + report.end["system_ns"]


def test_asked_names_of_programs(traced: Traced, tmp_path: Path) -> None:
    work = tmp_path / "work"
    (work / "bin").mkdir(parents=True)
    (work / "bin" / "python").symlink_to(sys.executable)
    (work / "tool").write_text("#!bin/python -I\nprint(1)\n")
    (work / "tool").chmod(0o755)
    report = traced(["./tool", "a"], work)
    program = report.programs[0]
    assert program["asked"] == str(work.resolve() / "tool")
    assert program["argv"] == ["./tool", "a"]
    interpreter = next(line for line in report.of_kind("file") if line["path"] == os.path.realpath(sys.executable))
    assert interpreter["executed"]
    assert str(work.resolve() / "bin/python") in interpreter["asked"]


def test_long_argument_lists_are_cut(traced: Traced, tmp_path: Path) -> None:
    work = tmp_path / "work"
    work.mkdir()
    report = traced(["/bin/true", *["x" * 1000] * 200], work)
    program = report.programs[0]
    assert program["argv_truncated"] is True
    assert 100 < len(program["argv"]) < 140


def test_many_processes_and_bounded_failures(traced: Traced, tmp_path: Path) -> None:
    work = tmp_path / "work"
    work.mkdir()
    code = "import os\nfor i in range(6000):\n try: open(f'none{i}')\n except OSError: pass"
    report = traced([sys.executable, "-I", "-S", "-c", code], work)
    assert len(report.of_kind("failed")) == 4096
    assert report.end["failed_dropped"] > 1800
    assert report.end["failed_opens"] >= 6000


def test_connect_endpoints(traced: Traced, tmp_path: Path) -> None:
    work = tmp_path / "work"
    work.mkdir()
    code = (
        "import socket\n"
        "for f,a in [(2,('127.0.0.1',9)),(2,('127.0.0.1',9)),(10,('::1',9)),(1,'/none'),(1,'\\0hidden')]:\n"
        " s=socket.socket(f)\n try: s.connect(a)\n except OSError: pass\n"
    )
    report = traced([sys.executable, "-I", "-S", "-c", code], work)
    found = {(c["family"], c["address"], c.get("port"), c["count"]) for c in report.of_kind("connect")}
    assert {
        ("inet", "127.0.0.1", 9, 2),
        ("inet6", "::1", 9, 1),
        ("unix", "/none", None, 1),
        ("unix", "@hidden", None, 1),
    } <= found


def test_hash_limit(traced: Traced, tmp_path: Path) -> None:
    work = tmp_path / "work"
    work.mkdir()
    (work / "in").write_text("content")
    report = traced(["sh", "-c", "echo more >> in"], work, "--hash-limit", "6")
    assert report.files["in"]["before_unknown"] == "larger than hash limit"
    assert "before_hash" not in report.files["in"]


def test_inherited_descriptors(traced: Traced, tmp_path: Path) -> None:
    work = tmp_path / "work"
    work.mkdir()
    (work / "in").write_text("content")
    with (work / "in").open() as given, (work / "out").open("w") as out, (work / "log").open("a") as log:
        report = traced(["cat"], work, stdin=given, stdout=out, stderr=log)
    assert report.returncode == 0
    assert report.files["in"]["inherited"] is report.files["out"]["inherited"] is True
    assert report.reads == {"in"}
    assert report.writes == {"out", "log"}


def test_loader_and_libraries(traced: Traced, tmp_path: Path) -> None:
    work = tmp_path / "work"
    work.mkdir()
    report = traced(["/bin/cat", "/dev/null"], work)
    read = {Path(line["path"]).name for line in report.of_kind("file") if line.get("read")}
    ran = {line["path"] for line in report.of_kind("file") if line.get("executed")}
    assert any(name.startswith(("libc.so", "libc-", "ld-musl")) for name in read), read
    assert os.path.realpath("/bin/cat") in ran
    assert any("/ld-" in path for path in ran), "the loader is run, too"


def test_an_ordinary_user(tracer: Path, mechanism: str, compiled: Callable[..., Path]) -> None:
    """Without root's rights: what is refused is no input; a setuid program that lost its rights is named; and of one
    that nobody may look into it is said that its names are not known."""
    if os.geteuid() != 0:
        pytest.skip("needs root, to be somebody else")
    with tempfile.TemporaryDirectory() as name:  # the folders of pytest are not for others
        top = Path(name).resolve()
        work = top / "work"
        work.mkdir()
        shutil.copy(tracer, top / "tracer")
        shutil.copy(compiled(CLOSED), top / "closed")
        (work / "in").write_text("content")
        (work / "in").chmod(0)
        shutil.copy("/bin/true", work / "set")
        (work / "set").chmod(0o4755)
        for folder in (top, work):
            os.chown(folder, 65534, 65534)
        command = ["sh", "-c", "cat in; ./set; ../closed; echo x > out"]
        report = trace(top / "tracer", mechanism, command, work, user=65534, group=65534, extra_groups=[])
    assert report.returncode == 0, report.stderr
    assert {program["path"] for program in report.programs} >= {str(top / "closed"), str(work / "set")}
    assert ("in", "EACCES") in report.failed
    assert report.reads == {"set"}
    assert report.writes == {"out"}
    assert report.start["no_new_privs"] is True
    blind = {line["reason"]: line["detail"] for line in report.of_kind("blind")}
    assert set(blind) == {"no_new_privs", "path_unreadable"}
    assert blind["no_new_privs"] == str(work / "set")


def test_a_default_container(tracer: Path, mechanism: str, compiled: Callable[..., Path]) -> None:
    if os.geteuid() != 0:
        pytest.skip("needs root, to be somebody else")
    with tempfile.TemporaryDirectory() as name:
        top = Path(name).resolve()
        shutil.copy(tracer, top / "tracer")
        (top / "in").write_text("content")
        os.chown(top, 65534, 65534)
        inside = [str(compiled(CONTAINER)), str(top / "tracer")]
        found = json.loads(subprocess.run([*inside, "--self-test"], capture_output=True, check=True).stdout)
        assert found[mechanism] is True and found["canary"] is True
        words = ["--mechanism", mechanism, "--report", "report", "--", "sh", "-c", "cat in > out; exit 3"]
        done = subprocess.run([*inside, *words], cwd=top, capture_output=True, check=False)
        lines = [json.loads(line) for line in (top / "report").read_text().splitlines()]
    assert (done.returncode, done.stdout, done.stderr) == (3, b"", b"")
    files = {line["path"]: line for line in lines if line["kind"] == "file"}
    assert files[f"{top}/in"]["read"] and files[f"{top}/out"]["created"]


STATE = (
    "import os,signal\n"
    "print(sorted(os.listdir('/proc/self/fd')), os.getcwd(), sorted(os.environ), os.umask(0))\n"
    "print([l for l in open('/proc/self/status') if l.startswith(('SigPnd','SigBlk','SigIgn','SigCgt','Shd','NoNew','Cap','Gid','Uid'))])\n"
    "print(os.getpgrp()==os.getpgid(os.getppid()), os.getsid(0)==os.getsid(os.getppid()))"
)


def test_the_command_starts_as_if_alone(tracer: Path, mechanism: str, tmp_path: Path) -> None:
    command = [sys.executable, "-I", "-S", "-c", STATE]
    traced = [str(tracer), "--mechanism", mechanism, "--"]
    for traps in ("", "umask 027;", "trap '' INT HUP;", "trap '' CHLD;", "ulimit -n 100;"):
        outputs = [
            subprocess.check_output(
                ["sh", "-c", f'{traps} exec "$@"', "sh", *before, *command], cwd=tmp_path
            ).splitlines()[:2]
            for before in ([], traced)
        ]
        if os.geteuid() != 0:  # then the kernel wants no_new_privs to be set: see docs/tracer.md
            outputs[0] = [line.replace(b"NoNewPrivs:\\t0", b"NoNewPrivs:\\t1") for line in outputs[0]]
        assert outputs[0] == outputs[1], traps


def test_recorder(tracer: Path, mechanism: str, tmp_path: Path) -> None:
    """As `roar run` starts the tracer: in its own place, beside a recorder that waits for the report."""
    report, said = tmp_path / "report", tmp_path / "said"
    starter = tmp_path / "starter.py"
    starter.write_text(
        "import os, sys, time\n"
        f"tracer, mechanism, report, said = {str(tracer)!r}, {mechanism!r}, {str(report)!r}, {str(said)!r}\n"
        "r, w = os.pipe()\n"
        "f = os.open(report, os.O_RDWR | os.O_CREAT)\n"
        "recorder = os.fork()\n"
        "if not recorder:\n"
        "    os.close(w); os.read(r, 1); time.sleep(0.2)\n"
        "    open(said, 'wb').write(os.pread(f, 1 << 20, 0).splitlines()[-2]); os._exit(5)\n"
        "os.close(r); os.set_inheritable(w, True); os.set_inheritable(f, True)\n"
        "os.execv(tracer, [tracer, '--mechanism', mechanism, '--report-fd', str(f), '--done-fd', str(w),\n"
        "    '--wait-for', str(recorder), '--', 'sh', '-c', 'ls /proc/self/fd | wc -l; exit 9'])\n"
    )
    done = subprocess.run([sys.executable, starter], capture_output=True, timeout=30, check=False)
    assert (done.returncode, done.stdout.strip()) == (9, b"4")
    assert json.loads(said.read_bytes())["exit_code"] == 9


def test_report_on_a_full_disk(tracer: Path, mechanism: str) -> None:
    if not os.path.exists("/dev/full"):
        pytest.skip("no /dev/full")
    done = subprocess.run(
        [tracer, "--mechanism", mechanism, "--report", "/dev/full", "--", "sh", "-c", "echo hi; exit 4"],
        capture_output=True,
        check=False,
    )
    assert (done.returncode, done.stdout) == (4, b"hi\n")
    assert b"could not be written" in done.stderr


def test_bytes_of_every_kind_come_back(traced: Traced, tmp_path: Path) -> None:
    work = tmp_path / "work"
    work.mkdir()
    for start in range(1, 256, 32):
        name = bytes(b for b in range(start, min(start + 32, 256)) if b != ord("/"))
        (Path(os.fsdecode(os.fsencode(work) + b"/" + name))).write_bytes(b"x")
    report = traced(["sh", "-c", "cat *"], work)
    assert {name.encode("latin-1") for name in report.reads} == set(os.listdir(os.fsencode(work)))


def test_a_traced_tracer_says_what_is_wrong(tracer: Path, mechanism: str, tmp_path: Path) -> None:
    (tmp_path / "outer").mkdir()
    inner = [str(tracer), "--mechanism", mechanism, "--", "echo", "ran"]
    report = trace(tracer, mechanism, inner, tmp_path / "outer")
    assert report.returncode == 125
    assert report.stdout == b""
    assert b"does not allow ptrace" in report.stderr
    assert "inner_ptrace" in report.blind
