"""Making a recorded file again: plan, run each step in a work area, compare every output, and say what came out.

Nothing of the user's checkout is touched. What a step's second run did is recorded, in the user's own journal and
linked to the first one, whether or not the bytes agree.
"""

from __future__ import annotations

import contextlib
import os
import shlex
import signal
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Literal, NamedTuple

from roar.cache.index import Index, open_index
from roar.errors import GitError, NotFoundError, RoarError, UsageError
from roar.git import refs, transport
from roar.git.repository import Repository
from roar.hashing import digest_file
from roar.journal import REMOTES
from roar.lineage import upstream
from roar.paths import fs
from roar.records.job import Environment, File
from roar.records.summary import command_line, printable
from roar.stamps import Stamps
from roar.trace.start import tracer_path
from roar.verbs import rebuild_env, rerun, sessions, workspace
from roar.verbs.inputs import Sources, is_outside
from roar.verbs.plan import Asked, Chosen, Plan, Step, Stop, plan
from roar.verbs.rebuild_env import Mode, Progress
from roar.verbs.resolve import resolve
from roar.verbs.sync import own_notes, place
from roar.verbs.translate import Tools
from roar.verbs.workspace import Workspace

State = Literal["identical", "differs", "missing", "unknown", "not run"]


class Verdict(NamedTuple):
    """What became of one recorded output. ``found`` is its hash now, ``unknown``: the record has none to compare."""

    step: int
    file: File
    state: State
    found: str | None
    asked: bool


class Outcome(NamedTuple):
    """What a reproduction came to. ``failed`` tells by step why it could not run as recorded."""

    verdicts: list[Verdict]
    ran: dict[int, rerun.Ran]
    failed: dict[int, str]
    remarks: list[str]
    area: str | None
    """Where the work area was kept."""

    @property
    def complete(self) -> bool:
        """True when every step ran and ended as recorded, and there was something to compare, if anything was made."""
        states = {verdict.state for verdict in self.verdicts}
        return not self.failed and "not run" not in states and states != {"unknown"}

    @property
    def identical(self) -> bool:
        """True when everything that could be compared is the same."""
        return all(v.state in ("identical", "unknown") for v in self.verdicts)


class Wish(NamedTuple):
    """What to make again, as typed in the folder ``cwd``; where inputs are, by hash; how environments are had."""

    text: str
    cwd: str
    given: Mapping[str, str]
    mode: Mode


class Audience(NamedTuple):
    """Where the commands' output goes, and who is told what goes on."""

    output: int
    """A descriptor."""
    begun: Callable[[Step], None]
    """Called before each step."""
    say: Progress
    """Called with lines for people."""


def prepare(repo: Repository, wish: Wish, say: Progress) -> Plan:
    """The plan to make something again. Nothing is run.

    In a clone that has no records of others yet, and does not know its name, they are fetched first.
    Raises what ``resolve`` raises, and ``NotFoundError`` when no recorded job made it.
    """
    try:
        return _prepare(repo, wish)
    except NotFoundError:
        if wish.text.startswith("@") or refs.listing(repo, REMOTES) or not _fetch(repo, wish.text, say):
            raise
    return _prepare(repo, wish)


def _fetch(repo: Repository, text: str, say: Progress) -> bool:
    """Fetch the records of every remote; True when anything came. Raises ``NotFoundError`` when none is reached."""
    brought, errors = False, list[GitError]()
    names = transport.remotes(repo)
    for name in names:
        say(f"fetching the records of {name}")
        try:
            remote = transport.check_remote(repo, name)
            brought |= bool(transport.fetch_records(repo, remote, own_notes(repo), place(repo)))
        except GitError as error:
            errors.append(error)
    if errors and len(errors) == len(names):
        where = " and ".join(names)
        raise NotFoundError(
            f"{printable(text)} is not recorded here, and {where} cannot be reached", f"git fetch {names[0]}"
        ) from errors[0]
    return brought


def _prepare(repo: Repository, wish: Wish) -> Plan:
    stamps = Stamps(repo.own_dir)
    with open_index(repo) as index:
        asked = find(index, repo, wish.text, wish.cwd)
        chosen = [_chosen(index, job) for job in upstream(index, [asked.job]).jobs]
        sources = Sources(repo, wish.given, lambda content: [use.path for use in index.names(content)], stamps)
        try:
            made = plan(asked, chosen, sources, lambda content: last_seen(index, content))
        finally:
            sources.close()
            stamps.close()
    _check_given(made, wish.given)
    return _with_environments(made, wish.mode, repo.work_tree)


