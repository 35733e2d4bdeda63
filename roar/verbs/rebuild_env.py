"""The Python environments of a reproduction: the recorded interpreter and packages, in an environment here.

An environment is built once for its interpreter and pins, in the user's cache folder, and shared by whoever needs the
same. It is built in its final place (the scripts in it name that place) under a lock, and counts only once the file
that says so is written; half of one is thrown away.
"""

from __future__ import annotations

import json
import os
import shutil
from typing import NamedTuple

from roar.errors import RoarError
from roar.git.locks import exclusive
from roar.paths import cache_folder, fs
from roar.records.job import Job, Python
from roar.records.summary import UNLISTED_PACKAGES, printable
from roar.verbs import interpreters
from roar.verbs.installing import NO_CONDA, Progress, conda_tool, fill
from roar.verbs.interpreters import Interpreter
from roar.verbs.lockfiles import Hashes
from roar.verbs.recipe import Recipe, recipe
from roar.verbs.translate import Tools

_COMPLETE = "complete"
_PATIENCE_SECONDS = 3600.0
"""How long another process may take to build the same environment."""

Mode = str
"""``rebuild``, ``current``, or the absolute path of a Python or of an environment that is to be used."""


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
    instead: Interpreter | None = None
    """What is taken when the recipe's interpreter, which is yet to be obtained, cannot be."""


def planned(job: Job, mode: Mode, work_tree: str | None, locked: Hashes) -> list[Planned]:
    """How each Python of a job is to be had. Raises ``RoarError`` when one of them cannot.

    ``locked`` are the hashes that lock files give. One that read no package and stood in no virtual environment may
    also be another version, which is remarked.
    """
    found = []
    if mode == "rebuild" and any(item.reason == UNLISTED_PACKAGES for item in job.left_out):
        raise RoarError("its packages were not recorded (roar.environment.packages was false)", "--env current")
    for python in job.environment.pythons:
        try:
            found.append(_to_build(python, locked) if mode == "rebuild" else _at_hand(python, mode, work_tree))
        except RoarError as error:
            if mode != "rebuild" or python.read or python.prefix:
                raise
            found.append(_at_hand(python, "current", work_tree)._replace(remark=error.message))
    return found


def _to_build(python: Python, locked: Hashes) -> Planned:
    if python.conda:
        if conda_tool() is None:
            raise RoarError(*NO_CONDA)
        return Planned(python, recipe(python, Interpreter("", python.implementation, python.version), locked))
    near = interpreters.nearest(python)
    if near is not None and near.version == python.version:
        return Planned(python, recipe(python, near, locked))
    exact = Interpreter("", python.implementation, python.version)
    if interpreters.can_be_obtained(exact):
        return Planned(python, recipe(python, exact, locked), remark="to be obtained through uv", instead=near)
    if near is None:
        raise interpreters.not_here(python)
    return Planned(python, recipe(python, near, locked), remark=_stands_for(near, python))


def _stands_for(near: Interpreter, python: Python) -> str:
    return f"Python {near.version} stands for the recorded {printable(python.version)}"


def _at_hand(python: Python, mode: Mode, work_tree: str | None) -> Planned:
    """The recorded program where it is here too, also in the user's own work tree; else what is on PATH."""
    if mode != "current":
        program = mode if os.path.isfile(mode) else os.path.join(mode, "bin", "python")
        if not os.access(program, os.X_OK):
            raise RoarError(f"{printable(mode)} is neither a Python nor an environment", "--env rebuild")
        return Planned(python, None, program)
    own = os.path.join(work_tree or "/", fs(python.executable))
    short = ".".join(python.version.split(".")[:2])
    for name in (own, f"python{short}", "python3", "python"):
        program = shutil.which(name) or ""
        if program:
            return Planned(python, None, program)
    raise RoarError("there is no Python on PATH", "roar reproduce --env rebuild")


def tools(wanted: Planned, tops: list[str], folder: str, progress: Progress) -> tuple[Tools, list[str]]:
    """The programs that stand for a recorded Python, built now when they have to be; and what is to be said of them.

    ``tops`` are the folders of the repositories that are checked out, our own first. Raises ``RoarError`` when they
    cannot be built.
    """
    made_of, remarks = wanted.recipe, [wanted.remark] if wanted.remark else []
    if made_of is None:
        programs = os.path.dirname(wanted.program)
        around = os.path.dirname(programs)
        own = around if os.path.exists(os.path.join(around, "pyvenv.cfg")) else None
        return Tools(wanted.python, wanted.program, programs, own), remarks
    if not made_of.interpreter.path and not made_of.conda:
        interpreter, remarks = _obtained(wanted, made_of.interpreter, progress)
        made_of = made_of._replace(interpreter=interpreter)
    built = build(made_of, tops, folder, progress)
    program = os.path.join(built.programs, "python")
    return Tools(wanted.python, program, built.programs, built.folder), remarks + built.remarks


def _obtained(wanted: Planned, exact: Interpreter, progress: Progress) -> tuple[Interpreter, list[str]]:
    """The interpreter through uv; else the one that stands for it, and what is to be said of that."""
    try:
        return interpreters.obtain(exact, progress), []
    except RoarError as error:
        if wanted.instead is None:
            raise
        remark = f"{_stands_for(wanted.instead, wanted.python)}; {error.message}"
        progress(remark)
        return wanted.instead, [remark]


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
            count = len(recipe.required) + len(recipe.others) + len(recipe.conda)
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
            built = Built(place, *fill(recipe, tops, place, uv, progress))
            break
        except RoarError as error:
            if uv is None:
                raise
            progress(f"{error.message}; once more with pip")  # uv reads another configuration of indexes than pip
    with open(os.path.join(place, _COMPLETE), "w", encoding="utf-8") as file:
        json.dump({"remarks": built.remarks, "left_out": built.left_out}, file)
    return built
