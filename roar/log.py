"""Logging: the standard library, one logger a module, silent unless it is set or ``--debug`` or ``ROAR_DEBUG`` asks."""

from __future__ import annotations

import os
import sys

from roar.errors import ConfigError


def debugging() -> bool:
    """True when the user asked for tracebacks and debug lines."""
    return os.environ.get("ROAR_DEBUG", "") not in ("", "0")


def start(level: str = "off", file: str = "") -> None:
    """Send messages from a level on to a file ("": standard error). All of them when debugging; none when off.

    Raises ``ConfigError`` when the file cannot be written.
    """
    if debugging():
        level = "debug"
    if level == "off":
        return
    import logging  # not needed, and not paid for, when silent

    try:
        logging.basicConfig(
            level=level.upper(),
            format="%(asctime)s roar[%(process)d]: %(name)s: %(message)s" if file else "roar: %(name)s: %(message)s",
            filename=os.path.expanduser(file) if file else None,
            force=True,
        )
    except OSError as error:
        raise ConfigError(
            f"roar.logging.file: {file} cannot be written: {error.strerror}", "roar config set logging.file PATH"
        ) from error


def error(text: str) -> None:
    """Write an error to the log, too, when that is a file: on standard error it has been said."""
    if "logging" in sys.modules:
        import logging

        if any(isinstance(handler, logging.FileHandler) for handler in logging.root.handlers):
            logging.getLogger("roar").error(text)
