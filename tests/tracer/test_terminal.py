"""Signals and the terminal: what a person or a script does to the command arrives as without the tracer."""

from __future__ import annotations

import os
import pty
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from cases import SENDER

Words = Callable[..., list[str]]


@pytest.fixture
def words(tracer: Path, mechanism: str, tmp_path: Path) -> Words:
    return lambda *command: [str(tracer), "--mechanism", mechanism, "--report", str(tmp_path / "r"), "--", *command]


COUNT = (
    "import signal,time\n"
    "n=[]\n"
    "signal.signal(signal.{name}, lambda s,f: n.append(s))\n"
    "print('ready',flush=True)\n"
    "t=time.time()\n"
    "while time.time()-t<0.5: time.sleep(0.01)\n"
    "print('got',len(n),flush=True)\n"
)


def python(code: str) -> list[str]:
    return [sys.executable, "-I", "-S", "-c", code]


@pytest.mark.parametrize("name", ["SIGTERM", "SIGINT", "SIGHUP", "SIGUSR1", "SIGQUIT"])
def test_a_signal_to_us_is_the_command_s(words: Words, name: str) -> None:
    command = subprocess.Popen(words(*python(COUNT.format(name=name))), stdout=subprocess.PIPE)
    assert command.stdout is not None
    command.stdout.readline()
    os.kill(command.pid, getattr(signal, name))
    assert command.stdout.read() == b"got 1\n"
    assert command.wait(timeout=10) == 0


def test_a_signal_to_the_group_arrives_once(words: Words) -> None:
    command = subprocess.Popen(
        words(*python(COUNT.format(name="SIGTERM"))), stdout=subprocess.PIPE, start_new_session=True
    )
    assert command.stdout is not None
    command.stdout.readline()
    os.killpg(command.pid, signal.SIGTERM)
    assert command.stdout.read() == b"got 1\n"
    assert command.wait(timeout=10) == 0


def test_death_by_a_forwarded_signal(words: Words) -> None:
    command = subprocess.Popen(words("sleep", "20"))
    time.sleep(0.3)
    command.terminate()
    assert command.wait(timeout=10) == 128 + signal.SIGTERM


def test_who_is_left_behind_can_be_ended(words: Words, tmp_path: Path) -> None:
    command = subprocess.Popen(words("sh", "-c", "setsid sleep 30 & echo; exit 3"), stdout=subprocess.PIPE)
    assert command.stdout is not None
    command.stdout.readline()
    while Path(f"/proc/{command.pid}/task/{command.pid}/children").read_text():
        time.sleep(0.02)
    command.send_signal(signal.SIGINT)
    assert command.wait(timeout=10) == 3
    assert b'"outlived_ns"' in (tmp_path / "r").read_bytes().splitlines()[-2]


def test_the_sender_is_the_true_one(words: Words, compiled: Callable[..., Path]) -> None:
    program = compiled(SENDER)
    command = subprocess.Popen(words(str(program)), stdout=subprocess.PIPE)
    assert command.stdout is not None
    command.stdout.readline()
    command.terminate()
    assert command.stdout.read() == f"{os.getpid()}\n".encode()
    assert command.wait(timeout=10) == 0


