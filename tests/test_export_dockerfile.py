"""Dockerfiles: what they hold; their commands run by a shell; and a real build where buildah has the base image."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import make
import pytest
from conftest import Git, Roar, needs_tracer
from hypothesis import given, settings
from hypothesis import strategies as st
from test_reproduce import commit, jobs, shared
from test_reproduce_neighbours import PROJECT, repository

from roar.export import dockerfile
from roar.git.repository import discover
from roar.verbs.plan import Asked, Plan, Step

pytestmark = needs_tracer
ME = f"python3.{sys.version_info[1]}"
BASE = f"docker.io/library/python:{sys.version.split()[0]}-slim-bookworm"
BUILDAH = {**os.environ, "BUILDAH_ISOLATION": "chroot", "STORAGE_DRIVER": "vfs"}


def instructions(text: str) -> list[tuple[str, str]]:
    """Keyword and rest of each instruction, as the reference of the Dockerfile has them: none is continued here."""
    found = []
    for line in text.splitlines():
        if line and not line.startswith("#"):
            keyword, _, rest = line.partition(" ")
            assert keyword in ("FROM", "RUN", "WORKDIR", "COPY", "CMD", "USER", "ENV") and not line.endswith("\\"), line
            found.append((keyword, rest))
    return found


def words(text: str) -> list[list[str]]:
    """The words of each RUN and CMD."""
    return [json.loads(rest) for keyword, rest in instructions(text) if keyword in ("RUN", "CMD")]


@pytest.fixture
def science(tree: Path, git: Git, tmp_path: Path, roar: Roar) -> Path:
    """Two steps in an environment with two packages, one of which is read; code that is not committed; a library."""
    library = repository(tmp_path / "library", git, PROJECT)
    (library / "src/words.txt").write_text("not committed\n")
    folder = tree / ".venv"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder], check=True)
    site = next(folder.glob("lib/python*/site-packages"))
    for name, version in (("six", "1.16.0"), ("unused", "1.5")):
        (site / f"{name}.py").write_text("def u(text): return text\n")
        info = site / f"{name}-{version}.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
        (info / "RECORD").write_text(f"{name}.py,,\n{info.name}/METADATA,,\n{info.name}/RECORD,,\n")
    (site / "own_tool.pth").write_text(f"{library}/src\n")
    info = site / "own_tool-0.1.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: own-tool\nVersion: 0.1\n")
    (info / "RECORD").write_text(f"own_tool.pth,,\n{info.name}/METADATA,,\n{info.name}/RECORD,,\n")
    (info / "direct_url.json").write_text(json.dumps({"url": f"file://{library}", "dir_info": {"editable": True}}))
    (tree / ".gitignore").write_text(".venv/\n")
    (tree / "go.py").write_text("old\n")
    commit(tree, git)
    (tree / "go.py").write_text("import own_tool, six\nopen('mid.txt', 'w').write(six.u(own_tool.TEXT))\n")
    roar("run", "-q", ".venv/bin/python", "go.py")
    (tree / "sub").mkdir()
    roar("run", "-q", "sh", "-c", "cat ../mid.txt ../mid.txt > 'it is done.txt'; exit 3", cwd=tree / "sub", code=3)
    return tree


def test_it_holds_what_was_read_and_no_more(science: Path, roar: Roar, git: Git, tmp_path: Path) -> None:
    text = roar("export", "dockerfile", "mid.txt").stdout.decode()
    found = instructions(text)
    assert found[0][1].startswith(f"python:{sys.version.split()[0]}-")
    head = git(science, "rev-parse", "HEAD")
    assert ("COPY", ".git /work/project/.git") in found
    run = words(text)
    assert [w[-1] for w in run if "checkout" in w] == [head]
    scripts = [w[-1] for w in run if w[:2] == ["sh", "-euc"]]
    assert any("six==1.16.0" in script for script in scripts) and "unused" not in text
    library = git(tmp_path / "library", "rev-parse", "HEAD")
    cloned = next(script for script in scripts if "git clone" in script)
    assert f"-- {tmp_path}/library.git /work/library; " in cloned and library in cloned
    assert any("own[-_.]+tool" in script and "-e " in script for script in scripts)
    assert any(script.endswith("/work/project/go.py") for script in scripts), "what was not committed"
    assert any(script.endswith("/work/library/src/words.txt") for script in scripts)
    if os.path.exists("/var/lib/dpkg/status"):
        assert "libc6=" in scripts[0] and "apt-get install" in scripts[0]
    assert run[-1][0] == "sh" and "python go.py" in run[-1][-1]
    assert (
        len([line for line in instructions(roar("export", "dockerfile", "@2").stdout.decode()) if "CMD" in line]) == 1
    )


def test_what_one_image_cannot_hold(tree: Path, roar: Roar, git: Git) -> None:
    head = commit(tree, git)

    def put(name: str, inputs: dict[str, str | None], **python: object) -> str:
        values = make.fields(["python", name], inputs, {name: name}, code={"commit": head})
        usual = {"version": "3.11.7", "implementation": "CPython", "executable": ".venv/bin/python", "prefix": ".venv"}
        values["environment"] = {**values["environment"], "pythons": [{**usual, **python}]}
        return make.put(discover(str(tree)), values)

    put("a", {}, read=[{"name": "numpy", "version": "1"}])
    job = put("b", {"a": "a"}, read=[{"name": "numpy", "version": "2"}])
    said = roar("export", "dockerfile", job, code=1).stderr.decode()
    assert "the steps read numpy 1 and 2, which one image cannot hold" in said
    job = put("c", {"a": "a"}, version="3.12.1")
    assert (
        "the steps ran with cpython 3.11.7 and cpython 3.12.1"
        in roar("export", "dockerfile", job, code=1).stderr.decode()
    )
    job = put("d", {}, implementation="PyPy")
    assert "no image is known for pypy 3.11.7" in roar("export", "dockerfile", job, code=1).stderr.decode()


HOSTILE = st.text(
    st.sampled_from(["'", '"', "\n", "$", "`", "#", "\\", "(", ")", "{", "}", ";", " ", "a", "é", "%", "<"])
)


@settings(max_examples=60)
@given(argv=st.lists(HOSTILE, max_size=4), name=HOSTILE)
def test_nothing_of_a_record_escapes_its_quoting(repo_of_all: str, argv: list[str], name: str) -> None:
    values = make.fields(["printf", "%s\\0", *argv], None, {"end.txt": "1"})
    values["environment"] = {"machine": {**values["environment"]["machine"], "system": name}}
    job = make.draft(values, 1, "a")
    step = Step(1, "0" * 26, job, [], [], job.outputs, [], [], [])
    text = "\n".join(dockerfile.lines(Plan(Asked(name, "0" * 26), [step], []), discover(repo_of_all)))
    *others, command = words(text)
    assert len(others) == 1
    assert command[:2] == ["sh", "-c"]
    done = subprocess.run(
        ["sh", "-c", command[2].replace("top=/work/project", "top=/")], capture_output=True, check=True
    )
    assert done.stdout.split(b"\0")[:-1] == [word.encode() for word in argv] or not argv


@pytest.fixture(scope="session")
def repo_of_all(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Some repository."""
    folder = tmp_path_factory.mktemp("some")
    subprocess.run(["git", "init", "-q", str(folder)], check=True)
    return str(folder)


