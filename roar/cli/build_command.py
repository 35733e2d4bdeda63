"""``roar build``: a set-up step."""

from __future__ import annotations

from roar.cli.run_command import make

command = make("build")
