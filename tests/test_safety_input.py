"""Bad input: ten thousand damaged and hostile records and trees through the real reader and the real questions."""

from __future__ import annotations

import json
import os
import random
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import make
import pytest
from ask import Ask
from conftest import Git, Roar

from roar.cache.index import open_index
from roar.errors import RecordError
from roar.git import objects
from roar.git.repository import Repository
from roar.records import codec
from roar.verbs import sessions

COUNT = int(os.environ.get("ROAR_FUZZ", "10000"))
HOSTILE: tuple[Any, ...] = (
    None, True, -1, 0, 1.5, (1 << 63) - 1, 1 << 63, 1 << 64, 10**30, "", "x" * 3000, [], {}, [[]], [None],
    {"": {}}, 2**48, "NaN", "a\0b", "\n", "\r\x1b[2J", "\u202egnp.exe", "\U0010ffff",
    "0" * 26, "Z" * 26, "0" * 40, "f" * 64, "F" * 64,
    "../../../../tmp/roar-was-here", "/etc/passwd", ".git/hooks/post-checkout", "..", "a/../b", "a//b",
    "//bytes/%ZZ", "//bytes/%FF", "//bytes/",
    "--upload-pack=touch roar-was-here", "$(touch roar-was-here)", "; touch roar-was-here", "-rf",
)  # fmt: skip


def nested(depth: int) -> Any:
    value: Any = "deep"
    for level in range(depth):
        value = [value] if level % 2 else {"in": value}
    return value


def places(value: Any) -> Iterator[tuple[Any, Any]]:
    """Every place of a JSON value that holds something, as (container, key)."""
    keys = value.keys() if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else ()
    for key in keys:
        yield value, key
        yield from places(value[key])


def damaged(dice: random.Random, body: bytes) -> bytes:
    """One of many ways in which bytes that were a record are none, or another one."""
    how = dice.randrange(10)
    at = dice.randrange(len(body))
    if how == 0:
        return body[:at]
    if how == 1:
        flipped = bytearray(body)
        for _ in range(dice.choice((1, 1, 2, 8))):
            flipped[dice.randrange(len(body))] ^= 1 << dice.randrange(8)
        return bytes(flipped)
    if how == 2:
        return body[:at] + body[at + dice.randrange(1, 40) :]
    if how == 3:
        return body[:at] + dice.randbytes(dice.randrange(1, 60)) + body[at:]
    record = json.loads(body)
    for container, key in dice.sample(list(places(record)), dice.choice((1, 1, 1, 3))):
        what = dice.randrange(8)
        if what == 0:
            del container[next(iter(container)) if isinstance(container, dict) else -1]
        elif what == 1 and isinstance(container, dict):
            container[dice.choice(("new", "", "kind", "clock", "format", "\0", "hash"))] = dice.choice(HOSTILE)
        elif key not in (container if isinstance(container, dict) else range(len(container))):
            continue  # gone by now
        elif what == 2:
            container[key] = nested(dice.choice((3, 100, 300, 900)))
        elif what == 3 and isinstance(container[key], list):
            container[key] = container[key] * dice.choice((2, 300))
        else:
            container[key] = dice.choice(HOSTILE)
    return json.dumps(record, ensure_ascii=bool(how % 2), sort_keys=bool(how & 2)).encode("utf-8", "surrogatepass")


