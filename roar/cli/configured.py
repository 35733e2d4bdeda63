"""What is set, for the commands that ask: read once."""

from __future__ import annotations

import functools

from roar.config import read
from roar.config.model import Settings
from roar.errors import ConfigError, RoarError
from roar.git.repository import discover


@functools.cache
def settings() -> Settings:
    """What git's configuration and the environment say here, in a repository or not. Raises ``ConfigError``.

    What a team shares in ``.roarconfig`` is for recording, and not asked.
    """
    try:
        return read.understood(read.gather(None)).settings
    except ConfigError as error:
        try:
            repo = discover()
        except RoarError:
            raise error from None
        return read.load(repo).settings  # when told where the repository is, git gives whole paths for the message
