"""From a finished run to a record in the journal; and, when that fails, to a record saved aside.

Whatever goes wrong here, the command has run and its result stands.
"""

from __future__ import annotations

import contextlib
import os
import re
from typing import Any, NamedTuple

from roar import redact
from roar.config.model import Redact, Settings, Sign
from roar.config.read import Configuration, load
from roar.environment import machine, python, system, variables
from roar.errors import RoarError, SavedAsideError
from roar.git import settings
from roar.git.repository import Repository
from roar.journal import manifests, spool
from roar.journal.append import append
from roar.journal.beside import Beside
from roar.journal.entry import Entry
from roar.paths import below, from_fs, fs, is_outside
from roar.records.ids import clock_of
from roar.records.job import (
    Code,
    Command,
    Environment,
    Hint,
    Incomplete,
    Job,
    LeftOut,
    Machine,
    Metrics,
    Redirect,
)
from roar.records.summary import UNLISTED_ADDRESSES, UNLISTED_CODE, UNLISTED_LOOKUPS, UNLISTED_PACKAGES
from roar.stamps import Stamps
from roar.trace.report import Report
from roar.trace.scope import Scope
from roar.verbs import course, metrics, overlay, pointers, sessions, tracked
from roar.verbs.kept import Overlay
from roar.verbs.met import Met, as_file, digests_of
from roar.verbs.observe import Observed, relative_to, vain_lookups

_NOTHING = contextlib.nullcontext()
_INTERPRETER = re.compile(r"(python|pypy|ruby|perl|node|julia|lua|php|Rscript|ba|da|z|k|fi)?(sh$|[0-9.]*$)")


class Run(NamedTuple):
    """What was known before the command started."""

    repo: Repository
    argv: list[str]
    cwd: str
    branch: str | None
    commit: str | None
    environ: dict[str, str]
    name: str | None = None
    role: str = "run"
    session: str | None = None
    """None: the active one of the work tree."""
    session_name: str | None = None
    """That of the session to join instead of the active one."""
    reproduces: str | None = None
    began_ns: int = 0
    redirects: tuple[tuple[int, str, bool], ...] = ()
    """Standard streams that are regular files: number, absolute path, opened for appending."""
    command: Command | None = None
    """What is to be recorded instead of ``argv``, ``cwd``, ``name`` and ``redirects``."""
    input_is_piped: bool = False
    set_variables: tuple[str, ...] = ()
    """Names of the variables that roar set for the command."""
    configuration: Configuration | None = None
    """None: as it is in the repository now."""
    without_overlay: bool = False
    tags: tuple[tuple[str, str], ...] = ()
    """What the user said of the run, by key."""
    hints: tuple[tuple[str, str], ...] = ()
    """What the user said it read (``input``) and wrote (``output``) beside the files that are seen."""
    store: bool = False
    """Whether its outputs are to go into the store, whatever the settings say."""
    places: tuple[tuple[str, str], ...] = ()
    """Folders outside of the work tree (absolute), and the recorded ones for which they stand."""
    ended_after_s: float | None = None
    """When roar ended the command because it took longer."""


class Recorded(NamedTuple):
    """A job with the id of its record, and why that could not be signed although it was to be."""

    id: str
    job: Job
    unsigned: str


