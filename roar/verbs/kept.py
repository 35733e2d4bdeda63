"""What is kept of code beside a record, within the limits that are set: bytes, and what could not be kept."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable

from roar.config.globs import Globs
from roar.config.model import Overlay as Limits
from roar.config.model import Redact
from roar.git import refused
from roar.hashing import digest_bytes
from roar.paths import from_fs, fs, is_safe_relative, joined, to_bytes
from roar.records.job import Incomplete, OtherRepository, OverlayFile, Submodule
from roar.redact import find_secrets, is_secret_path
from roar.verbs.elsewhere import Other
from roar.verbs.submodules import Nested, described, remote_of

_EXAMPLES = 3

Wanted = tuple[Limits, Redact]
"""What is set: which files are kept, and what counts as a secret."""


class Overlay:
    """What is laid over the commit: entries for the record, bytes for its tree, blob ids of clean inputs."""

    def __init__(self, wanted: Wanted, root: str) -> None:
        self._wanted = wanted
        self.limits, self._rules = wanted
        self._root = root
        self._exclude = Globs(self.limits.exclude, root)
        self._include = Globs(self.limits.include, root)
        self.entries: list[OverlayFile] = []
        self.tree: dict[bytes, bytes] = {}
        self.blobs: dict[str, str] = {}
        self.filtered: list[str] = []
        """Those of them whose content is another than the blob's."""
        self.submodules: list[Submodule] = []
        self.repositories: list[OtherRepository] = []
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

    def is_wanted(self, path: str) -> bool:
        """Whether the user said to keep this untracked file, whatever it is."""
        return self._include.match(os.path.join(self._root, fs(path)))

    def add(self, path: str, state: str, data: bytes, mode: int) -> None:
        """Keep a file, unless it looks like a secret or there is too much already."""
        if not self.limits.enabled:
            self.lacks(path, "keeping uncommitted code is turned off")
        elif self._exclude.match(os.path.join(self._root, fs(path))):
            self.lacks(path, "excluded by roar.overlay.exclude")
        elif self._rules.enabled and (is_secret_path(path) or find_secrets(data, self._rules)):
            self.lacks(path, "looks like a secret")
        elif self._total + len(data) > self.limits.max_total_size:
            self.lacks(path, f"more than {size_words(self.limits.max_total_size)} in all")
        elif not is_safe_relative(path) or refused.name(to_bytes(path)):
            self.lacks(path, "git refuses such a name")
        elif refused.content(to_bytes(path), data):
            self.lacks(path, "git may refuse what it says")
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
        outer = self._take_in(inner, from_fs(folder))
        self.entries += [entry.model_copy(update={"path": outer(entry.path)}) for entry in inner.entries]
        for entry in inner.entries:
            self.tree[b"files/" + to_bytes(outer(entry.path))] = inner.tree[b"files/" + to_bytes(entry.path)]

    def take_in_other(self, inner: Overlay, other: Other, path: str) -> None:
        """Add what the overlay of another repository holds, and name that. ``path`` is its folder in a record."""
        self._take_in(inner, path)
        if not inner.blobs and not inner.entries:
            return  # it lies around the files, and has none of them
        place = b"repositories/%d/" % len(self.repositories)
        self.tree |= {place + name.removeprefix(b"files/"): data for name, data in inner.tree.items()}
        entries = sorted(inner.entries, key=lambda entry: entry.path)
        remote = remote_of(other.repo, self._rules)
        self.repositories.append(OtherRepository(path=path, commit=other.commit, remote=remote, overlay=entries))

    def _take_in(self, inner: Overlay, folder: str) -> Callable[[str], str]:
        """Add the blobs and the gaps of another overlay; gives what makes its paths ours."""

        def outer(path: str) -> str:
            return joined(folder, path)

        self._total = inner._total
        self.blobs |= {outer(path): blob for path, blob in inner.blobs.items()}
        for why, paths in inner._lacking.items():
            self._lacking.setdefault(why, []).extend(map(outer, paths))
        return outer

    def describe(self, found: Iterable[Nested]) -> None:
        """Name the submodules that the job read files of."""
        self.submodules = described(found, self._rules)

    def lacks(self, path: str, why: str) -> None:
        """Say that a file belongs to the overlay and is not in it."""
        self._lacking.setdefault(why, []).append(path)


def size_words(count: int) -> str:
    """A limit as it may have been set: ``64 KiB``."""
    for shift, unit in ((30, "GiB"), (20, "MiB"), (10, "KiB")):
        if count and not count % (1 << shift):
            return f"{count >> shift} {unit}"
    return f"{count} bytes"
