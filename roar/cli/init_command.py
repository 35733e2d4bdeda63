"""``roar init``."""

from __future__ import annotations

import click

from roar.cli import boundary
from roar.cli.say import write_json
from roar.git.hooks import Hooks
from roar.git.repository import discover
from roar.verbs import agents, hooks, sync


@click.command(
    "init", epilog="\b\nExamples:\n  git roar init && git log -1\n  git roar init --hooks\n  git roar init --agents"
)
@click.option(
    "--hooks/--no-hooks",
    "with_hooks",
    default=None,
    help="Install git hooks beside your own (in a bare repository: pre-receive), or remove exactly those.",
)
@click.option(
    "--agents/--no-agents",
    "with_agents",
    default=None,
    help="Write a section on roar for coding agents into AGENTS.md, or remove exactly that.",
)
@click.option("--json", "as_json", is_flag=True, help="Write what was changed as JSON.")
def command(*, with_hooks: bool | None, with_agents: bool | None, as_json: bool) -> None:
    """Let plain `git log` show the notes of recorded jobs, and `git fetch` bring others' records.

    Writes git config of this repository, and one symbolic ref; it may be called again at any time. Recording needs
    no init. With --hooks, a push reminds of records that are not shared yet (or shares them, see roar.sync.auto), and
    amended and rebased commits that jobs ran on stay alive. Hooks that are there already go on as before. With
    --agents, everything else in AGENTS.md stays byte for byte; commit the file to share it.
    """
    repo = discover()
    changed, left = sync.init(repo), list[str]()
    if with_hooks:
        more, left = Hooks(repo, hooks.scripts()).install()
        changed += more
    elif with_hooks is False:
        changed += Hooks(repo, hooks.scripts()).remove()
    if with_agents is not None:
        changed += agents.write(repo) if with_agents else agents.remove(repo)
    if as_json:
        write_json({"changed": changed, "left": left})
    elif changed:
        click.echo("\n".join(changed))
    elif not left:
        click.echo("nothing to do: git shows and fetches the records already", err=True)
    if not as_json:
        for line in left:
            boundary.say(f"roar: {line}")
