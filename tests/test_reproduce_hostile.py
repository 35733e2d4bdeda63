"""Records made to do harm: whatever they hold, nothing but the agreed command runs, and nothing outside is written.

The command itself is harmless; all around it is not. ``ROAR_HOSTILE=N`` says how many records are tried.
"""

from __future__ import annotations

import copy
import json
import os
import random
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import make
import pytest
from conftest import Git, needs_tracer
from test_reproduce import areas, commit, state
from test_safety_input import HOSTILE, places, stream

from roar.cache.index import open_index
from roar.errors import RoarError
from roar.git.repository import Repository
from roar.records import codec
from roar.records.job import Command
from roar.records.summary import command_line
from roar.verbs.inputs import Places
from roar.verbs.planning import Part
from roar.verbs.prepare import Wish, prepare
from roar.verbs.reproduce import reproduce
from roar.verbs.runner import Audience, Manner

COUNT = int(os.environ.get("ROAR_HOSTILE", "40"))
COMMAND = ["sh", "-c", "cat input > out"]


@pytest.fixture
def trap(tmp_path: Path) -> Path:
    """A folder whose programs and modules leave a mark when they run."""
    folder = tmp_path / "trap"
    (folder / "bin").mkdir(parents=True)
    mark = f"#!/bin/sh\ntouch {folder}/ran\n"
    for name in ("sh", "git", "cat", "python", "python3", "git-lfs", "git-annex", "dvc", "bwrap", "uv", "pip"):
        (folder / "bin" / name).write_text(mark)
        (folder / "bin" / name).chmod(0o755)
    (folder / "rc").write_text(f"touch {folder}/ran\n")
    (folder / "sitecustomize.py").write_text(f"open('{folder}/ran', 'w')\n")
    (folder / "victim").write_text("precious")
    (folder / "empty").mkdir()
    return folder


def harmful(dice: random.Random, trap: Path) -> Any:
    """A value that is the right one for many a field, and would do harm in some."""
    up = "../" * 12
    return dice.choice(
        (
            f"{trap}/victim", f"{up}{str(trap)[1:]}/victim", f"{trap}/bin/python", f"{trap}/new", "out/../../../new",
            ".git/hooks/post-checkout", ".git/config", ".GIT/config", "folder", "link/victim", "link/new", "//bytes/..",
            f"ext::sh -c touch% {trap}/ran", f"--upload-pack=touch {trap}/ran;", "-c", "--", "-oProxyCommand=x",
            f"file://{trap}/victim", f"$(touch {trap}/ran)", f"`touch {trap}/ran`", f"'; touch {trap}/ran; '",
            f"\n\ttouch {trap}/ran", "a\0b", "/dev/sda", "/proc/self/environ", 1 << 62, 0o104777, -1, None, [], {}, "",
        )
    )  # fmt: skip


def variables(trap: Path) -> dict[str, str]:
    """What would turn programs to other code or files, were it believed."""
    return {
        "LD_PRELOAD": f"{trap}/x.so", "LD_LIBRARY_PATH": str(trap), "LD_AUDIT": f"{trap}/x.so", "PATH": f"{trap}/bin",
        "BASH_ENV": f"{trap}/rc", "ENV": f"{trap}/rc", "PYTHONPATH": str(trap), "PYTHONSTARTUP": f"{trap}/rc",
        "PYTHONHOME": str(trap), "GIT_DIR": str(trap), "GIT_SSH_COMMAND": f"touch {trap}/ran", "GIT_CONFIG_COUNT": "1",
        "GIT_CONFIG_KEY_0": "core.fsmonitor", "GIT_CONFIG_VALUE_0": f"{trap}/bin/sh", "GIT_EXTERNAL_DIFF": "touch ran",
        "HOME": str(trap), "XDG_CACHE_HOME": str(trap), "TMPDIR": f"{trap}/empty", "IFS": "t", "PS4": "$(touch ran)",
        "ROAR_TRACER": f"{trap}/bin/sh", "OMP_NUM_THREADS": f"$(touch {trap}/ran)", "LC_ALL": f"{trap}/x", "TZ": "/x",
    }  # fmt: skip


