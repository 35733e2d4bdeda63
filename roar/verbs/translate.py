"""A recorded command in the words of this machine: its programs, its folder, its variables.

The recording machine's paths mean nothing here. Words that name the recorded interpreter or a program of its virtual
environment become those of the environment at hand, the recorded work tree becomes the work area. Of the recorded
variables only harmless ones are believed: none that loads code or turns a program to other files.
"""

from __future__ import annotations

import os
import posixpath
import re
from typing import NamedTuple

from roar.paths import below, from_fs, fs
from roar.records.job import Command, Job, Python
from roar.verbs.interpreters import clean_environment

_HARMLESS = re.compile(
    r"PYTHONHASHSEED|PYTHONDONTWRITEBYTECODE|PYTHONUNBUFFERED|PYTHONUTF8|PYTHONIOENCODING|PYTHONOPTIMIZE"
    r"|LANG|LANGUAGE|LC_[A-Z]+|TZ|SOURCE_DATE_EPOCH|COLUMNS"
    r"|(OMP|MKL|OPENBLAS|BLIS|VECLIB|VECLIB_MAXIMUM|NUMEXPR|NUMEXPR_MAX|NUMBA|TBB|RAYON|JULIA|POLARS_MAX)_NUM_THREADS"
    r"|NUMEXPR_MAX_THREADS|VECLIB_MAXIMUM_THREADS|POLARS_MAX_THREADS|OMP_DYNAMIC|OMP_SCHEDULE|MKL_DYNAMIC|MKL_CBWR"
    r"|CUDA_VISIBLE_DEVICES|CUDA_DEVICE_ORDER|CUBLAS_WORKSPACE_CONFIG|HIP_VISIBLE_DEVICES|ROCR_VISIBLE_DEVICES"
    r"|TF_DETERMINISTIC_OPS|TF_CUDNN_DETERMINISTIC|TF_ENABLE_ONEDNN_OPTS|TOKENIZERS_PARALLELISM"
    r"|SKLEARN_SEED|MPLBACKEND"
)
"""Names that change what numbers and texts come out, and cannot make a program load or overwrite anything."""
_PLAIN = re.compile(r"(?!/)(?!module:)(?!.*\.\.)[\w.,:+@/ -]*")
"""Values of them that name no file and no module."""
_SEED = re.compile(r"PYTHONHASHSEED|.*_NUM_THREADS|MKL_CBWR|SOURCE_DATE_EPOCH|TZ")
"""Of these it also matters that they were not set."""


class Tools(NamedTuple):
    """What stands for a recorded interpreter here. ``programs`` is the folder of its scripts."""

    python: Python
    program: str
    programs: str
    folder: str | None = None
    """The virtual environment's, when one was built."""


def words(command: Command, top: str, tools: list[Tools]) -> list[str]:
    """The command's words, with the work area ``top`` for the recorded work tree."""
    return [_word(fs(word), command, top, tools) for word in command.argv]


def _word(word: str, command: Command, top: str, tools: list[Tools]) -> str:
    if "/" in word:
        name = _as_recorded(word, command)
        for tool in tools:
            found = _program(name, tool)
            if found is not None:
                return found
    if command.root and len(command.root) > 1:
        whole = re.escape(fs(command.root)) + r"(?![\w.-])"
        word = re.sub(r"(?<![\w./-])" + whole, lambda _: top, word)
    return word


def _as_recorded(word: str, command: Command) -> str:
    """A path as records name it: relative to the recorded work tree when inside, else absolute."""
    if not word.startswith("/"):
        return posixpath.normpath(posixpath.join(fs(command.cwd), word))
    path = posixpath.normpath(word)
    inside = below(from_fs(path), command.root) if command.root else None
    return path if inside is None else fs(inside)


def _program(name: str, tool: Tools) -> str | None:
    if name == posixpath.normpath(fs(tool.python.executable)) and "/" in name:
        return tool.program
    if tool.python.prefix:
        prefix = posixpath.join(posixpath.normpath(fs(tool.python.prefix)), "bin")
        if posixpath.dirname(name) == prefix:
            own = os.path.join(tool.programs, posixpath.basename(name))
            is_python = re.fullmatch(r"(python|pypy)[0-9.]*", posixpath.basename(name))
            return tool.program if is_python and not os.path.exists(own) else own
    return None


def variables(job: Job, tools: list[Tools]) -> dict[str, str]:
    """The environment for a step: ours, with the recorded harmless variables and the environments at hand in front."""
    recorded = job.environment.variables
    env = clean_environment(of_python=any(tool.folder for tool in tools))
    for name in [name for name in env if _SEED.fullmatch(name) and name not in recorded]:
        del env[name]
    env.update({k: v for k, v in recorded.items() if _HARMLESS.fullmatch(k) and _PLAIN.fullmatch(v)})
    built = [tool for tool in tools if tool.folder]
    if built:
        env["VIRTUAL_ENV"] = str(built[0].folder)
        env["PATH"] = os.pathsep.join([*(tool.programs for tool in built), env.get("PATH", os.defpath)])
    return env
