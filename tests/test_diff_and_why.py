"""``roar diff`` and ``roar why`` over real runs: what differs, and what changed first."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import make
import pytest
from ask import Ask
from conftest import Git, Roar, needs_tracer

from roar.git.repository import Repository
from roar.records.job import File
from roar.verbs import metrics

TRAIN = """import json, sys
rate, rows = float(sys.argv[1]), [float(x) for x in open("train.csv")]
json.dump({"score": round(sum(rows) * rate, 6), "rows": len(rows)}, open("metrics.json", "w"))
"""


@pytest.fixture
def pipeline(tree: Path, git: Git, roar: Roar) -> Roar:
    """Two steps, each run twice: in between the code of the first was changed, and an argument of the second."""
    (tree / "prepare.py").write_text('open("train.csv", "w").write(open("data.csv").read().replace("1", "7"))\n')
    (tree / "train.py").write_text(TRAIN)
    (tree / "data.csv").write_text("1\n2\n")
    (tree / ".gitignore").write_text("*.csv\nmetrics.json\n")
    git(tree, "add", ".")
    git(tree, "commit", "-qm", "pipeline")
    roar("run", "python3", "prepare.py")
    roar("run", "python3", "train.py", "0.1")
    (tree / "prepare.py").write_text((tree / "prepare.py").read_text().replace("7", "8"))
    roar("run", "python3", "prepare.py")
    roar("run", "python3", "train.py", "0.2", OMP_NUM_THREADS="2")
    return roar


def answer(roar: Roar, *words: str, code: int = 0) -> Any:
    return json.loads(roar(*words, "--json", code=code).stdout)


@needs_tracer
def test_what_differs_between_two_versions_of_a_file(pipeline: Roar, git: Git, tree: Path) -> None:
    before = git(tree, "count-objects")
    found = answer(pipeline, "diff", "metrics.json")
    assert git(tree, "count-objects") == before
    assert found["command"] == [
        {"name": "command", "before": "python3 train.py 0.1", "after": "python3 train.py 0.2", "unread": False}
    ]
    assert [(change["path"], change["state"]) for change in found["inputs"]] == [("train.csv", "changed")]
    assert (found["code"], found["patch"], found["other_code"]) == ([], "", 0)
    assert [(change["name"], change["after"]) for change in found["variables"]] == [("OMP_NUM_THREADS", "2")]
    assert [(m["name"], m["before"], m["after"]) for m in found["metrics"]] == [("score", "0.9", "2.0")]
    shown = pipeline("diff", "metrics.json").stdout.decode()
    assert "command: python3 train.py 0.1 -> python3 train.py 0.2" in shown
    assert "metrics.json  score  0.9  ->  2  +1.1" in shown
    assert pipeline("diff", "metrics.json", "--exit-code", code=3)


@needs_tracer
def test_code_is_compared_by_git_itself_overlay_included(pipeline: Roar) -> None:
    shown = pipeline("diff", "train.csv", "--patch").stdout.decode()
    assert "changed  prepare.py  +1 -1" in shown
    assert "\n--- a/prepare.py\n+++ b/prepare.py\n@@ " in shown
    assert '\n+open("train.csv", "w").write(open("data.csv").read().replace("1", "8"))' in shown


@needs_tracer
def test_why_follows_an_input_to_what_changed_first(pipeline: Roar) -> None:
    first, second, *rest = answer(pipeline, "why", "metrics.json")["causes"]
    assert (first["kind"], first["before"]) == ("arguments", "python3 train.py 0.1")
    assert (second["kind"], second["name"]) == ("input", "train.csv")
    (inner,) = second["because"]
    assert (inner["kind"], inner["name"], len(inner["lines"])) == ("code", "prepare.py", 2)
    assert [cause["kind"] for cause in rest] == ["environment"]
    shown = pipeline("why", "metrics.json").stdout.decode()
    assert shown.index("1.   arguments") < shown.index("2.   input") < shown.index("code         prepare.py")
    assert "score: 0.9 -> 2" in shown


@needs_tracer
def test_why_says_when_nobody_knows(pipeline: Roar, tree: Path) -> None:
    (tree / "metrics.json").write_text("{}")
    assert b"changed by something that was not recorded" in pipeline("why", "metrics.json").stdout
    found = answer(pipeline, "why", "metrics.json")
    assert found["last_job"] and (found["job"], found["causes"]) == (None, [])
    assert b"no recorded job wrote prepare.py" in pipeline("why", "prepare.py", code=1).stderr


@needs_tracer
def test_chance_is_named(roar: Roar, tree: Path) -> None:
    (tree / "dice.py").write_text("import os; open('n', 'wb').write(os.urandom(9))\n")
    for _ in range(2):
        roar("run", "python3", "dice.py")
    assert [cause["kind"] for cause in answer(roar, "why", "n")["causes"]] == ["chance"]
    assert b"not deterministic" in roar("diff", "n").stdout


@pytest.fixture
def ask(tree: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Ask:
    return Ask(tree, monkeypatch, capsys)


def environment(**changes: Any) -> dict[str, Any]:
    values: dict[str, Any] = json.loads(json.dumps(make.COMMON["environment"]))
    values["pythons"][0].update(changes.pop("python", {}))
    values["machine"].update(changes)
    return values


def test_packages_and_machines(repo: Repository, ask: Ask) -> None:
    read, other = [{"name": "numpy", "version": "2.0"}], [{"name": "rich", "version": "1"}]
    a = make.job(repo, "train", {"x": "x"}, {"m": "1"}, environment=environment(python={"read": read}))
    new = environment(python={"read": [{"name": "numpy", "version": "2.1"}], "installed": other}, cpu="Another")
    gap = [{"reason": "io_uring", "detail": "a ring"}]
    b = make.job(repo, "train", {"x": "x"}, {"m": "2"}, at=60, environment=new, incomplete=gap)
    found = ask.json("diff", a[:14], b[:14])
    assert [c["name"] for c in found["packages"] if not c["unread"]] == ["numpy"]
    assert "rich" in [c["name"] for c in found["packages"] if c["unread"]]
    assert [(c["name"], c["after"]) for c in found["machine"]] == [("cpu", "Another")]
    kinds = [cause["kind"] for cause in ask.json("why", make.digest("2")[:12])["causes"]]
    assert kinds[:2] == ["package", "machine"]
    assert kinds[-1] == "unknown"
    text = ask("diff", a[:14], b[:14])
    assert "INCOMPLETE (io_uring): it may differ in more than is shown" in text


def test_code_that_is_not_here_is_said_to_be_unknown(repo: Repository, ask: Ask) -> None:
    for at, blob in enumerate("ab"):
        values = make.fields("train", {}, {"m": blob}, at=at, code={"commit": blob * 40})
        values["inputs"] = [make.file("train.py", blob, blob=blob * 40)]
        make.put(repo, values)
    found = ask.json("diff", make.digest("b")[:12], make.digest("a")[:12])
    assert (found["code_not_here"], found["patch"], found["other_code"]) == (["train.py"], "", None)
    assert "its bytes are not here" in ask("diff", make.digest("b")[:12], make.digest("a")[:12])


def test_nothing_to_compare(repo: Repository, ask: Ask) -> None:
    job = make.job(repo, "train", {"x": "x"}, {"m": "1"})
    session = make.session(repo)
    assert "no job wrote another version of m before" in ask("diff", make.digest("1")[:12], code=1)
    assert "is one job" in ask("diff", job[:14], code=2)
    assert "no recorded job made 3ae7d" in ask("diff", make.digest("x")[:12], job[:14], code=1)
    assert "is a session" in ask("diff", session[:20], job[:14], code=2)
    assert "Nothing differs." in ask("diff", job[:14], job[:14])
    assert "No job wrote anything else there before" in ask("why", make.digest("1")[:12])
    assert "is a job" in ask("why", job[:14], code=2)


@needs_tracer
@pytest.mark.parametrize("name", ["q.sql", "é b/q.sql", os.fsdecode(b"caf\xe9.sql")])
def test_lines_that_look_like_those_of_a_patch(tree: Path, roar: Roar, name: str) -> None:
    path = tree / name
    path.parent.mkdir(exist_ok=True)
    for text in ("-- old", "++ new\x0cdiff --git a b"):
        path.write_text(f"{text}\n")
        roar("run", "-q", "sh", "-c", 'wc -c < "$1" > out', "sh", name)
    (cause,) = answer(roar, "why", "out")["causes"]
    assert cause["lines"] == ["--- old", "+++ new\x0cdiff --git a b"]
    assert b"+1 -1" in roar("diff", "out").stdout


@pytest.mark.parametrize(
    ("path", "body", "values"),
    [
        ("m.json", '{"a": {"b": [1, 2.5]}, "name": "x", "ok": true}', {"a.b.0": "1", "a.b.1": "2.5", "ok": "true"}),
        ("m.csv", "accuracy,loss\n0.5,1\n", {"accuracy": "0.5", "loss": "1"}),
        ("m.tsv", "accuracy\t0.5\nloss\t1\nname\tx\n", {"accuracy": "0.5", "loss": "1"}),
        ("m.csv", "a,b,c\n1,2,3\n4,5,6\n", {}),
        ("m.json", "{broken", {}),
        ("m.json", "[" * 100_000, {}),
        ("m.json", json.dumps(list(range(1000))), {}),
        ("m.csv", "\xff\x00", {}),
        ("m.json", '{"\\ud800": 1}', {}),
        ("m.json", '{"%s": 1, "b": 2}' % ("a" * 300), {"b": "2"}),
        ("m.json", '{"a": NaN, "b": 1e999}', {"a": "NaN", "b": "Infinity"}),
    ],
)
def test_numbers_in_result_files(path: str, body: str, values: dict[str, str]) -> None:
    assert metrics.read(path, body.encode("latin-1")) == values


def test_yaml_where_it_can_be_read() -> None:
    pytest.importorskip("yaml")
    assert metrics.read("m.yaml", b"test: {f1: 0.5}\n") == {"test.f1": "0.5"}
    assert metrics.read("m.yml", b"a: [") == {}
    for strange in (b"!!bool maybe", b"!!int ''", b"!!timestamp now", b"&a [*a]", b"&a {again: *a}", b"1: 2001-99-99"):
        assert metrics.read("m.yml", strange) == {}
    laughs = ["0: &a0 [x, x, x, x, x, x, x, x, x]"]
    laughs += [f"{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 11)]
    assert metrics.read("m.yml", "\n".join(laughs).encode()) == {}


@needs_tracer
def test_a_strange_result_file_costs_no_record(tree: Path, roar: Roar) -> None:
    script = r"""printf '{"\ud800": 1}' > a.json; printf '&a [*a]' > b.yaml; printf '{"loss": 1}' > c.json
    printf '{"password": 123456, "ghp_%s": 1, "tokens": 7}' 012345678901234567890123456789abcdef > d.json"""
    roar("run", "-q", "sh", "-c", script)
    assert answer(roar, "log")["jobs"][0]["metrics"] == {"c.json": {"loss": "1"}, "d.json": {"tokens": "7"}}


def test_few_files_are_looked_at_for_numbers(tmp_path: Path) -> None:
    def result(path: str) -> File:
        (tmp_path / path).parent.mkdir(exist_ok=True)
        (tmp_path / path).write_text('{"loss": 1}')
        return File(path=path, hash=make.digest('{"loss": 1}'), size=11)

    many = [*(result(f"boxes/{n:03}.json") for n in range(150)), result("metrics.json")]
    found = [each.path for each in metrics.of_outputs(str(tmp_path), many)]
    assert found == [*(f"boxes/{n:03}.json" for n in range(19)), "metrics.json"]
