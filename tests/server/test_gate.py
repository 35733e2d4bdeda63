"""What a real server refuses, over HTTP: one line for each problem, and nothing of it is left."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import make
import pytest

from roar.git import objects, refs
from roar.git.objects import Reader
from roar.git.repository import Repository
from roar.records import codec
from server import crafted
from server.conftest import on_both
from server.crafted import REF, commit, push, told, tree
from server.serving import Glaas, make_key
from server.state import assert_there, nothing_left
from server.wire import commands, pack, pack_request, posted

Git = Callable[..., str]
engine = on_both
TOKEN = "ghp_" + "aB3dE5fG7hJ9kL1mN3pQ5rS7tU9vW1xY3zA5"


@pytest.fixture
def accepted(repo: Repository) -> bytes:
    """The bytes of a good record, which is in the work tree's journal."""
    make.job(repo, "python a.py", {}, {"m": "1"})
    with Reader(repo) as reader:
        return reader.body(f"{next(iter(refs.listing(repo, 'refs/roar/jobs/').values()))}:record.json", "blob")


@pytest.fixture
def untouched(glaas: Glaas, project: str) -> Iterator[None]:
    """Nothing of what the test pushes may be left in its project."""
    with nothing_left(glaas, project):
        yield
    assert TOKEN not in (glaas.data / "audit.jsonl").read_text() + glaas.log.read_text()


def changed(body: bytes, **fields: object) -> bytes:
    return codec.dumps({**json.loads(body), **fields})


def with_variable(body: bytes, name: str) -> bytes:
    """A record with a variable of this name whose value is no text: what is said of it speaks of the name."""
    return changed(body, environment={**json.loads(body)["environment"], "variables": {name: 1}})


BODIES: dict[str, tuple[Callable[[bytes], bytes], str]] = {
    "not JSON": (lambda _: b"{", "not JSON"),
    "a list": (lambda _: b"[]", "not a JSON object"),
    "empty": (lambda _: b"", "not JSON"),
    "no format": (lambda _: b'{"kind":"job"}', "no format version"),
    "a newer format": (lambda body: changed(body, format=7), "format 7 is newer than 1"),
    "no clock": (lambda _: b'{"format":1,"kind":"job"}', "clock: Field required"),
    "a fraction": (lambda body: changed(body, clock=1.5), "clock: Input should be a valid integer"),
    "a hash that is none": (
        lambda body: changed(body, inputs=[{"path": "x", "hash": "../../etc"}]),
        "inputs.0.hash: String should match",
    ),
    "white space": (lambda body: body.replace(b",", b", "), "is not in canonical form"),
    "a key twice": (lambda body: body[:-1] + b',"clock":1}', "is not in canonical form"),
    "in the future": (lambda body: changed(body, clock=int((time.time() + 172800) * 1000)), "which is yet to come"),
    "a writer that is a path": (lambda body: changed(body, writer="../x"), "writer: String should match"),
    "a key that says yes": (
        lambda body: with_variable(body, "x\nok\n"),
        "environment.variables.x\\nok\\n: Input should be",
    ),
    "a very long key": (lambda body: with_variable(body, "x" * 10**6), "xxx…"),
    "a kind that is no text": (lambda body: changed(body, kind=7), "kind: Input should be"),
    "more files than can be": (
        lambda body: changed(
            body,
            input_shards=[
                {"directory": "x", "count": 10**6, "size": 1, "hash": "0" * 64},
                {"directory": "y", "count": 1_000_001, "size": 1, "hash": "1" * 64},
            ],
        ),
        "names 2000001 files, more than 2000000",
    ),
    "deep nesting": (lambda body: body[:-1] + b',"x":' + b"[" * 5000 + b"]" * 5000 + b"}", "not JSON"),
    "a secret": (
        lambda body: changed(body, command={"argv": ["curl", f"-HAuthorization: token {TOKEN}"]}),
        "seems to hold secrets: github-token",
    ),
}


def test_bytes_that_are_no_record(
    glaas: Glaas, project: str, untouched: None, repo: Repository, tree: Path, accepted: bytes
) -> None:
    for make_it, words in BODIES.values():
        oid = commit(repo, {b"record.json": make_it(accepted)})
        (line,) = told(push(tree, glaas.remote(project), f"{oid}:{REF}"))
        assert words in line
        assert line.startswith((f"{REF}: commit {oid}: ", "record.json ("))
        assert TOKEN not in line


def tag(repo: Repository, oid: str) -> str:
    return objects.write(
        repo, "tag", f"object {oid}\ntype commit\ntag x\ntagger A <a> 1735732800 +0000\n\nx\n".encode()
    )


