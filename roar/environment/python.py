"""The Pythons that a job ran, and of their packages those that it read.

The packages are those of which the job read a file, not those that are installed. Nothing of the packages is
imported or run.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from roar.environment.conda import conda_packages
from roar.environment.executed import Executed, executed
from roar.environment.packages import METADATA, Distribution, Site, normalised, site
from roar.paths import below, from_fs
from roar.records.job import Package, Python
from roar.stamps import Stamps

_FOLDERS = ("/site-packages/", "/dist-packages/")
_CODE = (".py", ".pyc", ".so", ".pyd")
_SHARED_PREFIXES = ("/", "/usr", "/usr/local")
"""Prefixes under which others install, too."""
_NAMES = {"cpython": "CPython", "pypy": "PyPy", "graalpy": "GraalVM"}
"""As ``platform.python_implementation`` spells them."""


class Pythons(NamedTuple):
    """The interpreters of a job, and the folders whose files are theirs rather than the job's own."""

    pythons: list[Python]
    package_folders: list[str]


def describe_pythons(
    programs: Iterable[tuple[str, str]], read_paths: Iterable[str], root: str | None, memo: Stamps
) -> Pythons:
    """The Pythons among the programs, with their packages, sorted by name.

    ``programs`` are (name as executed, resolved path), ``read_paths`` every path that the job read:
    absolute ``os`` paths. What lies in ``root``, the work tree, is named relative to it.
    ``package_folders`` never contain ``root``.
    """
    read = list(read_paths)
    stdlibs = {path[:place] for path in read if (place := path.find("/encodings/")) > 0}
    found = executed(sorted(set(programs)), read, stdlibs, memo) if stdlibs else []
    if not found:
        return Pythons([], [])
    by_site, outside = _by_site(read, {folder for each in found for folder in each.sites})
    assigned: dict[int, list[str]] = {number: list(each.sites) for number, each in enumerate(found)}
    for folder in by_site:
        for number in _users(folder, found):
            if folder not in assigned[number]:
                assigned[number].append(folder)
    sites = {folder: site(folder, memo) for folder in dict.fromkeys(f for own in assigned.values() for f in own)}
    folders = _package_folders(found, sites, root)
    code = [p for p in outside if p.endswith(_CODE) and not any(below(p, folder) is not None for folder in folders)]
    pythons = []
    for number, each in enumerate(found):
        packages = _packages([(sites[f], by_site.get(f, [])) for f in assigned[number]], code, root)
        pythons.append(_python(each, packages, root, memo))
    return Pythons(pythons, folders)


def _python(each: Executed, packages: tuple[list[Package], list[Package]], root: str | None, memo: Stamps) -> Python:
    facts = each.facts
    prefix = each.venv
    if prefix is None and os.path.isdir(os.path.join(facts.base_prefix, "conda-meta")):
        prefix = facts.base_prefix
    return Python(
        version=facts.version,
        implementation=_NAMES.get(facts.implementation, facts.implementation),
        executable=_relative(each.executable, root),
        prefix=None if prefix is None else _relative(prefix, root),
        read=packages[0],
        installed=packages[1],
        conda=conda_packages(each.prefix, memo),
    )


def _relative(path: str, root: str | None) -> str:
    inside = None if root is None else below(path, root)
    return from_fs(path if inside is None else inside or ".")


def _by_site(read: list[str], own: set[str]) -> tuple[dict[str, list[str]], list[str]]:
    """The paths relative to each package folder that they are in, and the paths that are in none."""
    inside: dict[str, list[str]] = {}
    outside = []
    known = dict.fromkeys(own, True)
    for path in read:
        end = len(path)
        while True:
            place = max(path.rfind(name, 0, end) for name in _FOLDERS)
            if place < 0:
                outside.append(path)
                break
            folder = path[: place + 14]
            if folder not in known:
                known[folder] = _is_site(folder)
            if known[folder]:
                inside.setdefault(folder, []).append(path[place + 15 :])
                break
            end = place
    return inside, outside


