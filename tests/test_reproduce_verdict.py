"""What a reproduction says of files whose bytes differ: equivalent, where, why, and whether it is so each time."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path
from typing import Any

import make
from conftest import Git, Roar, needs_tracer
from test_reproduce import commit, jobs, reproductions, shared, verdicts

from roar.git.repository import discover


def artifact(done: subprocess.CompletedProcess[bytes], path: str) -> dict[str, Any]:
    return next(a for a in json.loads(done.stdout)["artifacts"] if a["path"] == path)


def causes(done: subprocess.CompletedProcess[bytes], step: int) -> list[str]:
    return [c["kind"] for c in json.loads(done.stdout)["causes"] if c["step"] == step]


def by_chance(tree: Path, git: Git, roar: Roar, lines: str) -> None:
    """A recorded job in whose script ``$N`` is another number each time, always above 1000."""
    (tree / "counter.sh").write_text("N=1$(od -An -N 3 -t u4 /dev/urandom | tr -d ' ')\n" + lines)
    commit(tree, git)
    roar("run", "-q", "sh", "counter.sh")


@needs_tracer
def test_numbers_within_a_tolerance_are_equivalent(tree: Path, roar: Roar, git: Git) -> None:
    by_chance(tree, git, roar, 'echo "{\\"loss\\": 0.500000000$N}" > m.json; echo "a,0.2500000000000$N" > t.csv\n')
    done = roar("reproduce", "-y", "@1")
    lines = sorted(done.stdout.decode().splitlines())
    hashes = "[0-9a-f]{12}, now [0-9a-f]{12}"
    assert re.fullmatch(rf"equivalent  m.json  {hashes} \(json, numbers within 1e-09; first at byte \d+\)", lines[0])
    assert lines[1].startswith("equivalent  t.csv  ") and "(csv, numbers within 1e-09" in lines[1]
    assert done.stderr.endswith(b"(2 files equivalent, not identical: see what was compared)\n")
    done = roar("reproduce", "-y", "--json", "@1")
    assert verdicts(done) == {"m.json": "equivalent", "t.csv": "equivalent"}
    assert not json.loads(done.stdout)["identical"] and json.loads(done.stdout)["equivalent"]
    # the user's word counts: closer, not at all, or otherwise
    done = roar("reproduce", "-y", "--json", "@1", "--compare", "*.json=json:1e-15", code=3)
    assert verdicts(done) == {"m.json": "differs", "t.csv": "equivalent"}
    assert artifact(done, "m.json")["compared"] == "json, numbers within 1e-15"
    assert re.fullmatch(r"loss is 0\.5\d+, recorded 0\.5\d+", artifact(done, "m.json")["where"])
    done = roar("reproduce", "-y", "--json", "@1", "--compare", "*=bytes", code=3)
    assert verdicts(done) == {"m.json": "differs", "t.csv": "differs"}
    said = roar("reproduce", "-y", "@1", "--compare", "*=pickle", code=2).stderr
    assert b"--compare takes PATTERN=NAME" in said and b"(next: json, jsonl, csv, " in said


@needs_tracer
def test_an_archive_with_other_times_is_equivalent(tree: Path, roar: Roar, git: Git) -> None:
    by_chance(tree, git, roar, 'echo x > x; touch -d "@$N" x; tar -cf a.tar x; tar -czf a.tar.gz x; gzip -k x\n')
    done = roar("reproduce", "-y", "--json", "@1")
    found = verdicts(done)
    assert found["a.tar"] == found["a.tar.gz"] == found["x.gz"] == "equivalent" and found["x"] == "identical"
    assert artifact(done, "a.tar")["compared"] == "tar, without time stamps and owners"


@needs_tracer
def test_where_and_why_it_differs(tree: Path, roar: Roar, git: Git) -> None:
    by_chance(tree, git, roar, 'echo "always $N" > a.txt; echo "{\\"n\\": $N}" > n.json\n')
    roar("run", "-q", "sh", "-c", "cat a.txt > b.txt")
    done = roar("reproduce", "-y", "--force", "b.txt", code=3)
    assert b": byte " in done.stdout
    said = done.stderr.decode()
    assert "@1 what was not the same, the likeliest reason first:\n  1. chance: a seed, the time or the order" in said
    assert "@2 what was not the same, the likeliest reason first:\n  1. input: a.txt " in said
    # without a copy of what it was: what the record itself keeps of a small result file
    for name in ("a.txt", "n.json", "b.txt"):
        (tree / name).unlink()
    done = roar("reproduce", "-y", "--json", "@1", code=3)
    assert re.fullmatch(r"n is \d+, recorded \d+", artifact(done, "n.json")["where"])
    assert artifact(done, "a.txt")["where"] is None
    assert "no copy of the recorded bytes is here" in artifact(done, "a.txt")["note"]


@needs_tracer
def test_the_recorded_bytes_may_be_said(tree: Path, roar: Roar, git: Git) -> None:
    by_chance(tree, git, roar, "echo always $N > a.txt\n")
    away = tree.parent / "kept"
    (tree / "a.txt").rename(away)
    content = artifact(roar("reproduce", "-y", "--json", "@1", code=3), "a.txt")["hash"]
    done = roar("reproduce", "-y", "--json", "@1", "--input", f"{content[:10]}={away}", code=3)
    assert artifact(done, "a.txt")["where"] == "byte 8" or "byte" in artifact(done, "a.txt")["where"]


@needs_tracer
def test_another_environment_comes_before_chance(tree: Path, roar: Roar, git: Git) -> None:
    head = commit(tree, git)
    values = make.fields(["sh", "-c", "date +%N > out"], {}, {"out": "recorded\n"}, code={"commit": head})
    machine = {**values["environment"]["machine"], "cpu": "Another processor"}
    variables = {"OMP_NUM_THREADS": "4 threads of old"}
    values["environment"] = {"machine": machine, "variables": variables, "umask": 0o22}
    make.put(discover(str(tree)), values)
    done = roar("reproduce", "-y", "--json", make.digest("recorded\n"), code=3)
    kinds = causes(done, 1)
    assert kinds == sorted(kinds, key=["threads", "hardware", "environment", "chance"].index)
    assert {"threads", "hardware", "chance"} <= set(kinds)
    said = roar("reproduce", "-y", make.digest("recorded\n"), code=3).stderr.decode()
    assert "hardware: cpu " in said and "recorded Another processor" in said


@needs_tracer
def test_several_runs_tell_chance_from_another_environment(tree: Path, roar: Roar, git: Git) -> None:
    by_chance(tree, git, roar, "echo $N > chance\n")
    roar("run", "-q", "sh", "-c", "cat chance > follows; echo 1 > same")
    roar("run", "-q", "sh", "-c", "cat follows same > both")
    head = git(tree, "rev-parse", "HEAD")
    script = ["sh", "-c", "echo now > here"]
    values = make.fields(script, {}, {"here": "then\n"}, code={"commit": head})
    values["environment"] = {"machine": values["environment"]["machine"]}
    make.put(discover(str(tree)), values)
    done = roar("reproduce", "-y", "--json", "--times", "2", "both", code=3)
    repeated = {r["step"]: r["found"] for r in json.loads(done.stdout)["repeated"]}
    assert repeated == {1: "changes", 2: "follows", 3: "follows"}
    assert verdicts(done)["same"] == "identical" and json.loads(done.stdout)["times"] == 2
    assert len(reproductions(tree)) == 6 and len({job.session for job in reproductions(tree)}) == 1
    done = roar("reproduce", "-y", "--times", "2", make.digest("then\n"), code=3)
    assert b"@1 makes the same each time, but not what was recorded" in done.stderr
    assert b"chance:" not in done.stderr
    done = roar("reproduce", "-y", "--times", "2", "chance", code=3)
    assert b"@1 is not deterministic: from the same inputs it makes something else each time" in done.stderr
    assert b"1 of 1 step ran, 2 times" in done.stderr
    roar("reproduce", "-y", "--times", "0", "both", code=2)


@needs_tracer
def test_the_page(tree: Path, roar: Roar, git: Git) -> None:
    by_chance(tree, git, roar, "echo '<script>' > '<b>.txt'; echo $N > n\n")
    page = tree.parent / "page.html"
    roar("reproduce", "-y", "@1", "--html", str(page), code=3)
    text = page.read_text()
    assert "<b>.txt" not in text and "&lt;b&gt;.txt" in text
    assert '<td class="differs">differs</td>' in text and '<td class="identical">identical</td>' in text
    assert "default-src &#x27;none&#x27;" in text and "<script" not in text and "http" not in text.split("</head>")[1]
    assert "chance: a seed" in text and "Something differs" in text
    nowhere = tree.parent / "no" / "page.html"
    said = roar("reproduce", "-y", "@1", "--html", str(nowhere), code=1).stderr
    assert f"cannot write {nowhere}: No such file".encode() in said


@needs_tracer
def test_a_record_of_a_reproduction_holds_what_the_verdict_needs(tree: Path, roar: Roar, git: Git) -> None:
    by_chance(tree, git, roar, "echo $N > n; echo same > same\n")
    ((original, first),) = jobs(tree)
    clone = shared(tree, git)
    Roar(clone)("reproduce", "-y", original, code=3)
    (again,) = reproductions(clone)
    assert again.reproduces == original and again.session != first.session
    old, new = ({file.path: file.hash for file in job.outputs} for job in (first, again))
    assert old.keys() == new.keys() and old["same"] == new["same"] and old["n"] != new["n"]
