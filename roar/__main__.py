"""The program. ``roar run`` starts its command before anything else is imported; the rest goes through click."""

from __future__ import annotations

import sys


def main() -> None:
    """Run ``roar`` (or ``git-roar``) with the words of the command line, and exit with its status."""
    words = sys.argv[1:]
    if words[:1] in (["run"], ["build"]):
        from roar.cli.start import start

        start(words)
    from roar.cli.main import main as click_main

    sys.exit(click_main(words))


if __name__ == "__main__":
    main()
