"""The run that a ``.wandb`` file is about.

The file is a seven-byte header and then a LevelDB log (32 KiB blocks; each piece has a checksum, a length and a type)
of protocol buffers; ``wandb_internal.proto`` of the wandb package gives the numbers of the fields.
"""

from __future__ import annotations

from collections.abc import Iterator

_HEADER = b":W&B"
_BLOCK = 32 << 10
_RUN = 17
"""``Record.run``."""
_FIELDS = {1: "id", 2: "entity", 3: "project", 8: "name"}
"""Of ``RunRecord``."""


def run_of(data: bytes) -> dict[str, str]:
    """Id, entity, project and name of the run, as far as the first bytes of the file tell them."""
    try:
        for record in _records(data):
            for number, value in _fields(record):
                if number == _RUN and isinstance(value, bytes):
                    known = [(_FIELDS[n], v) for n, v in _fields(value) if n in _FIELDS and isinstance(v, bytes)]
                    return {name: text.decode("utf-8", "replace") for name, text in known if text}
    except (IndexError, ValueError):  # cut off, or of a format yet to come
        pass
    return {}


def _records(data: bytes) -> Iterator[bytes]:
    """The records of the log, put together from their pieces."""
    if not data.startswith(_HEADER):
        return
    at, record = 7, b""
    while at + 7 <= len(data):
        if _BLOCK - at % _BLOCK < 7:  # the end of a block, filled with zeros
            at += _BLOCK - at % _BLOCK
            continue
        size, kind = int.from_bytes(data[at + 4 : at + 6], "little"), data[at + 6]
        piece = data[at + 7 : at + 7 + size]
        record = piece if kind in (1, 2) else record + piece  # 1 whole, 2 first, 3 middle, 4 last
        if kind in (1, 4):
            yield record
        at += 7 + size


def _fields(message: bytes) -> Iterator[tuple[int, int | bytes]]:
    """The fields of a protocol buffer: number, and a number or bytes. Raises ``IndexError`` or ``ValueError``."""
    at = 0
    while at < len(message):
        tag, at = _varint(message, at)
        value: int | bytes
        if tag & 7 == 0:
            value, at = _varint(message, at)
        elif tag & 7 in (1, 5):
            size = 8 if tag & 7 == 1 else 4
            value, at = message[at : at + size], at + size
        elif tag & 7 == 2:
            size, at = _varint(message, at)
            value, at = message[at : at + size], at + size
        else:
            raise ValueError("not a wire type")
        yield tag >> 3, value


def _varint(message: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = message[at]
        value |= (byte & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if byte < 0x80:
            return value, at
