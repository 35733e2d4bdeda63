"""Comparisons by name: what two files hold, when their bytes are not the same.

Each compares everything that its name says and nothing less; what it leaves aside is part of its words. Files are
read as data only: nothing pickled, no format that can run anything. Those that need a package which is not here say
so, and so do files that are too large or not in their format.
"""

from __future__ import annotations

import csv
import fnmatch
import math
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterable
from typing import NamedTuple

from roar.errors import UsageError
from roar.records.summary import printable
from roar.verbs import arrays, likeness
from roar.verbs.images import IMAGES
from roar.verbs.likeness import IncomparableError

_CLOSE = 1e-9
"""How far numbers may be apart unless it is said, far above rounding and far below any result that matters."""


class Comparison(NamedTuple):
    """A named comparison. ``tolerance``: two numbers a and b are the same when |a - b| is at most that times the
    largest of 1, |a| and |b|; of pixels, when no channel is farther apart than that in steps of 1/255.
    """

    name: str
    tolerance: float = 0.0

    @property
    def words(self) -> str:
        """What it compares, for people."""
        said = _WORDS[self.name]
        return said.format(f"{self.tolerance:g}") if self.tolerance else said.partition(", numbers")[0]


class Rule(NamedTuple):
    """That files whose path matches a glob are compared so; None: by their bytes alone."""

    pattern: str
    comparison: Comparison | None


def rule(text: str) -> Rule:
    """The rule that ``PATTERN=NAME[:TOLERANCE]`` means. Raises ``UsageError``."""
    pattern, equals, named = text.rpartition("=")
    name, colon, number = named.partition(":")
    if not equals or not pattern or name not in (*_COMPARISONS, "bytes"):
        names = ", ".join((*_COMPARISONS, "bytes"))
        raise UsageError(f"--compare takes PATTERN=NAME or PATTERN=NAME:TOLERANCE, not {printable(text)}", names)
    try:
        tolerance = float(number) if colon else _usual(name).tolerance
    except ValueError:
        tolerance = -1.0
    if not 0 <= tolerance < math.inf or (colon and name not in _WITH_NUMBERS):
        raise UsageError(f"--compare {printable(text)}: {name} takes no tolerance {printable(number)}")
    return Rule(pattern, None if name == "bytes" else Comparison(name, tolerance))


def choose(path: str, rules: Iterable[Rule]) -> Comparison | None:
    """The comparison for a file: by the last rule that matches, else by its type; None when there is none."""
    for known in reversed(list(rules)):
        if fnmatch.fnmatchcase(path, known.pattern) or fnmatch.fnmatchcase(path.rpartition("/")[2], known.pattern):
            return known.comparison
    name = path.rpartition("/")[2].lower()
    found = next((kind for ending, kind in _ENDINGS.items() if name.endswith(ending)), None)
    return _usual(found) if found else None


def _usual(name: str) -> Comparison:
    return Comparison(name, _CLOSE if name in _WITH_NUMBERS and name != "image" else 0.0)


def first_difference(comparison: Comparison, recorded: str, found: str) -> str | None:
    """Where the two files (absolute names) first differ, as text for people; None when the comparison holds.

    Raises ``IncomparableError`` when that cannot be said, and ``OSError`` when a file cannot be read.
    """
    try:
        return _COMPARISONS[comparison.name](recorded, found, comparison.tolerance)
    except _NOT_IN_ITS_FORMAT as error:
        if isinstance(error, OSError) and error.errno is not None:  # the disk's, not the format's
            raise
        why = printable(str(error).splitlines()[0] if str(error) else type(error).__name__)
        raise IncomparableError(f"not compared as {comparison.name}: {why}") from error


_COMPARISONS: dict[str, Callable[[str, str, float], str | None]] = {
    "json": likeness.json_values,
    "jsonl": likeness.json_lines,
    "csv": likeness.csv_cells,
    "zip": likeness.zips,
    "tar": likeness.tars,
    "gzip": likeness.gzips,
    "npy": arrays.npy,
    "npz": arrays.npz,
    "safetensors": arrays.safetensors,
    "image": arrays.pictures,
    "parquet": arrays.parquet_tables,
}
_NOT_IN_ITS_FORMAT = (
    ValueError, EOFError, KeyError, RuntimeError, MemoryError, SyntaxError, OSError,
    csv.Error, tarfile.TarError, zipfile.BadZipFile, zlib.error,
)  # fmt: skip
"""What the readers of formats raise on bytes that are not in it; ``OSError`` then has no number."""
_WORDS = {
    "json": "json, numbers within {}",
    "jsonl": "jsonl, numbers within {}",
    "csv": "csv, numbers within {}",
    "zip": "zip, without time stamps",
    "tar": "tar, without time stamps and owners",
    "gzip": "gzip, without its header",
    "npy": "npy, numbers within {}",
    "npz": "npz, numbers within {}",
    "safetensors": "safetensors, numbers within {}",
    "image": "image by pixels, numbers within {}",
    "parquet": "parquet, numbers within {}",
}
_WITH_NUMBERS = ("json", "jsonl", "csv", "npy", "npz", "safetensors", "image", "parquet")
_ENDINGS = {
    **dict.fromkeys((".json", ".geojson", ".ipynb"), "json"),
    **dict.fromkeys((".jsonl", ".ndjson"), "jsonl"),
    **dict.fromkeys((".csv", ".tsv"), "csv"),
    **dict.fromkeys((".zip", ".jar", ".whl"), "zip"),
    **dict.fromkeys((".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tar.xz"), "tar"),
    ".gz": "gzip",
    ".npy": "npy",
    ".npz": "npz",
    ".safetensors": "safetensors",
    ".parquet": "parquet",
    **dict.fromkeys(IMAGES, "image"),
}
"""By the end of the name in lower case, the first that fits."""
