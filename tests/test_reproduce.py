"""Making files again: the real program in a fresh clone of a real remote, with real commands under the tracer."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import make
import pytest
from conftest import Git, NewVenv, Roar, needs_tracer

from roar.cache.index import open_index
from roar.git.repository import discover
from roar.records.job import Job

ME = f"python3.{sys.version_info[1]}"


def commit(folder: Path, git: Git, message: str = "work") -> str:
    git(folder, "add", "-A")
    git(folder, "commit", "-q", "--allow-empty", "-m", message)
    return git(folder, "rev-parse", "HEAD")


def shared(tree: Path, git: Git) -> Path:
    """A fresh clone of a bare remote that has the branch and the records; the original is moved away."""
    top = tree.parent
    git(top, "init", "-q", "--bare", "hub.git")
    git(tree, "push", "-q", str(top / "hub.git"), "main", "refs/roar/*")
    git(top, "clone", "-q", "hub.git", "clone")
    tree.rename(top / "moved away")
    return top / "clone"


def state(folder: Path, git: Git) -> dict[str, Any]:
    """All of a checkout that a reproduction must not change."""
    own = folder / ".git"
    return {
        "status": git(folder, "status", "--porcelain", "--ignored"),
        "refs": git(folder, "for-each-ref", "refs/heads", "refs/tags", "refs/stash", "refs/remotes"),
        "worktrees": git(folder, "worktree", "list"),
        "head": (own / "HEAD").read_text(),
        "config": (own / "config").read_text(),
        "index": git(folder, "ls-files", "-s"),
        "files": sorted(
            p.name for p in own.iterdir() if p.name not in ("roar", "FETCH_HEAD", "logs", "objects", "refs")
        ),
    }


def areas(home: Path) -> list[str]:
    """The work areas that are there."""
    folder = home / "cache" / "roar" / "reproduce"
    return sorted(n for n in os.listdir(folder) if not n.startswith(".")) if folder.exists() else []


def verdicts(done: subprocess.CompletedProcess[bytes]) -> dict[str, str]:
    return {a["path"]: a["verdict"] for a in json.loads(done.stdout)["artifacts"]}


def jobs(folder: Path) -> list[tuple[str, Job]]:
    """Every recorded job with its id, oldest first."""
    with open_index(discover(str(folder))) as index:
        return [(identifier, index.load_job(identifier)) for identifier in reversed(index.jobs())]


@pytest.fixture
def pipeline(tree: Path, roar: Roar, git: Git) -> Path:
    """Three steps: ``raw.csv`` -> ``sorted.csv`` -> ``top.csv`` -> ``report/total.txt``."""
    (tree / "raw.csv").write_text("b,2\na,1\nc,3\n")
    (tree / "sort.sh").write_text("sort raw.csv > sorted.csv\n")
    (tree / "report.sh").write_text("wc -l < top.csv > report/total.txt\n")
    (tree / ".gitignore").write_text("*.txt\nsorted.csv\ntop.csv\n")
    commit(tree, git)
    roar("run", "-q", "sh", "sort.sh")
    roar("run", "-q", "sh", "-c", "head -n 2 sorted.csv > top.csv")
    (tree / "report").mkdir()
    roar("run", "-q", "sh", "report.sh")
    return tree


def reproductions(folder: Path) -> list[Job]:
    return [job for _, job in jobs(folder) if job.reproduces]


# All is well


@needs_tracer
def test_a_fresh_clone_makes_it_again(pipeline: Path, git: Git, sealed: Path) -> None:
    originals = jobs(pipeline)
    clone = shared(pipeline, git)
    before = state(clone, git)
    done = Roar(clone)("reproduce", "-y", "report/total.txt")
    assert done.stdout.decode().splitlines() == [
        "identical  sorted.csv  " + make.digest("a,1\nb,2\nc,3\n")[:12],
        "identical  top.csv  " + make.digest("a,1\nb,2\n")[:12],
        "identical  report/total.txt  " + make.digest("2\n")[:12],
    ]
    assert state(clone, git) == before
    assert areas(sealed) == []
    again = reproductions(clone)
    assert [job.reproduces for job in again] == [identifier for identifier, _ in originals]
    assert len({job.session for job in again}) == 1
    assert {job.code.commit for job in again} == {job.code.commit for _, job in originals}
    assert [job.command for job in again] == [job.command for _, job in originals]
    assert git(clone, "fsck", "--strict") == ""
    assert not (clone / "sorted.csv").exists()


@needs_tracer
def test_by_hash_job_and_step(pipeline: Path, git: Git) -> None:
    here = Roar(pipeline)
    (pipeline / "sorted.csv").write_text("spoilt\n")
    assert here("reproduce", "-y", "--force", make.digest("2\n")[:6]).stdout.count(b"identical") == 3
    assert here("reproduce", "-y", "--force", jobs(pipeline)[1][0]).stdout.count(b"identical") == 2
    assert here("reproduce", "-y", "--force", "@1").stdout.count(b"identical") == 1
    assert (pipeline / "sorted.csv").read_text() == "spoilt\n"
    # a hash means its first run, not a run of that again
    assert {job.reproduces for job in reproductions(pipeline)} == {identifier for identifier, _ in jobs(pipeline)[:3]}


@needs_tracer
def test_the_files_of_a_collection(pipeline: Path, git: Git) -> None:
    Roar(pipeline)("collection", "add", "release", "sorted.csv", "report/total.txt")
    clone = shared(pipeline, git)
    done = Roar(clone)("reproduce", "-y", "release").stdout.decode().split()
    assert {"sorted.csv", "report/total.txt"} <= set(done)
    assert set(done[::3]) == {"identical"}
    assert b"several files" in Roar(clone)("reproduce", "release", "--html", "x", code=2).stderr


@needs_tracer
def test_the_plan_runs_nothing(pipeline: Path, git: Git, sealed: Path) -> None:
    clone = shared(pipeline, git)
    done = Roar(clone)("reproduce", "--plan", "report/total.txt").stdout.decode()
    for line in ("reproduce report/total.txt: 3 steps", "@1  sh sort.sh", "@3  sh report.sh", "raw.csv  in the commit"):
        assert line in done
    assert "top.csv  made by @2" in done
    assert done.count("  asked for\n") == 1
    plan = json.loads(Roar(clone)("reproduce", "--plan", "--json", "report/total.txt").stdout)
    assert plan["can_start"] and [s["after"] for s in plan["steps"]] == [[], [1], [2]]
    assert reproductions(clone) == [] and areas(sealed) == []


@needs_tracer
def test_without_a_terminal_and_without_a_yes_nothing_is_run(pipeline: Path) -> None:
    done = Roar(pipeline)("reproduce", "report/total.txt", code=1)
    assert b"there is no terminal to ask on (next: roar reproduce report/total.txt -y)" in done.stderr
    assert reproductions(pipeline) == []


@needs_tracer
def test_it_asks_on_a_terminal(pipeline: Path) -> None:
    def answered(answer: bytes) -> int:
        leader, follower = os.openpty()
        words = [sys.executable, "-m", "roar", "reproduce", "@1"]
        with subprocess.Popen(
            words, cwd=pipeline, stdin=follower, stdout=subprocess.DEVNULL, stderr=follower, start_new_session=True
        ) as program:
            os.close(follower)
            os.write(leader, answer)
            said = b""
            while True:
                try:
                    part = os.read(leader, 4096)
                except OSError:
                    break
                if not part:
                    break
                said += part
            os.close(leader)
        assert b"Run this command?" in said
        return program.returncode

    assert answered(b"n\n") == 1
    assert reproductions(pipeline) == []
    assert answered(b"y\n") == 0
    assert len(reproductions(pipeline)) == 1


# The answer is no


@needs_tracer
def test_random_output_differs(tree: Path, roar: Roar, git: Git) -> None:
    commit(tree, git)
    roar("run", "-q", "sh", "-c", "od -N 8 -t x1 /dev/urandom > noise && echo fixed > fixed")
    roar("run", "-q", "sh", "-c", "cat noise fixed > both")
    done = roar("reproduce", "-y", "--force", "--json", "both", code=3)
    assert verdicts(done) == {"noise": "differs", "fixed": "identical", "both": "differs"}
    done = roar("reproduce", "-y", "--force", "both", code=3)
    last = done.stdout.decode().splitlines()[-1]
    assert last.startswith("differs    both  ") and ", now " in last
    said = done.stderr.decode().splitlines()
    assert [line for line in said if line.startswith("  2 of 2 steps ran, ")]
    more = "roar reproduce both --times 3 tells chance from another environment"
    assert said[-1] == f"(next: roar reproduce both --keep, to compare; {more})"
    kept = roar("reproduce", "-y", "--force", "--keep", "both", code=3).stderr.decode().splitlines()
    assert kept[-1].startswith("(next: compare with /") and kept[-1].endswith(more + ")")


@needs_tracer
def test_a_piped_input_is_said_in_the_plan_and_beside_the_verdict(tree: Path, roar: Roar, git: Git) -> None:
    commit(tree, git)
    gap = {"reason": "standard-input", "detail": "a pipe"}
    values = make.fields(["sh", "-c", "cat > out"], {}, {"out": "piped"}, incomplete=[gap])
    values["environment"] = {"machine": values["environment"]["machine"]}
    make.put(discover(str(tree)), values)
    assert b"note    standard-input: a pipe" in roar("reproduce", "--plan", make.digest("piped")).stdout
    done = roar("reproduce", "-y", make.digest("piped"), code=3)
    assert b"  @1: standard-input: a pipe\n" in done.stderr and b"1 of 1 step ran" in done.stderr


@needs_tracer
def test_a_record_holds_no_place_of_the_machine_that_ran_it_again(tree: Path, roar: Roar, git: Git) -> None:
    (tree / "sub").mkdir()
    (tree / "in").write_text("in\n")
    commit(tree, git)
    with (tree / "out").open("wb") as out:
        words = [sys.executable, "-m", "roar", "run", "-q", "--name", "copy", "cat", f"{tree}/in"]
        subprocess.run(words, cwd=tree / "sub", stdout=out, check=True)
    roar("reproduce", "-y", "out")
    (original, again) = (job.command for _, job in jobs(tree))
    assert original == again
    assert again.argv == ["cat", f"{tree}/in"] and again.cwd == "sub" and again.name == "copy" and again.redirects


@needs_tracer
def test_a_step_whose_commit_is_gone_runs_from_what_is_here(tree: Path, roar: Roar) -> None:
    (tree / "in").write_text("in\n")
    values = make.fields("cp in out", {"in": "in\n"}, {"out": "in\n"}, code={"commit": "ab" * 20})
    values["environment"] = {"machine": values["environment"]["machine"]}
    job = make.put(discover(str(tree)), values)
    assert b"note    its commit abababababab is not" in roar("reproduce", "--plan", job).stdout
    assert verdicts(roar("reproduce", "-y", "--json", job)) == {"out": "identical"}
    (again,) = reproductions(tree)
    assert again.code.commit is None


@needs_tracer
def test_an_output_that_is_not_written_is_missing_even_when_the_commit_has_it(tree: Path, roar: Roar, git: Git) -> None:
    (tree / "result").write_text("old\n")
    commit(tree, git)
    counter = tree.parent / "counter"
    roar("run", "-q", "sh", "-c", f"[ -e {counter} ] || echo new > result; echo other > other")
    commit(tree, git, "with its result")
    counter.touch()
    done = roar("reproduce", "-y", "--json", "result", code=3)
    assert verdicts(done) == {"result": "missing", "other": "identical"}


@needs_tracer
def test_a_step_that_fails_stops_what_needs_it(tree: Path, roar: Roar, git: Git) -> None:
    commit(tree, git)
    broken = tree.parent / "broken"
    roar("run", "-q", "sh", "-c", f"echo a > a; [ ! -e {broken} ]")
    roar("run", "-q", "sh", "-c", "echo b > b")
    roar("run", "-q", "sh", "-c", "cat a b > c")
    broken.touch()
    done = roar("reproduce", "-y", "--force", "--json", "c", code=1)
    assert verdicts(done) == {"a": "identical", "b": "identical", "c": "not run"}
    assert json.loads(done.stdout)["failed"] == [
        {"step": 1, "reason": "it ended with 1; the record says it ended with 0"}
    ]


@needs_tracer
def test_a_failure_that_was_recorded_is_made_again(tree: Path, roar: Roar, git: Git) -> None:
    commit(tree, git)
    roar("run", "-q", "sh", "-c", "echo partial > partial; exit 3", code=3)
    assert b"identical" in roar("reproduce", "-y", "partial").stdout


# Inputs


@needs_tracer
def test_a_missing_input(tree: Path, roar: Roar, git: Git, sealed: Path) -> None:
    (tree / ".gitignore").write_text("data.csv\n")
    (tree / "data.csv").write_text("1\n2\n")
    commit(tree, git)
    roar("run", "-q", "sh", "-c", "wc -l < data.csv > lines")
    clone = shared(tree, git)
    done = Roar(clone)("reproduce", "-y", "lines", code=1)
    said = done.stderr.decode()
    content = make.digest("1\n2\n")
    assert f"missing  data.csv  {content}  4 bytes" in said
    assert f"last with {os.uname().nodename}, 20" in said
    assert f"@1: data.csv is missing: it is not here (next: --input {content}=PATH)" in said
    assert Roar(clone)("reproduce", "--plan", "lines", code=1).stdout
    assert reproductions(clone) == [] and areas(sealed) == []
    # in the work tree at another time, under the same name, with other content
    (clone / "data.csv").write_text("other\n")
    assert b"it has other content here" in Roar(clone)("reproduce", "-y", "lines", code=1).stderr
    # said where it is
    away = tree.parent / "moved away" / "data.csv"
    assert b"identical" in Roar(clone)("reproduce", "-y", "lines", "--input", f"{content[:8]}={away}").stdout
    (clone / "data.csv").write_text("1\n2\n")
    assert b"identical" in Roar(clone)("reproduce", "-y", "lines").stdout
    Roar(clone)("reproduce", "-y", "lines", "--input", "nonsense", code=2)
    done = Roar(clone)("reproduce", "-y", "lines", "--input", f"0123={away}", code=2)
    assert b"--input 0123: no input begins with that (next: roar reproduce lines --plan)" in done.stderr
    # who ran it again is not who has it
    (clone / "data.csv").unlink()
    original = jobs(clone)[0][0]
    assert f"UTC, {original} ".encode() in Roar(clone)("reproduce", "lines", code=1).stderr


@needs_tracer
def test_changed_and_untracked_code_comes_from_the_record(tree: Path, roar: Roar, git: Git) -> None:
    (tree / "code.sh").write_text("echo committed > out\n")
    (tree / "unread.sh").write_text("as committed\n")
    commit(tree, git)
    (tree / "code.sh").write_text(
        "cat config.json > out; ls -l code.sh | cut -c 1-10 >> out; cat unread.sh > /dev/null\n"
    )
    (tree / "code.sh").chmod(0o755)
    (tree / "config.json").write_text("{}\n")
    roar("run", "-q", "sh", "code.sh")
    (tree / "config.json").unlink()
    clone = shared(tree, git)
    done = Roar(clone)("reproduce", "-y", "--json", "out")
    assert verdicts(done) == {"out": "identical"}
    (job,) = reproductions(clone)
    assert {(e.path, e.state) for e in job.code.overlay} == {("code.sh", "modified"), ("config.json", "untracked")}
    assert not (clone / "config.json").exists()


@needs_tracer
def test_each_step_at_its_own_commit(tree: Path, roar: Roar, git: Git) -> None:
    (tree / "step.sh").write_text("echo one > one.out\n")
    (tree / "only-first").write_text("x\n")
    commit(tree, git)
    roar("run", "-q", "sh", "step.sh")
    (tree / "step.sh").write_text("ls > listing; cat one.out > two.out\n")
    (tree / "only-first").unlink()
    (tree / "one.out").write_text("one\n")
    commit(tree, git, "second, with the first one's result")
    roar("run", "-q", "sh", "step.sh")
    first, second = (job for _, job in jobs(tree))
    assert first.code.commit != second.code.commit
    clone = shared(tree, git)
    done = Roar(clone)("reproduce", "-y", "--force", "--json", "two.out")
    assert verdicts(done) == {"one.out": "identical", "listing": "identical", "two.out": "identical"}
    assert [job.code.commit for job in reproductions(clone)] == [first.code.commit, second.code.commit]


@needs_tracer
def test_a_version_that_was_written_over(tree: Path, roar: Roar, git: Git) -> None:
    commit(tree, git)
    roar("run", "-q", "sh", "-c", "echo 1 > x")
    roar("run", "-q", "sh", "-c", "cat x > before")
    roar("run", "-q", "sh", "-c", "echo 2 >> x")
    (tree / "x").rename(tree / "y")
    roar("run", "-q", "sh", "-c", "cat y before > both")
    assert set(verdicts(roar("reproduce", "-y", "--force", "--json", "both")).values()) == {"identical"}


@needs_tracer
def test_a_repository_without_commits(tmp_path: Path, git: Git) -> None:
    tree = tmp_path / "young"
    tree.mkdir()
    git(tree, "init", "-q")
    (tree / "make.sh").write_text("echo young > out\n")
    roar = Roar(tree)
    roar("run", "-q", "sh", "make.sh")
    (tree / "make.sh").unlink()
    assert verdicts(roar("reproduce", "-y", "--json", "out")) == {"out": "identical"}
    assert git(tree, "status", "--porcelain") == "?? out"


@needs_tracer
def test_names_of_any_bytes_and_folders(tree: Path, roar: Roar, git: Git) -> None:
    commit(tree, git)
    (tree / "deep er").mkdir()
    script = "mkdir -p 'o\"ut'; printf x > \"$(printf 'caf\\351')\"; printf y > 'o\"ut/new\nline'"
    roar("run", "-q", "sh", "-c", script, cwd=tree / "deep er")
    roar("run", "-q", "sh", "-c", "cat deep*/caf* deep*/o*/* > all")
    done = roar("reproduce", "-y", "--force", "--json", "all")
    assert verdicts(done) == {
        "//bytes/deep er/caf%E9": "identical",
        'deep er/o"ut/new\nline': "identical",
        "all": "identical",
    }
    assert b"\\n" in roar("reproduce", "-y", "--force", "all").stdout


@needs_tracer
def test_the_recorded_root_is_mapped(tree: Path, roar: Roar, git: Git) -> None:
    (tree / "in").write_text("in\n")
    commit(tree, git)
    roar("run", "-q", "cp", f"{tree}/in", f"{tree}/out")
    clone = shared(tree, git)
    assert verdicts(Roar(clone)("reproduce", "-y", "--json", "out")) == {"out": "identical"}
    assert sorted(os.listdir(clone)) == [".git", "README", "in"]


# The user's repository


@needs_tracer
def test_steps_that_use_git_do_not_reach_the_users_repository(tree: Path, roar: Roar, git: Git) -> None:
    commit(tree, git)
    git(tree, "tag", "v1")
    (tree / "README").write_text("changed, and left so\n")
    git(tree, "stash")
    (tree / "README").write_text("changed, and left so again\n")
    (tree / ".git/hooks/post-checkout").write_text(f"#!/bin/sh\ntouch {tree.parent}/hook\n")
    (tree / ".git/hooks/post-checkout").chmod(0o755)
    script = (
        "git describe --tags > version; git tag mine; git config x.y z; git branch other; git stash list >> version"
    )
    roar("run", "-q", "sh", "-c", script)
    for words in (["tag", "-d", "mine"], ["branch", "-D", "other"], ["config", "--unset", "x.y"]):
        git(tree, *words)
    git(tree, "config", "core.splitIndex", "true")
    before = state(tree, git)
    roar("reproduce", "-y", "version", code=None)
    assert state(tree, git) == before
    assert not (tree.parent / "hook").exists()


@needs_tracer
@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_an_interrupt_leaves_nothing(tree: Path, roar: Roar, git: Git, sealed: Path, how: signal.Signals) -> None:
    marker, go = tree.parent / "marker", tree.parent / "go"
    go.touch()
    (tree / "step.sh").write_text(f"echo $$ > {marker}; [ -e {go} ] || sleep 60; echo x > x\n")
    commit(tree, git)
    roar("run", "-q", "sh", "step.sh")
    marker.unlink()
    go.unlink()
    before = state(tree, git)
    with subprocess.Popen(
        [sys.executable, "-m", "roar", "reproduce", "-y", "x"], cwd=tree, stderr=subprocess.PIPE, stdout=subprocess.PIPE
    ) as program:
        pid = wait_for(marker)
        assert len(areas(sealed)) == 1
        program.send_signal(how)
        _, said = program.communicate(timeout=30)
    assert program.returncode == 130, said
    assert b"Traceback" not in said
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
    assert areas(sealed) == [] and state(tree, git) == before


@needs_tracer
def test_what_a_killed_one_leaves_is_cleared_by_the_next(tree: Path, roar: Roar, git: Git, sealed: Path) -> None:
    marker, go = tree.parent / "marker", tree.parent / "go"
    go.touch()
    (tree / "step.sh").write_text(f"echo $$ > {marker}; [ -e {go} ] || sleep 60; echo x > x\n")
    commit(tree, git)
    roar("run", "-q", "sh", "step.sh")
    marker.unlink()
    go.unlink()
    before = state(tree, git)
    with subprocess.Popen([sys.executable, "-m", "roar", "reproduce", "-y", "x"], cwd=tree) as program:
        pid = wait_for(marker)
        program.kill()
    assert state(tree, git) == before
    assert len(areas(sealed)) == 1
    os.kill(pid, signal.SIGKILL)
    go.touch()
    kept = roar("reproduce", "-y", "--keep", "--json", "x").stdout
    (area,) = areas(sealed)
    assert Path(json.loads(kept)["work_area"]).parent.name == area
    roar("reproduce", "-y", "x")
    assert areas(sealed) == [area], "what was to be kept is kept"


def wait_for(marker: Path) -> int:
    """The number that a step writes into a file once it runs."""
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        if marker.exists() and (text := marker.read_text()).endswith("\n"):
            return int(text)
        time.sleep(0.02)
    raise AssertionError("the step did not start")


# Records that come from anybody


@needs_tracer
@pytest.mark.parametrize(
    "more",
    [
        {"outputs": {"../../../escaped": "x"}},
        {"cwd": "../.."},
        {"code": {"overlay": [{"path": ".git/hooks/post-checkout", "state": "deleted"}]}},
    ],
    ids=str,
)
def test_a_hostile_record_runs_nothing(tree: Path, roar: Roar, git: Git, more: dict[str, Any]) -> None:
    commit(tree, git)
    outputs = {"out": "out", **more.pop("outputs", {})}
    values = make.fields(["touch", str(tree.parent / "ran")], {}, outputs, **more)
    values["environment"] = {"machine": values["environment"]["machine"]}
    make.put(discover(str(tree)), values)
    done = roar("reproduce", "-y", make.digest("out"), code=1)
    assert b"leaves the work area" in done.stderr or b"outside of its repository" in done.stderr
    assert not (tree.parent / "ran").exists()


@needs_tracer
def test_a_link_in_the_commit_leads_no_write_out(tree: Path, roar: Roar, git: Git) -> None:
    victim = tree.parent / "victim"
    victim.mkdir()
    (victim / "file").write_text("precious")
    (tree / "folder").symlink_to(victim)
    head = commit(tree, git)
    overlay = [{"path": "folder/file", "state": "untracked", "hash": make.digest("evil"), "size": 4, "data": b"evil"}]
    values = make.fields(
        ["sh", "-c", "echo out > out"],
        {"folder/file": "evil"},
        {"out": "out\n"},
        code={"commit": head, "overlay": overlay},
    )
    values["environment"] = {"machine": values["environment"]["machine"]}
    make.put(discover(str(tree)), values)
    done = roar("reproduce", "-y", "out" if (tree / "out").exists() else make.digest("out\n"), code=1)
    assert b"is no folder in the work area" in done.stderr
    assert (victim / "file").read_text() == "precious"


@needs_tracer
def test_odd_words_are_words(tree: Path, roar: Roar, git: Git) -> None:
    commit(tree, git)
    values = make.fields(["--help", "; touch ran", "$(touch ran)"], {}, {"out": "out"})
    values["environment"] = {"machine": values["environment"]["machine"]}
    make.put(discover(str(tree)), values)
    done = roar("reproduce", "-y", make.digest("out"), code=1)
    assert b"not run" in done.stdout
    assert sorted(os.listdir(tree)) == [".git", "README"]


def test_names_that_cannot_be_made_again(tree: Path, roar: Roar, git: Git) -> None:
    make.job(discover(str(tree)), "true", {"in": "in"}, {"out": "out"}, code={"commit": git(tree, "rev-parse", "HEAD")})
    assert b"no recorded job made" in roar("reproduce", make.digest("in"), code=1).stderr
    assert b"is a commit" in roar("reproduce", "HEAD", code=2).stderr
    # the bytes of an input that some job copied: it is not a way to make the input
    (tree / "a").write_text("a\n")
    make.job(discover(str(tree)), "cp a b", {"a": "a\n"}, {"b": "a\n"})
    said = roar("reproduce", "--plan", "a", code=1).stderr
    assert f"no recorded job made a (next: roar reproduce {make.digest('a' + chr(10))[:12]}, ".encode() in said
    roar("reproduce", "ffffffff", code=1)
    roar("reproduce", code=2)


def test_a_mistyped_name_without_a_network(tree: Path, roar: Roar, git: Git) -> None:
    git(tree, "remote", "add", "origin", str(tree.parent / "nowhere"))
    said = roar("reproduce", "mistyped", code=1).stderr
    assert b"mistyped is not recorded here, and origin cannot be reached (next: git fetch origin)" in said
    said = roar("reproduce", "@7", code=1).stderr
    assert b"there is no step @7" in said and b"fetching" not in said


@needs_tracer
def test_what_the_record_does_not_know_is_not_called_identical(tree: Path, roar: Roar, git: Git) -> None:
    head = commit(tree, git)
    for outputs, code in (({"a": None}, 1), ({"a": None, "b": "b\n"}, 0)):
        values = make.fields(["sh", "-c", "echo a > a; echo b > b"], {}, outputs, code={"commit": head})
        values["environment"] = {"machine": values["environment"]["machine"]}
        job = make.put(discover(str(tree)), values)
        done = roar("reproduce", "-y", "--json", job, code=code)
        assert verdicts(done)["a"] == "unknown"


# Environments


@needs_tracer
def test_the_recorded_packages_are_installed(
    tree: Path, roar: Roar, git: Git, package: Path, sealed: Path, new_venv: NewVenv
) -> None:
    own = new_venv(tree)
    subprocess.run([own, "-m", "pip", "install", "-q", "shout-tiny==1.0"], check=True)
    (tree / ".gitignore").write_text(".venv/\n")
    (tree / "say.py").write_text("import shout, sys\nopen('said', 'w').write(shout.shout('hello'))\n")
    (tree / "Makefile.sh").write_text(".venv/bin/python say.py; mv said said-by-script\n")
    commit(tree, git)
    roar("run", "-q", ".venv/bin/python", "say.py", PYTHONPATH="")
    roar("run", "-q", "sh", "Makefile.sh", PYTHONPATH="")
    recorded = jobs(tree)[0][1].environment.pythons
    assert [(p.name, p.version) for p in recorded[0].read] == [("shout-tiny", "1.0")]
    clone = shared(tree, git)
    plan = Roar(clone)("reproduce", "--plan", "said").stdout.decode()
    assert f"{sys.version.split()[0]}, 1 package that it read" in plan
    done = Roar(clone)("reproduce", "-y", "--json", "said")
    assert verdicts(done) == {"said": "identical"}
    assert b"building an environment" in done.stderr
    done = Roar(clone)("reproduce", "-y", "--json", "said-by-script")
    assert verdicts(done) == {"said-by-script": "identical"}
    assert b"building an environment" not in done.stderr, "it is shared"
    again = reproductions(clone)[-1]
    assert [(p.name, p.version) for p in again.environment.pythons[0].read] == [("shout-tiny", "1.0")]
    assert len(os.listdir(sealed / "cache/roar/environments")) == 2  # the environment and its lock


BACKEND = """
import os, zipfile

