"""``roar hook NAME``: what the scripts of ``git-hooks/`` call."""

from __future__ import annotations

import logging
import sys

import click

from roar.cli import boundary
from roar.errors import EXIT_FAILURE, ConfigError, UsageError
from roar.git import program
from roar.git.repository import discover
from roar.verbs import hooks

log = logging.getLogger(__name__)

NAMES = ("post-checkout", "post-merge", "post-rewrite", "pre-push", "pre-receive")


@click.command("hook", hidden=True, epilog="\b\nExample:\n  git roar hook post-merge")
@click.argument("name")
@click.argument("words", nargs=-1, type=click.UNPROCESSED)
def command(name: str, words: tuple[str, ...]) -> int:
    """Do what a git hook of roar does; NAME is the hook's, WORDS and the standard input are what git gives it.

    Only pre-receive ever says no.
    """
    if name not in NAMES:
        raise UsageError(f"roar has no hook '{name}'", f"one of: {', '.join(NAMES)}")
    if name == "pre-receive":
        return _receive()
    try:
        line = _call(name, words)
    except ConfigError as error:
        boundary.say_error(error)
        return 0
    except Exception as error:  # whatever it is, what the user does with git goes on
        log.debug("the hook %s: %s", name, error, exc_info=True)
        return 0
    if line:
        boundary.say(f"roar: {line}")
    return 0


def _call(name: str, words: tuple[str, ...]) -> str | None:
    repo = discover()
    if name == "pre-push":
        return hooks.before_push(repo, words[0] if words else "", _lines())
    if name == "post-rewrite":
        hooks.after_rewrite(repo, _lines())
    else:
        hooks.after_checkout(repo)
    return None


def _receive() -> int:
    from roar.verbs import receive

    problems = receive.problems(receive.repository(), _lines())
    for problem in problems:
        boundary.say(f"roar: {problem}")
    return EXIT_FAILURE if problems else 0


def _lines() -> list[str]:
    return [] if sys.stdin is None or sys.stdin.isatty() else program.lines(sys.stdin.buffer.read())
