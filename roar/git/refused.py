"""What git-fsck(1) finds fault with in a tree, and careful hosts refuse: names that mean ``.git`` to some system, and
settings of git's own that would harm who checks them out.

By ``fsck.c``, ``path.c`` (``is_ntfs_dotgit``) and ``utf8.c`` (``next_hfs_char``) of git, and stricter where that is
simpler.
"""

from __future__ import annotations

import re

_NOT_SEEN = dict.fromkeys([*range(0x200C, 0x2010), *range(0x202A, 0x202F), *range(0x206A, 0x2070), 0xFEFF])
"""Characters that HFS+ takes no notice of in names."""
_REST = "[. ]*([:\udc80-\udcff].*)?"
"""What some system may not see: dots and spaces at the end, streams, whatever follows a byte that is no UTF-8."""
_GIT = re.compile(r"(\.git|git~\d+)" + _REST)
_ALIKE = re.compile(r"(\.gitmodules|\.gitattributes|git(mod|att)~\d+|gi7(eba|d29)~\d+)" + _REST)
SETTINGS = _MODULES, _ATTRIBUTES = b".gitmodules", b".gitattributes"
"""Files whose content git looks at."""
_LONGEST_LINE = 2047
"""Bytes of a line of ``.gitattributes``."""
_MODULE = re.compile(rb'\s*\[submodule "([A-Za-z0-9_./ +-]+)"\]\s*')
_SETTING = re.compile(rb"\s*([A-Za-z][A-Za-z0-9-]*)\s*=\s*([^\s\"\\;#-][^\"\\;#]*)?")
_URL = re.compile(
    rb"(https?|ssh|git|file)://[A-Za-z0-9@_][^\s%]*|[\w.-]+@[\w.-]+:[^\s%:][^\s%]*"
    rb"|/[^\s%:]*|(\.\.?/)*(?!\.\.?/)[\w.~][^\s%:]*"
)


def name(path: bytes) -> bool:
    """True for a path with a part that git refuses whatever it holds."""
    parts = re.split(r"[/\\]", path.decode("utf-8", "surrogateescape").translate(_NOT_SEEN).lower())
    if any(_GIT.fullmatch(part) for part in parts):
        return True
    return any(_ALIKE.fullmatch(part) for part in parts) and path.rpartition(b"/")[2] not in SETTINGS


def content(path: bytes, data: bytes) -> bool:
    """True for a ``.gitmodules`` or ``.gitattributes`` that git might refuse for what it says."""
    last = path.rpartition(b"/")[2]
    if last == _ATTRIBUTES:
        return any(len(line) > _LONGEST_LINE for line in data.split(b"\n"))
    return last == _MODULES and not all(map(_is_plain, data.split(b"\n")))


def _is_plain(line: bytes) -> bool:
    """True for a line of ``.gitmodules`` as ``git submodule add`` writes it, with nothing in it to be wary of."""
    if line.strip()[:1] in (b"", b"#", b";"):
        return True
    if module := _MODULE.fullmatch(line):
        return b".." not in module[1].split(b"/")
    setting = _SETTING.fullmatch(line)
    if setting is None:
        return False
    key, value = setting[1].lower(), (setting[2] or b"").strip()
    if key == b"url":
        return _URL.fullmatch(value) is not None
    return key != b"update" or not value.startswith(b"!")
