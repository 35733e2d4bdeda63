"""The hashes that a repository's own lock files give for the archives of packages.

uv.lock, poetry.lock and pylock.toml (PEP 751) are TOML of a fixed shape, with a table for each package; pip's are
requirements with ``--hash``. They are searched by line rather than parsed: Python has a TOML reader since 3.11 alone,
and nothing but names, versions and SHA-256 is of interest.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable

from roar.git.objects import Reader
from roar.git.repository import Repository
from roar.records.job import OverlayFile

NAMES = ("uv.lock", "poetry.lock", "pylock.toml", "requirements.txt", "requirements.lock", "requirements-dev.txt")
"""At the top of the work tree."""
_TABLE = re.compile(r"^\[\[packages?\]\]\s*$", re.MULTILINE)
_FIELD = r'^{} = "([^"\n]+)"'
_SHA256 = re.compile(r"\bsha256\b[\s:\"'=]+([0-9a-f]{64})\b")
_PINNED = re.compile(r"^([A-Za-z0-9][\w.-]*)(?:\[[^\]]*\])?\s*===?\s*([^\s;\\]+)(.*)$")

Hashes = dict[tuple[str, str], tuple[str, ...]]
"""SHA-256 of the archives of each package that may be installed, by its name (PEP 503) and version."""


class Locks:
    """The lock files of a repository's commits, each read once."""

    def __init__(self, repo: Repository) -> None:
        self._reader = Reader(repo)
        self._known: dict[object, Hashes] = {}

    def __enter__(self) -> Locks:
        return self

    def __exit__(self, *_: object) -> None:
        self._reader.close()

    def at(self, commit: str | None, lay: Iterable[tuple[OverlayFile, str]]) -> Hashes:
        """The hashes at a commit with an overlay over it. Raises ``GitError``."""
        laid = {entry.path: blob for entry, blob in lay if entry.path in NAMES}
        key = commit, *sorted(laid.items())
        if key not in self._known:

            def read(name: str) -> bytes | None:
                place = laid.get(name, f"{commit}:{name}" if commit else "")
                found = self._reader.get(place) if place else None
                return found[2] if found and found[0] == "blob" else None

            self._known[key] = locked(read)
        return self._known[key]


def locked(read: Callable[[str], bytes | None]) -> Hashes:
    """The hashes in the lock files that ``read`` gives by their names. What several of them name, all count."""
    found: dict[tuple[str, str], set[str]] = {}
    for name in NAMES:
        data = read(name)
        if data is not None:
            text = data.decode("utf-8", "replace")
            for package, hashes in _of_tables(text) if _TABLE.search(text) else _of_requirements(text):
                found.setdefault(package, set()).update(hashes)
    return {package: tuple(sorted(hashes)) for package, hashes in found.items() if hashes}


def _of_tables(text: str) -> Iterable[tuple[tuple[str, str], list[str]]]:
    for table in _TABLE.split(text)[1:]:
        name, version = (re.search(_FIELD.format(field), table, re.MULTILINE) for field in ("name", "version"))
        if name and version:
            yield (normal(name[1]), version[1]), _SHA256.findall(table)


def _of_requirements(text: str) -> Iterable[tuple[tuple[str, str], list[str]]]:
    for line in text.replace("\\\n", " ").splitlines():
        pinned = _PINNED.match(line.strip())
        if pinned:
            yield (normal(pinned[1]), pinned[2]), re.findall(r"--hash[= ]sha256:([0-9a-f]{64})\b", pinned[3])


def normal(name: str) -> str:
    """The name by which packages are compared (PEP 503)."""
    return re.sub(r"[-_.]+", "-", name).lower()
