"""The index follows chains that were made anew, and reads again what could not be read: as a new index would say."""

from __future__ import annotations

import copy
import os
import sqlite3
from pathlib import Path
from typing import Any

import make
import orjson
import pytest
from conftest import Git
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from test_cache import content, job, jobs_of, new_repository

from roar.cache import again, extract
from roar.cache.database import delete
from roar.cache.index import open_index, path_of
from roar.errors import RecordError
from roar.git import refs
from roar.git.repository import Repository, discover
from roar.hashing import digest_bytes
from roar.journal import archive, purge, read, segments
from roar.journal.append import append
from roar.records import codec
from roar.records.about import Tombstone, Withdrawal
from roar.records.job import Command
from roar.verbs.sync import sync

STEPS = (
    "record",
    "record",
    "arrive",
    "arrive",
    "withdraw",
    "seal",
    "fold",
    "purge",
    "bury",
    "drop",
    "copy",
    "gc",
    "ask",
)


def ids(repo: Repository) -> list[str]:
    return sorted(archive.identifiers(repo, read.tips(repo).values()))


def do(repo: Repository, step: str, number: int) -> None:
    """One thing that happens to journals; ``number`` chooses what it happens to."""
    here, there = ids(repo), list(read.tips(repo).items())
    chosen = here[number % len(here)] if here else "0" * 26
    if step == "record":
        make.job(repo, f"step {number}", {"in": str(number)}, {f"out{number % 3}": str(number)})
    elif step == "arrive":
        make.on_chain(repo, "ab"[number % 2], job(number % 6))
    elif step == "withdraw":
        append(repo, lambda c, w: Withdrawal(clock=c, writer=w, user="u", records=[chosen]))
    elif step == "seal":
        segments.seal(repo, 1)
    elif step == "fold":
        list(archive.fold(repo, [tip for _, tip in there], set()))
    elif step == "purge":
        purge.purge(repo, [chosen])
    elif step == "bury":
        append(repo, lambda c, w: Tombstone(clock=c, writer=w, records=[chosen]))
    elif there and step == "drop":
        refs.delete(repo, dict([there[number % len(there)]]))
    elif there and step == "copy":
        ref, tip = f"refs/roar-remote/o/jobs/2025/{number}", there[number % len(there)][1]
        refs.compare_and_swap(repo, ref, tip, refs.read(repo, ref))
    elif step == "gc":
        repo.ask("reflog", "expire", "--expire=now", "--all")
        repo.ask("-c", "gc.reflogExpire=now", "gc", "-q", "--prune=now")
    elif step == "ask":
        jobs_of(repo)


@settings(max_examples=12, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=st.lists(st.tuples(st.sampled_from(STEPS), st.integers(0, 11)), min_size=3, max_size=12))
def test_followed_is_rebuilt(tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[str, int]]) -> None:
    """Whatever became of the chains between two questions, and each record is where the index says."""
    repo = new_repository(tmp_path_factory.mktemp("r"))
    for at, (step, number) in enumerate(steps):
        do(repo, step, number)
        if at % 3 == 2:
            jobs_of(repo)
    do(repo, "gc", 0)
    followed = content(repo)
    with open_index(repo) as index:
        for identifier, *_ in followed["records"]:
            record = index.load(identifier)
            assert codec.identify(record, codec.encode(record)) == identifier
            assert read.tree_beside(index.place_of(identifier))
            assert repo.ask("cat-file", "-e", index.place_of(identifier)) == b""
    assert delete(path_of(repo))
    assert content(repo) == followed


def test_only_new_commits_are_read(repo: Repository, caplog: Any) -> None:
    for number in range(6):
        make.job(repo, f"step {number}")
    make.on_chain(repo, "a", *(job(n) for n in range(5)))
    before = jobs_of(repo)
    assert segments.seal(repo, 1) == 6
    with caplog.at_level("DEBUG"):
        assert jobs_of(repo) == before
    assert "6 commits are gone, 1 are new" in caplog.text
    caplog.clear()
    purge.purge(repo, [before[-1]])
    with caplog.at_level("DEBUG"):
        assert jobs_of(repo) == before[:-1]
    assert "5 commits are gone, 4 are new" in caplog.text
    assert "read again" not in caplog.text


def test_what_a_tombstone_buried_is_back_when_the_tombstone_is_gone(repo: Repository) -> None:
    made = [make.job(repo, f"step {n}") for n in range(4)]
    segments.seal(repo, 1)
    (ref,) = read.tips(repo)
    tip = refs.read(repo, ref)
    do(repo, "bury", 1)
    assert jobs_of(repo) == [made[3], made[2], made[0]]
    assert refs.compare_and_swap(repo, ref, str(tip), refs.read(repo, ref))
    assert jobs_of(repo) == made[::-1]


