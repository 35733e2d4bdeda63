"""The spool: sealed entries that could not go into git yet, as files on the disk.

An entry is a tar archive named by its record id that holds what its commit's tree would. It is written under another
name and renamed, so a half-written one is never taken for an entry.
"""

from __future__ import annotations

import contextlib
import io
import os
import time

from roar.errors import RecordError
from roar.git import files
from roar.git.repository import Repository
from roar.hashing import digest_bytes
from roar.journal import RECORD
from roar.journal.entry import Entry
from roar.paths import state_folder
from roar.records import codec, ids

SUFFIX = ".tar"
_ABANDONED_SECONDS = 3600
"""Nobody writes one entry for so long."""
REPORT_SUFFIX = ".report"
"""Of what the tracer saw, saved in ``reports/`` when no record could be made of it."""


def places(repo: Repository) -> list[str]:
    """Where what belongs to this repository may be saved: in it, else in the user's own folder."""
    key = digest_bytes(os.fsencode(repo.common_dir))[:16]
    return [repo.own_dir, os.path.join(state_folder(), "aside", key)]


def save(repo: Repository, entry: Entry, parent: str | None = None) -> str:
    """Write an entry into the spool in ``parent`` (default: the repository's) and give its file. Raises ``OSError``."""
    import tarfile  # 9 ms, and nearly every record goes straight into git

    shared = parent is None
    folder = os.path.join(repo.own_dir if parent is None else parent, "spool")
    if shared:
        files.make_folders(repo, folder)
    else:
        os.makedirs(folder, exist_ok=True)
    path = os.path.join(folder, entry.identifier + SUFFIX)
    temporary = f"{path}.{os.getpid()}"
    try:
        with open(temporary, "wb") as file:
            if shared:
                files.open_to_sharers(repo, file.fileno())
            with tarfile.open(fileobj=file, mode="w", format=tarfile.PAX_FORMAT) as archive:
                for name, data in entry.tree.items():
                    member = tarfile.TarInfo(os.fsdecode(name))
                    member.size = len(data)
                    archive.addfile(member, io.BytesIO(data))
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except OSError:
        with contextlib.suppress(OSError):
            os.unlink(temporary)
        raise
    return path


def entries(parent: str) -> list[str]:
    """The files of the entries in the spool of ``parent``, oldest first."""
    spool = os.path.join(parent, "spool")
    try:
        names = sorted(os.listdir(spool))
    except (FileNotFoundError, NotADirectoryError):
        return []
    return [os.path.join(spool, n) for n in names if n.endswith(SUFFIX) and len(n) == ids.LENGTH + len(SUFFIX)]


def abandoned(parent: str) -> list[str]:
    """Files in the spool of ``parent`` that a killed program left half-written."""
    folder = os.path.join(parent, "spool")
    names = sorted(os.listdir(folder)) if os.path.isdir(folder) else []
    paths = [os.path.join(folder, name) for name in names if SUFFIX + "." in name]
    return [path for path in paths if _is_abandoned(path)]


def _is_abandoned(path: str) -> bool:
    try:
        return abs(time.time() - os.stat(path).st_mtime) > _ABANDONED_SECONDS
    except FileNotFoundError:
        return False


def reports_of(repo: Repository) -> list[str]:
    """The reports of this repository that were saved aside, oldest first."""
    found = []
    for parent in places(repo):
        folder = os.path.join(parent, "reports")
        if os.path.isdir(folder):
            found += [os.path.join(folder, name) for name in sorted(os.listdir(folder)) if name.endswith(REPORT_SUFFIX)]
    return found


def load(path: str) -> Entry | None:
    """The entry in a file, or None when its bytes are not those its name promises."""
    import tarfile

    tree: dict[bytes, bytes] = {}
    try:
        with tarfile.open(path) as archive:
            for member in archive:
                data = archive.extractfile(member) if member.isreg() else None
                if data is not None:
                    tree[os.fsencode(member.name)] = data.read()
        body = tree.pop(RECORD, b"")
        entry = Entry(codec.decode(body), tree)
    except (RecordError, tarfile.TarError, OSError, EOFError):
        return None
    return entry if entry.identifier + SUFFIX == os.path.basename(path) and entry.body == body else None


def remove(path: str) -> None:
    """Forget an entry that is in the journal now."""
    with contextlib.suppress(FileNotFoundError):
        os.unlink(path)
