"""Which records of a plan nobody whom git trusts here has signed."""

from __future__ import annotations

from collections.abc import Callable

from roar.git.repository import Repository
from roar.records.summary import printable
from roar.verbs.plan import Plan, Stop
from roar.verbs.verify import verify


def unsigned(repo: Repository, made: Plan, tell: Callable[[int], None]) -> list[Stop]:
    """A stop for each job of the lineage, run or not, whose record is not signed, or whose signature is not good.

    ``tell`` is called with the number of signatures checked so far. Raises ``GitError``.
    """
    numbers = {step.identifier: step.number for step in made.steps}
    numbers |= {step.identifier: step.number for step in made.left_out}
    states = {verdict.id: verdict for verdict in verify(repo, tell, set(numbers))}
    stops = []
    for identifier, number in sorted(numbers.items(), key=lambda item: item[1]):
        verdict = states.get(identifier)
        state = verdict.state if verdict else "broken"
        if state not in ("signed", "covered"):
            who = f" ({printable(verdict.signer)})" if verdict and verdict.signer else ""
            stops.append(Stop(number, f"the signature of its record: {state}{who}", f"roar verify {identifier[:12]}"))
    return stops