def base(head: str, blob: str, trap: Path) -> list[dict[str, Any]]:
    """Two records whose every list has something in it to be changed: the second reads what the first writes."""
    pointer = {"tool": "git-lfs", "oid": "sha256:" + "0" * 64}
    file = {**make.file("input", "raw\n"), "blob": blob, "asked": "asked", "mode": 0o100644}
    far = {**make.file("far.csv", "far"), "pointer": pointer, "asked": "link/far"}
    python = {
        "executable": "/usr/bin/python3", "implementation": "CPython", "version": "3.11.2", "prefix": ".venv",
        "read": [{"name": "shout", "version": "1.0", "source": "git+https://host/x"}],
        "installed": [{"name": "other", "version": "2.0"}],
    }  # fmt: skip
    first = make.fields(COMMAND, {}, {"out": "raw\n"}, at=1)
    first["command"]["redirects"] = [{"fd": 2, "path": "log/errors", "append": True}]
    first["inputs"] = [file]
    first["code"] = {
        "commit": head,
        "remote": "https://host/x",
        "overlay": [{**make.file("input", "raw\n"), "state": "deleted"}],
        "submodules": [{"path": "libs/tool", "commit": head, "remote": "ssh://host/x"}],
        "repositories": [
            {"path": "/nowhere/library", "commit": head, "remote": f"{trap}/bin", "overlay": []},
            {"path": "nested", "commit": head, "overlay": [{**make.file("code.py", "1"), "state": "deleted"}]},
        ],
    }
    first["environment"] = {**first["environment"], "variables": variables(trap), "pythons": [], "umask": 0o22}
    first["environment"]["system_packages"] = [{"manager": "dpkg", "name": "libc6", "version": "1"}]
    second = copy.deepcopy(first)
    second.update(started_ns=first["started_ns"] + make.SECOND, inputs=[make.file("out", "raw\n"), file, far])
    second["outputs"] = [make.file("end", "raw\n", change="created"), make.file("sub/more", "more", change="created")]
    second["environment"]["pythons"] = [python]
    second["hints"] = [{"side": "input", "ref": f"file://{trap}/victim"}]
    for job in (first, second):
        job["code"]["overlay"] = []
    return [first, second]


def bodies(dice: random.Random, trap: Path, head: str, blob: str) -> Iterator[bytes]:
    """Records of which a few places hold something harmful; those that no roar reads are left out."""
    clock = make.START // 1_000_000
    while True:
        clock += 10
        for number, values in enumerate(base(head, blob, trap)):
            record = json.loads(codec.encode(make.draft(values, clock + number, "other")))
            found = [(container, key) for container, key in places(record) if key not in ("format", "kind", "clock")]
            command = record["command"]["argv"]
            for container, key in dice.sample(found, dice.choice((0, 1, 1, 2, 3))):
                if container is not command and key != "argv" and container.__class__ in (dict, list):
                    value = harmful(dice, trap) if dice.random() < 0.7 else dice.choice(HOSTILE)
                    container[key] = value
            try:
                body = json.dumps(record, ensure_ascii=True, sort_keys=True).encode()
                codec.decode(body)
            except (RoarError, ValueError, RecursionError):
                continue
            yield body


def beside(trap: Path) -> dict[str, tuple[int, bytes]]:
    """All that lies in the trap, with permissions."""
    return {str(path): (path.lstat().st_mode, path.read_bytes() if path.is_file() else b"") for path in trap.rglob("*")}


