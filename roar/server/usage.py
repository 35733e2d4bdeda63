"""How many bytes the objects of a project take, for its quota: measured now and then, added to in between.

And how many objects a push has, before any of them is read.
"""

from __future__ import annotations

import contextlib
import glob
import os
import time

from roar.git.repository import Repository

_SECONDS = 60.0
"""How long a measure is believed; other processes write, too."""
LOOSE, PACKS = 6000, 50
"""So many objects and packs of their own make a repository worth packing: gc.auto, gc.autoPackLimit (git-gc(1))."""
_known: dict[str, tuple[int, float]] = {}


def used(repo: Repository) -> int:
    """Bytes of the objects of a repository, those of pushes under way aside."""
    size, at = _known.get(repo.objects_dir, (0, 0.0))
    if not at or time.monotonic() - at > _SECONDS:
        size = measure(repo.objects_dir)
        _known[repo.objects_dir] = size, time.monotonic()
    return size


def add(repo: Repository, size: int) -> None:
    """Note that a repository will have this size now, until it is measured again."""
    _known[repo.objects_dir] = size, _known[repo.objects_dir][1]


def measure(folder: str) -> int:
    """Bytes of all files below a folder, those of pushes under way in it aside."""
    total = 0
    waiting = [folder]
    while waiting:
        with contextlib.suppress(FileNotFoundError), os.scandir(waiting.pop()) as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    if not entry.name.startswith("tmp_objdir-"):
                        waiting.append(entry.path)
                else:
                    with contextlib.suppress(FileNotFoundError):
                        total += entry.stat(follow_symlinks=False).st_size
    return total


def packed(quarantine: str) -> int:
    """How many objects are in the packs of a push: the last number of each index's table (gitformat-pack(5)).

    Small pushes are unpacked, and have none.
    """
    total = 0
    for path in glob.glob(os.path.join(glob.escape(quarantine), "pack", "*.idx")):
        with open(path, "rb") as file:
            file.seek(8 + 255 * 4)
            total += int.from_bytes(file.read(4), "big")
    return total


def wants_packing(repo: Repository) -> bool:
    """Whether `git gc --auto` would find that there are too many loose objects or packs: it looks no closer either."""
    try:
        loose = len(os.listdir(os.path.join(repo.objects_dir, "17")))
    except FileNotFoundError:
        loose = 0
    return loose * 256 > LOOSE or len(glob.glob(os.path.join(glob.escape(repo.objects_dir), "pack", "*.idx"))) > PACKS
