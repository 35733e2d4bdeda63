"""Paths: bytes on disk, text in records, and the folders of roar itself.

The kernel's paths are bytes. Records are JSON, so a path (or a word of a command line) becomes text: as it is
when it is valid UTF-8, else marked, with ``//bytes/`` in front and ``%XX`` for each ``%`` and each byte that is
not part of a valid UTF-8 sequence. A normalised absolute path never begins with two slashes, and text that does
begin with the mark is marked itself, so every byte string makes the round trip. The tracer spells them alike.
"""

from __future__ import annotations

import os

MARK = "//bytes/"
OPEN = getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)
"""What every ``os.open`` of ours wants: no child inherits it, and bytes are bytes on Windows, too."""


def to_text(raw: bytes) -> str:
    """The text that stands for these bytes in a record."""
    try:
        text = raw.decode()
    except UnicodeDecodeError:
        pass
    else:
        if not text.startswith(MARK):
            return text
    spelled = raw.replace(b"%", b"%25").decode("utf-8", "surrogateescape")
    return MARK + "".join(f"%{ord(c) - 0xDC00:02X}" if "\udc80" <= c <= "\udcff" else c for c in spelled)


def to_bytes(text: str) -> bytes:
    """The bytes that a text of a record stands for. Raises ``ValueError`` on text no byte string spells."""
    if not text.startswith(MARK):
        return text.encode()
    spelled = text[len(MARK) :].encode()
    import re  # not needed before the start of a command

    raw = re.sub(rb"%([0-9A-F]{2})", lambda m: bytes([int(m[1], 16)]), spelled)
    if to_text(raw) != text:
        raise ValueError(f"not the spelling of any byte string: {text!r}")
    return raw


def fs(text: str) -> str:
    """The text of a record as an ``os`` path string (undecodable bytes as surrogates)."""
    return text if not text.startswith(MARK) else os.fsdecode(to_bytes(text))


def fs_if_path(text: str) -> str:
    """The same for a text that nobody has checked: as it is, when no byte string spells it."""
    try:
        return fs(text)
    except ValueError:
        return text


def from_fs(path: str) -> str:
    """An ``os`` path string as the text of a record."""
    try:
        path.encode()
    except UnicodeEncodeError:
        return to_text(os.fsencode(path))
    return path if not path.startswith(MARK) else to_text(os.fsencode(path))


def below(path: str, folder: str) -> str | None:
    """The rest of ``path`` under ``folder`` ("" when they are the same), by whole components; else None.

    Both are absolute and normalised ``os`` path strings.
    """
    if path == folder:
        return ""
    prefix = folder if folder.endswith("/") else folder + "/"
    return path[len(prefix) :] if path.startswith(prefix) else None


def joined(folder: str, path: str) -> str:
    """A record's path below a record's folder."""
    return from_fs(os.path.join(fs(folder), fs(path)))


def is_outside(text: str) -> bool:
    """True for a record's path that is absolute, which means outside of the repository. The mark alone says nothing."""
    try:
        return to_bytes(text).startswith(b"/")
    except ValueError:
        return False


def is_safe_relative(text: str) -> bool:
    """True when a record's path stays inside the folder it is laid into, on any system."""
    try:
        raw = to_bytes(text)
    except ValueError:
        return False
    if not raw or raw.startswith(b"/") or b"\0" in raw:
        return False
    parts = raw.split(b"/")
    if any(p in (b"", b".", b"..") or p.lower().rstrip(b" .") == b".git" for p in parts):
        return False
    return os.name != "nt" or not (b"\\" in raw or b":" in raw)


def hostname() -> str:
    """The name of this machine, as gethostname(2) gives it."""
    return os.uname().nodename if hasattr(os, "uname") else os.environ.get("COMPUTERNAME", "localhost")


def state_folder() -> str:
    """The user's folder for what must survive but belongs to no repository (records saved aside)."""
    import platformdirs  # costs 14 ms, needed only when something went wrong

    return platformdirs.user_state_dir("roar", appauthor=False)


def cache_folder() -> str:
    """The user's folder for what may be deleted at any time (built environments)."""
    import platformdirs

    return platformdirs.user_cache_dir("roar", appauthor=False)


def data_folder() -> str:
    """The user's folder for what a server of lineage keeps, when no other one is named."""
    import platformdirs

    return os.path.join(platformdirs.user_data_dir("roar", appauthor=False), "serve")
