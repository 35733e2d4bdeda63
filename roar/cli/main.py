"""The command table and the program around it."""

from __future__ import annotations

import gc
import importlib
import os

import click

import roar
from roar import log
from roar.cli import boundary
from roar.cli.say import ready_streams
from roar.errors import RoarError, UsageError

TABLE = {
    "Record": {
        "run": "Run a command and record what it read and wrote",
        "build": "Run a set-up step (compile, install) and record it",
    },
    "Ask": {
        "log": "List recorded jobs, newest first",
        "show": "Show a job, a file, a step or a commit",
        "lineage": "Show where a file came from, or what was made of it",
        "inputs": "Show what went in from outside, and what it takes to make it again",
        "dag": "Show the steps of the session and their state",
        "diff": "Show what differs between two jobs or two versions of a file",
        "ui": "Show it all as pages in a browser, on this machine alone",
        "lookup": "Ask servers where a file came from",
        "why": "Say why a file is what it is, or differs from an earlier version",
        "session": "Begin, list, show, choose and close sessions",
        "status": "Say what is out of date and why, and what is not shared",
    },
    "Make again": {
        "reproduce": "Run the lineage of a file again and compare the bytes",
        "export": "Write the lineage as a script, or for make or Snakemake",
    },
    "Name": {
        "label": "Label jobs, sessions and files",
        "collection": "Group files under a name: a data set, a release",
    },
    "Correct": {
        "pop": "Withdraw the last job, or named jobs, files and sessions",
        "reset": "Delete the index, or all that roar has recorded here",
    },
    "Serve": {
        "serve": "Serve lineage to a team: a git remote, an API and pages",
    },
    "Share and keep": {
        "config": "List, explain and change settings",
        "env": "Keep environment variables for recorded commands",
        "init": "Let plain git show and fetch the records (writes git config)",
        "sync": "Fetch and push the records",
        "register": "Push what is known of a file to a remote, after a look for secrets",
        "auth": "Log in to servers by SSH key",
        "remote": "Try whether a remote takes the records",
        "compact": "Put records together: fewer objects here, fewer refs for everybody",
        "put": "Keep the bytes of files in the store, by hash",
        "get": "Bring files back from the store, or from an address",
        "recover": "Bring records that were saved aside into git",
        "fsck": "Check records, notes, spool and index, and mend what is derived",
        "verify": "Check ids and signatures of the records",
        "cache": "Look after the index, which may be deleted at any time",
        "doctor": "Check that everything roar needs is here and works",
        "completion": "Print the completion script of a shell",
    },
}
"""Commands by group, with the line that help shows; each is the click command in ``roar.cli.<name>``."""
HIDDEN = ("hook", "credential", "serve-ssh")
"""Called by git and by sshd, not by people."""


class LazyGroup(click.Group):
    """A group whose commands are imported when they are called."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """All names, in the order of the table."""
        del ctx
        return [name for commands in TABLE.values() for name in commands]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import one command."""
        if cmd_name not in [*self.list_commands(ctx), *HIDDEN]:
            return None
        module = importlib.import_module(f"roar.cli.{cmd_name.replace('-', '_')}_command")
        command: click.Command = module.command
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command, or say which name was probably meant."""
        name = args[0] if args else ""
        if not name.startswith("-") and self.get_command(ctx, name) is None:
            import difflib

            near = difflib.get_close_matches(name, self.list_commands(ctx), 1)
            raise UsageError(f"'{name}' is not a roar command", f"roar {near[0]}" if near else "roar -h")
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The table, without importing any command."""
        del ctx
        for group, commands in TABLE.items():
            with formatter.section(group):
                formatter.write_dl(list(commands.items()))


@click.command(
    cls=LazyGroup,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    subcommand_metavar="COMMAND [ARG]...",
)
@click.version_option(roar.__version__, prog_name="roar", message="%(prog)s %(version)s")
@click.option("-C", "folder", metavar="DIR", help="Do as if started in DIR.")
@click.option("--debug", is_flag=True, help="Show tracebacks and debug lines (also ROAR_DEBUG=1).")
@click.pass_context
def cli(context: click.Context, folder: str | None, *, debug: bool) -> None:
    """Where did this file come from, and can I make it again?

    roar records what commands read and write, in git, and makes files again from the records.
    """
    if debug:
        os.environ["ROAR_DEBUG"] = "1"
    if folder is not None:
        try:
            os.chdir(folder)
        except OSError as error:
            raise RoarError(f"cannot go to {folder}: {error.strerror}", "roar -C DIR, with a folder") from error
    elif not _HELP.intersection(context.obj):
        try:
            os.getcwd()
        except OSError as error:  # it was removed
            raise RoarError(f"cannot start here: {error.strerror}", "go to another folder") from error
    if not _HELP.intersection(context.obj) and context.invoked_subcommand not in _READ_IT_THEMSELVES:
        from roar.cli import pager
        from roar.cli.configured import settings

        settings.cache_clear()  # of an earlier call in this process
        log.start(*settings().logging)
        if context.invoked_subcommand in pager.PAGED and settings().output.pager:
            pager.start(context)
    else:
        log.start()


_OBJECTS = 200_000
"""Objects that are made between two looks for refuse. An answer is made of many that all stay: looking after every 700,
as Python does, took half the time of reading 10,000 records."""
_HELP = {"-h", "--help"}
_READ_IT_THEMSELVES = ("run", "build", "config", "env", "hook", "doctor", "completion", "serve", "serve-ssh", None)
"""The first two check it before they start a command, two mend it, and a hook stops nobody's push because of it."""


def main(words: list[str]) -> int:
    """Run the program and give its exit code."""
    return boundary.guarded(lambda: _call(words))


def _call(words: list[str]) -> int:
    gc.set_threshold(_OBJECTS)
    ready_streams()
    try:
        result = cli.main(words, prog_name="roar", standalone_mode=False, obj=words)
    except click.exceptions.Exit as done:
        return done.exit_code
    except click.exceptions.NoArgsIsHelpError as error:
        click.echo(error.ctx.get_help() if error.ctx else "")
        return 2
    except click.Abort:
        raise KeyboardInterrupt from None
    except click.UsageError as error:
        where = error.ctx.command_path if error.ctx else "roar"
        raise UsageError(_lower(error.format_message()), f"{where} -h") from error
    except click.ClickException as error:
        raise RoarError(_lower(error.format_message())) from error
    return result if isinstance(result, int) else 0


def _lower(message: str) -> str:
    message = " ".join(message.split()).rstrip(".")
    return message[:1].lower() + message[1:]
