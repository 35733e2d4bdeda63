"""The plan and the outcome of ``roar reproduce`` as text for people."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import click

from roar.cli import present
from roar.cli.present import count
from roar.cli.say import Style
from roar.records.job import File
from roar.records.summary import command_line, duration, printable
from roar.verbs.inputs import Kind
from roar.verbs.neighbours import Neighbour
from roar.verbs.plan import Need, Plan, Reason, Step, Stop
from roar.verbs.rebuild_env import Planned
from roar.verbs.repeated import WORDS
from roar.verbs.reproduce import Outcome
from roar.verbs.verdict import Verdict

_MOST = 8
"""So many files are named for a step; the rest are counted."""
_SHORT = 12

# The plan


def plan_lines(made: Plan, style: Style) -> list[str]:
    """The plan for people."""
    whole = len(made.steps) + len(made.left_out)
    some = f"{len(made.steps)} of " if made.left_out else ""
    text = [f"{style.bold('reproduce')} {printable(made.asked.name)}: {some}{count(whole, 'step')}"]
    for step in made.steps:
        text += ["", *_step_lines(made, step, style)]
    text += ["", *_left_out_lines(made, style)] if made.left_out else []
    text.append("")
    for stop in made.stops:
        text += _stop_lines(stop, style)
    return text


_REASONS: dict[Reason, str] = {
    "here": "its outputs are here, byte for byte (--force runs it)",
    "made before": "made before it was interrupted",
    "not needed": "nothing that runs needs it (--force runs it)",
    "not chosen": "left out as you said",
}


def _left_out_lines(made: Plan, style: Style) -> list[str]:
    """The steps that do not run; many of a kind are counted."""
    text = []
    for reason, why in _REASONS.items():
        steps = [step for step in made.left_out if step.reason == reason]
        for step in steps[:_MOST]:
            text.append(f"{style.bold(f'@{step.number}')}  {command_line(step.job.command, 60)}")
            text.append(f"    {style.dim('not run')} {why}")
        if len(steps) > _MOST:
            text.append(style.dim(f"and {len(steps) - _MOST} more: {why}"))
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
    text += [f"    {style.dim('with')}    {_neighbour(each, style)}" for each in step.neighbours]
    text += [f"    {style.dim('python')}  {_python(env)}" for env in step.environments]
    text += _some(step.needs, "in", lambda need: _need(need, style), style)
    text += _some(step.outputs, "out", lambda file: _output(made, step, file, style), style)
    if step.moved:
        text.append(f"    {style.dim('moved')}   {len(step.moved)} outside of the repository, into a private place:")
        text += [f"            {printable(path)}" for path in step.moved[:_MOST]]
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


def _neighbour(each: Neighbour, style: Style) -> str:
    kept = f" with {count(len(each.lay), 'changed or untracked file')}" if each.lay else ""
    remote = f", from {printable(each.remote)}" if each.remote else ""
    return f"{style.yellow(each.commit[:_SHORT])}{kept} in {printable(each.path)}{style.dim(remote)}"


def _python(env: Planned) -> str:
    python = env.python
    if env.recipe is None:
        return f"{env.program}; {env.remark or f'recorded was {printable(python.version)}'}"
    conda = f"{count(len(env.recipe.conda), 'conda package')}, " if env.recipe.conda else ""
    others = f" and {len(env.recipe.others)} that it did not" if env.recipe.others else ""
    packages = f"{count(len(env.recipe.required) + len(env.recipe.projects), 'package')} that it read{others}"
    return f"{env.recipe.interpreter.version}, {conda}{packages}" + (f"; {env.remark}" if env.remark else "")


_PLACES: dict[Kind, str] = {
    "step": "made by @{1}",
    "commit": "in the commit",
    "overlay": "kept with the record",
    "repository": "in the repository {0}",
    "work tree": "in the work tree",
    "made before": "made before it was interrupted",
    "given": "from {0}",
    "git": f"blob {{0:.{_SHORT}}}",
    "store": "to be fetched from {0}",
    "pointer": "to be fetched: {0}",
    "address": "to be fetched from {0}",
    "missing": "missing",
}
"""What is said of where an input comes from: its place, its step."""


def _need(need: Need, style: Style) -> str:
    file, source = need
    known = style.cyan(file.hash[:_SHORT]) if file.hash else "unknown".ljust(_SHORT)
    words = _PLACES.get(source.kind)
    place = words.format(printable(source.place), source.step) if words else printable(source.note) or source.kind
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
    if stop.remake:
        text.append(f"         {stop.remake}")
    if stop.reason:
        text.append(f"         {stop.reason}")
    return text


# The outcome


def tell(made: Plan, outcome: Outcome, style: Style) -> None:
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
    often = f", {outcome.times} times" if outcome.times > 1 else ""
    ran = f"  {len(outcome.ran)} of {count(len(made.steps) + len(made.left_out), 'step')} ran{often}, {duration(time)}"
    click.echo(style.dim(ran), err=True)
    for verdict in sorted(outcome.verdicts, key=lambda v: (v.asked, v.step)):
        click.echo(verdict_line(verdict, paint))
        if verdict.note:
            click.echo(style.dim(f"  {verdict.note}"), err=True)
    for step in made.steps:
        for line in _reasons(step, outcome, style):
            click.echo(line, err=True)


def verdict_line(verdict: Verdict, style: Style) -> str:
    """One file: ``differs  metrics.json  652d912c3c19, now 0b1e1983fa9c: accuracy is 0.9, recorded 0.8``."""
    paints = {"identical": style.green, "equivalent": style.green, "unknown": style.dim, "taken": style.dim}
    good = paints.get(verdict.state, style.red)
    recorded = style.cyan((verdict.file.hash or "unknown")[:_SHORT])
    line = f"{good(verdict.state.ljust(9))}  {printable(verdict.file.path)}  {recorded}"
    if verdict.found and verdict.found != verdict.file.hash:
        line += f", now {style.cyan(verdict.found[:_SHORT])}"
    if verdict.state == "equivalent":
        return f"{line} ({verdict.by}; first at {verdict.where})"
    return line + (f": {verdict.where}" if verdict.where else "") + (f" ({verdict.by})" if verdict.by else "")


def _reasons(step: Step, outcome: Outcome, style: Style) -> Iterator[str]:
    """Why a step may have made something else: what several runs show, and what the records do."""
    steady = outcome.steady.get(step.number)
    if steady in WORDS:
        yield f"{style.bold(f'@{step.number}')} {WORDS[steady]}"
    found = [c for c in outcome.causes.get(step.number, []) if c.kind != "chance" or steady in (None, "changes")]
    if found:
        yield f"{style.bold(f'@{step.number}')} what was not the same, the likeliest reason first:"
        yield from (f"  {place}. {cause.words}" for place, cause in enumerate(found[:_MOST], 1))
    if len(found) > _MOST:
        yield f"  and {len(found) - _MOST} more (next: roar diff {step.identifier} {_again(outcome, step)})"


def _again(outcome: Outcome, step: Step) -> str:
    ran = outcome.ran.get(step.number)
    return (ran.identifier if ran else None) or "JOB"
