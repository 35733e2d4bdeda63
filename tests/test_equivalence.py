"""Named comparisons of files whose bytes differ: what each one holds for the same, what it finds, what it refuses."""

from __future__ import annotations

import gzip
import io
import json
import pickle
import sys
import tarfile
import zipfile
from pathlib import Path
from typing import Any

import pytest

from roar.errors import UsageError
from roar.verbs.equivalence import Comparison, choose, first_difference, rule
from roar.verbs.likeness import IncomparableError, first_offset

TWO = ("recorded", "found")


def compared(folder: Path, name: str, one: bytes, other: bytes, tolerance: float | None = None) -> str | None:
    """What the comparison for files of this name finds."""
    for side, data in zip(TWO, (one, other), strict=True):
        (folder / side).mkdir(exist_ok=True)
        (folder / side / name).write_bytes(data)
    chosen = choose(name, [])
    assert chosen is not None
    if tolerance is not None:
        chosen = Comparison(chosen.name, tolerance)
    return first_difference(chosen, *(str(folder / side / name) for side in TWO))


@pytest.mark.parametrize(
    ("name", "one", "other", "tolerance", "expected"),
    [
        ("a.json", '{"a": 1, "b": [1.0]}', '{"b": [1.0000000000001],\n"a": 1.0}', None, None),
        ("a.json", '{"a": {"b": [1, 0.93]}}', '{"a": {"b": [1, 0.94]}}', None, "a.b[1] is 0.94, recorded 0.93"),
        ("a.json", '{"a": 0.93}', '{"a": 0.94}', 0.02, None),
        ("a.json", '{"a": 1}', '{"a": true}', 1.0, "a is true, recorded 1"),
        ("a.json", '{"a": 1}', '{"a": 1, "b": 2}', None, "b is new"),
        ("a.json", '{"a": [1]}', '{"a": []}', None, "a has 0 items, recorded 1"),
        ("a.json", "[NaN]", "[NaN ]", None, None),
        ("a.json", "[Infinity]", "[5]", 1.0, "[0] is 5, recorded Infinity"),
        ("a.jsonl", '{"a": 1}\n{"a": 2}\n', '{"a":1}\n{"a": 3}\n', None, "line 2: a is 3, recorded 2"),
        ("a.csv", "x,y\n1,2.0\n", '"x",y\r\n1.0,2\r\n', None, None),
        ("a.csv", "x,loss\n1,2.0\n", "x,loss\n1,2.5\n", None, 'row 2, column loss is "2.5", recorded "2.0"'),
        ("a.csv", "x,y\n1,n/a\n", "x,y\n1,n/b\n", 9.0, 'row 2, column y is "n/b", recorded "n/a"'),
        ("a.csv", "x\n1\n", "x\n", None, "row 2 is gone"),
        ("a.tsv", "x\ty\n1\t2\n", "x\ty\n1\t2.0\n", None, None),
    ],
)
def test_texts(tmp_path: Path, name: str, one: str, other: str, tolerance: float | None, expected: str | None) -> None:
    assert compared(tmp_path, name, one.encode(), other.encode(), tolerance) == expected


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("a.json", b"{"),
        ("a.json", b"[" * 100_000),
        ("a.json", b'{"a": 1, "a": 2}'),
        ("a.json", b"\xff"),
        ("a.json", b"[" + b"9" * 5000 + b"]"),
        ("a.csv", b'a,"b\n'),
        ("a.zip", b"PK\3\4 no zip"),
        ("a.tar", b"no tar"),
        ("a.gz", b"no gzip"),
        ("a.npy", b"\x93NUMPY no array"),
        ("a.npz", b"no zip"),
        ("a.png", b"no picture"),
        ("a.parquet", b"no table"),
    ],
)
def test_what_is_not_in_its_format_is_not_compared(tmp_path: Path, name: str, data: bytes) -> None:
    if name == "a.parquet":
        pytest.importorskip("pyarrow")
    if name == "a.png":
        pytest.importorskip("PIL")
    if name in ("a.npy", "a.npz"):
        pytest.importorskip("numpy")
    with pytest.raises(IncomparableError, match="not compared as"):
        compared(tmp_path, name, data, data + b" ")


def zipped(when: tuple[int, ...], **members: str) -> bytes:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as archive:
        for name, text in members.items():
            archive.writestr(zipfile.ZipInfo(name, when), text)  # type: ignore[arg-type]
    return made.getvalue()


