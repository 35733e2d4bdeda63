"""The trackers and launchers of a job, as its record names them."""

from __future__ import annotations

import os

from roar import redact
from roar.config.model import Redact
from roar.environment.launchers import launchers_of
from roar.environment.packages import normalised
from roar.paths import from_fs, fs
from roar.records.job import Python, Tracker
from roar.trace.report import Report
from roar.verbs.observe import relative_to

_ENDINGS = (".wandb", "/meta.yaml", ".db", "/metadata.json", ".tsv", "/dvc.lock")
_EVENTS = "/events.out.tfevents."
"""What the trackers' files are called; a job may have written a million others."""
_VARIABLES = {"WANDB_RUN_ID", "MLFLOW_TRACKING_URI", "DVC_STAGE"}
"""What tells of a run that left no file here."""
_MOST_PROCESSES = 256
"""As many as a record names."""


def trackers(environ: dict[str, str], report: Report, pythons: list[Python]) -> list[Tracker]:
    """What is known of them before the files are looked at one by one. Secrets are still in it."""
    touched = (f["path"] for f in report.files if f.get("written") or f.get("created") or "renamed_from" in f)
    written = [path for path in touched if path.endswith(_ENDINGS) or _EVENTS in path]
    known = {from_fs(name): from_fs(value) for name, value in environ.items()}
    programs = [p.get("argv", []) for line in report.processes[:_MOST_PROCESSES] for p in line.get("programs", [])]
    found = launchers_of(known, programs)
    if written or known.keys() & _VARIABLES:
        from roar.environment.trackers import Seen, trackers_of  # 3 ms that most runs need not pay

        packages = {normalised(package.name) for python in pythons for package in python.read}
        found = trackers_of(Seen(written, packages, known, report.start.get("time_ns", 0))) + found
    return found


def cleaned(found: list[Tracker], root: str, rules: Redact) -> list[Tracker]:
    """The same without secrets, with paths as records spell them."""
    return [_cleaned(each, root, rules) for each in found]


def _cleaned(tracker: Tracker, root: str, rules: Redact) -> Tracker:
    fields = tracker.model_dump(exclude_none=True)
    path = fields.pop("path", None)
    if path is not None:
        place = fs(path)
        fields["path"] = relative_to(place, root) if os.path.isabs(place) else path
    more, _ = redact.redact_variables(fields.pop("more", {}), rules)
    clean = {name: redact.redact_url(text, rules) for name, text in fields.items()}
    return Tracker.model_validate({**clean, "more": more} if more else clean)
