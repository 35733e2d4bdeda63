"""The recorder's last step: write the record, and say in a few lines what was seen."""

from __future__ import annotations

import logging
import os
import signal
from collections.abc import Iterator
from typing import IO, NamedTuple

import orjson

from roar import log
from roar.cli import boundary
from roar.cli.giving_up import GivingUp
from roar.cli.say import Style, patience
from roar.config.model import Settings
from roar.config.read import SHARED_FILE
from roar.errors import ConfigError, RoarError, SavedAsideError
from roar.paths import is_outside
from roar.records.job import File, Job, Shard
from roar.records.summary import (
    command_line,
    counts_by_folder,
    duration,
    left_out_words,
    outcome,
    printable,
    subject,
    tag_words,
    tracker_words,
)
from roar.trace import report as reports
from roar.trace.start import ended, wait_for_end
from roar.verbs.aside import save_report
from roar.verbs.record import Run, record

_MOST = 6
"""So many files are named a side; the rest are counted."""
_LOOK_AFTER_S = 0.3
"""A command that runs longer is worth a look at its inputs before it ends."""


class Manner(NamedTuple):
    """How a run is reported."""

    quiet: bool = False
    as_json: bool = False
    look: bool = True
    """Say when an input is stale; False where that was said before the start."""


def record_run(run: Run, report_fd: int, done: int, manner: Manner, timeout: float | None = None) -> int:
    """Wait for the command's end, record it, report it. Gives an exit code that nobody but tests looks at.

    After ``timeout`` seconds the command is ended. Of a command that takes its time it is said at once that an input
    is stale; of others in the report.
    """
    configured = run.configuration
    assert configured is not None  # read by who started it
    output = configured.settings.output
    giving_up = GivingUp(run, report_fd, done, configured.settings.tracer.record_limit)
    if manner.quiet or manner.as_json or output.quiet or not output.warn_stale:
        manner = manner._replace(look=False)
    if manner.look and timeout is None and not run.session_name and not ended(done, _LOOK_AFTER_S):
        manner = manner._replace(look=not _say_what_is_stale(run, None))
    if wait_for_end(done, timeout):
        run = giving_up.run = run._replace(ended_after_s=timeout)
    with os.fdopen(report_fd, "rb") as file:
        file.seek(0)
        return _record_file(run, file, manner, giving_up)


def _say_what_is_stale(run: Run, recorded: tuple[str, Job] | None) -> bool:
    """One line when an input of a job, or of the latest one with the command that still runs, is stale."""
    from roar.verbs import outdated

    try:
        found = outdated.of_run(run) if recorded is None else outdated.of_recorded(run.repo, *recorded)
    except Exception as error:  # noqa: BLE001 - the record matters more than this answer
        logging.getLogger(__name__).debug("what is stale could not be found out: %s", error)
        return False
    if found:
        boundary.say(f"roar: {found.text}")
    return found is not None


def _reads_data(job: Job) -> bool:
    """True when a step may have made what a job read. Others need no index to be opened.

    Nor do jobs of many files: to bring those into the index takes longer than to record them. Of one that runs for
    more than a moment it was said while it ran.
    """
    kept = job.code.kept
    made = (f.blob is None and f.path not in kept and not is_outside(f.path) for f in job.inputs)
    return not (job.input_shards or job.output_shards) and any(made)


