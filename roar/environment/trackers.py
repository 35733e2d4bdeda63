"""Who else keeps a book about the job: experiment trackers, known by the files of theirs that the job wrote.

Of each tool only its own files, as its documentation names them, and a few variables are looked at. Texts come as they
were found: secrets are for the caller to take out, and no variable that holds a key is read.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import sqlite3
from collections.abc import Iterator, Mapping
from typing import NamedTuple
from urllib.parse import quote

from roar.environment import wandb_file
from roar.paths import OPEN, fs
from roar.records.job import Tracker

MOST = 32
"""So many are kept of one job."""
MAX_BYTES = 64 << 10
"""Read of one file."""


class Seen(NamedTuple):
    """What is known of a job."""

    written: list[str]
    """The files that it wrote and whose names may be a tool's: absolute, spelled as in records."""
    packages: set[str]
    """Names, normalised, of the Python distributions of which it read a file."""
    environ: Mapping[str, str]
    began_ns: int

    def named(self, ending: str) -> list[str]:
        """The written files whose names end so."""
        return [path for path in self.written if path.endswith(ending)]

    def inside(self, folder: str) -> list[str]:
        """The written files with this in their paths."""
        return [path for path in self.written if folder in path]


def trackers_of(seen: Seen) -> list[Tracker]:
    """What the trackers' own files and variables say, each run once."""
    found: dict[tuple[str, str | None, str | None], Tracker] = {}
    for analyze in (_wandb, _mlflow, _neptune, _tensorboard, _dvc):
        for tracker in analyze(seen):
            found.setdefault((tracker.tool, tracker.id, tracker.path), tracker)
    return list(found.values())[:MOST]


def _wandb(seen: Seen) -> Iterator[Tracker]:
    """``wandb/[offline-]run-<time>-<id>/run-<id>.wandb``, whose first records name entity and project."""
    environ = seen.environ
    entity, project = environ.get("WANDB_ENTITY"), environ.get("WANDB_PROJECT")
    files = [path for path in seen.named(".wandb") if _WANDB.search(path)]
    for path in files:
        offline, identifier = _WANDB.search(path).groups()  # type: ignore[union-attr]
        run = wandb_file.run_of(_head(path))
        who, what = run.get("entity") or entity, run.get("project") or project
        where = environ.get("WANDB_BASE_URL", "https://api.wandb.ai").replace("//api.wandb.ai", "//wandb.ai")
        place = "/".join(quote(part, safe="") for part in (who or "", what or "", "runs", identifier))
        yield Tracker(
            tool="wandb",
            id=identifier,
            project=f"{who}/{what}" if who and what else what,
            url=f"{where.rstrip('/')}/{place}" if who and what and not offline else None,
            mode="offline" if offline else "online",
            path=path.rpartition("/")[0],
        )
    if not files and environ.get("WANDB_RUN_ID") and "wandb" in seen.packages:
        yield Tracker(tool="wandb", id=environ["WANDB_RUN_ID"], project=project, mode=environ.get("WANDB_MODE"))


_WANDB = re.compile(r"/(offline-)?run-[0-9_]+-([^/]+)/run-\2\.wandb$")


