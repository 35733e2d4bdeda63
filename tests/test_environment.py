"""A real virtual environment with packages that pip made and installed; real reads; and machines of other makes."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from roar.environment.machine import describe_machine
from roar.environment.packages import EDITABLE, Site, normalised, site, source_of
from roar.environment.python import Pythons, describe_pythons
from roar.environment.variables import chosen_variables
from roar.paths import below
from roar.records.job import Machine, Package, Python
from roar.stamps import Stamps

pytestmark = pytest.mark.skipif(os.name == "nt", reason="interpreters are told apart where there is a tracer")

# A build backend (PEP 517 and 660) of forty lines, so that pip needs no network to build what is tested here.
BACKEND = """
import base64, hashlib, json, os, zipfile

with open("tiny.json") as file:
    TINY = json.load(file)
STEM = TINY["name"].replace("-", "_").replace(".", "_") + "-" + TINY["version"]

def _wheel(folder, files):
    info = STEM + ".dist-info/"
    files = dict(files)
    files[info + "METADATA"] = "Metadata-Version: 2.1\\nName: %s\\nVersion: %s\\n\\nName: other\\n" % (
        TINY["name"], TINY["version"])
    files[info + "WHEEL"] = "Wheel-Version: 1.0\\nGenerator: tiny\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n"
    lines = []
    for name, body in files.items():
        digest = base64.urlsafe_b64encode(hashlib.sha256(body.encode()).digest()).rstrip(b"=").decode()
        field = '"%s"' % name if "," in name else name
        lines.append("%s,sha256=%s,%d\\n" % (field, digest, len(body)))
    files[info + "RECORD"] = "".join(lines) + info + "RECORD,,\\n"
    name = STEM + "-py3-none-any.whl"
    with zipfile.ZipFile(os.path.join(folder, name), "w") as archive:
        for path, body in files.items():
            archive.writestr(path, body)
    return name

def build_wheel(folder, config_settings=None, metadata_directory=None):
    files = {}
    for base, _, names in os.walk("src"):
        for name in names:
            if not name.endswith(".pyc"):
                path = os.path.join(base, name)
                files[os.path.relpath(path, "src")] = open(path).read()
    return _wheel(folder, files)

def build_editable(folder, config_settings=None, metadata_directory=None):
    return _wheel(folder, {"_" + STEM + ".pth": os.path.abspath("src") + "\\n"})
"""

FROM_INDEX: dict[str, tuple[str, list[str]]] = {
    "Alpha.Tools": (
        "1.0",
        ["alpha_tools/__init__.py", "alpha_tools/deep/x.py", "alpha_single.py", "alpha_tools/a,b.txt"],
    ),
    "nsp-one": ("0.1", ["nsp/one/__init__.py"]),
    "nsp-two": ("0.2", ["nsp/two/__init__.py"]),
    "shared-one": ("1", ["shared/__init__.py", "shared/one.py"]),
    "shared-two": ("2", ["shared/__init__.py", "shared/two.py"]),
    "twin-a": ("3", ["twin/__init__.py", "twin/mod.py"]),
    "twin-b": ("4", ["twin/__init__.py", "twin/mod.py"]),
    "unused": ("1.2.3", ["unused/__init__.py"]),
}
FROM_FOLDER = {"local-dir": ("5", ["local_dir/__init__.py"])}
IN_PLACE = {"edit-me": ("6", ["edit_me/__init__.py"]), "edit-unused": ("7", ["edit_unused/__init__.py"])}


class Place(NamedTuple):
    """A work tree with a virtual environment in it."""

    root: Path
    venv: Path

    @property
    def python(self) -> str:
        return str(self.venv / "bin" / "python")

    @property
    def base(self) -> str:
        return os.path.realpath(self.python)

    @property
    def site(self) -> str:
        return str(next(self.venv.glob("lib/python*/site-packages")))


def run(*words: str, **more: Any) -> str:
    done = subprocess.run(words, capture_output=True, text=True, check=False, **more)
    assert done.returncode == 0, done.stderr
    return done.stdout


def make_project(folder: Path, name: str, version: str, files: list[str]) -> Path:
    project = folder / name
    for path in files:
        (project / "src" / path).parent.mkdir(parents=True, exist_ok=True)
        (project / "src" / path).write_text("")
    (project / "backend.py").write_text(BACKEND)
    (project / "tiny.json").write_text(json.dumps({"name": name, "version": version}))
    (project / "pyproject.toml").write_text(
        '[build-system]\nrequires = []\nbuild-backend = "backend"\nbackend-path = ["."]\n'
    )
    return project


@pytest.fixture(scope="session")
def place(tmp_path_factory: pytest.TempPathFactory) -> Place:
    root = Path(os.path.realpath(tmp_path_factory.mktemp("work"))) / "tree"
    made = Place(root, root / ".venv")
    done = subprocess.run([sys.executable, "-m", "venv", str(made.venv)], capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"this Python makes no environments with pip: {done.stdout}{done.stderr}")
    pip = [made.python, "-m", "pip", "--disable-pip-version-check", "-q"]
    build = ["--no-index", "--no-build-isolation", "--no-deps"]
    wheels = str(root.parent / "wheels")
    projects = [str(make_project(root.parent / "index", n, *what)) for n, what in FROM_INDEX.items()]
    run(*pip, "wheel", *build, "-w", wheels, *projects)
    run(*pip, "install", "--no-index", "--find-links", wheels, *FROM_INDEX)
    for name, what in FROM_FOLDER.items():
        run(*pip, "install", *build, str(make_project(root, name, *what)))
    for name, what in IN_PLACE.items():
        run(*pip, "install", *build, "-e", str(make_project(root, name, *what)))
    return made


READS = """
import sys
before = set(sys.modules)
{code}
paths = set()
for module in list(sys.modules.values()):
    for path in (getattr(module, "__file__", None), getattr(module, "__cached__", None)):
        if path:
            paths.add(path)
