"""The vectors of ``docs/vectors``: roar holds them, and so does a second implementation that shares no code with it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import vectors
from conftest import ROOT, Git
from pydantic import BaseModel

from roar import paths
from roar.git import refs
from roar.git.objects import Reader
from roar.git.repository import Repository, discover
from roar.journal import NOTES, append, manifests, segments
from roar.journal.entry import Entry
from roar.records import codec, job
from roar.records.job import File, Job
from roar.records.model import Part

FOLDER = ROOT / "docs" / "vectors"
WHO = "Ada Recorder <ada@example.org>"


def cases(name: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads((FOLDER / f"{name}.json").read_text(encoding="utf-8"))
    return found


def test_a_second_implementation_agrees() -> None:
    assert list(vectors.wrong(FOLDER)) == []


def test_canonical_json() -> None:
    for case in cases("canonical"):
        assert codec.encode(Part.model_validate(case["value"])).decode() == case["bytes"]


def test_records_and_their_ids() -> None:
    kinds = set()
    for case in cases("records"):
        body = case["bytes"].encode()
        record = codec.decode(body)
        kinds.add(record.kind)
        assert codec.encode(record) == body
        assert codec.identify(record, body) == codec.identify_bytes(body) == case["id"]
    assert kinds > set(codec.KINDS), "one of each kind, and one that is not known"


def test_notes() -> None:
    for case in cases("notes"):
        assert Entry(codec.decode(case["bytes"].encode()), {}).note == case["line"]


def test_required_fields_are_those_of_the_description() -> None:
    text = (ROOT / "docs" / "format.md").read_text(encoding="utf-8")
    table = text.partition("| part | required |\n|---|---|\n")[2].partition("\n\n")[0]
    rows = [[re.findall(r"`([^`]+)`", cell) for cell in line.strip("| ").split(" | ")] for line in table.splitlines()]
    said = sorted(tuple(sorted(fields)) for parts, fields in rows for _ in parts or ["file or shard"])
    models = {name: model for name, model in parts_of(Job) if name not in ("Exit", "Code")} | codec.KINDS
    required = {
        name: tuple(sorted(field for field, info in model.model_fields.items() if info.is_required()))
        for name, model in models.items()
    }
    assert required.pop("Package") == required.pop("CondaPackage") == ("name", "version")
    required |= dict.fromkeys((".read", ".installed", ".conda"), ("name", "version"))
    del required["Job"]
    assert said == sorted(required.values())


def parts_of(model: type[BaseModel]) -> Iterator[tuple[str, type[BaseModel]]]:
    """A model and all that its fields are made of."""
    yield model.__name__, model
    for field in model.model_fields.values():
        for inner in re.findall(r"roar\.records\.job\.(\w+)", repr(field.annotation)):
            yield from parts_of(getattr(job, inner))


def test_paths() -> None:
    for case in cases("paths"):
        raw = bytes.fromhex(case["hex"])
        assert paths.to_text(raw) == case["text"]
        assert paths.to_bytes(case["text"]) == raw


def test_manifests() -> None:
    for case in cases("manifests"):
        files = [File.model_validate(part) for part in vectors.made_up(case["files"])]
        inline, shards, made = manifests.split(files, b"in", lambda file: file)
        assert not inline
        assert [json.loads(codec.encode(shard)) for shard in shards] == case["shards"]
        assert {path.decode(): len(body) for path, body in made.items()} == {
            f"in/{digest[0]}/{digest[1:]}": size for digest, size in case["manifests"].items()
        }


@pytest.mark.parametrize("object_format", ["sha1", "sha256"])
def test_commits(object_format: str, tmp_path: Path, git: Git, monkeypatch: pytest.MonkeyPatch) -> None:
    one, notes, sealed = (case for case in cases("commits") if case["object_format"] == object_format)
    repo = repository(tmp_path, object_format, one["committer"], git, monkeypatch)
    beside = {path.encode(): text.encode() for path, text in one["files"].items() if path != "record.json"}
    entry = Entry(codec.decode(one["files"]["record.json"].encode()), beside)
    with Reader(repo) as reader:
        chain = append.open_chain(repo, reader)
        chain.extend(entry)
        assert refs.matching(repo, "refs/roar/jobs/", f"/{chain.writer}") == [f"refs/roar/jobs/2023/{chain.writer}"]
        tip = refs.read(repo, f"refs/roar/jobs/2023/{chain.writer}")
        assert tip == one["id"]
        assert refs.read(repo, NOTES + chain.writer) == notes["id"]
        assert sealed["parents"] == [tip]
        items = []
        for line in (text for path, text in sealed["files"].items() if path.startswith("segment/")):
            items = [
                segments.Item(codec.identify_bytes(body.encode()), body.encode(), []) for body in line.splitlines()
            ]
        items[-1] = items[-1]._replace(beside=reader.tree(f"{tip}:")[:1])
        date = int(sealed["committer"].split()[-2])
        assert segments.write(repo, items[::-1], tip, WHO, date) == sealed["id"]


def repository(
    place: Path, object_format: str, committer: str, git: Git, monkeypatch: pytest.MonkeyPatch
) -> Repository:
    """One whose commit is later than the committer's date by what its first record is earlier."""
    git(place, "init", "-q", f"--object-format={object_format}")
    with monkeypatch.context() as patch:
        patch.setenv("GIT_COMMITTER_DATE", f"{int(committer.split()[-2]) + append.DATES_SECONDS} +0000")
        git(place, "commit", "-q", "--allow-empty", "-m", "first")
    repo = discover(str(place))
    repo.make_own_dir()
    return repo