def record(run: Run, report: Report, keeping: contextlib.AbstractContextManager[object] = _NOTHING) -> Recorded:
    """Put a finished run into the journal, inside ``keeping``.

    Raises ``SavedAsideError`` when the repository could not be written; the record is then in a folder from which
    ``roar recover`` takes it.
    """
    wanted = (run.configuration or load(run.repo)).settings
    fields, beside = describe(run, report, wanted)

    def draft(clock: int, writer: str) -> Job:
        return Job.model_validate({**fields, "clock": clock, "writer": writer})

    with keeping:
        try:
            fields["session"] = run.session or _session(run, wanted.sign)
            named = (fields["session"], run.reproduces)
            entry = append(run.repo, draft, beside, max(clock_of(i) for i in named if i), wanted.sign)
        except (OSError, RoarError) as error:
            sealed = Entry(draft(report.end.get("time_ns", 0) // 1_000_000, "aside"), beside)
            raise SavedAsideError(*_save_aside(run.repo, sealed, error)) from error
    assert isinstance(entry.record, Job)
    return Recorded(entry.identifier, entry.record, entry.unsigned)


def _session(run: Run, sign: Sign) -> str:
    name = run.session_name
    return sessions.for_run(run.repo, from_fs(name), sign) if name else sessions.active_or_new(run.repo, sign)


def _save_aside(repo: Repository, entry: Entry, error: Exception) -> tuple[str, str]:
    why = f"{error.strerror}: {error.filename}" if isinstance(error, OSError) else str(error)
    for parent in spool.places(repo):
        try:
            path = spool.save(repo, entry, parent)
        except OSError:
            continue
        said = f"the command has run, but its record could not be put into git ({why}); it is saved as {path}"
        return said, "roar recover"
    return (
        f"the command has run, but its record could not be kept anywhere ({why})",
        "make room on the disk, run it again",
    )


def describe(run: Run, report: Report, wanted: Settings) -> tuple[dict[str, Any], Beside]:
    """The fields of the job (all but clock, writer and session) and what lies beside its record."""
    repo = run.repo
    root = repo.require_work_tree()
    stamps = Stamps(repo.own_dir)
    try:
        read = (fs(f["path"]) for f in report.files if f.get("read"))
        devices = [f["path"] for f in report.files if f.get("type") == "device"]
        blind = course.gaps(report)
        programs = [(fs(a), fs(p)) for a, p in report.programs]
        pythons, package_folders = python.describe_pythons(programs, read, root, stamps)
        home = os.path.realpath(os.path.expanduser("~"))
        git_dirs = (repo.git_dir, repo.common_dir, os.path.join(root, ".git"))
        scope = Scope(root, git_dirs, package_folders, home, wanted.filters)
        booked = tracked.trackers(run.environ, report, pythons) if wanted.analyzers.enabled else []
        seen = Observed(report, scope, stamps)
        owners = system.system_packages(_of_system(seen, scope), stamps) if wanted.environment.packages else []
    finally:
        stamps.close()
    vain = vain_lookups(report, root)
    limits = wanted.overlay._replace(enabled=wanted.overlay.enabled and not run.without_overlay)
    kept = overlay.build(repo, run.commit, seen, vain, _scripts(report), (limits, wanted.redact))
    found = len(seen.inputs)
    _complete(repo, seen, kept, wanted)
    left_out = seen.left_out
    if found > len(seen.inputs):
        left_out.append(LeftOut(reason=UNLISTED_CODE, count=found - len(seen.inputs), inside=True))
    extra = (*wanted.environment.variables, *run.set_variables)
    chosen, hidden = redact.redact_variables(variables.chosen_variables(run.environ, extra), wanted.redact)
    command, hidden_words = command_of(run, wanted.redact)
    if command.root is None and any(is_outside(each.path) for each in kept.repositories):
        command = command.model_copy(update={"root": from_fs(root)})  # where they lie, seen from here
    tags, hints, hidden_in_them = said_of(run, wanted.redact)
    gaps = _gaps_of_run(run, hidden + hidden_words + hidden_in_them)
    numbers: list[Metrics] = []
    try:
        numbers = metrics.of_outputs(root, seen.outputs.where(metrics.may_hold_numbers), wanted.redact)
    except Exception as error:  # noqa: BLE001  whatever a result file holds, it may not cost the record
        gaps.append(Incomplete(reason="metrics-unread", detail=f"numbers in result files: {type(error).__name__}"))
    fields, beside = _files(seen, run)
    happened, no_room = course.history(report, run.began_ns, wanted.redact)
    fields |= happened
    fields |= {
        "role": run.role,
        "command": command,
        "user": from_fs(settings.identity(repo)),
        "tags": tags,
        "hints": [Hint.model_validate({"side": side, "ref": ref}) for side, ref in hints],
        "code": _code(run, kept, wanted.redact),
        "environment": Environment(
            machine=machine.describe_machine(devices),
            pythons=pythons,
            variables={from_fs(name): from_fs(value) for name, value in chosen.items()},
            umask=report.start.get("umask"),
            system_packages=owners,
        ),
        "metrics": numbers,
        "trackers": tracked.cleaned(booked, root, wanted.redact),
        "left_out": left_out,
        "not_found": vain,
        "incomplete": seen.incomplete + kept.incomplete + blind + gaps + no_room,
        "reproduces": run.reproduces,
    }
    beside.update(kept.tree)
    return _without_unwanted(fields, wanted), beside


def _complete(repo: Repository, seen: Observed, kept: Overlay, wanted: Settings) -> None:
    """Tell of each input its blob and its pointer, and of every file the digests that are set to be taken."""
    root = repo.require_work_tree()
    pointer_of = pointers.finder(repo, seen.annexed, {path: kept.blobs[path] for path in kept.filtered})

    def known(file: Met) -> Met | None:
        blob = kept.blobs.get(file.path)
        if blob is not None:
            file = file._replace(blob=blob)
        pointer = pointer_of(file)
        if pointer is not None:
            file = file._replace(pointer=pointer)
        return hashed(file) if blob is None or wanted.output.track_repository_files else None

    def hashed(file: Met) -> Met:
        digests = digests_of(file, root, wanted.hash.run) if wanted.hash.run else None
        return file._replace(digests=digests) if digests else file

    seen.inputs.change(known)
    if wanted.hash.run:
        seen.outputs.change(hashed)


def _of_system(seen: Observed, scope: Scope) -> list[str]:
    """The files of the system that were read, be they listed or not."""
    listed = (fs(path) for path in seen.inputs.paths() if is_outside(path))
    return [*seen.system, *(path for path in listed if scope.is_system(path))]


def _without_unwanted(fields: dict[str, Any], wanted: Settings) -> dict[str, Any]:
    """The fields without what the settings say not to list, which is counted."""
    counts = {}
    around: Environment = fields["environment"]
    if not wanted.tracer.network:
        counts[UNLISTED_ADDRESSES] = len(fields["network"])
        fields["network"] = []
    if not wanted.tracer.failed_lookups:
        counts[UNLISTED_LOOKUPS] = len(fields["not_found"])
        fields["not_found"] = []
    if not wanted.environment.packages:
        counts[UNLISTED_PACKAGES] = sum(len(each.read) + len(each.installed) for each in around.pythons)
        bare = [each.model_copy(update={"read": [], "installed": []}) for each in around.pythons]
        around = around.model_copy(update={"pythons": bare})
    if not wanted.environment.hardware:
        bare_machine = Machine(
            system=around.machine.system, kernel=around.machine.kernel, architecture=around.machine.architecture
        )
        around = around.model_copy(update={"machine": bare_machine})
    more = [LeftOut(reason=reason, count=count) for reason, count in counts.items() if count]
    return {**fields, "environment": around, "left_out": fields["left_out"] + more}


def _gaps_of_run(run: Run, hidden: int) -> list[Incomplete]:
    """What is not known because of how it was run. ``hidden`` counts the secrets that were taken out."""
    gaps = []
    if run.input_is_piped:
        gaps.append(Incomplete(reason="standard-input", detail="a pipe: what came through it is not in the record"))
    if run.ended_after_s is not None:
        gaps.append(Incomplete(reason="timed-out", detail=f"ended by --timeout after {run.ended_after_s:g} s"))
    if hidden:
        gaps.append(Incomplete(reason="redacted", detail="secrets in the command or its environment", count=hidden))
    return gaps


def _scripts(report: Report) -> set[str]:
    """The last names of what interpreters were given as their first word: their scripts, suffix or not."""
    programs = (p for line in report.processes for p in line.get("programs", []))
    ran = (p.get("argv", [])[1:2] for p in programs if _INTERPRETER.match(p["path"].rpartition("/")[2]))
    return {word[0].rpartition("/")[2] for word in ran if word}


def command_of(run: Run, rules: Redact) -> tuple[Command, int]:
    """The command as it is recorded, and how many secrets were taken out of it."""
    argv, hidden = redact.redact_argv([from_fs(w) for w in run.argv], rules)
    return run.command or _command(run, argv, run.repo.require_work_tree()), hidden


def _command(run: Run, argv: list[str], root: str) -> Command:
    inside = [(fd, below(path, root), append) for fd, path, append in run.redirects]
    python_path = run.environ.get("PYTHONPATH", "")
    return Command(
        argv=argv,
        cwd=relative_to(run.cwd, root),
        name=from_fs(run.name) if run.name else None,
        root=from_fs(root) if root in python_path or any(root in word for word in argv) else None,
        redirects=[Redirect(fd=fd, path=from_fs(path), append=append) for fd, path, append in inside if path],
    )


def _code(run: Run, kept: Overlay, rules: Redact) -> Code:
    remote = settings.branch_remote(settings.values(run.repo), run.branch)
    return Code(
        commit=run.commit,
        branch=from_fs(run.branch) if run.branch else None,
        remote=from_fs(redact.redact_url(remote, rules)) if remote else None,
        overlay=kept.entries,
        submodules=kept.submodules,
        repositories=[each.model_copy(update={"path": _recorded_path(each.path, run)}) for each in kept.repositories],
    )


def said_of(run: Run, rules: Redact) -> tuple[dict[str, str], list[tuple[str, str]], int]:
    """The tags and hints as they are recorded, and how many secrets were taken out of them."""
    tags, hidden = redact.redact_variables({from_fs(key): from_fs(value) for key, value in run.tags}, rules)
    typed = [(side, from_fs(ref)) for side, ref in run.hints]
    hints = [(side, redact.redact_url(ref, rules)) for side, ref in typed]
    return tags, hints, hidden + sum(clean != ref for clean, ref in zip(hints, typed, strict=True))


def _files(seen: Observed, run: Run) -> tuple[dict[str, Any], Beside]:
    """The lists of files, those in places that stand for others named as they were there; and their manifests."""
    if run.places:
        for files in (seen.inputs, seen.outputs):
            files.change(lambda file: file._replace(path=_recorded_path(file.path, run)))
    in_files, in_shards, in_tree = manifests.split(seen.inputs.taken(), b"in", as_file)
    out_files, out_shards, out_tree = manifests.split(seen.outputs.taken(), b"out", as_file)
    fields = {"inputs": in_files, "outputs": out_files, "input_shards": in_shards, "output_shards": out_shards}
    in_tree.update(out_tree)
    return fields, in_tree


def _recorded_path(path: str, run: Run) -> str:
    for here, recorded in run.places:
        inside = below(fs(path), here)
        if inside is not None:
            return from_fs(os.path.join(recorded, inside).rstrip("/"))
    return path
