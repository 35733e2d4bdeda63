"""``roar status``: one line for what is well, a reason and a next step for what is not."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import click

from roar.cli import present
from roar.cli.log_command import line
from roar.cli.say import Style, write_json
from roar.errors import EXIT_FAILURE, EXIT_OK
from roar.git.repository import discover
from roar.git.worktree import Standing
from roar.records.summary import printable
from roar.verbs.resolve import SHORT_HASH
from roar.verbs.stale import State
from roar.verbs.status import Status, status

_MOST = 5
_NEWER = ("is newer than", "not known to this roar")
"""What is said of records that a later roar wrote."""


@click.command("status", epilog="\b\nExamples:\n  git roar status\n  git roar status --check && make publish")
@click.option("--check", is_flag=True, help="Exit with 1 when something is stale.")
@click.option("--json", "as_json", is_flag=True, help="Write it as JSON.")
def command(*, check: bool, as_json: bool) -> int:
    """Say what is out of date and why, what is not shared, and what is not known.

    Outputs of the session's steps are compared with the files that are there: an output is stale when an input or
    the code changed, when it was modified or is gone, or when a step before it is stale. Exit status with --check:
    0 nothing is stale, 1 something is.
    """
    repo = discover()
    with present.opened_index(repo) as index:
        found = status(index, repo)
    if as_json:
        write_json(_fields(found))
    else:
        present.write(_lines(found, present.style()))
    return EXIT_FAILURE if check and found.stale else EXIT_OK


def _lines(found: Status, style: Style) -> Iterator[str]:
    if found.last is None:
        yield present.no_jobs(found.aside)
    else:
        yield _git(found.git)
        steps = present.count(len(found.states), "step")
        if found.session:
            yield f"session {found.session}: {present.count(found.session_jobs, 'job')}, {steps}"
        columns = present.width()
        yield f"last job {line(*found.last, style, columns - 9 if columns else 0)}"
        yield ""
        yield from _stale(found, style)
        failed = [state for state in found.states if state.state == "failed"]
        for state in failed[-_MOST:]:
            yield style.red(f"failed: @{state.step.number}") + f" (next: roar show @{state.step.number})"
    yield from _unshared(found, style)
    yield from _unknown(found, style)


def _git(found: Standing) -> str:
    branch = f"on {printable(found.branch)}" if found.branch else "on no branch"
    text = f"{branch} at {found.commit[:SHORT_HASH]}" if found.commit else f"{branch}, no commit yet"
    parts = [f"{present.count(found.changed, 'file')} changed"] * bool(found.changed)
    parts += [f"{found.untracked} untracked"] * bool(found.untracked)
    if found.upstream and found.ahead:
        parts.append(f"{present.count(found.ahead, 'commit')} not on {printable(found.upstream)}")
    return ", ".join([text, *(parts or ["clean"])])


def _stale(found: Status, style: Style) -> Iterator[str]:
    if not found.stale:
        yield style.green("nothing is stale")
        return
    outputs = sum(len(state.outputs) for state in found.stale)
    head = f"{present.count(outputs, 'output')} of " if outputs else ""
    yield style.yellow(f"{head}{present.count(len(found.stale), 'step')} stale:")
    for state in found.stale:
        yield f"  @{state.step.number}  {_names(state)}"
        for reason in state.reasons[:_MOST]:
            yield f"        {reason.text}"
        if len(state.reasons) > _MOST:
            yield f"        and {len(state.reasons) - _MOST} more reasons (roar dag)"


def _names(state: State) -> str:
    return present.some([printable(use.path) for use in state.outputs], 3) or "(no outputs)"


def _unshared(found: Status, style: Style) -> Iterator[str]:
    for remote, number in found.unpushed.items():
        if remote in found.strange:
            text = f"never compared with {printable(remote)}"
        else:
            text = f"{present.count(number, 'record')} not known to be on {printable(remote)}"
        yield style.yellow(text) + f" (next: roar sync {printable(remote)})"
    for hint, loose in found.loose.items():
        yield style.yellow(f"{_commits(loose)} on no remote branch") + f" (next: {printable(hint)})"
    for remote, number in found.waiting.items():
        what = f"{present.count(number, 'registration')} with {printable(remote)} waiting"
        yield style.yellow(what) + " (next: roar register --waiting)"
    if found.gone:
        yield style.yellow(f"{_commits(found.gone)} gone from this repository")


def _commits(commits: list[str]) -> str:
    shown = present.some([present.short_hash(oid) for oid in commits], 3)
    one = len(commits) == 1
    return f"commit{'' if one else 's'} {shown}, which jobs ran on, {'is' if one else 'are'}"


def _unknown(found: Status, style: Style) -> Iterator[str]:
    if found.aside and found.last is not None:
        yield style.red(present.aside(found.aside))
    if found.gaps:
        one = len(found.gaps) == 1
        text = (
            f"{present.count(len(found.gaps), 'record')} of the session {'does' if one else 'do'} not know everything"
        )
        yield style.red(text) + f" (next: roar show {present.short_id(found.gaps[0])})"
    if found.withdrawn:
        yield style.dim(present.withdrawn(found.withdrawn))
    if found.taken_back:
        names = present.some([printable(path) for path in found.taken_back], _MOST)
        hint = f" (next: roar show {printable(found.taken_back[0])})"
        yield style.red(f"withdrawn content in the session: {names}") + hint
    if found.broken:
        oid, reason = found.broken[0]
        text = f"{present.count(len(found.broken), 'object')} under refs/roar cannot be read"
        mend = "upgrade roar" if any(words in reason for words in _NEWER) else "roar fsck"
        yield style.red(text) + f": {printable(oid[:12])}: {printable(reason)} (next: {mend})"


def _fields(found: Status) -> dict[str, Any]:
    return {
        "git": {**found.git._asdict(), "dirty": bool(found.git.changed)},
        "session_id": found.session,
        "session_jobs": found.session_jobs,
        "total_jobs": found.total_jobs,
        "last_job": found.last[0] if found.last else None,
        "stale_count": len(found.stale),
        "stale": [
            {
                "step_number": state.step.number,
                "job_id": state.step.job,
                "outputs": [{"path": use.path, "hash": use.hash} for use in state.outputs],
                "reasons": [reason._asdict() for reason in state.reasons],
            }
            for state in found.stale
        ],
        "states": {f"@{state.step.number}": state.state for state in found.states},
        "unpushed": found.unpushed,
        "never_compared": found.strange,
        "commits_on_no_remote_branch": [oid for loose in found.loose.values() for oid in loose],
        "commits_gone": found.gone,
        "incomplete": found.gaps,
        "broken": [{"object": oid, "reason": reason} for oid, reason in found.broken],
        "saved_aside": found.aside,
        "registrations_waiting": found.waiting,
        "withdrawn_jobs": found.withdrawn,
        "withdrawn_paths": found.taken_back,
    }
