"""Which store an address means."""

from __future__ import annotations

import os

from roar.errors import UsageError
from roar.store.copying import Store
from roar.store.folder import Folder
from roar.store.remote import Remote, scheme


def opened(url: str, cwd: str, *, write: bool = False) -> Store:
    """The store at a path, relative to ``cwd``, or at an address. Nothing is read or connected to yet.

    Raises ``UsageError`` when it can be neither, or cannot be written to although it is to be.
    """
    if not url or "\0" in url or "\n" in url:
        raise UsageError("an empty address is no store", "roar config set store.url /path/of/a/folder")
    if url.lower().startswith("file://"):
        return Folder(os.path.abspath(url[len("file://") :]))
    if scheme(url):
        return Remote(url, write=write)
    return Folder(os.path.abspath(os.path.join(cwd, os.path.expanduser(url))))
