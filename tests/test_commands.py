"""The whole command table: nothing lacks help, an example that can be typed, its place on the man page, completion."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator

import click
import pytest
from conftest import ROOT

from roar.cli.main import cli

MAN_PAGE = (ROOT / "docs/man/roar.1").read_text().replace("\\-", "-")


def tree(command: click.Command, words: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    if isinstance(command, click.Group):
        context = click.Context(command)
        for name in command.list_commands(context):
            inner = command.get_command(context, name)
            assert inner is not None, name
            yield (*words, name), inner
            yield from tree(inner, (*words, name))


COMMANDS = dict(tree(cli))
EVERY = pytest.mark.parametrize("words", list(COMMANDS), ids=" ".join)


def examples(command: click.Command) -> list[str]:
    lines = (command.epilog or "").splitlines()
    return [re.split(r" {2,}", line.strip())[0] for line in lines if line.startswith("  ")]  # a remark may follow


@EVERY
def test_help_says_what_it_does(words: tuple[str, ...]) -> None:
    command = COMMANDS[words]
    text = (command.help or "").strip()
    assert text.endswith("."), text
    assert text[0].isupper(), text
    for param in command.params:
        if isinstance(param, click.Option):
            assert param.help, param.opts
            assert param.help.rstrip("]`)").endswith((".", "20")), param.opts


@EVERY
def test_examples_can_be_typed(words: tuple[str, ...]) -> None:
    command = COMMANDS[words]
    found = examples(command)
    assert found, "no example"
    mine = 0
    for line in found:
        for typed in simple_commands(line):
            if typed[:2] == ["git", "roar"] or typed[:1] == ["roar"]:
                rest = typed[1 + (typed[0] == "git") :]
                mine += tuple(rest[: len(words)]) == words
                parse(rest)
    assert mine, "no example of its own"


def simple_commands(line: str) -> list[list[str]]:
    """The commands of a line that is typed into a shell, as words."""
    inner = re.findall(r"\$\((.*?)\)", line)
    lexer = shlex.shlex(line, posix=True, punctuation_chars="|&;<>")
    lexer.whitespace_split = True
    found: list[list[str]] = [[]]
    for word in lexer:
        if word[0] in "|&;<>":
            found.append([])
        else:
            found[-1].append(word)
    return found + [shlex.split(text) for text in inner]


def parse(words: list[str]) -> None:
    """Read the words as the program does, without doing anything. Raises ``click.UsageError``."""
    command: click.Command = cli
    context = cli.make_context("roar", list(words))
    while isinstance(command, click.Group):
        rest = [*context._protected_args, *context.args]
        if command.invoke_without_command and not rest:
            return
        name, inner, rest = command.resolve_command(context, rest)
        assert inner is not None
        command = inner
        context = command.make_context(name or "", list(rest), parent=context)


@EVERY
def test_the_man_page_has_it(words: tuple[str, ...]) -> None:
    command = COMMANDS[words]
    if command.hidden:
        return
    assert " ".join(words) in MAN_PAGE
    for param in command.params:
        if isinstance(param, click.Option) and not param.hidden:
            assert any(option in MAN_PAGE for option in param.opts), param.opts


@EVERY
def test_docs_speak_of_it(words: tuple[str, ...]) -> None:
    if COMMANDS[words].hidden:
        return
    pages = [ROOT / "README.md", *(ROOT / "docs").glob("*.md")]
    assert any(re.search(rf"\broar {words[0]}\b", page.read_text()) for page in pages)


def test_completion_offers_every_command_and_option() -> None:
    def offered(typed: str) -> set[str]:
        words = typed.split(" ")
        env = {**os.environ, "PYTHONPATH": str(ROOT), "_ROAR_COMPLETE": "bash_complete"}
        env |= {"COMP_WORDS": typed.replace(" ", "\n"), "COMP_CWORD": str(len(words) - 1)}
        done = subprocess.run([sys.executable, "-m", "roar"], capture_output=True, text=True, check=True, env=env)
        return {line.partition(",")[2] for line in done.stdout.splitlines()}

    shown = {words[0] for words, command in COMMANDS.items() if len(words) == 1 and not command.hidden}
    assert shown <= offered("roar ")
    assert {"--down", "--html"} <= offered("roar lineage --")