def _record_file(run: Run, file: IO[bytes], manner: Manner, giving_up: GivingUp) -> int:
    try:
        report = reports.read(file)
    except OSError as error:
        raise _aside(run, file, error, giving_up) from error
    if not report.started:
        return 0
    configured = run.configuration
    assert configured is not None
    output = configured.settings.output
    giving_up.asked_before = report.end.get("signal") == signal.SIGINT
    try:
        log.start(*configured.settings.logging)
    except ConfigError as error:  # no reason to go without the record
        boundary.say_error(error)
    try:
        with patience("hashing what the command read and wrote"):
            identifier, job, unsigned = record(run, report, giving_up)
    except SavedAsideError:
        raise
    except Exception as error:
        raise _aside(run, file, error, giving_up) from error
    logging.getLogger(__name__).info("recorded %s: %s", identifier, subject(job))
    if manner.as_json:
        boundary.say(orjson.dumps({"id": identifier, **job.model_dump(mode="json", exclude_none=True)}).decode())
    elif not (manner.quiet or output.quiet) or job.incomplete:
        for line in lines(identifier, job, Style.of(2, output.color)):
            boundary.say(line)
    quiet = manner.quiet or manner.as_json or output.quiet
    if run.store or configured.settings.store.policy == "outputs":
        _store(run, configured.settings.store.url, identifier, job, quiet=quiet)
    _tidy(run, report.copies, (identifier, job), quiet=quiet)
    if manner.look and _reads_data(job):
        _say_what_is_stale(run, (identifier, job))
    if unsigned:
        by_ssh = "gpg.format ssh, and user.signingKey KEY.pub, to sign by SSH key"
        hint = by_ssh if "gpg failed" in unsigned else "user.signingKey KEY"
        boundary.say(f"roar: the record is not signed: {unsigned} (next: git config {hint})")
    if configured.ignored and not manner.quiet:
        names = ", ".join(dict.fromkeys(configured.ignored))
        boundary.say(f"roar: ignored in {SHARED_FILE}: {names} (next: roar config set {configured.ignored[0]} VALUE)")
    return 0


def _tidy(run: Run, copies: list[tuple[str, str]], recorded: tuple[str, Job], *, quiet: bool) -> None:
    """Keep what was overwritten, delete temporary files, register: as it is set. What goes wrong is said."""
    assert run.configuration is not None
    try:
        for line in _tidied(run, run.configuration.settings, copies, *recorded):
            if not quiet:
                boundary.say(line)
    except (RoarError, OSError) as error:
        boundary.say(f"roar: after the record was written: {error}")


def _tidied(run: Run, wanted: Settings, copies: list[tuple[str, str]], identifier: str, job: Job) -> Iterator[str]:
    if copies:
        from roar.verbs import overwritten

        kept = overwritten.take_in(run.repo, copies, identifier, job.started_ns, wanted.reversible)
        for copy in kept[:_MOST]:
            yield f"  was  {copy.hash[:12]}  {printable(copy.path)} (to bring it back: roar get {copy.hash[:12]})"
        if len(kept) > _MOST:
            yield f"  was  … and {len(kept) - _MOST} more (roar get --kept)"
    if wanted.cleanup.delete_tmp_writes:
        from roar.verbs import tidying

        deleted = tidying.delete_temporaries(job)
        if deleted:
            more = f" and {len(deleted) - _MOST} more" if len(deleted) > _MOST else ""
            yield f"  deleted  {printable(', '.join(deleted[:_MOST]))}{more}"
    if wanted.register.auto:
        from roar.verbs import register

        register.in_background(run.repo)


def _aside(run: Run, file: IO[bytes], error: Exception, giving_up: GivingUp) -> SavedAsideError:
    with giving_up:
        file.seek(0)
        return save_report(run, file.read(), error)


def _store(run: Run, url: str, identifier: str, job: Job, *, quiet: bool) -> None:
    """Put the outputs into the store. What goes wrong is said; the run and its record stand."""
    from roar.cli.storing import Meter
    from roar.verbs import stored

    try:
        store = stored.store_at(None, url, run.repo.require_work_tree(), write=True)
        items = stored.outputs(run.repo, identifier, job)
        with Meter("stored", items) as meter:
            done = stored.put(store, items, meter.tell)
    except (RoarError, OSError) as error:
        boundary.say(f"roar: the outputs are not in the store: {error} (next: roar put {identifier[:12]})")
        return
    failed = [each.why for each in done if each.why]
    if failed:
        what = f"{len(failed)} of {len(done)} outputs are not in the store: {failed[0]}"
        boundary.say(f"roar: {what} (next: roar put {identifier[:12]})")
    elif done and not quiet:
        boundary.say(f"  {len(done)} output{'s' * (len(done) > 1)} in {store.name}")


