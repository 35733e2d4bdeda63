"""``roar inputs``: what went in from outside, sourced or not, and what it takes to make a thing again."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import make
import pytest
from ask import Ask
from conftest import Git, Roar
from test_log import on_a_terminal

from roar.git.repository import Repository
from roar.verbs import sync


@pytest.fixture
def ask(tree: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Ask:
    return Ask(tree, monkeypatch, capsys)


def two_steps(repo: Repository, tree: Path, head: str, **more: Any) -> list[str]:
    """A preparation of raw data by a program in git, and a training with changed code; the files are there."""
    for path, text in {"raw.csv": "raw", "train.csv": "train", "train.py": "new code"}.items():
        (tree / path).write_text(text)
    values = make.fields("prepare", {"raw.csv": "raw"}, {"train.csv": "train"}, code={"commit": head})
    values["inputs"].append(make.file("README", "a project\n", blob="b" * 40))
    code = {"commit": head, "overlay": [make.overlaid("train.py", "new code")]}
    training = make.fields(
        "train",
        {"train.csv": "train", "/far/labels.csv": "labels", "seed": None},
        {"m.pkl": "m"},
        at=60,
        code=code,
        hints=[{"side": "input", "ref": "s3://bucket/images"}, {"side": "output", "ref": "s3://bucket/model"}],
        incomplete=[{"reason": "input-unknown", "detail": "seed"}],
        **more,
    )
    training["inputs"].append(make.file("train.py", "new code"))
    return [make.put(repo, values), make.put(repo, training)]


def h(text: str) -> str:
    return make.digest(text)[:12]


def test_inputs(repo: Repository, tree: Path, git: Git, ask: Ask) -> None:
    head = git(tree, "rev-parse", "HEAD")
    jobs = two_steps(repo, tree, head)
    ask.names = {head: "HEAD", jobs[0]: "PREPARE", jobs[1]: "TRAIN"}
    (tree / "m.pkl").write_text("m")
    assert (
        ask("inputs", "m.pkl")
        == f"""
Inputs of m.pkl, from outside of 2 jobs

Unsourced (3)
    {h("labels")}  6 B      /far/labels.csv  not here
    {h("raw")}  3 B      raw.csv          here
    unknown       unknown  seed             its content was not recorded

Sourced (3)
                        s3://bucket/images  declared; nothing checks it
    {h("a project" + chr(10))}  10 B  README              in git at HEAD
    {h("new code")}  8 B   train.py            kept with the record

and 1 file that these jobs made themselves (roar lineage)

To make it again
    no  code committed     1 file differed from the commit, such as train.py (next: git commit, then roar run it again)
    no  code shared        there is no remote (next: git remote add origin URL)
    no  inputs here        1 not here with the recorded content, such as /far/labels.csv (next: roar reproduce m.pkl --input {h("labels")}=PATH)
    yes packages known     8 were read
    yes environment known  Linux 6.1 (Debian GNU/Linux 12)
    no  records complete   1 job with gaps (next: roar show TRAIN)
    ?   deterministic      2 jobs never run again (next: roar reproduce m.pkl)
    no  records shared     there is no remote (next: git remote add origin URL)
