"""``roar sync``."""

from __future__ import annotations

import sys

import click

from roar.cli import present, register_command
from roar.cli.complete import remote_names
from roar.cli.say import write_json
from roar.errors import GitError
from roar.git import transport
from roar.git.repository import discover
from roar.verbs import sync


@click.command("sync", epilog="\b\nExamples:\n  git roar sync\n  git roar sync upstream --fetch-only")
@click.argument("remote", required=False, shell_complete=remote_names)
@click.option("--fetch-only", is_flag=True, help="Bring in what others recorded; push nothing.")
@click.option("--push-only", is_flag=True, help="Push what this clone recorded; fetch nothing.")
@click.option("-q", "--quiet", is_flag=True, help="Say nothing when all is well.")
@click.option("--json", "as_json", is_flag=True, help="Write the result as JSON.")
def command(remote: str | None, *, fetch_only: bool, push_only: bool, quiet: bool, as_json: bool) -> None:
    """Fetch and push the records (refs/roar/*) with REMOTE, by default that of the current branch.

    Registrations that wait for a remote that could not be reached (`roar register`) are made, too: those with REMOTE,
    without it all. The rest is the same as `git fetch REMOTE '+refs/roar/*:refs/roar-remote/REMOTE/*'` and
    `git push REMOTE 'refs/roar/*'`.
    """
    repo = discover()
    still = quiet or as_json or not sys.stderr.isatty()
    done = sync.sync(repo, remote, fetch=not push_only, push=not fetch_only, quiet=still)
    waited = [] if fetch_only or done.refused else register_command.after_sync(repo, remote and done.remote)
    loose = sync.noted_and_unshared(repo)
    if as_json:
        write_json({**done._asdict(), "registered": waited, "commits_on_no_remote_branch": loose})
    elif not quiet:
        sealed = f" ({done.sealed} records sealed)" if done.sealed else ""
        click.echo(f"{done.remote}: fetched {_count(done.fetched)}, pushed {_count(done.pushed)}{sealed}")
    lost = [ref for ref in done.fetched if ref.startswith(transport.GONE)]
    if lost and not as_json:
        text = f"{done.remote} took back records that it had; they are kept here in {present.some(lost)}"
        click.echo(f"roar: {text} (next: roar verify)", err=True)
    if done.refused:
        ref, why = next(iter(done.refused.items()))
        raise GitError(f"{done.remote} refused {ref}: {why}", f"roar remote check {done.remote}")
    if loose and not as_json:
        text = (
            f"{len(loose)} commits that jobs ran on are"
            if len(loose) > 1
            else f"commit {loose[0][:12]}, that a job ran on, is"
        )
        hint = sync.how_to_share(repo, done.remote, loose[0])
        click.echo(f"roar: {text} on no remote branch (next: {hint})", err=True)


def _count(changed: list[str]) -> str:
    return "nothing new" if not changed else f"{len(changed)} ref" + "s" * (len(changed) > 1)
