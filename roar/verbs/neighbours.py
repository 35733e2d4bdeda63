"""The other repositories that a step needs: submodules, and what it read of repositories beside its own.

Each is fetched, once, into a bare repository in the user's cache folder, and checked out from there into the work area.
A record's URL is only given to git when it is a plain one, and git gets no other transport.
"""

from __future__ import annotations

import os
import posixpath
from collections.abc import Callable, Iterable, Mapping
from typing import NamedTuple

from roar.errors import GitError, RoarError
from roar.git import program, transport
from roar.git.locks import exclusive
from roar.git.repository import Repository
from roar.hashing import digest_bytes
from roar.paths import below, cache_folder, fs, is_outside, is_safe_relative, joined
from roar.records.job import Job, OverlayFile
from roar.records.summary import printable

_PATIENCE_SECONDS = 3600.0
"""How long another process may take to fetch the same repository."""


class Neighbour(NamedTuple):
    """A repository at a commit. ``place`` is where it goes: below the files of the work area when ``inside``, else
    below the folder that holds these.
    """

    path: str
    """Its folder, as recorded."""
    commit: str
    remote: str | None
    place: str
    inside: bool
    submodule: bool
    lay: list[tuple[OverlayFile, str]]
    """Its overlay, paths relative to its folder, each with its blob."""

    def relative(self, path: str) -> str | None:
        """A recorded path as one relative to the folder of this repository; None when it is not in it."""
        return below(fs(path), fs(self.path)) or None

    def holds_overlay_of(self, path: str) -> bool:
        """True for a file of our own overlay that is laid over this submodule."""
        return self.submodule and self.relative(path) is not None

    @property
    def words(self) -> str:
        """Its name for people."""
        return printable(f"{self.path} {self.commit[:12]}")


def neighbours(job: Job, overlay: Mapping[str, str], beside: Mapping[str, str]) -> list[Neighbour]:
    """What a job read files of. ``overlay`` and ``beside`` give the blobs of kept files, of our own repository and of
    the others (there after the number of the repository). Paths were checked before (``verbs.refusals``).
    """
    found = []
    for sub in job.code.submodules:
        own = [(e, joined_below(e.path, sub.path)) for e in job.code.overlay]
        lay = [(e.model_copy(update={"path": path}), overlay.get(e.path, "")) for e, path in own if path]
        found.append(Neighbour(sub.path, sub.commit, sub.remote, sub.path, inside=True, submodule=True, lay=lay))
    for number, each in enumerate(job.code.repositories):
        lay = [(entry, beside.get(f"{number}/{entry.path}", "")) for entry in each.overlay]
        inside = not is_outside(each.path)
        place = each.path if inside else _place(each.path, job.command.root, number)
        found.append(Neighbour(each.path, each.commit, each.remote, place, inside, submodule=False, lay=lay))
    return sorted(found, key=lambda neighbour: neighbour.place)


def joined_below(path: str, folder: str) -> str | None:
    """A record's path relative to a record's folder; None when it is not below it."""
    inside = below(fs(path), fs(folder))
    return joined("", inside) if inside else None


def _place(path: str, root: str | None, number: int) -> str:
    """Beside the work tree as it was, where that can be; else in a folder of its own."""
    beside = posixpath.relpath(fs(path), fs(root)) if root else ""
    beside = beside.removeprefix("../")
    if is_safe_relative(beside) and not beside.startswith("."):
        return beside
    name = posixpath.basename(fs(path))
    return f".repositories/{number}/{name if is_safe_relative(name) else 'repository'}"


def places(wanted: Neighbour, repo: Repository, given: Mapping[str, str]) -> list[str]:
    """From where git may fetch it: what the user named, clones that are here, then the recorded remote."""
    found = [path for beginning, path in given.items() if wanted.commit.startswith(beginning)]
    if _has(repo, f"{wanted.commit}^{{commit}}"):
        found.append(repo.common_dir)
    here = os.path.join(repo.work_tree or "/", fs(wanted.path)) if wanted.inside else fs(wanted.path)
    if os.path.lexists(os.path.join(here, ".git")):
        found.append(here)
    if wanted.remote and transport.is_plain_url(wanted.remote):
        # the folder from which a relative path was given need not be there any more
        found.append(os.path.normpath(fs(wanted.remote)) if is_outside(wanted.remote) else fs(wanted.remote))
    return found


