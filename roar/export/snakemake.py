"""A pipeline for Snakemake (https://snakemake.readthedocs.io/), whose files are Python."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterator

from roar.errors import RoarError
from roar.export import steps
from roar.export.rules import rules
from roar.paths import fs
from roar.records.summary import printable
from roar.verbs.plan import Plan, Step


def _command(step: Step) -> str:
    return "top=$(pwd)\n" + steps.one_line(step.job)


def lines(made: Plan, command_of: Callable[[Step], str] = _command) -> Iterator[str]:
    """The Snakefile, line by line. Raises ``RoarError`` for what Snakemake cannot express."""
    found = rules(made, "Snakemake", _check)
    yield from steps.head(made, "Run it in a clone: snakemake -s FILE --cores 1")
    yield from steps.code_elsewhere(made)
    yield ""
    yield "rule all:"
    yield from _files("input", [fs(file.path) for file in steps.asked_outputs(made)])
    for rule in found:
        yield ""
        if rule.step is None:
            command = f"cp -p -- {shlex.quote(rule.inputs[0])} {shlex.quote(rule.outputs[0])}"
        else:
            yield from steps.about(rule.step)
            command = command_of(rule.step)
        yield f"rule {rule.name}:"
        yield from _files("input", rule.inputs)
        yield from _files("output", rule.outputs)
        yield "    shell:"
        # braces would be taken for names of Snakemake's own
        yield f"        {command.replace('{', '{{').replace('}', '}}')!a}"


def _files(kind: str, paths: list[str]) -> Iterator[str]:
    if paths:
        yield f"    {kind}:"
        yield from (f"        {path!a}," for path in paths)


def _check(path: str) -> None:
    if "{" in path or "}" in path or printable(path) != path:
        raise RoarError(f"Snakemake has no name for {printable(path)}", "roar export sh")
