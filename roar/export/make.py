"""A pipeline for GNU make 4.3 or newer (https://www.gnu.org/software/make/manual/), which has grouped targets."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from itertools import chain

from roar.errors import RoarError
from roar.export import steps
from roar.export.rules import Rule, rules
from roar.paths import fs
from roar.records.summary import printable
from roar.verbs.plan import Plan

_NAME = re.compile(r"[\w.,+@/^$#-]+")
"""Names of files that have no other meaning in a rule, or one that can be taken from them."""
_SPECIAL = re.compile(r"\.[A-Z_]+")


def lines(made: Plan) -> Iterator[str]:
    """The makefile, line by line. Raises ``RoarError`` for what make cannot express."""
    found = rules(made, "make", _check)
    goals = [fs(file.path) for file in steps.asked_outputs(made)]
    yield from steps.head(made, "Run it in a clone: make -f FILE (with -B to make what is there already anew).")
    yield from steps.code_elsewhere(made)
    yield "ifeq (,$(filter grouped-target,$(.FEATURES)))"
    yield "$(error this needs GNU make 4.3 or newer)"
    yield "endif"
    yield "SHELL := /bin/sh"
    yield "MAKEFLAGS += --no-builtin-rules"
    yield ".SUFFIXES:"
    yield ".DELETE_ON_ERROR:"
    names = {path for rule in found for path in rule.outputs + rule.inputs}
    first = next(name for name in chain(("all", "pipeline"), _numbered()) if name not in names)
    yield f".PHONY: {first}"
    yield f"{first}: {_names(goals)}"
    for rule in found:
        yield ""
        yield from _rule(rule)


def _numbered() -> Iterator[str]:
    number = 0
    while True:
        number += 1
        yield f"pipeline-{number}"


def _rule(rule: Rule) -> Iterator[str]:
    folders = sorted({path.rpartition("/")[0] for path in rule.outputs} - {""})
    begin = [f"mkdir -p -- {' '.join(map(shlex.quote, folders))}"] if folders else []
    if rule.step is None:
        command = f"cp -p -- {shlex.quote(rule.inputs[0])} {shlex.quote(rule.outputs[0])}"
    else:
        yield from steps.about(rule.step)
        begin.append(f"rm -f -- {' '.join(map(shlex.quote, rule.outputs))}")
        command = steps.one_line(rule.step.job)
    text = " && ".join(["unset MAKEFLAGS MAKELEVEL", "top=$(pwd)", *begin, command])
    if "\n" in text:
        number = rule.step.number if rule.step else 0
        raise RoarError(f"@{number} has a line feed in a word, which make cannot pass on", "roar export sh")
    yield f"{_names(rule.outputs)} &: {_names(rule.inputs)}".rstrip()
    yield "\t" + text.replace("$", "$$")


def _names(paths: list[str]) -> str:
    return " ".join(map(_name, paths))


def _name(path: str) -> str:
    # in front of a word that could be a directive or an option; make takes it away again
    front = "" if "/" in path or re.fullmatch(r"\w+\.\w+", path) else "./"
    return front + path.replace("$", "$$").replace("#", "\\#")


def _check(path: str) -> None:
    if not _NAME.fullmatch(path):
        what = next(c for c in path if not _NAME.fullmatch(c))
        raise RoarError(f"make has no name for {printable(path)}, which holds {what!a}", "roar export sh")
    if _SPECIAL.fullmatch(path):
        raise RoarError(f"{path} is no name of a file for make", "roar export sh")
