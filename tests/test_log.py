"""``roar log`` and ``roar cache``, and what every table and number looks like."""

from __future__ import annotations

import os
import pty
import sqlite3
import subprocess
import sys
from pathlib import Path

import make
import pytest
from ask import Ask
from conftest import Git, Roar
from hypothesis import example, given, settings
from hypothesis import strategies as st

from roar.cache.index import path_of
from roar.cache.search import like_of_glob
from roar.cli import present
from roar.config.globs import Globs
from roar.errors import UsageError
from roar.git.dates import moment
from roar.git.repository import Repository
from roar.verbs.history import as_recorded


@pytest.fixture
def ask(tree: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Ask:
    return Ask(tree, monkeypatch, capsys)


def some_jobs(repo: Repository) -> list[str]:
    code = {"commit": "c" * 40, "branch": "main", "overlay": [make.file("train.py", "x") | {"state": "modified"}]}
    outputs = {f"out/{n}": f"text {n}" for n in range(6)}
    return make.bulk(
        repo,
        [
            make.fields("python prepare.py", {"raw": "raw"}, {"train.csv": "train"}, code={"commit": "c" * 40}),
            make.fields(["sh", "-c", "exit 3"], at=60, exit={"code": 3}, duration_ns=120_000_000, cwd="src"),
            make.fields("python train.py", {"train.csv": "train"}, outputs, at=120, code=code),
            make.fields("sleep 9", at=180, exit={"signal": 2}, incomplete=[{"reason": "tracer-died"}]),
        ],
    )


def test_log(repo: Repository, ask: Ask) -> None:
    ask.names = {job: f"JOB{n}" for n, job in enumerate(some_jobs(repo))}
    assert (
        ask("log")
        == """
job JOB3  signal 2  42.0 s
Date:  2025-01-01 12:03:00 +0000
Code:  no commit yet
Incomplete: 1 gap in what is known

    sleep 9

job JOB2  ok  42.0 s
Date:  2025-01-01 12:02:00 +0000
Code:  cccccccccccc (main), 1 file changed

    python train.py
    -> 38db7ed7e32a  out/0
    -> d4089758a4b0  out/1
    -> 4fda75421461  out/2
    -> 3fb0e8ef2a9e  out/3
    -> and 2 more

job JOB1  exit 3  120 ms
Date:  2025-01-01 12:01:00 +0000
Code:  no commit yet

    sh -c 'exit 3'    (in src)

job JOB0  ok  42.0 s
Date:  2025-01-01 12:00:00 +0000
Code:  cccccccccccc

    python prepare.py
    -> 4164c0558080  train.csv
"""
    )


def test_oneline_and_the_rest(repo: Repository, ask: Ask) -> None:
    ask.names = {job: f"JOB{n}" for n, job in enumerate(some_jobs(repo))}
    assert (
        ask("log", "--oneline", "-n", "3")
        == """
JOB3  signal 2  42.0 s  sleep 9
JOB2  ok  42.0 s  python train.py -> out/0, out/1 (+4)
JOB1  exit 3  120 ms  sh -c 'exit 3'
1 older job (next: roar log -n 0)
"""
    )
    assert len(ask("log", "--oneline", "-n", "0").splitlines()) == 5


def test_json(repo: Repository, ask: Ask) -> None:
    ids = some_jobs(repo)
    found = ask.json("log", "-n", "2")
    assert found["total"] == 4
    last, training = found["jobs"]
    assert (last["id"], last["exit_code"], last["outcome"], last["incomplete"]) == (ids[3], 130, "signal 2", 1)
    assert (training["command"], training["argv"]) == ("python train.py", ["python", "train.py"])
    assert training["outputs"][0] == {"path": "out/0", "hash": make.digest("text 0"), "size": 6}
    assert (training["commit"], training["branch"]) == ("c" * 40, "main")


def test_nothing_yet(repo: Repository, ask: Ask) -> None:
    assert ask("log") == "\nno jobs recorded yet (next: roar run CMD)\n"
    assert ask.json("log") == {"total": 0, "withdrawn": 0, "jobs": []}


def test_no_control_character_reaches_the_terminal(repo: Repository, ask: Ask) -> None:
    make.job(repo, ["echo", "\x1b[2J\x07"], {}, {"a\nb\x1b]0;x": "text", "//bytes/caf%E9": "y"}, cwd="\x1b")
    make.job(repo, "x", code={"commit": "c" * 40, "branch": "\x1b[31m"})
    for words in (
        ["log"],
        ["log", "--oneline"],
        ["show", "a\nb\x1b]0;x"],
        ["lineage", "a\nb\x1b]0;x"],
        ["status"],
        ["dag"],
    ):
        text = ask(*words)
        assert not [c for c in text if ord(c) < 32 and c != "\n"], text


def test_outside_a_repository_and_with_wrong_words(ask: Ask, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "roar log -h" in ask("log", "-n", "-1", code=2)
    monkeypatch.chdir(tmp_path)
    for words in (
        ["log"],
        ["show", "x"],
        ["lineage", "x"],
        ["dag"],
        ["status"],
        ["cache", "path"],
        ["cache", "rebuild"],
    ):
        text = ask(*words, code=1)
        assert text.count("\n") == 2
        assert "not a git repository" in text


@pytest.mark.parametrize("name", ["log", "show", "lineage", "dag", "status", "cache", "cache rebuild", "cache path"])
def test_help_has_an_example(ask: Ask, name: str) -> None:
    text = ask(*name.split(), "-h")
    assert "Example" in text
    assert "git roar " + name.partition(" ")[0] in text
    assert "--json" in text or name == "cache"


def test_cache(repo: Repository, ask: Ask) -> None:
    some_jobs(repo)
    path = ask("cache", "path").strip()
    assert path == path_of(repo)
    assert not Path(path).exists()
    assert "4 jobs in the index" in ask("cache", "rebuild")
    assert Path(path).exists()
    before = ask("log")
    Path(path).write_bytes(b"damaged")
    assert ask("log") == before
    assert ask.json("cache", "rebuild")["jobs"] == 4
    assert ask.json("cache", "path") == {"path": path, "exists": True}


def on_a_terminal(folder: Path, *words: str, columns: int = 80, **env: str) -> str:
    """What the program writes to a terminal of so many columns."""
    ours, theirs = pty.openpty()
    subprocess.run(["stty", "cols", str(columns)], stdin=theirs, check=True)
    clean = {k: v for k, v in os.environ.items() if k != "NO_COLOR"} | {"TERM": "xterm"} | env
    command = [sys.executable, "-m", "roar", *words]
    with subprocess.Popen(command, cwd=folder, stdout=theirs, stderr=subprocess.PIPE, env=clean):
        os.close(theirs)
        text = b""
        while True:
            try:
                data = os.read(ours, 65536)
            except OSError:  # the other side is closed
                break
            if not data:
                break
            text += data
    os.close(ours)
    return text.decode().replace("\r\n", "\n")


def test_colour_and_width_on_a_terminal_only(repo: Repository, tree: Path, roar: Roar) -> None:
    make.job(repo, ["python", "train.py", "--words", "x" * 200], {}, {"a/long/" + "path/" * 30 + "m.pkl": "m"})
    piped = roar("log", "--oneline").stdout.decode()
    assert "x" * 200 in piped
    assert "\x1b" not in piped
    text = on_a_terminal(tree, "log", "--oneline")
    assert "\x1b[33m" in text
    plain = on_a_terminal(tree, "log", "--oneline", NO_COLOR="1")
    assert "\x1b" not in plain
    assert [len(line) for line in plain.splitlines()] == [80]
    for columns in (60, 80, 120):
        for line in on_a_terminal(tree, "lineage", make.digest("m"), columns=columns, NO_COLOR="1").splitlines()[1:]:
            assert len(line) <= columns, line


def test_a_reproduction_is_marked(repo: Repository, tree: Path, ask: Ask) -> None:
    first = make.job(repo, "make", {}, {"a": "text"})
    again = make.job(repo, ["make", "x" * 99], {}, {"a": "other"}, at=60, reproduces=first)
    ask.names = {first: "FIRST", again: "AGAIN"}
    oneline = ask("log", "--oneline").splitlines()
    assert (oneline[1].endswith("-> a (again)"), oneline[2]) == (True, "FIRST  ok  42.0 s  make -> a")
    assert " -> a (again)\n" in ask("lineage", again)
    cut = on_a_terminal(tree, "log", "--oneline", NO_COLOR="1").splitlines()[0]
    assert (len(cut), cut.endswith("… -> a (again)")) == (80, True)
    assert "\x1b[2m (again)\x1b" in on_a_terminal(tree, "log", "--oneline")


def test_a_reader_that_goes_away_is_no_error(repo: Repository, tree: Path) -> None:
    make.bulk(repo, make.pipelines(300))
    command = f"{sys.executable} -m roar log -n 0 | head -1"
    done = subprocess.run(["bash", "-c", command], cwd=tree, capture_output=True, text=True, check=True)
    assert done.stdout.startswith("job ")
    assert done.stderr == ""


def test_sizes() -> None:
    sizes = {
        0: "0 B",
        1023: "1023 B",
        1024: "1.0 KiB",
        1 << 20: "1.0 MiB",
        1536: "1.5 KiB",
        3 << 40: "3.0 TiB",
        1 << 60: "1048576.0 TiB",
    }
    assert {n: present.size(n) for n in sizes} == sizes


def test_tables_fit() -> None:
    rows = [["a", "some/long/path.csv", "x"], ["bb", "short", "y"]]
    assert present.table(["K", "PATH", "Z"], rows) == [
        "K   PATH                Z",
        "a   some/long/path.csv  x",
        "bb  short               y",
    ]
    assert present.table([], rows, shrink=1, columns=17) == ["a   …/path.csv  x", "bb  short       y"]
    assert present.table(["A"], []) == ["A"]
    assert present.table([], []) == []


def found(ask: Ask, *words: str) -> list[str]:
    """What stands for the jobs that a filter lets through, newest first."""
    return [ask.names[job["id"]] for job in ask.json("log", *words)["jobs"]]


def test_filters_by_time_command_author_and_outcome(repo: Repository, ask: Ask) -> None:
    jobs = make.bulk(
        repo,
        [
            make.fields("python train.py --depth_1", user="Ada Recorder <ada@example.org>"),
            make.fields("make test", user="Bob O'Neil <bob@example.org>", exit={"code": 2}, at=3600),
            make.fields("python evaluate.py 100%", at=7200, exit={"signal": 9}),
            make.fields("python TRAIN.py --depthX1", at=10800, exit={}),
        ],
    )
    ask.names = {job: f"JOB{n}" for n, job in enumerate(jobs)}
    assert found(ask, "--since", "2025-01-01 13:00:00 +0000") == ["JOB3", "JOB2", "JOB1"]
    assert found(ask, "--since", "1735736401", "--until", "2025-01-01T14:00:00Z") == ["JOB2"]
    assert found(ask, "--since", "yesterday") == found(ask, "--until", "never") == []
    assert found(ask, "--command", "train.py") == ["JOB3", "JOB0"]
    assert found(ask, "--command", "depth_1") == ["JOB0"]
    assert found(ask, "--command", "0%") == ["JOB2"]
    assert found(ask, "--author", "o'neil") == ["JOB1"]
    assert found(ask, "--failed") == ["JOB3", "JOB2", "JOB1"]
    assert found(ask, "--failed", "--command", "python", "--author", "ada", "--limit", "1") == ["JOB3"]
    ask("pop", jobs[2])
    assert found(ask, "--failed", "--command", "python") == ["JOB3"]
    assert found(ask, "--failed", "--command", "python", "--all") == ["JOB3", "JOB2"]
    assert ask("log", "--command", "nothing") == "\nno recorded job matches (next: roar log)\n"
    assert ask("log", "--failed", "--oneline", "-n", "1").endswith(
        "1 older job (next: roar log -n 0)\n1 withdrawn job left out (next: roar log --all)\n"
    )


def test_filters_by_path(repo: Repository, tree: Path, ask: Ask, monkeypatch: pytest.MonkeyPatch) -> None:
    jobs = make.bulk(
        repo,
        [
            make.fields("a", {"data/raw.csv": "raw"}, {"data/train.csv": "train"}),
            make.fields("b", {"data/train.csv": "train"}, {"out/model_1.pkl": "m"}, at=1),
            make.fields("c", {"/data/x.csv": "x"}, {"out/deep/er/model11.pkl": "n", "a[1].csv": "odd"}, at=2),
            make.fields("d", {"//bytes/caf%E9/x": "y"}, {}, at=3),
        ],
    )
    ask.names = dict(zip(jobs, "abcd", strict=True))
    for typed, expected in {
        "data/raw.csv": "a",
        "data": "ba",
        "data/": "ba",
        "data/*.csv": "ba",
        "*.csv": "cba",
        "out/*.pkl": "b",
        "out/**/*.pkl": "cb",
        "out/model_1.pkl": "b",
        "out/model?1.pkl": "b",
        "/data": "c",
        "/data/*": "c",
        "a[1].csv": "c",
        ".": "dcba",
        "raw.csv": "",
        "no/*/such": "",
        os.fsdecode(b"caf\xe9"): "d",
        str(tree / "data" / "*"): "ba",
        str(tree.parent / "*" / "data" / "*"): "ba",
    }.items():
        assert "".join(found(ask, "--path", typed)) == expected, typed
    (tree / "data").mkdir()
    monkeypatch.chdir(tree / "data")
    assert found(ask, "--path", "raw.csv") == found(ask, "--path", "./r*.csv") == ["a"]
    assert found(ask, "--path", "../out") == ["c", "b"]


def test_filters_by_commit(repo: Repository, ask: Ask, git: Git, tree: Path) -> None:
    head = git(tree, "rev-parse", "HEAD")
    jobs = [make.job(repo, "here", code={"commit": head}), make.job(repo, "lost", code={"commit": "c" * 40}, at=1)]
    jobs.append(make.job(repo, "lost, too", code={"commit": "cd" + "c" * 38}, at=2))
    ask.names = dict(zip(jobs, ("here", "lost", "lost, too"), strict=True))
    assert found(ask, "--commit", "HEAD") == found(ask, "--commit", head[:7]) == ["here"]
    assert found(ask, "--commit", "cccc") == ["lost"]
    make.job(repo, "another", code={"commit": "cccc" + "d" * 36}, at=3)
    assert "cccc may be commit cccccccc" in ask("log", "--commit", "cccc", code=2)
    assert ask("log", "--commit", "main~7", code=1) == "\nroar: main~7 is no commit (next: git log)\n"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--since", "foo"), "foo is no date that git knows"),
        (("--until", ""), "an empty text is no date that git knows"),
        (("--path", ""), "an empty path means nothing"),
        (("--commit", ""), "an empty name means no commit"),
        (("--limit", "-3"), "-3 is not in the range 0<=x<="),
    ],
)
def test_filters_that_mean_nothing(repo: Repository, ask: Ask, words: tuple[str, str], said: str) -> None:
    make.job(repo, "true")
    assert said in ask("log", *words, code=2)


