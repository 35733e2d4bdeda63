"""A plan as rules for make and its kin: which file is made from which, each by one rule."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from roar.errors import RoarError
from roar.paths import fs
from roar.records.summary import printable
from roar.verbs.plan import Plan, Step


class Rule(NamedTuple):
    """``inputs`` and ``outputs`` are ``os`` paths. A rule without a step copies its input."""

    name: str
    inputs: list[str]
    outputs: list[str]
    step: Step | None


def rules(made: Plan, program: str, check: Callable[[str], None]) -> list[Rule]:
    """The rules of a plan, the last is that of what was asked for. ``check`` raises for a name that it cannot have.

    Raises ``RoarError`` for what ``program`` cannot express: a file that has more than one state.
    """
    makers = _makers(made, program)
    found: list[Rule] = []
    copies: dict[str, str] = {}
    for step in made.steps:
        inputs = []
        for need in step.needs:
            path = need.file.path
            if need.source.kind == "step" and need.source.place != path:
                copied = copies.setdefault(path, need.source.place)
                if path in makers or copied != need.source.place:
                    raise _refused(path, "is there in more than one version", program)
                found.append(Rule(f"copy_{len(found)}", [fs(copied)], [fs(path)], None))
            elif need.source.kind != "step" and path in makers:
                raise _refused(
                    path, f"is read by @{step.number} in another version than @{makers[path]} makes", program
                )
            if need.file.hash is not None:
                inputs.append(fs(path))
        outputs = [fs(file.path) for file in step.outputs]
        both = sorted(set(inputs) & set(outputs))
        if both:
            raise _refused(both[0], f"is changed in place by @{step.number}", program)
        found.append(Rule(f"step_{step.number}", list(dict.fromkeys(inputs)), outputs, step))
    found = list({tuple(rule.outputs): rule for rule in found}.values())
    for rule in found:
        for path in [*rule.inputs, *rule.outputs]:
            check(path)
    return found


def _makers(made: Plan, program: str) -> dict[str, int]:
    makers: dict[str, int] = {}
    for step in made.steps:
        for file in step.outputs:
            if file.path in makers:
                raise _refused(file.path, f"is written by @{makers[file.path]} and by @{step.number}", program)
            makers[file.path] = step.number
    return makers


def _refused(path: str, why: str, program: str) -> RoarError:
    return RoarError(f"{printable(path)} {why}, which {program} cannot express", "roar export sh")
