"""A recorded command in the words of this machine: its programs, its folder, its variables.

The recording machine's paths mean nothing here. Words that name the recorded interpreter or a program of its virtual
environment become those of the environment at hand, the recorded work tree becomes the work area. Of the recorded
variables only harmless ones are believed: none that loads code or turns a program to other files.
"""

from __future__ import annotations

import os
import posixpath
import re
from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import NamedTuple

from roar.paths import below, from_fs, fs, is_safe_relative
from roar.records.job import Command, Job, Python
from roar.verbs.interpreters import clean_environment

_HARMLESS = re.compile(
    r"LANG|LANGUAGE|LC_[A-Z]+|TZ|POSIXLY_CORRECT|SOURCE_DATE_EPOCH|COLUMNS"
    r"|PYTHON(HASHSEED|OPTIMIZE|NOUSERSITE|SAFEPATH|UTF8|IOENCODING|DONTWRITEBYTECODE|UNBUFFERED|_GIL)"
    r"|(OMP|MKL|OPENBLAS|BLIS|NUMEXPR|NUMBA|TBB|RAYON|JULIA)_NUM_THREADS"
    r"|(VECLIB_MAXIMUM|NUMEXPR_MAX|POLARS_MAX)_THREADS|LOKY_MAX_CPU_COUNT"
    r"|OMP_(DYNAMIC|SCHEDULE|PROC_BIND)|KMP_DETERMINISTIC_REDUCTION|MKL_(DYNAMIC|CBWR)|OPENBLAS_CORETYPE"
    r"|NUMBA_DISABLE_JIT|ATEN_CPU_CAPABILITY|NPY_DISABLE_CPU_FEATURES|SKLEARN_ASSUME_FINITE|SCIPY_ARRAY_API"
    r"|CUDA_(VISIBLE_DEVICES|DEVICE_ORDER|LAUNCH_BLOCKING)|(HIP|ROCR|NVIDIA)_VISIBLE_DEVICES|NVIDIA_TF32_OVERRIDE"
    r"|CUBLAS_WORKSPACE_CONFIG|CUDNN_DETERMINISTIC|TORCH_(ALLOW_TF32_CUBLAS_OVERRIDE|DETERMINISTIC)"
    r"|TF_(DETERMINISTIC_OPS|CUDNN_DETERMINISTIC|ENABLE_ONEDNN_OPTS)|JAX_(ENABLE_X64|DEFAULT_MATMUL_PRECISION)"
    r"|TOKENIZERS_PARALLELISM|(HF_HUB|HF_DATASETS|TRANSFORMERS)_OFFLINE|MPLBACKEND|(PL_)?GLOBAL_SEED"
    r"|RANK|WORLD_SIZE|LOCAL_RANK|SLURM_(ARRAY_TASK_ID|PROCID|NTASKS|CPUS_PER_TASK)|PBS_ARRAY_INDEX|SGE_TASK_ID"
)
"""Names that change what numbers and texts come out, and cannot make a program load or overwrite anything."""
_PLAIN = re.compile(r"(?!/)(?!module:)(?!.*\.\.)[\w.,:+@/ -]*")
"""Values of them that name no file and no module."""
_SEED = re.compile(r"PYTHONHASHSEED|.*_NUM_THREADS|MKL_CBWR|SOURCE_DATE_EPOCH|TZ")
"""Of these it also matters that they were not set."""
OF_PLACE = re.compile(r"VIRTUAL_ENV|CONDA_.*|SLURM_.*|PBS_.*|LSB_.*|JOB_ID|OMPI_.*|PMI_.*")
"""Names that tell where a job ran, rather than how."""


_NOWHERE: Mapping[str, str] = MappingProxyType({})


class Tools(NamedTuple):
    """What stands for a recorded interpreter here. ``programs`` is the folder of its scripts."""

    python: Python
    program: str
    programs: str
    folder: str | None = None
    """The virtual environment's, when one was built."""


