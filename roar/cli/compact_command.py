"""``roar compact``."""

from __future__ import annotations

import click

from roar.cli import present
from roar.cli.say import Counter, write_json
from roar.errors import GitError
from roar.git.repository import discover
from roar.verbs.compact import Compacted, compact

_EXAMPLES = "\b\nExamples:\n  git roar compact --dry-run\n  git roar compact --prune-remote origin"


@click.command("compact", epilog=_EXAMPLES)
@click.option(
    "--prune-remote", metavar="REMOTE", help="Also remove on REMOTE the refs that its archive makes needless."
)
@click.option(
    "--quiet-for",
    metavar="DAYS",
    type=click.IntRange(min=0),
    default=30,
    show_default=True,
    help="Fold writers that recorded nothing for so long.",
)
@click.option("--dry-run", is_flag=True, help="Say what would be done; change nothing.")
@click.option("--json", "as_json", is_flag=True, help="Write the result as JSON.")
def command(prune_remote: str | None, *, quiet_for: int, dry_run: bool, as_json: bool) -> None:
    """Put records together: fewer objects here, fewer refs for everybody.

    The unpushed end of this clone's records is sealed, and the records of writers that are quiet (CI machines, past
    years) are copied into refs/roar/archive/*. No record is changed or lost by either. With --prune-remote the archive
    is pushed, and a quiet writer's refs are removed there when every one of its records is in it.
    """
    with Counter("records folded") as counter:
        done = compact(discover(), quiet_for, prune_remote, counter.show, dry_run=dry_run)
    if as_json:
        write_json({**done._asdict(), "dry_run": dry_run})
    else:
        present.write(_lines(done, prune_remote, "would be " if dry_run else ""))
    if done.refused:
        ref, why = next(iter(done.refused.items()))
        raise GitError(f"{prune_remote} refused to remove {ref}: {why}", "roar compact --dry-run")


def _lines(done: Compacted, remote: str | None, would: str) -> list[str]:
    writers = f"{present.count(done.chains, 'quiet chain')}: {present.count(done.folded, 'record')} {would}folded"
    lines = [f"{present.count(done.sealed, 'record')} {would}sealed", writers]
    if done.removed_here:
        lines.append(f"{present.count(len(done.removed_here), 'chain')} of past years {would}removed here")
    if remote is not None:
        lines.append(f"{present.count(len(done.removed), 'ref')} {would}removed on {remote}")
    return lines