@needs_tracer
def test_hostile_records(
    tree: Path, repo: Repository, git: Git, trap: Path, sealed: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    dice = random.Random(COUNT)
    (tree / "input").write_text("raw\n")
    (tree / "link").symlink_to(trap)
    head = commit(tree, git)
    blob = git(tree, "rev-parse", "HEAD:input")
    made = bodies(dice, trap, head, blob)
    words = ["git", *repo.args(), "fast-import", "--quiet"]
    told = stream("refs/roar-remote/evil/jobs/2025/other", [next(made) for _ in range(COUNT)])
    subprocess.run(words, input=told, check=True, capture_output=True)
    monkeypatch.chdir(tree)
    before, kept = beside(trap), state(tree, git)
    ended: dict[str, int] = {}
    with open(os.devnull, "w") as nowhere:
        audience = Audience(nowhere.fileno(), lambda _: None, lambda _: None, lambda _: None)
        with open_index(repo) as index:
            identifiers = index.jobs()
        assert len(identifiers) > COUNT / 2
        for identifier in identifiers:
            for apart in (False, True) if dice.random() < 0.3 else (False,):
                part = Part(force=True, apart=apart)
                how = tried(repo, Wish(identifier, str(tree), Places(), "current", part), audience)
                ended[how] = ended.get(how, 0) + 1
                assert beside(trap) == before, identifier
            with_environment(repo, identifier, tree)
    assert state(tree, git) == kept
    assert areas(sealed) == []
    # the harm was close: some of them ran, and some were refused
    assert ended["ran"] and ended["refused"], ended


def tried(repo: Repository, wish: Wish, audience: Audience) -> str:
    """What becomes of a record that somebody agrees to."""
    try:
        made = prepare(repo, wish, lambda _: None)
        if made.stops:
            return "refused"
        assert all(step.job.command.argv == COMMAND for step in made.steps)
        reproduce(made, repo, audience, Manner((), wish.places))
    except RoarError:
        return "refused"
    return "ran"


def with_environment(repo: Repository, identifier: str, tree: Path) -> None:
    """The plan of one with its packages; what an installer would get is checked before it gets it."""
    try:
        made = prepare(repo, Wish(identifier, str(tree), Places(), "rebuild"), lambda _: None)
    except RoarError:
        return
    for step in made.steps:
        for env in step.environments:
            for line in (*env.recipe.required, *env.recipe.others, *env.recipe.conda) if env.recipe else ():
                assert not line.startswith("-") and "\n" not in line and "ext::" not in line and "file:" not in line


def test_a_command_line_of_odd_parts() -> None:
    command = Command.model_validate(
        {"argv": ["a\n"], "cwd": "/x", "redirects": [{"fd": 1, "path": ""}, {"fd": 2, "path": "../.."}]}
    )
    assert command_line(command).startswith("'a\\n' >")


@needs_tracer
def test_cycles_and_bombs_end(tree: Path, repo: Repository, git: Git, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two that made each other's input, a thousand steps that each read all before, and one with no end of outputs."""
    head = commit(tree, git)
    code = {"commit": head}
    cycle = [
        make.fields("true", {"b": "b"}, {"a": "a"}, at=1, code=code),
        make.fields("true", {"a": "a"}, {"b": "b"}, at=2, code=code),
        make.fields("true", {"a": "a", "self": "self"}, {"self": "self"}, at=3, code=code),
    ]
    bomb = [
        make.fields("true", {f"x{k}": f"x{k}" for k in range(n)}, {f"x{n}": f"x{n}"}, at=10 + n, code=code)
        for n in range(300)
    ]
    chain = [
        make.fields("true", {f"y{n}": f"y{n}"} if n else {}, {f"y{n + 1}": f"y{n + 1}"}, at=1000 + n, code=code)
        for n in range(1000)
    ]
    for values in (jobs := [*cycle, *bomb, *chain]):
        values["environment"] = {**values["environment"], "pythons": []}
    huge = copy.deepcopy(cycle[0])
    huge["outputs"] = [{**make.file("huge", "huge"), "size": (1 << 63) - 1, "change": "created"}]
    huge["inputs"] = [{**make.file("none", "none"), "size": (1 << 63) - 1}]
    huge["started_ns"] += 5000 * make.SECOND
    identifiers = make.bulk(repo, [*jobs, huge])
    for identifier, steps in ((identifiers[2], 1), (identifiers[302], 300), (identifiers[1302], 1000)):
        made = prepare(repo, Wish(identifier, str(tree), Places(), "current", Part(force=True)), lambda _: None)
        assert len(made.steps) >= steps
    made = prepare(repo, Wish(identifiers[-1], str(tree), Places(), "current"), lambda _: None)
    assert [stop.file.path for stop in made.stops if stop.file] == ["none"]
