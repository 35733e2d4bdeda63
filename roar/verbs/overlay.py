"""The overlay: the exact bytes of files that the job read and that its commit does not have.

Commit plus overlay is the code the job ran. Nothing of the user's index, work tree, branches or stash is touched.
Data files are not copied: they are inputs by hash.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from itertools import chain

from roar.git import worktree
from roar.git.objects import Reader
from roar.git.repository import Repository
from roar.hashing import digest_bytes
from roar.paths import below, from_fs, fs, is_outside
from roar.records.job import OverlayFile
from roar.verbs.elsewhere import Other, opened
from roar.verbs.innermost import Innermost
from roar.verbs.kept import Overlay, Wanted, size_words
from roar.verbs.met import Met
from roar.verbs.observe import Observed
from roar.verbs.submodules import Nested, nested_in

_CODE = (
    "py pyi pyx ipynb r rmd qmd jl m sh bash zsh fish pl rb lua js mjs ts tsx java scala kt go rs c h cc cpp cxx hh "
    "hpp cu cuh f f90 sql awk sed mk cmake nf smk cwl wdl proto j2 jinja tmpl"
)
_CONFIGURATION = "yaml yml toml json jsonc json5 ini cfg conf config properties gin hcl tf lock"
_BUILD_FILES = "makefile gnumakefile dockerfile snakefile justfile rakefile procfile"
CODE_SUFFIXES = frozenset(f".{suffix}" for suffix in _CODE.split())
CONFIGURATION_SUFFIXES = frozenset(f".{suffix}" for suffix in _CONFIGURATION.split())
NAMES = frozenset(f"{_BUILD_FILES} pipfile requirements".split())


def build(
    repo: Repository, commit: str | None, seen: Observed, vain: list[str], scripts: set[str], wanted: Wanted
) -> Overlay:
    """The overlay of a job that met these files on this commit.

    ``vain`` are paths it looked for and did not find, ``scripts`` names that its programs were given first.
    """
    overlay = Overlay(wanted, repo.require_work_tree())
    own = (path for path in seen.inputs.paths() if not is_outside(path) and path not in seen.annexed)
    tracked = worktree.blobs_at(repo, commit, (fs(p) for p in chain(own, vain))) if commit else {}
    untracked, tracked_here = [], []
    finder, nested = nested_in(repo), dict[Nested, list[Met]]()

    def matters(path: str) -> bool:
        """Whether an input is more than data, which needs no overlay, and of which there may be millions."""
        if is_outside(path) or path in seen.annexed:
            return False
        asked = path in seen.executed or _name(path) in scripts or (overlay.limits.include and overlay.is_wanted(path))
        telling = asked or _is_code(path) or _is_configuration(path)
        return bool(telling or fs(path) in tracked or finder.around(fs(path)))

    inside = {file.path: file for file in seen.inputs.where(matters)}
    with Reader(repo) as reader:
        for path, file in inside.items():
            blob = tracked.get(fs(path))
            around = finder.around(fs(path)) if blob is None else None
            if around is not None:
                nested.setdefault(around, []).append(file)
            elif blob is None:
                untracked.append(file)
            elif file.kept:
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
    _untracked(repo, overlay, [f for f in untracked if f.kept], asked_for)
    nested = {each: [f for f in files if f.kept] for each, files in nested.items()}
    outside = (file for file in seen.inputs.where(is_outside) if file.kept)
    _other_repositories(repo, overlay, nested, outside, asked_for)
    overlay.entries.sort(key=lambda e: e.path)
    return overlay


def _other_repositories(
    repo: Repository, overlay: Overlay, nested: dict[Nested, list[Met]], outside: Iterable[Met], asked_for: set[str]
) -> None:
    """Sort the files of submodules, and of other repositories inside and outside of the work tree."""
    root = repo.require_work_tree()
    others, elsewhere = Innermost("", opened), dict[Other, list[Met]]()
    for file in outside:
        other = others.around(fs(file.path))
        if other is not None:
            elsewhere.setdefault(other, []).append(file)
    for each, files in nested.items():
        if each.repo is not None and each.commit is not None:
            _nested(overlay, each.folder, each.repo, each.commit, files, asked_for)
            continue
        other = others.around(os.path.join(root, each.folder, "file"))
        if other is not None:
            elsewhere.setdefault(other, []).extend(files)
        else:
            _unknown(repo, overlay, files, asked_for)
    overlay.describe(nested)
    for other in sorted(elsewhere, key=lambda other: other.folder):
        _elsewhere(overlay, root, other, elsewhere[other], asked_for)


def _tracked(repo: Repository, overlay: Overlay, files: list[tuple[Met, str]], *, filtered: bool = True) -> None:
    """Sort tracked files that are as the job read them: clean, maybe through git's filters, or kept as modified."""
    modified = []
    for file, blob in files:
        data = _bytes(repo, file.path) if file.size <= overlay.limits.max_modified_size else None
        if data is not None and worktree.blob_id(repo, data) == blob:
            overlay.blobs[file.path] = blob
        else:
            modified.append((file, blob, data))
    stored = worktree.stored_blob_ids(repo, [fs(file.path) for file, _, _ in modified], filtered=filtered)
    for file, blob, data in modified:
        if stored.get(fs(file.path)) == blob:
            overlay.blobs[file.path] = blob
            overlay.filtered.append(file.path)
        elif data is None:
            overlay.lacks(
                file.path, f"differs from the commit and is larger than {size_words(overlay.limits.max_modified_size)}"
            )
        elif digest_bytes(data) != file.hash:
            overlay.lacks(file.path, "changed after the run")
        else:
            overlay.add(file.path, "modified", data, file.mode)


