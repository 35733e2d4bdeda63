"""The Python environments of a reproduction: the recorded interpreter and packages, in a virtual environment here.

An environment is built once for its interpreter and pins, in the user's cache folder, and shared by whoever needs the
same. It is built in its final place (the scripts in it name that place) under a lock, and counts only once the file
that says so is written; half of one is thrown away. Names and versions come from records and are checked before an
installer sees them.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from collections.abc import Callable, Iterable
from typing import Literal, NamedTuple

from roar.errors import RoarError
from roar.git.locks import exclusive
from roar.hashing import digest_bytes
from roar.paths import below, cache_folder, from_fs, fs, is_safe_relative
from roar.records.job import Job, Package, Python
from roar.records.summary import UNLISTED_PACKAGES, printable
from roar.verbs.interpreters import Interpreter, clean_environment, find_interpreter
from roar.verbs.translate import Tools

_NAME = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?")
_VERSION = re.compile(r"[A-Za-z0-9][A-Za-z0-9.!+_-]*")
_URL = re.compile(r"(git\+)?https://[A-Za-z0-9][A-Za-z0-9._~:/?#@!&()*+,;=%-]*")
_INSTALLERS = ("pip", "setuptools", "wheel", "uv")
"""Part of nearly every environment; installed only when the job read them."""
_COMPLETE = "complete"
_PATIENCE_SECONDS = 3600.0
"""How long another process may take to build the same environment."""
_TELLING = ("Collecting ", "Building ", "Installing ", "Resolved ", "Prepared ", "Obtaining ")
"""What installers' lines begin with that tell how far they are."""

Progress = Callable[[str], None]
Mode = Literal["rebuild", "current"]


class Recipe(NamedTuple):
    """What an environment is made of. ``required`` are requirements that the job read, ``others`` that were there."""

    interpreter: Interpreter
    required: tuple[str, ...]
    others: tuple[str, ...]
    projects: tuple[str, ...] = ()
    """What is in the repository itself and installed from the work area: names of distributions that were installed
    to be edited, and paths that begin with ``./``."""

    @property
    def key(self) -> str:
        """The name of the environment: recipes of the same packages have the same, whichever of them were read."""
        packages = sorted({*self.required, *self.others})
        return self._named([*self.interpreter, "/", *packages, "/", *self.projects])

    @property
    def own_key(self) -> str:
        """The name of one in which nothing is missing that this job read."""
        return self._named([*self.interpreter, "/", *self.required, "/", *self.others, "/", *self.projects])

    @staticmethod
    def _named(parts: list[str]) -> str:
        return digest_bytes("\n".join(parts).encode())[:20]


class Built(NamedTuple):
    """An environment that can be used. ``left_out`` are the requirements that are not in it, ``remarks`` say why."""

    folder: str
    remarks: list[str]
    left_out: list[str]

    @property
    def programs(self) -> str:
        """The folder of its programs."""
        return os.path.join(self.folder, "bin")


class Planned(NamedTuple):
    """How a recorded Python is to be had: built by a recipe, else ``program``, which is here."""

    python: Python
    recipe: Recipe | None
    program: str = ""
    remark: str = ""


def planned(job: Job, mode: Mode, work_tree: str | None) -> list[Planned]:
    """How each Python of a job is to be had. Raises ``RoarError`` when one of them cannot.

    One that read no package and stood in no virtual environment may also be another version, which is remarked.
    """
    found = []
    if mode == "rebuild" and any(item.reason == UNLISTED_PACKAGES for item in job.left_out):
        raise RoarError("its packages were not recorded (roar.environment.packages was false)", "--env current")
    for python in job.environment.pythons:
        try:
            found.append(_at_hand(python, work_tree) if mode == "current" else _to_build(python))
        except RoarError as error:
            if mode == "current" or python.read or python.prefix:
                raise
            found.append(_at_hand(python, work_tree)._replace(remark=error.message))
    return found


def _to_build(python: Python) -> Planned:
    interpreter = find_interpreter(python)
    exact = interpreter.version == python.version
    remark = "" if exact else f"Python {interpreter.version} stands for the recorded {printable(python.version)}"
    return Planned(python, recipe(python, interpreter), remark=remark)


def _at_hand(python: Python, work_tree: str | None) -> Planned:
    """The recorded program where it is here too, also in the user's own work tree; else what is on PATH."""
    own = os.path.join(work_tree or "/", fs(python.executable))
    short = ".".join(python.version.split(".")[:2])
    for name in (own, f"python{short}", "python3", "python"):
        program = shutil.which(name)
        if program is not None:
            return Planned(python, None, program)
    raise RoarError("there is no Python on PATH", "roar reproduce --env rebuild")


