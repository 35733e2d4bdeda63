"""Finding an interpreter of the recorded version on this machine: on PATH, and where version managers put them."""

from __future__ import annotations

import functools
import glob
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from typing import NamedTuple

from roar.errors import RoarError
from roar.records.job import Python
from roar.records.summary import printable

_MANAGED = (
    "~/.pyenv/versions/*/bin",
    "~/.local/share/uv/python/*/bin",
    "~/.local/share/mise/installs/python/*/bin",
    "~/.asdf/installs/python/*/bin",
    "/opt/python/*/bin",
)
_QUESTION = "import platform as p; print(p.python_implementation(), p.python_version())"
_NOT_FOR_PYTHON = (
    "PYTHONPATH", "PYTHONHOME", "PYTHONSTARTUP", "PYTHONUSERBASE", "PYTHONEXECUTABLE", "PYTHONPLATLIBDIR",
    "__PYVENV_LAUNCHER__", "VIRTUAL_ENV", "CONDA_PREFIX", "CONDA_DEFAULT_ENV",
    "PIP_TARGET", "PIP_PREFIX", "PIP_ROOT", "PIP_USER", "PIP_PYTHON", "PIP_REQUIRE_VIRTUALENV", "PIP_DRY_RUN",
    "UV_PROJECT_ENVIRONMENT", "UV_PYTHON", "UV_SYSTEM_PYTHON", "UV_TARGET",
)  # fmt: skip


_OF_GIT = (
    "GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_COMMON_DIR", "GIT_OBJECT_DIRECTORY",
    "GIT_ALTERNATE_OBJECT_DIRECTORIES", "GIT_NAMESPACE", "GIT_PREFIX",
)  # fmt: skip


class Interpreter(NamedTuple):
    """A Python on this machine."""

    path: str
    implementation: str
    version: str

    @property
    def words(self) -> str:
        """Its name for people."""
        return f"{self.implementation} {self.version}"


def clean_environment(*, of_python: bool = True) -> dict[str, str]:
    """Our own environment without what turns git to another repository.

    With ``of_python`` also without what makes a Python, or its installers, use modules and folders from elsewhere.
    """
    unwanted = {*_OF_GIT, *(_NOT_FOR_PYTHON if of_python else ())}
    return {k: v for k, v in os.environ.items() if k not in unwanted}


def nearest(python: Python) -> Interpreter | None:
    """The interpreter of the recorded version that is on this machine, else the newest of the same minor version."""
    return _find(python.version, python.implementation)


def not_here(python: Python) -> RoarError:
    """That there is none, and what to do."""
    short = ".".join(python.version.split(".")[:2])
    said = f"no {python.implementation} {short} is on this machine; the job ran on {python.version}"
    return RoarError(printable(said), "--env current, or install it (with uv on PATH it is obtained)")


@functools.lru_cache(maxsize=64)
def can_be_obtained(wanted: Interpreter) -> bool:
    """True when uv knows where to download this version from. Nothing is downloaded."""
    asked = _request(wanted)
    return bool(asked and _uv("list", "--only-downloads", "--all-versions", asked).stdout.strip())


def obtain(wanted: Interpreter, progress: Callable[[str], None]) -> Interpreter:
    """Download a version through uv, which keeps it. Raises ``RoarError`` with uv's reason. It is tried once."""
    if wanted not in _tried:
        progress(f"obtaining {wanted.words} through uv")
        try:
            _tried[wanted] = _obtain(wanted)
        except RoarError as error:
            _tried[wanted] = error
    found = _tried[wanted]
    if isinstance(found, RoarError):
        raise found
    return found


_tried: dict[Interpreter, Interpreter | RoarError] = {}


def _obtain(wanted: Interpreter) -> Interpreter:
    asked = _request(wanted)
    done = _uv("install", "--no-bin", asked)
    found = _uv("find", "--no-project", "--managed-python", asked).stdout.split("\n")[0] if not done.returncode else ""
    known = _ask(found) if found else None
    if known is None or known.version != wanted.version:
        said = [line.strip() for line in done.stderr.splitlines() if line.strip()]
        why = next((line for line in said if line.startswith(("error", "cause:"))), (said or ["without a word"])[0])
        raise RoarError(
            f"{wanted.words} is not on this machine, and uv cannot obtain it: {printable(why)}",
            "install it, or use --env current",
        )
    return known


def _request(wanted: Interpreter) -> str:
    """A version as uv takes it; "" for what is none. It comes from a record."""
    kind = wanted.implementation.lower()
    is_plain = re.fullmatch(r"[0-9]+\.[0-9]+\.[0-9]+((a|b|rc)[0-9]+)?", wanted.version)
    return f"{kind}@{wanted.version}" if is_plain and kind in ("cpython", "pypy") else ""


def _uv(*words: str) -> subprocess.CompletedProcess[str]:
    """``uv python WORDS``; as if it had failed when there is no uv."""
    uv = shutil.which("uv")
    if uv is None:
        return subprocess.CompletedProcess(words, 1, "", "there is no uv on PATH")
    call = [uv, "python", *words]
    return subprocess.run(call, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL)


@functools.lru_cache(maxsize=64)  # many steps share one
def _find(version: str, implementation: str) -> Interpreter | None:
    short = ".".join(version.split(".")[:2])
    best: Interpreter | None = None
    for path in _candidates(short, version, implementation):
        found = _ask(path)
        if found is None or found.implementation.lower() != implementation.lower():
            continue
        if found.version == version:
            return found
        if found.version.startswith(short + ".") and (best is None or _order(found) > _order(best)):
            best = found
    return best


def _candidates(short: str, version: str, implementation: str) -> Iterator[str]:
    """Programs that may be it, each once, the likely ones first."""
    if not short.replace(".", "").isalnum():  # from a record: it becomes part of file names
        return
    stem = "pypy" if implementation.lower() == "pypy" else "python"
    folders = [f for f in os.environ.get("PATH", "").split(os.pathsep) if f]
    root = os.environ.get("PYENV_ROOT")
    managed = [os.path.join(root, "versions/*/bin")] if root else []
    for pattern in [*managed, *_MANAGED]:
        folders += sorted(glob.glob(os.path.expanduser(pattern)), reverse=True)
    paths = [os.path.join(f, stem + short) for f in folders] + [sys.executable]
    paths += [os.path.join(f, name) for f in folders for name in (stem + "3", stem)]
    seen = set()
    for path in paths:
        real = os.path.realpath(path)
        if os.access(path, os.X_OK) and real not in seen:
            # a shim of a version manager is one file for many versions
            seen.add(real if os.path.basename(real).startswith(stem) else path)
            yield path
    yield from _of_uv(version)


def _of_uv(version: str) -> list[str]:
    if not version.replace(".", "").isalnum():
        return []
    done = _uv("find", "--no-project", "--no-python-downloads", "--", version)
    return done.stdout.split("\n")[:1] if done.returncode == 0 else []


def _ask(path: str) -> Interpreter | None:
    """What the interpreter says of itself, or None when it does not run."""
    words = [path, "-I", "-S", "-c", _QUESTION]
    try:
        done = subprocess.run(words, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL, timeout=20)
    except (OSError, subprocess.TimeoutExpired):
        return None
    said = done.stdout.split()
    return Interpreter(path, *said) if done.returncode == 0 and len(said) == 2 else None


def _order(found: Interpreter) -> tuple[int, ...]:
    return tuple(int(part) for part in found.version.split(".") if part.isdigit())
