"""``roar remote``: what remotes do with the records."""

from __future__ import annotations

import click

from roar.cli import boundary, present
from roar.cli.complete import remote_names
from roar.cli.say import write_json
from roar.errors import EXIT_NO, EXIT_OK
from roar.git import transport
from roar.git.repository import discover
from roar.records.summary import printable
from roar.verbs import remotes, sync


@click.group("remote", epilog="\b\nExample:\n  git roar remote check origin")
def command() -> None:
    """Find out what a remote does with the records. docs/hosts.md tells what is known of hosting services."""


@command.command("check", epilog="\b\nExamples:\n  git roar remote check\n  git roar remote check upstream --json")
@click.argument("remote", required=False, shell_complete=remote_names)
@click.option("--json", "as_json", is_flag=True, help="Write the result as JSON.")
def check(remote: str | None, *, as_json: bool) -> int:
    """Try whether REMOTE takes the records, by default that of the current branch. Exits 3 when it does not.

    An empty commit is pushed to a new ref of a unique name beside the records, asked for, and deleted. Nothing that is
    there is touched.
    """
    repo = discover()
    done, place = remotes.check(repo, remote), sync.place(repo)
    if as_json:
        write_json({**done._asdict(), "takes": done.takes})
    else:
        present.write(list(_lines(done, place)))
        for line in _hints(done, place):
            boundary.say(f"roar: {line}")
    return EXIT_OK if done.takes else EXIT_NO


def _lines(done: remotes.Checked, place: str) -> list[str]:
    told = [f"  {done.remote}: {printable(line)}" for line in done.said[:10]]
    if done.refused is not None:
        return [f"{done.remote} does not take {place}*: {printable(done.refused)}", *told]
    if not done.listed:
        return [f"{done.remote} takes {place}*, but does not show it to who fetches", *told]
    return [f"{done.remote} takes {place}*: a ref was written, listed" + (" and deleted" if done.left is None else "")]


def _hints(done: remotes.Checked, place: str) -> list[str]:
    hints = []
    if done.left is not None:
        hints.append(f"{done.ref} is left on {done.remote}, which does not let it be deleted: {printable(done.left)}")
    if not done.takes and place == transport.OURS:
        hints.append(
            f"if {done.remote} takes branches, records can travel as branches there "
            f"(next: git config roar.sync.branch roar && roar remote check {done.remote})"
        )
    return hints
