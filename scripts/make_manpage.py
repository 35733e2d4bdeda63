#!/usr/bin/env python3
"""Write docs/man/roar.1 and docs/man/git-roar.1 from the commands themselves (``--check``: only compare).

Run it in an environment where roar is installed, after any change to a command, an option or a help text.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterator

import click

from roar import __version__
from roar.cli.main import cli

FOLDER = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "docs", "man")
GIT_PAGE = ".so man1/roar.1\n"
EXIT_STATUS = (
    ("0", "Done."),
    ("1", "An expected failure, named on the standard error."),
    ("2", "Wrong usage."),
    ("3", "The answer is no: an artifact differs, something is stale, a verification failed."),
    ("70", "A bug in roar; the message names a log to attach to a report."),
    ("130", "Interrupted."),
)
RUN_STATUS = (
    "roar run returns the command's own status, or 128 plus the number of the signal that ended it; "
    "125 when roar failed before the start, 126 when the command cannot be executed, 127 when it is not "
    "found."
)


def text(words: str) -> str:
    """One paragraph of words, escaped so that no character of them is a roff command."""
    escaped = " ".join(words.split()).replace("\\", "\\e").replace("-", "\\-")
    return "\\&" + escaped if escaped.startswith((".", "'")) else escaped


def verbatim(words: str) -> str:
    """Lines kept as they are."""
    return "\n".join("\\&" + line.replace("\\", "\\e").replace("-", "\\-") for line in words.splitlines())


def prose(words: str) -> Iterator[str]:
    """Paragraphs of a click help text; a paragraph that click is told to leave alone stays as it is."""
    for paragraph in re.split(r"\n[ \t]*\n", words.partition("\f")[0].strip()):
        if paragraph.lstrip().startswith("\b"):
            yield from (".PP", ".nf", verbatim(paragraph.replace("\b", "").strip("\n")), ".fi")
        elif paragraph.strip():
            yield from (".PP", text(paragraph))


def options(command: click.Command, context: click.Context) -> Iterator[str]:
    """One tagged paragraph per option, and per argument that says more than its name."""
    for parameter in command.get_params(context):
        record = parameter.get_help_record(context)
        if record is not None and (record[1] or isinstance(parameter, click.Option)):
            yield from (".TP", f"\\fB{text(record[0])}\\fR", text(record[1]) or "\\&")


def subcommands(group: click.Group, context: click.Context, path: str) -> Iterator[tuple[str, click.Command]]:
    """Full name and command of every visible command below a group, in the group's order."""
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        if command is None or command.hidden:
            continue
        full = f"{path} {name}"
        yield full, command
        if isinstance(command, click.Group):
            yield from subcommands(command, click.Context(command, context, full, **command.context_settings), full)


def page(group: click.Group, name: str = "roar") -> str:
    """The whole page in man(7)."""
    context = click.Context(group, info_name=name, **group.context_settings)
    out = [
        f'.TH {name.upper()} 1 "" "{name} {__version__}" "{name}"',
        ".SH NAME",
        f"{name}, git\\-{name} \\- {text(group.get_short_help_str(200).rstrip('.'))}",
        ".SH SYNOPSIS",
        f"\\fB{name}\\fR {text(' '.join(group.collect_usage_pieces(context)))}",
        ".br",
        f"\\fBgit {name}\\fR {text(' '.join(group.collect_usage_pieces(context)))}",
        ".SH DESCRIPTION",
        *prose(group.help or ""),
        ".SH OPTIONS",
        *options(group, context),
        ".SH COMMANDS",
    ]
    for full, command in subcommands(group, context, name):
        inner = click.Context(command, context, full, **command.context_settings)
        usage = " ".join(command.collect_usage_pieces(inner))
        out += [f".SS {text(full)}", f"\\fB{text(full)}\\fR {text(usage)}"]
        out += [*prose(command.help or command.get_short_help_str(200)), *options(command, inner)]
    out.append(".SH EXIT STATUS")
    for status, meaning in EXIT_STATUS:
        out += [".TP", f"\\fB{status}\\fR", text(meaning)]
    out += [".PP", text(RUN_STATUS), ".SH SEE ALSO", ".BR git (1),", ".BR git\\-notes (1)"]
    return "\n".join(out) + "\n"


def main() -> int:
    """0 when the pages are current (or were written), 1 when ``--check`` finds an old one."""
    stale = 0
    for name, wanted in (("roar.1", page(cli)), ("git-roar.1", GIT_PAGE)):
        path = os.path.join(FOLDER, name)
        found = None
        if os.path.exists(path):
            with open(path, encoding="utf-8") as file:
                found = file.read()
        if found == wanted:
            continue
        if "--check" in sys.argv[1:]:
            print(f"docs/man/{name} is not current: run scripts/make_manpage.py", file=sys.stderr)
            stale = 1
            continue
        os.makedirs(FOLDER, exist_ok=True)
        with open(path, "w", encoding="utf-8") as file:
            file.write(wanted)
        print(f"wrote docs/man/{name}")
    return stale


if __name__ == "__main__":
    sys.exit(main())
