"""The work area of a reproduction: files of their own, at the commits that the records name.

Not a linked worktree. A linked worktree is written down in the user's git directory and shares refs, stash and
configuration with it: a killed reproduction would show in ``git worktree list``, and a step that calls ``git tag``
or ``git stash`` would change the user's repository. The area has a git directory of its own that borrows the user's
objects; nothing of the user's is written, whatever ends it. Files are checked out by the user's configuration
(filters, line ends, promised objects) into the area's own index.

It lies in the user's cache folder: /tmp is often memory, and inputs can be large. A lock in it is held for as long
as its process lives; the next reproduction removes areas that nobody holds.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
import time
from collections.abc import Iterable, Iterator

from roar.errors import GitError, RoarError
from roar.git import program
from roar.git.locks import exclusive
from roar.git.repository import Repository
from roar.paths import below, cache_folder, from_fs
from roar.verbs.confined import Confined

_LOCK = ".lock"
_KEPT = ".kept"
MADE = "made-"
"""What folders begin with that hold what interrupted reproductions have made (``verbs.resume``)."""
_MADE_SECONDS = 7 * 24 * 3600
_CONFIG = (
    "core.hooksPath=/dev/null",  # the user's hooks are for the user's checkout
    "core.splitIndex=false",  # would put a shared index into the user's git directory
    "core.fsmonitor=false",
    "core.sparseCheckout=false",
)


class Workspace:
    """A work area. ``files`` are those of its work tree, ``spare`` those set aside between steps.

    ``user`` is the user's repository. Areas of several steps that run side by side share what is ``spare``.
    """

    def __init__(self, repo: Repository, folder: str, name: str, spare: str, own_git: str | None = None) -> None:
        """An area ``name`` in ``folder``; its git directory is in it, or where ``own_git`` says."""
        self.user = repo
        self.folder = folder
        top = os.path.join(folder, name)
        self._own_git = own_git or os.path.join(top, ".git")
        os.makedirs(spare, exist_ok=True)
        _make_git(repo, top, self._own_git)
        self.files = Confined(top)
        self.spare = Confined(spare)
        private = os.path.join(spare, "outside")
        os.makedirs(private, exist_ok=True)
        self.outside = Confined(private)
        """Stands for the root of the file system, for files that lie outside of the repository."""
        self.commit: str | None = None
        """The commit whose files are in the area, None before the first checkout."""

    @property
    def top(self) -> str:
        """The area's work tree."""
        return self.files.top

    def another(self, name: str) -> Workspace:
        """A second area in a folder ``name`` beside this one's files. It goes when this one does."""
        folder = os.path.join(self.folder, name)
        os.mkdir(folder)
        return Workspace(self.user, folder, os.path.basename(self.top), self.spare.top)

    def repository(self) -> Repository:
        """The user's repository with the area as its work tree, for recording what ran there."""
        repo = self.user
        return Repository(
            repo.git_dir, repo.common_dir, repo.objects_dir, self.top, sha256=repo.sha256, reftable=repo.reftable
        )

    def check_out(self, commit: str, keep: Iterable[str] = ()) -> None:
        """Change the files from one commit to another. Those at the paths to ``keep`` stay as they are.

        Raises ``GitError``.
        """
        if commit == self.commit:
            return
        kept = {os.fsencode(p) for p in keep}
        gone, new = self._changes(commit)
        for path in gone - kept:
            self.files.remove(from_fs(os.fsdecode(path)))
        self._git("read-tree", commit)
        self._restore(new - kept)
        program.ask([f"--git-dir={self._own_git}", "update-ref", "--no-deref", "HEAD", commit], cwd=self.top)
        self.commit = commit

    def name_remote(self, url: str) -> None:
        """Let the area's own git know where its commits came from."""
        program.ask([f"--git-dir={self._own_git}", "config", "remote.origin.url", url])

    def restore(self, paths: Iterable[str]) -> None:
        """Put files of the commit back as they were. Those that it does not have are removed."""
        wanted = {os.fsencode(p) for p in paths}
        tracked = self._tracked(wanted)
        for path in wanted - tracked:
            self.files.remove(from_fs(os.fsdecode(path)))
        self._restore(tracked)

    def _changes(self, commit: str) -> tuple[set[bytes], set[bytes]]:
        """The paths that the step from the present commit to this one removes, and those that it brings."""
        if self.commit is None:
            names = self._git("ls-tree", "-r", "-z", "--name-only", "--full-tree", commit).split(b"\0")
            return set(), set(names) - {b""}
        words = ["diff-tree", "-r", "-z", "--no-renames", "--name-status", self.commit, commit]
        fields = self._git(*words).split(b"\0")
        gone, new = set[bytes](), set[bytes]()
        for state, path in zip(fields[::2], fields[1::2], strict=False):
            (gone if state == b"D" else new).add(path)
        return gone, new

    def _tracked(self, paths: set[bytes]) -> set[bytes]:
        if self.commit is None or not paths:
            return set()
        return paths & set(self._git("ls-files", "-z").split(b"\0"))

    def _restore(self, paths: set[bytes]) -> None:
        # attributes first: they say how the other files are to be written
        rules = {p for p in paths if p.rpartition(b"/")[2] == b".gitattributes"}
        for batch in (rules, paths - rules):
            if batch:
                self._git("checkout-index", "-f", "-u", "-q", "-z", "--stdin", stdin=b"\0".join(sorted(batch)) + b"\0")

    def _git(self, *words: str, stdin: bytes | None = None) -> bytes:
        """Git on the user's objects and configuration, with the area's files and index."""
        config = [word for setting in _CONFIG for word in ("-c", setting)]
        args = [*config, f"--git-dir={self.user.git_dir}", f"--work-tree={self.top}", *words]
        env = program.environment(GIT_INDEX_FILE=os.path.join(self._own_git, "index"))
        done = program.call(args, cwd=self.top, stdin=stdin, env=env)
        if done.returncode:
            raise GitError(f"git {words[0]} in the work area: {program.last_line(done.stderr)}")
        return done.stdout


