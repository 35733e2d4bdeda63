"""The contents that git-lfs, git-annex and DVC keep, by the pointers that records hold.

What lies in their own stores here is only looked at. What has to be fetched is fetched by the tools themselves, from
where the user has set them up to. A pointer comes from a record: it is checked before any tool sees it.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator

from roar.errors import NotFoundError, RoarError
from roar.git.program import ask, environment, last_line
from roar.git.repository import Repository
from roar.paths import fs, is_safe_relative
from roar.records.job import File, Pointer

_OID = {
    "git-lfs": re.compile(r"sha256:[0-9a-f]{64}"),
    "git-annex": re.compile(r"[A-Z0-9_]+(-[smSC][0-9]+)*--[\w.][\w.,:+@=%-]*"),  # git-annex's doc/internals/key_format
    "dvc": re.compile(r"md5:[0-9a-f]{32}(\.dir)?"),
}
_LFS_POINTER = "version https://git-lfs.github.com/spec/v1\noid {oid}\nsize {size}\n"
"""https://github.com/git-lfs/git-lfs/blob/main/docs/spec.md"""
_MOST_OF_A_FOLDER = 64 << 20
"""Bytes of the list that DVC keeps of a folder."""


class LargeFiles:
    """What the three tools keep for a repository."""

    def __init__(self, repo: Repository) -> None:
        self._repo = repo

    def here(self, file: File) -> Iterator[str]:
        """Absolute names at which the content may lie without fetching. Nobody has checked it."""
        if file.pointer is None or not _OID[file.pointer.tool].fullmatch(file.pointer.oid):
            return
        if file.pointer.tool == "git-lfs":
            oid = file.pointer.oid.removeprefix("sha256:")
            yield os.path.join(self._repo.common_dir, "lfs", "objects", oid[:2], oid[2:4], oid)
        elif file.pointer.tool == "git-annex":
            yield from self._annexed(file.pointer.oid)
        else:
            yield from self._in_dvc(file, file.pointer)

    def can_fetch(self, file: File) -> bool:
        """True when the tool is here and may have the content elsewhere."""
        if file.pointer is None or not _OID[file.pointer.tool].fullmatch(file.pointer.oid):
            return False
        top = self._repo.work_tree
        if top is None or shutil.which(file.pointer.tool) is None:
            return False
        if file.pointer.tool == "git-annex":
            return os.path.isdir(os.path.join(self._repo.common_dir, "annex"))
        return file.pointer.tool == "git-lfs" or self._dvc_file(file) is not None

    def fetch(self, file: File, target: str) -> None:
        """Put the content to ``target`` (an absolute name in a folder that is there), unchecked.

        Raises ``RoarError`` with the tool's own words.
        """
        pointer = file.pointer
        if pointer is None or not self.can_fetch(file):
            raise NotFoundError(f"nothing here can fetch {file.path}")
        if pointer.tool == "git-lfs":
            self._by_lfs(_LFS_POINTER.format(oid=pointer.oid, size=file.size).encode(), target)
            return
        if pointer.tool == "git-annex":
            self._tool(["git", "annex", "get", "--quiet", f"--key={pointer.oid}"])
        else:
            self._tool(["dvc", "fetch", "--quiet", "./" + str(self._dvc_file(file))])
        for place in self.here(file):
            if os.path.exists(place):
                shutil.copyfile(place, target)
                return
        raise NotFoundError(f"{pointer.tool} did not bring {pointer.oid}")

    def _by_lfs(self, pointer: bytes, target: str) -> None:
        """Follow a pointer beside the user's repository, with its settings: git-lfs writes some of its own into it."""
        top = self._repo.require_work_tree()
        with tempfile.TemporaryDirectory(dir=os.path.dirname(target)) as beside, open(target, "wb") as out:
            ask(["init", "--quiet", "--template=", "--", beside])
            shutil.copyfile(os.path.join(self._repo.common_dir, "config"), os.path.join(beside, ".git", "config"))
            shared = os.path.join(top, ".lfsconfig")
            if os.path.isfile(shared):
                shutil.copyfile(shared, os.path.join(beside, ".lfsconfig"))
            words = ["git", "-c", "core.bare=false", "-c", f"core.worktree={beside}", "lfs", "smudge"]
            self._tool(words, pointer, out.fileno(), beside)

    def _tool(
        self, words: list[str], stdin: bytes = b"", out: int = subprocess.DEVNULL, cwd: str | None = None
    ) -> None:
        done = subprocess.run(
            words,
            cwd=cwd or self._repo.require_work_tree(),
            input=stdin,
            stdout=out,
            stderr=subprocess.PIPE,
            check=False,
            env=environment(),
        )
        if done.returncode:
            raise RoarError(f"{' '.join(words)}: {last_line(done.stderr)}")

    def _annexed(self, key: str) -> Iterator[str]:
        top = self._repo.work_tree
        if top is None or not os.path.isdir(os.path.join(self._repo.common_dir, "annex")):
            return
        if shutil.which("git-annex"):
            words = ["git", "annex", "contentlocation", key]
            done = subprocess.run(words, cwd=top, capture_output=True, check=False, env=environment())
            if done.returncode == 0:
                yield os.path.join(top, os.fsdecode(done.stdout.rstrip(b"\n")))

    def _in_dvc(self, file: File, pointer: Pointer) -> Iterator[str]:
        digest = pointer.oid.removeprefix("md5:")
        if not digest.endswith(".dir"):
            yield from self._cached(digest)
            return
        named = self._dvc_file(file)
        if named is None:
            return
        inside = file.path.removeprefix(named.removesuffix(".dvc") + "/")
        for place in self._cached(digest):
            try:
                with open(place, "rb") as listed:
                    entries = json.loads(listed.read(_MOST_OF_A_FOLDER))
                digests = [entry["md5"] for entry in entries if entry["relpath"] == inside]
            except (OSError, ValueError, TypeError, KeyError, RecursionError):
                continue
            for digest in digests:
                if isinstance(digest, str) and re.fullmatch("[0-9a-f]{32}", digest):
                    yield from self._cached(digest)

    def _cached(self, digest: str) -> Iterator[str]:
        """Where DVC 3 and DVC 2 keep a content by its MD5 (https://doc.dvc.org/user-guide/project-structure)."""
        top = self._repo.work_tree
        if top is not None:
            for folder in ("cache/files/md5", "cache"):
                yield os.path.join(top, ".dvc", folder, digest[:2], digest[2:])

    def _dvc_file(self, file: File) -> str | None:
        """The ``.dvc`` file of a file or of a folder around it, relative to the work tree."""
        top, path = self._repo.work_tree, fs(file.path)
        if top is None or not is_safe_relative(file.path):
            return None
        while path:
            if os.path.isfile(os.path.join(top, path + ".dvc")):
                return path + ".dvc"
            path = os.path.dirname(path)
        return None
