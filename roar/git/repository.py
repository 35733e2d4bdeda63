"""Finding the repository, as git itself finds it.

The user's git is asked once (one millisecond, where importing a library's repository layer takes forty), so
GIT_DIR, linked worktrees, submodules, safe.directory and discovery limits mean what they mean to git.
"""

from __future__ import annotations

import os

from roar.errors import NotARepositoryError, RoarError
from roar.git import program

_QUESTIONS = (
    ["--absolute-git-dir"],
    ["--git-common-dir"],
    ["--git-path", "objects"],
    ["--show-object-format"],
    ["--show-ref-format"],
    ["--show-toplevel"],
)


class Repository:
    """Where a repository's parts are. Absolute paths; ``work_tree`` is None in a bare one."""

    __slots__ = ("common_dir", "extra_env", "git_dir", "objects_dir", "reftable", "sha256", "variables", "work_tree")

    def __init__(
        self,
        git_dir: str,
        common_dir: str,
        objects_dir: str,
        work_tree: str | None,
        *,
        sha256: bool = False,
        reftable: bool = False,
    ) -> None:
        self.git_dir = git_dir
        self.common_dir = common_dir
        self.objects_dir = objects_dir
        self.work_tree = work_tree
        self.sha256 = sha256
        self.reftable = reftable
        self.extra_env: dict[str, str] = {}
        """More of the environment in which git is called for it: where the objects of a push lie that is judged just
        now, or ``program.sealed``."""
        self.variables: dict[str, str] | None = None
        """What ``settings.variables`` keeps here."""

    @property
    def own_dir(self) -> str:
        """The folder in the common git directory that belongs to roar."""
        return os.path.join(self.common_dir, "roar")

    def make_own_dir(self) -> None:
        """Make roar's folder, with the rights that the git directory has (core.sharedRepository)."""
        try:
            os.mkdir(self.own_dir)
        except FileExistsError:
            return
        os.chmod(self.own_dir, os.stat(self.common_dir).st_mode & 0o7777)

    def hash(self, data: bytes) -> str:
        """The object id of a framed object."""
        import hashlib  # loads OpenSSL, 2 ms that no command has to wait for

        return (hashlib.sha256 if self.sha256 else hashlib.sha1)(data, usedforsecurity=False).hexdigest()

    @property
    def zero(self) -> str:
        """The object id that means "no object"."""
        return "0" * (64 if self.sha256 else 40)

    def args(self) -> list[str]:
        """The first words of a git command on this repository."""
        words = ["-c", "log.showSignature=false", f"--git-dir={self.git_dir}"]  # it would mix its words into answers
        return [*words, f"--work-tree={self.work_tree}"] if self.work_tree else words

    def ask(self, *args: str, stdin: bytes | None = None) -> bytes:
        """The output of a git command on this repository. Raises ``GitError``."""
        env = self.environment()
        return program.ask([*self.args(), *args], cwd=self.work_tree or self.git_dir, stdin=stdin, env=env)

    def environment(self) -> dict[str, str]:
        """What git finds in its environment when it is called for this repository."""
        return program.environment(**self.extra_env)

    def require_work_tree(self) -> str:
        """The work tree. Raises ``RoarError`` in a bare repository."""
        if self.work_tree is None:
            raise RoarError(f"{self.git_dir} has no work tree", "go to a clone or a worktree of it")
        return self.work_tree


def discover(start: str | None = None) -> Repository:
    """The repository around ``start`` (default: here). Raises ``NotARepositoryError``."""
    env = program.environment()
    if start is None:
        env.update((name, os.environ[name]) for name in ("GIT_DIR", "GIT_WORK_TREE") if name in os.environ)
    words = [word for question in _QUESTIONS for word in question]
    done = (
        program.call_here(["rev-parse", *words], env)
        if start is None
        else program.call(["rev-parse", *words], cwd=start)
    )
    lines = program.lines(done.stdout)
    if len(lines) < len(_QUESTIONS) - 1:
        raise NotARepositoryError(*_refusal(program.last_line(done.stderr), start or os.getcwd()))
    if len(lines) > len(_QUESTIONS):  # a newline in a path: ask one by one
        lines = [_one(question, start, env) for question in _QUESTIONS]
    base = start or os.getcwd()
    git_dir, common, objects, object_format, ref_format = lines[:5]
    top = lines[5] if len(lines) == len(_QUESTIONS) and lines[5] and done.returncode == 0 else None
    return Repository(
        git_dir,
        os.path.realpath(os.path.join(base, common)),
        os.path.realpath(os.path.join(base, objects)),
        top,
        sha256=object_format == "sha256",
        reftable=ref_format == "reftable",
    )


def _one(question: list[str], start: str | None, env: dict[str, str]) -> str:
    done = program.call(["rev-parse", *question], cwd=start, env=env)
    return done.stdout.decode("utf-8", "surrogateescape").removesuffix("\n") if done.returncode == 0 else ""


def _refusal(line: str, where: str) -> tuple[str, str]:
    if "dubious ownership" in line:
        return (
            f"the repository around {where} belongs to somebody else",
            f"if you trust it: git config --global --add safe.directory {where}",
        )
    if "not a git repository" in line:
        return f"not a git repository: {where}", "git init"
    return f"git cannot use the repository around {where}: {line.removeprefix('fatal: ')}", "git status"
