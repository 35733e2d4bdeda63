"""The reader of reports, given damaged ones: never a traceback, and never knowledge of what was lost."""

from __future__ import annotations

import copy
import io
import json
import os
import random
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from roar.config.model import Settings
from roar.git.repository import Repository
from roar.trace import report as reports
from roar.verbs.course import MOST_WORDS_BYTES
from roar.verbs.record import Run, describe

WORK = (
    "cat in > out; echo x >> in; mv out named; ln -s named link; cat none; rm gone; echo t > t; rm t; mkdir d; echo > d/f;"
    "mv d e; printf x > \"$(printf 'a\\377b')\"; bash -c ': < /dev/tcp/127.0.0.1/9'; exit 3"
)


@pytest.fixture(scope="session")
def true_report(tracer: Path, tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """A real report that holds every kind of line."""
    work = tmp_path_factory.mktemp("reported")
    (work / "in").write_text("content")
    (work / "gone").write_text("content")
    words = [tracer, "--report", work / "report", "--", "sh", "-c", WORK]
    done = subprocess.run(words, cwd=work, capture_output=True, check=False)
    assert done.returncode == 3, done.stderr
    raw = (work / "report").read_bytes()
    kinds = {json.loads(line)["kind"] for line in raw.splitlines()}
    assert kinds >= {"start", "process", "file", "failed", "connect", "end", "seal"}
    return raw


def is_honest(found: reports.Report, before: reports.Report) -> bool:
    """It says the same as before, or that it lacks something."""
    return found.unreadable > 0 or not found.end or vars(found) == vars(before)


def mutations(raw: bytes, count: int, seed: int) -> Iterator[bytes]:
    """Damaged copies: bits flipped, bytes lost, doubled or made up, lines cut, moved and mixed, values replaced."""
    dice = random.Random(seed)
    lines = raw.splitlines(keepends=True)
    odd = [
        None,
        True,
        -1,
        1 << 62,
        1 << 63,
        1 << 64,
        1e300,
        "",
        "/",
        "\0",
        "//bytes/%",
        "//bytes/%FF",
        [],
        {},
        [[]],
        {"a": {}},
    ]
    for _ in range(count):
        way, at = dice.randrange(9), dice.randrange(len(raw))
        if way == 0:
            yield raw[:at]
        elif way == 1:
            yield raw[:at] + bytes([raw[at] ^ 1 << dice.randrange(8)]) + raw[at + 1 :]
        elif way == 2:
            yield raw[:at] + dice.randbytes(dice.randrange(1, 64)) + raw[at + dice.randrange(64) :]
        elif way == 3:
            yield raw[at:] + raw[:at]
        elif way == 4:
            yield raw[:at] + b"[" * dice.randrange(3000) + raw[at:]
        elif way == 5:
            yield b"".join(dice.sample(lines, dice.randrange(len(lines))))
        elif way == 6:
            yield raw[: at // 2] + raw[at:]
        else:
            which = dice.randrange(len(lines))
            line = json.loads(lines[which])
            place: Any = line
            key = dice.choice(list(place))
            while isinstance(place[key], dict | list) and place[key] and dice.random() < 0.7:
                place = place[key]
                key = dice.choice(list(place)) if isinstance(place, dict) else dice.randrange(len(place))
            place[key] = copy.deepcopy(dice.choice(odd))
            yield b"".join([*lines[:which], json.dumps(line).encode() + b"\n", *lines[which + 1 :]])


def test_a_whole_report_is_read_in_full(true_report: bytes) -> None:
    found = reports.read(io.BytesIO(true_report))
    assert found.unreadable == 0
    assert len(found.files) == true_report.count(b'"kind":"file"')
    assert found.process_count == len(found.processes) == found.end["processes"]


def test_files_that_are_not_kept_in_memory_are_read_again(
    true_report: bytes, repo: Repository, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = Run(repo, ["sh"], repo.require_work_tree(), "main", None, {})
    whole = reports.read(io.BytesIO(true_report))
    monkeypatch.setattr(reports, "KEPT_FILES", 2)
    found = reports.read(io.BytesIO(true_report))
    assert len(found.files) == len(whole.files) > 4
    assert list(found.files) == list(whole.files)
    assert describe(run, found, Settings()) == describe(run, whole, Settings())


def test_ten_thousand_damaged_reports(true_report: bytes) -> None:
    whole = reports.read(io.BytesIO(true_report))
    for number, raw in enumerate(mutations(true_report, 10_000, seed=1)):
        found = reports.read(io.BytesIO(raw))
        assert is_honest(found, whole), number
        assert found.started


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.sampled_from(["file", "//bytes/%", "/x", "end"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from([*reports.SeenFile.__annotations__, "kind"]), inner, max_size=8),
    max_leaves=8,
)  # fmt: skip
KINDS = st.sampled_from(["start", "process", "file", "failed", "connect", "blind", "end", "seal", "new"])


@settings(max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(
        st.binary()
        | VALUES.map(lambda v: json.dumps(v).encode())
        | st.builds(
            lambda kind, rest: json.dumps({**rest, "kind": kind}).encode(), KINDS, st.dictionaries(st.text(), VALUES)
        )
    )
)
def test_made_up_reports(lines: list[bytes]) -> None:
    found = reports.read(io.BytesIO(b"\n".join(lines)))
    assert found.unreadable or not found.end or found.end["time_ns"] >= 0


def test_records_of_damaged_reports(true_report: bytes, repo: Repository) -> None:
    """What is left of a report makes a record, and the record says that it is not all."""
    run = Run(repo, ["sh"], repo.require_work_tree(), "main", None, {})
    for raw in mutations(true_report, 100, seed=2):
        found = reports.read(io.BytesIO(raw))
        fields, _ = describe(run, found, Settings())
        gaps = {gap.reason for gap in fields["incomplete"]}
        assert gaps & {"lost-events", "tracer-died"} or raw == true_report


def test_failed_look_ups_by_their_reason(repo: Repository) -> None:
    """Nothing there, not allowed, or there before the job: only the first is a file not found."""
    root = repo.require_work_tree()
    state = dict.fromkeys(("dev", "ino", "size", "mtime_ns", "ctime_ns", "mode"), 1)
    gone = {"kind": "file", "path": f"{root}/gone", "type": "file", "existed": True, "before": state, "after": None}
    errnos = {"none": "ENOENT", "gone": "ENOENT", "below": "ENOTDIR", "secret": "EACCES", "there": "EEXIST"}
    failed = [{"kind": "failed", "path": f"{root}/{name}", "errno": errno} for name, errno in errnos.items()]
    start, end = {"kind": "start", "format": 1}, {"kind": "end", "time_ns": 1}
    found = reports.read(io.BytesIO("".join(json.dumps(line) + "\n" for line in [start, gone, *failed, end]).encode()))
    fields, _ = describe(Run(repo, ["sh"], root, "main", None, {}), found, Settings())
    assert fields["not_found"] == ["below", "none"]
    (refused,) = fields["left_out"]
    assert (refused.reason, refused.inside, refused.examples) == ("refused", True, ["secret"])


DAMAGER = """#!{python} -IS
# Stands for the tracer: the true one writes its report here first, then it is damaged on its way to the recorder.
import os, subprocess, sys
words = dict(zip(sys.argv[1:7:2], map(int, sys.argv[2:7:2])))
done = subprocess.run([{tracer!r}, "--report", {report!r}, *sys.argv[7:]], check=False)
raw = open({report!r}, "rb").read()
raw = {damage}
os.write(words["--report-fd"], raw)
os.close(words["--done-fd"])
os.waitpid(words["--wait-for"], 0)
sys.exit(done.returncode)
"""


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        ('raw[: raw.index(b\'{"kind":"end"\')]', "tracer-died"),
        ('raw.replace(b"/out", b"/./out")', "lost-events"),
        ("raw[: len(raw) // 3] + raw[len(raw) // 2 :]", "lost-events"),
        ('b""', "tracer-died"),
    ],
)
def test_a_report_damaged_on_its_way(
    damage: str, reason: str, roar: Any, tree: Path, git: Any, tracer: Path, tmp_path: Path
) -> None:
    stand_in = tmp_path / "tracer"
    text = DAMAGER.format(python=sys.executable, tracer=str(tracer), report=str(tmp_path / "report"), damage=damage)
    stand_in.write_text(text)
    stand_in.chmod(0o755)
    done = roar("run", "-q", "sh", "-c", "cat README > out; exit 4", code=4, ROAR_TRACER=str(stand_in))
    assert done.stderr.count(b"incomplete: " + reason.encode()) == 1, done.stderr
    record = json.loads(
        git(tree, "show", git(tree, "for-each-ref", "--format=%(objectname)", "refs/roar/jobs") + ":record.json")
    )
    assert reason in {gap["reason"] for gap in record["incomplete"]}
    assert os.path.exists(tree / "out")
    assert git(tree, "fsck", "--strict") == ""


def test_arguments_beyond_what_a_record_holds(repo: Repository) -> None:
    """As xargs gives them: the first are kept, of the others the names of the programs; and the record says so."""
    root = repo.require_work_tree()
    words = ["cat", *(f"{root}/{number:06}" for number in range(20_000))]
    programs = [{"path": "/bin/cat", "argv": words} for _ in range(40)]
    process = {"kind": "process", "pid": 1, "programs": programs}
    start, end = {"kind": "start", "format": 1}, {"kind": "end", "time_ns": 1}
    found = reports.read(io.BytesIO("".join(json.dumps(line) + "\n" for line in [start, process, end]).encode()))
    fields, _ = describe(Run(repo, ["sh"], root, "main", None, {}), found, Settings())
    argv = [program.argv for program in fields["processes"][0].programs]
    kept = argv.index(["cat"])
    assert 0 < kept < 40
    assert argv == [words] * kept + [["cat"]] * (40 - kept)
    assert sum(len(word) for each in argv[:kept] for word in each) <= MOST_WORDS_BYTES
    assert {gap.reason: gap.count for gap in fields["incomplete"]}["arguments-dropped"] == 40 - kept
