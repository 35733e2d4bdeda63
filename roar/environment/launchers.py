"""What ran the job, where that was a notebook runner or a scheduler: Jupyter, papermill, torchrun, Slurm, Ray."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping

from roar.records.job import Tracker

_PYTHON = re.compile(r"(python|pypy)[0-9.]*$")
_NOTEBOOKS = {"papermill": "papermill", "jupyter-execute": "jupyter", "jupyter-nbconvert": "jupyter"}
_TORCHRUN = ("torchrun", "torch.distributed.run", "torch.distributed.launch")
_FLAGS = ("standalone", "module", "no-python", "no_python", "run-path", "run_path")
"""Options of torchrun that take no value."""
_OF_TORCHRUN = {
    "rank": "RANK",
    "local_rank": "LOCAL_RANK",
    "world_size": "WORLD_SIZE",
    "group_rank": "GROUP_RANK",
    "restarts": "TORCHELASTIC_RESTART_COUNT",
}
_OF_SLURM = {
    "name": "SLURM_JOB_NAME",
    "cluster": "SLURM_CLUSTER_NAME",
    "partition": "SLURM_JOB_PARTITION",
    "nodes": "SLURM_JOB_NODELIST",
    "array_job": "SLURM_ARRAY_JOB_ID",
    "array_task": "SLURM_ARRAY_TASK_ID",
    "step": "SLURM_STEP_ID",
    "rank": "SLURM_PROCID",
    "tasks": "SLURM_NTASKS",
}


def launchers_of(environ: Mapping[str, str], programs: Iterable[list[str]]) -> list[Tracker]:
    """What the environment tells of who started roar, and the words of ``programs`` of what the job started."""
    found = {(t.tool, t.id, t.path): t for t in [*_around(environ), *_within(programs)]}
    return list(found.values())


def _around(environ: Mapping[str, str]) -> Iterator[Tracker]:
    def known(names: dict[str, str]) -> dict[str, str]:
        return {name: environ[variable] for name, variable in names.items() if environ.get(variable)}

    if environ.get("SLURM_JOB_ID"):
        yield Tracker(tool="slurm", id=environ["SLURM_JOB_ID"], more=known(_OF_SLURM))
    if environ.get("TORCHELASTIC_RUN_ID"):
        yield Tracker(tool="torchrun", id=environ["TORCHELASTIC_RUN_ID"], more=known(_OF_TORCHRUN))
    ray = environ.get("RAY_JOB_ID") or _ray_submission(environ.get("RAY_JOB_CONFIG_JSON_ENV_VAR", ""))
    if ray:
        yield Tracker(tool="ray", id=ray, url=environ.get("RAY_ADDRESS"))
    if environ.get("JPY_SESSION_NAME"):  # set by a Jupyter server for the kernel of a notebook
        yield Tracker(tool="jupyter", path=environ["JPY_SESSION_NAME"])


def _ray_submission(text: str) -> str | None:
    """The id under which a job was submitted, from what Ray's job supervisor gives the driver."""
    try:
        return str(json.loads(text)["metadata"]["job_submission_id"])
    except (ValueError, KeyError, TypeError, RecursionError):
        return None


def _within(programs: Iterable[list[str]]) -> Iterator[Tracker]:
    for argv in programs:
        tool, words = _tool(argv)
        if tool in _NOTEBOOKS and (tool != "jupyter-nbconvert" or "--execute" in words):
            notebooks = [word for word in words if word.endswith(".ipynb") and not word.startswith("-")]
            if notebooks:
                more = {"output": notebooks[1]} if tool == "papermill" and len(notebooks) > 1 else {}
                yield Tracker(tool=_NOTEBOOKS[tool], path=notebooks[0], more=more)
        elif tool in _TORCHRUN:
            options = _options(words)
            kept = {"nproc-per-node": "processes", "nnodes": "nodes", "node-rank": "node_rank"}
            more = {name: options[option] for option, name in kept.items() if option in options}
            yield Tracker(tool="torchrun", id=options.get("rdzv-id"), more=more)


def _tool(argv: list[str]) -> tuple[str, list[str]]:
    """The program or Python module that words start, and the words after it."""
    names = [argv[0].rpartition("/")[2] if argv else "", *argv[1:]]
    if _PYTHON.match(names[0]):
        while len(names) > 1 and names[1].startswith("-") and names[1] not in ("-m", "-c"):
            del names[1]
        names = names[2:] if names[1:2] == ["-m"] else [word.rpartition("/")[2] for word in names[1:2]] + names[2:]
    if names[:1] == ["jupyter"] and len(names) > 1:
        names = [f"jupyter-{names[1]}", *names[2:]]
    return (names[0], names[1:]) if names else ("", [])


def _options(words: list[str]) -> dict[str, str]:
    """``--name value`` and ``--name=value``, spelled with hyphens, up to the first other word."""
    found: dict[str, str] = {}
    rest = iter(words)
    for word in rest:
        if not word.startswith("--"):
            break
        name, equals, value = word[2:].partition("=")
        if name not in _FLAGS:
            found[name.replace("_", "-")] = value if equals else next(rest, "")
    return found
