"""Filling a folder with what a recipe says, by the installers that are here: conda's, uv, else pip."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Callable, Iterable

from roar.errors import RoarError
from roar.paths import below, from_fs, fs, is_safe_relative
from roar.records.summary import printable
from roar.verbs.interpreters import Interpreter, clean_environment
from roar.verbs.lockfiles import normal
from roar.verbs.recipe import Recipe

_TELLING = ("Collecting ", "Building ", "Installing ", "Resolved ", "Prepared ", "Obtaining ")
"""What installers' lines begin with that tell how far they are."""

Progress = Callable[[str], None]


def conda_tool() -> str | None:
    """The program that makes conda environments here: what an activated one names, else what is on PATH."""
    named = (os.environ.get(name, "") for name in ("MAMBA_EXE", "CONDA_EXE"))
    found = (shutil.which(name) for name in (*named, "micromamba", "mamba", "conda") if name)
    return next((program for program in found if program), None)


def fill(
    recipe: Recipe, tops: list[str], place: str, uv: str | None, progress: Progress
) -> tuple[list[str], list[str]]:
    """Make the environment and install what it is made of; gives remarks, and the requirements that are left out.

    ``tops`` are the folders of the repositories that are checked out, our own first. Raises ``RoarError``.
    """
    if recipe.conda:
        _conda(recipe, place, progress)
    elif uv:
        interpreter = f"--python={recipe.interpreter.path}"
        _run([uv, "venv", "--quiet", "--no-project", interpreter, place], place, progress)
    if uv:
        install = [uv, "pip", "install", "--compile-bytecode", f"--python={place}/bin/python", "--no-deps"]
    else:
        pip = [f"{place}/bin/python", "-m", "pip"] if recipe.conda else _with_pip(recipe.interpreter, place, progress)
        install = [*pip, "--no-input", "--disable-pip-version-check", "install", "--no-deps"]
    _install(install, recipe, recipe.required, place, progress)
    for name in recipe.projects:
        where = [_inside(tops[0], name)] if name.startswith("./") else ["-e", _project(tops, name)]
        _run([*install, *where], place, progress)
    try:
        _install(install, recipe, recipe.others, place, progress)
    except RoarError as error:
        count = f"{len(recipe.others)} package{'s' * (len(recipe.others) != 1)}"
        return [f"{count} that the job did not read are left out: {error.message}"], list(recipe.others)
    return [], []


def _with_pip(interpreter: Interpreter, place: str, progress: Progress) -> list[str]:
    """Make a virtual environment; gives the words that call a pip for it: the interpreter's own, if that can work for
    another one (since 22.3), because to unpack one takes longer than many packages do.
    """
    own = [interpreter.path, "-m", "pip", f"--python={place}/bin/python"]
    _run([interpreter.path, "-m", "venv", "--without-pip", place], place, progress)
    try:
        _run([*own, "--version"], place, progress)
    except RoarError:
        _run([interpreter.path, "-m", "venv", "--clear", place], place, progress)
        return [f"{place}/bin/python", "-m", "pip"]
    return own


def _conda(recipe: Recipe, place: str, progress: Progress) -> None:
    tool = conda_tool()
    if tool is None:
        raise RoarError(*NO_CONDA)
    listed = place + ".explicit.txt"
    with open(listed, "w", encoding="utf-8") as file:
        file.writelines(f"{line}\n" for line in ("@EXPLICIT", *recipe.conda))
    _run([tool, "create", "--yes", "--quiet", "--prefix", place, "--file", listed], place, progress)


NO_CONDA = (
    "the job ran in a conda environment, and neither micromamba, mamba nor conda is on PATH",
    "install one of them, or use --env current",
)


def _install(words: list[str], recipe: Recipe, lines: Iterable[str], place: str, progress: Progress) -> None:
    """Install requirements: first those whose hashes are known, and by these alone; then the others."""
    for option, some in recipe.by_hash(lines):
        _run([*words, *filter(None, [option]), "-r", _listed(place, some)], place, progress)


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
    wanted = normal(name)
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
    return {normal(m) for m in re.findall(r"""^[\s\w.(]*?\bname\s*=\s*["']?([\w.-]+)""", text, re.MULTILINE)}


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
