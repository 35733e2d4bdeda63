"""The program. ``roar run`` starts its command before anything else is imported; the rest goes through click."""

from __future__ import annotations

import gc
import sys


def main() -> None:
    """Run ``roar`` (or ``git-roar``) with the words of the command line, and exit with its status."""
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


if __name__ == "__main__":
    main()
