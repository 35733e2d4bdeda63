"""``roar reproduce``."""

from __future__ import annotations

import os
import re
import shlex
import sys
from collections.abc import Iterable
from typing import Any

import click
import orjson

from roar.cli import present
from roar.cli.configured import settings
from roar.cli.present import count
from roar.cli.say import Style
from roar.errors import EXIT_FAILURE, EXIT_NO, EXIT_OK, RoarError, UsageError
from roar.git.repository import discover
from roar.records.job import File
from roar.records.summary import command_line, duration, printable
from roar.verbs import reproduce
from roar.verbs.plan import Need, Plan, Step, Stop
from roar.verbs.rebuild_env import Mode, Planned
from roar.verbs.reproduce import Outcome, Verdict

_MOST = 8
"""So many files are named for a step; the rest are counted."""
_SHORT = 12
_USUAL = "time, randomness and variables that are not recorded are the usual reasons"
"""Why bytes differ."""
_EPILOG = """\b
Examples:
  git roar reproduce 3fa9c1d2        the file with this hash
  git roar reproduce metrics.json --plan
  git roar reproduce @3 -y --env current
"""


@click.command("reproduce", epilog=_EPILOG)
@click.argument("name", metavar="X")
@click.option("--plan", "only_plan", is_flag=True, help="Show what would be done; run nothing.")
@click.option("-y", "--yes", is_flag=True, help="Do not ask before the recorded commands are run.")
@click.option(
    "--env",
    "mode",
    type=click.Choice(["rebuild", "current"]),
    default="rebuild",
    show_default=True,
    help="Build the recorded Python environments, or use the Python that is here.",
)
@click.option("--input", "given", multiple=True, metavar="HASH=PATH", help="Where a missing input is. May be repeated.")
@click.option("--keep", is_flag=True, help="Keep the work area and say where it is.")
@click.option("--json", "as_json", is_flag=True, help="Write the plan, or the outcome, as one JSON object.")
def command(  # noqa: PLR0913  one for each option
    name: str, *, only_plan: bool, yes: bool, mode: Mode, given: tuple[str, ...], keep: bool, as_json: bool
) -> int:
    """Run again what led to a file, in a place of its own, and compare the bytes.

    X is a file's hash (four digits or more), a path, a job, or a step @N. Exit status: 0 identical, 3 something
    differs or is missing, 1 it could not be run.
    """
    repo = discover()
    style = Style.of(2, settings().output.color)

    def say(line: str) -> None:
        click.echo(style.dim(f"  {line}"), err=True)

    made = reproduce.prepare(repo, reproduce.Wish(name, os.getcwd(), _places(given), mode), say)
    if not (as_json and (only_plan or yes)):
        for line in plan_lines(made, present.style() if only_plan else style):
            click.echo(line, err=not only_plan)
    if as_json and (only_plan or made.stops):
        click.echo(orjson.dumps(_plan_data(made)))
    if made.stops:
        raise RoarError(*_first_stop(made))
    if only_plan:
        return EXIT_OK
    _agree(made, name, yes=yes)

    def begun(step: Step) -> None:
        click.echo(f"{style.bold(f'@{step.number}')}  {command_line(step.job.command, 90)}", err=True)

    sys.stderr.flush()
    outcome = reproduce.reproduce(made, repo, reproduce.Audience(sys.stderr.fileno(), begun, say), keep=keep)
    if as_json:
        click.echo(orjson.dumps(_outcome_data(made, outcome)))
    else:
        _tell(made, outcome, style)
    if not outcome.complete:
        return EXIT_FAILURE
    if outcome.identical:
        return EXIT_OK
    compare = f"compare with {outcome.area}" if outcome.area else f"{_again(name)} --keep, to compare"
    click.echo(f"(next: {compare}; {_USUAL})", err=True)
    return EXIT_NO


def _places(given: Iterable[str]) -> dict[str, str]:
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
    if yes:
        return
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        raise RoarError("the recorded commands were not run: there is no terminal to ask on", f"{_again(name)} -y")
    steps = len(made.steps)
    if not click.confirm(f"Run {'this command' if steps == 1 else f'these {steps} commands'}?", err=True):
        raise RoarError("nothing was run")


