"""Texts and archives, member by member and value by value: where two of them first differ, None when they do not.

What is not in its format raises what the reader of the format raises, mostly ``ValueError``.
"""

from __future__ import annotations

import csv
import gzip
import json
import math
import os
import tarfile
import zipfile
from collections.abc import Iterator
from itertools import zip_longest
from typing import IO, Any

from roar.errors import RoarError
from roar.records.summary import printable

MOST_PARSED = 256 << 20
"""Larger texts (bytes) are not taken apart: their objects need many times as much memory."""
MOST_UNPACKED = 8 << 30
"""So many bytes at most come out of an archive: a small one can hold any number of zeros."""
_CHUNK = 1 << 20


class IncomparableError(RoarError):
    """The comparison cannot be made; the message says why."""


def first_offset(recorded: str, found: str) -> int | None:
    """The offset of the first byte that differs; None for the same bytes. Raises ``OSError``."""
    with open(recorded, "rb") as one, open(found, "rb") as other:
        return _offset(one, other)


def _offset(one: IO[bytes], other: IO[bytes]) -> int | None:
    at = 0
    while at <= MOST_UNPACKED:
        a, b = one.read(_CHUNK), other.read(_CHUNK)
        if a != b:
            return at + next((n for n, (x, y) in enumerate(zip(a, b, strict=False)) if x != y), min(len(a), len(b)))
        if not a:
            return None
        at += len(a)
    raise IncomparableError(f"not compared: more than {MOST_UNPACKED >> 30} GiB come out of it")


# Values


def differing(recorded: Any, found: Any, tolerance: float, path: str = "") -> str | None:
    """The first place at which two values of JSON differ."""
    waiting = [(path, recorded, found)]
    while waiting:
        where, a, b = waiting.pop()
        if isinstance(a, dict) and isinstance(b, dict):
            if a.keys() != b.keys():
                name = min(a.keys() ^ b.keys())
                return f"{_join(where, name)} is {'gone' if name in a else 'new'}"
            waiting += [(_join(where, name), a[name], b[name]) for name in reversed(a)]
        elif isinstance(a, list) and isinstance(b, list):
            if len(a) != len(b):
                return f"{where or 'the list'} has {len(b)} items, recorded {len(a)}"
            waiting += [(f"{where}[{n}]", a[n], b[n]) for n in reversed(range(len(a)))]
        elif not _same(a, b, tolerance):
            return f"{where or 'the value'} is {_shown(b)}, recorded {_shown(a)}"
    return None


def _join(where: str, name: object) -> str:
    return printable(f"{where}.{name}" if where else str(name))


def _same(a: Any, b: Any, tolerance: float) -> bool:
    if type(a) in (int, float) and type(b) in (int, float):
        return a == b or math.isclose(a, b, rel_tol=tolerance, abs_tol=tolerance) or (math.isnan(a) and math.isnan(b))
    return type(a) is type(b) and bool(a == b)


def _shown(value: object) -> str:
    text = printable(json.dumps(value, ensure_ascii=False, default=str))
    return text if len(text) <= 40 else text[:39] + "…"


def _text(path: str) -> IO[str]:
    size = os.stat(path).st_size
    if size > MOST_PARSED:
        raise IncomparableError(f"not compared: {size} bytes are too many to take apart")
    return open(path, encoding="utf-8", newline="")


def json_values(recorded: str, found: str, tolerance: float) -> str | None:
    """Two JSON files."""
    return differing(_json_value(recorded), _json_value(found), tolerance)


def _json_value(path: str) -> Any:
    with _text(path) as file:
        return _parsed(file.read())


def _parsed(text: str) -> Any:
    return json.loads(text, object_pairs_hook=_without_repeats)


def _without_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a name stands twice in an object")
    return found


def json_lines(recorded: str, found: str, tolerance: float) -> str | None:
    """Two files of JSON, one value a line."""
    with _text(recorded) as one, _text(found) as other:
        for number, (a, b) in enumerate(zip_longest(one, other), 1):
            if a is None or b is None:
                return f"line {number} is {'gone' if b is None else 'new'}"
            where = differing(_parsed(a), _parsed(b), tolerance) if a != b else None
            if where:
                return f"line {number}: {where}"
    return None


def csv_cells(recorded: str, found: str, tolerance: float) -> str | None:
    """Two tables of text, separated by commas or (``.tsv``) tabs."""
    names: list[str] = []
    with _text(recorded) as one, _text(found) as other:
        for number, (a, b) in enumerate(zip_longest(_rows(one, found), _rows(other, found)), 1):
            if a is None or b is None:
                return f"row {number} is {'gone' if b is None else 'new'}"
            if len(a) != len(b):
                return f"row {number} has {len(b)} cells, recorded {len(a)}"
            names = names or a
            for k, (x, y) in enumerate(zip(a, b, strict=True)):
                if x != y and not _same(_number(x), _number(y), tolerance):
                    column = printable(names[k]) if number > 1 and k < len(names) else str(k + 1)
                    return f"row {number}, column {column} is {_shown(y)}, recorded {_shown(x)}"
    return None


def _rows(file: IO[str], path: str) -> Iterator[list[str]]:
    return csv.reader(file, delimiter="\t" if path.lower().endswith(".tsv") else ",", strict=True)


def _number(text: str) -> float | str:
    try:
        return float(text)
    except ValueError:
        return text


# Archives


def zips(recorded: str, found: str, tolerance: float) -> str | None:
    """Two zip archives: names, order, permissions, contents."""
    del tolerance
    with zipfile.ZipFile(recorded) as one, zipfile.ZipFile(found) as other:
        for a, b in zip_longest(one.infolist(), other.infolist()):
            if a is None or b is None or a.filename != b.filename:
                return _other_member(a.filename if a else None, b.filename if b else None)
            if a.external_attr != b.external_attr:
                return f"{printable(a.filename)} has other permissions"
            with one.open(a) as inside, other.open(b) as there:
                at = _offset(inside, there)
            if at is not None:
                return f"{printable(a.filename)} at byte {at}"
    return None


def _other_member(a: str | None, b: str | None) -> str:
    if a is None or b is None:
        return f"{printable(a or b or '')} is {'gone' if b is None else 'new'}"
    return f"{printable(b)} stands where {printable(a)} stood"


def tars(recorded: str, found: str, tolerance: float) -> str | None:
    """Two tar archives, packed or not: names, order, kinds, permissions, contents."""
    del tolerance
    with tarfile.open(recorded) as one, tarfile.open(found) as other:
        for a, b in zip_longest(one, other):
            if a is None or b is None or a.name != b.name:
                return _other_member(a.name if a else None, b.name if b else None)
            if (a.type, a.mode, a.linkname, a.size) != (b.type, b.mode, b.linkname, b.size):
                return f"{printable(a.name)} is of another kind, size or permission"
            inside, there = one.extractfile(a) if a.isreg() else None, other.extractfile(b) if b.isreg() else None
            at = _offset(inside, there) if inside and there else None
            if at is not None:
                return f"{printable(a.name)} at byte {at}"
    return None


def gzips(recorded: str, found: str, tolerance: float) -> str | None:
    """What two gzip files hold."""
    del tolerance
    with gzip.open(recorded) as one, gzip.open(found) as other:
        at = _offset(one, other)  # type: ignore[arg-type]
    return None if at is None else f"byte {at} of what is compressed"
