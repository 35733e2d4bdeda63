"""``roar pop``: take jobs and artifacts back."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

import click

from roar.cli import present, purging
from roar.cli.boundary import say
from roar.cli.complete import recorded
from roar.cli.log_command import line
from roar.cli.say import Style, write_json
from roar.errors import EXIT_OK, UsageError
from roar.git.repository import discover
from roar.records.summary import printable
from roar.verbs import withdraw
from roar.verbs.withdraw import Chosen, Outputs

_MOST = 20


@click.command(
    "pop",
    epilog="\b\nExamples:\n  git roar pop\n  git roar pop @3 --reason 'wrong data'\n  git roar pop --delete-outputs\n"
    "  git roar pop --purge 01M84JCC80KG",
)
@click.argument("what", nargs=-1, metavar="[X]...", shell_complete=recorded)
@click.option("--reason", metavar="TEXT", help="Say why, for everybody who asks later.")
@click.option("--delete-outputs", is_flag=True, help="Delete files that only these jobs created, if unchanged.")
@click.option("--purge", is_flag=True, help="Remove the records X themselves, for good: a leaked secret.")
@click.option("-y", "--yes", is_flag=True, help="Do not ask.")
@click.option("--json", "as_json", is_flag=True, help="Write what was done as JSON.")
def command(
    what: tuple[str, ...], reason: str | None, *, delete_outputs: bool, purge: bool, yes: bool, as_json: bool
) -> int:
    """Withdraw the last job of the session, or each X: a job, a step @N, a session, a file, an artifact's hash.

    A withdrawal is itself a record, and shared like all: answers leave out what was withdrawn and say so, `roar show`
    tells who took it back, when and why, and `roar log --all` lists it. Nothing is deleted.

    With --delete-outputs the files that the jobs created go, too, if their content is still what the job wrote and
    neither git tracks them nor another job wrote the same.

    With --purge the records are removed from this repository: its chains are made anew without them, under a new name,
    and a tombstone that holds nothing but the ids keeps them out when they come back from a stale clone. What remotes
    still hold is listed with the commands that remove it. Nothing is ever pushed by force.
    """
    repo = discover()
    if purge and (reason or delete_outputs or not what):
        raise UsageError("--purge takes the ids of records, and nothing else", "roar pop --purge ID")
    with present.opened_index(repo) as index:
        if purge:
            purging.run(repo, index, what, yes=yes, as_json=as_json)
            return EXIT_OK
        chosen = withdraw.choose(index, repo, what, os.getcwd())
        outputs = withdraw.outputs(index, repo, chosen.jobs) if delete_outputs else Outputs([], [])
    asking = present.can_ask()
    if not yes and (asking or outputs.free):
        for text in _lines(chosen, outputs, Style.of(2)):
            say(text)
        present.agree("Withdraw this?", "nothing was withdrawn", "roar pop -y", yes=yes)
    withdrawal = withdraw.withdraw(repo, chosen, reason)
    left = withdraw.delete(repo, outputs.free)
    if as_json:
        write_json(_fields(chosen, outputs, left, withdrawal))
    else:
        _report(chosen, outputs, left, told=not yes and asking)
    return EXIT_OK


def _lines(chosen: Chosen, outputs: Outputs, style: Style) -> Iterator[str]:
    for session in chosen.sessions:
        yield f"session {style.yellow(session)}"
    for identifier, job in list(chosen.jobs.items())[:_MOST]:
        yield f"job {line(identifier, job, style)}"
    if len(chosen.jobs) > _MOST:
        yield f"and {present.count(len(chosen.jobs) - _MOST, 'more job')}"
    for content, path in chosen.artifacts.items():
        yield f"artifact {style.cyan(present.short_hash(content))}  {printable(path)}"
    for path in outputs.free:
        yield style.red(f"delete {printable(path)}")
    for path, reason in outputs.kept:
        yield f"keep {printable(path)}: {reason}"


def _report(chosen: Chosen, outputs: Outputs, left: list[str], *, told: bool) -> None:
    if not told:
        present.write(_lines(chosen, outputs, present.style()))
    for path in left:
        say(f"roar: {printable(path)} could not be deleted")
    counts = ((chosen.jobs, "job"), (chosen.sessions, "session"), (chosen.artifacts, "artifact"))
    done = ", ".join(present.count(len(things), thing) for things, thing in counts if things)
    present.write([f"withdrawn: {done}"])


def _fields(chosen: Chosen, outputs: Outputs, left: list[str], withdrawal: str) -> dict[str, Any]:
    return {
        "withdrawal": withdrawal,
        "jobs": list(chosen.jobs),
        "sessions": chosen.sessions,
        "artifacts": list(chosen.artifacts),
        "deleted": [path for path in outputs.free if path not in left],
        "not_deleted": left,
        "kept": [{"path": path, "reason": reason} for path, reason in outputs.kept],
    }
