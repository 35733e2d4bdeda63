"""The one family of errors that roar expects, and the exit codes of the program.

An error says what happened and to which file or ref; its hint says what to type next. It is raised where
the fact is known and printed in one place, the boundary in ``roar.cli``.
"""

from __future__ import annotations

EXIT_OK = 0
EXIT_FAILURE = 1
EXIT_USAGE = 2
EXIT_NO = 3
"""The answer is no: it differs, verification failed. (``roar status --check`` says it with 1.)"""
EXIT_BUG = 70
EXIT_NOT_STARTED = 125
EXIT_NOT_EXECUTABLE = 126
EXIT_NOT_FOUND = 127
EXIT_INTERRUPTED = 130


class RoarError(Exception):
    """An expected failure. ``hint`` is a command to type or a thing to do next, when there is one."""

    exit_code = EXIT_FAILURE

    def __init__(self, message: str, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class UsageError(RoarError):
    """The words of the call are wrong: an unknown, ambiguous or malformed name."""

    exit_code = EXIT_USAGE


class NotARepositoryError(RoarError):
    """There is no usable git repository here."""


class NotFoundError(RoarError):
    """Nothing recorded answers to that name."""


class AmbiguousError(UsageError):
    """Several recorded things answer to that name."""


class UnavailableError(RoarError):
    """Something that an answer is made from is away just now."""


class ConfigError(RoarError):
    """A setting is misspelled or has a value of the wrong type."""


class GitError(RoarError):
    """The user's git failed; the message carries its last line."""


class RecordError(RoarError):
    """Stored bytes are not a record that this version can read."""


class NewerFormatError(RecordError):
    """A record was written by a newer roar; it is kept, and not shown."""


class NotStartedError(RoarError):
    """roar could not start the command; nothing was run."""

    exit_code = EXIT_NOT_STARTED


class SavedAsideError(RoarError):
    """The command has run, but its record could not be put into git; it is saved in a folder."""
