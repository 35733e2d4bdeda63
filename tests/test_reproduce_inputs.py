"""Where the inputs of a reproduction come from, in a clone elsewhere, with the original directory moved away."""

from __future__ import annotations

import contextlib
import functools
import hashlib
import http.server
import os
import shutil
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import make
import pytest
from conftest import Git, Roar, needs_tracer
from test_reproduce import areas, commit, reproductions, shared

from roar.store.copying import object_path

pytestmark = needs_tracer
DATA = "b,2\na,1\n"


@pytest.fixture
def sorted_data(tree: Path, roar: Roar, git: Git) -> Path:
    """A job that sorts an ignored file; the folder has nothing else."""
    (tree / ".gitignore").write_text("data.csv\n")
    (tree / "data.csv").write_text(DATA)
    commit(tree, git)
    roar("run", "-q", "--input", "https://example.org/other.csv", "sort", "data.csv", "-o", "sorted.csv")
    return tree


@contextlib.contextmanager
def served(folder: Path) -> Iterator[str]:
    """The address of a web server for this folder."""
    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=str(folder))
    handler.log_message = lambda *_: None  # type: ignore[attr-defined]
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def test_a_blob_of_any_commit(sorted_data: Path, git: Git) -> None:
    git(sorted_data, "checkout", "-q", "-b", "old")
    shutil.copy(sorted_data / "data.csv", sorted_data / "kept-elsewhere.txt")
    (sorted_data / "same-size.txt").write_text("8 bytes.")
    commit(sorted_data, git)
    git(sorted_data, "checkout", "-q", "main")
    clone = shared(sorted_data, git)
    git(clone, "fetch", "-q", str(sorted_data.parent / "moved away"), "old:old")
    done = Roar(clone)("reproduce", "-y", "sorted.csv")
    blob = git(clone, "rev-parse", "old:kept-elsewhere.txt")
    assert f"data.csv  blob {blob[:12]}" in done.stderr.decode()
    assert done.stdout.startswith(b"identical  sorted.csv")


def test_a_folder_that_is_searched(sorted_data: Path, git: Git) -> None:
    clone = shared(sorted_data, git)
    away = sorted_data.parent / "moved away"
    (away / "trap").symlink_to("/")
    done = Roar(clone)("reproduce", "-y", "sorted.csv", "--search", str(away))
    assert f"from {away}/data.csv" in done.stderr.decode()
    assert done.stdout.startswith(b"identical")
    assert b"--search takes a folder" in Roar(clone)("reproduce", "sorted.csv", "--search", "/no", code=2).stderr
    (away / "data.csv").write_text("b,2\na,2\n")  # the same size
    assert b"data.csv is missing" in Roar(clone)("reproduce", "-y", "sorted.csv", "--search", str(away), code=1).stderr


def test_a_store_that_is_far_away(sorted_data: Path, git: Git, sealed: Path) -> None:
    pytest.importorskip("fsspec")
    pytest.importorskip("aiohttp")
    shelf = sorted_data.parent / "shelf"
    Roar(sorted_data)("put", "-q", "data.csv", "--store", str(shelf))
    clone = shared(sorted_data, git)
    place = shelf / object_path(make.digest(DATA))
    with served(shelf) as url:
        git(clone, "config", "roar.store.url", url)
        said = Roar(clone)("reproduce", "--plan", "sorted.csv").stdout.decode()
        assert f"data.csv  to be fetched from {url}/b3/" in said
        assert b"data.csv is in http" in Roar(clone)("reproduce", "sorted.csv", "--script", "x.sh", code=1).stderr
        assert Roar(clone)("reproduce", "-y", "sorted.csv").stdout.startswith(b"identical")
        assert areas(sealed) == []
        place.chmod(0o644)
        place.write_text("b,2\na,3\n")
        said = Roar(clone)("reproduce", "-y", "sorted.csv", "--force", code=1).stderr.decode()
        assert "is damaged: its bytes do not have the hash" in said
    assert len(reproductions(clone)) == 1


def test_an_address_that_the_record_declares_is_fetched_when_it_is_agreed_to(tree: Path, roar: Roar, git: Git) -> None:
    pytest.importorskip("fsspec")
    pytest.importorskip("aiohttp")
    (tree / ".gitignore").write_text("data.csv\n")
    (tree / "data.csv").write_text(DATA)
    commit(tree, git)
    web = tree.parent / "web"
    web.mkdir()
    (web / "data.csv").write_text(DATA)
    with served(web) as url:
        words = ["--input", f"{url}/data.csv", "--input", "file:///etc/passwd", "--input", f"{url}/readme"]
        roar("run", "-q", *words, "sort", "data.csv", "-o", "sorted.csv")
        clone = shared(tree, git)
        said = Roar(clone)("reproduce", "-y", "sorted.csv", code=1).stderr.decode()
        assert f"its record says {url}/data.csv; --fetch takes it from there" in said
        done = Roar(clone)("reproduce", "-y", "sorted.csv", "--fetch")
        assert f"to be fetched from {url}/data.csv" in done.stderr.decode()
        assert done.stdout.startswith(b"identical")
        (web / "data.csv").write_text("other")
        said = Roar(clone)("reproduce", "-y", "sorted.csv", "--fetch", "--force", code=1).stderr.decode()
        assert f"{url}/data.csv holds another file: its bytes have the hash {make.digest('other')[:12]}" in said


