"""Records and paths: round trips, canonical bytes, ids that anybody can check."""

from __future__ import annotations

import contextlib
import json
import shlex

import orjson
import pytest
from blake3 import blake3
from hypothesis import given
from hypothesis import strategies as st

from roar import paths
from roar.errors import NewerFormatError, RecordError
from roar.records import codec, ids
from roar.records.job import Command, Environment, Exit, File, Job, Machine, Redirect, Session, Tracer
from roar.records.summary import command_line, duration, note, printable


def job(**more: object) -> Job:
    fields: dict[str, object] = {
        "clock": 1_795_445_828_161,
        "writer": "65946fd2ae4960c6",
        "command": Command(argv=["python", "train.py"]),
        "user": "Ada <ada@example.org>",
        "started_ns": 1_795_445_828_000_000_000,
        "duration_ns": 2_000_000_000,
        "exit": Exit(code=0),
        "code": {},
        "environment": Environment(machine=Machine(system="s", kernel="k", architecture="a")),
        "tracer": Tracer(version="0", mechanism="ptrace"),
    }
    return Job.model_validate(fields | more)


def test_golden_bytes_and_id() -> None:
    record = Session(clock=1_700_000_000_000, writer="abc", user="Ada <ada@example.org>")
    body = b'{"clock":1700000000000,"format":1,"kind":"session","user":"Ada <ada@example.org>","writer":"abc"}'
    assert codec.encode(record) == body
    identifier = codec.identify(record, body)
    assert identifier[:10] == "01HF7YAT00"
    number = int.from_bytes(blake3(body).digest()[:10], "big") | 1_700_000_000_000 << 80
    assert identifier == "".join("0123456789ABCDEFGHJKMNPQRSTVWXYZ"[number >> s & 31] for s in range(125, -1, -5))


@given(st.binary(max_size=40))
def test_every_byte_string_has_one_spelling(raw: bytes) -> None:
    text = paths.to_text(raw)
    assert paths.to_bytes(text) == raw
    assert orjson.loads(orjson.dumps(text)) == text


@given(st.text(max_size=40))
def test_marked_text_spells_bytes_or_is_refused(text: str) -> None:
    with contextlib.suppress(ValueError):
        assert paths.to_text(paths.to_bytes(paths.MARK + text)) == paths.MARK + text


@pytest.mark.parametrize(
    "path",
    [
        "",
        "/etc/passwd",
        "../x",
        "a/../b",
        "a//b",
        ".git/config",
        "a/.GIT/x",
        ".git./x",
        "a/\0",
        "./a",
        "//bytes/%2E%2E/x",
    ],
)
def test_paths_that_leave_a_folder_are_unsafe(path: str) -> None:
    assert not paths.is_safe_relative(path)


@pytest.mark.parametrize("path", ["a", "a/b.txt", ".gitignore", "..a/b", "a b/é", "//bytes/data/caf%E9.csv"])
def test_ordinary_paths_are_safe(path: str) -> None:
    assert paths.is_safe_relative(path)


def test_below_goes_by_components() -> None:
    assert paths.below("/a/b", "/a") == "b"
    assert paths.below("/a", "/a") == ""
    assert paths.below("/ab", "/a") is None


files = st.builds(
    File,
    path=st.binary(min_size=1, max_size=20).map(paths.to_text),
    hash=st.one_of(st.none(), st.binary(min_size=32, max_size=32).map(bytes.hex)),
    size=st.integers(0, 1 << 62),
    mode=st.sampled_from([0o100644, 0o100755, 0o120000]),
)


@given(st.lists(files, max_size=5), st.lists(st.text(max_size=10).filter(lambda s: "\ud800" not in s)))
def test_records_make_the_round_trip_and_are_canonical(inputs: list[File], argv: list[str]) -> None:
    record = job(inputs=inputs, command=Command(argv=argv))
    body = codec.encode(record)
    assert codec.decode(body) == record
    assert codec.encode(codec.decode(body)) == body
    assert json.dumps(json.loads(body), sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode() == body
    assert codec.decode_lines(codec.encode_lines(inputs), File) == inputs


def test_unknown_fields_and_kinds_are_kept() -> None:
    body = codec.encode(job()).replace(b'{"clock"', b'{"a_later_field":[1],"clock"')
    assert codec.encode(codec.decode(body)) == body
    other = b'{"clock":5,"format":1,"kind":"later","writer":"abc","x":1}'
    assert codec.encode(codec.decode(other)) == other


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b"{",
        b"1e3",
        b"\xff",
        b'{"format":"1"}',
        b'{"format":1,"kind":"job"}',
        b'{"kind":"job"}',
        b"[" * 100_000,
    ],
)
def test_what_is_no_record_is_refused(body: bytes) -> None:
    with pytest.raises(RecordError):
        codec.decode(body)


@pytest.mark.parametrize(
    "more",
    [
        {"inputs": [{"path": "//bytes/%ZZ"}]},
        {"outputs": [{"path": "a", "asked": "//bytes/%ff"}]},
        {"not_found": ["//bytes/plain"]},
        {"code": {"overlay": [{"path": "//bytes/%2F%ZZ", "state": "deleted"}]}},
        {"input_shards": [{"directory": "//bytes/%", "count": 1, "size": 1, "hash": "a" * 64}]},
    ],
    ids=str,
)
def test_a_path_that_no_bytes_spell_makes_a_job_damaged(more: dict[str, object]) -> None:
    good = job()
    body = codec.dumps({**orjson.loads(codec.encode(good)), **more})
    for decode in (codec.decode, codec.Decoder().decode):
        assert decode(codec.encode(good)) == good
        with pytest.raises(RecordError, match="not the spelling of any byte string"):
            decode(body)
    with pytest.raises(RecordError):
        codec.decode_lines(b'{"path":"/\\u002fbytes/%ZZ"}\n', File)


def test_a_newer_format_is_refused_by_name() -> None:
    with pytest.raises(NewerFormatError, match="format 2 is newer than 1"):
        codec.decode(codec.encode(job()).replace(b'"format":1', b'"format":2'))


@given(st.binary(max_size=200))
def test_no_bytes_break_the_reader(body: bytes) -> None:
    with contextlib.suppress(RecordError):
        codec.decode(body)


def test_ids_as_people_type_them() -> None:
    assert ids.normalise("o1hf7yat00") == "01HF7YAT00"
    assert ids.normalise("no-such") is None
    assert ids.clock_of("01HF7YAT00" + "0" * 16) == 1_700_000_000_000


def test_summaries_never_let_a_terminal_obey() -> None:
    assert printable("a\x1b[31mb\nc") == "a\\x1b[31mb\\nc"
    assert printable("model\u202egpj.exe") == "model\\x202egpj.exe"  # would be shown as modelexe.jpg
    assert shlex.split(command_line(Command(argv=["sh", "-c", "a 'b'"]))) == ["sh", "-c", "a 'b'"]
    redirects = [Redirect(fd=0, path="data/in.txt"), Redirect(fd=2, path="sub/log", append=True)]
    assert command_line(Command(argv=["sort"], cwd="sub", redirects=redirects)) == "sort < ../data/in.txt 2>> log"
    assert "\x1b" not in note(job(command=Command(argv=["\x1b]0;x\x07"])), "0" * 26)
    assert [duration(n) for n in (5_000_000, 4_200_000_000, 192_000_000_000, 18_120_000_000_000)] == [
        "5 ms", "4.2 s", "3 min 12 s", "5 h 02 min",
    ]  # fmt: skip
