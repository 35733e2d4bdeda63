"""``roar reproduce``."""

from __future__ import annotations

import os
import re
import shlex
import sys
from collections.abc import Iterable

import click

from roar.cli import boundary, present
from roar.cli.complete import recorded
from roar.cli.configured import settings
from roar.cli.present import count
from roar.cli.reproduce_data import outcome_data, plan_data
from roar.cli.reproduce_from import prepared
from roar.cli.reproduce_words import plan_lines, tell
from roar.cli.say import Counter, Style, write_file, write_json
from roar.cli.storing import Meter
from roar.errors import EXIT_FAILURE, EXIT_NO, EXIT_OK, RoarError, UsageError
from roar.export import sh, snakemake, verdict_page
from roar.records.summary import command_line, printable
from roar.verbs import reproduce
from roar.verbs.by_content import Folder
from roar.verbs.equivalence import rule
from roar.verbs.inputs import Places
from roar.verbs.plan import Plan, Step
from roar.verbs.planning import Part
from roar.verbs.prepare import Wish
from roar.verbs.rebuild_env import Mode
from roar.verbs.reproduce import Outcome
from roar.verbs.runner import Audience, Engine, Manner
from roar.verbs.vouched import unsigned

_EPILOG = """\b
Examples:
  git roar reproduce 3fa9c1d2        the file with this hash
  git roar reproduce metrics.json --plan
  git roar reproduce @3 -y --env current
"""


@click.command("reproduce", epilog=_EPILOG)
@click.argument("name", metavar="X", shell_complete=recorded)
@click.option("--plan", "only_plan", is_flag=True, help="Show what would be done; run nothing.")
@click.option("-y", "--yes", is_flag=True, help="Do not ask before the recorded commands are run.")
@click.option(
    "--env",
    "mode",
    metavar="rebuild|current|PATH",
    default="rebuild",
    show_default=True,
    help="Build the recorded Python environments, use the Python that is here, or the one at PATH.",
)
@click.option("--input", "given", multiple=True, metavar="HASH=PATH", help="Where a missing input is (repeatable).")
@click.option("--search", metavar="DIR", help="Look for missing inputs among all files of this folder, by hash.")
@click.option("--fetch", is_flag=True, help="Fetch missing inputs from http(s) addresses that records declare.")
@click.option(
    "--compare",
    "rules",
    multiple=True,
    metavar="PATTERN=NAME[:TOLERANCE]",
    help="How files with other bytes are compared (json, csv, image, ...; bytes: not at all; repeatable).",
)
@click.option(
    "--times", type=click.IntRange(1, 100), default=1, help="Run it so often; tells chance from another environment."
)
@click.option("--from", "first", metavar="@N", help="Run step N of the plan and what depends on it.")
@click.option("--to", "last", metavar="@N", help="Run step N of the plan and what it depends on.")
@click.option("--step", "only", multiple=True, metavar="@N", help="Run this step of the plan alone (repeatable).")
@click.option("--force", is_flag=True, help="Run steps, too, whose outputs are here already, byte for byte.")
@click.option(
    "-j", "at_once", type=click.IntRange(1, 1000), default=1, metavar="N", help="Run so many steps side by side."
)
@click.option("--engine", type=click.Choice(["snakemake"]), help="Let this program run the steps, in one work area.")
@click.option("--require-signed", is_flag=True, help="Run nothing unless all records are signed by who git trusts.")
@click.option("--sandbox", "sandboxed", is_flag=True, help="No network, no writing outside of the work area (bwrap).")
@click.option("--keep", is_flag=True, help="Keep the work area and say where it is.")
@click.option("--script", "script_file", metavar="FILE", help="Write a shell script of the plan instead of running it.")
@click.option("--export-requirements", "pins", metavar="FILE", help="Write the packages, pinned; run nothing.")
@click.option("--html", metavar="FILE", help="Write the outcome as one HTML page, too.")
@click.option("--json", "as_json", is_flag=True, help="Write the plan, or the outcome, as one JSON object.")
def command(  # noqa: PLR0913  one for each option
    name: str,
    *,
    only_plan: bool,
    yes: bool,
    mode: str,
    given: tuple[str, ...],
    search: str | None,
    fetch: bool,
    rules: tuple[str, ...],
    times: int,
    first: str | None,
    last: str | None,
    only: tuple[str, ...],
    force: bool,
    at_once: int,
    engine: str | None,
    require_signed: bool,
    sandboxed: bool,
    keep: bool,
    script_file: str | None,
    pins: str | None,
    html: str | None,
    as_json: bool,
) -> int:
    """Run again what led to a file, in a place of its own, and compare what comes out.

    X is a file's hash (four digits or more), a path, a job, a step @N, or a collection, of which one file after the
    other is made again. Steps that lead to it and whose outputs are here already, byte for byte, are not run without
    --force. Servers (roar lookup) are asked for a hash that is not recorded here; what their records name is fetched
    after a yes. Exit status: 0 identical, or equivalent by a comparison that is named; 3 something differs or is
    missing; 1 it could not be run.
    """
    style = Style.of(2, settings().output.color)
    part = Part(
        _number(first) if first else None,
        _number(last) if last else None,
        tuple(map(_number, only)),
        force or times > 1 or bool(script_file or pins),
        (at_once > 1 and not engine) or bool(script_file),
    )

    def say(line: str) -> None:
        click.echo(style.dim(f"  {line}"), err=True)

    with Counter("files looked at") as counter:
        sees_the_plan = not yes and present.can_ask()  # with the addresses in it, before anything is fetched
        places = Places(_given(given), _folder(search, counter), fetch or sees_the_plan)
        repo, made = prepared(Wish(name, os.getcwd(), places, _mode(mode), part), say, yes=yes)
    if isinstance(made, list):
        return _each(made)
    write = _engine(engine, sandboxed=sandboxed)
    manner = Manner(tuple(map(rule, rules)), places, times, at_once, keep, sandboxed, write)
    if require_signed:
        with Counter("signatures checked") as counter:
            made = made._replace(stops=made.stops + unsigned(repo, made, counter.show))
    if not (as_json and (only_plan or yes)):
        for line in plan_lines(made, present.style() if only_plan else style):
            click.echo(line, err=not only_plan)
    if as_json and (only_plan or made.stops):
        write_json(plan_data(made), in_one_line=True)
    if made.stops:
        raise RoarError(*_first_stop(made))
    if script_file:
        write_file(script_file, list(sh.script(made, repo)))  # whole, or not at all
    if pins:
        write_file(pins, sh.requirements(made))
    if only_plan or script_file or pins:
        return EXIT_OK
    _agree(made, name, yes=yes)

    def begun(step: Step) -> None:
        click.echo(f"{style.bold(f'@{step.number}')}  {command_line(step.job.command, 90)}", err=True)

    sys.stderr.flush()
    with Meter("fetched") as meter:
        outcome = reproduce.reproduce(made, repo, Audience(sys.stderr.fileno(), begun, say, meter.tell), manner)
    if as_json:
        write_json(outcome_data(made, outcome), in_one_line=True)
    else:
        tell(made, outcome, style)
    if html:
        write_file(html, verdict_page.lines(made, outcome))
    return _end(name, outcome, times)


