"""The Pythons that a job ran, and of their packages those that it read.

An interpreter is a program named ``python...`` or ``pypy...`` that came with its standard library: every
start of one reads ``encodings``. What the tracer cannot know, its version and where its library is, the
interpreter is asked itself, once: it is run after the job has ended, isolated, without site packages, and
the answer is remembered by the stat of its file.

The packages are those of which the job read a file, not those that are installed. Nothing of the packages is
imported or run.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from typing import NamedTuple

from roar.environment.packages import METADATA, Distribution, Site, normalised, site
from roar.paths import below, from_fs
from roar.records.job import Package, Python
from roar.stamps import Stamps

_NAME = re.compile(r"(?:python|pypy)[0-9.]*[a-z]{0,3}(?:-dbg|-intel64)?")
_FOLDERS = ("/site-packages/", "/dist-packages/")
_CODE = (".py", ".pyc", ".so", ".pyd")
_QUESTION = (
    "import sys;i=getattr(sys,'implementation',None);"
    "print('\\n'.join([sys.version.split()[0],i.name if i else 'cpython',getattr(sys,'base_prefix',sys.prefix),"
    "sys.modules['encodings'].__file__]))"
)
_PATIENCE_S = 10
_SHARED_PREFIXES = ("/", "/usr", "/usr/local")
"""Prefixes under which others install, too."""
_NAMES = {"cpython": "CPython", "pypy": "PyPy", "graalpy": "GraalVM"}
"""As ``platform.python_implementation`` spells them."""


class Pythons(NamedTuple):
    """The interpreters of a job, and the folders whose files are theirs rather than the job's own."""

    pythons: list[Python]
    package_folders: list[str]


class _Facts(NamedTuple):
    """What an interpreter says of itself. ``stdlib`` is the resolved folder of its standard library."""

    version: str
    implementation: str
    base_prefix: str
    stdlib: str


class _Interpreter(NamedTuple):
    """One interpreter in one environment. ``sites`` are its own package folders, resolved, in their order."""

    executable: str
    facts: _Facts
    venv: str | None
    sites: list[str]

    @property
    def prefix(self) -> str:
        return os.path.realpath(self.venv or self.facts.base_prefix)


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
    found = _interpreters(sorted(set(programs)), read, stdlibs, memo) if stdlibs else []
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
        pythons.append(_python(each, packages, root))
    return Pythons(pythons, folders)


def _python(each: _Interpreter, packages: tuple[list[Package], list[Package]], root: str | None) -> Python:
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
    )


def _relative(path: str, root: str | None) -> str:
    inside = None if root is None else below(path, root)
    return from_fs(path if inside is None else inside or ".")


# The interpreters


def _interpreters(
    programs: list[tuple[str, str]], read: list[str], stdlibs: set[str], memo: Stamps
) -> list[_Interpreter]:
    """One for each interpreter and environment."""
    found: dict[tuple[str, str | None], _Interpreter] = {}
    configs = [path.rpartition("/")[0] for path in read if path.endswith("/pyvenv.cfg")]
    for asked, path in programs:
        name = _name(asked, path)
        if name is None or not _is_native(path):
            continue
        facts = _facts(path, stdlibs, memo)
        if facts is None or facts.stdlib not in stdlibs:
            continue
        venv = _venv(name)
        if venv is None and name == path != asked:
            name, venv = _venv_of(path, configs)
        known = found.get((path, venv))
        if known is None or len(name) < len(known.executable):
            found[path, venv] = _Interpreter(name, facts, venv, _own_sites(facts, venv))
    return list(found.values())


def _name(asked: str, path: str) -> str | None:
    """The name by which a Python was started, from the ``#!`` line when it was a script; None when it is
    none.
    """
    if not _NAME.fullmatch(os.path.basename(path)):
        return None
    if _NAME.fullmatch(os.path.basename(asked)) and os.path.isabs(asked):
        return os.path.normpath(asked)
    try:
        with open(asked, "rb") as file:
            first = file.readline(512)
    except OSError:
        first = b""
    words = os.fsdecode(first[2:]).split() if first.startswith(b"#!") else []
    if words and os.path.isabs(words[0]) and _NAME.fullmatch(os.path.basename(words[0])):
        return os.path.normpath(words[0])
    return path


def _is_native(path: str) -> bool:
    """Whether the file is a program rather than a script that stands in for one."""
    try:
        with open(path, "rb") as file:
            return file.read(2) != b"#!"
    except OSError:
        return True  # gone since; what it was can still be told from its library


