"""Exported pipelines: run in a clone by the programs that they are for, and compared byte for byte."""

from __future__ import annotations

import ast
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import make
import pytest
from conftest import Git, Roar, needs_tracer
from hypothesis import given, settings
from hypothesis import strategies as st
from test_reproduce import commit, shared

from roar.errors import RoarError
from roar.export import make as makefile
from roar.export import snakemake, steps
from roar.verbs.plan import Asked, Plan, Step

pytestmark = needs_tracer
SNAKEMAKE = shutil.which("snakemake", path=os.pathsep.join([os.path.dirname(sys.executable), os.environ["PATH"]]))
ME = f"python3.{sys.version_info[1]}"
COPY = "import sys; open(sys.argv[2], 'a').write(open(sys.argv[1]).read() + ' '.join(sys.argv[3:]) + chr(10))\n"


def run(words: list[str], folder: Path, code: int = 0) -> str:
    done = subprocess.run(words, cwd=folder, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == code, (done.stdout, done.stderr)
    return done.stdout + done.stderr


def pipeline(tree: Path, git: Git, roar: Roar, word: str = "$HOME `id` #1 'q' \"d\" \\") -> dict[str, bytes]:
    """Two steps with a word that each language could mistake; what came out, by path."""
    (tree / "copy.py").write_text(COPY)
    (tree / "raw.txt").write_text("raw\n")
    commit(tree, git)
    roar("run", ME, "copy.py", "raw.txt", "mid.txt", word)
    (tree / "sub").mkdir()
    roar(
        "run",
        "sh",
        "-c",
        'mkdir -p ../out; cat ../mid.txt > "$1"; exit 3',
        word,
        "../out/end.txt",
        cwd=tree / "sub",
        code=3,
    )
    return {path: (tree / path).read_bytes() for path in ("mid.txt", "out/end.txt")}


def exported(clone: Path, form: str, what: str, name: str, code: int = 0) -> subprocess.CompletedProcess[bytes]:
    return Roar(clone)("export", form, what, "-o", name, code=code)


def clone_of(tree: Path, git: Git) -> Path:
    clone = shared(tree, git)
    git(clone, "fetch", "-q", "origin", "+refs/roar/*:refs/roar-remote/origin/*")
    return clone


def same(top: Path, made: dict[str, bytes]) -> None:
    assert {path: (top / path).read_bytes() for path in made} == made


def test_the_script_is_the_one_of_reproduce(tree: Path, git: Git, roar: Roar) -> None:
    made = pipeline(tree, git, roar)
    clone = clone_of(tree, git)
    exported(clone, "sh", "out/end.txt", "pipeline.sh")
    Roar(clone)("reproduce", "out/end.txt", "--script", "same.sh")
    assert (clone / "pipeline.sh").read_bytes() == (clone / "same.sh").read_bytes()
    assert roar("export", "sh", "out/end.txt", cwd=clone).stdout == (clone / "pipeline.sh").read_bytes()
    said = run(["sh", "pipeline.sh", str(clone), "area"], clone)
    assert said.splitlines()[-1] == "identical  out/end.txt"
    same(clone / "area/project", made)


def test_what_rules_leave_to_the_reader_is_said(tree: Path, git: Git, roar: Roar) -> None:
    (tree / "copy.py").write_text(COPY)
    (tree / ".gitignore").write_text("*.csv\n")
    commit(tree, git)
    (tree / "raw.csv").write_text("raw\n")
    (tree / "a b.csv").write_text("1\n")
    roar("run", ME, "copy.py", "raw.csv", "mid.txt", "first")
    (tree / "copy.py").write_text(COPY + "\n")
    commit(tree, git, "second")
    (tree / "more.py").write_text("print('uncommitted `$x`')\n")
    (tree / "copy.py").write_text(COPY + "exec(open('more.py').read())\n")
    roar("run", ME, "copy.py", "mid.txt", "end.txt")
    roar("run", "sh", "-c", "cat 'a b.csv' > other.txt")
    said = roar("export", "make", "other.txt", code=1).stderr
    assert b"make has no name for a b.csv, which holds ' '" in said and b"roar export sh" in said
    clone = clone_of(tree, git)
    exported(clone, "make", "end.txt", "Makefile")
    text = (clone / "Makefile").read_text()
    assert "recorded at different commits" in text
    assert "must be put there: raw.csv, 4 bytes, BLAKE3" in text
    assert re.search(r"uncommitted code: git cat-file blob [0-9a-f]{40} > more.py", text)
    assert b"raw.csv is missing" in exported(clone, "sh", "end.txt", "x.sh", code=1).stderr


@pytest.mark.skipif(not shutil.which("make"), reason="make is not installed")
def test_make_makes_it_again(tree: Path, git: Git, roar: Roar) -> None:
    made = pipeline(tree, git, roar)
    clone = clone_of(tree, git)
    exported(clone, "make", "out/end.txt", "pipeline.mk")
    run(["make", "-f", "pipeline.mk"], clone)
    same(clone, made)
    assert "Nothing to be done" in run(["make", "-f", "pipeline.mk"], clone)


@pytest.mark.skipif(not shutil.which("make"), reason="make is not installed")
def test_make_gets_names_that_mean_something_to_it(tree: Path, git: Git, roar: Roar) -> None:
    roar("run", "sh", "-c", "echo 1 > all; echo 2 > include; echo 3 > 'a$b#c'; echo 4 > -k")
    roar("run", "sh", "-c", "cat all include 'a$b#c' ./-k > export")
    clone = clone_of(tree, git)
    exported(clone, "make", "export", "pipeline.mk")
    run(["make", "-f", "pipeline.mk"], clone)
    assert (clone / "export").read_text() == "1\n2\n3\n4\n"


@pytest.mark.skipif(not SNAKEMAKE, reason="snakemake is not installed")
def test_snakemake_makes_it_again(tree: Path, git: Git, roar: Roar) -> None:
    made = pipeline(tree, git, roar, "{input} $HOME `id` #1 'q' \"d\" \\ \n end")
    clone = clone_of(tree, git)
    exported(clone, "snakemake", "out/end.txt", "Snakefile")
    run([str(SNAKEMAKE), "--cores", "1"], clone)
    same(clone, made)


def test_what_rules_cannot_express_is_refused(tree: Path, git: Git, roar: Roar) -> None:
    roar("run", "sh", "-c", "echo 1 > grows.txt")
    roar("run", "sh", "-c", "echo 2 >> grows.txt")
    roar("run", "sh", "-c", "echo $(cat grows.txt) > end.txt")
    roar("run", "sh", "-c", "cat end.txt > last.txt # a\n", "x\ny")
    for form, name in (("make", "make"), ("snakemake", "Snakemake")):
        said = roar("export", form, "end.txt", code=1).stderr.decode()
        assert f"which {name} cannot express" in said, said
        assert said.count("\n") == 1
    clone = clone_of(tree, git)
    exported(clone, "sh", "last.txt", "pipeline.sh")
    run(["sh", "pipeline.sh", str(clone), "area"], clone)
    assert (clone / "area/project/last.txt").read_text() == "1 2\n"
    Roar(clone)("run", "cat", "README")
    assert b"wrote nothing" in roar("export", "make", "@1", cwd=clone, code=1).stderr


def test_a_line_feed_is_refused_for_make(tree: Path, roar: Roar) -> None:
    roar("run", "sh", "-c", "echo 1 > end.txt\necho 2")
    said = roar("export", "make", "end.txt", code=1).stderr.decode()
    assert "@1 has a line feed in a word, which make cannot pass on" in said


HOSTILE = st.text(st.sampled_from(["'", '"', "\n", "$", "`", "#", "\\", "(", ")", "{", "}", ";", " ", "a", "é", "%"]))


@settings(max_examples=60)
@given(words=st.lists(HOSTILE, max_size=4), name=HOSTILE)
def test_nothing_of_a_record_escapes_its_quoting(words: list[str], name: str) -> None:
    argv = ["printf", "%s\\0", *words, name]
    job = make.draft(make.fields(argv, None, {"end.txt": "1"}), 1, "a")
    step = Step(1, "0" * 26, job, [], [], job.outputs, [], [], [])
    made = Plan(Asked(name, "0" * 26), [step], [])
    wanted = [word.encode() for word in [*words, name]]

    def printed(command: list[str]) -> list[bytes]:
        done = subprocess.run(command, capture_output=True, check=True, cwd="/")
        return done.stdout.split(b"\0")[:-1]

    assert printed(["sh", "-c", f"top=/tmp\n{steps.one_line(job)}"]) == wanted
    assert not any("\n" in line for line in snakemake.lines(made))
    shells = [line for line in snakemake.lines(made) if line.startswith("        '") or line.startswith('        "')]
    assert ast.literal_eval(shells[-1].strip()).format() == "top=$(pwd)\n" + steps.one_line(job)
    try:
        lines = list(makefile.lines(made))
    except RoarError:
        assert any("\n" in word for word in argv)
        return
    recipe = next(line for line in lines if line.startswith("\t"))
    before, _, after = recipe.partition("rm -f -- end.txt && ")
    assert not any("\n" in line or line.endswith("\\") for line in lines)
    with tempfile.NamedTemporaryFile("w", suffix=".mk") as file:
        file.write("\n".join([line for line in lines if not line.startswith("\t")] + [f"{before}{after}"]) + "\n")
        file.flush()
        assert printed(["make", "-s", "-f", file.name]) == wanted
