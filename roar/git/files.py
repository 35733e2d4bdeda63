"""New files and folders in the git directory, as git itself makes them.

Their rights are those of the git directory when it is shared (core.sharedRepository), whatever the umask; and what
core.fsync names is on the disk before it gets its name, so that no power failure leaves a name for lost bytes.
"""

from __future__ import annotations

import contextlib
import os
import stat

from roar.git import settings
from roar.git.repository import Repository

OBJECT = "loose-object"
REFERENCE = "reference"
_AGGREGATES = {
    OBJECT: {"loose-object", "objects", "committed", "added", "all"},
    REFERENCE: {"reference", "committed", "added", "all"},
}
"""The words of core.fsync that contain a component. Neither is in git's default, so what a word takes away is not
theirs to lose: as git reads it (config.c, ``parse_fsync_components``), words that add win over words that take away.
"""


def open_to_sharers(repo: Repository, target: str | int, most: int = 0o666) -> None:
    """Give a new file or folder (of ours) the rights that its git directory has, ``most`` at most.

    Only where the directory is shared, which git marks by group rights on it; elsewhere the umask has spoken.
    """
    rights = os.stat(repo.common_dir).st_mode
    if os.name != "nt" and rights & (stat.S_ISGID | stat.S_IWGRP):
        os.chmod(target, rights & most)


def make_folders(repo: Repository, folder: str) -> None:
    """Make a folder in the git directory, and those above it, where they are missing."""
    missing = []
    while not os.path.isdir(folder):
        missing.append(folder)
        folder = os.path.dirname(folder)
    for path in reversed(missing):
        with contextlib.suppress(FileExistsError):
            os.mkdir(path)
            open_to_sharers(repo, path, 0o7777)


def flush(repo: Repository, component: str, fd: int) -> None:
    """Wait until a file's bytes are on the disk, when core.fsync asks so for its component.

    core.fsyncMethod only weakens that where the kernel can begin writing without waiting; git itself waits elsewhere.
    """
    config = settings.variables(repo)
    words = set(config.get("core.fsync", "").replace(",", " ").split())
    if component == OBJECT and config.get("core.fsyncobjectfiles", "").lower() in ("true", "yes", "on", "1"):
        words.add(component)
    if words & _AGGREGATES[component]:
        os.fsync(fd)
