"""Asking questions in process, with the answers made fit to compare: ids and times replaced by names."""

from __future__ import annotations

import json
import os
import pty
import re
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from roar.cli.main import main


def on_terminal(folder: Path, answers: str, *words: str) -> tuple[int, str]:
    """The exit code of the real program on a terminal of its own where somebody types, and all that is shown there."""
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "roar", *words], cwd=folder, stdin=theirs, stdout=theirs, stderr=theirs
    )
    os.close(theirs)
    os.write(ours, answers.encode())
    said = b""
    try:
        while piece := os.read(ours, 4096):
            said += piece
    except OSError:  # the other end is closed
        pass
    os.close(ours)
    return process.wait(), said.decode(errors="replace")


class Ask:
    """The program in a folder. ``names`` maps what differs from run to run to a word for it."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
        self._capsys = capsys
        self.names: dict[str, str] = {}
        monkeypatch.chdir(folder)
        monkeypatch.setenv("TZ", "UTC")
        time.tzset()

    def __call__(self, *words: str, code: int = 0) -> str:
        """What is printed, errors after answers."""
        self._capsys.readouterr()
        status = main(list(words))
        out, err = self._capsys.readouterr()
        assert status == code, (status, out, err)
        text = out + err
        for value, name in self.names.items():
            text = text.replace(value, name).replace(value[:12], name)
        assert "\t" not in text
        return re.sub(r" +$", "", "\n" + text, flags=re.M)

    def json(self, *words: str, code: int = 0) -> Any:
        """The answer to a question with ``--json``."""
        self._capsys.readouterr()
        status = main([*words, "--json"])
        out, err = self._capsys.readouterr()
        assert (status, err) == (code, "")
        return json.loads(out)
