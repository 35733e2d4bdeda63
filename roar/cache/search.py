"""What jobs are looked for, as conditions of SQL."""

from __future__ import annotations

import re
from typing import Any, NamedTuple

_GLOB = re.compile(r"/?\*\*/?|\*|\?|\[.*|.", re.DOTALL)


class Wanted(NamedTuple):
    """What a job must be; None says nothing, and all that is said must be so.

    The times are in nanoseconds since the epoch and those of the job's start, both included; ``command`` and
    ``author`` are parts of the text, whatever their case (of ASCII letters); ``code`` is a commit or its beginning;
    ``paths`` are recorded paths of which it read or wrote one; ``label`` is a key and a value (None: any), of the job,
    its session or a content that it wrote; ``before`` is a newer job; ``live`` ones were not withdrawn.
    """

    since_ns: int | None = None
    until_ns: int | None = None
    command: str | None = None
    author: str | None = None
    code: str | None = None
    failed: bool = False
    paths: list[str] | None = None
    label: tuple[str, str | None] | None = None
    before: str | None = None
    live: bool = False


_CONDITIONS = {
    "since_ns": "r.started_ns >= :since_ns",
    "until_ns": "r.started_ns <= :until_ns",
    "command": "lower(r.command) LIKE lower(:command) ESCAPE '!'",
    "author": "lower(r.author) LIKE lower(:author) ESCAPE '!'",
    "code": "r.code >= :code AND r.code < :code || '~'",
    "before": "r.id < :before",
}


def where(wanted: Wanted) -> tuple[str, dict[str, Any]]:
    """The condition on a row ``r`` of ``records``, without paths and label, and its values."""
    values = {name: value for name, value in wanted._asdict().items() if name in _CONDITIONS and value is not None}
    conditions = ["r.kind = 'job'", *(_CONDITIONS[name] for name in values)]
    if wanted.live:
        conditions.append("r.withdrawn = 0")
    if wanted.failed:
        conditions.append("r.ok = 0")
    for name in {"command", "author"}.intersection(values):
        values[name] = f"%{escaped(values[name])}%"
    return " AND ".join(conditions), values


def like_of_glob(glob: str) -> str:
    """A LIKE pattern (escaped by ``!``) that takes in every path which the glob, or a folder it means, matches."""
    body = glob.strip("/")
    words = [_word(match[0]) for match in _GLOB.finditer(body)]
    anywhere = "" if "/" in body else "%"
    root = "/" * (len(glob) - len(glob.lstrip("/"))) if body else ""
    return anywhere + root + "".join(words) + "%"


def _word(part: str) -> str:
    if part[0] == "[" or "*" in part:  # what follows a bracket is for the glob itself to judge
        return "%"
    return "_" if part == "?" else escaped(part)


def escaped(text: str) -> str:
    """A text as LIKE takes it literally, escaped by ``!``."""
    return re.sub(r"[!%_]", r"!\g<0>", text)
