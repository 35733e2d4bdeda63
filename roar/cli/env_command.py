"""``roar env``."""

from __future__ import annotations

import re
from collections.abc import Iterator

import click

from roar.cli import present
from roar.cli.boundary import say
from roar.cli.config_command import origin, place, repository
from roar.cli.say import write_json
from roar.config import read
from roar.config.read import Entry
from roar.errors import NotFoundError, UsageError
from roar.records.summary import printable
from roar.redact import redact_variables

_EPILOG = """\b
Examples:
  git roar env set OMP_NUM_THREADS=1 PYTHONHASHSEED=0
  git roar env set --user TZ=UTC
  git roar env list
"""
_user = click.option("--user", "--global", is_flag=True, help="For all your repositories instead of this one.")


@click.group("env", epilog=_EPILOG)
def command() -> None:
    """Keep environment variables for recorded commands.

    `roar run` and `roar build` give them to every command, and record them. They lie in git's configuration; what looks
    like a secret is taken out of records.
    """


@command.command("set", epilog="\b\nExample:\n  git roar env set OMP_NUM_THREADS=1")
@_user
@click.argument("pairs", metavar="NAME=VALUE...", nargs=-1, required=True)
def set_variables(pairs: tuple[str, ...], *, user: bool) -> None:
    """Set variables for every command that is recorded from now on."""
    given = {name: (equals, value) for name, equals, value in (pair.partition("=") for pair in pairs)}
    for name, (equals, value) in given.items():
        _checked(name)
        if not equals or "\n" in value:
            raise UsageError(f"{printable(name)} has no value of one line", f"roar env set {name}=VALUE")
    where = place("global" if user else None)
    for name, (_, value) in given.items():
        where.put(_key(name), [value])
    variables, _ = redact_variables({name: value for name, (_, value) in given.items()})
    secret = [name for name in variables if "[redacted:" in variables[name]]
    if secret:
        say(f"roar: {', '.join(secret)}: taken for a secret: not in records, but in git's configuration as plain text")


@command.command("get", epilog="\b\nExample:\n  git roar env get OMP_NUM_THREADS")
@click.argument("name", metavar="NAME")
@click.option("--json", "as_json", is_flag=True, help="Write it, and where it is set, as JSON.")
def get(name: str, *, as_json: bool) -> None:
    """Write the value of a variable, as recorded commands get it."""
    found = [entry for known, entry in _entries() if known == name]
    if not found:
        raise NotFoundError(f"{printable(name)} is not set", f"roar env set {printable(name)}=VALUE")
    if as_json:
        write_json(_fields(name, found[-1].value, found[-1]))
    else:
        present.write([found[-1].value])


@command.command("list", epilog="\b\nExample:\n  git roar env list --json")
@click.option("--json", "as_json", is_flag=True, help="Write them as JSON.")
def list_variables(*, as_json: bool) -> None:
    """List the variables, and where they are set. What looks like a secret is not shown."""
    entries = dict(_entries())  # the strongest comes last
    shown, _ = redact_variables({name: entry.value for name, entry in entries.items()})
    if as_json:
        write_json([_fields(name, shown[name], entry) for name, entry in entries.items()])
    elif not entries:
        say("no variables are set (next: roar env set NAME=VALUE)")
    else:
        style = present.style()
        rows = [[f"{name}={printable(shown[name])}", printable(origin(entry))] for name, entry in entries.items()]
        present.write(present.table([], rows, [None, style.dim], columns=present.width()))


@command.command("unset", epilog="\b\nExample:\n  git roar env unset OMP_NUM_THREADS")
@_user
@click.argument("names", metavar="NAME...", nargs=-1, required=True)
def unset(names: tuple[str, ...], *, user: bool) -> None:
    """Remove variables."""
    where = place("global" if user else None)
    for name in names:
        where.remove(_key(_checked(name)))


def _entries() -> Iterator[tuple[str, Entry]]:
    for entry in read.gather(repository()):
        name = read.variable_of(entry)
        if name is not None and entry.scope != "shared":
            yield name, entry


def _fields(name: str, value: str, entry: Entry) -> dict[str, str | None]:
    return {"name": name, "value": value, "file": entry.file or None}


def _key(name: str) -> str:
    return f"env.{name}.value"


def _checked(name: str) -> str:
    if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", name):
        raise UsageError(f"{printable(name)} is no name of an environment variable", "roar env set NAME=VALUE")
    return name
