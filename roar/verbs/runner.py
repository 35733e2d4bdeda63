"""The steps of a plan in their order, side by side where they may, each compared with its record when it has ended."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterable
from typing import NamedTuple

from roar.errors import RoarError
from roar.git.repository import Repository
from roar.hashing import digest_file
from roar.paths import is_outside
from roar.records.job import File
from roar.records.summary import printable
from roar.store.copying import Tell
from roar.verbs import rebuild_env, rerun, resume, sessions
from roar.verbs.equivalence import Rule
from roar.verbs.inputs import Places
from roar.verbs.installing import Progress
from roar.verbs.interrupts import held
from roar.verbs.neighbours import bring_all
from roar.verbs.plan import Plan, Step
from roar.verbs.recorded_bytes import Recorded
from roar.verbs.stage import Stage, place_of, set_aside
from roar.verbs.translate import Tools
from roar.verbs.verdict import State, Verdict, by_metrics, judged
from roar.verbs.workspace import Workspace

_GLANCE_SECONDS = 0.02
"""How long one command is waited for when several run."""


Engine = Callable[[Plan, Callable[[Step], str]], Iterable[str]]
"""Writes a plan for another program, each step by a command of its own."""


class Audience(NamedTuple):
    """Where the commands' output goes, and who is told what goes on."""

    output: int
    """A descriptor."""
    begun: Callable[[Step], None]
    """Called before each step."""
    say: Progress
    """Called with lines for people."""
    copied: Tell
    """Called with the numbers of bytes that were fetched."""


class Manner(NamedTuple):
    """How to reproduce: what is compared how beside the bytes, where copies of files may be, how often, and how many
    steps at once, when the plan keeps them apart.
    """

    rules: tuple[Rule, ...]
    places: Places
    times: int = 1
    at_once: int = 1
    keep: bool = False
    sandboxed: bool = False
    engine: Engine | None = None
    """None: roar runs the steps."""


class Session:
    """The session of all steps of a reproduction, begun with the first."""

    def __init__(self, repo: Repository) -> None:
        self._repo = repo
        self._id: str | None = None

    def identifier(self) -> str:
        """Its id."""
        self._id = self._id or sessions.begin(self._repo, reproduction=True)
        return self._id


