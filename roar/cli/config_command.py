"""``roar config``."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import click

from roar.cli import present
from roar.cli.boundary import say
from roar.cli.complete import settings_keys
from roar.cli.say import Style, write_json
from roar.config import read
from roar.config.change import Place, key_of, set_values
from roar.config.describe import markdown
from roar.config.model import KEYS, Key
from roar.config.read import Configuration, Entry
from roar.errors import ConfigError, NotARepositoryError, UsageError
from roar.git.repository import Repository, discover
from roar.records.summary import printable

_EPILOG = """\b
Examples:
  git roar config list
  git roar config set filters.exclude 'logs/*.txt'
  git roar config set --global output.quiet true
  git roar config describe overlay.maxTotalSize
"""
SCOPES = ("local", "global", "worktree", "system")


def in_scope(function: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command the options that say where to write; its parameter ``scope`` is None when none was given."""
    for name in reversed(SCOPES):
        text = {"local": "this repository (the default)", "global": "all your repositories"}
        where = text.get(name, "this work tree only" if name == "worktree" else "everybody on this machine")
        function = click.option(f"--{name}", "scope", flag_value=name, help=f"For {where}, as in git config.")(function)
    return function


@click.group("config", epilog=_EPILOG)
def command() -> None:
    """List, explain and change settings.

    Settings are keys under `roar.` in git's own configuration, so `git config` and `git -c` work, too; a repository
    may share harmless ones in a committed .roarconfig. The environment (ROAR_OUTPUT_QUIET=true) is stronger than both.
    """


@command.command("list", epilog="\b\nExamples:\n  git roar config list\n  git roar config list --all")
@click.option("-a", "--all", "everything", is_flag=True, help="Also what has its default.")
@click.option("--json", "as_json", is_flag=True, help="Write all settings, with their places, as JSON.")
def list_settings(*, everything: bool, as_json: bool) -> None:
    """List what is set, and where."""
    configuration = read.load(repository())
    if as_json:
        write_json([_fields(key, configuration) for key in KEYS.values()])
        return
    shown = [key for key in KEYS.values() if everything or key.name.lower() in configuration.given]
    present.write(_lines(shown, configuration, present.style()))
    if configuration.ignored:
        say(f"roar: ignored in {read.SHARED_FILE}: {', '.join(configuration.ignored)}")
    if not shown:
        say("nothing is set (next: roar config list --all)")


@command.command("get", epilog="\b\nExample:\n  git roar config get overlay.maxTotalSize")
@click.argument("name", metavar="KEY", shell_complete=settings_keys)
@click.option("--json", "as_json", is_flag=True, help="Write the value and its place as JSON.")
def get(name: str, *, as_json: bool) -> None:
    """Write the value of a setting, or its default; several values on a line each."""
    key = key_of(name)
    configuration = read.load(repository())
    if as_json:
        write_json(_fields(key, configuration))
    else:
        present.write(printable(line) for line in key.words(_value(key, configuration)))


@command.command("set", epilog="\b\nExamples:\n  git roar config set output.color never\n"
                 "  git roar config set --shared filters.exclude '*.log' 'scratch/'")  # fmt: skip
@in_scope
@click.option("--shared", "scope", flag_value="shared", help="In .roarconfig, to be committed and shared.")
@click.option("--add", is_flag=True, help="Add to the values that are there.")
@click.argument("name", metavar="KEY", shell_complete=settings_keys)
@click.argument("values", metavar="VALUE...", nargs=-1, required=True)
def set_setting(scope: str | None, name: str, values: tuple[str, ...], *, add: bool) -> None:
    """Give a setting a value. Comments and order of the file stay as they are."""
    key = key_of(name)
    set_values(place(scope), key, list(values), add=add)
    _warn_when_overridden(key, scope or "local")


