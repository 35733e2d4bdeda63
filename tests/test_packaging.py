"""What pip makes of this project: source archive, wheel, pure wheel, editable install, man pages.

One source archive is built, the wheel from it, and one environment from that wheel; the other installs borrow
its dependencies.
"""

import os
import shutil
import subprocess
import sys
import tarfile
import venv
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
ENV = dict(os.environ)  # as pytest was called: building needs the real home, where cargo and pip keep things
TRACER = "roar/bin/roar-tracer"

pytestmark = pytest.mark.skipif(
    not sys.platform.startswith("linux") or shutil.which("cargo", path=ENV.get("PATH")) is None,
    reason="needs Linux and cargo, to build the tracer",
)


def call(*words, env=None, cwd=None, status=0):
    """Run to the end, away from the checkout (Python finds modules in the current folder)."""
    done = subprocess.run(
        [str(w) for w in words],
        env={**ENV, **(env or {})},
        cwd=cwd or "/",
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == status, f"{words} returned {done.returncode}\n{done.stdout}{done.stderr}"
    return done


def pip(*words, python=sys.executable, env=None, status=0):
    return call(python, "-m", "pip", "--disable-pip-version-check", *words, env=env, status=status)


def new_venv(folder, borrow_from=None):
    """An environment; with the packages of another behind its own."""
    venv.create(folder, with_pip=True, symlinks=True)
    if borrow_from is not None:
        (site_packages(folder) / "zz_borrowed.pth").write_text(f"{site_packages(borrow_from)}\n")
    return folder


def site_packages(folder):
    (found,) = (folder / "lib").glob("python*/site-packages")
    return found


@pytest.fixture(scope="module")
def build(tmp_path_factory):
    """The folder of everything built here. One cargo target for all builds."""
    folder = tmp_path_factory.mktemp("build")
    ENV["CARGO_TARGET_DIR"] = str(folder / "target")
    ENV.update(CARGO_PROFILE_RELEASE_LTO="off", CARGO_PROFILE_RELEASE_OPT_LEVEL="0")  # built in a few seconds
    return folder


@pytest.fixture(scope="module")
def source(build):
    """A copy of the checkout: what is tracked, and what is new and not ignored."""
    copy = build / "source"
    names = call("git", "ls-files", "-z", "--cached", "--others", "--exclude-standard", cwd=ROOT).stdout
    for name in filter(None, names.split("\0")):
        if (ROOT / name).exists():
            (copy / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, copy / name)
    return copy


@pytest.fixture(scope="module")
def sdist(build, source):
    call(sys.executable, "-m", "hatchling", "build", "-t", "sdist", "-d", build / "sdist", cwd=source)
    (archive,) = (build / "sdist").iterdir()
    return archive


@pytest.fixture(scope="module")
def wheel(build, sdist):
    """The wheel as `pip install` makes it: in isolation, from the source archive."""
    pip("wheel", "--no-deps", "-w", build / "wheel", sdist)
    (archive,) = (build / "wheel").iterdir()
    return archive


@pytest.fixture(scope="module")
def installed(build, wheel):
    folder = new_venv(build / "installed")
    pip("install", "--quiet", wheel, python=folder / "bin/python")
    return folder


def test_sdist_has_all_sources(sdist):
    with tarfile.open(sdist) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    wanted = "pyproject.toml LICENSE README.md roar/__main__.py scripts/build_hook.py docs/man/roar.1"
    assert set(wanted.split()) | {"tracer/Cargo.toml", "tracer/Cargo.lock", "tracer/src/main.rs"} <= names
    assert not [name for name in names if "target/" in name or name.startswith((".git/", ".venv/", "roar/bin"))]


def test_wheel_fits_the_platform_and_any_python(wheel):
    machine = os.uname().machine
    assert wheel.name.endswith(f"-py3-none-linux_{machine}.whl")
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
        modes = {info.filename: info.external_attr >> 16 for info in archive.infolist()}
        (entry_points,) = (archive.read(n).decode() for n in names if n.endswith("entry_points.txt"))
        (about,) = (archive.read(n).decode() for n in names if n.endswith(".dist-info/WHEEL"))
    assert modes[TRACER] & 0o111 == 0o111
    assert names.count(TRACER) == 1
    assert "Root-Is-Purelib: false" in about
    assert "roar = roar.__main__:main" in entry_points
    assert "git-roar = roar.__main__:main" in entry_points
    assert "git-credential-roar = roar.__main__:credential" in entry_points
    assert {f"roar/git-hooks/{hook.name}" for hook in (ROOT / "git-hooks").iterdir()} <= set(names)
    for page in ("roar.1", "git-roar.1"):
        assert any(name.endswith(f".data/data/share/man/man1/{page}") for name in names)
    assert not [name for name in names if name.startswith(("tests/", "scripts/", "tracer/"))]


def test_installed_programs_answer(installed):
    path = {"PATH": f"{installed / 'bin'}:{ENV['PATH']}"}
    version = call(installed / "bin/roar", "--version").stdout
    assert version.startswith("roar")
    assert call("git", "roar", "--version", env=path).stdout == version
    assert call(installed / "bin/python", "-m", "roar", "--version").stdout == version
    assert os.access(site_packages(installed) / TRACER, os.X_OK)


def test_installed_program_brings_its_hooks(installed, tmp_path):
    call("git", "init", "-q", tmp_path)
    call(installed / "bin/roar", "init", "--hooks", cwd=tmp_path)
    for hook in (ROOT / "git-hooks").iterdir():
        if hook.name != "pre-receive":
            assert (tmp_path / ".git/hooks" / hook.name).read_bytes() == hook.read_bytes()
            assert os.access(tmp_path / ".git/hooks" / hook.name, os.X_OK)


@pytest.mark.skipif(shutil.which("man") is None, reason="needs man")
def test_git_finds_the_manual(installed):
    path = {"PATH": f"{installed / 'bin'}:{ENV['PATH']}", "MANPAGER": "cat", "PAGER": "cat"}
    for name in ("roar", "git-roar"):
        found = call("man", "-w", name, env=path).stdout.strip()  # man follows the page that is only a ".so"
        assert found in {str(installed / f"share/man/man1/{page}.1") for page in ("roar", name)}
    assert "lineage" in call("git", "roar", "--help", env=path).stdout


def test_editable_install_runs_the_source(build, source, installed):
    folder = new_venv(build / "editable", borrow_from=installed)
    pip("install", "--quiet", "--no-deps", "--ignore-installed", "-e", source, python=folder / "bin/python")
    assert os.access(source / TRACER, os.X_OK)
    assert [p.name for p in (source / "roar/bin").iterdir()] == ["roar-tracer"]
    where = call(folder / "bin/python", "-c", "import roar; print(roar.__file__)").stdout.strip()
    assert where == str(source / "roar/__init__.py")
    assert call(folder / "bin/roar", "--version").stdout.startswith("roar")


def test_wheel_without_tracer_is_pure_and_says_so(build, sdist, installed, tmp_path):
    without = {"ROAR_NO_TRACER": "1"}
    pip("wheel", "--quiet", "--no-deps", "-w", build / "pure", sdist, env=without)
    (archive,) = (build / "pure").iterdir()
    assert archive.name.endswith("-py3-none-any.whl")
    with zipfile.ZipFile(archive) as contents:
        assert TRACER not in contents.namelist()
    folder = new_venv(build / "pure-venv", borrow_from=installed)
    pip("install", "--quiet", "--no-deps", "--ignore-installed", archive, python=folder / "bin/python")
    call("git", "init", "-q", tmp_path)
    said = call(folder / "bin/roar", "run", "touch", "made", cwd=tmp_path, status=125).stderr.strip()
    assert "tracer" in said
    assert len(said.splitlines()) <= 2, said  # a sentence, and perhaps what to type next
    assert "Traceback" not in said
    assert not (tmp_path / "made").exists()


def test_build_without_cargo_stops_with_a_sentence(sdist, tmp_path):
    bare = {"PATH": str(tmp_path), "HOME": str(tmp_path), "CARGO_HOME": str(tmp_path)}
    said = pip("wheel", "--no-deps", "-w", tmp_path, sdist, env=bare, status=1)
    assert "`cargo` is not installed: install Rust" in said.stdout + said.stderr
    assert "ROAR_NO_TRACER=1" in said.stdout + said.stderr


def test_man_pages_are_current():
    call(sys.executable, ROOT / "scripts/make_manpage.py", "--check", env={"PYTHONPATH": str(ROOT)})