def _is_site(folder: str) -> bool:
    """Whether a folder of such a name is one that packages are installed into, and not just called so."""
    if re.search(r"/(?:python|pypy)[0-9.]*t?/[a-z]{4}-packages$", folder):
        return True
    try:
        return any(entry.endswith(METADATA) for entry in os.listdir(folder))
    except OSError:
        return False


def _users(folder: str, found: list[Executed]) -> list[int]:
    """The numbers of the interpreters that a package folder belongs to."""
    numbers = range(len(found))
    own = [number for number in numbers if folder in found[number].sites]
    if own:
        return own
    fitting = [number for number in numbers if os.path.basename(found[number].facts.stdlib) in folder.split("/")]
    fitting = fitting or list(numbers)
    around = [number for number in fitting if below(folder, found[number].prefix) is not None]
    nearest = max((len(found[number].prefix) for number in around), default=0)
    return [number for number in around if len(found[number].prefix) == nearest] or fitting


def _packages(
    sites: list[tuple[Site | None, list[str]]], code: list[str], root: str | None
) -> tuple[list[Package], list[Package]]:
    """The packages that were read, and the others; of several with one name the first, or the one that was read."""
    read: dict[str, Package] = {}
    others: dict[str, Package] = {}
    for place, paths in sites:
        if place is None:
            continue
        used = place.owners_of(paths)
        for number, distribution in enumerate(place.distributions):
            is_used = number in used or any(
                below(path, folder) is not None for folder in distribution.roots for path in code
            )
            (read if is_used else others).setdefault(normalised(distribution.name), _package(distribution, root))
    return _sorted(read), _sorted({name: package for name, package in others.items() if name not in read})


def _package(distribution: Distribution, root: str | None) -> Package:
    source = distribution.source
    if root is not None and source.startswith("file://"):
        inside = below(source.removeprefix("file://"), root)
        source = source if inside is None else f"./{inside}"
    return Package(name=distribution.name, version=distribution.version, source=source or None)


def _sorted(packages: dict[str, Package]) -> list[Package]:
    return [packages[name] for name in sorted(packages)]


def _version_manager(base: str) -> Iterator[str]:
    """The folder of the version manager that holds an interpreter, if one does: it puts shims into PATH.

    pyenv has ``versions/NAME``, asdf and mise have ``installs/python/NAME`` beside ``shims``.
    """
    for installed in ("/versions/", "/installs/"):
        folder, found, _ = base.rpartition(installed)
        if found and folder and os.path.isdir(os.path.join(folder, "shims")):
            yield folder


def _package_folders(found: list[Executed], sites: dict[str, Site | None], root: str | None) -> list[str]:
    """The folders of the standard libraries, packages and environments; none of them within another.

    An environment around the work tree, or made in it, would swallow it: then only its inner folders count. An
    interpreter with an installation folder of its own (not the system's) has its program and libraries there, and the
    version manager that installed it chose it: it often is a checkout of git, and no code of the job.
    """
    folders = set(sites)
    for each in found:
        base = os.path.realpath(each.facts.base_prefix)
        if base not in _SHARED_PREFIXES:
            folders.update(os.path.join(base, name) for name in ("bin", "lib", "include"))
            folders.update(_version_manager(base))
        library = os.path.basename(each.facts.stdlib)
        folders.add(each.facts.stdlib)
        if each.venv is not None or os.path.isdir(os.path.join(each.prefix, "conda-meta")):
            inner = ("bin", "include", "conda-meta", f"lib/{library}", f"lib64/{library}")
            folders.update([each.prefix, *(os.path.join(each.prefix, name) for name in inner)])
    harmless = sorted(folder for folder in folders if root is None or below(root, folder) is None)
    return [
        folder
        for folder in harmless
        if not any(below(folder, other) for other in harmless)  # "" when they are the same, None when apart
    ]
