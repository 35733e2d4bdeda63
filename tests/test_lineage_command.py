"""``roar lineage``: the picture and the table, up and down, cut and whole."""

from __future__ import annotations

from pathlib import Path

import make
import pytest
from ask import Ask

from roar.git.repository import Repository


@pytest.fixture
def ask(tree: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Ask:
    return Ask(tree, monkeypatch, capsys)


def diamond(repo: Repository, ask: Ask) -> list[str]:
    code = make.file("train.py", "code", blob="b" * 40)
    jobs = [
        make.fields("python prepare.py", {"raw.csv": "raw"}, {"train.csv": "train", "test.csv": "test"}),
        make.fields("python train.py 1", {"train.csv": "train"}, {"m1.pkl": "one"}, at=60),
        make.fields("python train.py 2", {"train.csv": "train"}, {"m2.pkl": "two"}, at=120, exit={"code": 1}),
        make.fields(
            "python compare.py", {"m1.pkl": "one", "m2.pkl": "two", "test.csv": "test"}, {"report": "r"}, at=180
        ),
        make.fields("python other.py", {"raw.csv": "raw"}, {"other": "o"}, at=240),
    ]
    jobs[1]["inputs"].append(code)
    ids = make.bulk(repo, jobs)
    ask.names = {job: f"JOB-{n}" for n, job in enumerate(ids)}
    return ids


def h(text: str) -> str:
    """The first digits of a text's hash."""
    return make.digest(text)[:12]


def test_up(repo: Repository, ask: Ask) -> None:
    diamond(repo, ask)
    assert (
        ask("lineage", "report")
        == rf"""
Lineage of report {h("r")}

*  JOB-3  ok  42.0 s  python compare.py -> report
|\
|\ \
| * |  JOB-2  exit 1  42.0 s  python train.py 2 -> m2.pkl
| |/
* |  JOB-1  ok  42.0 s  python train.py 1 -> m1.pkl
|/
*  JOB-0  ok  42.0 s  python prepare.py -> test.csv, train.csv

FILE       HASH          SIZE  MADE BY
raw.csv    {h("raw")}  3 B   no recorded job
test.csv   {h("test")}  4 B   JOB-0
train.csv  {h("train")}  5 B   JOB-0
m1.pkl     {h("one")}  3 B   JOB-1
m2.pkl     {h("two")}  3 B   JOB-2
report     {h("r")}  1 B   JOB-3
and 1 file of code, in git or beside the records
"""
    )


def test_many_files_of_a_folder_are_one_line(repo: Repository, ask: Ask) -> None:
    data = {f"data/{n:03}.png": f"{n % 10}" for n in range(30)}
    few = {f"few/{n}.csv": f"few {n}" for n in range(3)}
    ids = [make.job(repo, "prepare", {**data, **few}, {f"made/{n}": f"m{n}" for n in range(21)})]
    ids.append(make.job(repo, "train", {f"made/{n}": f"m{n}" for n in range(20)}, {"model": "m"}, at=1))
    ask.names = {job: f"JOB-{n}" for n, job in enumerate(ids)}
    table = ask("lineage", "model").partition("FILE")[2].splitlines()[1:]
    assert [line.split()[0] for line in table if "few/" in line] == ["few/0.csv", "few/1.csv", "few/2.csv"]
    (folded,) = (line for line in table if "data/" in line)
    assert folded.split() == ["data/", "(30", "files)", "30", "B", "no", "recorded", "job"]
    assert len([line for line in table if "made/" in line]) == 21  # 20 that were read, and one that was not
    whole = ask("lineage", "model", "--all")
    assert whole.count("data/") == 30
    asked = ask("lineage", make.digest("m3"), "--up", "--down")
    assert "made/3 " in asked
    asked = ask("lineage", make.digest("0"), "--down")
    assert asked.partition("FILE")[2].count("data/0") == 3
    assert "data/ (27 files)" in asked


def test_down(repo: Repository, ask: Ask) -> None:
    diamond(repo, ask)
    assert (
        ask("lineage", "m1.pkl", "--down")
        == rf"""
Made of m1.pkl {h("one")}

*  JOB-3  ok  42.0 s  python compare.py -> report

FILE      HASH          SIZE  MADE BY
m1.pkl    {h("one")}  3 B   JOB-1
m2.pkl    {h("two")}  3 B   JOB-2
test.csv  {h("test")}  4 B   JOB-0
report    {h("r")}  1 B   JOB-3
"""
    )


def test_a_long_lineage_is_cut_to_the_nearest_jobs(repo: Repository, ask: Ask) -> None:
    made = [make.job(repo, f"step {n}", {f"f{n}": str(n)}, {f"f{n + 1}": str(n + 1)}, at=n) for n in range(6)]
    whole = ask.json("lineage", made[-1])
    near = ask.json("lineage", made[-1], "-n", "2")
    assert [job["id"] for job in whole["jobs"]] == made
    assert ([job["id"] for job in near["jobs"]], near["truncated"], near["beyond"]) == (made[-2:], True, [made[3]])
    assert "cut by --limit 2: 1 job right before these, and what lies beyond" in ask("lineage", made[-1], "-n", "2")
    assert "cut by --limit 1: 2 jobs right around these" in ask("lineage", made[2], "--up", "--down", "-n", "1")
    assert ask.json("lineage", made[-1], "-n", "0") == whole
    down = ask.json("lineage", made[0], "--down", "-n", "3")
    assert ([job["id"] for job in down["jobs"]], down["beyond"]) == (made[:3], [made[3]])
    assert "roar: cut by --limit 2" in ask("lineage", made[-1], "-n", "2", "--dot")
    assert [job["id"] for job in ask.json("lineage", made[4], "--to", made[1])["jobs"]] == made[1:5]
    assert [job["id"] for job in ask.json("lineage", made[1], "--up", "--down", "--to", made[4])["jobs"]] == made[1:5]


def test_depth_is_said(repo: Repository, ask: Ask) -> None:
    ids = diamond(repo, ask)
    text = ask("lineage", "report", "--depth", "1")
    assert "cut by --depth 1: 3 jobs right before these, and what lies beyond" in text
    assert "JOB-1  ok" not in text
    found = ask.json("lineage", "report", "--depth", "1")
    assert (found["truncated"], found["beyond"]) == (True, ids[:3])
    assert "cut" not in ask("lineage", "report", "--depth", "3")
    assert "cut by --depth 1: 3 jobs right after" in ask("lineage", "raw.csv", "--down", "--depth", "1")


def test_json(repo: Repository, ask: Ask) -> None:
    ids = diamond(repo, ask)
    found = ask.json("lineage", "report")
    assert (found["direction"], found["truncated"]) == ("up", False)
    assert [job["id"] for job in found["jobs"]] == ids[:4]
    compare = found["jobs"][-1]
    assert (compare["command"], compare["exit_code"]) == ("python compare.py", 0)
    assert {part["path"]: part["made_by"] for part in compare["inputs"]} == {
        "m1.pkl": ids[1],
        "m2.pkl": ids[2],
        "test.csv": ids[0],
    }
    assert [part["path"] for part in compare["outputs"]] == ["report"]
    assert found["jobs"][2]["exit_code"] == 1
    artifacts = {part["path"]: part for part in found["artifacts"]}
    assert artifacts["raw.csv"]["made_by"] is None
    assert artifacts["train.csv"] == {
        "path": "train.csv",
        "hash": make.digest("train"),
        "size": 5,
        "made_by": ids[0],
        "used_by": ids[1:3],
        "withdrawn": False,
        "withdrawn_maker": None,
    }
    assert "train.py" not in artifacts


def test_what_nobody_made_or_read(repo: Repository, ask: Ask) -> None:
    diamond(repo, ask)
    assert "no recorded job made it" in ask("lineage", "raw.csv")
    assert "raw.csv" in ask("lineage", "raw.csv")
    assert "no recorded job read it" in ask("lineage", "report", "--down")


def test_from_jobs_and_commits(repo: Repository, ask: Ask) -> None:
    ids = diamond(repo, ask)
    assert [job["id"] for job in ask.json("lineage", ids[2])["jobs"]] == [ids[0], ids[2]]
    assert [job["id"] for job in ask.json("lineage", ids[2], "--down")["jobs"]] == ids[2:4]
    make.job(repo, "late", {"report": "r"}, at=999, code={"commit": "c" * 40})
    assert len(ask.json("lineage", "cccc")["jobs"]) == 5


def test_the_original_goes_before_its_repetition(repo: Repository, ask: Ask) -> None:
    first = make.job(repo, "make", {"a": "a"}, {"b": "b"})
    make.job(repo, "make", {"a": "a"}, {"b": "b"}, at=60, reproduces=first)
    assert [job["id"] for job in ask.json("lineage", "b")["jobs"]] == [first]


def test_wrong_words(repo: Repository, ask: Ask) -> None:
    diamond(repo, ask)
    assert "different answers" in ask("lineage", "report", "--dot", "--json", code=2)
    assert "--depth" in ask("lineage", "report", "--depth", "0", code=2)
