"""scripts/stress in small: recorders at once in linked worktrees, beside a git that never rests."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest
from conftest import ROOT, needs_tracer


@needs_tracer
@pytest.mark.parametrize("words", [["--runs", "12"], ["--runs", "16", "--at-once", "2", "--gc", "8"]])
def test_nothing_is_lost_or_mixed(words: list[str]) -> None:
    done = subprocess.run(
        [sys.executable, str(ROOT / "scripts" / "stress"), *words], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    figures = json.loads(done.stdout)
    assert figures["acknowledged"] == figures["records"] == int(words[1])
    assert figures["fsck"] == "clean"
    assert figures["git beside"]["gc"] > 0
