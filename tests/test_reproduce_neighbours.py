"""Steps that read submodules and other repositories, made again in a clone with all originals moved away."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import make
import pytest
from conftest import ROOT, Git, NewVenv, Roar, needs_tracer
from test_reproduce import BACKEND, commit, jobs, reproductions, shared, verdicts

from roar.git.repository import discover
from roar.git.transport import is_plain_url
from roar.records.job import Job

ME = f"python3.{sys.version_info[1]}"
pytestmark = needs_tracer


def repository(folder: Path, git: Git, files: dict[str, str]) -> Path:
    """A repository with a commit, pushed to a bare one beside it that is its origin."""
    folder.mkdir(parents=True)
    git(folder, "init", "-q")
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    commit(folder, git)
    bare = folder.parent / f"{folder.name}.git"
    git(folder.parent, "clone", "-q", "--bare", str(folder), str(bare))
    git(folder, "remote", "add", "origin", str(bare))
    return folder


PROJECT = {
    "src/own_tool.py": "import pathlib\nTEXT = (pathlib.Path(__file__).parent / 'words.txt').read_text()\n",
    "src/words.txt": "as committed\n",
    "backend.py": BACKEND,
    "pyproject.toml": "[build-system]\nrequires = []\nbuild-backend = 'backend'\nbackend-path = ['.']\n"
    "[project]\nname = 'Own.Tool'\nversion = '0.1'\n",
    ".gitignore": "__pycache__/\n",
}


def last(folder: Path) -> Job:
    return jobs(folder)[-1][1]


def test_one_pipeline_with_two_repositories(
    tree: Path, roar: Roar, git: Git, tmp_path: Path, sealed: Path, new_venv: NewVenv
) -> None:
    library = repository(tmp_path / "library", git, PROJECT)
    (tree / ".gitignore").write_text(".venv/\n")
    (tree / "use.py").write_text("import own_tool\nopen('used', 'w').write(own_tool.TEXT)\n")
    (tree / "more.py").write_text("import own_tool\nopen('more', 'w').write(open('used').read() + own_tool.TEXT)\n")
    subprocess.run([new_venv(tree), "-m", "pip", "install", "-q", "-e", library], check=True)
    commit(tree, git)
    roar("run", "-q", ".venv/bin/python", "use.py")
    (library / "src/words.txt").write_text("changed, not committed\n")
    (library / "src/own_tool.py").write_text(PROJECT["src/own_tool.py"] + "TEXT += 'new'\n")
    head = git(library, "rev-parse", "HEAD")
    roar("run", "-q", ".venv/bin/python", "more.py")
    (other,) = last(tree).code.repositories
    assert (other.path, other.commit, other.remote) == (str(library), head, str(tmp_path / "library.git"))
    changed = [(file.path, file.state) for file in other.overlay]
    assert changed == [("src/own_tool.py", "modified"), ("src/words.txt", "modified")]
    assert f"repository {head[:12]}  {library}, 2 files changed" in roar("show", "@2").stdout.decode()
    assert roar("fsck").returncode == 0

    clone = shared(tree, git)
    library.rename(tmp_path / "library moved away")
    plan = Roar(clone)("reproduce", "--plan", "more").stdout.decode()
    assert f"with    {head[:12]} with 2 changed or untracked files in {library}, from {tmp_path}/library.git" in plan
    done = Roar(clone)("reproduce", "-y", "--json", "more")
    assert verdicts(done) == {"used": "identical", "more": "identical"}
    assert b"fetching the repository" in done.stderr
    assert b"fetching" not in Roar(clone)("reproduce", "-y", "used").stderr, "it is kept"
    again = reproductions(clone)[0]
    assert [(r.path, r.commit, r.remote) for r in again.code.repositories] == [(other.path, head, other.remote)]
    assert [f.path for f in again.inputs] == [f.path for f in jobs(clone)[0][1].inputs]


def test_the_overlay_of_another_repository_beside_ours(tree: Path, roar: Roar, git: Git, tmp_path: Path) -> None:
    library = repository(tmp_path / "libs/tool", git, {"tool.py": "TEXT = '1'\n", "data.txt": "d\n"})
    (library / "tool.py").write_text("import extra\nTEXT = extra.TEXT + open('../libs/tool/data.txt').read()\n")
    (library / "extra.py").write_text("TEXT = '2'\n")
    (tree / "use.py").write_text(
        "import sys\nsys.path.insert(0, '../libs/tool')\nimport tool\nopen('used', 'w').write(tool.TEXT)\n"
    )
    (tree / "call.py").write_text("import tool\nopen('called', 'w').write(tool.TEXT)\n")
    commit(tree, git)
    roar("run", "-q", ME, "use.py")
    roar("run", "-q", ME, "call.py", PYTHONPATH=f"{ROOT}:{library}")
    roar("run", "-q", "sh", "-c", f"cat {library}/data.txt > copy")
    (other,) = jobs(tree)[0][1].code.repositories
    assert [(file.path, file.state) for file in other.overlay] == [("extra.py", "untracked"), ("tool.py", "modified")]
    clone = shared(tree, git)
    library.rename(tmp_path / "moved away too")
    for name in ("used", "called", "copy"):
        assert verdicts(Roar(clone)("reproduce", "-y", "--json", "--env", "current", name)) == {name: "identical"}
    assert [o.path for job in reproductions(clone) for o in job.code.repositories] == [str(library)] * 3


def test_a_clone_with_the_name_of_the_other(tree: Path, roar: Roar, git: Git, tmp_path: Path) -> None:
    library = repository(tmp_path / "clone", git, {"tool.py": "TEXT = '1'\n"})
    (tree / "use.py").write_text("import tool\nopen('used', 'w').write(tool.TEXT)\n")
    commit(tree, git)
    roar("run", "-q", ME, "use.py", PYTHONPATH=f"{ROOT}:{library}")
    library.rename(tmp_path / "moved away too")
    clone = shared(tree, git)
    assert clone == library
    assert verdicts(Roar(clone)("reproduce", "-y", "--json", "--env", "current", "used")) == {"used": "identical"}


def test_credentials_stay_here(tree: Path, roar: Roar, git: Git, tmp_path: Path) -> None:
    library = repository(tmp_path / "library", git, {"data.txt": "d\n"})
    git(library, "remote", "set-url", "origin", "https://me:secret-token@example.org/library.git")
    roar("run", "-q", "sh", "-c", f"cat {library}/data.txt > copy")
    assert last(tree).code.repositories[0].remote == "https://example.org/library.git"
    assert b"secret-token" not in roar("show", "--json", "@1").stdout


def test_a_repository_that_cannot_be_reached(tree: Path, roar: Roar, git: Git, tmp_path: Path) -> None:
    library = repository(tmp_path / "library", git, {"data.txt": "d\n"})
    roar("run", "-q", "sh", "-c", f"cat {library}/data.txt > copy")
    head = git(library, "rev-parse", "HEAD")
    clone = shared(tree, git)
    library.rename(tmp_path / "kept")
    (tmp_path / "library.git").rename(tmp_path / "gone.git")
    done = Roar(clone)("reproduce", "-y", "copy", code=1)
    said = done.stderr.decode().splitlines()[-1]
    assert f"the repository {library} {head[:12]} cannot be fetched: " in said and "does not appear" in said
    assert f"--input {head[:12]}=CLONE" in said
    given = f"{head[:12]}={tmp_path / 'kept'}"
    assert verdicts(Roar(clone)("reproduce", "-y", "--json", "--input", given, "copy")) == {"copy": "identical"}


@pytest.mark.parametrize(
    "url", ["ext::sh -c touch% ran", "--upload-pack=touch ran", "ssh://-oProxyCommand=x/y", "fd::17"]
)
def test_a_url_that_would_start_a_program_is_not_asked(tree: Path, roar: Roar, git: Git, url: str) -> None:
    assert not is_plain_url(url)
    head = commit(tree, git)
    other = {"path": "/nowhere/library", "commit": "a" * 40, "remote": url}
    code = {"commit": head, "repositories": [other]}
    job = make.put(discover(str(tree)), make.fields(["sh", "-c", "echo 1 > out"], {}, {"out": "1\n"}, code=code))
    said = roar("reproduce", "-y", "--env", "current", job, code=1).stderr.decode()
    assert "which git is not asked for" in said
    assert not list(tree.parent.rglob("ran"))


@pytest.mark.parametrize(
    "url", ["https://example.org/a.git", "git@example.org:a/b.git", "/srv/a b.git", "ssh://git@h:2/x"]
)
def test_plain_urls(url: str) -> None:
    assert is_plain_url(url)


@pytest.mark.parametrize("path", ["../library", "/a/../library", "/", ".git", "//bytes/%00"])
def test_a_place_that_is_none_is_refused(tree: Path, roar: Roar, git: Git, path: str) -> None:
    other = {"path": path, "commit": "a" * 40, "remote": "https://example.org/a.git"}
    code = {"commit": commit(tree, git), "repositories": [other]}
    job = make.put(discover(str(tree)), make.fields(["sh", "-c", "echo 1 > out"], {}, {"out": "1\n"}, code=code))
    # a path that no bytes spell makes the record a damaged one, which no question finds
    said = b"no job begins with" if path.startswith("//bytes/") else b"leaves the work area"
    assert said in roar("reproduce", "-y", "--env", "current", job, code=1).stderr


def test_submodules_at_their_recorded_commit(tree: Path, roar: Roar, git: Git, tmp_path: Path) -> None:
    origin = repository(tmp_path / "origin", git, {"tool.py": "print('1')\n", "data.txt": "one\n"})
    git(tree, "submodule", "add", "-q", str(tmp_path / "origin.git"), "libs/tool")
    (tree / "use.sh").write_text(f"{ME} libs/tool/tool.py > used; cat libs/tool/data.txt >> used\n")
    commit(tree, git)
    roar("run", "-q", "sh", "use.sh")
    inner = tree / "libs/tool"
    (inner / "data.txt").write_text("two\n")
    git(inner, "commit", "-qam", "two")
    git(inner, "push", "-q", "origin", "HEAD:main")
    (inner / "tool.py").write_text("print('changed')\nimport extra\n")
    (inner / "extra.py").write_text("print('untracked')\n")
    roar("run", "-q", "sh", "use.sh")
    texts = [(tree / "used").read_text()]
    clone = shared(tree, git)
    origin.rename(tmp_path / "origin moved away")
    git(clone, "fetch", "-q", "origin", "+refs/roar/*:refs/roar-remote/origin/*")
    first, second = (identifier for identifier, _ in jobs(clone))
    assert jobs(clone)[0][1].code.submodules[0].commit != jobs(clone)[1][1].code.submodules[0].commit
    for job in (first, second):
        done = Roar(clone)("reproduce", "-y", "--json", "--env", "current", job)
        assert verdicts(done) == {"used": "identical"}
    assert texts == ["changed\nuntracked\ntwo\n"]
    original, again = jobs(clone)[1][1], reproductions(clone)[1]
    assert again.code.submodules == original.code.submodules
    assert [e.path for e in again.code.overlay] == [e.path for e in original.code.overlay]
    assert not os.listdir(clone / "libs/tool"), "the user's own checkout is left alone"
    state = git(clone, "submodule", "status")
    assert state.startswith("-")


def test_a_repository_in_the_work_tree(tree: Path, roar: Roar, git: Git, tmp_path: Path) -> None:
    repository(tmp_path / "tool", git, {"tool.py": "print('1')\n"})
    git(tree, "clone", "-q", str(tmp_path / "tool.git"), "other")
    (tree / "other/more.py").write_text("print('2')\n")
    (tree / ".gitignore").write_text("other/\n")
    commit(tree, git)
    roar("run", "-q", "sh", "-c", f"{ME} other/tool.py > used; {ME} other/more.py >> used")
    clone = shared(tree, git)
    (tmp_path / "tool").rename(tmp_path / "tool moved away")
    assert verdicts(Roar(clone)("reproduce", "-y", "--json", "--env", "current", "used")) == {"used": "identical"}
