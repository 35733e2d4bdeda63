"""The battery once more through `roar run`: what a case states must be in the job's record, in the record's words."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from blake3 import blake3
from cases import ALL, Case
from tracing import spelled

from test_battery import command_of, prepare  # isort: skip


def recorded(tree: Path, git: Callable[..., str]) -> dict[str, Any]:
    """The last record, as stock git shows it."""
    tip = git(tree, "for-each-ref", "--format=%(objectname)", "refs/roar/jobs")
    record: dict[str, Any] = json.loads(git(tree, "show", f"{tip}:record.json"))
    return record


SIDES = ("inputs", "outputs")


def short(path: str) -> str:
    """A record's path as cases spell it."""
    return spelled(path).removeprefix(b"work/").decode("latin-1")


def contents(work: Path) -> dict[str, str]:
    """The hashes of what a record lists, regular files and symbolic links: no folders, sockets and pipes."""
    found = {}
    for path in work.rglob("*"):
        name = os.fsencode(path.relative_to(work)).decode("latin-1")
        if path.is_symlink():
            found[name] = blake3(os.fsencode(os.readlink(path))).hexdigest()
        elif path.is_file():
            found[name] = blake3(path.read_bytes()).hexdigest()
    return found


@pytest.mark.parametrize("case", ALL, ids=lambda case: case.name)
def test_battery_in_run(
    case: Case,
    mechanism: str,
    tracer: Path,
    roar: Any,
    tree: Path,
    git: Callable[..., str],
    compiled: Callable[..., Path],
    sharing_blocks: Callable[[Path], None],
) -> None:
    if case.root and os.geteuid() != 0:
        pytest.skip("needs root")
    command = command_of(case, compiled)
    work = tree / "work"
    if case.shares_blocks:
        sharing_blocks(work)
    prepare(work, case)
    given = contents(work)
    around = {"ROAR_TRACER_MECHANISM": mechanism, "GIT_DISCOVERY_ACROSS_FILESYSTEM": "1"}
    done = roar("run", "-q", *command, cwd=work, code=None, **around)
    if done.returncode == 98:
        pytest.skip("not possible on this system")
    assert done.returncode == case.status
    record = recorded(tree, git)
    assert record["tracer"]["mechanism"] == mechanism
    inputs, outputs = ({short(file["path"]): file.get("hash") for file in record.get(side, [])} for side in SIDES)

    # What was changed without being emptied first was needed, and so was what was moved.
    expected = {name: given[name] for name in {*case.reads, *case.before, *case.renames.values()} & set(given)}
    if case.c:  # the program lies outside the repository, and is no system file
        expected[command[0]] = blake3(Path(command[0]).read_bytes()).hexdigest()
    assert inputs == expected
    now = contents(work)
    assert outputs == {name: now[name] for name in set(case.writes) & set(now) if now[name] != given.get(name)}
    assert not (set(case.deleted) - set(now)) & set(outputs)
    ran = {
        short(program["path"].removeprefix(f"{tree}/"))
        for process in record["processes"]
        for program in process.get("programs", [])
    }
    assert set(case.executed) <= ran | set(inputs)
    vain = {short(path) for path in record.get("not_found", [])}
    assert {name for name, errno in case.failed if errno in ("ENOENT", "ENOTDIR")} <= vain
    assert not vain & set(given)
    assert {(end["address"], end["port"]) for end in record.get("network", [])} == set(case.connects)
    assert case.temporaries in (None, record.get("temporaries", 0))
    assert case.processes in (None, record["process_count"])
    assert record["exit"] == ({"signal": case.status - 128} if case.status > 128 else {"code": case.status})
    assert {gap["reason"] for gap in record.get("incomplete", [])} - {"no_new_privs"} == set(case.blind)


def test_every_process_is_in_the_record(tracer: Path, roar: Any, tree: Path, git: Callable[..., str]) -> None:
    roar("run", "-q", "sh", "-c", "(exit 3); sh -c 'kill -9 $$'; /bin/true 'a b'; exit 4", code=4)
    record = recorded(tree, git)
    processes = record["processes"]
    assert sorted(map(str, (process["exit"] for process in processes))) == [
        "{'code': 0}", "{'code': 3}", "{'code': 4}", "{'signal': 9}",
    ]  # fmt: skip
    (root,) = (process for process in processes if process["exit"] == {"code": 4})
    assert all(process["parent"] == root["pid"] for process in processes if process is not root)
    assert ["/bin/true", "a b"] in [program["argv"] for process in processes for program in process.get("programs", [])]
    for process in processes:
        assert record["started_ns"] <= process["started_ns"] <= root["started_ns"] + root["duration_ns"]
        assert process["duration_ns"] > 0 and process["peak_bytes"] > 0
    assert sum(process.get("cpu_ns", 0) for process in processes) == record["cpu_ns"]


def test_a_killed_recorder_is_missed(tracer: Path, tree: Path) -> None:
    """The command's result stands, and one line says that there is no record."""
    words = [sys.executable, "-m", "roar", "run", "-q", "sh", "-c", "echo ready; read x; exit 5"]
    with subprocess.Popen(
        words, cwd=tree, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as run:
        assert run.stdout is not None
        run.stdout.readline()
        children = Path(f"/proc/{run.pid}/task/{run.pid}/children").read_text().split()
        (recorder,) = (int(pid) for pid in children if b"roar" in Path(f"/proc/{pid}/cmdline").read_bytes())
        os.kill(recorder, signal.SIGKILL)
        _, said = run.communicate(b"\n", timeout=30)
    assert run.returncode == 5
    assert said == b"roar: there is no record of this run: its recorder was killed by signal 9 (next: run it again)\n"
