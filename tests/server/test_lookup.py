"""``roar lookup`` and what servers may answer; files stay where they are, and only their hashes travel."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import make
import pytest
from conftest import Git, Roar

from roar.glaas.address import Address
from roar.verbs import lookup
from server.clients import Answer, Asked, impostor, said

MODEL = make.digest("m")
JOB = "01JGG8Q8G0ABCDEFGHJKMNPQRS"


def artifact(**more: Any) -> dict[str, Any]:
    maker = {
        "id": JOB,
        "projects": ["team/a"],
        "command": "python train.py",
        "outcome": "ok",
        "started_ns": make.START,
        "user": "Ada <ada@example.org>",
        "commit": "c" * 40,
    }
    fields = {"hash": MODEL, "size": 1, "paths": ["model.pkl"], "projects": ["team/a"], "used_by_count": 2}
    return {**fields, "made_by": [{**maker, **more.pop("maker", {})}], **more}


def test_a_file_is_asked_for_by_its_hash_alone(roar: Roar, tree: Path) -> None:
    (tree / "model.pkl").write_text("m")
    with impostor(lambda _: said(artifact())) as (origin, heard):
        told = roar("lookup", "model.pkl", "--server", origin).stdout.decode()
        answer = json.loads(roar("lookup", MODEL[:10], "--server", origin, "--json").stdout)
    assert [asked.path for asked in heard] == [f"/api/v1/artifacts/{MODEL}", f"/api/v1/artifacts/{MODEL[:10]}"]
    assert all(asked.method == "GET" and asked.body == b"" for asked in heard)
    assert told.splitlines()[0] == f"model.pkl {MODEL[:12]}  1 B  {origin}/a/{MODEL}"
    assert f"made by  {JOB[:12]}  ok  2025-01-01" in told
    assert f"  code {'c' * 12}  python train.py" in told
    assert told.endswith("python train.py  (team/a)\n  read by  2 jobs\n")
    (found,) = answer["found"]
    assert (found["server"], found["projects"], found["made_by"][0]["id"]) == (origin, ["team/a"], JOB)


def test_nobody_knows_it_or_can_be_asked(roar: Roar, git: Git) -> None:
    assert b"no server is known to ask" in roar("lookup", MODEL, code=2).stderr
    assert b"is no file here and no hash" in roar("lookup", "nothing", code=2).stderr
    refusal = said({"error": {"code": "not_found", "message": "no artifact in sight"}}, 404)
    with impostor(lambda _: refusal) as (origin, _):
        git(roar.folder, "config", "roar.glaas.url", origin)
        assert f"is not known to {origin}".encode() in roar("lookup", MODEL, code=3).stderr
        assert b"artifact or commit begins with" in roar("reproduce", MODEL, code=1).stderr
    done = roar("lookup", MODEL, code=1)
    assert b"cannot be reached" in done.stderr
    assert b"nobody could say" in done.stderr


@pytest.mark.parametrize(
    "odd",
    [
        artifact(hash=make.digest("other")),
        artifact(hash="../x"),
        artifact(maker={"id": "../../x"}),
        artifact(maker={"projects": ["../../etc"]}),
        artifact(maker={"projects": ["-x"]}),
        artifact(maker={"started_ns": "yesterday"}),
        artifact(paths=None),
        {},
        [],
        None,
    ],
)
def test_answers_that_are_none(odd: Any) -> None:
    with impostor(lambda _: said(odd)) as (origin, _):
        found, (trouble,) = lookup.look_up(MODEL, [Address(origin)])
    assert found == []
    assert "does not answer as a roar server" in trouble.message or "is no name of a project" in trouble.message


def test_no_answer_is_obeyed_by_the_terminal(roar: Roar) -> None:
    evil = "\x1b]0;title\x07\u202emoc.live"
    odd = artifact(maker={"command": evil, "user": evil, "outcome": evil}, paths=[evil])
    with impostor(lambda _: said(odd)) as (origin, _):
        told = roar("lookup", MODEL, "--server", origin).stdout.decode()
    assert not {"\x1b", "\x07", "\u202e"} & set(told)


def test_an_answer_without_end_is_not_read(roar: Roar) -> None:
    with impostor(lambda _: (200, {}, b'"' + b"x" * (33 << 20))) as (origin, _):
        assert b"more than 33554432 bytes" in roar("lookup", MODEL, "--server", origin, code=1).stderr


def test_reproduce_asks_no_server_for_what_is_no_hash(roar: Roar, git: Git) -> None:
    def answer(asked: Asked) -> Answer:
        return said({})

    with impostor(answer) as (origin, heard):
        git(roar.folder, "config", "roar.glaas.url", origin)
        for name in ("@1", "README"):
            roar("reproduce", name, code=1)
    assert heard == []


def test_what_no_server_knows_cannot_be_reproduced(roar: Roar, git: Git, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    done = roar("reproduce", MODEL, code=1, cwd=tmp_path / "empty")
    assert b"roar: no repository is here, and no server says who made " in done.stderr
    with impostor(lambda _: said({"error": {"code": "not_found", "message": "no artifact"}}, 404)) as (origin, _):
        git(roar.folder, "config", "roar.glaas.url", origin)
        done = roar("reproduce", MODEL, code=1)
    assert f"  no server that was asked knows who made {MODEL}\n".encode() in done.stderr
    assert b"begins with" in done.stderr
