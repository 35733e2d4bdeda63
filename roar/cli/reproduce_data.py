"""The plan and the outcome of ``roar reproduce`` as JSON."""

from __future__ import annotations

from typing import Any

from roar.paths import from_fs
from roar.records.job import File
from roar.verbs.plan import Plan, Step
from roar.verbs.reproduce import Outcome


def plan_data(made: Plan) -> dict[str, Any]:
    """What would be done."""
    return {
        "asked": {"name": made.asked.name, "job": made.asked.job, "hash": made.asked.content},
        "can_start": not made.stops,
        "steps": [_step_data(step) for step in made.steps],
        "left_out": [{"number": step.number, "job": step.identifier, "reason": step.reason} for step in made.left_out],
        "stops": [
            {
                "step": stop.step,
                "reason": stop.reason,
                "hint": stop.hint,
                "path": stop.file.path if stop.file else None,
                "hash": stop.file.hash if stop.file else None,
                "size": stop.file.size if stop.file else None,
                "last_seen": stop.last_seen or None,
                "remake": stop.remake or None,
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
        "repositories": [
            {"path": each.path, "commit": each.commit, "remote": each.remote, "overlay": [e.path for e, _ in each.lay]}
            for each in step.neighbours
        ],
        "after": sorted(step.waits_for),
        "inputs": [
            {**_file_data(file), "from": source.kind, "place": from_fs(source.place) or None}
            for file, source in step.needs
        ],
        "outputs": [_file_data(file) for file in step.outputs],
        "remarks": step.remarks,
        "environments": [
            {
                "recorded": env.python.version,
                "interpreter": (env.recipe.interpreter.path or None) if env.recipe else env.program,
                "requirements": [*env.recipe.required, *env.recipe.others] if env.recipe else [],
                "hashes": {line: list(known) for line, known in env.recipe.hashes} if env.recipe else {},
                "conda": list(env.recipe.conda) if env.recipe else [],
                "remark": env.remark or None,
            }
            for env in step.environments
        ],
    }


def _file_data(file: File) -> dict[str, Any]:
    return {"path": file.path, "hash": file.hash, "size": file.size}


def outcome_data(made: Plan, outcome: Outcome) -> dict[str, Any]:
    """What was done, and what came of it."""
    return {
        **plan_data(made),
        "identical": outcome.identical and outcome.complete,
        "equivalent": outcome.equivalent and outcome.complete,
        "complete": outcome.complete,
        "times": outcome.times,
        "artifacts": [
            {
                "step": verdict.step,
                "path": verdict.file.path,
                "hash": verdict.file.hash,
                "found": verdict.found,
                "verdict": verdict.state,
                "asked": verdict.asked,
                "compared": verdict.by or None,
                "where": verdict.where or None,
                "note": verdict.note or None,
            }
            for verdict in outcome.verdicts
        ],
        "ran": [
            {"step": number, "job": ran.identifier, "exit_code": ran.exit.code, "signal": ran.exit.signal}
            for number, ran in outcome.ran.items()
        ],
        "failed": [{"step": number, "reason": why} for number, why in outcome.failed.items()],
        "causes": [{"step": number, **cause._asdict()} for number, found in outcome.causes.items() for cause in found],
        "repeated": [{"step": number, "found": found} for number, found in outcome.steady.items()],
        "remarks": outcome.remarks,
        "work_area": outcome.area,
    }
