"""Reproduction by Snakemake: the real program runs the steps; verdicts and records are those of any reproduction."""

from __future__ import annotations

from pathlib import Path

import pytest
from conftest import Git, Roar, needs_tracer
from test_export import SNAKEMAKE
from test_reproduce import areas, commit, jobs, reproductions, shared, state, verdicts

pytestmark = [needs_tracer, pytest.mark.skipif(not SNAKEMAKE, reason="snakemake is not installed")]


def test_snakemake_runs_the_steps(tree: Path, roar: Roar, git: Git, sealed: Path) -> None:
    (tree / ".gitignore").write_text("one\ntwo\nout/\n")
    (tree / "first.sh").write_text("echo {$1} > one\n")
    commit(tree, git)
    (tree / "first.sh").write_text('echo "{$1}" changed > one\n')
    roar("run", "-q", "sh", "first.sh", "a 'word' \\ $x", OMP_NUM_THREADS="3")
    (tree / "second.sh").write_text("mkdir -p out; cat one > two; echo $OMP_NUM_THREADS > out/threads; exit 3\n")
    commit(tree, git)
    (tree / "sub").mkdir()
    (tree / "sub/empty").write_text("")
    commit(tree, git)
    roar("run", "-q", "sh", "../second.sh", cwd=tree / "sub", code=None)
    roar("run", "-q", "sh", "second.sh", OMP_NUM_THREADS="3", code=3)
    roar("run", "-q", "sh", "-c", "cat two out/threads > out/all")
    clone = shared(tree, git)
    before = state(clone, git)
    done = Roar(clone)("reproduce", "-y", "--json", "--engine", "snakemake", "-j", "2", "out/all")
    assert verdicts(done) == dict.fromkeys(("one", "two", "out/threads", "out/all"), "identical")
    again = reproductions(clone)
    originals = {identifier for identifier, job in jobs(clone) if job.reproduces is None}
    assert len(again) == 3 and {job.reproduces for job in again} <= originals
    assert len({job.session for job in again}) == 1
    assert [job.exit.code for job in again] == [0, 3, 0]
    assert state(clone, git) == before and areas(sealed) == []


def test_what_differs_and_what_fails_is_said(tree: Path, roar: Roar, git: Git) -> None:
    (tree / "fails.sh").write_text("[ -e ../flag ] || exit 1; echo 1 > one\n")
    (tree / ".gitignore").write_text("one\ntwo\nrandom\nlib\n")
    commit(tree, git)
    (tree.parent / "flag").touch()
    roar("run", "-q", "sh", "fails.sh")
    roar("run", "-q", "sh", "-c", "cat one > two; date +%s%N > random")
    (tree.parent / "flag").unlink()
    clone = shared(tree, git)
    done = Roar(clone)("reproduce", "-y", "--json", "--engine", "snakemake", "two", code=1)
    assert verdicts(done) == {"one": "missing", "two": "not run", "random": "not run"}
    (clone / "one").write_text("1\n")
    done = Roar(clone)("reproduce", "-y", "--json", "--engine", "snakemake", "two", code=3)
    assert verdicts(done) == {"one": "taken", "two": "identical", "random": "differs"}


def test_what_no_one_tree_has_is_refused(tree: Path, roar: Roar, git: Git) -> None:
    (tree / ".gitignore").write_text("one\ntwo\n")
    (tree / "lib.sh").write_text("echo 1\n")
    commit(tree, git)
    roar("run", "-q", "sh", "-c", "sh lib.sh > one")
    (tree / "lib.sh").write_text("echo 2\n")
    commit(tree, git)
    roar("run", "-q", "sh", "-c", "sh lib.sh > two; cat one >> two")
    clone = shared(tree, git)
    said = Roar(clone)("reproduce", "-y", "--engine", "snakemake", "two", code=1).stderr.decode()
    assert "@1 and @2 read lib.sh with other content, which no one tree has (next: leave --engine out)" in said
    said = Roar(clone)("reproduce", "two", "--engine", "snakemake", "--sandbox", code=2).stderr.decode()
    assert "leave one of them out" in said and reproductions(clone) == []
    again = Roar(clone)
    again("run", "-q", "sh", "-c", "echo a > three")
    again("run", "-q", "sh", "-c", "cp three four; echo b > three")
    again("run", "-q", "sh", "-c", "cat four three > five")
    said = again("reproduce", "-y", "--force", "--engine", "snakemake", "five", code=1).stderr.decode()
    assert "which Snakemake cannot express" in said or "has more than one version" in said
