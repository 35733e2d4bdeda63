"""The user's own git as a program: one sealed way to call it."""

from __future__ import annotations

import os

from roar.errors import GitError, RoarError

QUARANTINE = ("GIT_OBJECT_DIRECTORY", "GIT_ALTERNATE_OBJECT_DIRECTORIES", "GIT_QUARANTINE_PATH")
"""Where the objects of a push lie until the hooks have let it in (git-receive-pack(1))."""
_NO_REASON = ("Could not read from remote repository.", "told us to quit")
_NOT_INHERITED = (
    "GIT_DIR",
    "GIT_WORK_TREE",
    "GIT_PREFIX",
    "GIT_COMMON_DIR",
    "GIT_INDEX_FILE",
    *QUARANTINE,
    "GIT_NOTES_REF",
    "GIT_NOTES_DISPLAY_REF",
    "GIT_EXTERNAL_DIFF",
    "GIT_TRACE",
)


class Done:
    """How a call of git ended."""

    __slots__ = ("returncode", "stderr", "stdout")

    def __init__(self, returncode: int, stdout: bytes, stderr: bytes) -> None:
        self.returncode = returncode
        self.stdout = stdout
        self.stderr = stderr


def environment(**more: str) -> dict[str, str]:
    """The caller's environment without what would turn git to another repository, and with plain messages.

    Nor has it variables without a name, with which Python starts nothing.
    """
    env = {k: v for k, v in os.environ.items() if k and k not in _NOT_INHERITED}
    env.update(GIT_OPTIONAL_LOCKS="0", LC_ALL="C", GIT_ADVICE="0", GIT_PAGER="cat")
    env.update(more)
    return env


def sealed() -> dict[str, str]:
    """Variables with which git reads a repository whose configuration nobody has looked at.

    It fetches nothing that a partial clone lacks, by whatever program, and asks no file system monitor.
    """
    count = int(os.environ.get("GIT_CONFIG_COUNT") or 0)
    monitor = {f"GIT_CONFIG_KEY_{count}": "core.fsmonitor", f"GIT_CONFIG_VALUE_{count}": "false"}
    return {"GIT_ALLOW_PROTOCOL": "none", "GIT_NO_LAZY_FETCH": "1", "GIT_CONFIG_COUNT": str(count + 1), **monitor}


def call(
    args: list[str],
    *,
    cwd: str | None = None,
    stdin: bytes | None = None,
    env: dict[str, str] | None = None,
    show_stderr: bool = False,
) -> Done:
    """Run ``git ARGS`` and give its status, output and errors, whatever they are.

    With ``show_stderr`` git's progress and complaints go to the user instead.

    Raises ``RoarError`` when there is no git program.
    """
    import subprocess  # 9 ms, that the start of a command does without

    try:
        done = subprocess.run(
            ["git", *args],
            cwd=cwd,
            input=stdin,
            stdin=subprocess.DEVNULL if stdin is None else None,
            stdout=subprocess.PIPE,
            stderr=None if show_stderr else subprocess.PIPE,
            check=False,
            env=env or environment(),
        )
        return Done(done.returncode, done.stdout, done.stderr or b"")
    except FileNotFoundError:
        if cwd is not None and not os.path.isdir(cwd):
            raise RoarError(f"no such folder: {cwd}") from None
        raise _no_git() from None


def call_here(args: list[str], env: dict[str, str]) -> Done:
    """The same in the current folder, without what ``subprocess`` takes to import. For answers of a few lines."""
    out, err = os.pipe(), os.pipe()
    pipes: tuple[int, ...] = (*out, *err)
    try:
        if os.name == "nt" or min(pipes) < 3:  # standard streams that are closed are for subprocess to mind
            return call(args, env=env)
        actions = [
            (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
            (os.POSIX_SPAWN_DUP2, out[1], 1),
            (os.POSIX_SPAWN_DUP2, err[1], 2),
        ]
        try:
            pid = os.posix_spawnp("git", ["git", *args], env, file_actions=actions)
        except FileNotFoundError:
            raise _no_git() from None
        os.close(out[1])
        os.close(err[1])
        pipes = (out[0], err[0])
        said, complained = (_read(fd) for fd in pipes)
        return Done(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), said, complained)
    finally:
        for fd in pipes:
            os.close(fd)


def _read(fd: int) -> bytes:
    data = b""
    while piece := os.read(fd, 1 << 16):
        data += piece
    return data


def _no_git() -> RoarError:
    return RoarError("git is not installed, or not on PATH", "install git")


def ask(
    args: list[str], *, cwd: str | None = None, stdin: bytes | None = None, env: dict[str, str] | None = None
) -> bytes:
    """The output of ``git ARGS``. Raises ``GitError`` with git's own last line when it fails."""
    done = call(args, cwd=cwd, stdin=stdin, env=env)
    if done.returncode:
        verb = next((word for word in args if not word.startswith("-") and "=" not in word), "")
        raise GitError(f"git {verb}: {last_line(done.stderr)}")
    return done.stdout


def init(folder: str, *options: str, sha256: bool) -> None:
    """Make an empty repository, with nothing of the user's template in it. Raises ``GitError``."""
    kind = "sha256" if sha256 else "sha1"
    ask(["init", "--quiet", "--template=", f"--object-format={kind}", *options, "--", folder])


def lines(output: bytes) -> list[str]:
    """The lines of what git wrote, which only a line feed ends.

    Names of refs and people hold whatever else ``str.splitlines`` takes for an end, such as U+0085 and U+2028.
    """
    return output.decode("utf-8", "surrogateescape").removesuffix("\n").split("\n") if output else []


def last_line(stderr: bytes) -> str:
    """The line of git's errors that says most: its ``fatal:`` or ``error:`` line, else the last one."""
    lines = [line.strip() for line in stderr.decode(errors="replace").splitlines() if line.strip()]
    telling = [line for line in lines if line.startswith(("fatal:", "error:", "! [", "remote: fatal:", "roar: "))]
    found = telling or lines or ["it failed without a word"]
    # what it says last when ssh, a local remote or a credential helper fails; the reason stands before it
    return next((line for line in reversed(found) if not line.endswith(_NO_REASON)), found[-1]).rstrip(".")