def _check_given(made: Plan, given: Mapping[str, str]) -> None:
    """Raise ``UsageError`` for a hash that is no input of the plan."""
    if made.stops and not any(step.needs for step in made.steps):
        return  # a record was refused before any input was looked at
    inputs = [need.file.hash or "" for step in made.steps for need in step.needs]
    for beginning in given:
        if not any(content.startswith(beginning) for content in inputs):
            raise UsageError(
                f"--input {beginning}: no input begins with that",
                f"roar reproduce {shlex.quote(made.asked.name)} --plan",
            )


def find(index: Index, repo: Repository, text: str, cwd: str) -> Asked:
    """The job, and the artifact of it, that a typed name means. Raises ``NotFoundError`` or ``UsageError``."""
    target = resolve(index, repo, text, cwd)
    if target.kind == "job":
        return Asked(text, target.id)
    if target.kind != "artifact":
        raise UsageError(f"{printable(text)} is a {target.kind}, not a file, a hash, a job or a step", "roar log")
    makers = index.producers(target.id)
    if not makers and (withdrawn := index.withdrawn_makers([target.id])):
        said = f"the job that made {printable(text)} was withdrawn"
        raise NotFoundError(said, f"roar show {withdrawn[target.id][:12]}, then reproduce that job by its id")
    if not makers:
        raise NotFoundError(f"no recorded job made {printable(text)}", f"roar show {target.id[:12]}")
    versions = index.versions(target.path) if target.path else []
    if target.path and not versions and not os.path.islink(os.path.join(cwd, text)):
        again = f"roar reproduce {target.id[:12]}, for the same content under another name"
        raise NotFoundError(f"no recorded job made {printable(text)}", again)
    at_path = {job for content, job in versions if content == target.id}
    # a first run before one that ran it again, one that wrote it to this path before others, the newest of these
    best = min(makers, key=lambda job: (index.load_job(job).reproduces is not None, job not in at_path))
    return Asked(text, best, target.id)


def _chosen(index: Index, identifier: str) -> Chosen:
    job = index.load_job(identifier)
    sharded = job.input_shards or job.output_shards
    inputs, outputs = index.files(identifier) if sharded else (job.inputs, job.outputs)
    return Chosen(identifier, job, inputs, outputs, index.overlay(identifier) if job.code.overlay else {})


