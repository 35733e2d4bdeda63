"""Logging: the standard library, one logger a module, silent unless ``--debug`` or ``ROAR_DEBUG`` asks."""

from __future__ import annotations

import os


def debugging() -> bool:
    """True when the user asked for tracebacks and debug lines."""
    return os.environ.get("ROAR_DEBUG", "") not in ("", "0")


def start() -> None:
    """Send debug lines to standard error when debugging; otherwise leave logging silent."""
    if debugging():
        import logging  # not needed, and not paid for, when silent

        logging.basicConfig(level=logging.DEBUG, format="roar: %(name)s: %(message)s")
