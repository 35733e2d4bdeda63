"""The log of a project: every record once, proofs that a second checker accepts, nothing lost by whatever dies."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import make
import pytest

from roar.errors import RoarError
from roar.git.repository import Repository, discover
from roar.glaas import checkpoint, merkle, ssh
from roar.journal import JOBS
from roar.server import log
from server import second_log


@pytest.fixture
def data(tmp_path: Path) -> Path:
    folder = tmp_path / "data"
    folder.mkdir()
    ssh.make_key(str(folder / "checkpoint_key"), "checkpoints")
    return folder


@pytest.fixture
def project(data: Path) -> Repository:
    path = data / "projects" / "team" / "a.git"
    path.mkdir(parents=True)
    subprocess.run(["git", "init", "-q", "--bare", str(path)], check=True)
    return discover(str(path))


def add(project: Repository, count: int, writer: str) -> list[str]:
    """Records of a writer, as a push would bring them."""
    return make.bulk(project, make.pipelines(count), writer)


def whole(project: Repository, data: Path) -> log.Log:
    """The log after an extension, whose root is that of its entries by the second checker."""
    found = log.extend(project, str(data))
    key = Path(log.key_path(str(data)) + ".pub").read_text()
    origin, size, root = second_log.read_checkpoint(found.signed, key)
    leaves = [second_log.leaf(entry.id, entry.content) for entry in found.entries(0, size)]
    assert origin == "glaas/team/a"
    assert len(leaves) == size == found.checkpoint.size
    assert root == second_log.root(leaves)
    assert (Path(project.common_dir) / "glaas/log/entries").stat().st_size == 92 * size
    return found


def test_records_are_logged_once_in_order_however_they_come(project: Repository, data: Path) -> None:
    assert whole(project, data).checkpoint.size == 0
    ids: list[str] = []
    for number, count in enumerate((1, 1, 2, 5, 20)):
        ids += sorted(add(project, count, f"writer-{number}"))
        found = whole(project, data)
        assert [entry.id for entry in found.entries(0, 100)] == ids
    tip = project.ask("rev-parse", f"{JOBS}2025/writer-4").decode().strip()
    project.ask("update-ref", "refs/roar/archive/2025/again", tip)
    assert whole(project, data).checkpoint.size == len(ids)
    signed = Path(project.common_dir, "glaas/log/checkpoint")
    before = signed.stat().st_mtime_ns
    assert whole(project, data).signed == signed.read_text()
    assert signed.stat().st_mtime_ns == before


def test_every_proof_of_inclusion_convinces_both_checkers(project: Repository, data: Path) -> None:
    add(project, 21, "a")
    found = whole(project, data)
    entries = list(found.entries(0, 21))
    leaves = [second_log.leaf(entry.id, entry.content) for entry in entries]
    for size in range(1, 22):
        root = second_log.root(leaves[:size])
        for index in range(size):
            proof = found.inclusion(index, size)
            assert second_log.root_by_inclusion(index, size, leaves[index], proof) == root
            mine = merkle.leaf_hash(checkpoint.leaf(entries[index].id, entries[index].content))
            assert merkle.includes(mine, index, size, proof, root)
            assert not merkle.includes(mine, index + 1, size, proof, root)
            assert not merkle.includes(merkle.leaf_hash(b"other"), index, size, proof, root)
            assert not merkle.includes(mine, index, size, [*proof, root], root)
            assert not merkle.includes(mine, index, size, proof[1:], root) or size == 1


def test_every_proof_of_consistency_convinces_both_checkers(project: Repository, data: Path) -> None:
    add(project, 21, "a")
    found = whole(project, data)
    leaves = [second_log.leaf(entry.id, entry.content) for entry in found.entries(0, 21)]
    roots = [second_log.root(leaves[:size]) for size in range(22)]
    for new in range(1, 22):
        for old in range(1, new + 1):
            proof = found.consistency(old, new)
            assert second_log.roots_by_consistency(old, new, roots[old], proof) == [roots[old], roots[new]]
            assert merkle.extends(old, roots[old], new, roots[new], proof)
            assert not merkle.extends(old, roots[old - 1], new, roots[new], proof)
            assert not merkle.extends(old, roots[old], new, roots[new - 1], proof)
            assert not merkle.extends(old, roots[old], new, roots[new], [*proof, roots[0]])


def test_what_a_killed_process_left_beyond_the_checkpoint_is_cut_off(project: Repository, data: Path) -> None:
    add(project, 6, "a")
    whole(project, data)
    folder = Path(project.common_dir) / "glaas" / "log"
    for name in ("entries", "tree/0", "tree/1", "tree/2"):
        with open(folder / name, "ab") as file:
            file.write(b"torn" * 30)
    (folder / "checkpoint.new").write_text("half")
    add(project, 3, "b")
    assert whole(project, data).checkpoint.size == 9


@pytest.mark.parametrize("name", ["entries", "tree/0", "tree/2"])
def test_a_log_that_lost_what_it_signed_says_so(project: Repository, data: Path, name: str) -> None:
    add(project, 7, "a")
    whole(project, data)
    os.truncate(Path(project.common_dir) / "glaas" / "log" / name, 10)
    add(project, 3, "b")
    with pytest.raises(RoarError, match=r"shorter than its checkpoint|damaged"):
        log.extend(project, str(data))


def test_two_servers_at_once_make_one_log(project: Repository, data: Path) -> None:
    code = (
        "import sys; from roar.git.repository import discover; from roar.server import log\n"
        "for _ in range(5): log.extend(discover(sys.argv[1]), sys.argv[2])"
    )
    words = [sys.executable, "-c", code, project.common_dir, str(data)]
    at_work = [subprocess.Popen(words, stderr=subprocess.PIPE) for _ in range(3)]
    for number in range(4):
        add(project, 3, f"writer-{number}")
    assert [process.communicate()[1] for process in at_work] == [b""] * 3
    assert whole(project, data).checkpoint.size == 12


def test_signatures_are_good_for_one_namespace_and_one_key(tmp_path: Path) -> None:
    ssh.make_key(str(tmp_path / "one"), "one")
    ssh.make_key(str(tmp_path / "two"), "two")
    one, two = ssh.read(str(tmp_path / "one")), ssh.read(str(tmp_path / "two"))
    signature = ssh.sign(b"text", one, "auth@roar")
    assert ssh.is_signed(b"text", signature, one, "auth@roar")
    assert not ssh.is_signed(b"text", signature, one, "git")
    assert not ssh.is_signed(b"text", signature, two, "auth@roar")
    assert not ssh.is_signed(b"texts", signature, one, "auth@roar")
    assert not ssh.is_signed(b"text", "", one, "auth@roar")
    listed = subprocess.run(["ssh-keygen", "-lf", one.path], capture_output=True, text=True, check=True).stdout
    assert listed.split()[1] == one.fingerprint


def test_when_each_record_came_and_who_signed_it_is_noted(project: Repository, data: Path, tmp_path: Path) -> None:
    add(project, 3, "writer-a")
    found = whole(project, data)
    (at,) = {it.at_ns for it in found.accepted(0, 3)}
    noted = Path(project.common_dir) / "glaas/log/accepted"
    noted.unlink()  # as in a log that is older than these notes
    assert [it.at_ns for it in log.Log(project).accepted(0, 3)] == [0, 0, 0]
    tip = add(project, 2, "writer-b")[-1]
    ssh.make_key(str(tmp_path / "key"), "a writer")
    ref = f"{JOBS}2025/writer-b"
    words = ["git", f"--git-dir={project.git_dir}", "-c", "gpg.format=ssh", "commit-tree", f"-S{tmp_path / 'key'}"]
    made = subprocess.run([*words, "-p", f"{ref}~", "-m", "x", f"{ref}^{{tree}}"], capture_output=True, check=True)
    subprocess.run([*words[:2], "update-ref", ref, made.stdout.strip()], check=True)
    found = whole(project, data)
    (late,) = {it.at_ns for it in found.accepted(3, 5)}
    assert late > at
    shown = subprocess.run(["ssh-keygen", "-lf", str(tmp_path / "key")], capture_output=True, check=True, text=True)
    assert [it.key for it in found.accepted(0, 5)] == ["", "", "", *[shown.stdout.split()[1]] * 2], "and what is before"
    assert tip in {it.id for it in found.accepted(3, 5)}
    noted.write_text(noted.read_text().replace(str(late), str(late + 10**18)))
    add(project, 1, "writer-c")
    assert [it.at_ns for it in whole(project, data).accepted(5, 6)] == [late + 10**18], "never earlier than before"