def test_numbers_of_result_files(repo: Repository, ask: Ask) -> None:
    values = {f"m{n}": str(n) for n in range(6)}
    make.job(repo, "train", outputs={"metrics.json": "{}"}, metrics=[{"path": "metrics.json", "values": values}])
    assert "\n    metrics.json: m0 0, m1 1, m2 2, m3 3, m4 4 and 1 more\n" in ask("log")
    assert ask.json("log")["jobs"][0]["metrics"] == {"metrics.json": values}


SIGNS = st.text("ab/*?[]!.-^%_", max_size=9)


@given(glob=SIGNS, path=SIGNS)
@example(glob="/*", path="?")
def test_the_database_lets_every_match_of_a_glob_through(glob: str, path: str) -> None:
    name, place = "/".join(filter(None, path.split("/"))), "/top"
    if not name or "." in name.split("/") or not Globs([glob], place).match(f"{place}/{name}"):
        return
    if "/" in glob.rstrip("/"):
        glob = as_recorded(os.path.normpath(os.path.join(place, glob)), place)
    with sqlite3.connect(":memory:") as connection:
        like = like_of_glob(glob)
        assert connection.execute("SELECT ? LIKE ? ESCAPE '!'", (name, like)).fetchone() == (1,)


@settings(max_examples=40)  # each asks git
@given(st.text(st.characters(blacklist_categories=["Cs"])))
def test_any_text_is_a_date_or_refused(text: str) -> None:
    try:
        assert 0 <= moment(text) < 1 << 63
    except UsageError as error:
        assert str(error).isprintable()
