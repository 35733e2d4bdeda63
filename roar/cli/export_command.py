"""``roar export``: the lineage of a file as a pipeline for other programs."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from typing import Literal, get_args

import click

from roar.cli.boundary import say
from roar.cli.complete import recorded
from roar.cli.say import write_file
from roar.export import dockerfile, make, sh, snakemake, steps
from roar.git.repository import Repository, discover
from roar.verbs.inputs import Places
from roar.verbs.plan import Plan
from roar.verbs.planning import Part
from roar.verbs.prepare import Wish, prepare

Form = Literal["sh", "make", "snakemake", "dockerfile"]


@click.command(
    "export",
    epilog="\b\nExamples:\n"
    "  git roar export sh metrics.json -o pipeline.sh\n"
    "  git roar export make metrics.json -o Makefile\n"
    "  git roar export snakemake 3fa9c1d2 > Snakefile\n"
    "  git roar export dockerfile @3 -o Dockerfile",
)
@click.argument("form", metavar="sh|make|snakemake|dockerfile", type=click.Choice(get_args(Form)))
@click.argument("what", metavar="X", shell_complete=recorded)
@click.option("-o", "--output", "path", metavar="FILE", help="Write it into FILE instead of the standard output.")
def command(form: Form, what: str, path: str | None) -> None:
    """Write the lineage of X as a pipeline for another program, or its environment as a Dockerfile.

    X is a file's hash (four digits or more), a path, a job, or a step @N. Nothing is run. A script for sh gives each
    step its own commit, code and environment; rules for make and Snakemake run on what is checked out; a Dockerfile has
    the code and the packages that were read. Read it before you run it: its commands are those of the records, whoever
    made them.
    """
    repo = discover()
    wish = Wish(
        what, os.getcwd(), Places(), "rebuild" if form == "sh" else "current", Part(force=True, apart=form == "sh")
    )
    made = prepare(repo, wish, lambda line: say(f"roar: {line}"))
    steps.check(made, inputs=form == "sh")
    lines = list(_lines(form, made, repo))  # whole, or not at all
    if path is not None:
        write_file(path, lines)
        return
    sys.stdout.flush()
    sys.stdout.buffer.write(b"".join(os.fsencode(line) + b"\n" for line in lines))  # names need not be UTF-8


def _lines(form: Form, made: Plan, repo: Repository) -> Iterator[str]:
    if form == "sh":
        return sh.script(made, repo)
    if form == "dockerfile":
        return dockerfile.lines(made, repo)
    steps.check_alone(made)
    return make.lines(made) if form == "make" else snakemake.lines(made)