def _first_stop(made: Plan) -> tuple[str, str | None]:
    stop = made.stops[0]
    more = f", and {len(made.stops) - 1} more" if len(made.stops) > 1 else ""
    what = f"{printable(stop.file.path)} is missing: {stop.reason}" if stop.file else stop.reason
    return f"it cannot be made again: @{stop.step}: {what}{more}", stop.hint


# The plan


def plan_lines(made: Plan, style: Style) -> list[str]:
    """The plan for people."""
    text = [f"{style.bold('reproduce')} {printable(made.asked.name)}: {count(len(made.steps), 'step')}"]
    for step in made.steps:
        text += ["", *_step_lines(made, step, style)]
    text.append("")
    for stop in made.stops:
        text += _stop_lines(stop, style)
    return text


def _step_lines(made: Plan, step: Step, style: Style) -> list[str]:
    job = step.job
    where = f"  (in {printable(job.command.cwd)})" if job.command.cwd else ""
    text = [
        f"{style.bold(f'@{step.number}')}  {command_line(job.command)}{where}",
        f"    {style.dim('job')}     {style.yellow(step.identifier)}",
    ]
    kept = f" with {len(step.lay)} changed or untracked file{'s' * (len(step.lay) != 1)}" if step.lay else ""
    text.append(f"    {style.dim('code')}    {style.yellow((job.code.commit or 'no commit')[:_SHORT])}{kept}")
    text += [f"    {style.dim('python')}  {_python(env)}" for env in step.environments]
    text += _some(step.needs, "in", lambda need: _need(need, style), style)
    text += _some(step.outputs, "out", lambda file: _output(made, step, file, style), style)
    if step.elsewhere:
        text.append(f"    {style.dim('also')}    {len(step.elsewhere)} outside of the repository, not compared:")
        text += [f"            {printable(file.path)}" for file in step.elsewhere[:_MOST]]
    text += [f"    {style.red('note')}    {remark}" for remark in step.remarks]
    if job.incomplete:
        text.append(f"    {style.red('gaps')}    its record does not know everything (roar show {step.identifier})")
    return text


def _some(items: list[Any], title: str, words: Any, style: Style) -> list[str]:
    text = [f"    {style.dim(title.ljust(6))}  {words(item)}" for item in items[:_MOST]]
    more = len(items) - _MOST
    return [*text, f"    {' ' * 6}  … and {more} more"] if more > 0 else text


def _python(env: Planned) -> str:
    python = env.python
    if env.recipe is None:
        return f"{env.program}; {env.remark or f'recorded was {printable(python.version)}'}"
    others = f" and {len(env.recipe.others)} that it did not" if env.recipe.others else ""
    packages = f"{count(len(env.recipe.required) + len(env.recipe.projects), 'package')} that it read{others}"
    return f"{env.recipe.interpreter.version}, {packages}" + (f"; {env.remark}" if env.remark else "")


def _need(need: Need, style: Style) -> str:
    file, source = need
    known = style.cyan(file.hash[:_SHORT]) if file.hash else "unknown".ljust(_SHORT)
    places = {
        "step": f"made by @{source.step}",
        "commit": "in the commit",
        "overlay": "kept with the record",
        "work tree": "in the work tree",
        "given": f"from {printable(source.place)}",
        "missing": "missing",
    }
    place = places.get(source.kind, printable(source.note) or source.kind)
    paint = style.red if source.kind == "missing" else style.dim
    return f"{known}  {printable(file.path)}  {paint(place)}"


def _output(made: Plan, step: Step, file: File, style: Style) -> str:
    known = style.cyan(file.hash[:_SHORT]) if file.hash else "unknown".ljust(_SHORT)
    return f"{known}  {printable(file.path)}" + (
        "  asked for" if made.is_asked(step, file) and made.asked.content else ""
    )


