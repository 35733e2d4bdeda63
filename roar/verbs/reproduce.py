"""Making a recorded file again: run each step of a plan in a work area, compare every output, and say what came out.

Nothing of the user's checkout is touched. What a step's second run did is recorded, in the user's own journal and
linked to the first one, whether or not the bytes agree.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Mapping
from typing import NamedTuple

from roar.cache.index import open_index
from roar.errors import RoarError
from roar.git.repository import Repository
from roar.hashing import digest_file
from roar.paths import fs, is_outside
from roar.records.job import File
from roar.records.summary import printable
from roar.stamps import Stamps
from roar.trace.start import tracer_path
from roar.verbs import rebuild_env, rerun, resume, sandbox, sessions, workspace
from roar.verbs.equivalence import Rule
from roar.verbs.inputs import Sources
from roar.verbs.interrupts import held, interruptible
from roar.verbs.neighbours import bring_all
from roar.verbs.plan import Plan, Step
from roar.verbs.rebuild_env import Progress
from roar.verbs.repeated import Steadiness, merged, steadiness
from roar.verbs.translate import Tools
from roar.verbs.verdict import Cause, State, Verdict, by_metrics, causes, judged
from roar.verbs.workspace import Workspace

_GLANCE_SECONDS = 0.02
"""How long one command is waited for when several run."""


class Outcome(NamedTuple):
    """What a reproduction came to. ``failed`` tells by step why it could not run as recorded."""

    verdicts: list[Verdict]
    ran: dict[int, rerun.Ran]
    failed: dict[int, str]
    remarks: list[str]
    causes: dict[int, list[Cause]]
    """By step that made something else: what may have been the reason, the likeliest first."""
    steady: dict[int, Steadiness]
    """By step, when all of it was run more than once: whether it does the same each time."""
    times: int
    area: str | None
    """Where the (last) work area was kept."""

    @property
    def complete(self) -> bool:
        """True when every step ran and ended as recorded, and there was something to compare, if anything was made."""
        states = {verdict.state for verdict in self.verdicts}
        return not self.failed and "not run" not in states and states != {"unknown"}

    @property
    def identical(self) -> bool:
        """True when everything that could be compared has the same bytes."""
        return all(v.state in ("identical", "unknown", "taken") for v in self.verdicts)

    @property
    def equivalent(self) -> bool:
        """True when everything that could be compared is identical or equivalent."""
        return all(v.state in ("identical", "equivalent", "unknown", "taken") for v in self.verdicts)


class Audience(NamedTuple):
    """Where the commands' output goes, and who is told what goes on."""

    output: int
    """A descriptor."""
    begun: Callable[[Step], None]
    """Called before each step."""
    say: Progress
    """Called with lines for people."""


class Manner(NamedTuple):
    """How to reproduce: what is compared how beside the bytes, where copies of files are by hash, how often, and how
    many steps at once, when the plan keeps them apart.
    """

    rules: tuple[Rule, ...]
    given: Mapping[str, str]
    times: int = 1
    at_once: int = 1
    keep: bool = False
    sandboxed: bool = False


def reproduce(made: Plan, repo: Repository, audience: Audience, manner: Manner) -> Outcome:
    """Run the plan. Raises ``RoarError`` when no work area or environment can be made; a step that fails is part of
    the outcome.
    """
    tracer_path()  # where there is none, nothing needs to be built
    with interruptible(), _Recorded(repo, manner.given) as recorded:
        session = _Session(repo)
        rounds = []
        for number in range(1, manner.times + 1):
            if manner.times > 1:
                audience.say(f"{number} of {manner.times}")
            rounds.append(_once(made, repo, audience, manner, (session, recorded)))
    whole = rounds[-1] if manner.times == 1 else _merged(made, rounds)
    if whole.complete and made.made_in:
        resume.forget(made.made_in)
    return whole._replace(causes=_causes(repo, made, whole))


def _once(
    made: Plan, repo: Repository, audience: Audience, manner: Manner, shared: tuple[_Session, _Recorded]
) -> Outcome:
    """All steps, once, in a work area of their own."""
    with workspace.opened(repo, keep=manner.keep) as area:
        if manner.sandboxed:
            sandbox.check(area.folder)
        runner = _Runner(made, area, audience, manner, shared)
        runner.build_shared()
        runner.run_all()
        remarks = list(dict.fromkeys(runner.remarks))
        kept = area.top if manner.keep else None
        verdicts = sorted(_taken(made) + runner.verdicts, key=lambda verdict: verdict.step)
        return Outcome(verdicts, runner.ran, runner.failed, remarks, {}, {}, 1, kept)


def _taken(made: Plan) -> list[Verdict]:
    """Of the steps that do not run, what is as it was recorded."""
    note = "made before it was interrupted"
    return [
        Verdict(step.number, file, "taken", file.hash, asked=False)
        if step.reason == "here"
        else Verdict(step.number, file, "identical", file.hash, asked=False, note=note)
        for step in made.left_out
        for file in step.outputs
    ]


def _merged(made: Plan, rounds: list[Outcome]) -> Outcome:
    """Several runs of the same plan as one outcome: of each file the worst that became of it."""
    last = rounds[-1]
    failed = {number: why for one in rounds for number, why in one.failed.items()}
    remarks = list(dict.fromkeys(remark for one in rounds for remark in one.remarks))
    steady = steadiness(made, [one.verdicts for one in rounds])
    verdicts = merged([one.verdicts for one in rounds])
    return last._replace(verdicts=verdicts, failed=failed, remarks=remarks, steady=steady, times=len(rounds))


