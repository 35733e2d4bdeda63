"""The spool: sealed entries that could not go into git yet, as files on the disk.

An entry is a tar archive named by its record id that holds what its commit's tree would. It is written under another
name and renamed, so a half-written one is never taken for an entry.
"""

from __future__ import annotations

import contextlib
import io
import os

from roar.errors import RecordError
from roar.git.repository import Repository
from roar.hashing import digest_bytes
from roar.journal import RECORD
from roar.journal.entry import Entry
from roar.paths import state_folder
from roar.records import codec, ids

SUFFIX = ".tar"
REPORT_SUFFIX = ".report"
"""Of what the tracer saw, saved in ``reports/`` when no record could be made of it."""


def places(repo: Repository) -> list[str]:
    """Where what belongs to this repository may be saved: in it, else in the user's own folder."""
    key = digest_bytes(os.fsencode(repo.common_dir))[:16]
    return [repo.own_dir, os.path.join(state_folder(), "aside", key)]


def save(parent: str, entry: Entry) -> str:
    """Write an entry into the spool in ``parent`` and give its file. Raises ``OSError``."""
    import tarfile  # 9 ms, and nearly every record goes straight into git

    path = os.path.join(parent, "spool", entry.identifier + SUFFIX)
    os.makedirs(os.path.dirname(path), exist_ok=True)
    temporary = f"{path}.{os.getpid()}"
    try:
        with open(temporary, "wb") as file:
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


def unfinished(parent: str) -> list[str]:
    """Files in the spool of ``parent`` that are being written, or that a killed program left half-written."""
    folder = os.path.join(parent, "spool")
    names = sorted(os.listdir(folder)) if os.path.isdir(folder) else []
    return [os.path.join(folder, name) for name in names if SUFFIX + "." in name]


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