class Runner:
    """The steps in their order, and what became of them so far."""

    def __init__(
        self, made: Plan, area: Workspace, audience: Audience, manner: Manner, shared: tuple[Session, Recorded]
    ) -> None:
        self.verdicts: list[Verdict] = []
        self.ran: dict[int, rerun.Ran] = {}
        self.failed: dict[int, str] = {}
        self.stopped: set[int] = set()
        """Steps whose outputs cannot be counted on."""
        self.remarks: list[str] = []
        self._plan = made
        self._area = area
        self._audience = audience
        self._manner = manner
        self._session, self._recorded = shared
        self._brought: dict[str, Repository] = {}
        self._stage = Stage(area, area.user, self._brought)
        self._waiting = list(made.steps)
        self._running: list[rerun.Running] = []

    def build_shared(self) -> None:
        """Fetch other repositories, and build the environments that do not depend on files of the area, before
        anything runs.
        """
        wanted = [neighbour for step in self._plan.steps for neighbour in step.neighbours]
        self._brought.update(bring_all(wanted, self._area.user, self._manner.places.given, self._audience.say))
        for step in self._plan.steps:
            if not any(env.recipe and env.recipe.projects for env in step.environments):
                self._tools(step, self._area, self._stage)

    def run_all(self) -> None:
        """Run what can be run. Whatever ends it, no command outlives it."""
        try:
            while self._waiting or self._running:
                step = next((step for step in self._waiting if self._may_start(step)), None)
                if step is None:
                    self._finish(self._ended())
                    continue
                self._waiting.remove(step)
                if step.waits_for & self.stopped:
                    self.skip(step)
                else:
                    self._audience.begun(step)
                    self._start(step)
        finally:
            for running in self._running:
                running.stop()

    def _may_start(self, step: Step) -> bool:
        """True when nothing that runs, or is yet to run, has to come first."""
        if len(self._running) >= (self._manner.at_once if self._plan.apart else 1):
            return False
        before = [running.step for running in self._running]
        before += [other for other in self._waiting if other.number < step.number]
        if any(other.number in step.waits_for or other.job.role == "build" for other in before):
            return False
        # outside of the repository all share the same files
        shares = any(is_outside(file.path) for one in (step, *before) for file in (*one.outputs, *one.elsewhere))
        return not (before and shares)

    def _ended(self) -> rerun.Running:
        """The first that has ended."""
        while True:
            for running in self._running:
                if running.has_ended(None if len(self._running) == 1 else _GLANCE_SECONDS):
                    return running

    def _start(self, step: Step) -> None:
        area, stage = self._area, self._stage
        try:
            if self._plan.apart:
                area = self._area.another(f".step-{step.number}")
                stage = Stage(area, area.user, self._brought)
            stage.lay_out(step)
            tools = self._tools(step, area, stage)
            places, output, sandboxed = stage.around.places, self._audience.output, self._manner.sandboxed
            with held():
                self._running.append(rerun.Running(step, area, tools, places, output, sandboxed=sandboxed))
        except (RoarError, OSError) as error:
            self._failed_to_run(step, error)

    def _finish(self, running: rerun.Running) -> None:
        """Compare what a step has made."""
        self._running.remove(running)
        try:
            ran = running.recorded(self._session.identifier())
        except (RoarError, OSError) as error:
            self._failed_to_run(running.step, error)
        else:
            self._compare(running, ran)

    def _compare(self, ready: rerun.Ready, ran: rerun.Ran) -> None:
        step, area = ready.step, ready.area
        self.ran[step.number] = ran
        self.remarks += [f"@{step.number}: {remark}" for remark in [*step.remarks, *ran.remarks]]
        if not rerun.same_end(ran.exit, step.job.exit):
            self.failed[step.number] = f"{rerun.end_words(ran.exit)}; the record says {rerun.end_words(step.job.exit)}"
            self.stopped.add(step.number)
        verdicts = [self._verdict(step, file, area) for file in step.outputs]
        self.verdicts += verdicts
        set_aside(step, area)
        if self._plan.made_in and step.number not in self.failed and (self._waiting or self._running):
            with contextlib.suppress(OSError):  # it would only have saved time
                resume.keep(self._plan.made_in, verdicts, area.files)

    def _failed_to_run(self, step: Step, error: RoarError | OSError) -> None:
        hint = error.hint if isinstance(error, RoarError) else None
        self.failed[step.number] = f"{error} (next: {hint})" if hint else str(error)
        self.skip(step)

    def skip(self, step: Step) -> None:
        """Leave one step out, because what it needs could not be made."""
        self.stopped.add(step.number)
        asked = self._plan.is_asked
        self.verdicts += [Verdict(step.number, file, "not run", None, asked(step, file)) for file in step.outputs]

    def _tools(self, step: Step, area: Workspace, stage: Stage) -> list[Tools]:
        tops, say = stage.around.tops, self._audience.say
        built = [rebuild_env.tools(env, tops, area.folder, say) for env in step.environments]
        self.remarks += [f"@{step.number}: {remark}" for _, remarks in built for remark in remarks]
        return [tool for tool, _ in built]

    def _verdict(self, step: Step, file: File, area: Workspace) -> Verdict:
        asked = self._plan.is_asked(step, file)
        if file.hash is None:
            return Verdict(step.number, file, "unknown", None, asked)
        place = place_of(file.path, step, area)
        found = _digest_outside(place) if is_outside(file.path) else area.files.digest(file.path)
        state: State = "missing" if found is None else "identical" if found == file.hash else "differs"
        verdict = Verdict(step.number, file, state, found, asked)
        if state != "differs":
            return verdict
        return self._looked_at(step, verdict, place)

    def _looked_at(self, step: Step, verdict: Verdict, place: str) -> Verdict:
        """A verdict on other bytes, with where they differ or what holds all the same."""
        if os.path.islink(place):
            return verdict._replace(where=printable(f"it leads to {os.readlink(place)}"))
        again = self.ran[step.number].job
        if again is not None:
            verdict = by_metrics(verdict, step.job, again)
        try:
            recorded = self._recorded.copy_of(verdict.file, self._area.spare.top)
        except (RoarError, OSError) as error:
            return verdict._replace(note=f"no copy of the recorded bytes could be had: {error}")
        return judged(verdict, recorded, place, self._manner.rules)


def _digest_outside(path: str) -> str | None:
    try:
        return digest_file(path).hash
    except OSError:
        return None
