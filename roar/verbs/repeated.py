"""What several runs of the same steps say together: which steps do something else each time."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Literal

from roar.verbs.plan import Plan
from roar.verbs.verdict import State, Verdict

Steadiness = Literal["steady", "changes", "follows", "other here", "unknown"]
"""What a step does when it is run again and again here:

``steady``: what it did when it was recorded · ``changes``: something else each time, from the same inputs ·
``follows``: its inputs were made by steps of which that is true · ``other here``: always the same, but not what was
recorded: something around it is another · ``unknown``: it did not run each time.
"""
WORDS: dict[Steadiness, str] = {
    "changes": "is not deterministic: from the same inputs it makes something else each time",
    "follows": "made something else because its inputs were others",
    "other here": "makes the same each time, but not what was recorded: something around it is another",
}
_WORST: tuple[State, ...] = ("taken", "identical", "unknown", "equivalent", "differs", "missing", "not run")


def merged(rounds: Sequence[Iterable[Verdict]]) -> list[Verdict]:
    """Of each file the worst verdict of all rounds."""
    found: dict[tuple[int, str], Verdict] = {}
    for verdict in (verdict for one in rounds for verdict in one):
        key = (verdict.step, verdict.file.path)
        if key not in found or _WORST.index(verdict.state) > _WORST.index(found[key].state):
            found[key] = verdict
    return list(found.values())


def steadiness(made: Plan, rounds: Sequence[Iterable[Verdict]]) -> dict[int, Steadiness]:
    """What each step of the plan does over several rounds."""
    contents: dict[tuple[int, str], set[str | None]] = {}
    states: dict[int, set[State]] = {}
    for verdict in (verdict for one in rounds for verdict in one):
        contents.setdefault((verdict.step, verdict.file.path), set()).add(verdict.found)
        states.setdefault(verdict.step, set()).add(verdict.state)
    found: dict[int, Steadiness] = {}
    for step in made.steps:
        mine = states.get(step.number, set())
        reads = [(n.source.step, n.source.place) for n in step.needs if n.source.kind == "step"]
        other = any(len(contents.get((step.number, file.path), ())) > 1 for file in step.outputs)
        recorded = {(s.number, f.path): f.hash for s in made.steps for f in s.outputs}
        if not mine or "not run" in mine:
            found[step.number] = "unknown"
        elif not other:
            found[step.number] = "steady" if mine <= {"identical", "unknown"} else "other here"
        else:
            found[step.number] = "follows" if any(len(contents.get(read, ())) > 1 for read in reads) else "changes"
        if found[step.number] == "other here" and any(contents.get(r, set()) != {recorded.get(r)} for r in reads):
            found[step.number] = "follows"
    return found
