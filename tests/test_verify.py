"""Signed records: by git's own set-up, judged as ``git verify-commit`` judges them; ids against bytes."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import make
import pytest
from conftest import Git, Roar, needs_tracer

from roar.git import objects, refs
from roar.git.objects import Reader
from roar.git.repository import Repository
from roar.journal import RECORD


@pytest.fixture
def key(tree: Path, git: Git, tmp_path: Path) -> Path:
    """An SSH key that git signs with and trusts, and that roar is told to use."""
    path = tmp_path / "key"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(path)], check=True)
    public = path.with_suffix(".pub").read_text()
    (tmp_path / "allowed").write_text(f'ada@example.org namespaces="git" {public}')
    git(tree, "config", "gpg.format", "ssh")
    git(tree, "config", "user.signingKey", str(path))
    git(tree, "config", "gpg.ssh.allowedSignersFile", str(tmp_path / "allowed"))
    git(tree, "config", "roar.sign.enabled", "true")
    return path


def verdicts(roar: Roar, *words: str, code: int = 0) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(roar("verify", *words, "--json", code=code).stdout)["records"]
    return found


def states(roar: Roar, *words: str, code: int = 0) -> list[str]:
    return [verdict["state"] for verdict in verdicts(roar, *words, code=code)]


@needs_tracer
def test_records_are_signed_and_git_agrees(key: Path, tree: Path, git: Git, roar: Roar) -> None:
    git(tree, "config", "roar.sign.enabled", "false")
    roar("run", "sh", "-c", "echo 1 > a")
    assert states(roar) == ["unsigned", "unsigned"]  # the session and the job
    first, second = (v["id"][:12] for v in verdicts(roar))
    assert roar("verify").stdout.decode() == f"2 records\n    2 not signed: {first}, {second}\n"
    assert states(roar, "--require-signed", code=3)
    git(tree, "config", "roar.sign.enabled", "true")
    roar("run", "sh", "-c", "cat a > b")
    found = verdicts(roar)
    assert [v["state"] for v in found] == ["covered", "covered", "signed"]
    assert {v["signer"] for v in found} == {"ada@example.org"}
    assert states(roar, "b", "--require-signed") == ["covered", "signed"]
    git(tree, "verify-commit", found[-1]["commit"])
    git(tree, "fsck", "--strict")
    assert b"1 signed (ada@example.org)" in roar("verify").stdout
    roar("fsck")


@needs_tracer
def test_a_key_that_nobody_knows_here(key: Path, tree: Path, git: Git, roar: Roar) -> None:
    roar("run", "true")
    (key.parent / "allowed").write_text("")
    assert states(roar) == ["untrusted", "untrusted"]
    assert states(roar, "--require-signed", code=3)
    assert git(tree, "verify-commit", verdicts(roar)[-1]["commit"], ok=False) == ""


@needs_tracer
def test_what_cannot_be_signed_is_recorded_all_the_same_and_said(key: Path, tree: Path, git: Git, roar: Roar) -> None:
    key.unlink()
    done = roar("run", "sh", "-c", "echo 1 > a")
    (line,) = [line for line in done.stderr.splitlines() if line.startswith(b"roar: ")]
    assert b"not signed" in line
    assert states(roar, "a") == ["unsigned"]


def test_a_forged_record_is_named(key: Path, repo: Repository, git: Git, tree: Path, roar: Roar) -> None:
    """Somebody puts other bytes under a signed commit's message, or under its signature."""
    job = make.job(repo, "train", {}, {"m": "m"})
    ref = next(iter(refs.listing(repo, "refs/roar/jobs/")))
    with Reader(repo) as reader:
        signed = reader.body(str(refs.read(repo, ref)), "commit")
        body = reader.body(f"{ref}:record.json", "blob").replace(b"Ada", b"Eve")
    tree_id = objects.write_files(repo, {RECORD: body})
    head, _, message = signed.partition(b"\n\n")
    lines = head.split(b"\n")
    other = b"\n".join([b"tree " + tree_id.encode(), *lines[1:]]) + b"\n\n" + message
    for name, forged in (("keeps", other), ("drops", other[: other.index(b"gpgsig")] + b"\n" + message)):
        oid = objects.write(repo, "commit", forged)
        git(tree, "update-ref", f"refs/roar-remote/eve/jobs/2025/{name}", oid)
    found = verdicts(roar, code=3)
    assert [v["state"] for v in found if v["id"] == job] == ["signed", "broken", "broken"]
    shown = roar("verify", code=3).stdout.decode()
    assert f"broken  record {job}: its bytes have the id" in shown


def test_nothing_to_verify(tree: Path, roar: Roar) -> None:
    assert roar("verify").stdout == b"0 records\n"
    (tree / "x").write_text("x")
    assert b"no recorded job" in roar("verify", "x", code=1).stderr


@needs_tracer
def test_a_user_who_has_git_log_show_signatures(key: Path, tree: Path, git: Git, roar: Roar) -> None:
    roar("run", "sh", "-c", "echo 1 > a")
    git(tree, "config", "log.showSignature", "true")
    assert states(roar) == ["signed", "signed"]
    roar("fsck")
