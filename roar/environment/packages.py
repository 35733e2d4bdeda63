"""The distributions in one site-packages folder, and which file belongs to which.

A distribution leaves a folder of metadata beside its packages (PEP 376 and the specification "Recording
installed projects"): ``NAME-VERSION.dist-info`` with METADATA and RECORD, the list of its files. Older
installers leave ``.egg-info``, a folder or a file, with at most the top-level names. To read some hundred
of them takes longer than a short job runs, so what they say is drawn together into an index, which is
remembered for as long as the folder itself does not change: installers add and remove entries in it with
everything they do.

The index has an entry for each name in the folder that belongs to a single distribution. Where several
share a name (namespace packages), it goes down until they part.
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Iterable
from typing import NamedTuple

from roar.stamps import Stamps

EDITABLE = "editable"
CONDA = "conda"
METADATA = (".dist-info", ".egg-info", ".egg", ".egg-link")
_AT_EVERY_START = frozenset({"_distutils_hack", "_virtualenv.py", "_virtualenv"})
_SETTLED_NS = 2_000_000_000
_FORMAT = "site 2"


class Distribution(NamedTuple):
    """A distribution. ``roots`` are the folders that hold the code of one that is installed in place."""

    name: str
    version: str
    source: str = ""
    roots: tuple[str, ...] = ()


class Site(NamedTuple):
    """A site-packages folder. ``owners`` gives the numbers of distributions by path in it, ``shared`` the
    names below which paths of several are.
    """

    distributions: list[Distribution]
    owners: dict[str, tuple[int, ...]]
    shared: frozenset[str]

    def owners_of(self, paths: Iterable[str]) -> set[int]:
        """The numbers of the distributions to which these paths, relative to the folder, belong."""
        found: set[int] = set()
        done: set[str] = set()
        for path in paths:
            top = path.partition("/")[0]
            if top in done:
                continue
            if top == "__pycache__" or top in self.shared:
                found.update(self._deepest(source_of(path)))
            else:
                done.add(top)
                found.update(self.owners.get(top, ()))
        return found

    def _deepest(self, path: str) -> tuple[int, ...]:
        while path:
            if path in self.owners:
                return self.owners[path]
            path = path.rpartition("/")[0]
        return ()


def source_of(path: str) -> str:
    """The source file that a file of byte code was made from (PEP 3147); any other path as it is."""
    folder, _, name = path.rpartition("/")
    if not path.endswith(".pyc") or (folder != "__pycache__" and not folder.endswith("/__pycache__")):
        return path
    return f"{folder[: -len('__pycache__')]}{name.partition('.')[0]}.py"


def normalised(name: str) -> str:
    """The name by which distributions are compared (PEP 503)."""
    return re.sub(r"[-_.]+", "-", name).lower()


def site(folder: str, memo: Stamps) -> Site | None:
    """What is in a site-packages folder; None when it cannot be read. Remembered while it does not change."""
    try:
        stat = os.stat(folder)
    except OSError:
        return None
    state = f"{_FORMAT} {stat.st_dev} {stat.st_ino} {stat.st_mtime_ns} {stat.st_ctime_ns}"
    known = memo.recall(f"site {folder}")
    if known is not None and known.startswith(state + "\n"):
        return _parse(known)
    found = _build(folder)
    if found is not None and time.time_ns() - max(stat.st_mtime_ns, stat.st_ctime_ns) > _SETTLED_NS:
        memo.remember(f"site {folder}", state + "\n" + _spell(found))
    return found


def _spell(site: Site) -> str:
    lines = ["D\t" + "\t".join(map(_plain, (d.name, d.version, d.source, *d.roots))) for d in site.distributions]
    lines += [f"{' '.join(map(str, numbers))}\t{path}" for path, numbers in site.owners.items()]
    return "\n".join([*lines, "S\t" + "\t".join(sorted(site.shared))])


def _parse(text: str) -> Site:
    distributions = []
    owners = {}
    shared: list[str] = []
    for line in text.split("\n")[1:]:
        key, _, rest = line.partition("\t")
        if key == "D":
            name, version, source, *roots = rest.split("\t")
            distributions.append(Distribution(name, version, source, tuple(roots)))
        elif key == "S":
            shared = rest.split("\t")
        else:
            owners[rest] = tuple(map(int, key.split()))
    return Site(distributions, owners, frozenset(shared))


def _plain(text: str) -> str:
    return re.sub(r"[\t\n\r]", " ", text)


def _build(folder: str) -> Site | None:
    """The index of a folder, from the metadata in it."""
    try:
        entries = sorted(os.listdir(folder))
    except OSError:
        return None
    distributions: list[Distribution] = []
    files: dict[int, list[str]] = {}
    loose: dict[str, list[int]] = {}
    for entry in entries:
        if not entry.endswith(METADATA):
            continue
        found = _distribution(folder, entry)
        if found is None:
            continue
        distribution, names, is_exact = found
        number = len(distributions)
        distributions.append(distribution)
        if is_exact:
            files[number] = names
        else:
            for name in names:
                for top in _entries_of(name, entries):
                    loose.setdefault(top, []).append(number)
    owners, shared = _owners(files)
    for top, numbers in loose.items():
        if top in shared or top not in owners:
            owners[top] = tuple(numbers)
        else:
            owners[top] = tuple(sorted({*owners[top], *numbers}))
    return Site(distributions, owners, frozenset(shared))


def _owners(files: dict[int, list[str]]) -> tuple[dict[str, tuple[int, ...]], set[str]]:
    """Whose each name is, going down where a name is several distributions'; and the top names that are.

    A file that several claim counts for those that own nothing alone below that top name: of two
    distributions with the same files both were read, while the ``__init__.py`` of a namespace says nothing
    of its parts.
    """
    owners: dict[str, tuple[int, ...]] = {}
    shared: set[str] = set()
    for top, claims in _by_first(files).items():
        if len(claims) == 1:
            owners[top] = (*claims,)
            continue
        shared.add(top)
        parted: dict[str, tuple[int, ...]] = {}
        common: dict[str, set[int]] = {}
        _part(top, claims, parted, common)
        alone = {number for numbers in parted.values() for number in numbers}
        owners |= parted | {path: tuple(sorted(numbers - alone)) for path, numbers in common.items()}
    return owners, shared


def _part(
    path: str, claims: dict[int, list[str]], parted: dict[str, tuple[int, ...]], common: dict[str, set[int]]
) -> None:
    """Go down from a path that several claim to where they part, or to files that they have in common."""
    for name, below in _by_first(claims).items():
        inner = f"{path}/{name}"
        if not name:
            common[path] = set(below)
        elif len(below) == 1:
            parted[inner] = (*below,)
        else:
            _part(inner, below, parted, common)


def _by_first(files: dict[int, list[str]]) -> dict[str, dict[int, list[str]]]:
    """The rests of paths, by their first component and by number."""
    found: dict[str, dict[int, list[str]]] = {}
    for number, paths in files.items():
        for path in paths:
            first, _, rest = path.partition("/")
            found.setdefault(first, {}).setdefault(number, []).append(rest)
    return found


def _entries_of(name: str, entries: list[str]) -> list[str]:
    """The entries of a folder in which a top-level module lives: itself, ``name.py``, ``name.cpython-311.so``."""
    return [
        entry for entry in entries if entry == name or (entry.startswith(name + ".") and not entry.endswith(METADATA))
    ]


def _distribution(folder: str, entry: str) -> tuple[Distribution, list[str], bool] | None:
    """A distribution, and its files (True) or its top-level names (False); None for metadata that says nothing."""
    place = os.path.join(folder, entry)
    if entry.endswith(".egg-link"):
        return _linked(place, entry)
    if entry.endswith(".egg"):
        name, version = _name_and_version(os.path.join(place, "EGG-INFO", "PKG-INFO"), entry[:-4])
        return Distribution(name, version), [entry], False
    if entry.endswith(".egg-info"):
        header = os.path.join(place, "PKG-INFO") if os.path.isdir(place) else place
        name, version = _name_and_version(header, entry[:-9])
        installed = _text(os.path.join(place, "installed-files.txt"))
        if installed:
            return Distribution(name, version), _relevant(installed.replace("../", "").splitlines()), True
        return Distribution(name, version), _top_level(place, name), False
    name, version = _name_and_version(os.path.join(place, "METADATA"), entry[:-10])
    if not name:
        return None
    record = _text(os.path.join(place, "RECORD"))
    source, roots = _direct(place)
    if not record:
        return Distribution(name, version, source, tuple(roots)), _top_level(place, name), False
    paths = _recorded(record)
    if source == EDITABLE or any(path.endswith(".pth") for path in paths):
        roots = _redirected(folder, paths) or roots
    return Distribution(name, version, source or (EDITABLE if roots else ""), tuple(roots)), _relevant(paths), True


def _name_and_version(path: str, stem: str) -> tuple[str, str]:
    """Name and Version, from the first headers of core metadata (PEP 566), else from the folder's name."""
    name, _, version = stem.partition("-")
    version = version.partition("-py")[0]
    for line in _text(path, 16384).splitlines():
        if not line.strip():
            break
        if line.startswith("Name:"):
            name = line[5:].strip()
        elif line.startswith("Version:"):
            version = line[8:].strip()
    return name, version


