"""Settings: where they come from, what is said of mistakes, and that each has its effect in a real run."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from fnmatch import fnmatchcase
from pathlib import Path

import make
import orjson
import pytest
from conftest import ROOT, Git, Roar, needs_tracer
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from test_log import on_a_terminal

from roar.config import read
from roar.config.change import Place
from roar.config.describe import markdown
from roar.config.globs import Globs
from roar.config.model import KEYS, Settings
from roar.errors import ConfigError
from roar.git.repository import Repository, discover
from roar.journal import read as journal
from roar.records import codec
from roar.records.job import Job


def last(tree: Path) -> Job:
    repo = discover(str(tree))
    records = [codec.decode(i.body) for i in journal.since(repo, journal.tips(repo).values()) if hasattr(i, "body")]
    return max((r for r in records if isinstance(r, Job)), key=lambda job: job.clock)


def left_out(job: Job) -> dict[str, int]:
    return {item.reason: item.count for item in job.left_out}


def gaps(job: Job) -> dict[str, str]:
    return {gap.reason: gap.detail for gap in job.incomplete}


def inputs(job: Job) -> set[str]:
    return {file.path for file in job.inputs}


# Where values come from


def test_without_any_setting_there_are_defaults(repo: Repository) -> None:
    assert read.gather(repo) == []
    assert read.load(repo).settings == Settings()


def test_the_stronger_place_wins(repo: Repository, tree: Path, git: Git, monkeypatch: pytest.MonkeyPatch) -> None:
    def total() -> int:
        return read.load(repo).settings.overlay.max_total_size

    (tree / ".roarconfig").write_text('[roar "overlay"]\n\tenabled = no\n\texclude = a\n')
    assert not read.load(repo).settings.overlay.enabled
    git(tree, "config", "--global", "roar.overlay.enabled", "true")
    assert read.load(repo).settings.overlay.enabled
    git(tree, "config", "--global", "roar.overlay.maxTotalSize", "1k")
    assert total() == 1 << 10
    git(tree, "config", "roar.overlay.maxTotalSize", "2m")
    assert total() == 2 << 20
    git(tree, "config", "extensions.worktreeConfig", "true")
    git(tree, "config", "--worktree", "roar.overlay.maxTotalSize", "3g")
    assert total() == 3 << 30
    monkeypatch.setenv("GIT_CONFIG_COUNT", "1")
    monkeypatch.setenv("GIT_CONFIG_KEY_0", "roar.overlay.MAXtotalSIZE")
    monkeypatch.setenv("GIT_CONFIG_VALUE_0", "4")
    assert total() == 4
    monkeypatch.setenv("ROAR_OVERLAY_MAX_TOTAL_SIZE", "5")
    assert total() == 5


def test_repeated_values_come_together(repo: Repository, tree: Path, git: Git, monkeypatch: pytest.MonkeyPatch) -> None:
    def globs() -> tuple[str, ...]:
        return read.load(repo).settings.filters.exclude

    (tree / ".roarconfig").write_text('[roar "filters"]\n\texclude = team\n')
    git(tree, "config", "--global", "--add", "roar.filters.exclude", "mine")
    (tree / ".git" / "more").write_text('[roar "filters"]\n\texclude = included\n')
    git(tree, "config", "include.path", "more")
    assert globs() == ("team", "mine", "included")
    git(tree, "config", "--add", "roar.filters.exclude", "")
    git(tree, "config", "--add", "roar.filters.exclude", "alone")
    assert globs() == ("alone",)
    monkeypatch.setenv("ROAR_FILTERS_EXCLUDE", "one\ntwo")
    assert globs() == ("one", "two")


def test_the_shared_file_may_neither_run_nor_leak(repo: Repository, tree: Path) -> None:
    (tree / ".roarconfig").write_text(
        '[include]\n\tpath = evil\n[roar "redact"]\n\tenabled = false\n\tnames = PIN\n[roar "logging"]\n\tfile = /x\n'
        '[roar "env.LD_PRELOAD"]\n\tvalue = /evil.so\n[other "tool"]\n\tkey = 1\n'
    )
    (tree / "evil").write_text('[roar "redact"]\n\tnames = INCLUDED\n')
    found = read.load(repo)
    assert found.settings == Settings()._replace(redact=Settings().redact._replace(names=("PIN",)))
    assert found.variables == {}
    assert found.ignored == ["roar.redact.enabled", "roar.logging.file", "roar.env.LD_PRELOAD.value"]
    (tree / ".roarconfig").unlink()
    os.mkfifo(tree / ".roarconfig")
    with pytest.raises(ConfigError, match="no regular file"):
        read.load(repo)


# Mistakes


@pytest.mark.parametrize(
    ("text", "line", "said", "near"),
    [
        ('[roar "output"]\n\tquite = true\n', 2, "there is no setting roar.output.quite", "roar.output.quiet"),
        ('# c\n[roar "output"] quiet = maybe\n', 2, "roar.output.quiet is 'maybe', expected true or false", None),
        ('[roar "overlay"]\n\tmaxTotalSize = 1k\n\tmaxTotalSize = 1q\n', 3, "is '1q', expected a size in bytes", None),
        ('[roar "overlay"]\n\tmaxTotalSize = -1\n', 2, "is '-1'", None),
        ('[roar "tracer"]\n\thashLimit = 8589934592g\n', 2, "expected a size in bytes", None),
        ('[roar "Tracer"]\n\tmechanism = auto\n', 2, "there is no setting roar.Tracer.mechanism", "tracer.mechanism"),
        ('[roar "tracer"]\n\tmechanism = fast\n', 2, "expected auto, ptrace or notify", None),
        ("[roar]\n\tquiet\n", 2, "there is no setting roar.quiet", "roar.output.quiet"),
        ('[roar "redact"]\n\tpatterns = "a(b"\n', 2, "expected a regular expression", None),
        ('[roar "env.NO-NAME"]\n\tvalue = 1\n', 2, "there is no setting roar.env.NO-NAME.value", None),
    ],
)
@pytest.mark.parametrize("file", [".git/config", ".roarconfig"])
def test_a_mistake_names_key_file_line_and_what_was_meant(
    repo: Repository, tree: Path, file: str, text: str, line: int, said: str, near: str | None
) -> None:
    before = (tree / file).read_text() if (tree / file).exists() else ""
    (tree / file).write_text(before + text)
    if file == ".roarconfig" and ("Size" in text or "redact" in text or 'r "tracer"' in text or "output" in text):
        near_is_known = near is None
        if near_is_known:  # may not stand there, so that its value does not matter
            assert read.load(repo).ignored
            return
    with pytest.raises(ConfigError) as caught:
        read.load(repo)
    assert caught.value.message.startswith(f"{tree / file} line {before.count(chr(10)) + line}: ")
    assert said in caught.value.message
    if near:
        assert near in (caught.value.hint or "")


def test_a_mistake_in_the_environment(repo: Repository, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ROAR_SOMETHING_ELSE", "1")
    assert read.load(repo).settings == Settings()
    monkeypatch.setenv("ROAR_TRACER_MECHANISN", "ptrace")
    with pytest.raises(ConfigError) as caught:
        read.load(repo)
    assert caught.value.message == "in the environment: there is no setting ROAR_TRACER_MECHANISN"
    assert "ROAR_TRACER_MECHANISM" in (caught.value.hint or "")


@needs_tracer
def test_with_a_mistake_nothing_is_run(roar: Roar, tree: Path, git: Git) -> None:
    git(tree, "config", "roar.output.quiet", "perhaps")
    sub = tree / "sub"
    sub.mkdir()
    done = roar("run", "touch", "made", code=125, cwd=sub)
    assert done.stderr.startswith(f"roar: {tree}/.git/config line ".encode())
    assert done.stderr.count(b"\n") == 1
    assert not (sub / "made").exists()
    for words in (["log"], ["status"], ["recover"]):
        again = roar(*words, code=1, cwd=sub)
        assert again.stderr == done.stderr
    roar("log", "-h", cwd=sub)
    assert b"line" in roar("config", "list", code=1).stderr
    roar("config", "set", "output.quiet", "true")
    roar("log")
    git(tree, "config", "roar.outptu.quiet", "1")
    roar("config", "unset", "outptu.quiet")
    roar("log")
    (tree / ".roarconfig").write_text('[roar "filters"\n')
    done = roar("run", "true", code=125)
    assert b".roarconfig" in done.stderr and done.stderr.count(b"\n") == 1


@given(st.sampled_from(sorted(KEYS)), st.text(max_size=40))
@settings(max_examples=300)
def test_any_text_is_a_value_or_an_error(name: str, text: str) -> None:
    key = KEYS[name]
    try:
        value = key.kind.parse(text)
    except ValueError:
        return
    if text and not key.kind.many:
        assert key.kind.parse(key.kind.show(value)) == value


# Globs


@pytest.mark.parametrize(
    ("glob", "path", "matches"),
    [
        ("*.log", "/r/a/b/c.log", True),
        ("*.log", "/r/a.log/c", True),
        ("r", "/r/a", False),  # the name of the work tree itself
        ("scratch/", "/r/a/scratch/x", True),
        ("a/*.csv", "/r/a/x.csv", True),
        ("a/*.csv", "/r/b/a/x.csv", False),
        ("a/*.csv", "/r/a/b/x.csv", False),
        ("**/a/*.csv", "/r/b/a/x.csv", True),
        ("a/**/x", "/r/a/x", True),
        ("a/**/x", "/r/a/b/c/x", True),
        ("/data/*", "/data/a/b", True),
        ("/data/*", "/r/data/a", False),
        ("~/models", "/home/ada/models/m.bin", True),
        ("~/models", "/home/adam/models/m.bin", False),
        ("[ab].txt", "/r/a.txt", True),
        ("./a", "/r/a", True),
        ("/", "/anything", True),
        ("*.log", "/var/x.log", True),
    ],
)
def test_globs(monkeypatch: pytest.MonkeyPatch, glob: str, path: str, matches: bool) -> None:
    monkeypatch.setenv("HOME", "/home/ada")
    assert Globs([glob], "/r").match(path) is matches


def test_a_hostile_glob_takes_no_time() -> None:
    name = "a" * 200
    assert not Globs(["/" + "**/a*/" * 100 + "b"], "/r").match("/r/" + "/".join(["aa"] * 500))
    assert not Globs(["*a" * 100 + "b"], "/r").match(f"/r/{name}")


# Effects in a real run


@needs_tracer
class TestEffects:
    def test_quiet(self, roar: Roar, tree: Path, git: Git) -> None:
        assert roar("run", "true").stderr
        git(tree, "config", "roar.output.quiet", "true")
        assert roar("run", "true").stderr == b""
        assert roar("run", "true", ROAR_OUTPUT_QUIET="off").stderr

    def test_color(self, roar: Roar, tree: Path, git: Git, monkeypatch: pytest.MonkeyPatch) -> None:
        git(tree, "config", "roar.output.color", "always")
        assert b"\x1b[" not in roar("run", "true").stderr  # NO_COLOR
        monkeypatch.delenv("NO_COLOR")
        assert b"\x1b[" in roar("run", "true").stderr
        assert b"\x1b[" in roar("log").stdout
        git(tree, "config", "roar.output.color", "never")
        assert b"\x1b[" not in roar("log").stdout

    def test_excluded_files_are_counted(self, roar: Roar, tree: Path, git: Git) -> None:
        (tree / "a.csv").write_text("a")
        (tree / "a.log").write_text("a")
        (tree / ".roarconfig").write_text('[roar "filters"]\n\texclude = *.log\n')
        roar("run", "-q", "sh", "-c", "cat a.csv a.log > out.csv; cp a.csv b.log")
        job = last(tree)
        assert {"a.csv"} <= inputs(job) and "a.log" not in inputs(job)
        assert [file.path for file in job.outputs] == ["out.csv"]
        assert left_out(job)["excluded"] == 1 and left_out(job)["excluded (written)"] == 1

    def test_included_files_and_lists_of_the_system(self, roar: Roar, tree: Path, git: Git, sealed: Path) -> None:
        (sealed / ".tool").mkdir()
        (sealed / ".tool" / "rc").write_text("x")
        roar("run", "-q", "cat", str(sealed / ".tool" / "rc"), "/etc/passwd")
        assert inputs(last(tree)) == set()
        git(tree, "config", "roar.filters.include", "~/.tool/")
        roar("run", "-q", "cat", str(sealed / ".tool" / "rc"), "/etc/passwd")
        assert inputs(last(tree)) == {str(sealed / ".tool" / "rc")}
        roar("run", "-q", "cat", "/etc/passwd", ROAR_FILTERS_IGNORE_SYSTEM="no")
        assert "/etc/passwd" in inputs(last(tree)) and "system" not in left_out(last(tree))
        roar(
            "run", "-q", "cat", str(sealed / ".tool" / "rc"), ROAR_FILTERS_IGNORE_SETTINGS="0", ROAR_FILTERS_INCLUDE=""
        )
        assert inputs(last(tree)) == {str(sealed / ".tool" / "rc")}

    def test_packages_caches_and_temporary_files(self, roar: Roar, tree: Path, git: Git, sealed: Path) -> None:
        cache = sealed / ".cache" / "pip"
        cache.mkdir(parents=True)
        (cache / "x").write_text("x")
        temporary = sealed / "tmp"
        temporary.mkdir()
        (temporary / "y").write_text("y")
        words = ("cat", str(cache / "x"), str(temporary / "y"))
        env = {"TMPDIR": str(temporary), "XDG_CACHE_HOME": ""}
        roar("run", "-q", *words, **env)
        assert inputs(last(tree)) == {str(temporary / "y")}
        roar("run", "-q", *words, **env, ROAR_FILTERS_IGNORE_TMP="yes", ROAR_FILTERS_IGNORE_CACHES="no")
        assert left_out(last(tree))["temporary"] >= 1
        assert str(temporary / "y") not in inputs(last(tree))
        roar("run", "-q", sys.executable, "-c", "import json", ROAR_FILTERS_IGNORE_PACKAGES="no")
        assert "package" not in left_out(last(tree)) and "bytecode" in left_out(last(tree))

    def test_the_overlay(self, roar: Roar, tree: Path, git: Git) -> None:
        (tree / "README").write_text("changed\n")
        (tree / "new.py").write_text("x = 1\n" * 100)
        words = ("cat", "README", "new.py")
        roar("run", "-q", *words)
        assert {e.path for e in last(tree).code.overlay} == {"README", "new.py"}
        for setting, lacking in (
            ({"ROAR_OVERLAY_ENABLED": "false"}, {"README", "new.py"}),
            ({"ROAR_OVERLAY_EXCLUDE": "*.py"}, {"new.py"}),
            ({"ROAR_OVERLAY_MAX_UNTRACKED_SIZE": "500"}, {"new.py"}),
            ({"ROAR_OVERLAY_MAX_MODIFIED_SIZE": "5"}, {"README"}),
            ({"ROAR_OVERLAY_MAX_TOTAL_SIZE": "100"}, {"new.py"}),
        ):
            roar("run", "-q", *words, **setting)
            job = last(tree)
            assert {e.path for e in job.code.overlay} == {"README", "new.py"} - lacking
            assert all(name in gaps(job)["code-not-kept"] for name in lacking), gaps(job)
        roar("run", "-q", "--no-overlay", *words)
        assert last(tree).code.overlay == []
        assert "turned off" in gaps(last(tree))["code-not-kept"]

    def test_the_tracer(self, roar: Roar, tree: Path, git: Git) -> None:
        git(tree, "config", "roar.tracer.mechanism", "ptrace")
        roar("run", "-q", "true")
        assert last(tree).tracer.mechanism == "ptrace"
        (tree / "big").write_bytes(b"x" * 2048)
        git(tree, "config", "roar.tracer.hashLimit", "1k")
        roar("run", "-q", "sh", "-c", "echo >> big")
        assert "hash limit" in gaps(last(tree))["input-unknown"]
        clock = last(tree).clock
        done = roar("run", "sh", "-c", "echo ran; exit 3", code=3, ROAR_TRACER_ENABLED="no")
        assert done.stdout == b"ran\n" and b"not recorded" in done.stderr
        assert last(tree).clock == clock

    def test_network_and_lookups_are_counted_only(self, roar: Roar, tree: Path) -> None:
        connect = "import socket; socket.socket().connect_ex(('127.0.0.1', 9))"
        words = ("run", "-q", "sh", "-c", f'{sys.executable} -c "{connect}"; cat nowhere.txt 2>/dev/null || true')
        roar(*words)
        assert last(tree).network and "nowhere.txt" in last(tree).not_found
        roar(*words, ROAR_TRACER_NETWORK="no", ROAR_TRACER_FAILED_LOOKUPS="no")
        job = last(tree)
        assert job.network == [] and job.not_found == []
        assert left_out(job)["network address"] == 1 and left_out(job)["failed look-up"] >= 1

    def test_the_environment(self, roar: Roar, tree: Path, git: Git) -> None:
        git(tree, "config", "--add", "roar.environment.variables", "MY_*")
        git(tree, "config", "--add", "roar.environment.variables", "OTHER")
        roar("run", "-q", sys.executable, "-c", "import pydantic", MY_FLAG="1", OTHER="2", ELSE="3")
        job = last(tree)
        assert {"MY_FLAG": "1", "OTHER": "2"}.items() <= job.environment.variables.items()
        assert "ELSE" not in job.environment.variables
        assert job.environment.pythons[0].read and job.environment.machine.cores
        (tree / ".roarconfig").write_text('[roar "environment"]\n\tpackages = false\n\thardware = false\n')
        roar("run", "-q", sys.executable, "-c", "import pydantic; open('out', 'w').write('1')")
        done = roar("reproduce", "--plan", "out", code=None)
        assert b"its packages were not recorded" in done.stdout + done.stderr
        job = last(tree)
        (python,) = job.environment.pythons
        assert python.version and not python.read and not python.installed
        assert left_out(job)["package version"] > 1
        assert job.environment.machine.system and not job.environment.machine.hostname
        assert not job.environment.machine.cores

    def test_redaction(self, roar: Roar, tree: Path, git: Git) -> None:
        (tree / "new.py").write_text("x = 'ACME-1234'\n")
        words = ("run", "-q", "sh", "-c", "cat new.py", "ACME-1234", "hunter2hunter2", "--pin=93", "--key-id", "plain")
        roar(*words)
        assert last(tree).command.argv == list(words[2:])
        git(tree, "config", "roar.redact.patterns", "ACME-[0-9]+")
        git(tree, "config", "--global", "roar.redact.values", "hunter2hunter2")
        (tree / ".roarconfig").write_text('[roar "redact"]\n\tnames = pin\n')
        roar(*words, API_KEY="x", ROAR_ENVIRONMENT_VARIABLES="API_KEY\nPIN", PIN="77")
        job = last(tree)
        assert job.command.argv[3:6] == ["[redacted:pattern]", "[redacted:value]", "--pin=[redacted:secret]"]
        assert job.environment.variables["API_KEY"] == job.environment.variables["PIN"] == "[redacted:secret]"
        assert "looks like a secret" in gaps(job)["code-not-kept"]
        record = git(tree, "log", "-1", "-p", "--format=%B", "--glob=refs/roar/jobs/*")
        added = [line for line in record.splitlines() if not line.startswith("-")]
        assert not [line for line in added if "hunter2" in line or "ACME" in line]
        git(tree, "config", "roar.redact.allow", "API_*")
        roar(*words, API_KEY="x", ROAR_ENVIRONMENT_VARIABLES="API_KEY")
        assert last(tree).environment.variables["API_KEY"] == "x"
        git(tree, "config", "roar.redact.enabled", "false")
        roar(*words)
        assert last(tree).command.argv == list(words[2:])
        assert "redacted" not in gaps(last(tree))

    def test_logging(self, roar: Roar, tree: Path, git: Git, sealed: Path) -> None:
        git(tree, "config", "roar.logging.level", "info")
        git(tree, "config", "roar.logging.file", "~/roar.log")
        roar("run", "-q", "true")
        assert "recorded" in (sealed / "roar.log").read_text()
        roar("show", "nothing-like-it", code=None)
        assert "nothing-like-it" in (sealed / "roar.log").read_text()
        git(tree, "config", "roar.logging.file", "/nowhere/roar.log")
        assert b"roar.logging.file" in roar("log", code=1).stderr

    def test_what_may_not_be_shared_is_said(self, roar: Roar, tree: Path) -> None:
        (tree / ".roarconfig").write_text('[roar "redact"]\n\tenabled = false\n')
        done = roar("run", "true")
        assert b"ignored in .roarconfig: roar.redact.enabled" in done.stderr
        assert roar("run", "-q", "true").stderr == b""

    def test_a_reproduction_follows_the_settings(self, roar: Roar, tree: Path, git: Git) -> None:
        (tree / ".roarconfig").write_text('[roar "output"]\n\tquite = true\n')
        git(tree, "add", ".roarconfig")
        git(tree, "commit", "-qm", "a mistake")
        (tree / ".roarconfig").unlink()  # mended here: what a commit shares has no say in its reproduction
        roar("run", "-q", "sh", "-c", "echo 1 > out.txt")
        git(tree, "config", "roar.tracer.mechanism", "ptrace")
        git(tree, "config", "roar.environment.hardware", "no")
        roar("reproduce", "-y", "--env", "current", "out.txt")
        job = last(tree)
        assert job.reproduces and job.tracer.mechanism == "ptrace" and not job.environment.machine.cores


# Options of run, and variables kept for it


@needs_tracer
class TestRun:
    def test_variables(self, roar: Roar, tree: Path) -> None:
        script = ("sh", "-c", 'echo "$A|$B|$C"')
        roar("env", "set", "A=kept", "B=weak one")
        done = roar("run", "-q", "--env", "B=given", "--env=C=x=y", *script)
        assert done.stdout == b"kept|given|x=y\n"
        assert {"A": "kept", "B": "given", "C": "x=y"}.items() <= last(tree).environment.variables.items()
        assert roar("run", "-q", *script, A="from outside").stdout == b"kept|weak one|\n"
        for wrong in ("A", "=x"):
            assert roar("run", "--env", wrong, "true", code=2).stderr.count(b"\n") == 1

    def test_a_secret_variable_is_given_and_not_recorded(self, roar: Roar, tree: Path, git: Git) -> None:
        done = roar("env", "set", "API_TOKEN=s3cr3tvalue77")
        assert b"taken for a secret" in done.stderr and b"s3cr3t" not in done.stderr
        assert roar("run", "-q", "sh", "-c", 'echo "$API_TOKEN"').stdout == b"s3cr3tvalue77\n"
        assert last(tree).environment.variables["API_TOKEN"] == "[redacted:secret]"
        assert b"s3cr3t" not in roar("env", "list").stdout
        assert b"s3cr3t" not in roar("env", "list", "--json").stdout
        assert roar("env", "get", "API_TOKEN").stdout == b"s3cr3tvalue77\n"

    def test_cwd(self, roar: Roar, tree: Path, tmp_path: Path) -> None:
        (tree / "sub").mkdir()
        done = roar("run", "-q", "--cwd", "sub", "sh", "-c", 'echo "$PWD" > here.txt; pwd')
        assert done.stdout.decode().strip() == str(tree / "sub")
        job = last(tree)
        assert job.command.cwd == "sub"
        assert [file.path for file in job.outputs] == ["sub/here.txt"]
        outside = tmp_path / "elsewhere"
        outside.mkdir()
        roar("run", "-q", "--cwd", str(outside), "touch", "x")
        assert last(tree).command.cwd == str(outside)
        assert roar("run", "--cwd", "none", "true", code=2).stderr.count(b"\n") == 1

    def test_timeout(self, roar: Roar, tree: Path) -> None:
        began = time.monotonic()
        done = roar("run", "--timeout", "1", "sh", "-c", "echo begun > out.txt; exec sleep 60", code=143)
        assert time.monotonic() - began < 50
        job = last(tree)
        assert job.exit.signal == 15
        assert gaps(job) == {"timed-out": "ended by --timeout after 1 s"}
        assert b"timed-out" in done.stderr
        assert [file.path for file in job.outputs] == ["out.txt"]
        roar("run", "-q", "--timeout", "60", "true")
        assert gaps(last(tree)) == {}
        for wrong in ("soon", "0", "-1", "nan", "inf"):
            assert roar("run", "--timeout", wrong, "true", code=2).stderr.count(b"\n") == 1

    def test_who_does_not_heed_the_timeout_is_killed(self, tree: Path) -> None:
        code = "import roar.trace.start as s; s.GRACE_SECONDS = 0.5; from roar.__main__ import main; main()"
        script = "trap '' TERM; (trap '' TERM; sleep 60; sleep 60) & while :; do sleep 0.1; done"
        words = [sys.executable, "-c", code, "run", "-q", "--timeout", "0.5", "sh", "-c", script]
        done = subprocess.run(words, cwd=tree, capture_output=True, check=False, timeout=50)
        assert done.returncode == -9 or done.returncode == 137
        assert "timed-out" in gaps(last(tree))

    def test_the_timeout_spares_what_is_not_the_commands(self, tree: Path) -> None:
        run = "import roar.trace.start as s; s.GRACE_SECONDS = 0.5; from roar.__main__ import main; main()"
        words = f"{sys.executable} -c '{run}' run -q --timeout 0.5 sh -c 'trap \"\" TERM; while :; do sleep 0.1; done'"
        shell = f"sleep 300 > {os.devnull} 2>&1 & echo $!; exec {words}"
        done = subprocess.run(["sh", "-c", shell], cwd=tree, capture_output=True, check=False, timeout=50)
        os.kill(int(done.stdout), signal.SIGKILL)  # it is there
        assert last(tree).exit.signal == 9
        assert set(gaps(last(tree))) == {"timed-out"}

    def test_help_has_them(self, roar: Roar) -> None:
        text = roar("run", "-h").stdout
        assert all(word in text for word in (b"--env NAME=VALUE", b"--cwd DIR", b"--timeout SECONDS", b"--no-overlay"))


# The commands


def test_set_get_unset_keep_the_file_as_it_is(roar: Roar, tree: Path) -> None:
    config = tree / ".git" / "config"
    config.write_text(config.read_text() + '# mine\n[roar "overlay"]\n\t; why\n\texclude = a ; here\n\tenabled = yes\n')
    roar("config", "set", "roar.overlay.MAXTOTALSIZE", "7m")
    roar("config", "set", "--add", "overlay.exclude", "b", "c")
    text = config.read_text()
    assert "# mine\n" in text and "; why\n" in text and "exclude = a ; here\n" in text
    assert roar("config", "get", "overlay.maxTotalSize").stdout == b"7m\n"
    assert roar("config", "get", "overlay.exclude").stdout == b"a\nb\nc\n"
    roar("config", "unset", "overlay.exclude")
    assert roar("config", "get", "overlay.exclude").stdout == b""
    assert "; why\n" in config.read_text()
    assert b"is not set in this repository" in roar("config", "unset", "overlay.exclude", code=1).stderr


def test_wrong_words(roar: Roar, tree: Path, tmp_path: Path) -> None:
    for words, code, said in (
        (("set", "output.quite", "1"), 2, b"roar config describe output.quiet"),
        (("set", "output.quiet", "perhaps"), 1, b"expected true or false"),
        (("set", "output.quiet", "true", "false"), 2, b"one value only"),
        (("set", "--add", "output.quiet", "true"), 2, b"one value only"),
        (("set", "--shared", "redact.enabled", "false"), 2, b"may not stand in .roarconfig"),
        (("get", "nothing"), 2, b"there is no setting"),
        (("describe", "filtres"), 2, b"there is no setting"),
        (("unset", "nothing"), 2, b"there is no setting"),
    ):
        done = roar("config", *words, code=code)
        assert said in done.stderr and done.stderr.count(b"\n") == 1, done.stderr
    assert not (tree / ".roarconfig").exists()
    outside = Roar(tmp_path)
    assert b"not a git repository" in outside("config", "set", "output.quiet", "true", code=1).stderr
    outside("config", "set", "--global", "output.quiet", "true")
    assert outside("config", "get", "output.quiet").stdout == b"true\n"


def test_list_and_describe(roar: Roar, tree: Path, sealed: Path) -> None:
    assert b"nothing is set" in roar("config", "list").stderr
    roar("config", "set", "--global", "output.quiet", "true")
    roar("config", "set", "--shared", "filters.exclude", "*.log", "tmp/")
    assert roar("config", "list").stdout.decode().splitlines() == [
        f"roar.output.quiet     true   {sealed}/.gitconfig",
        f"roar.filters.exclude  *.log  {tree}/.roarconfig",
        f"roar.filters.exclude  tmp/   {tree}/.roarconfig",
    ]
    told = {item["key"]: item for item in orjson.loads(roar("config", "list", "--json").stdout)}
    assert len(told) == len(KEYS)
    assert told["roar.filters.exclude"]["value"] == ["*.log", "tmp/"]
    assert len(roar("config", "list", "--all").stdout.splitlines()) > len(KEYS)
    assert b"stronger is what" in roar("config", "set", "output.quiet", "no", ROAR_OUTPUT_QUIET="1").stderr
    text = roar("config", "describe", "overlay").stdout.decode()
    assert "roar.overlay.maxTotalSize  a size in bytes" in text and "roar.output" not in text
    assert orjson.loads(roar("config", "describe", "tracer.mechanism", "--json").stdout)[0]["default"] == "auto"


def test_env_commands(roar: Roar, tree: Path, git: Git, sealed: Path) -> None:
    assert b"no variables are set" in roar("env", "list").stderr
    roar("env", "set", "--user", "TZ=UTC", "lower=x")
    roar("env", "set", "TZ=Europe/Oslo")
    assert git(tree, "config", "roar.env.TZ.value") == "Europe/Oslo"
    assert roar("env", "get", "TZ").stdout == b"Europe/Oslo\n"
    assert roar("env", "list").stdout.decode().splitlines() == [
        f"TZ=Europe/Oslo  {tree}/.git/config",
        f"lower=x         {sealed}/.gitconfig",
    ]
    roar("env", "unset", "TZ")
    assert roar("env", "get", "TZ").stdout == b"UTC\n"
    known = {"name": "TZ", "value": "UTC", "file": f"{sealed}/.gitconfig"}
    assert orjson.loads(roar("env", "get", "TZ", "--json").stdout) == known
    roar("env", "unset", "--global", "TZ", "lower")
    assert b"is not set" in roar("env", "get", "TZ", code=1).stderr
    assert b"is not set" in roar("env", "unset", "TZ", code=1).stderr
    for wrong in ("A", "A-B=1", "=1", "A=1\n2"):
        assert roar("env", "set", wrong, code=2).stderr.count(b"\n") == 1


# The model


def test_every_setting_is_described_and_has_a_name_of_its_own() -> None:
    for key in KEYS.values():
        assert key.help.endswith(".") and len(key.help) > 20
        assert not key.kind.many or key.default == ()
        for word in key.words(key.default):
            assert word == "" or key.kind.parse(word) == key.default
    assert len({key.variable for key in KEYS.values()}) == len(KEYS)


def test_every_setting_is_used() -> None:
    code = "".join(p.read_text() for p in (ROOT / "roar").rglob("*.py") if p.parent.name != "config")
    assert [key.name for key in KEYS.values() if key.field not in code] == []


def test_the_page_is_current() -> None:
    path = ROOT / "docs" / "configuration.md"
    assert path.read_text() == markdown(), "roar config describe --markdown > docs/configuration.md"


@needs_tracer
def test_a_run_asks_git_once_and_reads_the_model_only_when_something_is_set(
    roar: Roar, tree: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = tmp_path / "calls"
    real = shutil.which("git")
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "git").write_text(f'#!/bin/sh\necho "$@" >> {calls}\nexec {real} "$@"\n')
    (tmp_path / "bin" / "git").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:{os.environ['PATH']}")
    roar("run", "-q", "true")
    asked = [line for line in calls.read_text().splitlines() if "--get-regexp" in line]
    assert len(asked) == 1
    code = "import sys, roar.__main__, roar.cli.start; print('roar.config.model' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=tree)
    assert done.stdout == "False\n"


def test_long_answers_go_through_gits_pager_on_a_terminal(
    roar: Roar, tree: Path, repo: Repository, git: Git, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("GIT_PAGER")
    make.job(repo, "python train.py")
    git(tree, "config", "core.pager", "sed 's/^/PAGED /'")
    seen = on_a_terminal(tree, "log", "--oneline")
    assert "PAGED " in seen and "python train.py" in seen
    assert "PAGED" not in on_a_terminal(tree, "status")
    git(tree, "config", "roar.output.pager", "false")
    assert "PAGED" not in on_a_terminal(tree, "log", "--oneline")
    git(tree, "config", "--unset", "roar.output.pager")
    assert b"PAGED" not in roar("log").stdout
    assert on_a_terminal(tree, "show", "nothing-like-it") == ""


@given(st.lists(st.sampled_from(["a", "b", "ab", "*", "**", "a*", "?", "*b"]), min_size=1, max_size=5),
       st.lists(st.sampled_from(["a", "b", "ab", "aab", "ba"]), min_size=1, max_size=5))  # fmt: skip
@settings(max_examples=300)
def test_a_glob_matches_as_its_definition_says(glob: list[str], path: list[str]) -> None:
    def defined(glob: list[str], path: list[str]) -> bool:
        if not glob:
            return True  # everything below a match
        if glob[0] == "**":
            return any(defined(glob[1:], path[n:]) for n in range(len(path) + 1))
        return bool(path) and fnmatchcase(path[0], glob[0]) and defined(glob[1:], path[1:])

    assert Globs(["/" + "/".join(glob)], "/r").match("/" + "/".join(path)) is defined(glob, path)


@given(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=60))
@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_value_comes_back_from_git_as_it_was_set(repo: Repository, value: str) -> None:
    place = Place("local", repo)
    place.put("filters.exclude", ["first", value])
    found = read.load(repo).settings.filters.exclude
    assert found == (("first", value) if value else ())