def tarred(when: int, mode: int = 0o644, **members: str) -> bytes:
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w:gz") as archive:
        for name, text in members.items():
            info = tarfile.TarInfo(name)
            info.size, info.mtime, info.mode, info.uname = len(text), when, mode, f"user{when}"
            archive.addfile(info, io.BytesIO(text.encode()))
    return made.getvalue()


def test_archives(tmp_path: Path) -> None:
    old, new = (1990, 1, 1, 0, 0, 0), (2020, 1, 1, 0, 0, 0)
    assert compared(tmp_path, "a.zip", zipped(old, a="x", b="y"), zipped(new, a="x", b="y")) is None
    assert compared(tmp_path, "a.zip", zipped(old, a="xyz"), zipped(new, a="xyq")) == "a at byte 2"
    assert compared(tmp_path, "a.zip", zipped(old, a="x", b="y"), zipped(new, a="x")) == "b is gone"
    assert compared(tmp_path, "a.zip", zipped(old, a="x", b="y"), zipped(new, b="y", a="x")) == "b stands where a stood"
    assert compared(tmp_path, "a.tar.gz", tarred(1, a="x"), tarred(2, a="x")) is None
    assert compared(tmp_path, "a.tgz", tarred(1, a="x"), tarred(2, a="y")) == "a at byte 0"
    assert "permission" in str(compared(tmp_path, "a.tgz", tarred(1, a="x"), tarred(2, 0o755, a="x")))
    one, other = (gzip.compress(b"same text", mtime=time) for time in (1, 2))
    assert one != other and compared(tmp_path, "a.txt.gz", one, other) is None
    assert compared(tmp_path, "a.gz", one, gzip.compress(b"same tent")) == "byte 7 of what is compressed"


def test_arrays(tmp_path: Path) -> None:
    numpy = pytest.importorskip("numpy")

    def saved(array: Any, **more: Any) -> bytes:
        made = io.BytesIO()
        numpy.save(made, array) if not more else numpy.savez(made, array, **more)
        return made.getvalue()

    one = numpy.array([[1.0, 2.0], [numpy.nan, numpy.inf]])
    close, far = one + 1e-12, one + numpy.array([[0, 0.5], [0, 0]])
    assert compared(tmp_path, "a.npy", saved(one), saved(close)) is None
    assert compared(tmp_path, "a.npy", saved(one), saved(far)) == "[0, 1] is 2.5, recorded 2.0"
    assert compared(tmp_path, "a.npy", saved(one), saved(far), 0.25) is None
    assert "recorded inf" in str(
        compared(tmp_path, "a.npy", saved(one), saved(numpy.nan_to_num(one, nan=numpy.nan)), 1.0)
    )
    assert "recorded float64[2, 2]" in str(compared(tmp_path, "a.npy", saved(one), saved(one.astype("float32"))))
    assert compared(tmp_path, "a.npz", saved(one, b=one), saved(close, b=one)) is None
    assert compared(tmp_path, "a.npz", saved(one, b=one), saved(one, b=far)) == "b: [0, 1] is 2.5, recorded 2.0"
    assert compared(tmp_path, "a.npz", saved(one, b=one), saved(one, c=one)) == "b is gone"
    pickled = saved(numpy.array([print], dtype=object))
    with pytest.raises(IncomparableError, match=r"not compared as npy: .*Python objects"):
        compared(tmp_path, "a.npy", pickled, pickled + b" ")