def bomb(repo: Repository, body: bytes, levels: int) -> str:
    """A tree of ten to the power of ``levels`` paths in as many objects."""
    inner = nested(repo, objects.write(repo, "blob", b"x"), "0123456789", levels)
    record = objects.write(repo, "blob", body)
    return tree(repo, (b"100644", b"record.json", record), (b"40000", b"files", inner))


def nested(repo: Repository, blob: str, names: str, levels: int) -> str:
    """A tree with entries of these names, each of them again such a tree, and at the bottom a blob."""
    inner = tree(repo, *((b"100644", name.encode(), blob) for name in names))
    for _ in range(levels - 1):
        inner = tree(repo, *((b"40000", name.encode(), inner) for name in names))
    return inner


def deep(repo: Repository, body: bytes, depth: int) -> str:
    inner = tree(repo, (b"100644", b"x", objects.write(repo, "blob", b"x")))
    for _ in range(depth):
        inner = tree(repo, (b"40000", b"d", inner))
    record = objects.write(repo, "blob", body)
    return tree(repo, (b"100644", b"record.json", record), (b"40000", b"files", inner))


def beside(repo: Repository, body: bytes, mode: bytes, path: bytes, content: bytes = b"x") -> str:
    """A record's tree with one entry of this mode at ``files/PATH``; names may be what git would not write."""
    blob = objects.write(repo, "blob", content)
    inner = tree(repo, (mode, path, "1" * 40 if mode == b"160000" else blob))
    record = objects.write(repo, "blob", body)
    return tree(repo, (b"100644", b"record.json", record), (b"40000", b"files", inner))


TREES: dict[str, tuple[Callable[[Repository, bytes], str], str]] = {
    "ten billion paths": (lambda repo, body: bomb(repo, body, 10), "more than 1000000 or 128"),
    "a thousand folders deep": (lambda repo, body: deep(repo, body, 1000), "more than 1000000 or 128"),
    "a symbolic link": (lambda repo, body: beside(repo, body, b"120000", b"x"), "'x' is of mode 120000"),
    "a submodule": (lambda repo, body: beside(repo, body, b"160000", b"x"), "'x' is of mode 160000"),
    "a file for secrets": (lambda repo, body: beside(repo, body, b"100644", b".env"), "a file for secrets"),
    "a secret in code": (
        lambda repo, body: beside(repo, body, b"100644", b"a.py", f'token = "{TOKEN}"\n'.encode()),
        "seems to hold secrets: github-token",
    ),
    "something else beside": (
        lambda repo, body: tree(
            repo,
            (b"100644", b"record.json", objects.write(repo, "blob", body)),
            (b"100644", b"payload", objects.write(repo, "blob", b"x")),
        ),
        "'payload' is nothing that lies beside a record",
    ),
    "no record": (lambda repo, _: objects.write_files(repo, {b"README": b"x"}), "its tree holds no record"),
    "a record that is a folder": (
        lambda repo, body: objects.write_files(repo, {b"record.json/x": body}),
        "its tree holds no record",
    ),
    "a segment that is a file": (
        lambda repo, body: objects.write_files(repo, {b"segment": body}),
        "its tree holds no record",
    ),
    "half of a segment is broken": (
        lambda repo, body: objects.write_files(repo, {b"segment/x.jsonl": body + b"\n{\n"}),
        "not JSON",
    ),
}


def test_trees_that_are_no_records(
    glaas: Glaas, project: str, untouched: None, repo: Repository, tree: Path, accepted: bytes
) -> None:
    for make_it, words in TREES.values():
        oid = commit(repo, make_it(repo, accepted))
        (line,) = told(push(tree, glaas.remote(project), f"{oid}:{REF}"))
        assert words in line


def test_few_objects_that_say_much(
    glaas: Glaas, project: str, untouched: None, repo: Repository, tree: Path, accepted: bytes
) -> None:
    """Each is a few kilobytes, and would keep checks or the index busy for hours."""
    blob = objects.write(repo, "blob", b"x")
    record = objects.write(repo, "blob", accepted)
    shards = [{"directory": "", "count": 10**6, "size": 1, "hash": "0" * 64}]
    many_files = objects.write_files(repo, {b"record.json": changed(accepted, input_shards=shards)})
    chain = [""]
    for number in range(21):
        chain.append(commit(repo, many_files, f"roar: {number}", filter(None, chain[-1:])))
    for oid, ref, words in (
        (commit(repo, nested(repo, blob, "0123456789", 10)), "refs/roar/notes/abc", "is no note"),
        (commit(repo, nested(repo, blob, "0123456789abcdef", 40)), "refs/roar/notes/abc", "more than 1000000 notes"),
        (
            commit(repo, crafted.tree(repo, (b"40000", b"segment", nested(repo, record, "0123456789", 6)))),
            REF,
            "it brings more than 500000 objects",
        ),
        (chain[-1], REF, "its records name more than 20000000 files"),
    ):
        (line,) = told(push(tree, glaas.remote(project), f"{oid}:{ref}"))
        assert words in line