def lacking(wanted: Neighbour, repo: Repository, given: Mapping[str, str]) -> tuple[str, str] | None:
    """Why it cannot be had, and what to do, when that is known without asking anybody; else None."""
    if places(wanted, repo, given) or _has(_bare(wanted), _ref(wanted)):
        return None
    why = "has no remote in the record"
    if wanted.remote:
        why = f"was recorded with the remote {printable(wanted.remote)}, which git is not asked for"
    return f"the repository {wanted.words} {why}", _hint(wanted)


def bring(wanted: Neighbour, repo: Repository, given: Mapping[str, str], say: Callable[[str], None]) -> Repository:
    """A bare repository that has its commit, fetched now if it has to be. Raises ``RoarError``."""
    bare = _bare(wanted)
    try:
        os.makedirs(os.path.dirname(bare.git_dir), mode=0o700, exist_ok=True)
        with exclusive(bare.git_dir + ".lock", _PATIENCE_SECONDS):
            if not _has(bare, _ref(wanted)):
                say(f"fetching the repository {wanted.words}")
                _fetch(bare, wanted, places(wanted, repo, given))
    except OSError as error:
        raise RoarError(f"cannot write {bare.git_dir}: {error.strerror}", "set XDG_CACHE_HOME") from error
    return bare


def _bare(wanted: Neighbour) -> Repository:
    key = digest_bytes((wanted.remote or wanted.path).encode())[:20]
    place = os.path.join(cache_folder(), "repositories", f"{key}.git")
    return Repository(place, place, os.path.join(place, "objects"), None, sha256=len(wanted.commit) == 64)


def _fetch(bare: Repository, wanted: Neighbour, sources: list[str]) -> None:
    """Fetch a commit from the first place that gives it. Raises ``RoarError`` with what the last one said."""
    program.init(bare.git_dir, "--bare", sha256=bare.sha256)
    said = "nobody has it"
    tags = "+refs/tags/*:refs/tags/*"  # programs that name their version ask for the nearest tag
    for source in sources:
        # servers before git 2.26 give no commit by its id, only branches
        for wish in (f"{wanted.commit}:{_ref(wanted)}", "+refs/heads/*:refs/heads/*"):
            done = transport.fetch_plain(bare, source, [wish, tags])
            if done.returncode:
                said = _why(done.stderr)
            elif _has(bare, f"{wanted.commit}^{{commit}}"):
                bare.ask("update-ref", _ref(wanted), wanted.commit)
                return
            else:
                said = f"{printable(source)} does not have this commit"
    raise RoarError(f"the repository {wanted.words} cannot be fetched: {printable(said)}", _hint(wanted))


def _why(stderr: bytes) -> str:
    """Git's first complaint, which says what is wrong; the last one of a transport says what to try."""
    lines = stderr.decode(errors="replace").splitlines()
    return next((line.removeprefix("fatal: ") for line in lines if line.startswith("fatal: ")), "git failed")


def _ref(wanted: Neighbour) -> str:
    """What says that a commit has come with all that it needs."""
    return f"refs/commits/{wanted.commit}"


def _has(repo: Repository, name: str) -> bool:
    if not os.path.isdir(repo.git_dir):
        return False
    return program.call([*repo.args(), "cat-file", "-e", name], env=repo.environment()).returncode == 0


def _hint(wanted: Neighbour) -> str:
    return f"--input {wanted.commit[:12]}=CLONE, with a clone of it that has this commit"


def bring_all(
    wanted: Iterable[Neighbour], repo: Repository, given: Mapping[str, str], say: Callable[[str], None]
) -> dict[str, Repository]:
    """Where each commit can be had from; ``say`` is told what is fetched. Raises ``RoarError``."""
    brought: dict[str, Repository] = {}
    for each in wanted:
        if each.commit not in brought:
            try:
                brought[each.commit] = bring(each, repo, given, say)
            except GitError as error:
                raise RoarError(f"the repository {each.words}: {error.message}", _hint(each)) from error
    return brought
