"""Environments made again as they were: archives by their hash, checkouts, interpreters, one environment for many."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import make
import pytest
from conftest import ROOT, Git, NewVenv, Roar, build_wheel, needs_tracer
from test_reproduce import BACKEND, commit, jobs, shared, verdicts
from test_reproduce_neighbours import repository

from roar.git.repository import discover

pytestmark = needs_tracer
UV = shutil.which("uv", path=f"{os.path.dirname(sys.executable)}:{os.environ['PATH']}")
needs_uv = pytest.mark.skipif(UV is None, reason="uv is not installed")
WHEEL = "shout_tiny-1.0-py3-none-any.whl"


@pytest.fixture
def say(tree: Path, git: Git, new_venv: NewVenv, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A work tree with an environment of its own and scripts that use the package; uv is on PATH if it is here."""
    new_venv(tree)
    (tree / ".gitignore").write_text(".venv/\n")
    (tree / "say.py").write_text("import shout, sys\nopen('said', 'w').write(shout.shout('hello'))\n")
    (tree / "again.py").write_text("import shout\nopen('again', 'w').write(shout.shout(open('said').read()))\n")
    commit(tree, git)
    if UV:
        with_uv(monkeypatch)
    return tree


def pip(tree: Path, *words: str | Path) -> None:
    subprocess.run([tree / ".venv/bin/python", "-m", "pip", "install", "-q", *words], check=True)


def other_build(wheels: Path) -> None:
    """Put another archive of the same name and version to where pip finds it."""
    source = wheels.parent / "other build"
    source.mkdir()
    (source / "shout.py").write_text("def shout(text): return 'another build'\n")
    build_wheel(wheels, WHEEL, source, "shout_tiny-1.0.dist-info", "1.0")


def without(monkeypatch: pytest.MonkeyPatch, *programs: str) -> None:
    """Take folders with these programs off PATH."""
    kept = [f for f in os.environ["PATH"].split(":") if not any(shutil.which(p, path=f) for p in programs)]
    monkeypatch.setenv("PATH", ":".join(kept))