def test_more_refs_than_a_push_may_name(
    glaas: Glaas, project: str, untouched: None, repo: Repository, tree: Path, accepted: bytes
) -> None:
    oid = commit(repo, {b"record.json": accepted})
    packed = pack(tree, oid)
    for count, words in ((10_001, "it names 10001 refs, more than 10000"), (50_000, "it names refs in 5")):
        lines = [f"{'0' * 40} {oid} refs/roar/jobs/2026/{n:016x}".encode() for n in range(count)]
        assert words in posted(glaas, project, commands(*lines) + packed)


def test_names_that_lead_elsewhere(
    glaas: Glaas, project: str, untouched: None, repo: Repository, tree: Path, accepted: bytes
) -> None:
    """git itself refuses them, as it unpacks."""
    for name in (b".git", b"..", b".", b"a/b", b".GIT", b"git~1"):
        oid = commit(repo, beside(repo, accepted, b"100644", name))
        assert "fsck error" in push(tree, glaas.remote(project), f"{oid}:{REF}")


def test_refs_and_objects_of_other_kinds(
    glaas: Glaas, project: str, untouched: None, repo: Repository, tree: Path, accepted: bytes, git: Git
) -> None:
    good = commit(repo, {b"record.json": accepted})
    twice = commit(repo, {b"record.json": accepted}, "roar: y", [good, commit(repo, {b"record.json": accepted}, "z")])
    for source, ref, words in (
        (good, "refs/roar/jobs/2026/Not-A-Writer", "is no name of roar's"),
        (good, "refs/roar/elsewhere", "is no name of roar's"),
        (good, "refs/roar/jobs/20260/abc", "is no name of roar's"),
        (f"{good}^{{tree}}", REF, "is a tree, not a commit"),
        (f"{good}:record.json", REF, "is a blob, not a commit"),
        (tag(repo, good), REF, "is a tag"),
        (twice, REF, "has several parents"),
        (commit(repo, {b"record.json": accepted}, f"roar: x\n\nRoar-Id: {'0' * 26}"), REF, "says that its record is"),
        ("main", "refs/roar/notes/abc", "'README' is no note"),
    ):
        lines = told(push(tree, glaas.remote(project), f"{source}:{ref}"))
        assert len(lines) == 1, lines
        assert words in lines[0]
    for ref in ("refs/heads/main", "refs/tags/x", "refs/notes/commits", "refs/roar-remote/x/y"):
        assert "hidden ref" in push(tree, glaas.remote(project), f"main:{ref}")


def test_what_is_there_stays(glaas: Glaas, project: str, repo: Repository, tree: Path, git: Git) -> None:
    jobs = [make.job(repo, f"python {n}.py") for n in range(3)]
    (ref,) = refs.listing(repo, "refs/roar/jobs/")
    url = glaas.remote(project)
    earlier = git(tree, "rev-parse", f"{ref}~1")
    again = [pack_request(tree, earlier, ref), pack_request(tree, git(tree, "rev-parse", ref), ref)]
    push(tree, url, ref, code=0)
    assert_there(glaas, project, *jobs)
    body = git(tree, "cat-file", "blob", f"{ref}~1:record.json").encode()
    other = commit(repo, {b"record.json": body}, parents=[git(tree, "rev-parse", f"{ref}~2")])
    with nothing_left(glaas, project):
        for source, words in (
            (f"+{earlier}:{ref}", "would lose records"),  # a state of before, replayed
            (f"+{other}:{ref}", "would lose records"),
            (f":{ref}", "may not be deleted"),
        ):
            (line,) = told(push(tree, url, source))
            assert line.startswith(f"{ref}: ")
            assert words in line
    yes = commit(repo, {b"record.json": with_variable(body, "x\nok\n")})
    for extra in (f"+{other}:{REF}", f":{ref}"), (f":{ref.replace('2', '3')}",), (f"{yes}:{REF}", f":{ref}"):
        with nothing_left(glaas, project):  # all of a push, or nothing
            push(tree, url, *extra)
    more = make.job(repo, "python 4.py")
    with nothing_left(glaas, project):
        push(tree, url, ref, f"{yes}:{REF}", code=1)
    push(tree, url, ref, code=0)
    assert_there(glaas, project, *jobs, more)
    before = refs.listing(glaas.storage.repo(project), "refs/")
    for request in again:  # what was sent before, byte by byte: git lets in no ref whose old value is another
        assert "ng " in posted(glaas, project, request)
        assert refs.listing(glaas.storage.repo(project), "refs/") == before
    assert_there(glaas, project, *jobs, more)


