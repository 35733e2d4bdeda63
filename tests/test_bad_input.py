"""Every command with wrong, missing, huge and hostile words: one line that says what to do, and the right exit code."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import make
import pytest
from conftest import Git

from roar.cli.main import cli, main
from roar.errors import EXIT_FAILURE, EXIT_NO, EXIT_USAGE
from roar.git.repository import Repository

WORDS = {
    "unknown": "nothing-of-this-name",
    "empty": "",
    "a dash": "-",
    "a step too far": "@99999999999999999999",
    "half a hash": "abc",
    "a number": "9" * 40,
    "an escape sequence": "\x1b[31mred\x1b]0;title\x07",
    "lines": "one\ntwo\r\nthree",
    "bytes": os.fsdecode(b"\xff\xfe\x80"),
    "right to left": "a\u202egnp.exe",
    "huge": "x" * 70_000,
    "a way out": "../../../etc/passwd",
    "an option of git": "--upload-pack=touch pwned",
    "a revision": "HEAD^{/x}@{-1}..",
    "for a shell": "$(touch pwned);`touch pwned`|'\"",
    "a format": "%s%n{0}{x!r}",
    "a glob": "*[!",
    "a ref": "refs/heads/../../x",
}
NOT_ASKED = {
    ("run",), ("build",), ("hook",), ("env", "set"), ("session", "new"), ("config", "set"),
}  # fmt: skip
"""These start things, or take any text; `serve` administers a server elsewhere."""


def commands(command: click.Command, words: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    if isinstance(command, click.Group):
        context = click.Context(command)
        for name in command.list_commands(context):
            inner = command.get_command(context, name)
            assert inner is not None
            yield from commands(inner, (*words, name))
    else:
        yield words, command


def arguments(command: click.Command) -> int:
    return sum(isinstance(param, click.Argument) for param in command.params)


TAKING = {
    words: arguments(each)
    for words, each in commands(cli)
    if arguments(each) and words not in NOT_ASKED and words[0] != "serve"
}


@pytest.fixture
def place(tree: Path, repo: Repository, monkeypatch: pytest.MonkeyPatch) -> Path:
    make.job(repo, "prepare", {"raw": "r"}, {"data/train.csv": "t"}, session=make.session(repo))
    monkeypatch.chdir(tree)
    return tree


def said(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str]:
    capsys.readouterr()
    status = main(list(words))
    return status, capsys.readouterr().err


@pytest.mark.parametrize("words", TAKING, ids=" ".join)
def test_a_bad_word_gives_one_line(words: tuple[str, ...], place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = sorted(place.rglob("*"))
    for name, bad in WORDS.items():
        rest = ["--", *[bad] * TAKING[words]]
        status, text = said(capsys, *words, *rest)
        assert status in (EXIT_FAILURE, EXIT_USAGE, EXIT_NO), (name, status, text)
        assert text.startswith("roar: "), (name, text)
        assert text.count("\n") == 1, (name, text)
        assert text.endswith(")\n"), (name, "no next step", text)
        assert text[:-1].isprintable() or name == "bytes", (name, text)
        assert len(text) < 1000, (name, len(text))
    assert [path for path in sorted(place.rglob("*")) if ".git" not in path.parts] == [
        path for path in before if ".git" not in path.parts
    ]


@pytest.mark.parametrize("words", [words for words, _ in commands(cli)], ids=" ".join)
def test_an_unknown_option_gives_one_line(words: tuple[str, ...], capsys: pytest.CaptureFixture[str]) -> None:
    status, text = said(capsys, *words, "--no-such-option\x1b[0m")
    if words == ("hook",):
        return
    assert (status, text.count("\n")) == (EXIT_USAGE, 1), text
    assert text[:-1].isprintable()
    assert "(next: roar " in text


@pytest.mark.parametrize("words", TAKING, ids=" ".join)
def test_outside_of_a_repository_it_says_so(
    words: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    status, text = said(capsys, *words, *["x"] * TAKING[words])
    assert status in (EXIT_FAILURE, EXIT_USAGE), text
    assert text.count("\n") == 1, text


TYPES = (type(click.STRING), type(click.INT), click.IntRange)
TEXTS = [
    (words, option.opts[-1])
    for words, each in commands(cli)
    for option in each.params
    if isinstance(option, click.Option) and isinstance(option.type, TYPES) and not option.is_flag
    if words not in {("run",), ("build",), ("hook",)} and words[0] != "serve"
]


@pytest.mark.parametrize(("words", "option"), TEXTS, ids=str)
def test_the_value_of_an_option_is_no_bug(
    words: tuple[str, ...], option: str, place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for bad in ("bytes", "an escape sequence", "empty", "lines", "a number"):
        status, text = said(capsys, *words, option, WORDS[bad], *["data/train.csv"] * TAKING.get(words, 0))
        assert status in (0, EXIT_FAILURE, EXIT_USAGE, EXIT_NO), (bad, status, text)
        assert text.replace("\n", "").isprintable() or bad == "bytes", (bad, text)


@pytest.mark.parametrize(
    "words",
    ["log", "dag", "session list", "status", "collection list", "config list", "env list", "init", "compact", "recover",
     "fsck", "verify", "cache rebuild", "cache rebuild --notes", "cache path", "reset"],
)  # fmt: skip
def test_where_nothing_was_committed_there_is_nothing_and_no_error(
    words: str, tmp_path: Path, git: Git, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    git(tmp_path, "init", "-q")
    monkeypatch.chdir(tmp_path)
    for more in ([], ["--json"]):
        status, text = said(capsys, *words.split(), *more)
        assert (status, text.startswith("roar: ")) == (0, False), text


def test_a_folder_that_was_removed(tmp_path: Path) -> None:
    gone = tmp_path / "gone"
    program = [sys.executable, "-m", "roar"]
    for words, code in ((["log"], 1), (["show", "x"], 1), (["run", "true"], 125), (["log", "-h"], 0)):
        script = 'cd "$0" && rmdir "$0" && exec "$@"'
        gone.mkdir()
        done = subprocess.run(["sh", "-c", script, gone, *program, *words], capture_output=True, text=True)
        assert (done.returncode, done.stderr.count("\n")) == (code, 1 if code else 0), done.stderr
        assert not code or "cannot start here" in done.stderr