def has_base() -> bool:
    if shutil.which("buildah") is None or os.geteuid() != 0:
        return False
    asked = subprocess.run(["buildah", "images", "-q", BASE], capture_output=True, env=BUILDAH, check=False)
    return asked.returncode == 0


@pytest.mark.skipif(not has_base(), reason=f"there is no buildah with {BASE}")
def test_the_image_makes_it_again(science: Path, roar: Roar, git: Git, tmp_path: Path) -> None:
    """With the whole network: packages of the system and of Python come from their usual places."""
    made = (science / "sub/it is done.txt").read_bytes()
    clone = shared(science, git)
    git(clone, "fetch", "-q", "origin", "+refs/roar/*:refs/roar-remote/origin/*")
    last = jobs(clone)[-1][0]
    Roar(clone)("export", "dockerfile", last, "-o", "Dockerfile")
    place, home = f"{tmp_path}:{tmp_path}", {"HOME": os.path.expanduser("~root")}
    build = ["buildah", "bud", "--pull-never", "-q", "-v", place, "-f", "Dockerfile", "-t", "roar-test", "."]
    done = subprocess.run(build, cwd=clone, env=BUILDAH | home, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    (container,) = subprocess.run(
        ["buildah", "from", "--pull-never", "roar-test"], env=BUILDAH, capture_output=True, text=True, check=True
    ).stdout.split()
    try:
        command = words((clone / "Dockerfile").read_text())[-1]
        subprocess.run(["buildah", "run", container, "--", *command], env=BUILDAH, check=True)
        shown = ["buildah", "run", container, "--", "cat", "/work/project/sub/it is done.txt"]
        assert subprocess.run(shown, env=BUILDAH, capture_output=True, check=True).stdout == made
    finally:
        subprocess.run(["buildah", "rm", container], env=BUILDAH, check=False, capture_output=True)
        subprocess.run(["buildah", "rmi", "roar-test"], env=BUILDAH, check=False, capture_output=True)