def test_requests_that_are_no_pushes(
    glaas: Glaas, project: str, untouched: None, repo: Repository, tree: Path, accepted: bytes
) -> None:
    """Malformed at every level: lines, packs, objects, and refs that no git would send."""
    first = commit(repo, {b"record.json": accepted})
    second = commit(repo, {b"record.json": accepted}, "roar: y", [first])
    good = pack_request(tree, first, REF)
    start = commands(f"{'0' * 40} {first} {REF}".encode())
    raw = subprocess.run(["git", "cat-file", "commit", first], cwd=tree, capture_output=True, check=True).stdout
    undated = objects.write(repo, "commit", raw.replace(b" 1735732800 +0000", b""))
    words = ["git", "pack-objects", "--stdout", "-q"]
    alone = subprocess.run(words, input=f"{second}\n".encode(), cwd=tree, capture_output=True, check=True).stdout
    for body in (
        b"",
        b"0000",
        b"zzzz" + good,
        b"ffff" + good,
        good[:4] + b"\xff" * 40 + good[44:],
        start,
        start + b"PACK",
        good[:-1] + bytes([good[-1] ^ 1]),
        good[:-60] + b"\0" * 40 + good[-20:],
        good.replace(b"PACK\0\0\0\2", b"PACK\0\0\0\7"),
        start + b"PACK\0\0\0\2\xff\xff\xff\xff" + pack(tree, first)[12:],
        commands(f"{'0' * 40} {second} {REF}".encode()) + alone,  # what it stands on is nowhere
        commands(f"{'0' * 40} {'1' * 40} {REF}".encode()) + pack(tree, first),
        commands(f"{'0' * 40} {undated} {REF}".encode()) + pack(tree, undated),
        *(
            commands(f"{'0' * 40} {first} ".encode() + ref) + pack(tree, first)
            for ref in (
                b"refs/roar/jobs/2026/../../../heads/main",
                b"refs/roar/jobs/2026/a\nb",
                b"refs/roar/jobs/2026/\xff\xfe",
                b"refs/roar/jobs/2026/a.lock",
                b"/etc/passwd",
                b"HEAD",
                b"refs/heads/main",
                b"refs/roar/../heads/main",
                b"refs/roar/jobs/2026/" + b"a" * 5000,
                b"",
            )
        ),
    ):
        said = posted(glaas, project, body)
        assert f"ok {REF}" not in said
        assert "Traceback" not in said


def test_a_known_blob_is_no_way_around(
    glaas: Glaas, project: str, repo: Repository, tree: Path, accepted: bytes
) -> None:
    """What came in beside a record, unread, is read when it is to be a record itself."""
    url, bad = glaas.remote(project), b'{"format":1,"kind":"job"}'
    first = commit(repo, {b"record.json": accepted, b"files/x": bad})
    push(tree, url, f"{first}:{REF}", code=0)
    again = commit(repo, {b"record.json": bad}, parents=[first])
    (line,) = told(push(tree, url, f"{again}:{REF}"))
    assert "clock: Field required" in line
    both = commit(repo, {b"record.json": b"{}", b"files/x": b"{}"})
    assert "no format version" in told(push(tree, url, f"{both}:{REF[:-1]}0"))[0]
    lines_of_two = accepted + b"\n" + accepted
    as_segment = commit(repo, {b"segment/a": lines_of_two})
    as_one = commit(repo, {b"record.json": lines_of_two}, parents=[as_segment])
    assert "not JSON" in told(push(tree, url, f"{as_one}:{REF[:-1]}2"))[0]
    as_note = commit(repo, {b"record.json": b"{}"})
    lines = told(push(tree, url, f"{as_note}:refs/roar/notes/abc", f"{as_note}:{REF[:-1]}1"))
    assert any("no format version" in line for line in lines), lines