def _stop_lines(stop: Stop, style: Style) -> list[str]:
    if stop.file is None:
        return [f"{style.red('cannot')}   @{stop.step}: {stop.reason}"]
    text = [f"{style.red('missing')}  {printable(stop.file.path)}  {stop.file.hash}  {stop.file.size} bytes"]
    if stop.last_seen:
        text.append(f"         last with {stop.last_seen}")
    if stop.reason:
        text.append(f"         {stop.reason}")
    return text


# The outcome


def _tell(made: Plan, outcome: Outcome, style: Style) -> None:
    """What became of each file, what was asked for last; beside it why."""
    paint = present.style()
    for number, why in outcome.failed.items():
        click.echo(f"{style.red('failed')}  @{number}: {printable(why)}", err=True)
    same = outcome.identical and outcome.complete
    for remark in [] if same else outcome.remarks:
        click.echo(style.dim(f"  {remark}"), err=True)
    if outcome.area:
        click.echo(style.dim(f"  kept: {outcome.area}"), err=True)
    time = sum(ran.job.duration_ns for ran in outcome.ran.values() if ran.job)
    click.echo(style.dim(f"  {len(outcome.ran)} of {count(len(made.steps), 'step')} ran, {duration(time)}"), err=True)
    for verdict in sorted(outcome.verdicts, key=lambda v: (v.asked, v.step)):
        click.echo(_verdict_line(verdict, paint))


def _verdict_line(verdict: Verdict, style: Style) -> str:
    good = {"identical": style.green, "unknown": style.dim}.get(verdict.state, style.red)
    recorded = style.cyan((verdict.file.hash or "unknown")[:_SHORT])
    line = f"{good(verdict.state.ljust(9))}  {printable(verdict.file.path)}  {recorded}"
    if verdict.state == "differs" and verdict.found:
        line += f", now {style.cyan(verdict.found[:_SHORT])}"
    return line


# JSON


def _plan_data(made: Plan) -> dict[str, Any]:
    return {
        "asked": {"name": made.asked.name, "job": made.asked.job, "hash": made.asked.content},
        "can_start": not made.stops,
        "steps": [_step_data(step) for step in made.steps],
        "stops": [
            {
                "step": stop.step,
                "reason": stop.reason,
                "hint": stop.hint,
                "path": stop.file.path if stop.file else None,
                "hash": stop.file.hash if stop.file else None,
                "size": stop.file.size if stop.file else None,
                "last_seen": stop.last_seen or None,
            }
            for stop in made.stops
        ],
    }


def _step_data(step: Step) -> dict[str, Any]:
    code = step.job.code
    return {
        "number": step.number,
        "job": step.identifier,
        "command": step.job.command.argv,
        "cwd": step.job.command.cwd,
        "commit": code.commit,
        "overlay": [entry.path for entry, _ in step.lay],
        "after": sorted(step.waits_for),
        "inputs": [
            {**_file_data(file), "from": source.kind, "place": source.place or None} for file, source in step.needs
        ],
        "outputs": [_file_data(file) for file in step.outputs],
        "remarks": step.remarks,
        "environments": [
            {
                "recorded": env.python.version,
                "interpreter": env.recipe.interpreter.path if env.recipe else None,
                "requirements": [*env.recipe.required, *env.recipe.others] if env.recipe else [],
                "remark": env.remark or None,
            }
            for env in step.environments
        ],
    }


def _file_data(file: File) -> dict[str, Any]:
    return {"path": file.path, "hash": file.hash, "size": file.size}


def _outcome_data(made: Plan, outcome: Outcome) -> dict[str, Any]:
    return {
        **_plan_data(made),
        "identical": outcome.identical and outcome.complete,
        "complete": outcome.complete,
        "artifacts": [
            {
                "step": verdict.step,
                "path": verdict.file.path,
                "hash": verdict.file.hash,
                "found": verdict.found,
                "verdict": verdict.state,
                "asked": verdict.asked,
            }
            for verdict in outcome.verdicts
        ],
        "ran": [
            {"step": number, "job": ran.identifier, "exit_code": ran.exit.code, "signal": ran.exit.signal}
            for number, ran in outcome.ran.items()
        ],
        "failed": [{"step": number, "reason": why} for number, why in outcome.failed.items()],
        "remarks": outcome.remarks,
        "work_area": outcome.area,
    }
