"""Settings of a recorded run: copies of what was overwritten, other digests, tidy folders, registering by itself."""

from __future__ import annotations

import hashlib
import json
import os
import time
from pathlib import Path

import pytest
from conftest import Git, Roar, needs_tracer

from roar.hashing import digest_bytes

pytestmark = needs_tracer


def record(roar: Roar, *words: str) -> str:
    return roar("run", *words).stderr.decode()


@pytest.fixture
def reversible(roar: Roar, git: Git) -> Roar:
    git(roar.folder, "config", "roar.reversible.enabled", "true")
    return roar


HOW = {
    "written over": "echo second > data",
    "written into": "printf x | dd of=data conv=notrunc status=none",
    "removed": "rm data",
    "replaced by a rename": "echo second > new; mv new data",
    "moved and written": "mv data else; echo second > else",
    "cut short": "truncate -s 2 data",
}


@pytest.mark.parametrize("how", HOW)
def test_what_was_overwritten_comes_back(how: str, reversible: Roar) -> None:
    data = reversible.folder / "data"
    data.write_text("first\n")
    said = record(reversible, "sh", "-c", HOW[how])
    content = digest_bytes(b"first\n")
    assert f"  was  {content[:12]}  data (to bring it back: roar get {content[:12]})" in said
    reversible("get", content[:12], "--force")
    assert data.read_text() == "first\n"
    (listed,) = json.loads(reversible("get", "--kept", "--json").stdout)
    assert (listed["path"], listed["hash"], listed["size"]) == ("data", content, 6)
    assert b"data  " in reversible("get", "--kept").stdout


def test_only_what_is_lost_is_kept(reversible: Roar, git: Git, tmp_path: Path) -> None:
    for name in ("same", "large", "read"):
        (reversible.folder / name).write_text(name)
    (tmp_path / "outside").write_text("o")
    git(reversible.folder, "config", "roar.reversible.maxSize", "4")
    record(
        reversible, "sh", "-c", f"printf same > same; echo x > large; cat read; echo y > {tmp_path}/outside; git gc -q"
    )
    assert b"nothing is kept here (next: roar config set reversible.enabled true)" in reversible("get", "--kept").stderr
    git(reversible.folder, "config", "roar.reversible.enabled", "false")
    record(reversible, "sh", "-c", "echo z > same")
    assert not json.loads(reversible("get", "--kept", "--json").stdout)


def test_a_damaged_line_of_the_list_costs_no_other(reversible: Roar) -> None:
    data = reversible.folder / "data"
    data.write_text("1111\n")
    record(reversible, "sh", "-c", "echo 2222 > data")
    with (reversible.folder / ".git/roar/kept/list").open("ab") as file:
        file.write(b"{half of a li\xff\n")
    record(reversible, "sh", "-c", "echo 3333 > data")
    kept = [each["hash"] for each in json.loads(reversible("get", "--kept", "--json").stdout)]
    assert sorted(kept) == sorted(digest_bytes(text) for text in (b"1111\n", b"2222\n"))
    assert os.listdir(reversible.folder / ".git/roar/kept/tmp") == []


def test_the_oldest_copies_go_first(reversible: Roar, git: Git) -> None:
    git(reversible.folder, "config", "roar.reversible.maxTotalSize", "8")
    data = reversible.folder / "data"
    data.write_text("1111\n")
    for text in ("2222", "3333"):
        record(reversible, "sh", "-c", f"echo {text} > data")
    (left,) = json.loads(reversible("get", "--kept", "--json").stdout)
    assert left["hash"] == digest_bytes(b"2222\n")
    done = reversible("get", digest_bytes(b"1111\n")[:12], code=1)
    assert b"no job, artifact or commit begins with" in done.stderr


def test_other_digests_are_recorded_and_found(roar: Roar, git: Git, tmp_path: Path) -> None:
    for name in ("sha256", "md5"):
        git(roar.folder, "config", "--add", "roar.hash.run", name)
    (roar.folder / "in").write_text("in")
    record(roar, "cp", "in", "out.csv")
    shown = json.loads(roar("show", "@1", "--json").stdout)
    for side, path in (("inputs", "in"), ("outputs", "out.csv")):
        (file,) = [file for file in shown[side] if file["path"] == path]
        wanted = {"sha256": hashlib.sha256(b"in").hexdigest(), "md5": hashlib.md5(b"in").hexdigest()}
        assert file["digests"] == wanted
    for digest in wanted.values():
        found = json.loads(roar("show", digest, "--json").stdout)
        assert (found["hash"], found["digests"]) == (digest_bytes(b"in"), wanted)
    git(roar.folder, "config", "roar.hash.put", "sha512")
    git(roar.folder, "config", "roar.store.url", str(tmp_path / "store"))
    roar("put", "out.csv")
    sha512 = hashlib.sha512(b"in").hexdigest()
    assert json.loads(roar("show", sha512, "--json").stdout)["labels"] == {"sha512": sha512}
    assert roar("fsck").returncode == 0


def test_temporary_files_that_the_job_created_are_deleted(roar: Roar, git: Git, tmp_path: Path) -> None:
    git(roar.folder, "config", "roar.cleanup.deleteTmpWrites", "true")
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    (scratch / "before").write_text("b")
    said = roar("run", "sh", "-c", f"echo new > {scratch}/new; echo more >> {scratch}/before; echo out > out")
    assert f"  deleted  {scratch}/new\n" in said.stderr.decode()
    assert [path.name for path in scratch.iterdir()] == ["before"]
    assert (roar.folder / "out").exists()  # although the work tree, too, lies in a folder for temporary files


def test_files_of_the_commit_may_be_counted_alone(roar: Roar, git: Git) -> None:
    git(roar.folder, "config", "roar.output.trackRepositoryFiles", "false")
    (roar.folder / "data").write_text("d")
    said = record(roar, "cat", "README", "data")
    assert "1 file of the commit" in said
    shown = json.loads(roar("show", "@1", "--json").stdout)
    assert [file["path"] for file in shown["inputs"]] == ["data"]


def test_a_run_registers_by_itself(hub: Path, roar: Roar, git: Git) -> None:
    git(roar.folder, "config", "roar.register.auto", "true")

    record(roar, "true")
    deadline = time.monotonic() + 30
    while not (found := git(hub, "log", "--format=%H", "--glob=refs/roar/jobs/*").split()):
        assert time.monotonic() < deadline
        time.sleep(0.1)
    assert len(found) == 2


def test_io_uring_may_be_denied(roar: Roar, git: Git, tmp_path: Path) -> None:
    code = "import ctypes; libc = ctypes.CDLL(None, use_errno=True); "
    code += "libc.syscall(425, 8, (ctypes.c_char * 256)()); print(ctypes.get_errno())"
    git(roar.folder, "config", "roar.tracer.ioUring", "deny")
    done = roar("run", "--json", "python3", "-c", code)
    assert done.stdout == b"38\n"  # ENOSYS
    assert "io_uring" not in [gap["reason"] for gap in json.loads(done.stderr).get("incomplete", [])]


def test_what_the_overlay_shall_include_is_kept(roar: Roar, git: Git) -> None:
    git(roar.folder, "config", "roar.overlay.include", "weights/*.bin")
    (roar.folder / "weights").mkdir()
    for name in ("weights/a.bin", "other.bin"):
        (roar.folder / name).write_bytes(b"\0\1")
    record(roar, "cat", "weights/a.bin", "other.bin")
    shown = json.loads(roar("show", "@1", "--json").stdout)["record"]
    assert [file["path"] for file in shown["code"]["overlay"]] == ["weights/a.bin"]
