"""What conda, mamba or micromamba installed into an environment: its ``conda-meta`` folder, a JSON file a package.

That is what ``conda list --explicit --md5`` prints, read without conda. These files also list every file of a package,
some megabytes together, so what they say is remembered for as long as the folder does not change.
"""

from __future__ import annotations

import os
import re

from roar.records.job import CondaPackage
from roar.stamps import Stamps

_FORMAT = "conda 1"


def conda_packages(prefix: str, memo: Stamps) -> list[CondaPackage]:
    """The packages of the environment at ``prefix``, sorted by name; none where conda made no environment."""
    folder = os.path.join(prefix, "conda-meta")
    try:
        stat = os.stat(folder)
    except OSError:
        return []
    state = f"{_FORMAT} {stat.st_dev} {stat.st_ino} {stat.st_mtime_ns} {stat.st_ctime_ns}"
    known = memo.recall(f"conda {folder}")
    if known is not None and known.startswith(state + "\n"):
        return [_parse(line) for line in known.split("\n")[1:] if line]
    found = _read(folder)
    memo.remember(f"conda {folder}", "\n".join([state, *map(_spell, found)]))
    return found


def _read(folder: str) -> list[CondaPackage]:
    import json  # rare: what it says is remembered

    try:
        names = sorted(name for name in os.listdir(folder) if name.endswith(".json"))
    except OSError:
        return []
    found = []
    for name in names:
        try:
            with open(os.path.join(folder, name), encoding="utf-8") as file:
                data = json.load(file)
            fields = {key: _plain(data.get(key)) for key in ("name", "version", "build", "url", "md5", "sha256")}
        except (OSError, ValueError, AttributeError, RecursionError):  # another file that lies there
            continue
        if fields["name"] and fields["version"]:
            fields["url"] = _without_token(fields["url"])
            found.append(_package(fields))
    return sorted(found, key=lambda package: package.name)


def _plain(value: object) -> str:
    return re.sub(r"[\t\r\n]", " ", value) if isinstance(value, str) else ""


def _without_token(url: str) -> str:
    """A URL without user, password and the token of a private channel (``/t/TOKEN/``)."""
    return re.sub(r"/t/[^/]+/", "/", re.sub(r"^(\w+://)[^/@]*@", r"\1", url))


_FIELDS = ("name", "version", "build", "url", "md5", "sha256")


def _package(fields: dict[str, str]) -> CondaPackage:
    return CondaPackage.model_validate({key: value for key, value in fields.items() if value})


def _spell(package: CondaPackage) -> str:
    return "\t".join(getattr(package, field) or "" for field in _FIELDS)


def _parse(line: str) -> CondaPackage:
    return _package(dict(zip(_FIELDS, line.split("\t"), strict=True)))
