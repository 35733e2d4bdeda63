"""``roar dag``: the steps of the session."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from typing import Any

import click

from roar.cli import present
from roar.cli.boundary import say
from roar.cli.say import Style, write_json
from roar.git.repository import discover
from roar.records.job import Job
from roar.records.summary import command_line, duration, file_size, outcome, printable
from roar.verbs.dag import Dag, Node, dag
from roar.verbs.stale import State
from roar.verbs.status import saved_aside
from roar.verbs.steps import session_asked

_MOST_REASONS = 4
_MOST_NEEDS = 6
_MOST_RUNS = 20


@click.command(
    "dag", epilog="\b\nExamples:\n  git roar dag\n  git roar dag --stale-only --show-artifacts\n  git roar dag --json"
)
@click.option("--expanded", is_flag=True, help="List the runs of each step; * marks those whose files are there.")
@click.option("--show-artifacts", "artifacts", is_flag=True, help="List the data that each step reads and writes.")
@click.option("--stale-only", is_flag=True, help="Only the steps that are stale.")
@click.option("--no-color", is_flag=True, help="Without colours.")
@click.option("--json", "as_json", is_flag=True, help="Write nodes and artifacts as JSON.")
def command(*, expanded: bool, artifacts: bool, stale_only: bool, no_color: bool, as_json: bool) -> None:
    """Show the steps of the session, what each depends on, and how it stands.

    A step is active when what it read and wrote is still what is there, stale when it is not or when a step that it
    depends on is stale or failed, superseded when other steps have written all of its outputs anew, and failed when
    its latest job was not successful. Set-up steps, recorded by `roar build`, are @B1, @B2 and so on.
    """
    if no_color:
        os.environ["NO_COLOR"] = "1"  # what says so everywhere
    repo = discover()
    with present.opened_index(repo) as index:
        session = session_asked(index, repo)
        runs = 0 if not expanded else sys.maxsize if as_json else _MOST_RUNS
        found = dag(index, repo, session, runs=runs) if session else None
    shown = [node for node in found.nodes if not stale_only or node.state.state == "stale"] if found else []
    if as_json:
        write_json(_fields(found, shown))
    elif found is None or not (found.nodes or found.withdrawn):
        say(present.no_jobs(saved_aside(repo)))
    else:
        present.write(_lines(found, shown, present.style(), artifacts=artifacts))


def painted(state: str, style: Style) -> str:
    """A state in its colour."""
    return {"active": style.green, "stale": style.yellow, "failed": style.red}.get(state.strip(), style.dim)(state)


def _lines(found: Dag, shown: list[Node], style: Style, *, artifacts: bool) -> Iterator[str]:
    yield (
        style.bold(f"session {found.session}")
        + f": {present.count(len(found.nodes), 'step')}, {found.stale_count} stale"
    )
    if shown:
        yield ""
        cells = [_cells(node) for node in shown]
        paints = [None, lambda state: painted(state, style), style.dim, style.dim, None]
        header = ["STEP", "STATE", "RUNS", "NEEDS", "COMMAND"]
        lines = present.table(header, cells, paints, cut=present.fit, columns=present.width())
        yield lines[0]
        for node, text in zip(shown, lines[1:], strict=True):
            yield text
            yield from _details(node, style, artifacts=artifacts)
    if found.withdrawn:
        yield ""
        yield present.withdrawn(found.withdrawn)


def _details(node: Node, style: Style, *, artifacts: bool) -> Iterator[str]:
    columns = present.width()
    room = max(columns - 6, 1) if columns else 0
    for reason in node.state.reasons[:_MOST_REASONS]:
        yield f"      {reason.text}"
    more = len(node.state.reasons) - _MOST_REASONS
    if more > 0:
        yield f"      and {more} more reasons"
    for identifier, job in reversed(node.runs.items()):
        mark = "*" if identifier in node.state.step.stands else " "  # as git branch marks what is there
        words = f"{present.painted_outcome(outcome(job), style)}  {duration(job.duration_ns)}"
        yield f"    {mark} {style.yellow(present.short_id(identifier))}  {present.when(job.started_ns)}  {words}"
    older = len(node.state.step.jobs) - len(node.runs)
    if node.runs and older:
        yield f"      and {present.count(older, 'older run')} (--json)"
    if artifacts:
        data = [use for use in node.state.inputs if not use.code]
        rows = [
            [arrow, printable(use.path), present.short_hash(use.hash), file_size(use.hash, use.size)]
            for arrow, uses in (("<-", data), ("->", node.state.outputs))
            for use in uses
        ]
        for text in present.table([], rows, [None, None, style.cyan, style.dim], shrink=1, columns=room):
            yield f"      {text}"


def _cells(node: Node) -> list[str]:
    state = node.state
    name = f"{printable(node.job.command.name)}: " if node.job.command.name else ""
    place = f"  (in {printable(node.job.command.cwd)})" if node.job.command.cwd else ""
    needs = " ".join(f"@{number}" for number in state.needs[:_MOST_NEEDS])
    if len(state.needs) > _MOST_NEEDS:
        needs += f" +{len(state.needs) - _MOST_NEEDS}"
    words = name + command_line(node.job.command) + place
    return [f"@{state.step.number}", state.state, str(len(state.step.jobs)), needs, words]


def _fields(found: Dag | None, shown: list[Node]) -> dict[str, Any]:
    if found is None:
        empty = {"session_id": None, "total_steps": 0, "stale_count": 0, "withdrawn_jobs": 0}
        return {**empty, "nodes": [], "artifacts": []}
    return {
        "session_id": found.session,
        "total_steps": len(found.nodes),
        "stale_count": found.stale_count,
        "withdrawn_jobs": found.withdrawn,
        "nodes": [_node(node) for node in shown],
        "artifacts": [flow._asdict() for flow in found.flows],
    }


def _node(node: Node) -> dict[str, Any]:
    job, state = node.job, node.state
    return {
        "step_number": state.step.number,
        "command": command_line(job.command),
        "argv": job.command.argv,
        "cwd": job.command.cwd,
        "name": job.command.name,
        "role": job.role,
        "job_id": state.step.job,
        "state": state.state,
        "reasons": [reason._asdict() for reason in state.reasons],
        "dependencies": state.needs,
        "inputs": [{"path": use.path, "hash": use.hash, "size": use.size} for use in state.inputs],
        "outputs": [{"path": use.path, "hash": use.hash, "size": use.size} for use in state.outputs],
        "metrics": {
            "runs": len(state.step.jobs),
            "outcome": outcome(job),
            "exit_code": present.exit_code(job),
            "started_ns": job.started_ns,
            "duration_ns": job.duration_ns,
            "cpu_ns": job.cpu_ns,
            "peak_bytes": job.peak_bytes,
            "input_count": len(state.inputs),
            "output_count": len(state.outputs),
            "values": {metrics.path: metrics.values for metrics in job.metrics},
        },
        **({"runs": [_run(identifier, run, state) for identifier, run in node.runs.items()]} if node.runs else {}),
    }


def _run(identifier: str, job: Job, state: State) -> dict[str, Any]:
    return {
        "job_id": identifier,
        "outcome": outcome(job),
        "exit_code": present.exit_code(job),
        "started_ns": job.started_ns,
        "duration_ns": job.duration_ns,
        "stands": identifier in state.step.stands,
    }
