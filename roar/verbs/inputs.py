"""Where the inputs of a step can be had here, found by their hash.

Whatever is found was read and hashed: a record's word is not taken for it. Absolute paths are only ever read.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Iterator, Mapping
from typing import Literal, NamedTuple

from roar.config.read import load
from roar.errors import RoarError
from roar.git import transport, worktree
from roar.git.objects import Reader
from roar.git.repository import Repository
from roar.hashing import digest_bytes, digest_files
from roar.paths import fs, is_outside, is_safe_relative
from roar.records.job import File
from roar.records.summary import printable
from roar.stamps import Stamps
from roar.store.copying import Store
from roar.store.place import opened
from roar.verbs import glaas
from roar.verbs.by_content import Blobs, Folder
from roar.verbs.large_files import LargeFiles
from roar.verbs.neighbours import Neighbour, lacking

Kind = Literal[
    "step", "commit", "overlay", "repository", "work tree", "made before", "git", "given", "in place",
    "store", "pointer", "address", "unknown", "missing",
]  # fmt: skip
"""How an input is had:

``step``: made by an earlier step of the plan · ``commit``: checked out · ``overlay``: kept beside the record ·
``repository``: checked out with a submodule or another repository, or kept beside the record for it ·
``work tree``: copied from the user's · ``made before``: copied from what an interrupted reproduction has made ·
``git``: a blob of any commit · ``given``: copied from where ``--input`` or ``--search`` says, from a store that is a
folder, or from what git-lfs and its kin have here · ``in place``: outside of the repository, and there · ``store``,
``pointer``, ``address``: to be fetched, from the store, by the tool that keeps large files, from where the record
says · ``unknown``: the record does not know the content · ``missing``: nowhere.
"""
FETCHED = ("store", "pointer", "address")
"""Those that are fetched once the plan was agreed to."""


class Known(NamedTuple):
    """What records know: of contents the paths at which a hash was seen, and an address that may have a file."""

    paths: Callable[[str], list[str]] = lambda _: []
    address: Callable[[File], str | None] = lambda _: None
    movable: frozenset[str] = frozenset()
    """Files outside of the repository that may as well lie elsewhere."""


class Source(NamedTuple):
    """Where one input comes from.

    ``place`` is the absolute path to copy from, the path in the producing step, the blob, or where it is fetched from.
    """

    kind: Kind
    place: str = ""
    step: int = 0
    note: str = ""


class Places(NamedTuple):
    """Where the user lets inputs be looked for, beside the repository and its store.

    ``given`` maps a hash, or its beginning, to a path. ``addresses``: whether those that records declare may be asked.
    ``all_of_git``: whether all blobs are looked at, which takes a second for a million.
    """

    given: Mapping[str, str] = {}
    search: Folder | None = None
    addresses: bool = False
    all_of_git: bool = True


class Sources:
    """What is here: the repository's blobs, the user's work tree, its store, and files that the user named."""

    def __init__(
        self,
        repo: Repository,
        places: Places,
        known: Known,
        stamps: Stamps,
        made: str | None = None,
    ) -> None:
        """``made`` is a folder of files that are named by their hash."""
        self._repo = repo
        self._places = places
        self._known = known
        self.movable = known.movable
        self._stamps = stamps
        self._made = made
        self._url = load(repo).settings.store.url
        self._reader = Reader(repo)
        self._blobs = Blobs(repo, self._reader)
        self._large = LargeFiles(repo)
        self._far: dict[str, Source] = {}

    def close(self) -> None:
        """End the running git."""
        self._reader.close()

    @functools.cached_property
    def store(self) -> Store | None:
        """The store that is set; None without one. Raises what ``opened`` raises."""
        return opened(self._url, self._repo.work_tree or self._repo.own_dir) if self._url else None

    def lacking(self, neighbour: Neighbour) -> tuple[str, str] | None:
        """Why another repository cannot be had, and what to do, when that is known already; else None."""
        return lacking(neighbour, self._repo, self._places.given)

    def remote(self) -> str | None:
        """The remote to ask first for code that is not here, no server of records alone; None when there is none."""
        servers = glaas.projects(self._repo)
        return next((remote for remote in transport.remotes(self._repo) if remote not in servers), None)

    def has_commit(self, commit: str) -> bool:
        """True when the commit can be checked out here."""
        found = self._reader.get(commit)
        return found is not None and found[0] == "commit"

    def body(self, blob: str) -> bytes | None:
        """The bytes of a blob, or None when it is not here."""
        found = self._reader.get(blob)
        return found[2] if found is not None and found[0] == "blob" else None

    def tracked(self, commit: str, paths: list[str]) -> dict[str, str]:
        """The blob of each file that the commit has, by path."""
        inside = {fs(path): path for path in paths if is_safe_relative(path)}
        blobs = worktree.blobs_at(self._repo, commit, list(inside)) if inside else {}
        return {inside[name]: blob for name, blob in blobs.items()}

    def find(self, file: File, blob: str | None) -> Source:
        """Where this input can be had, if it is not in the overlay. ``blob`` is what the step's commit has there."""
        if file.hash is None:
            return Source("unknown", note=file.unknown or "its content was not recorded")
        if blob is not None and self._is_blob(file, blob):
            # git has a pointer: the filter that would follow it need not be set up here
            return self._kept_large(file, file.hash) or self._by_pointer(file) or Source("commit")
        if is_outside(file.path):
            return self._outside(file, file.hash)
        return self._inside(file, file.hash)

    def here(self, file: File) -> Kind | None:
        """How an output is had without being made: under its own name, or made before; None when it is not."""
        if file.hash is None:
            return None
        if is_outside(file.path):
            return "in place" if self._hash(fs(file.path), file.size) == file.hash else None
        top = self._repo.work_tree
        if top is not None and self._hash(os.path.join(top, fs(file.path)), file.size) == file.hash:
            return "work tree"
        before = os.path.join(self._made, file.hash) if self._made else ""
        return "made before" if before and self._hash(before, file.size) == file.hash else None

    def _is_blob(self, file: File, blob: str) -> bool:
        if file.blob == blob:  # through a filter its bytes may be others: looked at again once checked out
            return True
        body = self.body(blob)
        return body is not None and digest_bytes(body) == file.hash

    def _inside(self, file: File, content: str) -> Source:
        top = self._repo.work_tree
        note = ""
        if top is not None:
            for path in self._paths(file, content):
                place = os.path.join(top, fs(path)) if is_safe_relative(path) else ""
                found = self._hash(place, file.size) if place else None
                if found == content:
                    return Source("work tree", place)
                if found is not None and path == file.path:
                    note = "it has other content here"
        before = os.path.join(self._made, content) if self._made else ""
        if before and self._hash(before, file.size) == content:
            return Source("made before", before)
        return self._given_file(content) or self._elsewhere(file, content, note)

    def _elsewhere(self, file: File, content: str, note: str) -> Source:
        """Anywhere else. Many steps read the same files: each is looked for once."""
        if content not in self._far:
            self._far[content] = self._looked_for(file, content)
        found = self._far[content]
        return found if found.kind != "missing" or found.note else found._replace(note=note)

    def _looked_for(self, file: File, content: str) -> Source:
        """Under any other name here; else where it can be fetched from."""
        if self._places.all_of_git and (blob := self._blobs.find(content, file.size)):
            return Source("git", blob)
        stored = self._stored(content)
        if stored is not None and stored.kind != "missing":
            return stored
        if large := self._kept_large(file, content):
            return large
        search = self._places.search
        if search is not None and (place := search.find(content, file.size, self._stamps)):
            return Source("given", place)
        if by_pointer := self._by_pointer(file):
            return by_pointer
        note = ""
        address = self._known.address(file)
        if address and self._places.addresses:
            return Source("address", address)
        if address:
            note = f"its record says {printable(address)}; --fetch takes it from there"
        elif file.pointer:
            note = printable(f"{file.pointer.tool} keeps it as {file.pointer.oid}")
        elif search is not None and search.ended_early:
            note = f"{printable(search.top)} has more files than are looked at"
        return stored or Source("missing", note=note)

    def _by_pointer(self, file: File) -> Source | None:
        if file.pointer is None or not self._large.can_fetch(file):
            return None
        return Source("pointer", printable(f"{file.pointer.tool} {file.pointer.oid}"))

    def _kept_large(self, file: File, content: str) -> Source | None:
        """What git-lfs, git-annex or DVC have of it here."""
        places = (place for place in self._large.here(file) if self._hash(place, file.size) == content)
        place = next(places, None)
        return Source("given", place) if place else None

    def _paths(self, file: File, content: str) -> Iterator[str]:
        """Where a content may lie in the work tree: first under its own name, without asking for the others."""
        yield file.path
        yield from (path for path in self._known.paths(content) if path != file.path)

    def _outside(self, file: File, content: str) -> Source:
        found = self._hash(fs(file.path), None)
        if found == content:
            return Source("in place", fs(file.path))
        note = "it has other content here" if found else ""
        linked = file.asked and is_safe_relative(file.asked)  # a copy in the place of the link does as well
        if linked or file.path in self.movable:
            return self._given_file(content) or self._elsewhere(file, content, note)
        return Source("missing", note=note)

    def _given_file(self, content: str) -> Source | None:
        for beginning, place in self._places.given.items():
            if content.startswith(beginning):
                found = self._hash(place, None)
                if found == content:
                    return Source("given", place)
                state = "has other content" if found else "cannot be read" if os.path.exists(place) else "is not there"
                return Source("missing", note=f"{printable(place)} {state}")
        return None

    def _stored(self, content: str) -> Source | None:
        """What the user's store has of it."""
        try:
            store = self.store
            if store is None or not store.has(content, None):
                return None
        except RoarError as error:
            return Source("missing", note=printable(str(error)))
        place = store.place(content)
        if not os.path.isabs(place):
            return Source("store", place)
        if self._hash(place, None) != content:
            return Source("missing", note=f"the store's copy is damaged: {place}")
        return Source("given", place)

    def _hash(self, place: str, size: int | None) -> str | None:
        """The BLAKE3 of a regular file; None when there is none, "" when its size alone says that it is another."""
        try:
            if size is not None and os.stat(place).st_size != size:
                return ""
        except (OSError, ValueError):
            return None
        digest = digest_files([place], self._stamps)[place]
        return None if isinstance(digest, OSError) else digest.hash
