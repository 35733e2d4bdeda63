"""The overlay: the exact bytes of files that the job read and that its commit does not have.

Commit plus overlay is the code the job ran. Nothing of the user's index, work tree, branches or stash is touched.
Data files are not copied: they are inputs by hash.
"""

from __future__ import annotations

import os
from collections.abc import Iterable

from roar.config.globs import Globs
from roar.config.model import Overlay as Limits
from roar.config.model import Redact
from roar.git import worktree
from roar.git.objects import Reader
from roar.git.repository import Repository
from roar.hashing import digest_bytes
from roar.paths import from_fs, fs, is_outside, is_safe_relative, to_bytes
from roar.records.job import File, Incomplete, OverlayFile, Submodule
from roar.redact import find_secrets, is_secret_path
from roar.verbs.observe import Observed
from roar.verbs.submodules import Finder, Nested, described

_EXAMPLES = 3

_CODE = (
    "py pyi pyx ipynb r rmd qmd jl m sh bash zsh fish pl rb lua js mjs ts tsx java scala kt go rs c h cc cpp cxx hh "
    "hpp cu cuh f f90 sql awk sed mk cmake nf smk cwl wdl proto j2 jinja tmpl"
)
_CONFIGURATION = "yaml yml toml json jsonc json5 ini cfg conf config properties gin hcl tf lock"
_BUILD_FILES = "makefile gnumakefile dockerfile snakefile justfile rakefile procfile"
CODE_SUFFIXES = frozenset(f".{suffix}" for suffix in _CODE.split())
CONFIGURATION_SUFFIXES = frozenset(f".{suffix}" for suffix in _CONFIGURATION.split())
NAMES = frozenset(f"{_BUILD_FILES} pipfile requirements".split())


Wanted = tuple[Limits, Redact]
"""What is set: which files are kept, and what counts as a secret."""


class Overlay:
    """What is laid over the commit: entries for the record, bytes for its tree, blob ids of clean inputs."""

    def __init__(self, wanted: Wanted, root: str) -> None:
        self._wanted = wanted
        self.limits, self._rules = wanted
        self._root = root
        self._exclude = Globs(self.limits.exclude, root)
        self.entries: list[OverlayFile] = []
        self.tree: dict[bytes, bytes] = {}
        self.blobs: dict[str, str] = {}
        self.filtered: list[str] = []
        """Those of them whose content is another than the blob's."""
        self.submodules: list[Submodule] = []
        self._lacking: dict[str, list[str]] = {}
        self._total = 0

    @property
    def incomplete(self) -> list[Incomplete]:
        """The code that the job read and that is not kept, by reason."""
        return [
            Incomplete(
                reason="code-not-kept",
                detail=f"{', '.join(paths[:_EXAMPLES])}{' and others' * (len(paths) > _EXAMPLES)}: {why}",
                count=len(paths),
            )
            for why, paths in self._lacking.items()
        ]

    def add(self, path: str, state: str, data: bytes, mode: int) -> None:
        """Keep a file, unless it looks like a secret or there is too much already."""
        if not self.limits.enabled:
            self.lacks(path, "keeping uncommitted code is turned off")
        elif self._exclude.match(os.path.join(self._root, fs(path))):
            self.lacks(path, "excluded by roar.overlay.exclude")
        elif self._rules.enabled and (is_secret_path(path) or find_secrets(data, self._rules)):
            self.lacks(path, "looks like a secret")
        elif self._total + len(data) > self.limits.max_total_size:
            self.lacks(path, f"more than {_size(self.limits.max_total_size)} in all")
        elif not is_safe_relative(path) or worktree.is_refused(to_bytes(path)):
            self.lacks(path, "git refuses such a name")
        else:
            self._total += len(data)
            self.tree[b"files/" + to_bytes(path)] = data
            item = {"path": path, "state": state, "hash": digest_bytes(data), "size": len(data), "mode": mode}
            self.entries.append(OverlayFile.model_validate(item))

    def within(self, root: str) -> Overlay:
        """One for a submodule with this work tree, to be taken in when it is complete."""
        inner = Overlay(self._wanted, root)
        inner._total = self._total
        return inner

    def take_in(self, inner: Overlay, folder: str) -> None:
        """Add what a submodule's overlay holds. ``folder`` is an ``os`` path."""

        def outer(path: str) -> str:
            return from_fs(f"{folder}/{fs(path)}")

        self._total = inner._total
        self.entries += [entry.model_copy(update={"path": outer(entry.path)}) for entry in inner.entries]
        for entry in inner.entries:
            self.tree[b"files/" + to_bytes(outer(entry.path))] = inner.tree[b"files/" + to_bytes(entry.path)]
        for why, paths in inner._lacking.items():
            self._lacking.setdefault(why, []).extend(map(outer, paths))

    def describe(self, found: Iterable[Nested]) -> None:
        """Name the submodules that the job read files of."""
        self.submodules = described(found, self._rules)

    def lacks(self, path: str, why: str) -> None:
        """Say that a file belongs to the overlay and is not in it."""
        self._lacking.setdefault(why, []).append(path)


