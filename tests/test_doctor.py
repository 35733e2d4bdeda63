"""``roar doctor``: what works, what does not, and what mends it."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import make
from conftest import Git, Roar, needs_tracer

from roar.git.repository import Repository


def checks(roar: Roar, *words: str, code: int = 0, **env: str) -> dict[str, dict[str, Any]]:
    found = json.loads(roar("doctor", "--json", *words, code=code, **env).stdout)
    assert found["well"] is (code == 0)
    return {check["what"]: check for check in found["checks"]}


@needs_tracer
def test_all_is_well(roar: Roar) -> None:
    found = checks(roar)
    assert {what for what, check in found.items() if check["grade"] == "ok"} == {
        "roar", "git", "tracer", "repository", "config", "identity", "refs", "index",
    }  # fmt: skip
    assert found["remotes"]["grade"] == "note"
    assert "a real file access was seen" in found["tracer"]["text"]
    shown = roar("doctor").stdout.decode()
    assert shown.count("\n") == len(found)


def test_outside_of_a_repository(tmp_path: Path) -> None:
    found = checks(Roar(tmp_path), code=0)
    assert found["repository"]["grade"] == "note"


def test_what_is_wrong_is_named_and_hides_nothing(repo: Repository, roar: Roar, git: Git, tree: Path) -> None:
    make.job(repo, "train", {}, {"m": "m"})
    git(tree, "config", "roar.tracer.mechanizm", "ptrace")
    git(tree, "remote", "add", "origin", str(tree.parent / "nowhere"))
    found = checks(roar, "--remotes", code=1, ROAR_TRACER="/nonexistent")
    assert {what for what, check in found.items() if check["grade"] == "bad"} == {"tracer", "config", "remotes"}
    assert "roar.tracer.mechanism" in json.dumps(found["config"])
    assert found["tracer"]["mend"]
    git(tree, "config", "--unset", "roar.tracer.mechanizm")
    assert checks(roar)["remote origin"]["mend"] == "roar sync origin"


def test_a_tracer_that_may_not_trace(roar: Roar, tmp_path: Path) -> None:
    program = tmp_path / "tracer"
    program.write_text(
        '#!/bin/sh\necho \'{"ptrace":"ptrace is not allowed here","notify":false,"canary":"not tried"}\'\n'
    )
    os.chmod(program, 0o755)
    found = checks(roar, code=1, ROAR_TRACER=str(program))["tracer"]
    assert (found["grade"], "ptrace is not allowed here" in found["text"]) == ("bad", True)
