"""Making a recorded file again: run each step of a plan in a work area, compare every output, and say what came out.

Nothing of the user's checkout is touched. What a step's second run did is recorded, in the user's own journal and
linked to the first one, whether or not the bytes agree.
"""

from __future__ import annotations

import contextlib
from typing import NamedTuple

from roar.cache.index import open_index
from roar.errors import RoarError
from roar.git.repository import Repository
from roar.trace.start import tracer_path
from roar.verbs import engine, rerun, resume, sandbox, workspace
from roar.verbs.engine import EngineRunner
from roar.verbs.fetched import fetched
from roar.verbs.interrupts import interruptible
from roar.verbs.plan import Plan
from roar.verbs.recorded_bytes import Recorded
from roar.verbs.repeated import Steadiness, merged, steadiness
from roar.verbs.runner import Audience, Manner, Runner, Session
from roar.verbs.verdict import Cause, Verdict, causes


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


def reproduce(made: Plan, repo: Repository, audience: Audience, manner: Manner) -> Outcome:
    """Run the plan. Raises ``RoarError`` when no work area or environment can be made; a step that fails is part of
    the outcome.
    """
    tracer_path()  # where there is none, nothing needs to be built
    if manner.engine:
        engine.check(made)
    with interruptible(), resume.alone(made), Recorded(repo, manner.places, audience.copied) as recorded:
        made = fetched(made, repo, audience.copied)
        session = Session(repo)
        rounds = []
        for number in range(1, manner.times + 1):
            if manner.times > 1:
                audience.say(f"{number} of {manner.times}")
            rounds.append(_once(made, repo, audience, manner, (session, recorded)))
        whole = rounds[-1] if manner.times == 1 else _merged(made, rounds)
        if whole.complete:
            resume.forget(made)
    return whole._replace(causes=_causes(repo, made, whole))


def _once(
    made: Plan, repo: Repository, audience: Audience, manner: Manner, shared: tuple[Session, Recorded]
) -> Outcome:
    """All steps, once, in a work area of their own."""
    with workspace.opened(repo, keep=manner.keep) as area:
        if manner.sandboxed:
            sandbox.check(area.folder)
        runner = (EngineRunner if manner.engine else Runner)(made, area, audience, manner, shared)
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