def words(command: Command, top: str, tools: list[Tools], places: Mapping[str, str] = _NOWHERE) -> list[str]:
    """The command's words, with the work area ``top`` for the recorded work tree.

    ``places`` has what stands for other folders and files, outside of the work tree.
    """
    moved = dict(places)
    if command.root and len(command.root) > 1:
        moved[fs(command.root)] = top
    return [_word(fs(word), command, moved, tools) for word in command.argv]


def names(command: Command, path: str) -> bool:
    """True when a word of the command holds this absolute path (an ``os`` path), by itself or after other text."""
    return any(path in fs(word) and _in_words([path]).search(fs(word)) for word in command.argv)


def _in_words(paths: Iterable[str]) -> re.Pattern[str]:
    """Finds these paths in words, the longest first, and not as a part of other paths."""
    return re.compile(rf"(?<![\w./-])({'|'.join(map(re.escape, sorted(paths, key=len, reverse=True)))})(?![\w.-])")


def _word(word: str, command: Command, moved: Mapping[str, str], tools: list[Tools]) -> str:
    if "/" in word:
        name = _as_recorded(word, command)
        for tool in tools:
            found = _program(name, tool)
            if found is not None:
                return found
    if not moved:
        return word
    return _in_words(moved).sub(lambda found: moved[found[1]], word)


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


def variables(job: Job, top: str, tools: list[Tools], places: Mapping[str, str] = _NOWHERE) -> dict[str, str]:
    """The environment for a step: ours, with the recorded harmless variables and the environments at hand in front.

    Of a recorded PYTHONPATH the folders inside the work tree are kept, as those of the work area ``top``, and those
    in ``places``.
    """
    recorded = job.environment.variables
    built = [tool for tool in tools if tool.folder]
    env = clean_environment(of_python=bool(built))
    for name in [name for name in env if _SEED.fullmatch(name) and name not in recorded]:
        del env[name]
    env.update(believed(recorded))
    folders_of_modules = modules(job, top, places)
    if folders_of_modules:
        env["PYTHONPATH"] = ":".join(folders_of_modules)
    if built:
        env.update(activation(built[0]))
    if tools:
        folders = dict.fromkeys(tool.programs for tool in [*built, *tools])
        env["PATH"] = os.pathsep.join([*folders, env.get("PATH", os.defpath)])
    return env


def activation(tool: Tools) -> dict[str, str]:
    """The variable by which programs find the environment that was built for them, as its own activation sets it."""
    return {"CONDA_PREFIX" if tool.python.conda else "VIRTUAL_ENV": str(tool.folder)}


def modules(job: Job, top: str, places: Mapping[str, str] = _NOWHERE) -> list[str]:
    """The folders of a recorded PYTHONPATH that were inside the work tree, as those of the work area ``top``, and
    those in ``places``.
    """
    folders = job.environment.variables.get("PYTHONPATH", "").split(":")
    return [found for folder in folders if (found := _inside(folder, job.command, top) or _moved(folder, places))]


def believed(recorded: Mapping[str, str]) -> dict[str, str]:
    """Those of the recorded variables that are harmless, by name and by value."""
    return {k: v for k, v in recorded.items() if _HARMLESS.fullmatch(k) and _PLAIN.fullmatch(v)}


def _inside(folder: str, command: Command, top: str) -> str | None:
    """A recorded folder as one of the work area; None when it was not in the work tree."""
    if not folder:
        return None
    name = _as_recorded(folder, command)
    if name in ("", "."):
        return top
    return os.path.join(top, name) if is_safe_relative(from_fs(name)) else None


def _moved(folder: str, places: Mapping[str, str]) -> str | None:
    """A recorded folder outside of the work tree as what stands for it; None when nothing does."""
    for recorded, place in places.items():
        inside = below(posixpath.normpath(folder), recorded)
        if inside == "" or (inside and is_safe_relative(from_fs(inside))):
            return os.path.join(place, inside).rstrip("/")
    return None


def not_believed(job: Job, env: dict[str, str]) -> list[str]:
    """The recorded variables that a step does not get as they were, each as ``NAME=value``."""
    recorded = job.environment.variables
    return [f"{k}={v}" for k, v in sorted(recorded.items()) if env.get(k) != v and not OF_PLACE.fullmatch(k)]