def _top_level(place: str, name: str) -> list[str]:
    """The names in top_level.txt; without it, those that a distribution of this name usually has."""
    names = [n for n in _text(os.path.join(place, "top_level.txt")).split() if n not in _AT_EVERY_START]
    return names or sorted({name, name.lower(), *(n.replace("-", "_") for n in (name, name.lower()))})


def _recorded(record: str) -> list[str]:
    """The paths in a RECORD: CSV, of which the first field matters."""
    lines = record.replace("\\", "/").splitlines()
    return [line[1:].partition('"')[0] if line[:1] == '"' else line.partition(",")[0] for line in lines]


def _relevant(paths: list[str]) -> list[str]:
    """Without what lies elsewhere, metadata, byte code, and what the interpreter reads at every start.

    The last are ``.pth`` files, the finders of editable installs, and the hook by which setuptools gets in
    the way of distutils: they are read whether the distribution is used or not.
    """
    kept = []
    for path in paths:
        top = path.partition("/")[0]
        if top.endswith((".dist-info", ".egg-info", ".pth")) or path.endswith(".pyc") or path.startswith(("../", "/")):
            continue
        if path and not top.startswith("__editable__") and top not in _AT_EVERY_START:
            kept.append(path)
    return kept


def _direct(place: str) -> tuple[str, list[str]]:
    """Where it came from when that was no index, by INSTALLER or direct_url.json (PEP 610); its folder if editable."""
    if _text(os.path.join(place, "INSTALLER"), 64).strip() == CONDA:
        return CONDA, []  # its direct_url.json names a folder of whoever built it
    text = _text(os.path.join(place, "direct_url.json"))
    if not text:
        return "", []
    import json  # rare: the index is remembered

    try:
        data = json.loads(text)
        url = _without_password(data["url"])
        if data.get("dir_info", {}).get("editable"):
            return EDITABLE, [_path_of(url)]
        parts = [f"subdirectory={data['subdirectory']}"] if "subdirectory" in data else []
        if "vcs_info" in data:
            url = f"{data['vcs_info']['vcs']}+{url}@{data['vcs_info']['commit_id']}"
        hashes = data.get("archive_info", {}).get("hashes", {})
        parts += [f"{name}={value}" for name, value in sorted(hashes.items())[:1]]
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return "", []
    return "#".join([url, *(["&".join(parts)] if parts else [])]), []


