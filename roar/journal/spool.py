"""The spool: sealed entries that could not go into git yet, as plain folders on the disk.

An entry is a folder named by its record id that holds what its commit's tree would, and ``message`` and ``note``.
It is written under another name and renamed, so a half-written one is never taken for an entry.
"""

from __future__ import annotations

import os
import shutil

from roar.errors import RecordError
from roar.journal import RECORD
from roar.journal.entry import Entry
from roar.records import codec, ids


def save(parent: str, entry: Entry) -> str:
    """Write an entry into the spool in ``parent`` and give its folder. Raises ``OSError``."""
    folder = os.path.join(parent, "spool", entry.identifier)
    if os.path.isdir(folder):
        return folder
    temporary = f"{folder}.tmp{os.getpid()}"
    try:
        for path, data in entry.tree.items():
            target = os.path.join(os.fsencode(temporary), b"tree", path)
            os.makedirs(os.path.dirname(target), exist_ok=True)
            with open(target, "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
        os.rename(temporary, folder)
    except OSError:
        shutil.rmtree(temporary, ignore_errors=True)
        raise
    return folder


def entries(parent: str) -> list[str]:
    """The folders of the entries in the spool of ``parent``, oldest first."""
    spool = os.path.join(parent, "spool")
    try:
        names = sorted(os.listdir(spool))
    except (FileNotFoundError, NotADirectoryError):
        return []
    return [os.path.join(spool, n) for n in names if len(n) == ids.LENGTH]


def load(folder: str) -> Entry | None:
    """The entry in a folder, or None when its bytes are not those its name promises."""
    tree: dict[bytes, bytes] = {}
    top = os.path.join(os.fsencode(folder), b"tree")
    for where, _, names in os.walk(top):
        for name in names:
            path = os.path.join(where, name)
            with open(path, "rb") as file:
                tree[os.path.relpath(path, top).replace(os.fsencode(os.sep), b"/")] = file.read()
    body = tree.pop(RECORD, b"")
    try:
        entry = Entry(codec.decode(body), tree)
    except RecordError:
        return None
    return entry if entry.identifier == os.path.basename(folder) and entry.body == body else None


def remove(folder: str) -> None:
    """Forget an entry that is in the journal now."""
    shutil.rmtree(folder, ignore_errors=True)