def _unknown(repo: Repository, overlay: Overlay, files: list[Met], asked_for: set[str]) -> None:
    """Name the code of a nested repository that git cannot tell anything of."""
    for file in files:
        if _is_code(file.path) or (file.path in asked_for and b"\0" not in (_bytes(repo, file.path) or b"\0")):
            overlay.lacks(file.path, "in another repository")


def _nested(
    overlay: Overlay, folder: str, repo: Repository, commit: str, files: list[Met], asked_for: set[str]
) -> None:
    """Sort the files of a submodule as its own commit has them."""
    inner = overlay.within(repo.require_work_tree())
    names = {fs(f.path)[len(folder) + 1 :]: f for f in files}
    blobs = worktree.blobs_at(repo, commit, list(names))
    own = {name: file._replace(path=from_fs(name)) for name, file in names.items()}
    _tracked(repo, inner, [(own[name], blob) for name, blob in blobs.items()])
    others = [file for name, file in own.items() if name not in blobs]
    _untracked(repo, inner, others, {from_fs(name) for name, file in names.items() if file.path in asked_for})
    overlay.take_in(inner, folder)


def _elsewhere(overlay: Overlay, root: str, other: Other, files: list[Met], asked_for: set[str]) -> None:
    """Sort the files of another repository as its commit has them. Large data that was changed is only data."""
    inner = overlay.within(other.folder)
    names = {below(os.path.join(root, fs(f.path)), other.folder) or "": f for f in files}
    blobs = worktree.blobs_at(other.repo, other.commit, list(names))
    asked = {from_fs(name) for name, file in names.items() if file.path in asked_for}
    own = {name: file._replace(path=from_fs(name)) for name, file in names.items()}
    clean = worktree.stored_blob_ids(other.repo, list(blobs), filtered=False)
    inner.blobs = {own[name].path: blob for name, blob in blobs.items() if clean.get(name) == blob}
    changed = [(file, blobs[name]) for name, file in own.items() if name in blobs and file.path not in inner.blobs]
    limit = overlay.limits.max_modified_size
    telling = [(f, blob) for f, blob in changed if f.size <= limit or f.path in asked or _is_code(f.path)]
    _tracked(other.repo, inner, telling, filtered=False)
    _untracked(other.repo, inner, [file for name, file in own.items() if name not in blobs], asked)
    inside = below(other.folder, root)
    overlay.take_in_other(inner, other, from_fs(inside or other.folder))


def _untracked(repo: Repository, overlay: Overlay, files: list[Met], asked_for: set[str]) -> None:
    """Keep what is code or configuration; of code, say what is not kept. Programs in machine code are data."""
    wanted = {f.path for f in files if overlay.is_wanted(f.path)} if overlay.limits.include else set[str]()
    telling = [
        f for f in files if f.path in asked_for or f.path in wanted or _is_code(f.path) or _is_configuration(f.path)
    ]
    ignored = worktree.ignored(repo, [fs(f.path) for f in telling])
    for file in telling:
        asked = file.path in wanted
        limit = overlay.limits.max_modified_size if asked else overlay.limits.max_untracked_size
        data = _bytes(repo, file.path) if file.size <= limit else None
        reason = None
        if data is not None and b"\0" in data and not asked:
            continue
        if fs(file.path) in ignored and not asked:
            reason = "ignored by git"
        elif data is None:
            reason = f"not in the commit, and larger than {size_words(limit)}"
        elif digest_bytes(data) != file.hash:
            reason = "changed after the run"
        if reason is None and data is not None:
            overlay.add(file.path, "untracked", data, file.mode)
        elif reason and (asked or _is_code(file.path) or (file.path in asked_for and data is not None)):
            overlay.lacks(file.path, reason)


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
