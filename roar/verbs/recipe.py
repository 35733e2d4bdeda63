"""What a recorded Python environment is made of, as lines for an installer.

Names, versions and URLs come from records and are checked before an installer sees them.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping
from typing import NamedTuple
from urllib.parse import unquote

from roar.errors import RoarError
from roar.hashing import digest_bytes
from roar.records.job import CondaPackage, Package, Python
from roar.records.summary import printable
from roar.verbs.interpreters import Interpreter
from roar.verbs.lockfiles import normal

_NAME = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?")
_VERSION = re.compile(r"[A-Za-z0-9][A-Za-z0-9.!+_-]*")
_CHARACTERS = r"[A-Za-z0-9._~:/?#@!&()*+,;=%-]*"
_URL = re.compile(
    rf"(git\+)?https://[A-Za-z0-9]{_CHARACTERS}|git\+(ssh://|file:///)[A-Za-z0-9]{_CHARACTERS}@[0-9a-f]{{40,64}}(#[\w=&/.-]+)?"
)
_ARCHIVE = re.compile(r"file://(/[\w./+%-]+\.(whl|tar\.gz|zip))(#(?:.*&)?sha256=[0-9a-f]{64})?")
_CONDA_URL = re.compile(rf"(https://[A-Za-z0-9]|file:///){_CHARACTERS}\.(conda|tar\.bz2)")
_INSTALLERS = ("pip", "setuptools", "wheel", "uv")
"""Part of nearly every environment; installed only when the job read them."""


class Recipe(NamedTuple):
    """What an environment is made of. ``required`` are requirements that the job read, ``others`` that were there."""

    interpreter: Interpreter
    """Its path is "" when it is yet to be obtained, or comes with conda."""
    required: tuple[str, ...]
    others: tuple[str, ...]
    projects: tuple[str, ...] = ()
    """What is in the repositories themselves and installed from the work area: names of distributions that were
    installed to be edited, and paths that begin with ``./``."""
    hashes: tuple[tuple[str, tuple[str, ...]], ...] = ()
    """The SHA-256 of archives that may be installed for a requirement, of those for which they are known."""
    conda: tuple[str, ...] = ()
    """URLs of conda packages with ``#`` and their MD5: what ``conda create --file`` calls explicit."""

    @property
    def key(self) -> str:
        """The name of the environment: recipes of the same packages have the same, whichever of them were read."""
        packages = sorted({*self.required, *self.others})
        return self._named([*self.interpreter, "/", *packages, "/", *self.projects])

    @property
    def own_key(self) -> str:
        """The name of one in which nothing is missing that this job read."""
        return self._named([*self.interpreter, "/", *self.required, "/", *self.others, "/", *self.projects])

    def by_hash(self, lines: Iterable[str]) -> list[tuple[str, list[str]]]:
        """Requirements as calls of an installer want them: its option, and lines. Those whose hashes are known come
        apart, since pip takes either only such or none.
        """
        known = dict(self.hashes)
        hashed = [line + "".join(f" --hash=sha256:{h}" for h in known[line]) for line in lines if line in known]
        calls = [("--require-hashes", hashed), ("", [line for line in lines if line not in known])]
        return [(option, some) for option, some in calls if some]

    def _named(self, parts: list[str]) -> str:
        more = [f"{line} {' '.join(hashes)}" for line, hashes in self.hashes] + list(self.conda)
        return digest_bytes("\n".join([*parts, *more]).encode())[:20]


def recipe(python: Python, interpreter: Interpreter, locked: Mapping[tuple[str, str], tuple[str, ...]]) -> Recipe:
    """The recipe for a recorded Python. ``locked`` are the hashes that lock files give.

    Raises ``RoarError`` when the job read a package that cannot be had from an index or an address.
    """
    hashes: dict[str, tuple[str, ...]] = {}

    def line(package: Package) -> str:
        text = requirement(package)
        own = re.search(r"#(?:.*&)?sha256=([0-9a-f]{64})", package.source or "")
        known = (own[1],) if own else locked.get((normal(package.name), package.version), ())
        if known and "==" in text:
            hashes[text] = known
        return text

    required, projects = [], []
    for package in python.read:
        if package.source == "editable":
            projects.append(_checked(_NAME, package.name))
        elif package.source is not None and package.source.startswith("./"):
            projects.append(package.source.partition("#")[0])
        elif not (package.source == "conda" and python.conda):
            required.append(line(package))
    others = []
    # without a prefix they are the system's, not on an index; and who read none of them needs none of them
    for package in python.installed if python.prefix and python.read else ():
        plain = package.source is None or _URL.fullmatch(package.source)
        if plain and package.name.lower() not in _INSTALLERS:
            others.append(line(package))
    read, there, own = (tuple(sorted(lines)) for lines in (required, others, projects))
    return Recipe(interpreter, read, there, own, tuple(sorted(hashes.items())), explicit(python.conda))


def requirement(package: Package) -> str:
    """The line that pins a package. Raises ``RoarError`` when there is none that may be given to an installer."""
    name = _checked(_NAME, package.name)
    pinned = f"{name}=={_checked(_VERSION, package.version)}"
    source = package.source
    if source is None:
        return pinned
    archive = _ARCHIVE.fullmatch(source)
    if archive and os.path.isfile(unquote(archive[1])):  # an installer compares its bytes with the hash
        return f"{name} @ {source}"
    if archive and archive[3]:
        return pinned  # that very archive, from wherever an installer finds it
    if not _URL.fullmatch(source) or "@-" in source:
        origin = f"{name} {printable(package.version)} was installed from {printable(source)}"
        raise RoarError(f"{origin}, which cannot be had from here", "install it by hand and use --env current")
    return source if source.startswith("git+file:") else f"{name} @ {source}"  # pip wants a host after a name


def _checked(pattern: re.Pattern[str], text: str) -> str:
    if not pattern.fullmatch(text) or len(text) > 200:
        shown = repr(printable(text[:200]))
        raise RoarError(f"a record names a package that cannot exist: {shown}", "roar reproduce --env current")
    return text


def explicit(packages: Iterable[CondaPackage]) -> tuple[str, ...]:
    """The lines of a conda environment's explicit specification. Raises ``RoarError`` for what can be none."""
    lines = []
    for package in packages:
        url, digest = package.url or "", package.md5 or ""
        if not _CONDA_URL.fullmatch(url) or not re.fullmatch(r"[0-9a-f]{32}|", digest):
            name = printable(f"{package.name} {package.version}")
            raise RoarError(f"the conda package {name} has no address in the record", "use --env current")
        lines.append(f"{url}#{digest}" if digest else url)
    return tuple(lines)
