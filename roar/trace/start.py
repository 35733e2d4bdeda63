"""Starting the command under the tracer, before anything else is imported.

The process that the user's shell knows becomes the tracer: signals, job control and the terminal then need nothing
in between. A child made before, the recorder, imports the rest of roar while the command runs, and writes the record
when the tracer says that the report is complete; whatever becomes of it, the command and its status are not touched.
Standard library only.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import stat
import sys
import time
from collections.abc import Callable

if sys.platform != "win32":
    import fcntl

from roar.errors import EXIT_BUG, NotStartedError

TYPE_CHECKING = False  # as in typing, which takes 4 ms to import
if TYPE_CHECKING:
    from typing import NoReturn

    from roar.config.model import Reversible, Tracer

NOT_FOR_US = (
    "SIGINT",
    "SIGQUIT",
    "SIGHUP",
    "SIGTERM",
    "SIGTSTP",
    "SIGTTIN",
    "SIGTTOU",
    "SIGUSR1",
    "SIGUSR2",
    "SIGALRM",
)


COPIES = os.path.join("kept", "tmp")
"""Where the tracer puts copies of what is overwritten, below roar's own folder."""


def tracer_path() -> str:
    """The tracer program. Raises ``NotStartedError`` where there is none."""
    if not sys.platform.startswith("linux"):
        raise NotStartedError("tracing needs Linux: roar run works there only; every other command works here")
    path = os.environ.get("ROAR_TRACER") or os.path.join(
        os.path.dirname(os.path.dirname(__file__)), "bin", "roar-tracer"
    )
    if not os.access(path, os.X_OK):
        raise NotStartedError(f"the tracer is missing: {path}", "install roar again with a Rust toolchain present")
    return path


def open_report() -> int:
    """An open file for the report. In memory, so that a disk filled by the command cannot lose it."""
    return _above_streams(os.memfd_create("roar-report", os.MFD_CLOEXEC))


def _above_streams(fd: int) -> int:
    """The same file with a number above 2: a standard stream that is closed must stay closed for the command."""
    if fd > 2:
        return fd
    higher = fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, 3)
    os.close(fd)
    return higher


def environment() -> dict[str, str]:
    """The environment that this process was started with.

    Not ``os.environ``: in the C locale Python adds an LC_CTYPE of its own (PEP 538), which no command should see.
    What is not ``NAME=VALUE`` is left out: Python's exec does not take it.
    """
    try:
        with open("/proc/self/environ", "rb") as file:
            entries = file.read().split(b"\0")
    except OSError:
        return dict(os.environ)
    pairs = (os.fsdecode(entry).partition("=") for entry in entries)
    return {name: value for name, equals, value in pairs if name and equals}


def inside_a_run() -> bool:
    """True when a tracer of roar follows this process already."""
    try:
        with open(f"/proc/{_tracer_of('self')}/comm", encoding="ascii", errors="replace") as file:
            return file.read().strip() == "roar-tracer"
    except OSError:
        return False


def _tracer_of(pid: int | str) -> int:
    """The process that traces this one; 0 when there is none. Raises ``OSError``."""
    with open(f"/proc/{pid}/status", encoding="ascii", errors="replace") as file:
        return next((int(line.split()[1]) for line in file if line.startswith("TracerPid:")), 0)


def redirections() -> tuple[tuple[int, str, bool], ...]:
    """The standard streams that are regular files: number, absolute path, opened for appending."""
    found = []
    for fd in (0, 1, 2):
        try:
            path = os.readlink(f"/proc/self/fd/{fd}")
            if stat.S_ISREG(os.fstat(fd).st_mode) and os.path.exists(path):
                found.append((fd, path, bool(fcntl.fcntl(fd, fcntl.F_GETFL) & os.O_APPEND)))
        except OSError:  # closed
            continue
    return tuple(found)


def input_is_piped() -> bool:
    """True when standard input is a pipe or socket through which something may come."""
    try:
        mode = os.fstat(0).st_mode
        if not (stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode)):
            return False
        waiting = select.poll()
        waiting.register(0, select.POLLIN)
        events = dict(waiting.poll(0)).get(0, 0)
    except OSError:  # closed
        return False
    return not events & select.POLLHUP or bool(events & select.POLLIN)


def tracer_words(settings: Tracer) -> list[str]:
    """The options of the tracer program that say what is set."""
    words = ["--mechanism", settings.mechanism, "--hash-limit", str(settings.hash_limit)]
    return [*words, "--io-uring", settings.io_uring] if settings.io_uring != "report" else words


