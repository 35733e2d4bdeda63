"""The interpreters that a job executed: programs named ``python...`` or ``pypy...`` that came with their library.

Every start of one reads ``encodings``. What the tracer cannot know, its version and where its library is, the
interpreter is asked itself, once: it is run after the job has ended, isolated, without site packages, and the answer is
remembered by the stat of its file.
"""

from __future__ import annotations

import os
import re
from typing import NamedTuple

from roar.paths import below
from roar.stamps import Stamps

_NAME = re.compile(r"(?:python|pypy)[0-9.]*[a-z]{0,3}(?:-dbg|-intel64)?")
_QUESTION = (
    "import sys;i=getattr(sys,'implementation',None);"
    "print('\\n'.join([sys.version.split()[0],i.name if i else 'cpython',getattr(sys,'base_prefix',sys.prefix),"
    "sys.modules['encodings'].__file__]))"
)
_PATIENCE_S = 10


class Facts(NamedTuple):
    """What an interpreter says of itself. ``stdlib`` is the resolved folder of its standard library."""

    version: str
    implementation: str
    base_prefix: str
    stdlib: str


class Executed(NamedTuple):
    """One interpreter in one environment. ``sites`` are its own package folders, resolved, in their order."""

    executable: str
    facts: Facts
    venv: str | None
    sites: list[str]

    @property
    def prefix(self) -> str:
        return os.path.realpath(self.venv or self.facts.base_prefix)


def executed(programs: list[tuple[str, str]], read: list[str], stdlibs: set[str], memo: Stamps) -> list[Executed]:
    """One for each interpreter and environment."""
    found: dict[tuple[str, str | None], Executed] = {}
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
            found[path, venv] = Executed(name, facts, venv, _own_sites(facts, venv))
    return list(found.values())


def _name(asked: str, path: str) -> str | None:
    """The name by which a Python was started, from the ``#!`` line when it was a script; None when it is none."""
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


def _facts(path: str, stdlibs: set[str], memo: Stamps) -> Facts | None:
    """What the interpreter says of itself; when it does not answer, what its library's name says."""
    try:
        stat = os.stat(path)
    except OSError:
        return _guess(path, stdlibs)
    state = f"python 1 {stat.st_dev} {stat.st_ino} {stat.st_size} {stat.st_mtime_ns} {stat.st_ctime_ns}"
    known = memo.recall(f"python {path}")
    if known is not None and known.startswith(state + "\n"):
        return Facts(*known.split("\n")[1:])
    facts = _ask(path)
    if facts is None:
        return _guess(path, stdlibs)
    memo.remember(f"python {path}", "\n".join([state, *facts]))
    return facts


def _ask(path: str) -> Facts | None:
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
    return Facts(version, implementation, prefix, os.path.realpath(os.path.dirname(os.path.dirname(encodings))))


def _guess(path: str, stdlibs: set[str]) -> Facts | None:
    """The facts of an interpreter that cannot be asked, when a library beside it was read."""
    base = os.path.dirname(os.path.dirname(path))
    for stdlib in sorted(stdlibs):
        found = re.fullmatch(r"(python|pypy)(\d+\.\d+)t?", os.path.basename(stdlib))
        if found and below(stdlib, base) is not None:
            return Facts(found[2], "pypy" if found[1] == "pypy" else "cpython", base, stdlib)
    return None


def _venv(name: str) -> str | None:
    """The virtual environment of an interpreter started by this name: pyvenv.cfg beside it or above (PEP 405)."""
    folder = os.path.dirname(name)
    for place in (folder, os.path.dirname(folder)):
        if os.path.isfile(os.path.join(place, "pyvenv.cfg")):
            return place
    return None


def _venv_of(path: str, configs: list[str]) -> tuple[str, str | None]:
    """The environment whose configuration was read and whose interpreter is ``path``, when the name tells nothing."""
    for folder in configs:
        for name in dict.fromkeys((os.path.basename(path), "python", "python3")):
            executable = os.path.join(folder, "bin", name)
            if os.path.realpath(executable) == path:
                return executable, folder
    return path, None


def _own_sites(facts: Facts, venv: str | None) -> list[str]:
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