def stream(ref: str, bodies: list[bytes]) -> bytes:
    """The bodies as records on a chain, for git fast-import."""
    lines = []
    for number, body in enumerate(bodies):
        who = b"A <a> %d +0000" % (make.START // make.SECOND + number)
        lines += [b"commit " + ref.encode(), b"mark :%d" % (number + 1), b"committer " + who, b"data 1\nx"]
        lines += [b"deleteall", b"M 100644 inline record.json", b"data %d\n%s" % (len(body), body)]
    return b"\n".join(lines) + b"\n"


def is_record(body: bytes) -> bool:
    try:
        return codec.decode(body).kind in ("job", "session")
    except RecordError:
        return False


def bystanders(tree: Path) -> dict[str, bytes]:
    """Every file in and beside the work tree but those of the journal."""
    found = {}
    for path in tree.parent.rglob("*"):
        inside = path.relative_to(tree.parent).parts
        if path.is_file() and not {"roar", "objects", "refs", "packed-refs"} & set(inside):
            found[str(path)] = path.read_bytes()
    return found


def test_ten_thousand_bad_records(
    repo: Repository, tree: Path, git: Git, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    dice = random.Random(4)
    session = sessions.active_or_new(repo)
    (tree / "model.pkl").write_text("model 4")
    good = [
        make.job(
            repo,
            f"python step{n}.py",
            {"README": "a project\n", "data.csv": "data"},
            {"model.pkl": f"model {n}"},
            session=session,
        )
        for n in range(5)
    ]
    seeds = [
        codec.encode(make.draft(values, values["started_ns"] // 1_000_000 + n, "other"))
        for n, values in enumerate(make.pipelines(36, git(tree, "rev-parse", "HEAD"), session))
    ]
    bodies = list({damaged(dice, dice.choice(seeds)): 1 for _ in range(COUNT)})
    bodies += [b"", b"[" * 100_000, b'{"format":2,"kind":"job"}', b"{" + b'"a":{' * 5000, b" " * (codec.MAX_BYTES + 1)]
    marks = tree.parent / "marks"
    ref = "refs/roar-remote/evil/jobs/2025/other"
    words = ["git", *repo.args(), "fast-import", "--quiet", f"--export-marks={marks}"]
    subprocess.run(words, input=stream(ref, bodies), check=True, capture_output=True)
    commits = dict(line.split()[::-1] for line in marks.read_text().splitlines())
    bad = {oid for oid, mark in commits.items() if not is_record(bodies[int(mark[1:]) - 1])}
    assert len(bad) > COUNT / 3
    before = bystanders(tree)
    with open_index(repo) as index:
        named = dict(index.broken())
        assert bad <= set(named)
        assert set(good) <= set(index.jobs(limit=COUNT * 2))
        accepted = [i for i in index.jobs(limit=COUNT * 2) if i not in good]
        assert len(accepted) > COUNT / 20
        assert index.count_jobs() == len(accepted) + len(good)
    ask = Ask(tree, monkeypatch, capsys)
    assert len(ask.json("status")["broken"]) == len(named)
    assert f"{len(named)} objects under refs/roar" in ask("status")
    findings = ask.json("fsck", code=3)["findings"]
    assert bad <= {finding["object"] for finding in findings if finding["where"] == ref}
    for words in (
        ["log"],
        ["log", "--json"],
        ["dag"],
        ["dag", "--json"],
        ["lineage", "model.pkl"],
        ["show", "model.pkl"],
    ):
        ask(*words)
    for identifier in accepted[:60]:
        ask("show", identifier)
        ask("show", identifier, "--json")
    assert bystanders(tree) == before


def tree_of(repo: Repository, *entries: tuple[bytes, bytes, str]) -> str:
    return objects.write(repo, "tree", b"".join(m + b" " + n + b"\0" + bytes.fromhex(oid) for m, n, oid in entries))


def hostile_trees(repo: Repository, dice: random.Random, body: bytes) -> Iterator[str]:
    """Trees under a record's commit that no roar would write."""
    blob, other = objects.write(repo, "blob", body), objects.write(repo, "blob", b"#!/bin/sh\ntouch roar-was-here\n")
    empty = objects.write(repo, "tree", b"")
    missing = "12" * 20
    for oid in (blob, other, empty, missing):
        for mode in (b"100644", b"100755", b"120000", b"160000", b"40000", b"100664", b"0", b"777777"):
            yield tree_of(repo, (mode, b"record.json", oid))
            yield tree_of(repo, (mode, b"segment", oid))
            yield tree_of(repo, (mode, b"files", oid), (b"100644", b"record.json", blob))
            inner = tree_of(repo, (mode, b"00.jsonl", oid))
            yield tree_of(repo, (b"40000", b"segment", inner))
    names = (
        b"..",
        b".",
        b".git",
        b".GIT",
        b"git~1",
        b"",
        b"a/b",
        b"/etc",
        b"\xff",
        b"\n",
        b"-x",
        b"con",
        b".git\\hooks",
    )
    for name in names:
        hooks = tree_of(repo, (b"40000", b"hooks", tree_of(repo, (b"100755", b"post-checkout", other))))
        yield tree_of(
            repo, (b"40000", b"files", tree_of(repo, (b"40000", name, hooks))), (b"100644", b"record.json", blob)
        )
        yield tree_of(repo, (b"100644", name, blob), (b"100644", b"record.json", blob))
    plain = bytes.fromhex(blob)
    whole = b"40000 files\0" + bytes.fromhex(empty) + b"100644 record.json\0" + plain
    yield objects.write(repo, "tree", whole + b"100644 record.json\0" + plain)
    for _ in range(200):
        cut = bytearray(whole[: dice.randrange(1, len(whole))] if dice.random() < 0.5 else whole)
        if dice.random() < 0.7:
            cut[dice.randrange(len(cut))] ^= 1 << dice.randrange(8)
        yield objects.write(repo, "tree", bytes(cut))


def test_hostile_trees_and_commits(
    repo: Repository, tree: Path, git: Git, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    dice = random.Random(5)
    session = sessions.active_or_new(repo)
    good = make.job(repo, "python a.py", {"README": "a project\n"}, {"out": "1"}, session=session)
    body = codec.encode(
        make.draft(make.fields("python b.py", outputs={"out": "2"}, session=session), make.START // 10**6, "w")
    )
    who = "A <a> 1735732800 +0000"
    tip: list[str] = []
    count = 0
    for top in hostile_trees(repo, dice, body):
        tip = [objects.write(repo, "commit", objects.commit_body(top, tip, who, who, "x\n"))]
        count += 1
    commit = objects.commit_body(objects.write(repo, "tree", b""), tip, who, who, "x\n")
    held = {"chain": tip[0]}
    for number in range(150):
        cut = bytearray(commit[: dice.randrange(1, len(commit))] if number % 2 else commit)
        for _ in range(number % 3):
            cut[dice.randrange(len(cut))] ^= 1 << dice.randrange(8)
        held[f"c{number}"] = objects.write(repo, "commit", bytes(cut))
    for number, kind in enumerate(("tree", "blob")):
        held[f"k{number}"] = objects.write(repo, kind, b"")
    held["missing"] = "ab" * 20
    for name, oid in held.items():
        path = Path(repo.common_dir, "refs/roar-remote/evil/jobs/2025", name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(oid + "\n")
    before = bystanders(tree)
    ask = Ask(tree, monkeypatch, capsys)
    status = ask.json("status")
    assert count > 300
    assert len(status["broken"]) > 150
    assert good in ask("log", "--json")
    for words in (["status"], ["log"], ["dag"], ["show", good], ["lineage", "README"], ["show", "out"]):
        ask(*words)
    named = {finding["object"] for finding in ask.json("fsck", code=3)["findings"]}
    assert {item["object"] for item in status["broken"]} <= named
    assert make.job(repo, "true") in ask("log", "--json")
    assert bystanders(tree) == before


@pytest.mark.parametrize("end", ["\x85", "\u2028", "\udcff"])
def test_names_with_what_python_takes_for_the_end_of_a_line(repo: Repository, roar: Roar, git: Git, end: str) -> None:
    """git takes such names of refs, and so does whoever fetches them."""
    good = make.job(repo, "python a.py", {"README": "a project\n"}, {"out": "1"})
    top = str(repo.work_tree)
    git(top, "branch", f"a{end}b")
    git(top, "update-ref", f"refs/roar-remote/evil/jobs/2025/a{end}b", "HEAD")
    git(top, "update-ref", f"refs/roar-remote/evil/notes/a{end}b", "HEAD")
    for words in (["log"], ["status"], ["show", "out"], ["verify", "--offline"], ["compact", "--dry-run"], ["init"]):
        done = roar(*words, code=None)
        assert done.returncode in (0, 3), done.stderr
    assert good.encode() in roar("log", "--json").stdout
    assert b"a\\x" in roar("fsck", code=3).stdout
    update = f"{'0' * 40} {git(top, 'rev-parse', 'HEAD')} refs/heads/a{end}b\n".encode("utf-8", "surrogateescape")
    roar("hook", "pre-receive", stdin=update, PYTHONIOENCODING="utf-8:strict")
