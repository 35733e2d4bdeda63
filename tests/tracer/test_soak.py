"""The soak, for a few seconds. The long one is a command: see docs/tracer.md."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from conftest import ROOT


def test_soak(tracer: Path, mechanism: str) -> None:
    words = [sys.executable, ROOT / "scripts" / "soak", "--minutes", "0.08", "--mechanism", mechanism, "--workers", "3"]
    done = subprocess.run(
        words, env={**os.environ, "ROAR_TRACER": str(tracer)}, capture_output=True, text=True, timeout=400, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "resident memory" in done.stdout
