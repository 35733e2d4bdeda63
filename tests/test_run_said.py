"""What a user says of a run: tags, inputs and outputs that cannot be seen; steps that are run again."""

from __future__ import annotations

from pathlib import Path

import orjson
import pytest
from conftest import Roar, needs_tracer
from test_run import last

pytestmark = needs_tracer

SAID = [
    "--tag",
    "try=first one",
    "--tag=api_key=hunter2hunter2",
    "--input",
    "https://ada:pw123456@data.example.org/raw.csv?sig=abcdef0123456789&part=1",
    "--input=s3://bucket/key with space",
    "--output",
    "s3://bucket/models/m.pkl",
]


def test_tags_and_declared_files_are_in_the_record_and_shown_as_such(roar: Roar, tree: Path) -> None:
    done = roar("run", *SAID, "sh", "-c", "echo 1 > out")
    job = last(tree)
    assert job.tags == {"try": "first one", "api_key": "[redacted:secret]"}
    assert [(hint.side, hint.ref) for hint in job.hints] == [
        ("input", "https://data.example.org/raw.csv?part=1"),
        ("input", "s3://bucket/key with space"),
        ("output", "s3://bucket/models/m.pkl"),
    ]
    assert [(gap.reason, gap.count) for gap in job.incomplete] == [("redacted", 2)]
    assert b"try=first one" in done.stderr
    assert b"in   declared      s3://bucket/key with space (not seen)" in done.stderr
    shown = roar("show", "@1").stdout.decode()
    assert "Tags     api_key=[redacted:secret], try=first one" in shown
    assert shown.index("Inputs") < shown.index("raw.csv?part=1  declared, not seen") < shown.index("Outputs")
    assert shown.index("Outputs") < shown.index("models/m.pkl  declared, not seen")
    for words in (("log", "--json"), ("lineage", "out", "--json"), ("show", "@1", "--json")):
        answer = orjson.loads(roar(*words).stdout)
        found = answer if "tags" in answer else answer["jobs"][0]
        assert found["tags"] == job.tags
        assert found["hints"][1] == {"side": "input", "ref": "s3://bucket/key with space", "seen": False}


def test_what_was_said_survives_a_record_that_must_wait(roar: Roar, tree: Path) -> None:
    roar("run", "-q", *SAID, "sh", "-c", "echo '[x' >> .git/config")
    saved = next((tree / ".git" / "roar").rglob("*.report")).read_text()
    assert "hunter2" not in saved and "pw123456" not in saved
    config = tree / ".git" / "config"
    config.write_text(config.read_text().replace("[x\n", ""))
    roar("recover")
    assert last(tree).tags["try"] == "first one"
    assert len(last(tree).hints) == 3


@pytest.mark.parametrize(
    "words",
    [["--tag", "x"], ["--tag", "=x"], ["--tag", "a\nb=1"], ["--input", ""], ["--output", "a\x1b[31m"]],
)
def test_what_cannot_be_meant_is_refused_before_anything_runs(roar: Roar, tree: Path, words: list[str]) -> None:
    done = roar("run", *words, "touch", "ran", code=2)
    assert done.stderr.count(b"\n") == 1
    assert not (tree / "ran").exists()
