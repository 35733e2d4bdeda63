"""The program. ``roar run`` starts its command before anything else is imported; the rest goes through click."""

from __future__ import annotations

import gc
import os
import sys


def _leave_the_jobs_modules_alone() -> None:
    """Take PYTHONPATH, which is meant for the command, and the current folder out of our own module search.

    A folder there that holds roar itself stays.
    """
    own = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    foreign = {os.path.abspath(p) for p in os.environ.get("PYTHONPATH", "").split(os.pathsep) if p}
    if __name__ == "__main__":  # python -m puts the current folder first
        foreign.update(sys.path[:1])
    sys.path[:] = [p for p in sys.path if p == own or p not in foreign]


def main() -> None:
    """Run ``roar`` (or ``git-roar``) with the words of the command line, and exit with its status."""
    _leave_the_jobs_modules_alone()
    # Importing makes many objects and no garbage: looking for some at the usual rate costs 90 ms a question.
    gc.set_threshold(100_000, 20, 100)
    words = sys.argv[1:]
    if words[:1] in (["run"], ["build"]):
        from roar.cli.start import start

        start(words)
    from roar.cli.main import main as click_main

    status = click_main(words)
    gc.freeze()  # nor is there anything to find at the end
    sys.exit(status)


def credential() -> None:
    """Run ``git-credential-roar``, git's name for ``roar credential``."""
    sys.argv.insert(1, "credential")
    main()


if __name__ == "__main__":
    main()