@pytest.mark.skipif(not shutil.which("git-lfs"), reason="git-lfs is not installed")
def test_what_git_lfs_keeps(tree: Path, roar: Roar, git: Git) -> None:
    git(tree, "lfs", "install", "--local")
    git(tree, "lfs", "track", "*.csv")
    (tree / "data.csv").write_text(DATA)
    commit(tree, git)
    roar("run", "-q", "sort", "data.csv", "-o", "sorted")
    git(tree.parent, "init", "-q", "--bare", "hub.git")
    git(tree, "push", "-q", f"file://{tree.parent}/hub.git", "main", "refs/roar/*")
    git(tree.parent, "clone", "-q", f"file://{tree.parent}/hub.git", "clone")
    tree.rename(tree.parent / "moved away")
    clone = tree.parent / "clone"  # without the filter: its data.csv is the pointer
    assert (clone / "data.csv").read_text().startswith("version https://git-lfs")
    done = Roar(clone)("reproduce", "-y", "sorted")
    assert f"to be fetched: git-lfs sha256:{hashlib.sha256(DATA.encode()).hexdigest()}" in done.stderr.decode()
    assert done.stdout.startswith(b"identical")
    assert "[lfs]" not in (clone / ".git/config").read_text() and not (clone / ".git/lfs").exists()
    git(clone, "lfs", "fetch")
    done = Roar(clone)("reproduce", "-y", "sorted")
    assert "/.git/lfs/objects/" in done.stderr.decode()


@pytest.mark.skipif(not shutil.which("git-annex"), reason="git-annex is not installed")
def test_what_git_annex_keeps(tree: Path, roar: Roar, git: Git) -> None:
    git(tree, "annex", "init", "-q")
    (tree / "data.csv").write_text(DATA)
    git(tree, "annex", "add", "-q", "data.csv")
    git(tree, "commit", "-qm", "data")
    roar("run", "-q", "sort", "data.csv", "-o", "sorted")
    git(tree.parent, "init", "-q", "--bare", "hub.git")
    git(tree, "push", "-q", str(tree.parent / "hub.git"), "main", "git-annex", "refs/roar/*")
    git(tree.parent, "clone", "-q", "hub.git", "clone")
    clone = tree.parent / "clone"
    git(clone, "remote", "add", "source", str(tree))
    git(clone, "annex", "init", "-q")
    try:
        done = Roar(clone)("reproduce", "-y", "sorted")
        assert "to be fetched: git-annex SHA256E-s8--" in done.stderr.decode()
        assert done.stdout.startswith(b"identical")
    finally:
        subprocess.run(["chmod", "-R", "u+w", str(tree / ".git"), str(clone / ".git")], check=True)


def test_what_dvc_keeps(tree: Path, roar: Roar, git: Git) -> None:
    """Its cache, by its format: of a file, and of a folder."""
    digest = hashlib.md5(DATA.encode()).hexdigest()
    folder = f'[{{"md5": "{digest}", "relpath": "sub/part.csv"}}]'
    listed = hashlib.md5(folder.encode()).hexdigest()
    (tree / ".dvc").mkdir()
    (tree / "dir/sub").mkdir(parents=True)
    for name in ("data.csv", "dir/sub/part.csv"):
        (tree / name).write_text(DATA)
    (tree / "data.csv.dvc").write_text(f"outs:\n- md5: {digest}\n  size: 8\n  hash: md5\n  path: data.csv\n")
    (tree / "dir.dvc").write_text(f"outs:\n- md5: {listed}.dir\n  size: 8\n  nfiles: 1\n  hash: md5\n  path: dir\n")
    (tree / ".gitignore").write_text("/data.csv\n/dir\n/.dvc/cache\n")
    commit(tree, git)
    roar("run", "-q", "sh", "-c", "sort data.csv > one")
    roar("run", "-q", "sh", "-c", "sort dir/sub/part.csv > two")
    clone = shared(tree, git)
    assert f"dvc keeps it as md5:{digest}" in Roar(clone)("reproduce", "one", code=1).stderr.decode()
    cache = clone / ".dvc/cache/files/md5"
    for name, text in ((digest, DATA), (f"{listed}.dir", folder)):
        (cache / name[:2]).mkdir(parents=True, exist_ok=True)
        (cache / name[:2] / name[2:]).write_text(text)
    for name in ("one", "two"):
        done = Roar(clone)("reproduce", "-y", name)
        assert f"/.dvc/cache/files/md5/{digest[:2]}/" in done.stderr.decode()
        assert done.stdout.startswith(b"identical")