def test_tensors(tmp_path: Path) -> None:
    numpy = pytest.importorskip("numpy")

    def saved(*, metadata: Any = None, bf16: bool = False, **tensors: Any) -> bytes:
        header: dict[str, Any] = {"__metadata__": metadata} if metadata else {}
        data = b""
        for name, values in tensors.items():
            array = numpy.array(values, dtype="<f4")
            raw = (array.view("<u4") >> 16).astype("<u2").tobytes() if bf16 else array.tobytes()
            at = [len(data), len(data) + len(raw)]
            header[name] = {"dtype": "BF16" if bf16 else "F32", "shape": list(array.shape), "data_offsets": at}
            data += raw
        text = json.dumps(header).encode()
        return len(text).to_bytes(8, "little") + text + data

    name = "model.safetensors"
    one = saved(w=[[1, 2], [3, 4]], b=[0.5])
    assert compared(tmp_path, name, one, saved(b=[0.5], w=[[1, 2], [3, 4]])) is None, "in another order"
    assert compared(tmp_path, name, one, saved(w=[[1, 2], [3, 4.5]], b=[0.5])) == "w: [1, 1] is 4.5, recorded 4.0"
    assert compared(tmp_path, name, one, saved(w=[[1, 2], [3, 4.5]], b=[0.5]), 0.2) is None
    assert compared(tmp_path, name, one, saved(w=[[1, 2], [3, 4]])) == "b is gone"
    assert compared(tmp_path, name, one, saved(w=[1, 2, 3, 4], b=[0.5])) == "w is F32[4], recorded F32[2, 2]"
    assert compared(tmp_path, name, saved(metadata={"a": "1"}, b=[1]), saved(metadata={"a": "2"}, b=[1])) == (
        '__metadata__.a is "2", recorded "1"'
    )
    half = saved(b=[1.5], bf16=True), saved(b=[2.5], bf16=True)
    assert compared(tmp_path, name, *half) == "b: [0] is 2.5, recorded 1.5"
    for wrong in (b"", b"x" * 9, (1 << 60).to_bytes(8, "little") + b"{}", one[:-1]):
        with pytest.raises(IncomparableError, match="not compared as safetensors: "):
            compared(tmp_path, name, wrong, one)


def test_pictures(tmp_path: Path) -> None:
    image = pytest.importorskip("PIL.Image")

    def saved(picture: Any, **more: Any) -> bytes:
        made = io.BytesIO()
        picture.save(made, "PNG", **more)
        return made.getvalue()

    plain = image.new("RGB", (4, 3), (10, 20, 30))
    other = plain.copy()
    other.putpixel((2, 1), (10, 20, 33))
    assert compared(tmp_path, "a.png", saved(plain), saved(plain, compress_level=0)) is None
    found = "the pixel at 2,1 is (10, 20, 33, 255), recorded (10, 20, 30, 255)"
    assert compared(tmp_path, "a.png", saved(plain), saved(other)) == found
    assert compared(tmp_path, "a.png", saved(plain), saved(other), 3) is None
    assert compared(tmp_path, "a.png", saved(plain), saved(plain.resize((5, 3)))) == "RGB 5x3, recorded RGB 4x3"


def test_tables(tmp_path: Path) -> None:
    arrow, parquet = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")

    def saved(values: list[float], **how: Any) -> bytes:
        made = io.BytesIO()
        parquet.write_table(arrow.table({"x": values, "y": ["a"] * len(values)}), made, **how)
        return made.getvalue()

    assert compared(tmp_path, "a.parquet", saved([1.0, 2.0]), saved([1.0, 2.0], compression="none")) is None
    assert compared(tmp_path, "a.parquet", saved([1.0, 2.0]), saved([1.0, 2.5])) == "x[1] is 2.5, recorded 2.0"
    assert compared(tmp_path, "a.parquet", saved([1.0]), saved([1.0, 2.5])) == "2 rows, recorded 1"


def test_without_the_package_it_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "numpy", None)
    with pytest.raises(IncomparableError, match="needs numpy in the Python that roar runs in"):
        compared(tmp_path, "a.npy", b"", b"x")


def test_nothing_is_unpickled(tmp_path: Path) -> None:
    assert choose("model.pkl", []) is None and choose("model.joblib", []) is None
    (tmp_path / "one").write_bytes(pickle.dumps([1, 2, 3]))
    (tmp_path / "other").write_bytes(pickle.dumps([1, 2, 4]))
    assert first_offset(str(tmp_path / "one"), str(tmp_path / "other")) is not None


def test_rules() -> None:
    assert choose("runs/a.json", []) == Comparison("json", 1e-9)
    rules = [rule("*.out=json:0.5"), rule("runs/*.json=bytes"), rule("x=y=csv")]
    assert choose("deep/a.out", rules) == Comparison("json", 0.5)
    assert choose("runs/a.json", rules) is None
    assert choose("x=y", rules) == Comparison("csv", 1e-9)
    assert choose("a.bin", rules) is None
    assert Comparison("json", 1e-9).words == "json, numbers within 1e-09"
    assert Comparison("image").words == "image by pixels"
    for wrong in ("a.json", "=json", "a=pickle", "a=json:x", "a=json:-1", "a=json:nan", "a=json:inf", "a=zip:1"):
        with pytest.raises(UsageError):
            rule(wrong)
    assert json.dumps(rules[0].pattern) == '"*.out"'
