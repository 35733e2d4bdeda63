"""Numbers in small result files: what a person means by metrics. A record keeps them, for the file is overwritten."""

from __future__ import annotations

import contextlib
import csv
import io
import itertools
import json
import os
from collections.abc import Iterable
from typing import Any

from roar.config.model import Redact
from roar.hashing import digest_bytes
from roar.paths import fs, is_outside
from roar.records.job import File, Metrics
from roar.redact import BUILT_IN, find_secrets, is_secret_name
from roar.verbs.met import Met

MAX_BYTES = 64 << 10
"""A larger file is data."""
MOST_VALUES = 100
"""Of one file; one with more of them is data."""
MOST_FILES = 20
MOST_LOOKED_AT = 100
"""Files, those in the uppermost folders first: what a job writes hundreds of is data, and takes time to read."""
LONGEST_NAME = 256
"""Characters; a longer one is no name of a number."""
_MOST_STEPS = 1000
"""Parts of a file's value that are visited. Those of YAML may hold each other, and so have no end."""


def of_outputs(top: str, outputs: Iterable[File | Met], rules: Redact = BUILT_IN) -> list[Metrics]:
    """The numbers in the JSON, YAML, CSV and TSV files among a job's outputs inside the work tree ``top``.

    A file whose content is no longer what was recorded gives none, and so do names that ``rules`` take for secrets'.
    """
    small = (f for f in outputs if f.hash is not None and 0 < f.size <= MAX_BYTES and not is_outside(f.path))
    results = [f for f in small if may_hold_numbers(f.path)]
    found: list[Metrics] = []
    for file in sorted(results, key=lambda f: (f.path.count("/"), f.path))[:MOST_LOOKED_AT]:
        values: dict[str, str] = {}
        with contextlib.suppress(OSError), open(os.path.join(top, fs(file.path)), "rb") as handle:
            body = handle.read(MAX_BYTES + 1)
            values = read(file.path, body) if digest_bytes(body) == file.hash else {}
        public = {name: value for name, value in values.items() if not _is_secret(name, rules)}
        if public:
            found.append(Metrics(path=file.path, values=public))
        if len(found) == MOST_FILES:
            break
    return sorted(found, key=lambda each: each.path)


def may_hold_numbers(path: str) -> bool:
    return path.lower().endswith((".json", ".csv", ".tsv", ".yaml", ".yml"))


def _is_secret(name: str, rules: Redact) -> bool:
    if not rules.enabled:
        return False
    return is_secret_name(name.rpartition(".")[2], rules) or bool(find_secrets(name.encode(), rules))


def read(path: str, body: bytes) -> dict[str, str]:
    """The numbers in a result file, by where each stands (``test.accuracy``), as they would be written in JSON.

    Those that JSON does not have are ``NaN``, ``Infinity`` and ``-Infinity``; truth values count. A table counts when
    it has one row of values, or two columns of name and value. YAML is read where PyYAML is installed. What cannot be
    read, or holds too many, gives none.
    """
    kind = path.lower().rpartition(".")[2]
    try:
        text = body.decode("utf-8-sig")
        if kind == "json":
            return _flat(json.loads(text))
        if kind in ("csv", "tsv"):
            return _flat(_table(text, "\t" if kind == "tsv" else ","))
        return _flat(_yaml(text))
    except (ValueError, RecursionError, csv.Error):
        return {}


def _yaml(text: str) -> Any:
    try:
        import yaml
    except ImportError:
        return None
    try:
        return yaml.safe_load(text)
    except (yaml.YAMLError, LookupError, AttributeError, TypeError) as error:  # as of: !!bool maybe
        raise ValueError from error


def _flat(value: Any) -> dict[str, str]:
    found: dict[str, str] = {}
    waiting: list[tuple[str, Any]] = [("", value)]
    for _ in range(_MOST_STEPS):
        if not waiting:
            break
        name, item = waiting.pop()
        if isinstance(item, dict):
            waiting += [(f"{name}.{key}" if name else str(key), part) for key, part in item.items()]
        elif isinstance(item, list):
            waiting += [(f"{name}.{number}" if name else str(number), part) for number, part in enumerate(item)]
        elif isinstance(item, int | float) and 0 < len(name) <= LONGEST_NAME:
            name.encode()  # half of a surrogate pair, which JSON can spell, is in no text
            found[name] = json.dumps(item)
        if len(found) + len(waiting) > MOST_VALUES:
            return {}
    return {} if waiting else found


def _table(text: str, delimiter: str) -> dict[str, Any]:
    rows = [row for row in itertools.islice(csv.reader(io.StringIO(text), delimiter=delimiter), MOST_VALUES + 2) if row]
    if len(rows) == 2 and len(rows[0]) == len(rows[1]):
        return {name: _number(cell) for name, cell in zip(rows[0], rows[1], strict=True)}
    if all(len(row) == 2 for row in rows):
        return {name: _number(cell) for name, cell in rows}
    return {}


def _number(cell: str) -> int | float | None:
    for kind in (int, float):
        with contextlib.suppress(ValueError):
            return kind(cell)
    return None