def with_uv(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", f"{os.path.dirname(str(UV))}:{os.environ['PATH']}")


def test_steps_and_reproductions_share_one_environment(say: Path, roar: Roar, git: Git, package: Path) -> None:
    pip(say, "shout-tiny==1.0")
    roar("run", "-q", ".venv/bin/python", "say.py")
    roar("run", "-q", ".venv/bin/python", "again.py")
    clone = shared(say, git)
    first, second = (Roar(clone)("reproduce", "-y", "--json", "again") for _ in range(2))
    assert verdicts(first) == verdicts(second) == {"said": "identical", "again": "identical"}
    assert first.stderr.count(b"building an environment") == 1
    assert second.stderr.count(b"building an environment") == 0


@pytest.mark.parametrize("installer", ["pip", pytest.param("uv", marks=needs_uv)])
def test_an_archive_is_taken_by_its_hash(
    say: Path,
    roar: Roar,
    git: Git,
    package: Path,
    monkeypatch: pytest.MonkeyPatch,
    installer: str,
) -> None:
    wheel = shutil.copy(package / WHEEL, say.parent / WHEEL)
    pip(say, wheel)
    roar("run", "-q", ".venv/bin/python", "say.py")
    digest = hashlib.sha256((package / WHEEL).read_bytes()).hexdigest()
    (read,) = jobs(say)[0][1].environment.pythons[0].read
    assert read.source == f"file://{wheel}#sha256={digest}"
    clone = shared(say, git)
    os.unlink(wheel)
    if installer == "pip":
        without(monkeypatch, "uv")
    assert verdicts(Roar(clone)("reproduce", "-y", "--json", "said")) == {"said": "identical"}
    (step,) = json.loads(Roar(clone)("reproduce", "--plan", "--json", "said").stdout)["steps"]
    assert step["environments"][0]["hashes"] == {"shout-tiny==1.0": [digest]}
    shutil.rmtree(os.environ["XDG_CACHE_HOME"])  # the environment, and what uv keeps of archives
    other_build(package)
    said = Roar(clone)("reproduce", "-y", "said", code=1).stderr.decode()
    assert "the environment cannot be built: " in said and "hash" in said.lower()


def test_an_archive_that_is_still_there(say: Path, roar: Roar, git: Git, package: Path) -> None:
    wheel = shutil.copy(package / WHEEL, say.parent / WHEEL)
    pip(say, wheel)
    roar("run", "-q", ".venv/bin/python", "say.py")
    clone = shared(say, git)
    shutil.rmtree(package)
    package.mkdir()
    assert verdicts(Roar(clone)("reproduce", "-y", "--json", "said")) == {"said": "identical"}


def test_hashes_of_the_lock_file_hold(say: Path, roar: Roar, git: Git, package: Path) -> None:
    digest = hashlib.sha256((package / WHEEL).read_bytes()).hexdigest()
    lock = f'[[package]]\nname = "shout-tiny"\nversion = "1.0"\nwheels = [{{ hash = "sha256:{digest}" }}]\n'
    (say / "uv.lock").write_text(lock)
    commit(say, git)
    pip(say, "shout-tiny==1.0")
    roar("run", "-q", ".venv/bin/python", "say.py")
    clone = shared(say, git)
    original = (package / WHEEL).read_bytes()
    other_build(package)
    assert "hash" in Roar(clone)("reproduce", "-y", "said", code=1).stderr.decode().lower()
    (package / WHEEL).write_bytes(original)
    assert verdicts(Roar(clone)("reproduce", "-y", "--json", "said")) == {"said": "identical"}


def test_a_package_from_a_git_url(say: Path, roar: Roar, git: Git, package: Path, tmp_path: Path) -> None:
    files = {
        "src/shout.py": "def shout(text): return text + ' from git'\n",
        "backend.py": BACKEND.replace("own_tool", "shout_tiny").replace("own-tool", "shout-tiny")
        + "\ndef build_wheel(folder, settings=None, metadata=None):\n"
        "    name = build_editable(folder)\n"
        "    with zipfile.ZipFile(os.path.join(folder, name)) as archive:\n"
        "        files = {path: archive.read(path) for path in archive.namelist() if not path.endswith('.pth')}\n"
        "    files['shout.py'] = open('src/shout.py').read()\n"
        "    files['shout_tiny-0.1.dist-info/RECORD'] = ''.join(f'{path},,\\n' for path in files)\n"
        "    with zipfile.ZipFile(os.path.join(folder, name), 'w') as archive:\n"
        "        for path, text in files.items():\n"
        "            archive.writestr(path, text)\n"
        "    return name\n",
        "pyproject.toml": "[build-system]\nrequires = []\nbuild-backend = 'backend'\nbackend-path = ['.']\n"
        "[project]\nname = 'shout-tiny'\nversion = '0.1'\n",
    }
    library = repository(tmp_path / "library", git, files)
    url = f"git+file://{tmp_path}/library.git"
    pip(say, url)
    roar("run", "-q", ".venv/bin/python", "say.py")
    (read,) = jobs(say)[0][1].environment.pythons[0].read
    assert read.source == f"{url}@{git(library, 'rev-parse', 'HEAD')}"
    clone = shared(say, git)
    library.rename(tmp_path / "library moved away")
    assert verdicts(Roar(clone)("reproduce", "-y", "--json", "said")) == {"said": "identical"}


def recorded_with(tree: Path, git: Git, version: str) -> str:
    values = make.fields(["python3", "-c", "open('out', 'w').write('out')"], {}, {"out": "out"})
    python = {
        "version": version,
        "implementation": "CPython",
        "executable": "/opt/python",
        "prefix": "/opt",
        "read": [{"name": "shout-tiny", "version": "1.0"}],
    }
    values["code"] = {"commit": commit(tree, git)}
    values["environment"] = {"machine": values["environment"]["machine"], "pythons": [python]}
    return make.put(discover(str(tree)), values)


def test_an_interpreter_that_is_nowhere(tree: Path, roar: Roar, git: Git) -> None:
    said = roar("reproduce", "-y", recorded_with(tree, git, "3.77.1"), code=1).stderr.decode()
    assert "no CPython 3.77 is on this machine; the job ran on 3.77.1" in said


@needs_uv
def test_uv_is_asked_for_an_interpreter(
    tree: Path,
    roar: Roar,
    git: Git,
    package: Path,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    with_uv(monkeypatch)
    monkeypatch.setenv("UV_PYTHON_INSTALL_MIRROR", f"file://{tmp_path}/nothing")
    monkeypatch.setenv("UV_PYTHON_INSTALL_DIR", str(tmp_path / "pythons"))
    job = recorded_with(tree, git, "3.9.0")
    plan = roar("reproduce", "--plan", job).stdout.decode()
    assert "3.9.0, 1 package that it read; to be obtained through uv" in plan
    done = roar("reproduce", "-y", job, code=None)
    said = done.stderr.decode()
    assert "obtaining CPython 3.9.0 through uv" in said
    assert done.returncode or "stands for the recorded 3.9.0; CPython 3.9.0 is not on this machine, and uv" in said
    assert done.returncode == 0 or "uv cannot obtain it" in said


def test_a_python_that_is_named(say: Path, roar: Roar, git: Git, package: Path, tmp_path: Path) -> None:
    pip(say, "shout-tiny==1.0")
    roar("run", "-q", ".venv/bin/python", "say.py")
    (say / ".venv").rename(tmp_path / "elsewhere")
    clone = shared(say, git)
    for name in ("elsewhere", "elsewhere/bin/python"):
        done = Roar(clone)("reproduce", "-y", "--json", "--env", str(tmp_path / name), "said")
        assert verdicts(done) == {"said": "identical"} and b"building" not in done.stderr
    said = Roar(clone)("reproduce", "-y", "--env", "nothing", "said", code=2).stderr.decode()
    assert "--env takes rebuild, current or the path of a Python" in said


# interpreters with an installation folder of their own


def python_of_its_own(prefix: Path) -> Path:
    """Install our Python in a folder, which gives its ``site-packages``; the library is links, but for its mark."""
    real = Path(os.path.realpath(sys.executable))
    name = f"python3.{sys.version_info[1]}"
    base, library = Path(sys.base_prefix), prefix / "lib" / name
    site = library / "site-packages"
    site.mkdir(parents=True)
    (prefix / "bin").mkdir()
    shutil.copy2(real, prefix / "bin" / name)
    for shared_library in (base / "lib").glob("libpython*.so*"):
        (prefix / "lib" / shared_library.name).symlink_to(shared_library)
    for entry in Path(os.path.dirname(json.__file__)).parent.iterdir():
        if entry.name == "encodings":
            shutil.copytree(entry, library / "encodings")
        elif entry.name != "site-packages":
            (library / entry.name).symlink_to(entry)
    return site


@pytest.mark.parametrize("installed", ["versions/3.x", "installs/python/3.x"], ids=["pyenv", "asdf"])
def test_a_version_manager_in_git_is_no_code_of_the_job(
    tree: Path, roar: Roar, git: Git, tmp_path: Path, installed: str
) -> None:
    manager, name = tmp_path / "manager", f"python3.{sys.version_info[1]}"
    python_of_its_own(manager / installed)
    (manager / "shims").mkdir()
    shim = manager / "shims/python"
    shim.write_text(f'#!/bin/sh\n. {manager}/choose.sh\nexec {manager}/{installed}/bin/{name} "$@"\n')
    shim.chmod(0o755)
    (manager / "choose.sh").write_text(": the version\n")
    (manager / ".gitignore").write_text("/versions\n/installs\n/shims\n")
    git(tmp_path, "init", "-q", manager)
    commit(manager, git)
    (tree / "say.py").write_text("open('said', 'w').write('hello')\n")
    commit(tree, git)
    roar("run", "-q", str(shim), "say.py")
    ((_, job),) = jobs(tree)
    assert not [file.path for file in job.inputs if file.path.startswith(str(manager))]
    assert (job.code.repositories, job.incomplete) == ([], [])
    assert job.environment.pythons[0].executable == str(manager / installed / "bin" / name)


@pytest.fixture
def conda(tmp_path: Path) -> Path:
    """An environment as conda leaves one: a Python of its own, a package, and what conda knows of both."""
    prefix = tmp_path / "envs/science"
    site = python_of_its_own(prefix)
    (site / "shout.py").write_text("def shout(text): return text.upper()\n")
    info = site / "shout_tiny-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: shout-tiny\nVersion: 1.0\n")
    (info / "RECORD").write_text("shout.py,,\nshout_tiny-1.0.dist-info/METADATA,,\n")
    (info / "INSTALLER").write_text("conda")
    (info / "direct_url.json").write_text(json.dumps({"url": "file:///croot/shout", "dir_info": {}}))
    meta = prefix / "conda-meta"
    meta.mkdir()
    (meta / "history").write_text("")
    for package_name, version, where in (
        ("python", sys.version.split()[0], "https://me:pw@conda.example.org/t/tk-secret/main/linux-64"),
        ("shout-tiny", "1.0", "https://conda.example.org/main/noarch"),
    ):
        stem = f"{package_name}-{version}-py_0"
        data = {"name": package_name, "version": version, "build": "py_0", "url": f"{where}/{stem}.conda"}
        data |= {"channel": where, "md5": "0" * 32, "sha256": "1" * 64, "files": ["lib/x"] * 1000}
        (meta / f"{stem}.json").write_text(json.dumps(data))
    return prefix


def test_a_conda_environment_is_recorded(tree: Path, roar: Roar, git: Git, conda: Path) -> None:
    (tree / "say.py").write_text("import shout, sys\nopen('said', 'w').write(shout.shout('hello'))\n")
    commit(tree, git)
    for _ in range(2):  # the second time from what is remembered
        roar("run", "-q", str(conda / f"bin/python3.{sys.version_info[1]}"), "say.py")
    for job in (found for _, found in jobs(tree)):
        (python,) = job.environment.pythons
        assert python.prefix == str(conda)
        assert [(p.name, p.source) for p in python.read] == [("shout-tiny", "conda")]
        version = sys.version.split()[0]
        where = "https://conda.example.org/main"
        assert [(p.name, p.url, p.md5) for p in python.conda] == [
            ("python", f"{where}/linux-64/python-{version}-py_0.conda", "0" * 32),
            ("shout-tiny", f"{where}/noarch/shout-tiny-1.0-py_0.conda", "0" * 32),
        ], "without user, password and token"
    assert "of the conda environment" in roar("show", "--packages", "@1").stdout.decode()


def test_a_conda_environment_needs_conda(
    tree: Path, roar: Roar, git: Git, conda: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tree / "say.py").write_text("import shout, sys\nopen('said', 'w').write(shout.shout('hello'))\n")
    commit(tree, git)
    roar("run", "-q", str(conda / f"bin/python3.{sys.version_info[1]}"), "say.py")
    without(monkeypatch, *CONDA)
    for name in ("CONDA_EXE", "MAMBA_EXE"):
        monkeypatch.delenv(name, raising=False)
    said = Roar(shared(tree, git))("reproduce", "-y", "said", code=1).stderr.decode()
    assert "the job ran in a conda environment, and neither micromamba, mamba nor conda is on PATH" in said


CONDA = ("micromamba", "mamba", "conda")


@pytest.fixture
def micromamba(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A program of conda's that is here, else its library."""
    if any(map(shutil.which, CONDA)):
        return
    pytest.importorskip("rattler")
    program = tmp_path / "programs/micromamba"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\nexec {sys.executable} {ROOT}/tests/micromamba.py "$@"\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")


@pytest.mark.usefixtures("micromamba")
def test_a_conda_environment_is_made_again(tree: Path, roar: Roar, git: Git, tmp_path: Path) -> None:
    """Two packages of a channel in a folder: a Python that is a link to ours, and a module."""
    packages = [
        conda_package(tmp_path / "channel", "python", {"bin/python": f'#!/bin/sh\nexec {sys.executable} "$@"\n'}),
        conda_package(tmp_path / "channel", "shout-tiny", {"share/shout.txt": "hello\n"}),
    ]
    code = "import os, sys; open('said', 'w').write(open(os.environ['CONDA_PREFIX'] + '/share/shout.txt').read())"
    values = make.fields(["/envs/science/bin/python", "-c", code], {}, {"said": "hello\n"})
    python = {"version": "3.11.7", "implementation": "CPython", "executable": "/envs/science/bin/python"}
    values["code"] = {"commit": commit(tree, git)}
    pythons = [{**python, "prefix": "/envs/science", "conda": packages}]
    values["environment"] = {"machine": values["environment"]["machine"], "pythons": pythons}
    job = make.put(discover(str(tree)), values)
    assert verdicts(roar("reproduce", "-y", "--json", job)) == {"said": "identical"}


def conda_package(channel: Path, name: str, files: dict[str, str]) -> dict[str, str]:
    """A package in the form of conda-build 1: a tar.bz2 with ``info/index.json`` and ``info/files``."""
    source = channel / "source" / name
    index = {"name": name, "version": "1.0", "build": "0", "build_number": 0, "depends": [], "subdir": "noarch"}
    for path, text in {**files, "info/index.json": json.dumps(index), "info/files": "\n".join(files) + "\n"}.items():
        (source / path).parent.mkdir(parents=True, exist_ok=True)
        (source / path).write_text(text)
        (source / path).chmod(0o755)
    archive = channel / "noarch" / f"{name}-1.0-0.tar.bz2"
    archive.parent.mkdir(parents=True, exist_ok=True)
    subprocess.run(
        ["tar", "-cjf", archive, *sorted({path.split("/")[0] for path in files} | {"info"})], cwd=source, check=True
    )
    digest = hashlib.md5(archive.read_bytes(), usedforsecurity=False).hexdigest()
    return {"name": name, "version": "1.0", "build": "0", "url": f"file://{archive}", "md5": digest}


def test_the_image_of_a_container(tmp_path: Path) -> None:
    from roar.environment.machine import describe_machine

    (tmp_path / "run").mkdir()
    (tmp_path / "run/.containerenv").write_text(
        'engine="podman-4.3.1"\nname="x"\nid="'
        + "a" * 64
        + '"\nimage="docker.io/library/python:3.11"\nimageid="sha256:b"\n'
    )
    found = describe_machine((), str(tmp_path))
    assert (found.container, found.image) == ("a" * 64, "docker.io/library/python:3.11@sha256:b")
    (tmp_path / "run/.containerenv").write_text("")
    assert describe_machine((), str(tmp_path)).image is None
