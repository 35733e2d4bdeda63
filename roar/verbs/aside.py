"""A run whose record could not even be made: what the tracer saw is saved, with what was known before the start.

The first line of such a file is the run, the others are the tracer's report. Secrets are taken out first.
"""

from __future__ import annotations

import json
import os
import time

from roar import redact
from roar.config.read import load
from roar.environment.variables import chosen_variables
from roar.errors import RecordError, RoarError, SavedAsideError
from roar.git.repository import Repository
from roar.journal import spool
from roar.paths import from_fs, fs
from roar.trace import report as reports
from roar.verbs.record import Run, record, said_of


def save_report(run: Run, raw: bytes, error: Exception, then: str = "mend that, then: roar recover") -> SavedAsideError:
    """Save a report aside; gives the error to raise, which says where it is and why."""
    why = error.message if isinstance(error, RoarError) else f"{type(error).__name__}: {error}".splitlines()[0]
    for parent in spool.places(run.repo):
        path = os.path.join(parent, "reports", f"{time.time_ns()}-{os.getpid()}{spool.REPORT_SUFFIX}")
        try:
            os.makedirs(os.path.dirname(path), exist_ok=True)
            with open(path, "wb") as file:
                file.write(_context(run) + b"\n" + raw)
        except OSError:
            continue
        said = f"the command has run, but its record could not be made ({why}); what was seen is saved as {path}"
        return SavedAsideError(said, then)
    return SavedAsideError(f"the command has run, but its record could not be made or saved ({why})", "run it again")


def record_report(repo: Repository, path: str) -> str:
    """Make the record of a report that was saved aside, remove the file, give the record's id.

    Raises ``RecordError`` when the file is no such report, and what ``record`` raises.
    """
    with open(path, "rb") as file:
        run = _run(repo, path, file.readline())
        identifier = record(run, reports.read(file)).id
    os.unlink(path)
    return identifier


def _run(repo: Repository, path: str, first: bytes) -> Run:
    """The run that the first line of a saved report tells of. Raises ``RecordError``."""
    try:
        known = json.loads(first)
        known["redirects"] = tuple((fd, fs(name), append) for fd, name, append in known["redirects"])
        argv = [fs(word) for word in known.pop("argv")]
        cwd, branch = fs(known.pop("cwd")), known.pop("branch")
        environ = {fs(name): fs(value) for name, value in known.pop("environ").items()}
        known["set_variables"] = tuple(fs(name) for name in known.get("set_variables", ()))
        for field in ("tags", "hints"):
            known[field] = tuple((fs(name), fs(value)) for name, value in known.get(field, ()))
        known["session_name"] = fs(known["session_name"]) if known.get("session_name") else None
        return Run(repo, argv, cwd, fs(branch) if branch else None, known.pop("commit"), environ, **known)
    except (KeyError, TypeError, ValueError) as error:
        raise RecordError(f"{path} is no report of roar: {error}") from error


def _context(run: Run) -> bytes:
    configuration = run.configuration or load(run.repo)
    rules = configuration.settings.redact
    extra = (*configuration.settings.environment.variables, *run.set_variables)
    tags, hints, _ = said_of(run, rules)
    variables, _ = redact.redact_variables(chosen_variables(run.environ, extra), rules)
    known = {
        "argv": redact.redact_argv([from_fs(word) for word in run.argv], rules)[0],
        "cwd": from_fs(run.cwd),
        "branch": from_fs(run.branch) if run.branch else None,
        "commit": run.commit,
        "environ": {from_fs(name): from_fs(value) for name, value in variables.items()},
        "name": from_fs(run.name) if run.name else None,
        "role": run.role,
        "session": run.session,
        "session_name": from_fs(run.session_name) if run.session_name else None,
        "reproduces": run.reproduces,
        "tags": list(tags.items()),
        "hints": hints,
        "began_ns": run.began_ns,
        "input_is_piped": run.input_is_piped,
        "set_variables": [from_fs(name) for name in run.set_variables],
        "without_overlay": run.without_overlay,
        "ended_after_s": run.ended_after_s,
        "redirects": [(fd, from_fs(name), append) for fd, name, append in run.redirects],
    }
    return json.dumps(known).encode()
