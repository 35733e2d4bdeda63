"""What ``roar reproduce`` costs beside the bare pipeline, and planning over a long lineage.

    python scripts/bench/reproduce.py [--rounds 3] [--folder FOLDER]

The pipeline takes some 20 seconds of CPU in three steps of plain Python, and is made again in the environment that is
here: building one is not measured. Planning is that of the last of 1,000 jobs with a warm index.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from measure import Meter, Variant, cpu, interleave, median, ratio, wall

ROOT = Path(__file__).resolve().parent.parent.parent
STEP = """\
import hashlib, sys
source, target, turns = sys.argv[1], sys.argv[2], int(sys.argv[3])
digest = open(source, "rb").read()
for _ in range(turns):
    digest = hashlib.sha256(digest).digest()
open(target, "wb").write(digest)
"""
STEPS = (("seed", "one"), ("one", "two"), ("two", "three"))
TURNS = 25_000_000
"""Eight seconds on the machine of ``docs/benchmarks.md``."""


def pipeline(top: str, turns: int) -> None:
    """A repository with the recorded pipeline."""
    os.makedirs(top)
    Path(top, "step.py").write_text(STEP)
    Path(top, "seed").write_text("seed")
    for words in (["init", "-q"], ["add", "."], ["commit", "-qm", "work"]):
        subprocess.run(["git", *words], cwd=top, check=True)
    for source, target in STEPS:
        words = [sys.executable, "-m", "roar", "run", "-q", sys.executable, "step.py", source, target, str(turns)]
        subprocess.run(words, cwd=top, check=True)


def again(rounds: int, folder: str) -> None:
    """The bare pipeline and its reproduction, interleaved."""
    top = os.path.join(folder, "project")
    pipeline(top, TURNS)
    line = " && ".join(f"{sys.executable} step.py {source} {target} {TURNS}" for source, target in STEPS)
    reproduce = [sys.executable, "-m", "roar", "reproduce", "-y", "--force", "--env", "current", "three"]
    variants = {"bare": Variant(["sh", "-c", line], top), "reproduce": Variant(reproduce, top)}
    with Meter() as meter:
        samples = interleave(meter, variants, rounds)
    bare, made = samples["bare"], samples["reproduce"]
    print(f"| bare | {median([s.cpu for s in bare]):.2f} s | {median([s.wall for s in bare]):.2f} s | |")
    print(f"| reproduce | {median([s.cpu for s in made]):.2f} s | {median([s.wall for s in made]):.2f} s | ", end="")
    print(f"{ratio(made, bare, cpu):.3f} CPU, {ratio(made, bare, wall):.3f} wall |")


def planning(rounds: int, folder: str) -> None:
    """Planning over a lineage of about 1,000 jobs, in a process that has imported what it needs."""
    sys.path.insert(0, str(ROOT / "tests"))
    import make  # type: ignore[import-not-found]

    from roar.cache.index import open_index
    from roar.git.repository import discover
    from roar.verbs.inputs import Places
    from roar.verbs.prepare import Wish, prepare

    top = os.path.join(folder, "long")
    subprocess.run(["git", "init", "-q", top], check=True)
    subprocess.run(["git", "-C", top, "commit", "-q", "--allow-empty", "-m", "work"], check=True)
    repo = discover(top)
    last = make.bulk(repo, make.pipelines(1000))[-1]
    open_index(repo).close()
    taken = []
    for _ in range(rounds + 1):
        began = time.process_time()
        made = prepare(repo, Wish(last, top, Places(), "current"), print)
        taken.append(time.process_time() - began)
    print(f"| a plan of {len(made.steps)} steps | {median(taken[1:]):.2f} s | | |")


def main() -> None:
    """Print rows of a table: what, CPU, wall, ratio."""
    words = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    words.add_argument("--rounds", type=int, default=3)
    words.add_argument("--folder", help="where the repositories are made; default: a temporary folder")
    asked = words.parse_args()
    os.environ["PYTHONPATH"] = str(ROOT)
    with tempfile.TemporaryDirectory(dir=asked.folder) as folder:
        os.environ["XDG_CACHE_HOME"] = os.path.join(folder, "cache")
        planning(asked.rounds, folder)
        again(asked.rounds, folder)


if __name__ == "__main__":
    main()