def _facts(path: str, stdlibs: set[str], memo: Stamps) -> _Facts | None:
    """What the interpreter says of itself; when it does not answer, what its library's name says."""
    try:
        stat = os.stat(path)
    except OSError:
        return _guess(path, stdlibs)
    state = f"python 1 {stat.st_dev} {stat.st_ino} {stat.st_size} {stat.st_mtime_ns} {stat.st_ctime_ns}"
    known = memo.recall(f"python {path}")
    if known is not None and known.startswith(state + "\n"):
        return _Facts(*known.split("\n")[1:])
    facts = _ask(path)
    if facts is None:
        return _guess(path, stdlibs)
    memo.remember(f"python {path}", "\n".join([state, *facts]))
    return facts


def _ask(path: str) -> _Facts | None:
    """Runs the interpreter: no user's files, no site packages, no byte code written, in a folder without
    modules.

    ``-E -s`` rather than ``-I``, which Python 2 does not know.
    """
    import subprocess  # 9 ms, once for an interpreter

    call = [path, "-E", "-s", "-S", "-B", "-c", _QUESTION]
    try:
        done = subprocess.run(
            call, stdin=subprocess.DEVNULL, capture_output=True, cwd="/", timeout=_PATIENCE_S, check=False
        )
    except (OSError, subprocess.SubprocessError):
        return None
    lines = os.fsdecode(done.stdout).split("\n")
    if done.returncode != 0 or len(lines) != 5:
        return None
    version, implementation, prefix, encodings, _ = lines
    return _Facts(version, implementation, prefix, os.path.realpath(os.path.dirname(os.path.dirname(encodings))))


def _guess(path: str, stdlibs: set[str]) -> _Facts | None:
    """The facts of an interpreter that cannot be asked, when a library beside it was read."""
    base = os.path.dirname(os.path.dirname(path))
    for stdlib in sorted(stdlibs):
        found = re.fullmatch(r"(python|pypy)(\d+\.\d+)t?", os.path.basename(stdlib))
        if found and below(stdlib, base) is not None:
            return _Facts(found[2], "pypy" if found[1] == "pypy" else "cpython", base, stdlib)
    return None


def _venv(name: str) -> str | None:
    """The virtual environment of an interpreter started by this name: pyvenv.cfg beside it or above (PEP
    405).
    """
    folder = os.path.dirname(name)
    for place in (folder, os.path.dirname(folder)):
        if os.path.isfile(os.path.join(place, "pyvenv.cfg")):
            return place
    return None


def _venv_of(path: str, configs: list[str]) -> tuple[str, str | None]:
    """The environment whose configuration was read and whose interpreter is ``path``, when the name tells
    nothing.
    """
    for folder in configs:
        for name in dict.fromkeys((os.path.basename(path), "python", "python3")):
            executable = os.path.join(folder, "bin", name)
            if os.path.realpath(executable) == path:
                return executable, folder
    return path, None


def _own_sites(facts: _Facts, venv: str | None) -> list[str]:
    """The package folders that the interpreter looks into by itself and that exist, resolved."""
    library = os.path.basename(facts.stdlib)
    names = [os.path.join(venv, lib, library, "site-packages") for lib in ("lib", "lib64")] if venv else []
    if venv is None or _sees_system(venv):
        base = facts.base_prefix
        names += [os.path.join(base, lib, library, "site-packages") for lib in ("lib", "lib64")]
        names += [os.path.join(facts.stdlib, "site-packages")]
        # Debian: what apt installs, and what pip does.
        names += [
            os.path.join(base, "local/lib", library, "dist-packages"),
            os.path.join(base, "lib/python3/dist-packages"),
        ]
    return list(dict.fromkeys(os.path.realpath(name) for name in names if os.path.isdir(name)))


def _sees_system(venv: str) -> bool:
    try:
        with open(os.path.join(venv, "pyvenv.cfg"), encoding="utf-8", errors="replace") as lines:
            settings = {
                key.strip().lower(): value.strip().lower() for key, _, value in (x.partition("=") for x in lines)
            }
    except OSError:
        return False
    return settings.get("include-system-site-packages") == "true"


# Their packages


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


def _users(folder: str, found: list[_Interpreter]) -> list[int]:
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
    """The packages that were read, and the others; of several with one name the first, or the one that was
    read.
    """
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


def _package_folders(found: list[_Interpreter], sites: dict[str, Site | None], root: str | None) -> list[str]:
    """The folders of the standard libraries, packages and environments; none of them within another.

    An environment around the work tree, or made in it, would swallow it: then only its inner folders count. An
    interpreter with an installation folder of its own (not the system's) has its program and libraries there.
    """
    folders = set(sites)
    for each in found:
        base = os.path.realpath(each.facts.base_prefix)
        if base not in _SHARED_PREFIXES:
            folders.update(os.path.join(base, name) for name in ("bin", "lib", "include"))
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
