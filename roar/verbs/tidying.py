"""After a recorded run: temporary files that it created are deleted, where that is set."""

from __future__ import annotations

import contextlib
import os

from roar.hashing import digest_file
from roar.paths import below, fs, is_outside
from roar.records.job import Job
from roar.trace.scope import temporary_folders


def delete_temporaries(job: Job) -> list[str]:
    """Delete what the job created in folders for temporary files and nobody changed since; gives the paths."""
    deleted = []
    for file in job.outputs:
        path = fs(file.path)
        if not is_outside(file.path) or file.change != "created" or file.hash is None:
            continue
        if all(below(path, folder) is None for folder in temporary_folders()) or os.path.islink(path):
            continue
        with contextlib.suppress(OSError):
            if digest_file(path).hash == file.hash:
                os.unlink(path)
                deleted.append(file.path)
    return deleted