def tools(wanted: Planned, tops: list[str], folder: str, progress: Progress) -> tuple[Tools, list[str]]:
    """The programs that stand for a recorded Python, built now when they have to be; and what is to be said of them.

    ``tops`` are the folders of the repositories that are checked out, our own first.

    Raises ``RoarError`` when they cannot be built.
    """
    remarks = [wanted.remark] if wanted.remark else []
    if wanted.recipe is None:
        return Tools(wanted.python, wanted.program, os.path.dirname(wanted.program)), remarks
    built = build(wanted.recipe, tops, folder, progress)
    program = os.path.join(built.programs, "python")
    return Tools(wanted.python, program, built.programs, built.folder), remarks + built.remarks


def recipe(python: Python, interpreter: Interpreter) -> Recipe:
    """The recipe for a recorded Python.

    Raises ``RoarError`` when the job read a package that cannot be had from an index or a https address.
    """
    required, projects = [], []
    for package in python.read:
        if package.source == "editable":
            projects.append(_checked(_NAME, package.name))
        elif package.source is not None and package.source.startswith("./"):
            projects.append(package.source.partition("#")[0])
        else:
            required.append(requirement(package))
    others = []
    # without a prefix they are the system's, not on an index; and who read none of them needs none of them
    for package in python.installed if python.prefix and python.read else ():
        plain = package.source is None or _URL.fullmatch(package.source)
        if plain and package.name.lower() not in _INSTALLERS:
            others.append(requirement(package))
    return Recipe(interpreter, tuple(sorted(required)), tuple(sorted(others)), tuple(sorted(projects)))


def requirement(package: Package) -> str:
    """The line that pins a package. Raises ``RoarError`` when there is none that may be given to an installer."""
    name = _checked(_NAME, package.name)
    if package.source is None:
        return f"{name}=={_checked(_VERSION, package.version)}"
    if not _URL.fullmatch(package.source) or "@-" in package.source:
        origin = f"{name} {printable(package.version)} was installed from {printable(package.source)}"
        raise RoarError(f"{origin}, which cannot be had from here", "install it by hand and use --env current")
    return f"{name} @ {package.source}"


def _checked(pattern: re.Pattern[str], text: str) -> str:
    if not pattern.fullmatch(text) or len(text) > 200:
        shown = repr(printable(text[:200]))
        raise RoarError(f"a record names a package that cannot exist: {shown}", "roar reproduce --env current")
    return text


def build(recipe: Recipe, tops: list[str], folder: str, progress: Progress) -> Built:
    """The environment of a recipe: as it is in the cache, else built now.

    With ``projects`` it is built in ``folder`` instead, from the sources in ``tops``, since it belongs to these
    files alone. ``progress`` gets lines for people. Raises ``RoarError`` when it cannot be built.
    """
    private = bool(recipe.projects)
    parent = folder if private else os.path.join(cache_folder(), "environments")
    built = _built(recipe, tops, os.path.join(parent, recipe.key), progress)
    if not set(recipe.required).isdisjoint(built.left_out):  # another job, which did not read these, did without them
        built = _built(recipe, tops, os.path.join(parent, recipe.own_key), progress)
    return built


def _built(recipe: Recipe, tops: list[str], place: str, progress: Progress) -> Built:
    """The environment in a place, built now if it is not there."""
    try:
        os.makedirs(os.path.dirname(place), exist_ok=True)
    except OSError as error:
        raise RoarError(f"cannot make an environment in {place}: {error.strerror}", "set XDG_CACHE_HOME") from error
    with exclusive(place + ".lock", _PATIENCE_SECONDS):
        built = _known(place)
        if built is None:
            count = len(recipe.required) + len(recipe.others)
            progress(f"building an environment: {recipe.interpreter.words}, {count} packages")
            try:
                built = _build(recipe, tops, place, progress)
            except BaseException:
                shutil.rmtree(place, ignore_errors=True)
                raise
    return built


def _known(place: str) -> Built | None:
    """The finished environment in a place, or None; what is half finished is removed."""
    try:
        with open(os.path.join(place, _COMPLETE), encoding="utf-8") as file:
            known = json.load(file)
        return Built(place, list(map(str, known["remarks"])), list(map(str, known["left_out"])))
    except (OSError, ValueError, TypeError, KeyError):
        shutil.rmtree(place, ignore_errors=True)
        return None


