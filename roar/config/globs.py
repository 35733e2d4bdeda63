"""Globs of paths, in the manner of gitignore(5).

``*``, ``?`` and ``[...]`` stay within one name and ``**`` stands for any number of folders. A glob without a slash, but
for one at its end, means that name anywhere (of a file in the work tree: anywhere below its top); others begin at the
top of the work tree, at ``/`` or at ``~/``. A glob of a folder means everything in it. Matching takes time in
proportion to the lengths of both, whatever the glob.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from fnmatch import fnmatchcase

from roar.paths import below

WILD = "*?["
"""The characters that make a path a glob."""


class Globs:
    """Several globs. ``root`` is the work tree."""

    def __init__(self, globs: Iterable[str], root: str) -> None:
        self._root = root
        self._names: list[list[str]] = []
        self._places: list[list[str]] = []
        for glob in globs:
            body = glob.rstrip("/")
            if "/" not in body and body not in ("", "~"):
                self._names.append(["**", body, "**"])
            else:
                self._places.append(_place(body, root))

    def match(self, path: str) -> bool:
        """True when one of them means this absolute path, or a folder that it lies in."""
        if any(_matches(glob, _parts(path)) for glob in self._places):
            return True
        inside = below(path, self._root)
        return any(_matches(glob, _parts(path if inside is None else inside)) for glob in self._names)


def _place(body: str, root: str) -> list[str]:
    if body == "~" or body.startswith("~/"):
        body = literal(os.path.expanduser("~")) + body[1:]
    elif body and not body.startswith("/"):
        body = f"{literal(root)}/{body}"
    return [*_parts(body), "**"]


def _parts(path: str) -> list[str]:
    return [part for part in path.split("/") if part not in ("", ".")]


def literal(path: str) -> str:
    """The glob that means this path alone, and what lies in it."""
    return "".join(f"[{c}]" if c in WILD else c for c in path)


def _matches(glob: list[str], parts: list[str]) -> bool:
    """Wildcard matching with one point of return: the last ``**``, which may take in one part more."""
    at = here = 0
    star = after = -1
    while here < len(parts):
        if at < len(glob) and glob[at] == "**":
            star, after, at = at, here, at + 1
        elif at < len(glob) and fnmatchcase(parts[here], glob[at]):
            at, here = at + 1, here + 1
        elif star >= 0:
            after += 1
            at, here = star + 1, after
        else:
            return False
    return all(part == "**" for part in glob[at:])