def test_a_record_is_read_when_its_bytes_are_back(
    repo: Repository, git: Git, tree: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In a partial clone that stock git fetched into, while the remote is away and when it is back."""
    made = [make.job(repo, f"step {n}") for n in range(3)]
    many = {f"images/{n}.png": f"image {n}" for n in range(300)}
    made.append(make.job(repo, "train", many))
    git(tree.parent, "clone", "-q", "--bare", str(tree), "hub.git")
    hub = tree.parent / "hub.git"
    git(hub, "config", "uploadpack.allowFilter", "true")
    git(hub, "fetch", "-q", str(tree), "+refs/roar/*:refs/roar/*")
    git(tree.parent, "clone", "-q", "--filter=blob:none", hub.as_uri(), "part")
    place = tree.parent / "part"
    git(place, "fetch", "-q", "origin", "+refs/roar/*:refs/roar-remote/origin/*")
    hub.rename(tree.parent / "away")
    part = discover(str(place))
    with open_index(part) as index:
        assert index.jobs() == []
        assert len(index.broken()) == 4
    (tree.parent / "away").rename(hub)
    assert jobs_of(part) == [], "not with every question"
    monkeypatch.setattr(again, "PAUSE_SECONDS", 0)
    with open_index(part) as index:
        assert index.jobs() == made[::-1]
        assert index.broken() == []
        assert len(index.uses(made[3:])[made[3]][0]) == 300


def test_a_manifest_is_read_after_a_sync_that_may_have_brought_it(repo: Repository, git: Git, tree: Path) -> None:
    git(tree.parent, "clone", "-q", "--bare", str(tree), "hub.git")
    git(tree, "remote", "add", "origin", str(tree.parent / "hub.git"))
    made = make.job(repo, "train", {f"images/{n}.png": f"image {n}" for n in range(300)}, {"m.pkl": "m"})
    with open_index(repo) as index:
        shard = index.load_job(made).input_shards[0]
    name = f"{read.tips(repo).popitem()[1]}:in/{shard.hash[:1]}/{shard.hash[1:]}"
    oid = git(tree, "rev-parse", name)
    sync(repo, "origin")
    path = Path(repo.objects_dir, oid[:2], oid[2:])
    data = path.read_bytes()
    path.unlink()
    assert delete(path_of(repo))
    with open_index(repo) as index:
        assert len(index.uses([made])[made][0]) == 0
        assert len(index.broken()) == 1
    path.write_bytes(data)
    sync(repo, "origin")
    grown = content(repo)
    assert delete(path_of(repo))
    assert content(repo) == grown
    assert len([row for row in grown["files"] if row[0] == made]) == 301
    assert grown["broken"] == []


def test_an_index_that_was_half_made_is_made_again(repo: Repository) -> None:
    """A process that is killed leaves only what the next one removes."""
    made = make.on_chain(repo, "a", *(job(n) for n in range(3)))
    os.makedirs(repo.own_dir, exist_ok=True)
    half = path_of(repo) + ".new"
    other = sqlite3.connect(half)
    other.execute("CREATE TABLE records (x)")
    other.commit()
    other.close()
    assert jobs_of(repo) == made[::-1]
    assert not os.path.exists(half)


# ------------------------------------------------------------------ the quick decoder
def verdict(decode: Any, body: bytes) -> Any:
    try:
        record = decode(body)
    except RecordError as error:
        return type(error), error.message
    return type(record), record


HOSTILE = (None, 0, True, 1.5, "x", [], {}, {"environment": {}, "exit": {}}, '"environment":,"exit":', [[]] * 3)


@settings(max_examples=150)
@given(data=st.data())
def test_the_quick_decoder_says_what_the_other_says(data: st.DataObject) -> None:
    """Of well-formed, odd and hostile bytes, with environments that it met before and not."""
    quick = codec.Decoder()
    plain = orjson.loads(codec.encode(job(1)))
    for _ in range(6):
        fields = copy.deepcopy(plain)
        for _ in range(data.draw(st.integers(0, 2))):
            part = fields
            while isinstance(part, dict) and part and data.draw(st.booleans()):
                part = part[data.draw(st.sampled_from(sorted(part)))]
            if isinstance(part, dict):
                names = st.sampled_from([*sorted(part), "environment", "exit", "more"])
                part[data.draw(names)] = copy.deepcopy(data.draw(st.sampled_from(HOSTILE)))
        option = data.draw(st.sampled_from([orjson.OPT_SORT_KEYS, 0, orjson.OPT_INDENT_2]))
        body = orjson.dumps(fields, option=option)
        if data.draw(st.booleans()):
            at, length = data.draw(st.integers(0, len(body))), data.draw(st.integers(0, 40))
            body = (
                body[:at]
                + data.draw(st.sampled_from([b"", b'"', b"}", b",", body[at : at + length] * 2]))
                + body[at + length :]
            )
        assert verdict(quick.decode, body) == verdict(codec.decode, body)
        assert verdict(quick.decode, body) == verdict(codec.decode, body)


@pytest.mark.parametrize(
    "tail",
    [
        b'{%s,"exit":{}}',
        b'{%s,"exit":{"code":0},"environment":5,"exit":{"code":0}}',
        b'{"code":{%s,"exit":1},"environment":{},"exit":{"code":0}}',
        b'{%s,"environment":{"machine":1},"exit":{"code":0}}',
        b'{"kind":"session",%s,"exit":{"code":0},"clock":1,"format":1,"writer":"w","user":"u"}',
        b'{"kind":"job","format":true,%s,"exit":{"code":0}}',
        b'[%s,"exit":{"code":0}]',
    ],
)
def test_known_environments_in_odd_places(tail: bytes) -> None:
    quick = codec.Decoder()
    body = codec.encode(job(1))
    quick.decode(body)
    start = body.index(b'"environment":')
    part = body[start : body.index(b',"exit":')]
    odd = tail % part
    rest = body[1:-1].replace(part + b",", b"")
    for hostile in (odd, odd[:-1] + b"," + rest + b"}", b"{" + rest + b"," + odd[1:]):
        assert verdict(quick.decode, hostile) == verdict(codec.decode, hostile)


@pytest.mark.parametrize(
    "more",
    [
        {},
        {"cwd": "src", "name": "big"},
        {"redirects": [{"fd": 0, "path": "in"}, {"fd": 1, "path": "é", "append": True, "later": [1]}]},
    ],
)
def test_the_key_of_a_step_is_of_its_canonical_bytes(more: dict[str, Any]) -> None:
    command = Command.model_validate({"argv": ["a", "b c"], **more})
    assert extract.step_key(command) == digest_bytes(codec.encode(command))[:32]
