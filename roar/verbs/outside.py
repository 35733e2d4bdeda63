"""Files outside of the repository, given a private place where a step can be told so: where its command names them.

A file that the command names (``/data/raw.csv``, ``--out=/tmp/x``) can be anywhere, since the word can be changed. One
that a program finds by itself cannot: it is read where it was, and must be there; and nothing is written over.
"""

from __future__ import annotations

from collections.abc import Iterable

from roar.paths import from_fs, fs, is_outside, is_safe_relative
from roar.verbs import translate
from roar.verbs.plan import Chosen, Step

_HAD_ELSEWHERE = ("git", "given", "store", "pointer", "address")


def below_root(path: str) -> str:
    """The path of an outside file in the folder that stands for the root."""
    return from_fs(fs(path).lstrip("/"))


def movable(lineage: Iterable[Chosen]) -> frozenset[str]:
    """The outside files that every job which reads or writes them names in its command."""
    found: dict[str, bool] = {}
    for chosen in lineage:
        for path in {file.path for file in (*chosen.inputs, *chosen.outputs) if is_outside(file.path)}:
            named = is_safe_relative(below_root(path)) and translate.names(chosen.job.command, fs(path))
            found[path] = found.get(path, True) and named
    return frozenset(path for path, named in found.items() if named)


def arranged(steps: list[Step], can_move: frozenset[str]) -> list[Step]:
    """The steps, each with those of its files that get a private place: what is written, and what is had elsewhere."""
    wanted = {file.path for step in steps for file in step.outputs}
    wanted |= {need.file.path for step in steps for need in step.needs if need.source.kind in _HAD_ELSEWHERE}
    wanted &= can_move
    found = []
    for step in steps:
        command = step.job.command
        own = {file.path for file in step.outputs} | {need.file.path for need in step.needs}
        # one that it only looks whether it is there has moved all the same
        moved = {path for path in wanted if path in own or translate.names(command, fs(path))}
        found.append(step._replace(moved=tuple(sorted(moved))))
    return found
