"""The script of a reproduction, really run, without roar; and the packages that it needs."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from conftest import Git, NewVenv, Roar, needs_tracer
from test_reproduce import commit, reproductions, shared


def run(script: Path, *words: str) -> subprocess.CompletedProcess[str]:
    own = os.path.dirname(sys.executable)  # a python3 that has blake3, for where there is no b3sum
    env = {**os.environ, "PATH": f"{own}:{os.environ['PATH']}"}
    return subprocess.run(["sh", str(script), *words], cwd=script.parent, capture_output=True, text=True, env=env)


@needs_tracer
def test_the_script_makes_it_again_without_roar(tree: Path, roar: Roar, git: Git) -> None:
    (tree / "step.sh").write_text("cat data.csv 'odd $name.sh' > out/one\n")
    (tree / ".gitignore").write_text("data.csv\nout/\n")
    commit(tree, git)
    (tree / "out").mkdir()
    (tree / "data.csv").write_text("1\n")
    (tree / "odd $name.sh").write_text("untracked; `touch ran`\n")
    (tree / "step.sh").write_text("cat data.csv 'odd $name.sh' > out/one; echo changed >> out/one\n")
    roar("run", "-q", "sh", "step.sh")
    (tree / "step.sh").write_text("cp one two\n")
    (tree / "odd $name.sh").unlink()
    commit(tree, git, "another step")
    roar("run", "-q", "sh", "../step.sh", cwd=tree / "out")
    roar("run", "-q", "sh", "-c", f'cat {tree}/out/two > all; echo "$OMP_NUM_THREADS" >> all', OMP_NUM_THREADS="3")
    script = tree.parent / "again.sh"
    roar("reproduce", "all", "--script", str(script))
    assert reproductions(tree) == []
    before = git(tree, "status", "--porcelain")
    done = run(script)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == ["identical  out/one", "identical  out/two", "identical  all"]
    assert (tree.parent / "reproduction/project/all").read_text().endswith("changed\n3\n")
    assert git(tree, "status", "--porcelain") == before and not list(tree.parent.glob("**/ran"))
    # an input that has changed since stops it; another result is said
    (tree / "data.csv").write_text("2\n")
    assert "data.csv is not what was recorded" in run(script, str(tree), "second").stderr
    (tree / "data.csv").write_text("1\n")
    script.write_text(script.read_text().replace("OMP_NUM_THREADS=3", "OMP_NUM_THREADS=4"))
    done = run(script, str(tree), "third")
    assert done.returncode == 3 and done.stdout.splitlines()[-1] == "differs    all"


@needs_tracer
def test_the_packages_are_exported_and_installed_by_the_script(
    tree: Path,
    roar: Roar,
    git: Git,
    package: Path,
    new_venv: NewVenv,
) -> None:
    own = new_venv(tree)
    subprocess.run([own, "-m", "pip", "install", "-q", "shout-tiny==1.0"], check=True)
    (tree / ".gitignore").write_text(".venv/\n")
    (tree / "say.py").write_text("import shout\nopen('said', 'w').write(shout.shout('hello'))\n")
    commit(tree, git)
    roar("run", "-q", ".venv/bin/python", "say.py", PYTHONPATH="")
    clone = shared(tree, git)
    script, pins = tree.parent / "again.sh", tree.parent / "requirements.txt"
    Roar(clone)("reproduce", "said", "--script", str(script), "--export-requirements", str(pins))
    assert pins.read_text() == f"# Python {sys.version.split()[0]}\nshout-tiny==1.0\n"
    done = run(script, str(clone))
    assert (done.returncode, done.stdout) == (0, "identical  said\n"), done.stderr
    said = Roar(clone)("reproduce", "said", "--env", "current", "--export-requirements", str(pins), code=2).stderr
    assert b"leave --env current out" in said