def _causes(repo: Repository, made: Plan, outcome: Outcome) -> dict[int, list[Cause]]:
    """What may have made the steps with other outputs do so, as far as the records tell."""
    other = {v.step for v in outcome.verdicts if v.state in ("equivalent", "differs", "missing")}
    found = {}
    pairs = [
        (step, outcome.ran[step.number].identifier)
        for step in made.steps
        if step.number in other and step.number in outcome.ran
    ]
    if pairs:
        with open_index(repo) as index:
            for step, again in pairs:
                if again is not None:
                    with contextlib.suppress(RoarError):  # a record that cannot be read explains nothing
                        found[step.number] = causes(index, repo, step.identifier, again)
    return found


class _Session:
    """The session of all steps of a reproduction, begun with the first."""

    def __init__(self, repo: Repository) -> None:
        self._repo = repo
        self._id: str | None = None

    def identifier(self) -> str:
        """Its id."""
        self._id = self._id or sessions.begin(self._repo, reproduction=True)
        return self._id


class _Recorded:
    """Copies of recorded outputs, looked for when something differs."""

    def __init__(self, repo: Repository, given: Mapping[str, str]) -> None:
        self._repo = repo
        self._given = given
        self._stamps = Stamps(repo.own_dir)
        self._sources = Sources(repo, given, lambda _: [], self._stamps)

    def copy_of(self, file: File) -> str | None:
        """The absolute name of a file with the recorded bytes; None when there is none here."""
        return self._sources.find(file, None).place or None

    def __enter__(self) -> _Recorded:
        return self

    def __exit__(self, *_: object) -> None:
        self._sources.close()
        self._stamps.close()


class _Runner:
    """The steps in their order, and what became of them so far."""

    def __init__(
        self, made: Plan, area: Workspace, audience: Audience, manner: Manner, shared: tuple[_Session, _Recorded]
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
        self._stage = rerun.Stage(area, area.user, self._brought)
        self._waiting = list(made.steps)
        self._running: list[rerun.Running] = []

    def build_shared(self) -> None:
        """Fetch other repositories, and build the environments that do not depend on files of the area, before
        anything runs.
        """
        wanted = [neighbour for step in self._plan.steps for neighbour in step.neighbours]
        self._brought.update(bring_all(wanted, self._area.user, self._manner.given, self._audience.say))
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
                stage = rerun.Stage(area, area.user, self._brought)
            stage.lay_out(step)
            tools = self._tools(step, area, stage)
            places, output, sandboxed = stage.around.places, self._audience.output, self._manner.sandboxed
            with held():
                self._running.append(rerun.Running(step, area, tools, places, output, sandboxed=sandboxed))
        except (RoarError, OSError) as error:
            self._failed_to_run(step, error)

    def _finish(self, running: rerun.Running) -> None:
        """Compare what a step has made."""
        step, area = running.step, running.area
        self._running.remove(running)
        try:
            ran = running.recorded(self._session.identifier())
        except (RoarError, OSError) as error:
            self._failed_to_run(step, error)
            return
        self.ran[step.number] = ran
        self.remarks += [f"@{step.number}: {remark}" for remark in [*step.remarks, *ran.remarks]]
        if not rerun.same_end(ran.exit, step.job.exit):
            self.failed[step.number] = f"{rerun.end_words(ran.exit)}; the record says {rerun.end_words(step.job.exit)}"
            self.stopped.add(step.number)
        verdicts = [self._verdict(step, file, area) for file in step.outputs]
        self.verdicts += verdicts
        rerun.set_aside(step, area)
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

    def _tools(self, step: Step, area: Workspace, stage: rerun.Stage) -> list[Tools]:
        tops, say = stage.around.tops, self._audience.say
        built = [rebuild_env.tools(env, tops, area.folder, say) for env in step.environments]
        self.remarks += [f"@{step.number}: {remark}" for _, remarks in built for remark in remarks]
        return [tool for tool, _ in built]

    def _verdict(self, step: Step, file: File, area: Workspace) -> Verdict:
        asked = self._plan.is_asked(step, file)
        if file.hash is None:
            return Verdict(step.number, file, "unknown", None, asked)
        found = _digest_outside(fs(file.path)) if is_outside(file.path) else area.files.digest(file.path)
        state: State = "missing" if found is None else "identical" if found == file.hash else "differs"
        verdict = Verdict(step.number, file, state, found, asked)
        if state != "differs":
            return verdict
        place = fs(file.path) if is_outside(file.path) else area.files.name(file.path)
        return self._looked_at(step, verdict, place)

    def _looked_at(self, step: Step, verdict: Verdict, place: str) -> Verdict:
        """A verdict on other bytes, with where they differ or what holds all the same."""
        if os.path.islink(place):
            return verdict._replace(where=printable(f"it leads to {os.readlink(place)}"))
        again = self.ran[step.number].job
        if again is not None:
            verdict = by_metrics(verdict, step.job, again)
        return judged(verdict, self._recorded.copy_of(verdict.file), place, self._manner.rules)


def _digest_outside(path: str) -> str | None:
    try:
        return digest_file(path).hash
    except OSError:
        return None
