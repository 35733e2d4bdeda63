"""What a user says of a run: tags, inputs and outputs that cannot be seen; steps that are run again."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import orjson
import pytest
from conftest import Git, Roar, needs_tracer
from test_run import jobs, last

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


@pytest.fixture
def pipeline(roar: Roar, tree: Path) -> Path:
    """Two steps: ``sort raw > clean`` by the shell's redirection, then a count of its lines."""
    (tree / "raw").write_text("2\n1\n")
    with (tree / "clean").open("wb") as clean:
        run = [sys.executable, "-m", "roar", "run", "--name", "clean", "sort", "raw"]
        subprocess.run(run, cwd=tree, stdout=clean, stderr=subprocess.DEVNULL, check=True)
    roar("run", "-q", "sh", "-c", 'wc -l clean "$@" > count', "sh")
    return tree


def test_a_step_is_run_again_with_its_streams_and_more_words(roar: Roar, pipeline: Path) -> None:
    (pipeline / "clean").unlink()
    done = roar("run", "@1", "-r", cwd=pipeline)
    assert b"roar: @1 again: sort raw -r > clean\n" in done.stderr
    assert (pipeline / "clean").read_text() == "2\n1\n"
    assert done.stdout == b""
    job = last(pipeline)
    assert (job.command.argv, job.command.name) == (["sort", "raw", "-r"], "clean")
    assert [(each.fd, each.path) for each in job.command.redirects] == [(1, "clean")]
    roar("run", "-q", "@1")
    assert (pipeline / "clean").read_text() == "1\n2\n"
    assert last(pipeline).command == jobs(pipeline)[0][1].command  # the same step, not a new one


def test_a_stale_input_is_said_with_the_step_to_run_first(roar: Roar, pipeline: Path) -> None:
    count = ("run", "sh", "-c", 'wc -l clean "$@" > count', "sh")
    assert b"stale" not in roar(*count).stderr
    (pipeline / "raw").write_text("5\n4\n3\n")
    said = b"roar: input clean is stale: @1 should run first (raw changed since)\n"
    done = roar("run", "@2")
    assert done.stderr.index(said) < done.stderr.index(b" ok ")
    assert said in roar(*count).stderr
    slow = ("run", "--name", "slow", "sh", "-c", "cat clean > copy; sleep 1.5; echo done >&2")
    assert said in roar(*slow).stderr
    done = roar(*slow)
    assert done.stderr.index(said) < done.stderr.index(b"done\n")
    assert b"stale" not in roar(*count, ROAR_OUTPUT_WARN_STALE="false").stderr
    roar("run", "-q", "@1")
    assert b"stale" not in roar("run", "@2").stderr
    assert b"stale" not in roar(*count).stderr


def test_what_cannot_run_again_is_refused(roar: Roar, pipeline: Path, git: Git) -> None:
    assert b"there is no step @9" in roar("run", "@9", code=125).stderr
    assert b"is no step" in roar("run", "@0", code=2).stderr
    roar("run", "-q", "echo", "--password", "hunter2hunter2")
    assert b"had a secret that was not recorded" in roar("run", "@3", code=125).stderr
    (pipeline / "sub").mkdir()
    roar("run", "-q", "true", cwd=pipeline / "sub")
    (pipeline / "sub").rmdir()
    assert b"the folder of @4 is gone: sub" in roar("run", "@4", code=125).stderr
    (pipeline / "clean").unlink()
    (pipeline / "clean").mkdir()
    assert b"/clean: Is a directory" in roar("run", "-q", "@1", code=125).stderr


def test_what_somebody_else_recorded_is_not_run_unasked(roar: Roar, pipeline: Path, git: Git, tmp_path: Path) -> None:
    git(pipeline, "init", "-q", "--bare", str(tmp_path / "hub"))
    git(pipeline, "push", "-q", str(tmp_path / "hub"), "main", "refs/roar/*")
    git(tmp_path, "clone", "-q", str(tmp_path / "hub"), "other")
    git(tmp_path / "other", "fetch", "-q", "origin", "refs/roar/*:refs/roar-remote/origin/*")
    done = roar("run", "@2", cwd=tmp_path / "other", code=125)
    assert b"@2 was recorded by Ada Recorder <ada@example.org>, not here: sh -c" in done.stderr
    assert b"@2 was not run, for it was recorded elsewhere" in done.stderr
    assert not (tmp_path / "other" / "count").exists()
