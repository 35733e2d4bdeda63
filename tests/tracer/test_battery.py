"""Every promise of the tracer, kept by each mechanism: what is reported, and that the program cannot tell."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from cases import ALL, Case
from conftest import Traced

try:
    from blake3 import blake3
except ImportError:  # the tracer's tests need nothing else of roar
    blake3 = None


def prepare(folder: Path, case: Case) -> None:
    """Lay out what the case is given: `x/` a folder, `x@` a symbolic link, `x!` a program."""
    folder.mkdir(exist_ok=True)
    for name, text in case.given.items():
        path = folder / name.rstrip("@!/")
        path.parent.mkdir(parents=True, exist_ok=True)
        if name.endswith("@"):
            path.symlink_to(text)
        elif name.endswith("/"):
            path.mkdir()
        else:
            path.write_text(text)
            path.chmod(0o755 if name.endswith("!") else 0o644)


def command_of(case: Case, compiled: Callable[..., Path]) -> list[str]:
    if case.machine not in ("", platform.machine()):
        pytest.skip(f"only on {case.machine}")
    if case.c:
        return [str(compiled(case.c, *case.flags))]
    return ["/bin/sh", "-c", case.sh] if case.sh else [sys.executable, "-I", "-S", "-c", case.py]


@pytest.mark.parametrize("case", ALL, ids=lambda case: case.name)
def test_battery(
    case: Case,
    mechanism: str,
    traced: Traced,
    compiled: Callable[..., Path],
    tmp_path: Path,
    sharing_blocks: Callable[[Path], None],
) -> None:
    if case.root and os.geteuid() != 0:
        pytest.skip("needs root")
    command = command_of(case, compiled)
    if case.shares_blocks:
        sharing_blocks(tmp_path)
    prepare(tmp_path / "bare", case)
    bare = subprocess.run(command, cwd=tmp_path / "bare", capture_output=True, timeout=60, check=False)
    if bare.returncode == 98 and case.status != 98:
        pytest.skip("not possible on this system")
    assert bare.returncode % 256 == case.status or bare.returncode == 128 - case.status, bare.stderr
    prepare(tmp_path / "work", case)
    report = traced(command, tmp_path / "work")

    assert report.returncode == case.status, report.stderr
    assert (report.stdout, report.stderr) == (bare.stdout, bare.stderr)
    assert report.reads == set(case.reads)
    assert report.writes == set(case.writes)
    assert report.deleted == set(case.deleted)
    assert report.renames == dict(case.renames)
    assert report.flagged("listed") == set(case.listed)
    assert report.flagged("executed") == set(case.executed)
    assert set(case.failed) <= report.failed
    assert not {name for name, _ in report.failed} & (set(case.reads) - {name for name, _ in case.failed})
    assert report.blind - {"no_new_privs"} == set(case.blind)
    if case.temporaries is not None:
        assert report.end["temporaries"] == case.temporaries
    if case.processes is not None:
        assert report.end["processes"] == case.processes
    assert report.connects == set(case.connects)
    hashed = {name: line["before_hash"] for name, line in report.files.items() if "before_hash" in line}
    assert set(hashed) == set(case.before)
    for name, digest in hashed.items():
        assert blake3 is None or digest == blake3(case.given[name].encode()).hexdigest()