@command.command("unset", epilog="\b\nExample:\n  git roar config unset output.color")
@in_scope
@click.option("--shared", "scope", flag_value="shared", help="In .roarconfig.")
@click.argument("name", metavar="KEY", shell_complete=settings_keys)
def unset(scope: str | None, name: str) -> None:
    """Remove a setting from one place; also one that roar does not know."""
    where = place(scope)
    try:
        plain = key_of(name).name
    except UsageError:
        if name.count(".") not in (1, 2):
            raise
        plain = name.removeprefix("roar.")
    where.remove(plain)


@command.command("describe", epilog="\b\nExamples:\n  git roar config describe\n  git roar config describe overlay")
@click.argument("name", metavar="[KEY]", required=False, shell_complete=settings_keys)
@click.option("--markdown", "as_markdown", is_flag=True, help="Write the page docs/configuration.md.")
@click.option("--json", "as_json", is_flag=True, help="Write it as JSON.")
def describe(name: str | None, *, as_markdown: bool, as_json: bool) -> None:
    """Say what settings do: all, those of a group, or one."""
    if as_markdown:
        click.echo(markdown(), nl=False)
        return
    chosen = [key for key in KEYS.values() if name is None or key.group == name.lower().removeprefix("roar.")]
    chosen = chosen or [key_of(name or "")]
    if as_json:
        write_json([_about(key) for key in chosen])
        return
    style = present.style()
    for number, key in enumerate(chosen):
        default = " ".join(key.words(key.default)) or "none"
        value = key.kind.wants + ", repeatable" * key.kind.many
        present.write([""] * bool(number))
        present.write([f"{style.bold(f'roar.{key.name}')}  {value}  (default: {default})"])
        present.write(present.folded("    ", key.help))
        present.write([style.dim(f"    {key.variable}" + f", {read.SHARED_FILE}" * key.shared)])


def place(scope: str | None) -> Place:
    """Where to write. Raises ``NotARepositoryError`` for this repository outside of one."""
    repo = repository()
    if repo is None and scope not in ("global", "system"):
        discover()  # says what is wrong
    return Place(scope or "local", repo)


def repository() -> Repository | None:
    """The repository here, if there is one."""
    try:
        return discover()
    except NotARepositoryError:
        return None


def _value(key: Key, configuration: Configuration) -> Any:
    return getattr(getattr(configuration.settings, key.group), key.field)


def origin(entry: Entry) -> str:
    """Where a value was set, for people."""
    return entry.file or {"environment": entry.name, "command": "git -c"}.get(entry.scope, entry.scope)


def _lines(keys: list[Key], configuration: Configuration, style: Style) -> Iterator[str]:
    rows = []
    for key in keys:
        entries = configuration.given.get(key.name.lower(), [])
        where = ", ".join(dict.fromkeys(origin(entry) for entry in entries)) or "default"
        values = key.words(_value(key, configuration)) or [""]
        rows += [[f"roar.{key.name}", printable(value), printable(where)] for value in values]
    yield from present.table([], rows, [style.bold, None, style.dim], columns=present.width())


def _fields(key: Key, configuration: Configuration) -> dict[str, Any]:
    entries = configuration.given.get(key.name.lower(), [])
    return {
        "key": f"roar.{key.name}",
        "value": _value(key, configuration),
        "default": key.default,
        "from": [{"scope": entry.scope, "file": entry.file or None} for entry in entries],
    }


def _about(key: Key) -> dict[str, Any]:
    return {
        "key": f"roar.{key.name}",
        "variable": key.variable,
        "expected": key.kind.wants,
        "repeatable": key.kind.many,
        "default": key.default,
        "shared": key.shared,
        "help": key.help,
    }


def _warn_when_overridden(key: Key, scope: str) -> None:
    """Say so when what was just set does not count, because something stronger is set."""
    try:
        entries = read.load(repository()).given.get(key.name.lower(), [])
    except ConfigError as error:
        say(f"roar: it is set; what is still wrong: {error.message} (next: {error.hint})")
        return
    if entries and not key.kind.many and entries[-1].scope != scope:
        say(f"roar: stronger is what {origin(entries[-1])} says of roar.{key.name}")