"""  # noqa: E501
    )
    (tree / "raw.csv").write_text("others")
    assert "raw.csv          it has other content here" in ask("inputs", "m.pkl")


def test_for_scripts(repo: Repository, tree: Path, git: Git, ask: Ask, roar: Roar) -> None:
    job = two_steps(repo, tree, git(tree, "rev-parse", "HEAD"))[1]
    assert ask("inputs", job, "--unsourced") == "\n/far/labels.csv\nraw.csv\nseed\n"
    odd = make.job(repo, "look", {"a\nb": "1", "//bytes/caf%E9": "2"})
    assert ask("inputs", odd, "--unsourced") == "\n//bytes/caf%E9\na\\nb\n"
    assert roar("inputs", odd, "--unsourced", "-z").stdout == b"caf\xe9\0a\nb\0"
    assert ask("inputs", make.job(repo, "true"), "--unsourced") == "\n"


def test_as_json(repo: Repository, tree: Path, git: Git, ask: Ask) -> None:
    head = git(tree, "rev-parse", "HEAD")
    jobs = two_steps(repo, tree, head)
    found = ask.json("inputs", make.digest("m")[:8])
    assert found["jobs"] == jobs
    by_path = {item["path"]: item for item in found["inputs"]}
    assert {path for path, item in by_path.items() if not item["sourced"]} == {"/far/labels.csv", "raw.csv", "seed"}
    assert (by_path["README"]["origin"], by_path["README"]["commit"]) == ("git", head)
    assert (by_path["raw.csv"]["here"], by_path["raw.csv"]["used_by"]) == (True, [jobs[0]])
    assert by_path["s3://bucket/images"]["origin"] == "declared"
    assert [(item["path"], item["made_by"]) for item in found["between"]] == [("train.csv", jobs[0])]
    assert {point["name"]: point["met"] for point in found["checklist"]}["deterministic"] is None


def test_all_is_met(repo: Repository, tree: Path, git: Git, ask: Ask, tmp_path: Path) -> None:
    git(tmp_path, "init", "-q", "--bare", "far.git")
    git(tree, "remote", "add", "origin", str(tmp_path / "far.git"))
    (tree / "raw.csv").write_text("raw")
    code = {"commit": git(tree, "rev-parse", "HEAD")}
    job = make.job(repo, "prepare", {"raw.csv": "raw"}, {"t.csv": "t"}, code=code)
    make.job(repo, "prepare", {"raw.csv": "raw"}, {"t.csv": "t"}, at=60, code=code, reproduces=job)
    points = {point["name"]: (point["met"], point["mend"]) for point in ask.json("inputs", job)["checklist"]}
    assert points["code shared"] == (False, "git push origin HEAD")
    assert points["records shared"] == (False, "roar sync origin")
    git(tree, "push", "-q", "origin", "HEAD")
    sync.sync(repo, None)
    assert {point["met"] for point in ask.json("inputs", job)["checklist"]} == {True}
    make.job(repo, "prepare", {"raw.csv": "raw"}, {"t.csv": "other"}, at=90, code=code, reproduces=job)
    text = ask("inputs", job)
    assert "no  deterministic      1 job wrote other bytes when run again" in text


def test_what_is_lacking(repo: Repository, ask: Ask) -> None:
    dark = make.COMMON["environment"] | {"machine": {"system": "Linux", "kernel": "6", "architecture": "x"}}
    left_out = [{"reason": "package version", "count": 3}]
    job = make.job(repo, "a", {}, {"m": "m"}, environment=dark, left_out=left_out)
    lost = make.job(repo, "b", {}, {"n": "n"}, code={"commit": "c" * 40})
    points = {point["name"]: point for point in ask.json("inputs", job)["checklist"]}
    assert points["packages known"]["mend"] == "roar config set roar.environment.packages true"
    assert points["environment known"]["mend"] == "roar config set roar.environment.hardware true"
    assert points["code committed"]["text"] == "1 job without a commit"
    assert ask.json("inputs", lost)["checklist"][0]["text"] == "commit cccccccccccc is not here"


def test_a_withdrawn_maker_is_named(repo: Repository, tree: Path, ask: Ask) -> None:
    maker = make.job(repo, "prepare", {}, {"t.csv": "t"})
    job = make.job(repo, "train", {"t.csv": "t"}, {"m": "m"}, at=60)
    ask("pop", maker)
    ask.names = {maker: "MAKER"}
    (tree / "t.csv").write_text("t")
    assert "t.csv  made by withdrawn MAKER; here" in ask("inputs", job)
    assert ask.json("inputs", job)["inputs"][0]["withdrawn_maker"] == maker


def test_many_and_a_narrow_terminal(repo: Repository, tree: Path, ask: Ask) -> None:
    job = make.job(repo, "train", {f"data/a/long/path/to/something/{n:03}.png": str(n) for n in range(60)})
    assert "and 40 more (--all)" in ask("inputs", job)
    assert "059.png" in ask("inputs", job, "--all")
    text = on_a_terminal(tree, "inputs", job, columns=60)
    assert "\x1b[31mno \x1b[0m code committed" in text
    assert max(len(line) for line in re.sub(r"\x1b\[\d*m", "", text).splitlines()[1:]) <= 60


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["raw.csv"], 1, "no recorded job made raw.csv"),
        (["@1", "-z"], 2, "-z goes with --unsourced"),
        (["@1", "--unsourced", "--json"], 2, "are different answers"),
        (["nothing"], 1, "nothing is no recorded job"),
        ([], 2, "missing argument 'X'"),
    ],
)
def test_wrong_words(repo: Repository, ask: Ask, words: list[str], code: int, said: str) -> None:
    make.job(repo, "train", {"raw.csv": "raw"}, session=make.session(repo))
    text = ask("inputs", *words, code=code)
    assert said in text
    assert text.count("\n") == 2


def test_what_the_store_has_is_sourced(repo: Repository, tree: Path, git: Git, ask: Ask, tmp_path: Path) -> None:
    (tree / "raw.csv").write_text("raw")
    made = make.job(repo, "prepare", {"raw.csv": "raw"}, {"train.csv": "t"})
    git(tree, "config", "roar.store.url", str(tmp_path / "store"))
    assert ask("inputs", made, "--unsourced") == "\nraw.csv\n"
    ask("put", "raw.csv")
    assert ask("inputs", made, "--unsourced") == "\n"
    assert ask.json("inputs", made)["inputs"][0]["origin"] == "store"