def lines(identifier: str, job: Job, style: Style) -> list[str]:
    """The report: one head line, the files, what was left out, what is not known."""
    result = outcome(job)
    good = style.green if result == "ok" else style.red
    text = [
        f"{style.bold('roar')} {style.yellow(identifier)}  {good(result)}  {duration(job.duration_ns)}"
        f"  {command_line(job.command, 60)}"
    ]
    if job.tags:
        text.append(f"  {style.bold('tag')}  {tag_words(job)}")
    text += _side("in ", job.inputs, job.input_shards, style) + _declared("in ", "input", job, style)
    text += _side("out", job.outputs, job.output_shards, style) + _declared("out", "output", job, style)
    text += [f"  {style.bold('via')}  {tracker_words(each)}" for each in job.trackers[:_MOST]]
    if len(job.trackers) > _MOST:
        text.append(f"  {style.bold('via')}  … and {len(job.trackers) - _MOST} more (roar show {identifier})")
    if job.code.overlay:
        text.append(style.dim(f"  kept with the record: {_kept(job)}"))
    text += [style.dim(line) for line in _left_out(job)]
    text += [
        style.red(f"  incomplete: {printable(gap.reason)}: {printable(gap.detail)}") for gap in job.incomplete[:_MOST]
    ]
    if len(job.incomplete) > _MOST:
        text.append(style.red(f"  incomplete: {len(job.incomplete) - _MOST} more (roar show {identifier})"))
    return text


def _side(title: str, files: list[File], shards: list[Shard], style: Style) -> list[str]:
    # data first: what is in git is known anyway
    named = sorted(files, key=lambda f: (f.blob is not None, f.path))
    text = []
    for file in named[:_MOST]:
        known = file.hash[:12] if file.hash else "unknown     "
        kind = " (git)" if file.blob else ""
        text.append(f"  {style.bold(title)}  {style.cyan(known)}  {printable(file.path)}{style.dim(kind)}")
    more = len(named) - _MOST
    if more > 0:
        text.append(f"  {style.bold(title)}  … and {more} more")
    folders = counts_by_folder(shards)
    for folder, count in list(folders.items())[:_MOST]:
        text.append(f"  {style.bold(title)}  {count} files in {printable(folder) or '.'}")
    if len(folders) > _MOST:
        rest = sum(list(folders.values())[_MOST:])
        text.append(f"  {style.bold(title)}  … and {rest} more in {len(folders) - _MOST} folders")
    return text


def _declared(title: str, side: str, job: Job, style: Style) -> list[str]:
    """What the user said of one side; it was not seen."""
    refs = [printable(hint.ref) for hint in job.hints if hint.side == side]
    text = [f"  {style.bold(title)}  {'declared':<12}  {ref}{style.dim(' (not seen)')}" for ref in refs[:_MOST]]
    return [*text, f"  {style.bold(title)}  … and {len(refs) - _MOST} more declared"] if len(refs) > _MOST else text


def _kept(job: Job) -> str:
    """The overlay's files by name, the first of them."""
    names = [printable(file.path) for file in job.code.overlay]
    return ", ".join(names[:_MOST]) + (f" and {len(names) - _MOST} more" if len(names) > _MOST else "")


def _left_out(job: Job) -> list[str]:
    inside = [left_out_words(item) for item in job.left_out if item.inside]
    outside = [left_out_words(item) for item in job.left_out if not item.inside]
    if job.temporaries:
        outside.append(f"{job.temporaries} temporary")
    text = [f"  left out inside the repository: {', '.join(inside)}"] if inside else []
    return [*text, f"  left out: {', '.join(outside)}"] if outside else text
