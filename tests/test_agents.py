"""The section on roar in AGENTS.md: written once, brought up to date, removed without a trace."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from conftest import Roar

from roar.cli.main import TABLE
from roar.verbs import agents


@pytest.mark.parametrize(
    "own",
    [None, b"", b"\n", b"# Rules\n", b"no line end", b"two\n\n\n", b"dos\r\n", b"dos\r\nno end", b"\xff\xfe latin\n"],
)
def test_the_rest_stays_byte_for_byte(roar: Roar, tree: Path, own: bytes | None) -> None:
    file = tree / "AGENTS.md"
    if own is not None:
        file.write_bytes(own)
        file.chmod(0o640)
    assert b"AGENTS.md: section on roar written" in roar("init", "--agents").stdout
    written = file.read_bytes()
    assert written.startswith(agents.BEGIN if own is None else own) and b"git roar run" in written
    assert (b"\r\n" in (own or b"")) == (written.count(b"\r\n") == written.count(b"\n"))
    roar("init", "--agents")
    assert file.read_bytes() == written
    file.write_bytes(written.replace(b"git roar run @2", b"an older text") + b"more\n")
    assert b"brought up to date" in roar("init", "--agents").stdout
    assert file.read_bytes() == written + b"more\n"
    file.write_bytes(written)
    assert b"section on roar removed" in roar("init", "--no-agents").stdout
    assert (file.read_bytes() if file.exists() else None) == own
    if own is not None:
        assert file.stat().st_mode & 0o777 == 0o640
    assert roar("init", "--no-agents").stdout == b""


def test_half_a_section_and_a_link_out_of_the_tree_are_refused(roar: Roar, tree: Path, tmp_path: Path) -> None:
    file = tree / "AGENTS.md"
    file.write_bytes(agents.BEGIN + b"\nno end\n")
    for words in (["--agents"], ["--no-agents"]):
        assert b"has not exactly one section" in roar("init", *words, code=1).stderr
    assert file.read_bytes() == agents.BEGIN + b"\nno end\n"
    file.unlink()
    (tmp_path / "elsewhere").write_text("not ours\n")
    file.symlink_to(tmp_path / "elsewhere")
    assert b"no file of this work tree" in roar("init", "--agents", code=1).stderr
    assert (tmp_path / "elsewhere").read_text() == "not ours\n"
    file.unlink()
    (tree / "CLAUDE.md").write_text("one file, two names\n")
    file.symlink_to("CLAUDE.md")
    roar("init", "--agents")
    assert file.is_symlink() and "git roar run" in (tree / "CLAUDE.md").read_text()


def test_the_section_names_commands_that_there_are() -> None:
    named = set(re.findall(r"`(?:git )?roar ([a-z]+)", agents.TEXT))
    assert named <= {name for commands in TABLE.values() for name in commands}
    assert len(named) > 5
