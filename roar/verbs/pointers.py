"""Large files of which git keeps a pointer: the pointers of git-lfs, git-annex and DVC, beside the recorded content."""

from __future__ import annotations

import os
import re
from collections.abc import Callable

from roar.git import worktree
from roar.git.objects import Reader
from roar.git.repository import Repository
from roar.paths import OPEN, fs
from roar.records.job import Pointer
from roar.verbs.met import Met

MAX_BYTES = 1024
"""No pointer is larger; git-lfs says so of its own (docs/spec.md there)."""
ANNEX = "/annex/objects/"
MAX_LOCK_BYTES = 8 << 20
"""Of a ``dvc.lock``, which has a hundred bytes for each output."""
_MD5 = re.compile(r"[0-9a-f]{32}(?:\.dir)?")
_LFS = re.compile(rb"version https://git-lfs\.github\.com/spec/v1\n(?:[^\n]*\n)*?oid (sha256:[0-9a-f]{64})\n")
_ANNEX = re.compile(rb"/annex/objects/([^/\s]+)\s")
_DVC = re.compile(r"^outs:\n- md5: ([0-9a-f]{32}(?:\.dir)?)$(?:\n  [a-z]+: .*)*?\n  path: (.*)$", re.MULTILINE)


def in_git(blob: bytes) -> Pointer | None:
    """The pointer that a blob is, when a filter puts the content in its place."""
    if lfs := _LFS.match(blob):
        return Pointer(tool="git-lfs", oid=lfs[1].decode())
    if annex := _ANNEX.match(blob):
        return Pointer(tool="git-annex", oid=annex[1].decode("utf-8", "replace"))
    return None


def annexed(path: str) -> Pointer | None:
    """The key of an annexed file that a link in the work tree leads to. ``path`` is where its content lies."""
    return Pointer(tool="git-annex", oid=path.rpartition("/")[2]) if "/.git" + ANNEX in path else None


def finder(repo: Repository, known: dict[str, Pointer], filtered: dict[str, str]) -> Callable[[Met], Pointer | None]:
    """What finds the pointer of an input: a ``known`` one, that of a ``filtered`` blob, or DVC's."""
    found = dict(known)
    small = {blob for blob, size in worktree.sizes(repo, filtered.values()).items() if size <= MAX_BYTES}
    with Reader(repo) as reader:
        for path, blob in filtered.items():
            if blob in small and (pointer := in_git(reader.body(blob, "blob"))):
                found[path] = pointer
    dvc = Dvc(repo.require_work_tree())
    return lambda file: found.get(file.path) or (dvc.pointer(file) if file.blob is None else None)


class Dvc:
    """Finds what DVC says of a file, in its ``.dvc`` file or as a stage's output in ``dvc.lock``. ``top`` is the work
    tree.
    """

    def __init__(self, top: str) -> None:
        self._top = top
        self._repositories: dict[str, bool] = {}
        self._folders: dict[str, Pointer | None] = {"": None}
        self._locks: dict[str, dict[str, Pointer]] = {}

    def pointer(self, file: Met) -> Pointer | None:
        """That of a file, or of a folder around it. Whether the content is still that of the pointer is not checked."""
        path = fs(file.path)
        folder = os.path.dirname(path)
        if os.path.isabs(path) or not self._in_repository(folder):
            return None
        return self._at(path) or self._of_folder(folder)

    def _at(self, path: str) -> Pointer | None:
        return self._read(path) or self._locked(path, os.path.dirname(path))

    def _locked(self, path: str, folder: str) -> Pointer | None:
        """What the ``dvc.lock`` of a folder, or of one above it, says of a path."""
        if folder not in self._locks:
            text = self._text(os.path.join(folder, "dvc.lock"), MAX_LOCK_BYTES)
            self._locks[folder] = {os.path.join(folder, name): known for name, known in _outputs(text).items()}
        found = self._locks[folder].get(path)
        return found or (self._locked(path, os.path.dirname(folder)) if folder else None)

    def _in_repository(self, folder: str) -> bool:
        if folder not in self._repositories:
            here = os.path.isdir(os.path.join(self._top, folder, ".dvc"))
            self._repositories[folder] = here or (bool(folder) and self._in_repository(os.path.dirname(folder)))
        return self._repositories[folder]

    def _of_folder(self, folder: str) -> Pointer | None:
        if folder not in self._folders:
            self._folders[folder] = self._at(folder) or self._of_folder(os.path.dirname(folder))
        return self._folders[folder]

    def _read(self, path: str) -> Pointer | None:
        found = _DVC.search(self._text(path + ".dvc", MAX_BYTES))
        named = found is not None and found[2].strip("'\"") == os.path.basename(path)
        return Pointer(tool="dvc", oid=f"md5:{found[1]}") if found and named else None

    def _text(self, path: str, most: int) -> str:
        """The beginning of a file of the work tree; nothing of what cannot be read."""
        try:
            fd = os.open(os.path.join(self._top, path), os.O_RDONLY | OPEN | getattr(os, "O_NONBLOCK", 0))
            with os.fdopen(fd, "rb") as file:
                return file.read(most).decode("utf-8", "replace")
        except OSError:
            return ""


def _outputs(lock: str) -> dict[str, Pointer]:
    """The outputs of all stages in a ``dvc.lock`` (dvc.org/doc/user-guide/project-structure/dvcyaml-files).

    Only what DVC itself writes is understood: a path, and somewhere below it its MD5.
    """
    found: dict[str, Pointer] = {}
    section = path = ""
    for line in lock.splitlines():
        key, _, value = line.strip().removeprefix("- ").partition(":")
        value = value.strip().strip("'\"")
        if not value:
            section = key
        elif key == "path":
            path = value
        elif key == "md5" and section == "outs" and _MD5.fullmatch(value):
            found[os.path.normpath(path)] = Pointer(tool="dvc", oid=f"md5:{value}")
    return found
