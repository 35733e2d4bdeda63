"""Canonical bytes of records, and records from bytes.

The canonical form is JSON as UTF-8 with keys in byte order, no white space, no floats, and without the fields
that are None, empty or false by default. A record's id is computed over exactly these bytes, and bytes once
written are never rewritten: readers keep the bytes they found, whatever their version understands of them.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable
from typing import Any, TypeVar

import orjson
from pydantic import ValidationError

from roar.errors import NewerFormatError, RecordError
from roar.paths import MARK, to_bytes
from roar.records.about import Close, Tombstone, Withdrawal
from roar.records.ids import record_id
from roar.records.job import Environment, Job, Session
from roar.records.model import FORMAT, Part, Record
from roar.records.named import Collection, Label

MAX_BYTES = 32 << 20
"""A record larger than this is refused by readers; file lists live in manifests long before."""

KINDS: dict[str, type[Record]] = {
    "job": Job,
    "session": Session,
    "withdrawal": Withdrawal,
    "tombstone": Tombstone,
    "close": Close,
    "label": Label,
    "collection": Collection,
}


def encode(record: Part) -> bytes:
    """The canonical bytes of a record or a part of one."""
    return dumps(record.model_dump(exclude_defaults=True) | _stamp(record))


def is_written_so(record: Part, body: bytes) -> bool:
    """Whether these bytes, from which the record was read, are its canonical ones."""
    try:
        return encode(record) == body
    except (TypeError, ValueError):  # deeper than can be written
        return False


def dumps(fields: dict[str, Any]) -> bytes:
    """The canonical bytes of plain values."""
    return orjson.dumps(fields, option=orjson.OPT_SORT_KEYS)


def packages_read(body: bytes) -> list[tuple[str, str]]:
    """The packages that a job read files of, by name and version; ``body`` is that of a job that was read before.

    Only these are looked at, in a tenth of the time that all of a record takes.
    """
    pythons = orjson.loads(body).get("environment", {}).get("pythons", ())
    return sorted({(package["name"], package["version"]) for python in pythons for package in python.get("read", ())})


def is_canonical(body: bytes) -> bool:
    """Whether JSON bytes stand in canonical form. Fields with their default values are not looked for."""
    try:
        return dumps(orjson.loads(body)) == body
    except (orjson.JSONDecodeError, orjson.JSONEncodeError):  # the last one: deeper than can be written
        return False


def _stamp(record: Part) -> dict[str, object]:
    return {"format": record.format, "kind": record.kind} if isinstance(record, Record) else {}


def identify(record: Record, body: bytes) -> str:
    """The id of a record whose canonical bytes are ``body``."""
    return record_id(record.clock, body)


def identify_bytes(body: bytes) -> str:
    """The id of the record that these bytes are, whatever its kind. Raises ``RecordError`` when they are none."""
    try:
        data: Any = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise RecordError(f"not JSON: {error}") from error
    version, clock = (data.get("format"), data.get("clock")) if isinstance(data, dict) else (None, None)
    if version != FORMAT or not isinstance(clock, int) or not 0 <= clock < 1 << 48:
        raise RecordError(f"no record of format {FORMAT}")
    return record_id(clock, body)


def decode(body: bytes) -> Record:
    """The record in these bytes. Kinds this version does not know come back as a plain ``Record``.

    Raises ``NewerFormatError`` for a newer major format and ``RecordError`` for anything else that is no record.
    """
    if len(body) > MAX_BYTES:
        raise RecordError(f"a record of {len(body)} bytes is larger than {MAX_BYTES}")
    try:
        data: Any = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise RecordError(f"not JSON: {error}") from error
    if not isinstance(data, dict):
        raise RecordError("not a JSON object")
    version = data.get("format")
    if not isinstance(version, int):
        raise RecordError("no format version")
    if version > FORMAT:
        raise NewerFormatError(f"format {version} is newer than {FORMAT}, which this roar reads")
    kind = data.get("kind")
    try:
        return _spelled(KINDS.get(kind if isinstance(kind, str) else "", Record).model_validate(data), body)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise RecordError(f"{where}: {first['msg']} ({error.error_count()} in all)") from error


R = TypeVar("R", bound=Record)


def _spelled(record: R, body: bytes) -> R:
    """The record, if each path of a file in it is the spelling of one. Raises ``RecordError``."""
    if isinstance(record, Job) and _may_spell(body):
        code = record.code
        texts = [record.command.cwd, *record.not_found, *(each.path for each in record.command.redirects)]
        texts += [each.path for each in code.submodules] + [each.path for each in code.repositories]
        texts += [file.path for each in code.repositories for file in each.overlay] + [f.path for f in code.overlay]
        texts += [shard.directory for shard in (*record.input_shards, *record.output_shards)]
        _check_spelling(texts)
        _check_spelling(text for file in record.inputs for text in (file.path, file.asked) if text)
        _check_spelling(text for file in record.outputs for text in (file.path, file.asked) if text)
    return record


def _may_spell(body: bytes) -> bool:
    """Whether a text in some JSON may begin with the mark, be it with escapes that canonical JSON does not have."""
    return MARK.encode() in body or b"\\u" in body or b"\\/" in body


def _check_spelling(texts: Iterable[str]) -> None:
    for text in texts:
        if text.startswith(MARK):
            try:
                to_bytes(text)
            except ValueError as error:
                raise RecordError(f"a path is {error}") from error


class Decoder:
    """Decodes many records as ``decode`` does, and faster: the part that most share is parsed and checked once.

    That part is the environment, half of a record's bytes. Where its bytes were met before, a mark that no record can
    guess stands for them while the rest is parsed; whatever looks odd is left to ``decode``.
    """

    _MOST = 1000
    """Environments remembered; a clone meets few."""
    _LONGEST = 1 << 16

    def __init__(self) -> None:
        self._mark = os.urandom(16).hex()
        self._known: dict[bytes, Environment] = {}

    def decode(self, body: bytes) -> Record:
        """The record in these bytes. Raises as ``decode`` does."""
        start = body.find(_ENVIRONMENT) + len(_ENVIRONMENT)
        end = body.find(_NEXT, start)
        if start < len(_ENVIRONMENT) or not 0 < end - start <= self._LONGEST or len(body) > MAX_BYTES:
            return decode(body)
        part = body[start:end]
        known = self._known.get(part)
        if known is None:
            record = decode(body)
            if isinstance(record, Job) and self._marked(body, start, end) is not None:
                self._remember(part)
            return record
        data = self._marked(body, start, end)
        if data is not None:
            data["environment"] = known
            with contextlib.suppress(ValidationError):
                return _spelled(Job.model_validate(data), body)
        return decode(body)

    def _marked(self, body: bytes, start: int, end: int) -> dict[str, Any] | None:
        """A job with the mark in place of these bytes; None unless they are all of its environment."""
        try:
            data: Any = orjson.loads(b'%b"%b"%b' % (body[:start], self._mark.encode(), body[end:]))
        except orjson.JSONDecodeError:
            return None
        if not isinstance(data, dict) or data.get("environment") != self._mark:
            return None
        return data if data.get("kind") == "job" and data.get("format") == FORMAT else None

    def _remember(self, part: bytes) -> None:
        with contextlib.suppress(orjson.JSONDecodeError, ValidationError):
            if len(self._known) >= self._MOST:
                self._known.clear()
            self._known[part] = Environment.model_validate(orjson.loads(part))


_ENVIRONMENT = b'"environment":'
_NEXT = b',"exit":'
"""The field behind it in canonical bytes; no string of JSON can hold that, for its quotes would be escaped."""


def encode_lines(parts: Iterable[Part]) -> bytes:
    """A manifest: a canonical part a line, in the order given."""
    return b"".join(encode(part) + b"\n" for part in parts)


P = TypeVar("P", bound=Part)


def decode_lines(body: bytes, kind: type[P]) -> list[P]:
    """The parts of a manifest. Raises ``RecordError``."""
    try:
        parts = [kind.model_validate_json(line) for line in body.splitlines() if line]
    except ValidationError as error:
        raise RecordError(f"a manifest line is no {kind.__name__.lower()}: {error.errors()[0]['msg']}") from error
    if _may_spell(body):
        _check_spelling(text for part in parts for text in part.model_dump().values() if isinstance(text, str))
    return parts