def _without_password(url: str) -> str:
    """The URL without its password, and without the user where that is one (https)."""
    return re.sub(r"^(\w+://[^/@:]*):[^/@]*@", r"\1@", re.sub(r"^(https?://)[^/@]*@", r"\1", url))


def _path_of(url: str) -> str:
    from urllib.parse import unquote

    return unquote(url.removeprefix("file://")).rstrip("/")


def _redirected(folder: str, paths: list[str]) -> list[str]:
    """The folders outside to which a distribution's own ``.pth`` file or import finder leads."""
    found: list[str] = []
    for path in paths:
        if "/" in path or not (path.endswith(".pth") or path.startswith("__editable__")):
            continue
        text = _text(os.path.join(folder, path))
        if path.endswith(".pth"):
            found += [line.strip() for line in text.splitlines() if line.startswith("/")]
        else:  # the table that setuptools writes into its finder: MAPPING = {'name': '/folder'}
            table = next((line for line in text.splitlines() if line.startswith("MAPPING")), "")
            found += re.findall(r"': '(/[^'\\]+)'", table)
    return [root.rstrip("/") for root in dict.fromkeys(found) if root != folder and os.path.exists(root)]


def _linked(place: str, entry: str) -> tuple[Distribution, list[str], bool] | None:
    """A distribution of ``setup.py develop``: the first line names the folder, in which the metadata lies."""
    root = _text(place).partition("\n")[0].strip()
    name = entry.removesuffix(".egg-link")
    if not root:
        return None
    header = os.path.join(root, name.replace("-", "_") + ".egg-info", "PKG-INFO")
    name, version = _name_and_version(header, name)
    return Distribution(name, version, EDITABLE, (root,)), [], True


def _text(path: str, most: int = -1) -> str:
    try:
        with open(path, "rb") as file:
            return file.read(most).decode("utf-8", "replace")
    except OSError:
        return ""
