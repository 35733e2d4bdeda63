"""Real repositories in a sealed environment: no configuration or identity of the person who runs the tests."""

from __future__ import annotations

import base64
import hashlib
import os
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable, Generator
from pathlib import Path

import pytest
from hypothesis import settings

from roar.git.locks import exclusive
from roar.git.repository import Repository, discover

ROOT = Path(__file__).resolve().parent.parent
TRACER = ROOT / "roar" / "bin" / "roar-tracer"


settings.register_profile("roar", deadline=None)  # tests run beside others
settings.load_profile("roar")


@pytest.hookimpl(wrapper=True)
def pytest_report_to_serializable() -> Generator[None, object, object]:
    """A report goes from a worker to its master as UTF-8, and what a test said may hold names that are no text."""
    return _sendable((yield))


def _sendable(value: object) -> object:
    if isinstance(value, str):
        return value.encode(errors="backslashreplace").decode()
    if isinstance(value, dict):
        return {name: _sendable(each) for name, each in value.items()}
    return type(value)(map(_sendable, value)) if isinstance(value, list | tuple) else value


@pytest.fixture(autouse=True)
def sealed(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home folder and a git configuration of the test's own."""
    home = tmp_path_factory.mktemp("home")
    for name in list(os.environ):
        if name.startswith(("GIT_", "ROAR_", "XDG_")) and name != "ROAR_TRACER":
            monkeypatch.delenv(name)
    for name in ("COLUMNS", "LINES"):  # they go before what a terminal says of itself
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("XDG_STATE_HOME", str(home / "state"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(home / "cache"))
    monkeypatch.setenv("GIT_CONFIG_NOSYSTEM", "1")
    monkeypatch.setenv("GIT_AUTHOR_NAME", "Ada Recorder")
    monkeypatch.setenv("GIT_AUTHOR_EMAIL", "ada@example.org")
    monkeypatch.setenv("GIT_COMMITTER_NAME", "Ada Recorder")
    monkeypatch.setenv("GIT_COMMITTER_EMAIL", "ada@example.org")
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setenv("GIT_PAGER", "cat")
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    (home / ".gitconfig").write_text('[init]\n\tdefaultBranch = main\n[protocol "file"]\n\tallow = always\n')
    return home


Git = Callable[..., str]


@pytest.fixture
def git() -> Git:
    """Call git in a folder and give its output; the test fails when git does."""

    def call(folder: Path | str, *args: str, ok: bool = True) -> str:
        done = subprocess.run(["git", *args], cwd=folder, capture_output=True, check=False)
        assert not ok or done.returncode == 0, done.stderr.decode(errors="replace")
        return done.stdout.decode(errors="surrogateescape").strip()

    return call


@pytest.fixture
def tree(tmp_path: Path, git: Git) -> Path:
    """A work tree with one commit."""
    top = tmp_path / "project"
    top.mkdir()
    git(top, "init", "-q")
    (top / "README").write_text("a project\n")
    git(top, "add", "README")
    git(top, "commit", "-qm", "first")
    return top


@pytest.fixture
def hub(tmp_path: Path, tree: Path, git: Git) -> Path:
    """A bare repository that ``tree`` knows as origin."""
    git(tmp_path, "clone", "-q", "--bare", str(tree), "hub.git")
    git(tree, "remote", "add", "origin", str(tmp_path / "hub.git"))
    git(tree, "push", "-q", "-u", "origin", "main")
    return tmp_path / "hub.git"


@pytest.fixture
def repo(tree: Path) -> Repository:
    """The repository of ``tree``."""
    return discover(str(tree))


class Roar:
    """The real program, in a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __call__(
        self, *words: str | bytes, cwd: Path | None = None, stdin: bytes = b"", code: int | None = 0, **env: str
    ) -> subprocess.CompletedProcess[bytes]:
        """Run ``roar WORDS``; the test fails when the exit status is not ``code`` (None: any)."""
        done = subprocess.run(
            [sys.executable, "-m", "roar", *words],
            cwd=cwd or self.folder,
            input=stdin or None,
            stdin=None if stdin else subprocess.DEVNULL,
            capture_output=True,
            check=False,
            env={**os.environ, **env},
            timeout=300,
        )
        assert code is None or done.returncode == code, (done.returncode, done.stdout, done.stderr)
        assert b"Traceback" not in done.stderr, done.stderr.decode(errors="replace")
        return done


@pytest.fixture
def roar(tree: Path) -> Roar:
    """The program, in ``tree``."""
    return Roar(tree)


needs_tracer = pytest.mark.skipif(not TRACER.exists(), reason="the tracer is not built (scripts/test builds it)")


@pytest.fixture(scope="session")
def venv_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An environment with pip, made once for all workers of a run: it takes longer than most tests."""
    place = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        place = place.parent
    made, whole = place / "venv-template", place / "venv-template.whole"
    with exclusive(f"{made}.lock", patience_seconds=300):
        if not whole.exists():
            subprocess.run([sys.executable, "-m", "venv", made], check=True)
            whole.touch()
    return made


NewVenv = Callable[[Path], Path]


@pytest.fixture
def new_venv(venv_template: Path) -> NewVenv:
    """Puts an environment with pip into a folder, as ``.venv``, and gives its Python."""

    def put(folder: Path) -> Path:
        shutil.copytree(venv_template, folder / ".venv", symlinks=True)
        return folder / ".venv/bin/python"

    return put


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A small real package, with two versions, where pip finds it."""
    wheels = tmp_path / "wheels"
    for version in ("1.0", "2.0"):
        source = tmp_path / f"source-{version}"
        source.mkdir()
        (source / "shout.py").write_text(f"def shout(text): return text.upper() + ' {version}'\n")
        info = f"shout_tiny-{version}.dist-info"
        build_wheel(wheels, f"shout_tiny-{version}-py3-none-any.whl", source, info, version)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(wheels))
    monkeypatch.setenv("UV_NO_INDEX", "1")
    monkeypatch.setenv("UV_FIND_LINKS", str(wheels))
    return wheels


def build_wheel(wheels: Path, name: str, source: Path, info: str, version: str) -> None:
    wheels.mkdir(exist_ok=True)
    contents = {
        "shout.py": (source / "shout.py").read_bytes(),
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: shout-tiny\nVersion: {version}\n".encode(),
        f"{info}/WHEEL": b"Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    digests = {
        n: base64.urlsafe_b64encode(hashlib.sha256(d).digest()).rstrip(b"=").decode() for n, d in contents.items()
    }
    listing = "".join(f"{n},sha256={digests[n]},{len(d)}\n" for n, d in contents.items()) + f"{info}/RECORD,,\n"
    with zipfile.ZipFile(wheels / name, "w") as archive:
        for path, data in {**contents, f"{info}/RECORD": listing.encode()}.items():
            archive.writestr(path, data)