print(*paths, sep="\\n")
"""


def reads(place: Place, code: str, python: str | None = None) -> list[str]:
    """The files that the interpreter reads for this code, and at its start."""
    known = run(python or place.python, "-c", READS.format(code=code)).split("\n")
    paths = [os.path.realpath(path) for path in known if path and os.path.exists(path)]
    return [*paths, str(place.venv / "pyvenv.cfg"), *(str(p) for p in Path(place.site).glob("*.pth"))]


Describe = Callable[..., Pythons]


@pytest.fixture
def memo(tmp_path: Path) -> Stamps:
    return Stamps(str(tmp_path / "memo"))


@pytest.fixture
def describe(place: Place, memo: Stamps) -> Describe:
    def call(code: str, asked: str | None = None, extra: tuple[str, ...] = ()) -> Pythons:
        programs = [(asked or place.python, place.base), ("/bin/sh", os.path.realpath("/bin/sh"))]
        return describe_pythons(programs, [*reads(place, code), *extra], str(place.root), memo)

    return call


def names(packages: list[Package]) -> list[str]:
    return [package.name for package in packages]


def only(found: Pythons) -> Python:
    assert len(found.pythons) == 1
    return found.pythons[0]


def test_an_interpreter_is_named_by_its_place_in_the_work_tree(describe: Describe) -> None:
    python = only(describe("pass"))
    assert python.executable == ".venv/bin/python"
    assert python.prefix == ".venv"
    assert python.version == sys.version.split()[0]
    assert python.implementation.lower() == sys.implementation.name
    assert python.read == []
    assert {"Alpha.Tools", "unused", "pip"} <= set(names(python.installed))


def test_read_are_those_of_which_a_file_was_read(describe: Describe) -> None:
    python = only(describe("import alpha_tools.deep.x, local_dir"))
    assert python.read == [
        Package(name="Alpha.Tools", version="1.0"),
        Package(name="local-dir", version="5", source="./local-dir"),
    ]
    assert Package(name="unused", version="1.2.3") in python.installed
    assert not set(names(python.read)) & set(names(python.installed))
    sorted_names = [normalised(name) for name in names(python.installed)]
    assert sorted_names == sorted(sorted_names)


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("import nsp.one", ["nsp-one"]),
        ("import nsp.one, nsp.two", ["nsp-one", "nsp-two"]),
        ("import shared", []),
        ("import shared.two", ["shared-two"]),
        ("import twin.mod", ["twin-a", "twin-b"]),
        ("import alpha_single", ["Alpha.Tools"]),
        ("import pip._internal", ["pip"]),
    ],
)
def test_shared_names_are_told_apart_by_the_path(describe: Describe, code: str, expected: list[str]) -> None:
    assert names(only(describe(code)).read) == expected


def test_byte_code_alone_tells_as_much(place: Place, memo: Stamps) -> None:
    for code, expected in (("import alpha_single", ["Alpha.Tools"]), ("import nsp.two", ["nsp-two"])):
        run(place.python, "-c", code)
        paths = [path for path in reads(place, code) if path.endswith(".pyc")]
        found = describe_pythons([(place.python, place.base)], paths, str(place.root), memo)
        assert names(only(found).read) == expected


def test_a_data_file_and_metadata(place: Place, describe: Describe) -> None:
    data = os.path.join(place.site, "alpha_tools", "a,b.txt")
    assert os.path.exists(data)
    assert names(only(describe("pass", extra=(data,))).read) == ["Alpha.Tools"]
    everybodys = tuple(str(path) for path in Path(place.site).glob("*.dist-info/METADATA"))
    assert names(only(describe("pass", extra=everybodys)).read) == [], "whoever lists packages reads all metadata"


def test_a_package_in_place_counts_when_its_code_was_read(place: Place, describe: Describe) -> None:
    python = only(describe("import edit_me"))
    assert python.read == [Package(name="edit-me", version="6", source=EDITABLE)]
    assert Package(name="edit-unused", version="7", source=EDITABLE) in python.installed
    data = str(place.root / "edit-me" / "data.csv")
    assert names(only(describe("pass", extra=(data,))).read) == []


def test_a_project_in_place_by_setup_py_develop(place: Place, memo: Stamps, tmp_path: Path) -> None:
    project = tmp_path / "old"
    write(project, "oldpkg/__init__.py")
    write(project, "setup.py", "from setuptools import setup; setup(name='old', version='1', packages=['oldpkg'])")
    develop = [place.python, "setup.py", "-q", "develop", "--no-deps"]
    if subprocess.run(develop, cwd=project, capture_output=True, check=False).returncode:
        pytest.skip("the environment has no setuptools that can do it")
    try:
        programs = [(place.python, place.base)]
        python = only(describe_pythons(programs, reads(place, "import oldpkg"), str(place.root), memo))
        assert python.read == [Package(name="old", version="1", source=EDITABLE)]
        python = only(describe_pythons(programs, reads(place, "pass"), str(place.root), memo))
        assert names(python.read) == []
    finally:
        run(*develop, "--uninstall", cwd=project)


def test_a_finder_that_setuptools_writes(tmp_path: Path) -> None:
    """Its table names the folders of the packages, which are narrower than that of the project."""
    folder, project = tmp_path / "site-packages", tmp_path / "project"
    write(project, "flat/__init__.py")
    finder = f"import sys\nMAPPING: dict[str, str] = {{'flat': '{project}/flat', 'gone': '/gone'}}\nNAMESPACES = {{}}\n"
    write(folder, "__editable___flat_1_finder.py", finder)
    write(folder, "__editable__.flat-1.pth", "import __editable___flat_1_finder; __editable___flat_1_finder.install()")
    write(folder, "flat-1.dist-info/METADATA", "Name: flat\nVersion: 1\n")
    write(folder, "flat-1.dist-info/RECORD", "__editable__.flat-1.pth,,\n__editable___flat_1_finder.py,,\n")
    direct = {"url": f"file://{project}", "dir_info": {"editable": True}}
    write(folder, "flat-1.dist-info/direct_url.json", json.dumps(direct))
    found = site(str(folder), Stamps(None))
    assert found is not None
    assert found.distributions == [("flat", "1", EDITABLE, (f"{project}/flat",))]
    assert found.owners_of(["__editable___flat_1_finder.py", "__editable__.flat-1.pth"]) == set()


def test_the_folders_of_the_interpreter_and_no_others(place: Place, describe: Describe) -> None:
    folders = describe("import alpha_tools").package_folders
    assert str(place.venv) in folders
    stdlib = os.path.dirname(os.path.dirname(os.path.realpath(json.__file__)))
    assert any(below(stdlib, folder) is not None for folder in folders)
    assert all(os.path.isabs(folder) for folder in folders)
    assert not any(below(str(place.root), folder) is not None for folder in folders)
    assert not {"/usr", "/usr/lib", "/usr/bin", "/usr/local", "/usr/local/lib"} & set(folders)


def test_a_work_tree_in_an_environment_is_not_swallowed(place: Place, memo: Stamps) -> None:
    programs = [(place.python, place.base)]
    paths = reads(place, "import alpha_tools")
    for root in (place.venv, place.venv / "src" / "project"):
        found = describe_pythons(programs, paths, str(root), memo)
        assert str(place.venv) not in found.package_folders
        assert os.path.dirname(place.site) in found.package_folders
        assert names(only(found).read) == ["Alpha.Tools"]
    assert only(describe_pythons(programs, paths, str(place.venv), memo)).prefix == "."


def test_scripts_and_other_names_lead_to_the_same_environment(place: Place, describe: Describe) -> None:
    script = place.root / "tool"
    script.write_text(f"#!{place.python}\n")
    for asked in (str(place.venv / "bin" / "python3"), str(place.venv / "bin" / "pip"), str(script)):
        assert only(describe("pass", asked)).prefix == ".venv"
    assert only(describe("pass", f"{place.root}/x/../.venv/bin/python")).executable == ".venv/bin/python"
    assert only(describe("pass", "/proc/self/exe")).prefix == ".venv", "told by the pyvenv.cfg that was read"


def test_the_same_interpreter_outside_and_inside_an_environment(place: Place, memo: Stamps) -> None:
    paths = [*reads(place, "import alpha_tools"), *reads(place, "pass", place.base)]
    found = describe_pythons([(place.python, place.base), (place.base, place.base)], paths, str(place.root), memo)
    by_prefix = {python.prefix: python for python in found.pythons}
    assert set(by_prefix) >= {".venv"}
    assert len(by_prefix) == 2
    inside = by_prefix.pop(".venv")
    outside = by_prefix.popitem()[1]
    assert names(inside.read) == ["Alpha.Tools"]
    assert "Alpha.Tools" not in names(outside.read) + names(outside.installed)
    assert outside.executable == place.base


def test_what_is_no_python(place: Place, memo: Stamps, tmp_path: Path) -> None:
    paths = reads(place, "pass")
    sh = os.path.realpath("/bin/sh")
    shim = tmp_path / "python3"
    shim.write_text("#!/bin/sh\nexec real-python\n")
    assert describe_pythons([("/bin/sh", sh)], paths, None, memo) == ([], [])
    assert describe_pythons([(str(shim), sh)], paths, None, memo) == ([], [])
    assert describe_pythons([(str(shim), str(shim))], paths, None, memo) == ([], [])
    assert describe_pythons([(place.python, place.base)], ["/usr/lib/libc.so"], None, memo) == ([], [])
    fake = tmp_path / "pypy3"
    shutil.copy(sh, fake)
    assert describe_pythons([(str(fake), str(fake))], paths, None, memo) == ([], [])


def test_an_interpreter_that_is_gone_is_told_by_its_library(memo: Stamps) -> None:
    paths = ["/gone/lib/python3.9/encodings/__init__.py", "/gone/lib/python3.9/site-packages/x/y.py"]
    found = describe_pythons([("/gone/bin/python3", "/gone/bin/python3.9")], paths, None, memo)
    assert only(found) == Python(version="3.9", implementation="CPython", executable="/gone/bin/python3")
    assert found.package_folders == ["/gone/bin", "/gone/include", "/gone/lib"]


def test_a_copy_of_the_environment_of_a_similar_name_is_another_place(place: Place, describe: Describe) -> None:
    beside = str(place.root / ".venv-data" / "x.py")
    found = describe("pass", extra=(beside,))
    assert not any(beside.startswith(folder + "/") for folder in found.package_folders)


def test_names_that_are_no_text(tmp_path: Path, memo: Stamps) -> None:
    odd = os.fsdecode(b"/gone/caf\xe9/bin/python3.9")
    paths = [os.fsdecode(b"/gone/caf\xe9/lib/python3.9/encodings/__init__.py")]
    python = only(describe_pythons([(odd, odd)], paths, None, memo))
    assert python.executable == "//bytes//gone/caf%E9/bin/python3.9"


def test_the_index_is_remembered_until_something_is_installed(place: Place, tmp_path: Path) -> None:
    folder = tmp_path / "venv" / "site-packages"
    shutil.copytree(place.site, folder)
    memo = Stamps(str(tmp_path / "memo"))
    first = site(str(folder), memo)
    assert memo.recall(f"site {folder}") is None, "too fresh to be sure"
    time.sleep(2.1)
    assert site(str(folder), memo) == first
    memo.close()
    (folder / "unused-1.2.3.dist-info" / "METADATA").write_text("Name: wrong\n")
    assert site(str(folder), memo) == first, "read from the memo"
    shutil.rmtree(folder / "unused-1.2.3.dist-info")
    again = site(str(folder), memo)
    assert again is not None
    assert first is not None
    assert {d.name for d in first.distributions} - {d.name for d in again.distributions} == {"unused"}


def write(folder: Path, path: str, text: str = "") -> None:
    (folder / path).parent.mkdir(parents=True, exist_ok=True)
    (folder / path).write_text(text)


def test_metadata_of_every_age(tmp_path: Path) -> None:
    folder = tmp_path / "site-packages"
    project = tmp_path / "project"
    write(folder, "eggdir-1.0-py3.11.egg-info/PKG-INFO", "Metadata-Version: 1.0\nName: EggDir\nVersion: 1.0\n")
    write(folder, "eggdir-1.0-py3.11.egg-info/top_level.txt", "eggpkg\n_eggmod\n")
    write(folder, "eggfile-2.0.egg-info", "Metadata-Version: 1.1\nName: eggfile\nVersion: 2.0\n")
    write(folder, "listed-3.egg-info/PKG-INFO", "Name: listed\nVersion: 3\n")
    write(folder, "listed-3.egg-info/installed-files.txt", "../listedpkg/__init__.py\nPKG-INFO\n")
    write(folder, "zipped-4.0-py3.8.egg", "PK")
    write(folder, "devel.egg-link", f"{project}\n.")
    write(folder, "bare-5.dist-info/METADATA", "Metadata-Version: 2.1\nName: bare\nVersion: 5\n")
    write(folder, "nothing-6.dist-info/INSTALLER")
    write(folder, "_eggmod.cpython-311-x86_64-linux-gnu.so")
    for name in ("eggpkg", "eggfile.py", "bare", "listedpkg", "nothing"):
        write(folder, name if name.endswith(".py") else f"{name}/__init__.py")
    write(project, "devel.egg-info/PKG-INFO", "Name: devel\nVersion: 7\n")
    found = site(str(folder), Stamps(None))
    assert found is not None
    by_path = {
        "eggpkg/x/y.py": "EggDir 1.0",
        "_eggmod.cpython-311-x86_64-linux-gnu.so": "EggDir 1.0",
        "eggfile.py": "eggfile 2.0",
        "__pycache__/eggfile.cpython-311.pyc": "eggfile 2.0",
        "listedpkg/__init__.py": "listed 3",
        "zipped-4.0-py3.8.egg/z/x.py": "zipped 4.0",
        "bare/__init__.py": "bare 5",
        "nothing/__init__.py": "nothing 6",
    }
    for path, expected in by_path.items():
        owners = [found.distributions[number] for number in found.owners_of([path])]
        assert [f"{d.name} {d.version}" for d in owners] == [expected], path
    assert ("devel", "7", EDITABLE, (str(project),)) in found.distributions
    assert found.owners_of(["stranger/x.py", "distutils-precedence.pth", "bare-5.dist-info/METADATA"]) == set()


@pytest.mark.parametrize(
    ("direct", "source"),
    [
        ({"url": "https://u:p@h/x.whl", "archive_info": {"hashes": {"sha256": "ab"}}}, "https://h/x.whl#sha256=ab"),
        (
            {"url": "https://h/r.git", "vcs_info": {"vcs": "git", "commit_id": "c0"}, "subdirectory": "d"},
            "git+https://h/r.git@c0#subdirectory=d",
        ),
        ({"url": "ssh://git:pw@h/r.git", "vcs_info": {"vcs": "git", "commit_id": "c0"}}, "git+ssh://git@h/r.git@c0"),
        ({"url": "file:///a%20b", "dir_info": {"editable": True}}, EDITABLE),
        ({"url": "file:///a/b", "dir_info": {}}, "file:///a/b"),
        ({"url": 7}, ""),
        ([], ""),
    ],
)
def test_where_a_distribution_came_from(tmp_path: Path, direct: Any, source: str) -> None:
    write(tmp_path, "x-1.dist-info/METADATA", "Name: x\nVersion: 1\n")
    write(tmp_path, "x-1.dist-info/RECORD", "x.py,,\n")
    write(tmp_path, "x-1.dist-info/direct_url.json", json.dumps(direct))
    found = site(str(tmp_path), Stamps(None))
    assert found is not None
    assert found.distributions[0].source == source
    if source == EDITABLE:
        assert found.distributions[0].roots == ("/a b",)


paths = st.lists(st.sampled_from("abcd"), min_size=1, max_size=4).map("/".join).map(lambda p: p + ".py")


@given(st.lists(st.sets(paths, min_size=1, max_size=8), min_size=1, max_size=5))
def test_every_file_leads_to_who_has_it(tmp_path_factory: pytest.TempPathFactory, files: list[set[str]]) -> None:
    folder = tmp_path_factory.mktemp("site")
    for number, own in enumerate(files):
        write(folder, f"d{number}-1.dist-info/METADATA", f"Name: d{number}\nVersion: 1\n")
        write(folder, f"d{number}-1.dist-info/RECORD", "".join(f"{path},,\n" for path in sorted(own)))
    found = site(str(folder), Stamps(None))
    assert found is not None
    for path in set.union(*files):
        claimants = {number for number, own in enumerate(files) if path in own}
        stem, name = path.rpartition("/")[::2]
        cached = f"{stem}/__pycache__/{name[:-3]}.cpython-311.pyc".lstrip("/")
        for asked in (path, cached):
            owners = found.owners_of([asked])
            assert owners <= claimants
            assert owners or len(claimants) > 1
    everything = found.owners_of(set.union(*files))
    assert everything == set(range(len(files))), "who read every file read every distribution"


def test_an_index_makes_the_round_trip(place: Place) -> None:
    from roar.environment import packages

    found = site(place.site, Stamps(None))
    assert isinstance(found, Site)
    assert packages._parse("state\n" + packages._spell(found)) == found


@pytest.mark.parametrize(
    ("path", "source"),
    [
        ("a/__pycache__/b.cpython-311.pyc", "a/b.py"),
        ("__pycache__/b.cpython-311.opt-1.pyc", "b.py"),
        ("a/b.pyc", "a/b.pyc"),
        ("a/b.py", "a/b.py"),
        ("x__pycache__/b.c.pyc", "x__pycache__/b.c.pyc"),
    ],
)
def test_byte_code_names_its_source(path: str, source: str) -> None:
    assert source_of(path) == source


# Machines


def test_this_machine() -> None:
    machine = describe_machine()
    assert machine.kernel == os.uname().release
    assert machine.architecture == os.uname().machine
    assert machine.cores == os.cpu_count()
    assert machine.hostname == os.uname().nodename
    assert machine.gpus == []
    if sys.platform == "linux":
        pages = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
        assert abs(machine.memory_bytes - pages) < pages // 4
        assert machine.cpu


ID = "0123456789abcdef" * 4


@pytest.fixture
def elsewhere(tmp_path: Path) -> Callable[..., Machine]:
    """The machine whose files are these."""

    def call(files: dict[str, str], devices: tuple[str, ...] = ()) -> Machine:
        for path, text in files.items():
            write(tmp_path, path, text)
        return describe_machine(devices, str(tmp_path))

    return call


Elsewhere = Callable[..., Machine]


@pytest.mark.parametrize(
    ("path", "text", "expected"),
    [
        ("proc/self/cgroup", "0::/\n", None),
        ("proc/self/cgroup", f"0::/system.slice/docker-{ID}.scope\n", ID),
        ("proc/self/cgroup", f"12:cpu:/docker/{ID}\n11:pids:/docker/{ID}\n", ID),
        ("proc/self/cgroup", f"0::/kubepods.slice/pod1.slice/cri-containerd-{ID}.scope\n", ID),
        ("proc/self/cgroup", "0::/user.slice/user-1000.slice/session-1.scope\n", None),
        ("run/.containerenv", f'engine="podman-4"\nname="x"\nid="{ID}"\n', ID),
        (
            "proc/self/mountinfo",
            f"9 8 0:1 /var/lib/docker/containers/{ID}/hostname /etc/hostname rw - ext4 /d rw\n",
            ID,
        ),
        ("proc/self/mountinfo", f"9 8 0:1 / /var/lib/docker/overlay2/{ID}/merged rw - overlay overlay rw\n", None),
        ("proc/self/mountinfo", "garbage\n\n", None),
    ],
)
def test_containers(elsewhere: Elsewhere, path: str, text: str, expected: str | None) -> None:
    assert elsewhere({path: text}).container == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("processor\t: 0\nmodel\t\t: 1\nmodel name\t: Some CPU @ 2GHz\n\nprocessor\t: 1\n", "Some CPU @ 2GHz"),
        ("processor\t: 0\nCPU implementer\t: 0x41\nCPU part\t: 0xd40\n", "Neoverse-V1"),
        ("processor\t: 0\nCPU implementer\t: 0x61\nCPU part\t: 0x022\n", "ARM 0x61 0x022"),
        ("processor\t: 0\ncpu\t\t: POWER9\n", "POWER9"),
        ("", None),
    ],
)
def test_processors(elsewhere: Elsewhere, text: str, expected: str | None) -> None:
    assert elsewhere({"proc/cpuinfo": text}).cpu == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('NAME="Debian"\nPRETTY_NAME="Debian 12 (bookworm)"\n', "Debian 12 (bookworm)"),
        ("NAME=Alpine\nVERSION_ID=3.20\n", "Alpine 3.20"),
        ("", os.uname().sysname if hasattr(os, "uname") else ""),
    ],
)
def test_systems(elsewhere: Elsewhere, text: str, expected: str) -> None:
    assert elsewhere({"etc/os-release": text}).system == expected


def test_graphics_processors_only_when_their_device_was_opened(elsewhere: Elsewhere) -> None:
    files = {
        "proc/driver/nvidia/version": "NVRM version: NVIDIA UNIX x86_64 Kernel Module  535.104.05  Sat Aug 19\n",
        "proc/driver/nvidia/gpus/0000:01:00.0/information": "Model: \t\t NVIDIA A100-SXM4-40GB\nDevice Minor: \t 0\n",
        "proc/driver/nvidia/gpus/0000:02:00.0/information": "Model: \t\t NVIDIA H100 PCIe\nDevice Minor: \t 1\n",
        "sys/class/drm/renderD128/device/vendor": "0x1002\n",
        "sys/class/drm/renderD128/device/device": "0x740f\n",
        "sys/class/drm/renderD128/device/uevent": "DRIVER=amdgpu\nPCI_ID=1002:740F\n",
        "sys/class/drm/renderD129/device/product_name": "AMD Instinct MI210\n",
    }
    assert elsewhere(files).gpus == []
    assert elsewhere(files, ("/dev/null", "/dev/nvidiactl", "/dev/nvidia-uvm", "/dev/kfd")).gpus == []
    opened = ("/dev/nvidia1", "/dev/nvidia7", "/dev/dri/renderD128", "/dev/dri/renderD129", "/dev/nvidia1")
    assert [(gpu.name, gpu.driver) for gpu in elsewhere(files, opened).gpus] == [
        ("PCI 1002:740f", "amdgpu"),
        ("AMD Instinct MI210", None),
        ("NVIDIA H100 PCIe", "nvidia 535.104.05"),
        ("/dev/nvidia7", "nvidia 535.104.05"),
    ]


def test_a_machine_without_any_of_these_files(elsewhere: Elsewhere) -> None:
    machine = elsewhere({})
    assert machine.cpu is None
    assert machine.memory_bytes == 0
    assert machine.container is None


# Variables


def test_chosen_variables() -> None:
    environ = {
        "OMP_NUM_THREADS": "4", "LC_ALL": "C", "LANG": "C", "HOME": "/root", "AWS_SECRET_ACCESS_KEY": "x",
        "PATH": "/bin", "MY_FLAG": "1", "SLURM_JOB_ID": "7", "PYTHONHASHSEED": "0", "SSH_AUTH_SOCK": "/x",
        "lc_all": "C",
    }  # fmt: skip
    assert list(chosen_variables(environ, ())) == [
        "LANG",
        "LC_ALL",
        "OMP_NUM_THREADS",
        "PYTHONHASHSEED",
        "SLURM_JOB_ID",
    ]
    assert chosen_variables(environ, ["MY_FLAG", "NOT_SET"])["MY_FLAG"] == "1"


def test_nothing_expensive_is_imported() -> None:
    code = (
        "import sys, roar.records.job, roar.stamps\nbefore = set(sys.modules)\n"
        "from roar.environment import machine, python, variables\n"
        "python.describe_pythons([('/bin/sh', '/bin/sh')], ['/x'], None, roar.stamps.Stamps(None))\n"
        "new = set(sys.modules) - before\n"
        "bad = {'subprocess', 'json', 'email', 'platform', 'importlib.metadata', 'sqlite3', 'urllib.parse'} & new\n"
        "sys.exit(str(bad) if bad else 0)\n"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