def _build(recipe: Recipe, tops: list[str], place: str, progress: Progress) -> Built:
    found = shutil.which("uv")
    for uv in [found, None] if found else [None]:
        shutil.rmtree(place, ignore_errors=True)
        try:
            built = Built(place, *_fill(recipe, tops, place, uv, progress))
            break
        except RoarError as error:
            if uv is None:
                raise
            progress(f"{error.message}; once more with pip")  # uv reads another configuration of indexes than pip
    with open(os.path.join(place, _COMPLETE), "w", encoding="utf-8") as file:
        json.dump({"remarks": built.remarks, "left_out": built.left_out}, file)
    return built


def _fill(
    recipe: Recipe, tops: list[str], place: str, uv: str | None, progress: Progress
) -> tuple[list[str], list[str]]:
    """Make the environment and install what it is made of; gives remarks, and the requirements that are left out."""
    interpreter = recipe.interpreter.path
    if uv:
        _run([uv, "venv", "--quiet", "--no-project", f"--python={interpreter}", place], place, progress)
        install = [uv, "pip", "install", "--compile-bytecode", f"--python={place}/bin/python", "--no-deps"]
    else:
        _run([interpreter, "-m", "venv", place], place, progress)
        install = [
            f"{place}/bin/python",
            "-m",
            "pip",
            "--no-input",
            "--disable-pip-version-check",
            "install",
            "--no-deps",
        ]
    if recipe.required:
        _run([*install, "-r", _listed(place, recipe.required)], place, progress)
    for name in recipe.projects:
        where = [_inside(tops[0], name)] if name.startswith("./") else ["-e", _project(tops, name)]
        _run([*install, *where], place, progress)
    if recipe.others:
        try:
            _run([*install, "-r", _listed(place, recipe.others)], place, progress)
        except RoarError as error:
            count = f"{len(recipe.others)} package{'s' * (len(recipe.others) != 1)}"
            return [f"{count} that the job did not read are left out: {error.message}"], list(recipe.others)
    return [], []


def _listed(place: str, requirements: Iterable[str]) -> str:
    path = os.path.join(place, "requirements.txt")
    with open(path, "w", encoding="utf-8") as file:
        file.writelines(f"{line}\n" for line in requirements)
    return path


def _inside(area: str, path: str) -> str:
    """The folder or archive in the work area that a package was installed from. Raises ``RoarError``."""
    inside = path.removeprefix("./").rstrip("/")
    found = os.path.realpath(os.path.join(area, fs(inside))) if not inside or is_safe_relative(inside) else ""
    if not os.path.exists(found) or below(from_fs(found), area) is None:
        raise RoarError(
            f"{printable(path)}, which a package was installed from, is not in the commit", "use --env current"
        )
    return found


def _project(tops: list[str], name: str) -> str:
    """The folder in one of the repositories that holds the source of a distribution. Raises ``RoarError``."""
    wanted = _normal(name)
    for top in tops:
        for folder, folders, files in os.walk(top):
            folders[:] = [f for f in folders if not f.startswith(".") and f not in ("node_modules", "build", "dist")]
            if folder.count(os.sep) - top.count(os.sep) > 3:
                folders.clear()
            for file in ("pyproject.toml", "setup.cfg", "setup.py"):
                if file in files and wanted in _names_in(os.path.join(folder, file)):
                    return folder
    raise RoarError(f"{name} was installed from a folder that is not in a recorded repository", "use --env current")


def _names_in(path: str) -> set[str]:
    """The names that a project's file gives, read without running it."""
    with open(path, encoding="utf-8", errors="replace") as file:
        text = file.read(1 << 20)
    return {_normal(m) for m in re.findall(r"""^[\s\w.(]*?\bname\s*=\s*["']?([\w.-]+)""", text, re.MULTILINE)}


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def _run(words: list[str], place: str, progress: Progress) -> None:
    """Run an installer, its lines to ``progress``. Raises ``RoarError`` with the line that says why it failed."""
    said: list[str] = []
    try:
        with subprocess.Popen(
            words,
            cwd=os.path.dirname(place),
            env=clean_environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
        ) as installer:
            assert installer.stdout
            try:
                for line in installer.stdout:
                    said.append(line.strip())
                    if line.startswith(_TELLING):
                        progress(printable(line.strip().partition(" (from ")[0]))
            except BaseException:
                installer.kill()
                raise
    except OSError as error:
        raise RoarError(f"{words[0]} cannot be run: {error.strerror}") from error
    if installer.returncode:
        telling = [line for line in said if line.lower().startswith(("error", "×")) or "ensurepip" in line]
        why = printable((telling or said or ["it failed without a word"])[0])
        raise RoarError(f"the environment cannot be built: {why}", "install what it needs, or use --env current")
