"""Long answers on a terminal go through git's pager, as those of ``git log`` do."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys

import click

from roar.git import program

PAGED = ("log", "show", "lineage", "inputs", "dag", "diff", "why")
_DEFAULTS = {"LESS": "FRX", "LV": "-c"}
"""What git gives to pagers that are not configured otherwise: stay when it fits, let colours through."""


def start(context: click.Context) -> None:
    """Send standard output to the pager until the context closes, when it is a terminal and there is a pager."""
    if not os.isatty(1):
        return
    command = program.call(["var", "GIT_PAGER"], env=dict(os.environ)).stdout.decode(errors="surrogateescape").strip()
    if command in ("", "cat"):
        return
    os.environ.setdefault("COLUMNS", str(os.get_terminal_size(1).columns))
    process = subprocess.Popen(["sh", "-c", command], stdin=subprocess.PIPE, env={**_DEFAULTS, **os.environ})
    assert process.stdin is not None
    os.dup2(process.stdin.fileno(), 1)
    process.stdin.close()
    os.environ["GIT_PAGER_IN_USE"] = "true"  # as git says it: colours and width are those of the terminal
    context.call_on_close(lambda: _finish(process))


def _finish(process: subprocess.Popen[bytes]) -> None:
    """Let the pager see the end, and wait for the person at it."""
    nothing = os.open(os.devnull, os.O_WRONLY)
    with contextlib.suppress(BrokenPipeError):  # has seen enough
        sys.stdout.flush()
    os.dup2(nothing, 1)
    while process.poll() is None:
        with contextlib.suppress(KeyboardInterrupt):  # is for the pager
            process.wait()