def last_seen(index: Index, content: str) -> str:
    """Who had a content last: host, time and job, for people; "" when nobody is known."""
    users = sorted({*index.producers(content), *index.consumers(content)}, reverse=True)
    again = {job for job, span in index.spans(users).items() if span.again}
    users.sort(key=lambda job: job in again)  # a work area of roar's own is not where anybody keeps a file
    if not users:
        return ""
    job = index.load_job(users[0])
    when = time.strftime("%Y-%m-%d %H:%M", time.gmtime(job.started_ns // 1_000_000_000))
    host = printable(job.environment.machine.hostname or "an unnamed machine")
    return f"{host}, {when} UTC, {users[0]} {command_line(job.command, 50)}"


def _with_environments(made: Plan, mode: Mode, work_tree: str | None) -> Plan:
    """The plan with the environment that each step gets, and with a stop where one cannot be had."""
    steps, stops = [], list(made.stops)
    for step in made.steps:
        try:
            step = step._replace(environments=tuple(rebuild_env.planned(step.job, mode, work_tree)))  # noqa: PLW2901
        except RoarError as error:
            stops.append(Stop(step.number, error.message, error.hint))
        stops += [
            Stop(step.number, f"it would write over {printable(file.path)}, outside of the repository", "move it away")
            for file in step.outputs
            if is_outside(file.path) and os.path.lexists(fs(file.path))
        ]
        steps.append(step)
    return made._replace(steps=steps, stops=stops)


def reproduce(made: Plan, repo: Repository, audience: Audience, *, keep: bool = False) -> Outcome:
    """Run the plan. Raises ``RoarError`` when no work area or
    environment can be made; a step that fails is part of the outcome.
    """
    tracer_path()  # where there is none, nothing needs to be built
    with _interruptible(), workspace.opened(repo, keep=keep) as area:
        runner = _Runner(made, repo, area, audience)
        runner.build_shared()
        for step in made.steps:
            if not step.waits_for & set(runner.stopped):
                audience.begun(step)
                runner.run(step)
            else:
                runner.skip(step)
        remarks = list(dict.fromkeys(runner.remarks))
        return Outcome(runner.verdicts, runner.ran, runner.failed, remarks, area.top if keep else None)


class _Runner:
    """The steps in their order, and what became of them so far."""

    def __init__(self, made: Plan, repo: Repository, area: Workspace, audience: Audience) -> None:
        self.verdicts: list[Verdict] = []
        self.ran: dict[int, rerun.Ran] = {}
        self.failed: dict[int, str] = {}
        self.stopped: set[int] = set()
        """Steps whose outputs cannot be counted on."""
        self.remarks: list[str] = []
        self._plan = made
        self._repo = repo
        self._area = area
        self._audience = audience
        self._stage = rerun.Stage(area, repo)
        self._session: str | None = None

    def build_shared(self) -> None:
        """Build the environments that do not depend on files of the area, before anything runs."""
        for step in self._plan.steps:
            if not any(env.recipe and env.recipe.projects for env in step.environments):
                self._tools(step)

    def run(self, step: Step) -> None:
        """Run one step and compare what it made."""
        try:
            self._stage.lay_out(step)
            tools = self._tools(step)
            self._session = self._session or sessions.begin(self._repo, reproduction=True)
            ran = rerun.run(step, self._area, tools, self._session, self._audience.output)
        except (RoarError, OSError) as error:
            hint = error.hint if isinstance(error, RoarError) else None
            self.failed[step.number] = f"{error} (next: {hint})" if hint else str(error)
            self.skip(step)
            return
        self.ran[step.number] = ran
        self.remarks += [f"@{step.number}: {remark}" for remark in [*step.remarks, *ran.remarks]]
        if not rerun.same_end(ran.exit, step.job.exit):
            self.failed[step.number] = f"{rerun.end_words(ran.exit)}; the record says {rerun.end_words(step.job.exit)}"
            self.stopped.add(step.number)
        self.verdicts += [self._verdict(step, file) for file in step.outputs]
        if ran.job is not None:
            self.remarks += [f"@{step.number}: {d}" for d in differences(step.job.environment, ran.job.environment)]
        rerun.set_aside(step, self._area)

    def skip(self, step: Step) -> None:
        """Leave one step out, because what it needs could not be made."""
        self.stopped.add(step.number)
        asked = self._plan.is_asked
        self.verdicts += [Verdict(step.number, file, "not run", None, asked(step, file)) for file in step.outputs]

    def _tools(self, step: Step) -> list[Tools]:
        built = [
            rebuild_env.tools(env, self._area.top, self._area.folder, self._audience.say) for env in step.environments
        ]
        self.remarks += [f"@{step.number}: {remark}" for _, remarks in built for remark in remarks]
        return [tool for tool, _ in built]

    def _verdict(self, step: Step, file: File) -> Verdict:
        asked = self._plan.is_asked(step, file)
        if file.hash is None:
            return Verdict(step.number, file, "unknown", None, asked)
        found = _digest_outside(fs(file.path)) if is_outside(file.path) else self._area.files.digest(file.path)
        state: State = "missing" if found is None else "identical" if found == file.hash else "differs"
        return Verdict(step.number, file, state, found, asked)


def _digest_outside(path: str) -> str | None:
    try:
        return digest_file(path).hash
    except OSError:
        return None


def differences(before: Environment, after: Environment) -> list[str]:
    """What is known to have been different around the second run, one line each."""
    found = []
    for name in ("system", "architecture", "cpu"):
        old, new = getattr(before.machine, name), getattr(after.machine, name)
        if old and new and old != new:
            found.append(f"{name} {printable(new)}, recorded {printable(old)}")
    versions = [{python.version for python in env.pythons} for env in (before, after)]
    if versions[0] and versions[1] and versions[0] != versions[1]:
        found.append(f"Python {', '.join(sorted(versions[1]))}, recorded {printable(', '.join(sorted(versions[0])))}")
    old_packages, new_packages = (_packages(env) for env in (before, after))
    return found + [
        f"{printable(name)} {new_packages[name]}, recorded {printable(old_packages[name])}"
        for name in sorted(old_packages.keys() & new_packages.keys())
        if old_packages[name] != new_packages[name]
    ]


def _packages(environment: Environment) -> dict[str, str]:
    return {package.name: package.version for python in environment.pythons for package in python.read}


@contextlib.contextmanager
def _interruptible() -> Iterator[None]:
    """Inside the block a request to end, or a closed terminal, is an interrupt: everything is cleared away first."""

    def interrupt(number: int, frame: object) -> None:
        del number, frame
        raise KeyboardInterrupt

    names = (signal.SIGTERM, signal.SIGHUP)
    before = [signal.signal(name, interrupt) for name in names]
    try:
        yield
    finally:
        for name, handler in zip(names, before, strict=True):
            signal.signal(name, handler)
