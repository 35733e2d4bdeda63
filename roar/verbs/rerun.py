"""Running one step of a plan again: its command under the tracer, and its record."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
from collections.abc import Iterator, Mapping
from typing import BinaryIO, NamedTuple

from roar.config.read import load
from roar.environment.system import changed
from roar.errors import RoarError, SavedAsideError
from roar.paths import fs, is_safe_relative
from roar.records.job import Command, Exit, Job
from roar.records.summary import printable
from roar.trace import report as reports
from roar.trace.start import open_report, tracer_path, tracer_words
from roar.verbs import sandbox, translate
from roar.verbs.plan import Step
from roar.verbs.record import Run, record
from roar.verbs.stage import place_of
from roar.verbs.workspace import Workspace

_PATIENCE_SECONDS = 5


class Ran(NamedTuple):
    """What a step's second run was: how it ended, the record of it, and what else is to be said."""

    exit: Exit
    identifier: str | None
    """None when the record could not be put into git; ``remarks`` then say where it is."""
    job: Job | None
    remarks: list[str]


def ended(process: subprocess.Popen[bytes]) -> None:
    """End a session of processes: it is asked to first, then made to."""
    for name in (signal.SIGINT, signal.SIGTERM, signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, name)
        with contextlib.suppress(subprocess.TimeoutExpired, KeyboardInterrupt):  # who asks twice waits no longer
            process.wait(_PATIENCE_SECONDS)
            break


class Ready:
    """A step's command in the words of this machine, and what is recorded of it once it has run."""

    def __init__(self, step: Step, area: Workspace, tools: list[translate.Tools], places: Mapping[str, str]) -> None:
        """``places`` has the folders that stand for recorded ones outside of the work tree; files are added to them."""
        places = {**places, **{fs(path): place_of(path, step, area) for path in step.moved}}
        self.step = step
        self.area = area
        self.cwd = area.files.folder(step.job.command.cwd)
        self.environ = translate.variables(step.job, area.top, tools, places)
        self.environ["PWD"] = self.cwd
        self._places = places
        self._configuration = load(area.user)  # not what the recorded commit shares, which may be wrong by now
        self._argv = translate.words(step.job.command, area.top, tools, places)
        _link_environments(area, tools)

    def traced(self, report: int) -> list[str]:
        """The words of the command under the tracer, which reports to a descriptor. Raises ``RoarError``."""
        how = tracer_words(self._configuration.settings.tracer)
        return [tracer_path(), "--report-fd", str(report), *how, "--", *self._argv]

    def recorded_from(self, report: BinaryIO, session: str) -> Ran:
        """Record what it did. Raises ``RoarError`` when it never began or cannot be recorded."""
        return self._recorded(session, reports.read(report))

    def _recorded(self, session: str, report: reports.Report) -> Ran:
        step = self.step
        if not report.started:
            why = report.end.get("error") or "it cannot be executed"
            raise RoarError(f"@{step.number} could not be started: {printable(str(why))}")
        ended = Exit(code=report.end.get("exit_code"), signal=report.end.get("signal"))
        what = Run(
            self.area.repository(),
            self._argv,
            self.cwd,
            None,  # no branch: the area's HEAD is detached
            None if step.without_commit else step.job.code.commit,
            self.environ,
            role=step.job.role,
            session=session,
            reproduces=step.identifier,
            configuration=self._configuration,
            command=step.job.command,  # as it was recorded: the words that ran hold places of this machine
            places=tuple((here, recorded) for recorded, here in self._places.items()),
        )
        remarks = [f"not set as it was: {printable(item)}" for item in translate.not_believed(step.job, self.environ)]
        try:
            recorded = record(what, report)
            remarks += _other_versions(step.job, recorded.job)
            return Ran(ended, recorded.id, recorded.job, remarks)
        except SavedAsideError as error:
            return Ran(ended, None, None, [*remarks, error.message])


class Running(Ready):
    """A step's command under the tracer, its output to a descriptor.

    It gets a session of its own: no terminal, and no signal of it, reaches it. Raises ``RoarError`` or ``OSError`` when
    it cannot be started.
    """

    def __init__(
        self,
        step: Step,
        area: Workspace,
        tools: list[translate.Tools],
        places: Mapping[str, str],
        output: int,
        *,
        sandboxed: bool,
    ) -> None:
        super().__init__(step, area, tools, places)
        umask = step.job.environment.umask
        self._report = open_report()
        try:
            words = self.traced(self._report)
            if sandboxed:
                words = [*sandbox.words(area.folder, self.cwd, area.outside.top), *words]
                self.environ["TMPDIR"] = sandbox.temporary(area.folder)
            with _streams(step.job.command, area, output) as streams:
                self._process = subprocess.Popen(
                    words,
                    cwd=self.cwd,
                    env=self.environ,
                    stdin=streams[0],
                    stdout=streams[1],
                    stderr=streams[2],
                    pass_fds=(self._report,),
                    start_new_session=True,
                    umask=-1 if umask is None else umask & 0o777,
                )
        except BaseException:
            os.close(self._report)
            raise

    def has_ended(self, seconds: float | None) -> bool:
        """Whether it ends within so many seconds; None: wait for its end."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(seconds)
        return self._process.returncode is not None

    def stop(self) -> None:
        """End it: it is asked to first, then made to."""
        ended(self._process)
        os.close(self._report)

    def recorded(self, session: str) -> Ran:
        """Record what it did, once it has ended. Raises as ``recorded_from``."""
        with os.fdopen(self._report, "rb") as file:
            file.seek(0)
            return self.recorded_from(file, session)


def _other_versions(before: Job, after: Job) -> list[str]:
    """The system's packages, of those that both runs read, that are not what they were. Nobody installs them."""
    pairs = changed(before.environment.system_packages, after.environment.system_packages)
    return [printable(f"package of the system: {name} {now}, recorded {then}") for name, (then, now) in pairs.items()]


def _link_environments(area: Workspace, tools: list[translate.Tools]) -> None:
    """Where scripts and makefiles look for the recorded environment by its place in the work tree."""
    for tool in tools:
        prefix = tool.python.prefix
        if tool.folder and prefix and is_safe_relative(prefix) and not os.path.lexists(area.files.name(prefix)):
            area.files.link(prefix, os.fsencode(tool.folder))


@contextlib.contextmanager
def _streams(command: Command, area: Workspace, output: int) -> Iterator[list[int]]:
    """Descriptors for standard input, output and errors: the files that they were redirected to, else ``output``."""
    streams = [subprocess.DEVNULL, output, output]
    opened: dict[str, int] = {}
    try:
        for redirect in command.redirects:
            if redirect.path not in opened:
                how = os.O_WRONLY | os.O_CREAT | (os.O_APPEND if redirect.append else os.O_TRUNC)
                opened[redirect.path] = area.files.open(redirect.path, how if redirect.fd else os.O_RDONLY)
            streams[redirect.fd] = opened[redirect.path]
        yield streams
    finally:
        for fd in opened.values():
            os.close(fd)


def same_end(now: Exit, before: Exit) -> bool:
    """True when a command ended as the record says it did. A record that does not know says nothing."""
    if before.code is None and before.signal is None:
        return True
    return (now.code, now.signal) == (before.code, before.signal)


def end_words(end: Exit) -> str:
    """How a command ended, for people."""
    if end.signal is not None:
        return f"it was killed by signal {end.signal}"
    return f"it ended with {end.code}" if end.code is not None else "it is not known how it ended"