def test_stop_and_continue_from_outside(words: Words) -> None:
    command = subprocess.Popen(
        words("sh", "-c", "echo $$; read x; echo $x"), stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert command.stdout is not None
    pid = int(command.stdout.readline())
    os.kill(pid, signal.SIGSTOP)
    deadline = time.time() + 10
    while Path(f"/proc/{pid}/stat").read_text().split()[2] not in "Tt":
        assert time.time() < deadline
        time.sleep(0.02)
    time.sleep(0.2)
    assert Path(f"/proc/{command.pid}/stat").read_text().split()[2] not in "Tt"
    os.kill(pid, signal.SIGCONT)
    assert command.communicate(b"yes\n", timeout=10)[0] == b"yes\n"


def test_the_tree_dies_with_a_killed_tracer(words: Words) -> None:
    command = subprocess.Popen(words("sh", "-c", "echo $$; sleep 30 & wait"), stdout=subprocess.PIPE)
    assert command.stdout is not None
    pid = int(command.stdout.readline())
    command.kill()
    command.wait()
    for _ in range(50):
        try:
            state = Path(f"/proc/{pid}/stat").read_text().split()[2]
        except (FileNotFoundError, ProcessLookupError):
            return
        if state == "Z":
            return
        time.sleep(0.05)
    pytest.fail("the command outlived its tracer")


class Terminal:
    """A shell or a command on a terminal of its own."""

    def __init__(self, command: list[str]) -> None:
        self.seen = b""
        self.pid, self.fd = pty.fork()
        if not self.pid:
            os.environ["PS1"] = "$ "
            os.execvp(command[0], command)

    def expect(self, text: bytes, seconds: float = 60) -> None:
        deadline = time.time() + seconds
        while text not in self.seen:
            ready, _, _ = select.select([self.fd], [], [], max(0.0, deadline - time.time()))
            assert ready, f"waited for {text!r}, got {self.seen[-400:]!r}"
            self.seen += os.read(self.fd, 4096)
        self.seen = self.seen[self.seen.index(text) + len(text) :]

    def type(self, text: bytes) -> None:
        os.write(self.fd, text)

    def close(self) -> None:
        os.close(self.fd)
        os.waitpid(self.pid, 0)


def test_ctrl_c_arrives_once(words: Words) -> None:
    terminal = Terminal(words(*python(COUNT.format(name="SIGINT") + "time.sleep(0.2)")))
    terminal.expect(b"ready")
    terminal.type(b"\x03")
    terminal.expect(b"got 1")
    terminal.close()


def shell() -> Terminal:
    terminal = Terminal(["bash", "--norc", "--noprofile", "-i"])
    terminal.type(b"bind 'set enable-bracketed-paste off'; PS1='$ '; echo be''gin\n")
    terminal.expect(b"begin\r\n")
    return terminal


def test_ctrl_z_and_fg_and_bg(words: Words) -> None:
    script = "'echo ready; i=0; while [ $i -lt 20 ]; do sleep 0.05; i=$((i+1)); done; echo finished $i; exit 5'"
    terminal = shell()
    terminal.type(" ".join(words("sh", "-c", script)).encode() + b"\n")
    terminal.expect(b"ready\r\n")
    time.sleep(0.2)
    terminal.type(b"\x1a")
    terminal.expect(b"Stopped")
    time.sleep(0.5)
    terminal.type(b"jobs; echo m''1\n")
    terminal.expect(b"Stopped")
    terminal.expect(b"m1\r\n")
    terminal.type(b"bg; echo m''2\n")
    terminal.expect(b"m2\r\n")
    time.sleep(0.2)
    terminal.type(b"fg\n")
    terminal.expect(b"finished 20")
    terminal.type(b"echo rc=$?\n")
    terminal.expect(b"rc=5")
    terminal.type(b"exit\n")
    terminal.close()


def test_reading_in_the_background_stops(words: Words) -> None:
    terminal = shell()
    terminal.type(" ".join(words("cat")).encode() + b" &\n")
    terminal.type(b"until [[ $(jobs -s) ]]; do sleep 0.05; done; jobs\n")
    terminal.expect(b"Stopped")
    terminal.type(b"fg\n")
    time.sleep(0.3)
    terminal.type(b"hello\n")
    terminal.expect(b"hello\r\nhello")
    terminal.type(b"\x04")
    terminal.type(b"echo rc=$?\n")
    terminal.expect(b"rc=0")
    terminal.type(b"exit\n")
    terminal.close()


def test_an_interactive_shell_inside(words: Words) -> None:
    terminal = Terminal(words("bash", "--norc", "--noprofile", "-i"))
    terminal.type(b"bind 'set enable-bracketed-paste off'; PS1='$ '; echo be''gin\n")
    terminal.expect(b"begin\r\n")
    terminal.type(b"sleep 30\n")
    time.sleep(0.4)
    terminal.type(b"\x1a")
    terminal.expect(b"Stopped")
    terminal.type(b"kill %1; echo st''ill here; exit 3\n")
    terminal.expect(b"still here")
    terminal.close()