def test_what_came_as_something_else_is_no_record(
    glaas: Glaas, project: str, repo: Repository, tree: Path, accepted: bytes
) -> None:
    """Code and throw-away refs take any commit; that does not make it a record afterwards."""
    url = glaas.remote(project)
    linked = beside(repo, accepted, b"120000", b"x")
    for number, (way, inside) in enumerate(
        (
            ("code/abc", objects.write_files(repo, {b"record.json": b"{}"})),
            ("check/abc", objects.write_files(repo, {b"record.json": b'{"format":7}'})),
            ("code/abd", linked),
        )
    ):
        oid = commit(repo, inside)
        push(tree, url, f"{oid}:refs/roar/{way}", code=0)
        (line,) = told(push(tree, url, f"{oid}:{REF[:-1]}{number}"))
        assert f"commit {oid} is here, and in no chain of records" in line
        (line,) = told(push(tree, url, f"{commit(repo, inside, 'anew')}:{REF[:-1]}{number}"))
        assert "no format version" in line or "format 7 is newer" in line or "'x' is of mode 120000" in line
        on_top = commit(repo, {b"record.json": accepted}, parents=[oid])
        assert "in no chain of records" in told(push(tree, url, f"{on_top}:{REF[:-1]}{number}"))[0]
    assert not refs.listing(glaas.storage.repo(project), "refs/roar/jobs/")


def test_settings_of_a_project(
    glaas: Glaas, project: str, repo: Repository, tree: Path, accepted: bytes, git: Git
) -> None:
    url = glaas.remote(project)
    oid = commit(repo, beside(repo, accepted, b"100644", b"a.py", f'token = "{TOKEN}"\n'.encode()))
    glaas.people.set_project(project, by="tests", quota_bytes=100)
    (line,) = told(push(tree, url, f"{oid}:{REF}"))
    assert "more than its quota of 100 (next: ask" in line
    glaas.people.set_project(project, by="tests", quota_bytes=10 << 20)
    assert "secrets" in push(tree, url, f"{oid}:{REF}")
    glaas.people.set_project(project, by="tests", secrets="allowed")
    push(tree, url, f"{oid}:{REF}", code=0)


def test_a_purge_is_let_through_while_it_is_allowed(glaas: Glaas, project: str, repo: Repository, tree: Path) -> None:
    for n in range(2):
        make.job(repo, f"python {n}.py")
    (ref,) = refs.listing(repo, "refs/roar/jobs/")
    url = glaas.remote(project)
    push(tree, url, ref, code=0)
    glaas.people.set_project(project, by="tests", rewrites="allowed")
    push(tree, url, f"+{ref}~1:{ref}", code=0)
    push(tree, url, f":{ref}", code=0)
    assert not refs.listing(glaas.storage.repo(project), "refs/roar/jobs/")
    push(tree, url, ref, code=0)
    glaas.people.set_project(project, by="tests", rewrites="refused")
    assert "may not be deleted" in told(push(tree, url, f":{ref}"))[0]


# ---- signatures


@pytest.fixture
def sign(tree: Path, repo: Repository, git: Git, accepted: bytes) -> Callable[[Path, str], str]:
    """Make a commit of a record on a parent, signed with a key."""

    def made(key: Path, parent: str = "") -> str:
        oid = git(tree, "rev-parse", f"{commit(repo, {b'record.json': accepted})}^{{tree}}")
        words = ["-c", "gpg.format=ssh", "commit-tree", f"-S{key}", *(["-p", parent] if parent else []), "-m", "x", oid]
        return git(tree, *words)

    return made


def test_signers(
    glaas: Glaas,
    project: str,
    repo: Repository,
    tree: Path,
    git: Git,
    accepted: bytes,
    tmp_path: Path,
    sign: Callable[..., str],
) -> None:
    url = glaas.remote(project)
    reader = glaas.user("rita", tmp_path)
    glaas.people.grant(project, "rita", "read", by="tests")
    stranger = make_key(tmp_path / "stranger")

    def refused(oid: str) -> str:
        (line,) = told(push(tree, url, f"{oid}:{REF}"))
        return line

    assert "that is no user's here" in refused(sign(stranger))
    assert "is signed by rita, who may not write" in refused(sign(reader))
    good = sign(glaas.key)
    body = subprocess.run(["git", "cat-file", "commit", good], cwd=tree, capture_output=True, check=True).stdout
    forged = objects.write(repo, "commit", body.replace(b"\n\nx\n", b"\n\ny\n"))
    assert "has a bad signature" in refused(forged)
    plain = commit(repo, {b"record.json": accepted})
    glaas.people.set_project(project, by="tests", signers="required")
    assert "its last record is not signed" in refused(plain)
    assert "its last record is not signed" in refused(
        commit(repo, {b"record.json": accepted}, parents=[sign(glaas.key)])
    )
    covered = sign(glaas.key, plain)
    push(tree, url, f"{covered}:{REF}", code=0)
    glaas.people.set_project(project, by="tests", signers="optional")
    push(tree, url, f"{commit(repo, {b'record.json': accepted}, parents=[covered])}:{REF}", code=0)
