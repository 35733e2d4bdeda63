"""Plans, the words of a record on this machine, recipes of environments, and the folder that nothing leaves."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import make
import pytest

from roar.errors import RoarError
from roar.git.repository import Repository
from roar.records.job import Command, CondaPackage, Job, Package, Python
from roar.stamps import Stamps
from roar.verbs import interpreters, rebuild_env, translate
from roar.verbs import recipe as recipes
from roar.verbs.confined import Confined
from roar.verbs.inputs import Known, Places, Sources
from roar.verbs.lockfiles import locked
from roar.verbs.plan import Asked, Chosen, Plan
from roar.verbs.planning import plan


def chosen(name: str, values: dict[str, Any], overlay: dict[str, str] | None = None) -> Chosen:
    job = make.draft(values, 1, "w")
    return Chosen(name, job, job.inputs, job.outputs, overlay or {})


def planned(repo: Repository, asked: Asked, *lineage: Chosen, given: dict[str, str] | None = None) -> Plan:
    sources = Sources(repo, Places(given or {}), Known(), Stamps(None))
    try:
        return plan(asked, list(lineage), sources, lambda content: "somewhere")
    finally:
        sources.close()


# What is needed, and from where


def test_only_what_leads_to_the_artifact_is_run(repo: Repository) -> None:
    made = planned(
        repo,
        Asked("c", "C", make.digest("c")),
        chosen("A", make.fields("a", {}, {"a": "a"})),
        chosen("X", make.fields("x", {}, {"x": "x"})),
        chosen("C", make.fields("c", {"a": "a"}, {"c": "c", "log": "log"})),
    )
    assert [(s.number, s.identifier) for s in made.steps] == [(1, "A"), (2, "C")]
    assert made.steps[1].waits_for == {1}
    assert made.is_asked(made.steps[1], made.steps[1].outputs[0])
    assert not made.is_asked(made.steps[1], made.steps[1].outputs[1])
    assert not made.stops


def test_an_empty_file_leads_nowhere(repo: Repository) -> None:
    made = planned(
        repo,
        Asked("c", "C"),
        chosen("A", make.fields("a", {}, {"empty.log": ""})),
        chosen("C", make.fields("c", {"pkg/__init__.py": ""}, {"c": "c"})),
    )
    assert [s.identifier for s in made.steps] == ["C"]
    assert [stop.file and stop.file.path for stop in made.stops] == ["pkg/__init__.py"]


def test_sources_of_inputs(repo: Repository, tree: Path) -> None:
    (tree / "here").write_text("here")
    (tree / "changed").write_text("is now other")
    elsewhere = tree.parent / "elsewhere"
    elsewhere.write_text("given")
    outside = tree.parent / "outside"
    outside.write_text("outside")
    inputs = {
        "README": "a project\n",
        "here": "here",
        "changed": "was other",
        "given": "given",
        str(outside): "outside",
        "/nowhere/at/all": "gone",
        "unknown": None,
        "made": "made",
    }
    head = (tree / ".git/refs/heads/main").read_text().strip()
    made = planned(
        repo,
        Asked("c", "C"),
        chosen("A", make.fields("a", {}, {"made": "made"})),
        chosen("C", make.fields("c", inputs, {"c": "c"}, code={"commit": head})),
        given={make.digest("given")[:8]: str(elsewhere)},
    )
    kinds = {need.file.path: need.source.kind for need in made.steps[1].needs}
    assert kinds == {
        "README": "commit",
        "here": "work tree",
        "changed": "missing",
        "given": "given",
        str(outside): "in place",
        "/nowhere/at/all": "missing",
        "unknown": "unknown",
        "made": "step",
    }
    reasons = {stop.file.path: stop.reason for stop in made.stops if stop.file}
    assert reasons == {"changed": "it has other content here", "/nowhere/at/all": "it is not here"}
    assert all(stop.last_seen == "somewhere" for stop in made.stops)


def test_a_given_file_is_hashed(repo: Repository, tree: Path) -> None:
    (tree.parent / "wrong").write_text("wrong")
    made = planned(
        repo,
        Asked("c", "C"),
        chosen("C", make.fields("c", {"in": "right"}, {"c": "c"})),
        given={make.digest("right"): str(tree.parent / "wrong")},
    )
    assert "has other content" in made.stops[0].reason


def test_a_given_file_that_is_not_there(repo: Repository) -> None:
    step = chosen("C", make.fields("c", {"in": "right"}, {"c": "c"}))
    made = planned(repo, Asked("c", "C"), step, given={make.digest("right"): "/nonexistent"})
    assert made.stops[0].reason == "/nonexistent is not there"


def test_a_version_that_is_written_over_is_set_aside(repo: Repository) -> None:
    made = planned(
        repo,
        Asked("d", "D"),
        chosen("A", make.fields("a", {}, {"x": "first"})),
        chosen("B", make.fields("b", {"x": "first"}, {"x": "second"})),
        chosen("C", make.fields("c", {"x": "first"}, {"c": "c"})),
        chosen("D", make.fields("d", {"x": "second", "c": "c", "renamed": "first"}, {"d": "d"})),
    )
    a, b, c, d = made.steps
    assert a.set_aside == ["x"] and b.set_aside == ["x"]
    assert b.moves == []
    assert [(m.step, m.place, m.path) for m in c.moves] == [(1, "x", "x")]
    assert [(m.step, m.place, m.path) for m in d.moves] == [(1, "x", "renamed"), (2, "x", "x")]


def test_overlay_of_what_a_step_makes_is_not_laid(repo: Repository, tree: Path, git: Any) -> None:
    (tree / "blob").write_text("params")
    blob = git(tree, "hash-object", "-w", "blob")
    overlay = [
        {"path": "params.json", "state": "untracked", "hash": make.digest("params"), "size": 6},
        {"path": "code.py", "state": "untracked", "hash": make.digest("params"), "size": 6},
        {"path": "gone.py", "state": "deleted"},
    ]
    made = planned(
        repo,
        Asked("c", "C"),
        chosen("A", make.fields("a", {}, {"params.json": "params"})),
        chosen(
            "C",
            make.fields("c", {"params.json": "params", "code.py": "params"}, {"c": "c"}, code={"overlay": overlay}),
            {"params.json": blob, "code.py": blob},
        ),
    )
    assert [entry.path for entry, _ in made.steps[1].lay] == ["code.py", "gone.py"]
    assert {n.file.path: n.source.kind for n in made.steps[1].needs} == {"params.json": "step", "code.py": "overlay"}
    assert not made.stops


def test_outputs_outside_count_when_they_are_read_or_asked_for(repo: Repository) -> None:
    made = planned(
        repo,
        Asked("c", "C", make.digest("c")),
        chosen("A", make.fields("a", {}, {"/nowhere/read": "read", "/nowhere/left": "left", "in": "in"})),
        chosen("C", make.fields("c", {"/nowhere/read": "read"}, {"/nowhere/c": "c"})),
    )
    assert [f.path for f in made.steps[0].outputs] == ["/nowhere/read", "in"]
    assert [f.path for f in made.steps[0].elsewhere] == ["/nowhere/left"]
    assert [f.path for f in made.steps[1].outputs] == ["/nowhere/c"]


def test_code_that_is_not_here(repo: Repository) -> None:
    overlay = [{"path": "code.py", "state": "modified", "hash": make.digest("code"), "size": 4}]
    code = {"commit": "ab" * 20, "overlay": overlay}
    made = planned(repo, Asked("c", "C"), chosen("C", make.fields("c", {"unread": None}, code=code)))
    assert [(s.reason, s.hint) for s in made.stops] == [
        (
            "its commit abababababab is not in this repository",
            f"git fetch URL {'ab' * 20}, with the repository on workstation; or there: roar register --all --with-code",
        ),
        ("the kept copy of code.py is missing", "git fsck"),
    ]


def test_a_commit_that_is_not_here_is_remarked_when_nothing_of_it_is_needed(
    repo: Repository, tree: Path, git: Any
) -> None:
    (tree / "in").write_text("in")
    code = {"commit": "ab" * 20}
    made = planned(repo, Asked("c", "C"), chosen("C", make.fields("c", {"in": "in"}, {"c": "c"}, code=code)))
    assert made.stops == [] and made.steps[0].without_commit
    assert made.steps[0].remarks == [
        "its commit abababababab is not in this repository; all that it read is had from elsewhere"
    ]
    git(tree, "remote", "add", "origin", "/nonexistent")
    made = planned(repo, Asked("c", "C"), chosen("C", make.fields("c", {"gone": "gone"}, {"c": "c"}, code=code)))
    first, second = made.stops
    assert first.hint == f"git fetch origin {'ab' * 20}; if it is not there, push it from workstation"
    assert second.file and second.file.path == "gone"


# Records that come from anybody


@pytest.mark.parametrize(
    "more",
    [
        {"cwd": ".."},
        {"cwd": "a/../../b"},
        {"cwd": "/etc"},
        {"cwd": ".git"},
        {"argv": []},
        {"argv": ["sh", "//bytes/%zz"]},
        {"argv": ["sh", "a\0b"]},
        {"argv": ["login", "--token=[redacted:secret]"]},
        {"inputs": {"../x": "x"}},
        {"inputs": {"//bytes//../%FF": "x"}},
        {"inputs": {".git/config": "x"}},
        {"outputs": {"a/../../x": "x"}},
        {"outputs": {".GIT/hooks/post-checkout": "x"}},
        {"outputs": {"": "x"}},
        {"code": {"overlay": [{"path": "../../x", "state": "untracked", "hash": "0" * 64}]}},
        {"code": {"overlay": [{"path": "/etc/passwd", "state": "deleted"}]}},
        {"code": {"overlay": [{"path": ".git/hooks/pre-commit", "state": "untracked", "hash": "0" * 64}]}},
    ],
    ids=str,
)
def test_a_record_that_would_leave_the_work_area_is_refused(repo: Repository, more: dict[str, Any]) -> None:
    values = make.fields(
        more.get("argv", ["true"]),
        more.get("inputs"),
        more.get("outputs"),
        cwd=more.get("cwd", ""),
        **({"code": more["code"]} if "code" in more else {}),
    )
    made = planned(repo, Asked("c", "C"), chosen("C", values))
    assert made.stops


# Words and variables


def python(**more: Any) -> Python:
    values = {"version": "3.11.7", "implementation": "CPython", "executable": ".venv/bin/python", "prefix": ".venv"}
    return Python.model_validate(values | more)


def here(python: Python, tmp_path: Path) -> translate.Tools:
    (tmp_path / "bin").mkdir()
    return translate.Tools(python, str(tmp_path / "bin/python"), str(tmp_path / "bin"), str(tmp_path))


@pytest.mark.parametrize(
    ("word", "cwd", "expected"),
    [
        ("python", "", "python"),
        (".venv/bin/python", "", "HERE/bin/python"),
        ("../.venv/bin/python", "src", "HERE/bin/python"),
        ("/home/p/.venv/bin/python", "src", "HERE/bin/python"),
        (".venv/bin/python3.11", "", "HERE/bin/python"),
        (".venv/bin/black", "", "HERE/bin/black"),
        (".venv/bin/python", "src", ".venv/bin/python"),
        ("/home/p/data/x.csv", "", "AREA/data/x.csv"),
        ("--out=/home/p/out", "", "--out=AREA/out"),
        ("/home/p", "", "AREA"),
        ("/home/project2/x", "", "/home/project2/x"),
        ("/home/p-2/x", "", "/home/p-2/x"),
        ("/old/home/p/x", "", "/old/home/p/x"),
        ("cat /home/p/a '/home/p/b c' >/home/p/d", "", "cat AREA/a 'AREA/b c' >AREA/d"),
        ("//bytes/caf%E9", "", "caf\udce9"),
    ],
)
def test_words_of_the_recording_machine(tmp_path: Path, word: str, cwd: str, expected: str) -> None:
    command = Command(argv=[word], cwd=cwd, root="/home/p")
    (found,) = translate.words(command, "/area", [here(python(), tmp_path)])
    assert found == expected.replace("HERE", str(tmp_path)).replace("AREA", "/area")


def test_an_interpreter_outside_of_the_repository(tmp_path: Path) -> None:
    tool = here(python(executable="/opt/env/bin/python3", prefix="/opt/env"), tmp_path)
    command = Command(argv=["/opt/env/bin/python3", "/opt/env/bin/tool", "/opt/env/bin2/tool"])
    expected = [str(tmp_path / "bin/python"), str(tmp_path / "bin/tool"), "/opt/env/bin2/tool"]
    assert translate.words(command, "/area", [tool]) == expected


def test_only_harmless_variables_are_believed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", "/mine")
    monkeypatch.setenv("OMP_NUM_THREADS", "7")
    monkeypatch.setenv("GIT_DIR", "/mine/.git")
    hostile = {
        "LD_PRELOAD": "x.so",
        "GIT_SSH_COMMAND": "x",
        "PATH": "/x",
        "PYTHONPATH": "/x:../y",
        "PYTHONSTARTUP": "x.py",
        "BASH_ENV": "x",
        "TZ": "/etc/passwd",
        "LC_ALL": "../../x",
        "MPLBACKEND": "module://x",
    }
    harmless = {"PYTHONHASHSEED": "0", "LANG": "de_DE.UTF-8", "CUBLAS_WORKSPACE_CONFIG": ":4096:8"}
    values = make.fields("true")
    values["environment"] = values["environment"] | {"variables": hostile | harmless}
    job: Job = make.draft(values, 1, "w")
    found = translate.variables(job, "/area", [here(python(), tmp_path)])
    assert {name: found.get(name) for name in harmless} == harmless
    assert not {name for name, value in hostile.items() if found.get(name) == value}
    assert "OMP_NUM_THREADS" not in found, "it was not set when the job ran"
    assert "PYTHONPATH" not in found and "GIT_DIR" not in found
    assert found["PATH"].startswith(str(tmp_path / "bin") + os.pathsep)
    assert found["VIRTUAL_ENV"] == str(tmp_path)


def test_recorded_module_folders_are_those_of_the_work_area(tmp_path: Path) -> None:
    recorded = {"PYTHONPATH": "src:.:/home/p/lib:/home/p:/elsewhere:../..:", "CFLAGS": "-O3", "VIRTUAL_ENV": "/x"}
    values = make.fields("true", cwd="sub", command={"root": "/home/p"})
    values["environment"] = values["environment"] | {"variables": recorded}
    job: Job = make.draft(values, 1, "w")
    found = translate.variables(job, "/area", [here(python(), tmp_path)])
    assert found["PYTHONPATH"] == "/area/sub/src:/area/sub:/area/lib:/area"
    assert [item.partition("=")[0] for item in translate.not_believed(job, found)] == ["CFLAGS", "PYTHONPATH"]


# Environments


def test_requirements() -> None:
    assert recipes.requirement(Package(name="numpy", version="1.26.4")) == "numpy==1.26.4"
    assert recipes.requirement(Package(name="torch", version="2.1.0+cu118")) == "torch==2.1.0+cu118"
    url = "git+https://example.org/a/b@0123456789abcdef"
    assert recipes.requirement(Package(name="b", version="1", source=url)) == f"b @ {url}"


@pytest.mark.parametrize(
    ("name", "version", "source"),
    [
        ("-r/etc/passwd", "1", None),
        ("a b", "1", None),
        ("a\n--index-url=https://x", "1", None),
        ("a", "1 ; x", None),
        ("a", "1\n--pre", None),
        ("a", "1", "file:///etc"),
        ("a", "1", "git+ssh://x/y"),
        ("a", "1", "git+https://x/y@--upload-pack=z"),
        ("a", "1", "https://x/${HOME}"),
        ("a", "1", "https://x/y --pre"),
    ],
)
def test_no_installer_sees_what_a_record_made_up(name: str, version: str, source: str | None) -> None:
    with pytest.raises(RoarError):
        recipes.requirement(Package(name=name, version=version, source=source))


def test_recipe_leaves_installers_and_the_systems_packages_out() -> None:
    interpreter = interpreters.Interpreter("/usr/bin/python3", "CPython", "3.11.7")
    read = [
        Package(name="b", version="2"),
        Package(name="a", version="1"),
        Package(name="own", version="0", source="editable"),
    ]
    installed = [Package(name="pip", version="24"), Package(name="c", version="3")]
    recipe = recipes.recipe(python(read=read, installed=installed), interpreter, {})
    assert recipe[1:4] == (("a==1", "b==2"), ("c==3",), ("own",))
    assert recipes.recipe(python(read=read, installed=installed, prefix=None), interpreter, {}).others == ()
    unread = recipes.recipe(python(installed=installed), interpreter, {})
    assert unread[1:4] == ((), (), ()), "who read none needs none"


def test_equal_environments_are_built_once(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    interpreter = interpreters.Interpreter("/usr/bin/python3", "CPython", "3.11.7")
    one = recipes.Recipe(interpreter, ("a==1", "b==2"), ("c==3",))
    two = recipes.Recipe(interpreter, ("c==3",), ("a==1", "b==2"))
    assert one.key == two.key != recipes.Recipe(interpreter, ("a==1",), ("c==3",)).key
    left_out = {one: ["c==3"], two: []}
    made: list[recipes.Recipe] = []

    def fill(recipe: recipes.Recipe, tops: list[str], place: str, *_: object) -> tuple[list[str], list[str]]:
        del tops
        os.mkdir(place)
        made.append(recipe)
        return ["left out"] if left_out[recipe] else [], left_out[recipe]

    monkeypatch.setattr(rebuild_env, "fill", fill)
    built = [rebuild_env.build(recipe, [], str(tmp_path), lambda line: None) for recipe in (one, two, one, two)]
    assert made == [one, two], "what the second one read was left out of the first"
    assert built[0] == built[2] != built[1] == built[3] and built[1].left_out == []
    left_out[one] = []
    third, fourth = (r._replace(projects=("own",)) for r in (one, two))
    left_out |= {third: [], fourth: []}
    same = [rebuild_env.build(recipe, [], str(tmp_path), lambda line: None) for recipe in (third, fourth)]
    assert same[0] == same[1] and made == [one, two, third]


def test_the_interpreter_is_found_or_missed_in_one_sentence() -> None:
    exact = ".".join(map(str, sys.version_info[:3]))
    implementation = sys.implementation.name
    here = interpreters.nearest(python(version=exact, implementation=implementation))
    assert here is not None and here.version == exact
    near = interpreters.nearest(python(version=f"3.{sys.version_info[1]}.99", implementation=implementation))
    assert near is not None and near.version.startswith(f"3.{sys.version_info[1]}.")
    for version in ("2.99.1", "3/../../x", "; rm"):
        assert interpreters.nearest(python(version=version)) is None
        assert not interpreters.can_be_obtained(interpreters.Interpreter("", "CPython", version))
        assert "is on this machine" in str(interpreters.not_here(python(version=version)))


def test_hashes_of_lock_files() -> None:
    a, b, c = ("1" * 64, "2" * 64, "3" * 64)
    files = {
        "uv.lock": f"""version = 1