def keeping_words(settings: Reversible, work_tree: str, folder: str) -> list[str]:
    """The options that let the tracer copy what the command is about to overwrite or remove; none when it cannot."""
    if not settings.enabled:
        return []
    try:
        os.makedirs(folder, 0o700, exist_ok=True)
    except OSError:
        return []
    return ["--keep", folder, "--keep-below", work_tree, "--keep-limit", str(settings.max_size)]


def become_tracer(
    argv: list[str], environ: dict[str, str], options: list[str], report: int, recorder: Callable[[int], None]
) -> NoReturn:
    """Turn this process into the tracer of ``argv``, which gets ``environ``.

    ``options`` are words for the tracer program. ``report`` is an open file that the tracer writes. A child calls
    ``recorder`` with a descriptor that reaches its end when the report is complete. Does not return. Raises
    ``NotStartedError`` when the tracer cannot be executed; the command has not been started then.
    """
    tracer = tracer_path()
    done_read, done_write = (_above_streams(fd) for fd in os.pipe())
    for stream in (sys.stdout, sys.stderr):
        if stream is not None:
            stream.flush()
    pid = os.fork()
    if pid == 0:
        os.close(done_write)
        _record(recorder, done_read)
    # What is sent to the command's process group must not cost the record: the recorder is in one of its own, and is
    # so before the command can start.
    os.setpgid(pid, pid)
    os.close(done_read)
    for fd in (report, done_write):
        os.set_inheritable(fd, True)
    words = [tracer, *options, "--report-fd", str(report), "--done-fd", str(done_write), "--wait-for", str(pid)]
    try:
        os.execve(tracer, [*words, "--", *argv], environ)
    except OSError as error:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        raise NotStartedError(f"the tracer cannot be executed: {tracer}: {error.strerror}") from error


def _record(recorder: Callable[[int], None], done: int) -> NoReturn:
    """The child: survives what the terminal sends, and never returns into its parent's code."""
    status = EXIT_BUG
    try:
        for name in NOT_FOR_US:
            signal.signal(getattr(signal, name), signal.SIG_IGN)
        # A pipe must end when the command lets go of it, not when we do.
        nothing = os.open(os.devnull, os.O_RDWR)
        for standard in (0, 1):
            os.dup2(nothing, standard)
        recorder(done)
        status = 0
    finally:
        if sys.stderr is not None:
            sys.stderr.flush()
        os._exit(status)


GRACE_SECONDS = 10.0
"""How long what is asked to end may take."""


def wait_for_end(done: int, timeout: float | None = None) -> bool:
    """Wait until the tracer has written its report, or has died. Gives True when the command had to be ended.

    After ``timeout`` seconds the command gets SIGTERM, later SIGKILL; then what it left behind gets SIGTERM; at last
    the tracer is killed, and with it all that is left.
    """
    tracer = os.getppid()
    for number, seconds in enumerate((timeout, GRACE_SECONDS, 1.0, GRACE_SECONDS)):
        if ended(done, seconds):
            return number > 0
        if os.getppid() != tracer:  # it is gone, and its number may be somebody else's
            continue
        with contextlib.suppress(ProcessLookupError):
            if number == 1:
                os.kill(_command_of(tracer), signal.SIGKILL)
            else:  # the tracer passes SIGTERM on
                os.kill(tracer, signal.SIGKILL if number == 3 else signal.SIGTERM)
    ended(done, None)
    return True


def _command_of(tracer: int) -> int:
    """The command's first process: the child of our parent, the tracer, that it traces. Raises ``ProcessLookupError``.

    Others may be there: a shell that started some in the background and then became us by ``exec``.
    """
    try:
        with open(f"/proc/{tracer}/task/{tracer}/children", encoding="ascii") as file:
            return next(pid for pid in map(int, file.read().split()) if _tracer_of(pid) == tracer)
    except (OSError, StopIteration):
        raise ProcessLookupError from None


def ended(done: int, seconds: float | None) -> bool:
    """True when ``done`` has reached its end, which is waited for at most so long."""
    deadline = None if seconds is None else time.monotonic() + seconds
    waiting = select.poll()
    waiting.register(done, select.POLLIN)
    while True:
        left = None if deadline is None else max(0.0, deadline - time.monotonic()) * 1000
        if not waiting.poll(left):
            return False
        if not os.read(done, 1):
            return True
