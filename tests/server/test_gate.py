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
from server.crafted import REF, commit, files_of, push, told, tree
from server.serving import Glaas, make_key

Git = Callable[..., str]
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
    before = files_of(glaas.storage.path(project))
    yield
    assert files_of(glaas.storage.path(project)) == before
    assert not refs.listing(glaas.storage.repo(project), "refs/")
    noted = [line for line in glaas.audited() if line["project"] == project]
    assert {line["what"] for line in noted} <= {"refused"}


def changed(body: bytes, **fields: object) -> bytes:
    return codec.dumps({**json.loads(body), **fields})


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
    oid = objects.write(repo, "blob", b"x")
    inner = tree(repo, *((b"100644", b"%d" % n, oid) for n in range(10)))
    for _ in range(levels - 1):
        inner = tree(repo, *((b"40000", b"%d" % n, inner) for n in range(10)))
    record = objects.write(repo, "blob", body)
    return tree(repo, (b"100644", b"record.json", record), (b"40000", b"files", inner))


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
    for n in range(3):
        make.job(repo, f"python {n}.py")
    (ref,) = refs.listing(repo, "refs/roar/jobs/")
    url = glaas.remote(project)
    push(tree, url, ref, code=0)
    before = git(glaas.storage.path(project), "for-each-ref")
    body = git(tree, "cat-file", "blob", f"{ref}~1:record.json").encode()
    other = commit(repo, {b"record.json": body}, parents=[git(tree, "rev-parse", f"{ref}~2")])
    for source, words in (
        (f"+{ref}~1:{ref}", "would lose records"),  # a state of before, replayed
        (f"+{other}:{ref}", "would lose records"),
        (f":{ref}", "may not be deleted"),
    ):
        (line,) = told(push(tree, url, source))
        assert line.startswith(f"{ref}: ")
        assert words in line
    assert git(glaas.storage.path(project), "for-each-ref") == before
    make.job(repo, "python 4.py")
    push(tree, url, ref, f"+{other}:{REF}", f":{ref.replace('2', '3')}", code=1)
    assert git(glaas.storage.path(project), "for-each-ref") == before  # all of a push, or nothing
    push(tree, url, ref, code=0)
    assert [it["what"] for it in glaas.audited() if it["project"] == project][:1] == ["push"]


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