@contextlib.contextmanager
def opened(repo: Repository, *, keep: bool = False) -> Iterator[Workspace]:
    """A new work area, removed at the end of the block however it ends, unless it is to be kept."""
    parent = place(repo)
    folder, lock = _claim(parent)
    try:
        name = os.path.basename(repo.work_tree or repo.common_dir).lstrip(".") or "project"
        yield Workspace(repo, folder, name, os.path.join(folder, ".spare"))
    finally:
        if keep:
            os.close(os.open(os.path.join(folder, _KEPT), os.O_CREAT | os.O_WRONLY | os.O_CLOEXEC, 0o600))
        else:
            _remove(folder)
        os.close(lock)


def place(repo: Repository) -> str:
    """The folder of all work areas: in the cache folder, unless that lies in the user's own work tree.

    Raises ``RoarError``.
    """
    outside = os.path.realpath(os.path.join(cache_folder(), "reproduce"))
    if repo.work_tree and below(from_fs(outside), os.path.realpath(repo.work_tree)) is not None:
        outside = os.path.realpath(os.path.join(tempfile.gettempdir(), f"roar-{os.getuid()}"))
    try:
        os.makedirs(outside, mode=0o700, exist_ok=True)
    except OSError as error:
        raise RoarError(f"cannot make a work area in {outside}: {error.strerror}", "set XDG_CACHE_HOME") from error
    if os.stat(outside).st_uid != os.getuid():
        raise RoarError(f"{outside} belongs to somebody else", "set XDG_CACHE_HOME to a folder of your own")
    return outside


def _claim(parent: str) -> tuple[str, int]:
    """A new folder with its lock held, after removing those of the dead."""
    with exclusive(os.path.join(parent, _LOCK)):
        for name in sorted(os.listdir(parent)):
            _sweep(os.path.join(parent, name))
        folder = tempfile.mkdtemp(prefix="area-", dir=parent)
        lock = _try_lock(folder)
    if lock is None:
        raise RoarError(f"cannot lock the work area {folder}")
    return folder, lock


def _sweep(folder: str) -> None:
    if os.path.basename(folder).startswith(MADE):
        if os.stat(folder).st_mtime < time.time() - _MADE_SECONDS:
            _remove(folder)
        return
    if not os.path.isdir(folder) or os.path.exists(os.path.join(folder, _KEPT)):
        return
    lock = _try_lock(folder)
    if lock is not None:
        _remove(folder)
        os.close(lock)


def _try_lock(folder: str) -> int | None:
    """An open lock that the kernel frees when its holder dies, or None while somebody holds it."""
    import fcntl

    fd = os.open(os.path.join(folder, _LOCK), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(fd)
        return None
    return fd


def _remove(folder: str) -> None:
    """Remove a tree, with the folders in it that a step has made read-only."""

    def again(_: object, path: str, __: object) -> None:
        with contextlib.suppress(OSError):
            os.chmod(os.path.dirname(path), 0o700)
            if os.path.isdir(path) and not os.path.islink(path):
                os.chmod(path, 0o700)
                shutil.rmtree(path, ignore_errors=True)
            else:
                os.unlink(path)

    shutil.rmtree(folder, onerror=again)


def _make_git(repo: Repository, top: str, own: str) -> None:
    """A git directory of the area that borrows the user's objects and knows the user's tags."""
    apart = [] if own == os.path.join(top, ".git") else [f"--separate-git-dir={own}"]
    program.init(top, *apart, sha256=repo.sha256)
    with open(os.path.join(own, "objects", "info", "alternates"), "wb") as file:
        file.write(_quoted(os.fsencode(repo.objects_dir)) + b"\n")
    shallow = os.path.join(repo.common_dir, "shallow")
    if os.path.exists(shallow):
        shutil.copyfile(shallow, os.path.join(own, "shallow"))
    # programs that name their version ask for the nearest tag
    tags = repo.ask("for-each-ref", "--format=create %(refname) %(objectname)", "refs/tags/")
    program.ask([f"--git-dir={own}", "update-ref", "--stdin"], stdin=tags)


def _quoted(path: bytes) -> bytes:
    """A path as git reads it in ``alternates``: quoted as in C where it would mean something else."""
    if not path.startswith((b'"', b"#")) and b"\n" not in path:
        return path
    return b'"' + path.replace(b"\\", b"\\\\").replace(b'"', b'\\"').replace(b"\n", b"\\n") + b'"'