def test_what_is_missing_is_listed_with_whether_it_can_be_made(tree: Path, roar: Roar, git: Git) -> None:
    (tree / ".gitignore").write_text("*.csv\n")
    (tree / "raw.csv").write_text("2\n1\n")
    commit(tree, git)
    roar("run", "-q", "sort", "raw.csv", "-o", "mid.csv")
    roar("run", "-q", "sh", "-c", "cat mid.csv raw.csv > end")
    clone = shared(tree, git)
    said = Roar(clone)("reproduce", "end", "--step", "@2", code=1).stderr.decode()
    mid, raw = make.digest("1\n2\n"), make.digest("2\n1\n")
    assert f"missing  mid.csv  {mid}  4 bytes\n         last with {os.uname().nodename}, 20" in said
    assert f"         it can be made again: roar reproduce {mid[:12]} (sort raw.csv -o mid.csv)" in said
    assert "         @1 makes it, which is left out; it is not here" in said
    assert f"missing  raw.csv  {raw}  4 bytes" in said
    assert "         no recorded job made it" in said


def test_files_outside_of_the_repository_get_a_private_place(tree: Path, roar: Roar, git: Git) -> None:
    far = tree.parent / "far"
    far.mkdir()
    (far / "data.csv").write_text(DATA)
    (tree / "hidden.sh").write_text(f"cat {far}/data.csv > by-itself\n")
    commit(tree, git)
    roar("run", "-q", "sort", f"{far}/data.csv", f"--output={far}/sorted.csv")
    roar("run", "-q", "sh", "-c", f"head -n 1 {far}/sorted.csv > first; cat {far}/data.csv >> first")
    roar("run", "-q", "sh", "hidden.sh")
    first = (tree / "first").read_text()
    clone = shared(tree, git)
    far.rename(tree.parent / "kept")
    content = make.digest(DATA)
    assert f"missing  {far}/data.csv" in Roar(clone)("reproduce", "-y", "first", code=1).stderr.decode()
    given = f"{content}={tree.parent}/kept/data.csv"
    for words in ([], ["-j", "2"], ["--sandbox"] if shutil.which("bwrap") else []):
        done = Roar(clone)("reproduce", "-y", "--force", "first", "--input", given, *words)
        assert (
            f"    moved   2 outside of the repository, into a private place:\n            {far}/"
            in done.stderr.decode()
        )
        assert done.stdout.decode().splitlines() == [
            f"identical  {far}/sorted.csv  {make.digest('a,1' + chr(10) + 'b,2' + chr(10))[:12]}",
            f"identical  first  {make.digest(first)[:12]}",
        ]
        assert not far.exists()
    (again, *_) = reproductions(clone)
    assert [file.path for file in again.outputs] == [f"{far}/sorted.csv"], "the record names what stands for it"
    # a program that finds it by itself cannot be told
    said = Roar(clone)("reproduce", "-y", "by-itself", "--input", given, code=1).stderr.decode()
    assert f"missing  {far}/data.csv  {content}" in said


def test_two_at_once_of_the_same(sorted_data: Path, git: Git) -> None:
    roar = Roar(sorted_data)
    roar("run", "-q", "sh", "-c", f"if [ -e {sorted_data.parent}/wait ]; then sleep 60; fi; cp sorted.csv last.csv")
    roar("run", "-q", "cp", "last.csv", "end.csv")
    (sorted_data / "last.csv").unlink()
    (sorted_data.parent / "wait").touch()
    words = [*("python3", "-m", "roar"), "reproduce", "-y", "--env", "current", "end.csv"]
    import sys

    first = subprocess.Popen([sys.executable, *words[1:]], cwd=sorted_data, stderr=subprocess.PIPE)
    try:
        assert first.stderr is not None
        while b"@2  sh -c" not in (line := first.stderr.readline()) or b"job" in line:
            assert line
        while not list(Path(os.environ["XDG_CACHE_HOME"]).glob("roar/reproduce/.*.lock")):
            assert first.poll() is None
        said = roar("reproduce", "-y", "--env", "current", "end.csv", code=1).stderr.decode()
        assert "another roar reproduce is making end.csv again (next: wait for its end)" in said
    finally:
        first.terminate()
        first.wait()
