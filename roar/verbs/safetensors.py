"""Tensors of a safetensors file, which holds numbers and no code (https://github.com/huggingface/safetensors, README).

Eight bytes say how long the header is, the header is JSON, the tensors follow it.
"""

from __future__ import annotations

import json
import os
from math import prod
from typing import Any

_TYPES = {
    "F64": "<f8", "F32": "<f4", "F16": "<f2", "BF16": "<u2", "I64": "<i8", "I32": "<i4", "I16": "<i2", "I8": "i1",
    "U64": "<u8", "U32": "<u4", "U16": "<u2", "U8": "u1", "BOOL": "?",
}  # fmt: skip
"""The element types that NumPy can hold, BF16 by its bits; tensors of others are compared by their bytes."""
_MOST_OF_A_HEADER = 100_000_000
"""Bytes; the format's own limit."""


class Tensors:
    """The tensors of a file. Raises ``ValueError`` or ``KeyError`` when it is not in the format."""

    def __init__(self, path: str, numpy: Any) -> None:
        self._numpy = numpy
        with open(path, "rb") as file:
            length = int.from_bytes(file.read(8), "little")
            size = os.fstat(file.fileno()).st_size
            if not 0 < length <= min(_MOST_OF_A_HEADER, size - 8):
                raise ValueError("no header of a safetensors file")
            header = json.loads(file.read(length))
        if not isinstance(header, dict):
            raise ValueError("no header of a safetensors file")  # noqa: TRY004  all that is wrong with bytes is a value
        self.metadata = header.pop("__metadata__", None)
        self._header: dict[str, Any] = header
        self._data = numpy.memmap(path, dtype="u1", mode="r", offset=8 + length) if size > 8 + length else b""

    def names(self) -> list[str]:
        """The names, sorted."""
        return sorted(self._header)

    def kind(self, name: str) -> tuple[str, list[int]]:
        """The element type, in the format's words, and the shape."""
        entry = self._header[name]
        return str(entry["dtype"]), [int(side) for side in entry["shape"]]

    def array(self, name: str) -> Any:
        """A tensor as an array of NumPy, in single precision for BF16."""
        numpy, (dtype, shape) = self._numpy, self.kind(name)
        begin, end = self._header[name]["data_offsets"]
        if not 0 <= begin <= end <= len(self._data):
            raise ValueError(f"{name} lies outside of the file")
        raw = numpy.asarray(self._data[begin:end], dtype="u1")
        if dtype not in _TYPES:
            return raw
        array = raw.view(_TYPES[dtype])
        if dtype == "BF16":  # the upper half of a number in single precision
            array = (array.astype("<u4") << 16).view("<f4")
        if prod(shape) != array.size:
            raise ValueError(f"{name} is not as large as its shape says")
        return array.reshape(shape)