def _each(members: list[str]) -> int:
    """Reproduce one after the other, whatever became of those before, and give the worst exit status."""
    context = click.get_current_context()
    one_file = next((option for option in ("script_file", "pins", "html") if context.params[option]), None)
    if one_file:
        raise UsageError("a collection has several files, and one FILE is to be written", "roar collection show NAME")
    statuses: list[int] = []
    for content in members:
        try:
            statuses.append(int(context.invoke(command, **{**context.params, "name": content})))
        except RoarError as error:
            boundary.say_error(error)
            statuses.append(error.exit_code)
    failed = [status for status in statuses if status not in (EXIT_OK, EXIT_NO)]
    return failed[0] if failed else max(statuses)


def _end(name: str, outcome: Outcome, times: int) -> int:
    """The exit status, with what to do next."""
    if not outcome.complete:
        return EXIT_FAILURE
    if outcome.identical:
        return EXIT_OK
    if outcome.equivalent:
        number = sum(verdict.state == "equivalent" for verdict in outcome.verdicts)
        click.echo(f"({count(number, 'file')} equivalent, not identical: see what was compared)", err=True)
        return EXIT_OK
    compare = f"compare with {outcome.area}" if outcome.area else f"{_again(name)} --keep, to compare"
    often = "" if times > 1 else f"; {_again(name)} --times 3 tells chance from another environment"
    click.echo(f"(next: {compare}{often})", err=True)
    return EXIT_NO


def _number(step: str) -> int:
    """The number of a step of the plan."""
    if not re.fullmatch(r"@?[1-9][0-9]{0,8}", step):
        raise UsageError(f"{printable(step)} is no step of a plan, such as @2", "roar reproduce X --plan")
    return int(step.lstrip("@"))


def _engine(name: str | None, *, sandboxed: bool) -> Engine | None:
    """What writes the plan for another program."""
    if name and sandboxed:
        raise UsageError("--engine runs the steps without --sandbox", "leave one of them out")
    return snakemake.lines if name else None


def _folder(path: str | None, counter: Counter) -> Folder | None:
    if path is not None and not os.path.isdir(path):
        raise UsageError(f"--search takes a folder, and {printable(path)} is none", "roar reproduce -h")
    return Folder(os.path.abspath(path), counter.show) if path is not None else None


def _mode(word: str) -> Mode:
    """How environments are had; a path is made absolute."""
    if word in ("rebuild", "current"):
        return word
    if not os.path.exists(word):
        what = f"--env takes rebuild, current or the path of a Python, not {printable(word)}"
        raise UsageError(what, "roar reproduce -h")
    return os.path.abspath(word)


def _given(given: Iterable[str]) -> dict[str, str]:
    places = {}
    for word in given:
        content, equals, path = word.partition("=")
        if not equals or not re.fullmatch(r"[0-9a-fA-F]{4,64}", content) or not path:
            raise UsageError(f"--input takes HASH=PATH, not {printable(word)}", "roar reproduce -h")
        places[content.lower()] = os.path.abspath(path)
    return places


def _again(name: str) -> str:
    return f"roar reproduce {shlex.quote(printable(name))}"


def _agree(made: Plan, name: str, *, yes: bool) -> None:
    """Ask before anything is run. Raises ``RoarError`` without a yes."""
    steps = len(made.steps)
    question = f"Run {'this command' if steps == 1 else f'these {steps} commands'}?"
    present.agree(question, "the recorded commands were not run", f"{_again(name)} -y", yes=yes)


def _first_stop(made: Plan) -> tuple[str, str | None]:
    stop = made.stops[0]
    more = f", and {len(made.stops) - 1} more" if len(made.stops) > 1 else ""
    what = f"{printable(stop.file.path)} is missing: {stop.reason}" if stop.file else stop.reason
    return f"it cannot be made again: @{stop.step}: {what}{more}", stop.hint
