"""Real pipelines, each recorded in one folder and made again in a clone elsewhere; the first folder is moved away."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import ROOT, Git, NewVenv, Roar, needs_tracer
from test_reproduce import ME, commit, reproductions, shared, state, verdicts

pytestmark = needs_tracer


def test_scikit_learn_from_a_dirty_tree_with_an_untracked_configuration(tree: Path, roar: Roar, git: Git) -> None:
    pytest.importorskip("sklearn")
    shutil.copytree(ROOT / "scripts/example", tree, dirs_exist_ok=True)
    parameters = json.loads((tree / "params.json").read_text())
    (tree / "params.json").unlink()
    commit(tree, git)
    (tree / "params.json").write_text(json.dumps({**parameters, "C": 0.5}))
    train = tree / "train.py"
    train.write_text(train.read_text().replace("max_iter=1000", "max_iter=900"))
    for script in ("prepare.py", "train.py", "evaluate.py"):
        roar("run", "-q", sys.executable, script, PYTHONPATH="")
    clone = shared(tree, git)
    before = state(clone, git)
    done = Roar(clone)("reproduce", "-y", "--env", "current", "--json", "metrics.json")
    found = verdicts(done)
    assert set(found) == {"data/train.csv", "data/test.csv", "models/digits.pkl", "metrics.json"}
    assert set(found.values()) == {"identical"}
    assert json.loads(done.stdout)["steps"][1]["overlay"] == ["params.json", "train.py"]
    assert state(clone, git) == before and not (clone / "params.json").exists()


def test_two_commits_with_a_change_between_the_steps(tree: Path, roar: Roar, git: Git) -> None:
    (tree / ".gitignore").write_text("one\ntwo\n__pycache__/\n")
    (tree / "lib.py").write_text("FACTOR = 2\n")
    (tree / "first.py").write_text("import lib\nopen('one', 'w').write(str(lib.FACTOR * 10))\n")
    (tree / "second.py").write_text("import lib\nopen('two', 'w').write(open('one').read() + str(lib.FACTOR))\n")
    commit(tree, git)
    roar("run", "-q", ME, "first.py")
    (tree / "lib.py").write_text("FACTOR = 3\n")
    commit(tree, git)
    roar("run", "-q", ME, "second.py")
    assert (tree / "two").read_text() == "203"
    clone = shared(tree, git)
    assert verdicts(Roar(clone)("reproduce", "-y", "--json", "two")) == {"one": "identical", "two": "identical"}


@pytest.mark.skipif(not shutil.which("cc"), reason="needs a C compiler")
def test_a_compiled_step_is_built_first(tree: Path, roar: Roar, git: Git) -> None:
    (tree / "square.c").write_text(
        '#include <stdio.h>\nint main(void) { int n; while (scanf("%d", &n) == 1) printf("%d\\n", n * n); return 0; }\n'
    )
    (tree / "numbers.sh").write_text("seq 5 > numbers\n")
    (tree / ".gitignore").write_text("square\nnumbers\nsquares\nmask\n")
    commit(tree, git)
    roar("run", "-q", "sh", "numbers.sh")
    roar("build", "-q", "cc", "-O2", "-o", "square", "square.c")
    (tree / "make.sh").write_text("umask > mask; ./square < numbers > squares\n")
    commit(tree, git)
    subprocess.run(["sh", "-c", f"umask 027; exec {sys.executable} -m roar run -q sh make.sh"], cwd=tree, check=True)
    assert (tree / "mask").read_text() == "0027\n"
    clone = shared(tree, git)
    done = Roar(clone)("reproduce", "-y", "--json", "squares")
    assert [step["command"][0] for step in json.loads(done.stdout)["steps"]] == ["cc", "sh", "sh"]
    assert verdicts(done)["squares"] == verdicts(done)["mask"] == "identical"


def test_data_only_in_the_store(tree: Path, roar: Roar, git: Git) -> None:
    store = tree.parent / "shelf"
    git(tree, "config", "roar.store.url", str(store))
    (tree / ".gitignore").write_text("data/\n")
    (tree / "data").mkdir()
    (tree / "data/raw.csv").write_text("3\n1\n2\n")
    commit(tree, git)
    roar("run", "-q", "sh", "-c", "sort data/raw.csv > sorted")
    roar("put", "-q")
    clone = shared(tree, git)
    assert b"data/raw.csv is missing" in Roar(clone)("reproduce", "-y", "sorted", code=1).stderr
    git(clone, "config", "roar.store.url", str(store))
    assert verdicts(Roar(clone)("reproduce", "-y", "--json", "sorted")) == {"sorted": "identical"}
    assert not (clone / "data").exists()


def test_a_step_that_is_random_on_purpose(tree: Path, roar: Roar, git: Git) -> None:
    (tree / "draw.py").write_text("import random\nopen('drawn', 'w').write(str(random.random()))\n")
    commit(tree, git)
    roar("run", "-q", ME, "draw.py")
    clone = shared(tree, git)
    done = Roar(clone)("reproduce", "-y", "--times", "2", "drawn", code=3)
    assert done.stdout.startswith(b"differs    drawn")
    assert b"@1 is not deterministic: from the same inputs it makes something else each time" in done.stderr
    assert len(reproductions(clone)) == 2


def test_another_version_of_a_package(tree: Path, roar: Roar, git: Git, package: Path, new_venv: NewVenv) -> None:
    own = new_venv(tree)
    subprocess.run([own, "-m", "pip", "install", "-q", "shout-tiny==1.0"], check=True)
    (tree / ".gitignore").write_text(".venv/\n")
    (tree / "say.py").write_text("import shout\nopen('said', 'w').write(shout.shout('hello'))\n")
    commit(tree, git)
    roar("run", "-q", ".venv/bin/python", "say.py", PYTHONPATH="")
    clone = shared(tree, git)
    newer = new_venv(clone)
    subprocess.run([newer, "-m", "pip", "install", "-q", "shout-tiny==2.0"], check=True)
    done = Roar(clone)("reproduce", "-y", "--env", "current", "said", code=3, PYTHONPATH=str(ROOT))
    assert done.stdout.startswith(b"differs    said")
    assert b"  1. package: shout-tiny 2.0, recorded 1.0" in done.stderr
    assert verdicts(Roar(clone)("reproduce", "-y", "--json", "said")) == {"said": "identical"}
    original = str(reproductions(clone)[0].reproduces)
    assert "reproduced 2 times on 1 machine, 1 differed" in Roar(clone)("show", original).stdout.decode()


def test_an_input_that_is_gone(tree: Path, roar: Roar, git: Git) -> None:
    (tree / ".gitignore").write_text("raw\n")
    (tree / "raw").write_text("measured once\n")
    commit(tree, git)
    roar("run", "-q", "sh", "-c", "wc -c < raw > size")
    clone = shared(tree, git)
    done = Roar(clone)("reproduce", "-y", "size", code=1)
    assert b"missing  raw  " in done.stderr and f"last with {os.uname().nodename}".encode() in done.stderr
    assert b"no recorded job made it" in done.stderr and done.stdout == b"" and reproductions(clone) == []
