"""Arrays, pictures and tables: where two of them first differ, None when they do not.

Their packages are those of the Python that roar runs in, when it has them. Nothing pickled is read.
"""

from __future__ import annotations

import os
import warnings
import zipfile
from importlib import import_module
from typing import Any

from roar.records.summary import printable
from roar.verbs.images import differing_pixels
from roar.verbs.likeness import MOST_PARSED, MOST_UNPACKED, IncomparableError, differing
from roar.verbs.safetensors import Tensors


def _package(name: str, path: str) -> Any:
    try:
        return import_module(name)
    except ImportError as error:
        said = f"{path} was not compared: that needs {name.partition('.')[0]} in the Python that roar runs in"
        raise IncomparableError(said) from error


def npy(recorded: str, found: str, tolerance: float) -> str | None:
    """Two arrays."""
    numpy = _package("numpy", "the array")
    one, other = (numpy.load(path, mmap_mode="r", allow_pickle=False) for path in (recorded, found))
    return _arrays(one, other, tolerance)


def npz(recorded: str, found: str, tolerance: float) -> str | None:
    """Two files of named arrays."""
    numpy = _package("numpy", "the arrays")
    for path in (recorded, found):
        with zipfile.ZipFile(path) as archive:
            if sum(member.file_size for member in archive.infolist()) > MOST_UNPACKED:
                raise ValueError("too much comes out of it")
    with numpy.load(recorded, allow_pickle=False) as one, numpy.load(found, allow_pickle=False) as other:
        if sorted(one.files) != sorted(other.files):
            name = min({*one.files} ^ {*other.files})
            return f"{printable(name)} is {'gone' if name in one.files else 'new'}"
        for name in one.files:
            where = _arrays(one[name], other[name], tolerance)
            if where:
                return f"{printable(name)}: {where}"
    return None


def safetensors(recorded: str, found: str, tolerance: float) -> str | None:
    """Two files of named tensors: names, types, shapes, values, and what is said of them."""
    numpy = _package("numpy", "the tensors")
    one, other = Tensors(recorded, numpy), Tensors(found, numpy)
    if one.names() != other.names():
        name = min({*one.names()} ^ {*other.names()})
        return f"{printable(name)} is {'gone' if name in one.names() else 'new'}"
    for name in one.names():
        if one.kind(name) != other.kind(name):
            a, b = ("{}{}".format(*side.kind(name)) for side in (one, other))
            return printable(f"{name} is {b}, recorded {a}")
        where = _arrays(one.array(name), other.array(name), tolerance)
        if where:
            return f"{printable(name)}: {where}"
    return differing(one.metadata, other.metadata, 0, "__metadata__")


def _arrays(one: Any, other: Any, tolerance: float) -> str | None:
    numpy = import_module("numpy")
    if one.dtype != other.dtype or one.shape != other.shape:
        return f"{other.dtype}{list(other.shape)}, recorded {one.dtype}{list(one.shape)}"
    if one.dtype.kind in "fc":
        with numpy.errstate(invalid="ignore", over="ignore"):
            bound = numpy.maximum(1, numpy.maximum(abs(one), abs(other))) * tolerance
            near = numpy.isfinite(one) & numpy.isfinite(other) & (abs(one - other) <= bound)
        same = (one == other) | near | (numpy.isnan(one) & numpy.isnan(other))
    else:
        same = one == other
    if numpy.all(same):
        return None
    at = tuple(int(k) for k in numpy.argwhere(~numpy.atleast_1d(same))[0])
    a, b = (numpy.atleast_1d(array)[at] for array in (one, other))
    return f"{list(at)} is {b}, recorded {a}"


def pictures(recorded: str, found: str, tolerance: float) -> str | None:
    """Two pictures by their pixels."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # a picture that unpacks to more than memory is only warned of
        try:
            return differing_pixels(_package("PIL.Image", "the picture"), recorded, found, tolerance)
        except Warning as error:
            raise ValueError(str(error)) from error


def parquet_tables(recorded: str, found: str, tolerance: float) -> str | None:
    """Two Parquet tables: columns, types, values."""
    parquet = _package("pyarrow.parquet", "the table")
    for path in (recorded, found):
        if os.stat(path).st_size > MOST_PARSED:
            raise ValueError("it is too large to take apart")
    one, other = (parquet.read_table(path, memory_map=True) for path in (recorded, found))
    if not one.schema.equals(other.schema):
        return "the columns or their types"
    if one.num_rows != other.num_rows:
        return f"{other.num_rows} rows, recorded {one.num_rows}"
    for name in dict.fromkeys(one.column_names):
        if not one[name].equals(other[name]):
            where = differing(one[name].to_pylist(), other[name].to_pylist(), tolerance, printable(name))
            if where:
                return where
    return None