def build(
    repo: Repository, commit: str | None, seen: Observed, vain: list[str], scripts: set[str], wanted: Wanted
) -> Overlay:
    """The overlay of a job that met these files on this commit.

    ``vain`` are paths it looked for and did not find, ``scripts`` names that its programs were given first.
    """
    overlay = Overlay(wanted, repo.require_work_tree())
    inside = {f.path: f for f in seen.inputs if not is_outside(f.path) and f.path not in seen.annexed}
    tracked = worktree.blobs_at(repo, commit, [fs(p) for p in [*inside, *vain]]) if commit else {}
    untracked, tracked_here = [], []
    finder, nested = Finder(repo), dict[Nested, list[File]]()
    with Reader(repo) as reader:
        for path, file in inside.items():
            blob = tracked.get(fs(path))
            other = finder.around(fs(path)) if blob is None else None
            if other is not None:
                nested.setdefault(other, []).append(file)
            elif blob is None:
                untracked.append(file)
            elif path in seen.on_disk:
                tracked_here.append((file, blob))
            elif file.hash and digest_bytes(reader.body(blob, "blob")) == file.hash:
                overlay.blobs[path] = blob
            else:
                overlay.lacks(path, "the job changed it, and what was there before differs from the commit")
    _tracked(repo, overlay, tracked_here)
    for path in vain:
        if fs(path) in tracked:
            overlay.entries.append(OverlayFile(path=path, state="deleted"))
    asked_for = seen.executed | {path for path in inside if path not in overlay.blobs and _name(path) in scripts}
    _untracked(repo, overlay, [f for f in untracked if f.path in seen.on_disk], asked_for)
    for each, files in nested.items():
        _nested(repo, overlay, each, [f for f in files if f.path in seen.on_disk], asked_for)
    overlay.describe(nested)
    overlay.entries.sort(key=lambda e: e.path)
    return overlay


def _tracked(repo: Repository, overlay: Overlay, files: list[tuple[File, str]]) -> None:
    """Sort tracked files that are as the job read them: clean, or kept as modified."""
    modified = []
    for file, blob in files:
        data = _bytes(repo, file.path) if file.size <= overlay.limits.max_modified_size else None
        if data is not None and worktree.blob_id(repo, data) == blob:
            overlay.blobs[file.path] = blob
        else:
            modified.append((file, blob, data))
    stored = worktree.filtered_blob_ids(repo, [fs(file.path) for file, _, _ in modified])
    for file, blob, data in modified:
        if stored.get(fs(file.path)) == blob:
            overlay.blobs[file.path] = blob
            overlay.filtered.append(file.path)
        elif data is None:
            overlay.lacks(
                file.path, f"differs from the commit and is larger than {_size(overlay.limits.max_modified_size)}"
            )
        elif digest_bytes(data) != file.hash:
            overlay.lacks(file.path, "changed after the run")
        else:
            overlay.add(file.path, "modified", data, file.mode)


def _nested(repo: Repository, overlay: Overlay, nested: Nested, files: list[File], asked_for: set[str]) -> None:
    """Sort the files of a submodule as its own commit has them. Those of another repository are only named."""
    if nested.repo is None or nested.commit is None:
        for file in files:
            if _is_code(file.path) or (file.path in asked_for and b"\0" not in (_bytes(repo, file.path) or b"\0")):
                overlay.lacks(file.path, "in another repository")
        return
    inner = overlay.within(nested.repo.require_work_tree())
    names = {fs(f.path)[len(nested.folder) + 1 :]: f for f in files}
    blobs = worktree.blobs_at(nested.repo, nested.commit, list(names))
    own = {name: file.model_copy(update={"path": from_fs(name)}) for name, file in names.items()}
    _tracked(nested.repo, inner, [(own[name], blob) for name, blob in blobs.items()])
    others = [file for name, file in own.items() if name not in blobs]
    _untracked(nested.repo, inner, others, {from_fs(name) for name, file in names.items() if file.path in asked_for})
    overlay.take_in(inner, nested.folder)


def _untracked(repo: Repository, overlay: Overlay, files: list[File], asked_for: set[str]) -> None:
    """Keep what is code or configuration; of code, say what is not kept. Programs in machine code are data."""
    telling = [f for f in files if f.path in asked_for or _is_code(f.path) or _is_configuration(f.path)]
    ignored = worktree.ignored(repo, [fs(f.path) for f in telling])
    for file in telling:
        data = _bytes(repo, file.path) if file.size <= overlay.limits.max_untracked_size else None
        reason = None
        if data is not None and b"\0" in data:
            continue
        if fs(file.path) in ignored:
            reason = "ignored by git"
        elif data is None:
            reason = f"not in the commit, and larger than {_size(overlay.limits.max_untracked_size)}"
        elif digest_bytes(data) != file.hash:
            reason = "changed after the run"
        if reason is None and data is not None:
            overlay.add(file.path, "untracked", data, file.mode)
        elif reason and (_is_code(file.path) or (file.path in asked_for and data is not None)):
            overlay.lacks(file.path, reason)


def _size(count: int) -> str:
    """A limit as it may have been set: ``64 KiB``."""
    for shift, unit in ((30, "GiB"), (20, "MiB"), (10, "KiB")):
        if count and not count % (1 << shift):
            return f"{count >> shift} {unit}"
    return f"{count} bytes"


def _name(path: str) -> str:
    return path.rpartition("/")[2]


def _is_code(path: str) -> bool:
    return os.path.splitext(_name(path).lower())[1] in CODE_SUFFIXES


def _is_configuration(path: str) -> bool:
    stem, suffix = os.path.splitext(_name(path).lower())
    return stem in NAMES or suffix in CONFIGURATION_SUFFIXES


def _bytes(repo: Repository, path: str) -> bytes | None:
    try:
        with open(os.path.join(repo.require_work_tree(), fs(path)), "rb") as file:
            return file.read()
    except OSError:
        return None
