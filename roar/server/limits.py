"""What bounds requests and pushes. Each can be set by a variable of the server's environment, ROAR_SERVE_<NAME>."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from roar.errors import ConfigError


class Limits(NamedTuple):
    """Seconds, bytes and counts."""

    head_seconds: int = 20
    """Until the head of a request is there: what sends it drop by drop is cut off."""
    idle_seconds: int = 30
    """Between two pieces of a body."""
    push_seconds: int = 600
    """For one request of git's, in all."""
    check_seconds: int = 300
    """Of which the checks may take."""
    push_bytes: int = 512 << 20
    """Of one push, as it travels."""
    objects: int = 500_000
    """In one push."""
    refs: int = 10_000
    """In one push: each becomes a file."""
    gits: int = 16
    """Requests of git's that are served at once, half of them for anybody; others wait."""
    git_memory_bytes: int = 2 << 30
    """Address space of each process of git's."""
    connections: int = 1000
    """Beyond them the answer is 503."""


def limits(environ: Mapping[str, str]) -> Limits:
    """The limits that the environment sets, or the usual ones. Raises ``ConfigError`` for what is no number."""
    found = {}
    for name in Limits._fields:
        variable = f"ROAR_SERVE_{name.upper()}"
        text = environ.get(variable, "")
        if text and not (text.isascii() and text.isdigit() and int(text) > 0):
            raise ConfigError(f"{variable}={text} is no number above 0", f"unset {variable}")
        if text:
            found[name] = int(text)
    return Limits(**found)