def _mlflow(seen: Seen) -> Iterator[Tracker]:
    """Its file store, its SQLite store, or the server that ``MLFLOW_TRACKING_URI`` names."""
    stores = seen.named("/meta.yaml")
    for path in stores:
        run, store = _flat_yaml(_head(path)), path.rsplit("/", 3)[0]
        if _MLFLOW.search(path) and "experiment_id" in run:
            experiment = _flat_yaml(_head(f"{path.rsplit('/', 2)[0]}/meta.yaml"))
            project = experiment.get("name") or run["experiment_id"]
            yield Tracker(tool="mlflow", id=run.get("run_id"), project=project, mode="offline", path=store)
    if not seen.packages & _MLFLOW_PACKAGES:
        return
    for path in seen.named(".db"):
        for identifier, project in _mlflow_runs(path, seen.began_ns // 1_000_000):
            yield Tracker(tool="mlflow", id=identifier, project=project, mode="offline", path=path)
    environ = seen.environ
    address = environ.get("MLFLOW_TRACKING_URI", "")
    if address.startswith(("http://", "https://", "databricks")):
        experiment_name = environ.get("MLFLOW_EXPERIMENT_NAME") or environ.get("MLFLOW_EXPERIMENT_ID")
        run_id = environ.get("MLFLOW_RUN_ID")
        yield Tracker(tool="mlflow", id=run_id, project=experiment_name, url=address, mode="online")


_MLFLOW = re.compile(r"/[0-9]+/[0-9a-f]{32}/meta\.yaml$")
_MLFLOW_PACKAGES = {"mlflow", "mlflow-skinny", "mlflow-tracing"}


def _mlflow_runs(path: str, since_ms: int) -> list[tuple[str, str]]:
    """Runs in an SQLite store that were begun or ended since, with the names of their experiments."""
    asked = (
        "SELECT r.run_uuid, e.name FROM runs r JOIN experiments e ON e.experiment_id = r.experiment_id"
        " WHERE r.start_time >= ? OR r.end_time >= ? ORDER BY r.start_time LIMIT ?"
    )
    try:
        # Immutable: nothing is locked, and nothing is made beside the file.
        with contextlib.closing(sqlite3.connect(f"file:{quote(fs(path))}?immutable=1", uri=True)) as store:
            return [(str(run), str(name)) for run, name in store.execute(asked, (since_ms, since_ms, MOST))]
    except sqlite3.Error:  # another program's database, or one that is being written
        return []


def _neptune(seen: Seen) -> Iterator[Tracker]:
    """``.neptune/<offline|async|...>/<type>__<id>__.../metadata.json``."""
    for path in seen.inside("/.neptune/"):
        if not path.endswith("/metadata.json"):
            continue
        try:
            known = json.loads(_head(path))
            kind, identifier, mode = known["containerType"], str(known["containerId"]), str(known["mode"])
        except (ValueError, KeyError, TypeError, RecursionError):
            continue
        if kind == "run":
            mode = "offline" if mode == "offline" else "online"
            project = seen.environ.get("NEPTUNE_PROJECT")
            yield Tracker(tool="neptune", id=identifier, project=project, mode=mode, path=path.rpartition("/")[0])


def _tensorboard(seen: Seen) -> Iterator[Tracker]:
    """``events.out.tfevents.*`` files; the folder is the run."""
    for path in seen.inside("/events.out.tfevents."):
        folder = path.rpartition("/")[0]
        yield Tracker(tool="tensorboard", project=folder.rpartition("/")[2], mode="offline", path=folder)


def _dvc(seen: Seen) -> Iterator[Tracker]:
    """DVCLive by its plots, DVC by its lock file or by what it tells its stages."""
    environ = seen.environ
    name = environ.get("DVC_EXP_NAME")
    live = {path.partition("/plots/metrics/")[0] for path in seen.inside("/plots/metrics/") if path.endswith(".tsv")}
    for folder in sorted(live):
        shared = bool(environ.get("DVC_STUDIO_TOKEN")) and not environ.get("DVC_STUDIO_OFFLINE")
        yield Tracker(tool="dvclive", id=name, mode="online" if shared else "offline", path=folder)
    locks = [path.rpartition("/")[0] for path in seen.named("/dvc.lock")]
    if locks or environ.get("DVC_STAGE"):
        root = locks[0] if locks else environ.get("DVC_ROOT")
        yield Tracker(tool="dvc", id=name, project=environ.get("DVC_STAGE"), path=root)


def _head(path: str) -> bytes:
    """The first bytes of a regular file; empty when it cannot be read."""
    try:
        fd = os.open(fs(path), os.O_RDONLY | OPEN | getattr(os, "O_NONBLOCK", 0))
    except (OSError, ValueError):
        return b""
    with os.fdopen(fd, "rb") as file, contextlib.suppress(OSError):
        return file.read(MAX_BYTES)
    return b""


def _flat_yaml(data: bytes) -> dict[str, str]:
    """The plain ``key: value`` lines of a file that a program wrote."""
    lines = data.decode("utf-8", "replace").splitlines()
    pairs = (line.partition(": ") for line in lines if not line.startswith((" ", "-", "#")))
    return {key: value.strip().strip("'\"") for key, colon, value in pairs if colon}
