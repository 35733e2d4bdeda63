"""The writer: this clone's name in the journal.

A writer's chain may grow in one place only. The name is kept beside the inode, device and host of the git
directory, so that a copied clone (``cp -a``, a restored backup, an image) notices that it is a copy and takes a
new name; the records under the old name stay where they are, and readers take the union.
"""

from __future__ import annotations

import os

from roar.git.repository import Repository
from roar.paths import hostname


def writer_name(repo: Repository) -> str:
    """The name of this clone, made on the first call. To be called under the journal's lock."""
    path = os.path.join(repo.own_dir, "writer")
    place = _place(repo)
    try:
        with open(path, encoding="utf-8") as file:
            name, _, known_place = file.read().strip().partition(" ")
    except FileNotFoundError:
        name = known_place = ""
    if name and known_place == place:
        return name
    name = os.urandom(8).hex()
    temporary = f"{path}.{os.getpid()}"
    with open(temporary, "w", encoding="utf-8") as file:
        file.write(f"{name} {place}\n")
    os.replace(temporary, path)
    return name


def _place(repo: Repository) -> str:
    stat = os.stat(repo.common_dir)
    return f"{stat.st_dev:x}:{stat.st_ino:x}:{hostname()}"