[[package]]
name = "Some-Tool"
version = "1.5"
source = {{ registry = "https://pypi.org/simple" }}
dependencies = [
    {{ name = "other" }},
]
sdist = {{ url = "https://x/some_tool-1.5.tar.gz", hash = "sha256:{a}", size = 3 }}
wheels = [
    {{ url = "https://x/some_tool-1.5-py3-none-any.whl", hash = "sha256:{b}", size = 3 }},
]

[[package]]
name = "own"
version = "0.1"
source = {{ editable = "." }}
""",
        "pylock.toml": f"""[[packages]]
name = "newer"
version = "2"
[[packages.wheels]]
name = "newer-2-py3-none-any.whl"
hashes = {{sha256 = "{c}"}}
[packages.archive.hashes]
sha256 = "{a}"
""",
        "requirements.txt": f"# pinned\nPinned.Tool[x]==3.0 ; python_version > '3' \\\n    --hash=sha256:{a} \\\n"
        f"    --hash=sha256:{b}\nloose>=1\nbare==1\n",
    }
    assert locked(lambda name: files[name].encode() if name in files else None) == {
        ("some-tool", "1.5"): (a, b),
        ("newer", "2"): (a, c),
        ("pinned-tool", "3.0"): (a, b),
    }


def test_archives_are_installed_by_their_hash() -> None:
    interpreter = interpreters.Interpreter("/usr/bin/python3", "CPython", "3.11.7")
    a, b = "1" * 64, "2" * 64
    read = [
        Package(name="Lock.Ed", version="1"),
        Package(name="wheel-file", version="2", source=f"file:///gone/wheel_file-2-py3-none-any.whl#sha256={b}"),
        Package(name="vcs", version="3", source=f"git+file:///srv/vcs.git@{'c' * 40}#subdirectory=py"),
    ]
    made = recipes.recipe(python(read=read), interpreter, {("lock-ed", "1"): (a,)})
    vcs = f"git+file:///srv/vcs.git@{'c' * 40}#subdirectory=py"
    assert made.required == ("Lock.Ed==1", vcs, "wheel-file==2")
    assert made.hashes == (("Lock.Ed==1", (a,)), ("wheel-file==2", (b,)))
    assert made.key != made._replace(hashes=()).key


def test_a_conda_environment_is_explicit() -> None:
    interpreter = interpreters.Interpreter("", "CPython", "3.11.7")
    url = "https://conda.anaconda.org/conda-forge/linux-64/python-3.11.7-hab00c5b_1_cpython.conda"
    conda = [CondaPackage(name="python", version="3.11.7", url=url, md5="0" * 32)]
    read = [Package(name="numpy", version="2", source="conda"), Package(name="own", version="1")]
    made = recipes.recipe(python(read=read, conda=conda), interpreter, {})
    assert (made.conda, made.required) == ((f"{url}#{'0' * 32}",), ("own==1",))
    for wrong in (None, "--offline", "https://x/a.conda\n--x", "ext::x.conda", "https://x/a.exe"):
        with pytest.raises(RoarError, match="has no address"):
            recipes.explicit([CondaPackage(name="a", version="1", url=wrong)])


# The folder that nothing leaves


def test_nothing_is_written_through_a_link(tmp_path: Path) -> None:
    top, victim = tmp_path / "top", tmp_path / "victim"
    top.mkdir()
    victim.mkdir()
    (victim / "file").write_text("precious")
    (top / "folder").symlink_to(victim)
    (top / "file").symlink_to(victim / "file")
    files = Confined(str(top))
    for call in (
        lambda: files.write("folder/file", b"x", 0o644),
        lambda: files.write("folder/deep/file", b"x", 0o644),
        lambda: files.remove("folder/file"),
        lambda: files.folder("folder"),
        lambda: files.folder("folder/sub"),
        lambda: files.copy("folder/file", str(victim / "file"), 0o644),
        lambda: files.link("folder/link", b"/"),
        lambda: files.write("../victim/file", b"x", 0o644),
        lambda: files.write("a/.git/config", b"x", 0o644),
    ):
        with pytest.raises(RoarError):
            call()
    files.write("file", b"new", 0o4755)
    assert (victim / "file").read_text() == "precious"
    assert sorted(os.listdir(victim)) == ["file"]
    assert not (top / "file").is_symlink() and (top / "file").stat().st_mode & 0o7777 == 0o755
    assert files.digest("folder/file") is None
    assert files.digest("file") == make.digest("new")
    assert [name for name in os.listdir(top) if name.startswith(".roar")] == []


def test_a_copy_is_verified(tmp_path: Path) -> None:
    (tmp_path / "source").write_text("other")
    (tmp_path / "top").mkdir()
    files = Confined(str(tmp_path / "top"))
    with pytest.raises(RoarError, match="has changed"):
        files.copy("a/b", str(tmp_path / "source"), 0o644, make.digest("expected"))
    assert os.listdir(tmp_path / "top/a") == []