def build_editable(folder, settings=None, metadata=None):
    name = "own_tool-0.1-py3-none-any.whl"
    files = {
        "own_tool.pth": os.path.abspath("src") + "\\n",
        "own_tool-0.1.dist-info/METADATA": "Metadata-Version: 2.1\\nName: own-tool\\nVersion: 0.1\\n",
        "own_tool-0.1.dist-info/WHEEL": "Wheel-Version: 1.0\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n",
    }
    record = "".join(f"{path},,\\n" for path in files) + "own_tool-0.1.dist-info/RECORD,,\\n"
    with zipfile.ZipFile(os.path.join(folder, name), "w") as archive:
        for path, text in {**files, "own_tool-0.1.dist-info/RECORD": record}.items():
            archive.writestr(path, text)
    return name
"""


@needs_tracer
def test_a_project_installed_to_be_edited_comes_from_the_commit(
    tree: Path, roar: Roar, git: Git, package: Path, sealed: Path, new_venv: NewVenv
) -> None:
    (tree / "src").mkdir()
    (tree / "src/own_tool.py").write_text("TEXT = 'as committed'\n")
    (tree / "backend.py").write_text(BACKEND)
    (tree / "pyproject.toml").write_text(
        "[build-system]\nrequires = []\nbuild-backend = 'backend'\nbackend-path = ['.']\n"
        "[project]\nname = 'Own.Tool'\nversion = '0.1'\n"
    )
    (tree / "use.py").write_text("import own_tool, shout\nopen('used', 'w').write(shout.shout(own_tool.TEXT))\n")
    (tree / ".gitignore").write_text(".venv/\n__pycache__/\n")
    own = new_venv(tree)
    subprocess.run([own, "-m", "pip", "install", "-q", "shout-tiny==1.0", "-e", tree], check=True)
    commit(tree, git)
    roar("run", "-q", ".venv/bin/python", "use.py", PYTHONPATH="")
    read = jobs(tree)[0][1].environment.pythons[0].read
    assert [(p.name, p.source) for p in read] == [("own-tool", "editable"), ("shout-tiny", None)]
    clone = shared(tree, git)
    (clone / "src/own_tool.py").write_text("TEXT = 'changed since'\n")
    assert verdicts(Roar(clone)("reproduce", "-y", "--json", "used")) == {"used": "identical"}
    assert not (sealed / "cache/roar/environments").exists(), "it belongs to these files alone"


@needs_tracer
def test_a_package_that_cannot_be_had(tree: Path, roar: Roar, git: Git, package: Path) -> None:
    head = commit(tree, git)
    values = make.fields([ME, "-c", "open('out', 'w').write('out')"], {}, {"out": "out"}, code={"commit": head})
    python = {
        "version": sys.version.split()[0],
        "implementation": sys.implementation.name,
        "executable": f"/usr/bin/{ME}",
        "read": [{"name": "shout-tiny", "version": "9.9"}],
    }
    values["environment"] = {"machine": values["environment"]["machine"], "pythons": [python]}
    make.put(discover(str(tree)), values)
    done = roar("reproduce", "-y", make.digest("out"), code=1)
    assert b"the environment cannot be built: " in done.stderr and b"shout-tiny==9.9" in done.stderr
    assert reproductions(tree) == []
    done = roar("reproduce", "-y", "--env", "current", "--json", make.digest("out"))
    assert verdicts(done) == {"out": "identical"}
