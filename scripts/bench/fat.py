"""What a job of very many inputs takes: memory and CPU of its recorder, its index and the questions about it.

    python scripts/bench/fat.py [--files 1000000] [--folder FOLDER]

The inputs have 19 bytes; 3 of 10 lie in one folder, the others in folders of 1,000. The command is traced once; its
report is kept, and recorded in a process of its own. Then the index is made anew, and questions are asked of it. Memory
is the most that any one process of a command had (``ru_maxrss``), those of git included; CPU is that of all of them.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from inputs import new_repository, write

ROOT = Path(__file__).resolve().parent.parent.parent
COMMAND = "find data flat -name '*.dat' -print0 | xargs -0 cat > /dev/null"
QUESTIONS = ("log", "show @1", "status", "lineage @1", "inputs @1")


def make(folder: str, count: int) -> None:
    """The repository with its inputs."""
    new_repository(folder)
    write(f"{folder}/.git/info/exclude", "data/\nflat/\n")
    flat = count * 3 // 10
    for number in range(count):
        inside = "flat" if number < flat else f"data/{(number - flat) // 1000:04}"
        if number in (0, flat) or (number - flat) % 1000 == 0:
            os.makedirs(f"{folder}/{inside}", exist_ok=True)
        with open(f"{folder}/{inside}/{number:07}.dat", "w", encoding="utf-8") as file:
            file.write(f"{number:018}\n")


def trace(folder: str, report: str) -> None:
    """Run the command under the tracer, with the report in a file."""
    with open(report, "wb") as file:
        out, done = os.pipe()
        words = [str(ROOT / "roar/bin/roar-tracer"), "--report-fd", str(file.fileno()), "--done-fd", str(done)]
        measure("the traced command", [*words, "--", "sh", "-c", COMMAND], folder, (file.fileno(), done))
        os.close(out)
        os.close(done)


def record_report(report: str) -> None:
    """In a process of its own: record the report."""
    sys.path.insert(0, str(ROOT))
    from roar.git import refs
    from roar.git.repository import discover
    from roar.trace import report as reports
    from roar.verbs.record import Run, record

    repo = discover()
    branch, commit = refs.head(repo)
    run = Run(repo, ["sh", "-c", COMMAND], os.getcwd(), branch, commit, dict(os.environ), began_ns=time.time_ns())
    with open(report, "rb") as file:
        record(run, reports.read(file))


def measure(name: str, words: list[str], folder: str, fds: tuple[int, ...] = ()) -> None:
    """Run a command, and print what it took as a row of a table."""
    environ = {**os.environ, "PYTHONPATH": str(ROOT)}
    with open(os.devnull, "wb") as nothing:
        child = subprocess.Popen(words, cwd=folder, env=environ, stdout=nothing, pass_fds=fds)
        _, status, used = os.wait4(child.pid, 0)
    child.returncode = os.waitstatus_to_exitcode(status)
    failed = f" (exit code {child.returncode})" * (child.returncode != 0)
    print(f"| {name}{failed} | {used.ru_maxrss / 1024:.0f} MiB | {used.ru_utime + used.ru_stime:.1f} s |", flush=True)


def main() -> None:
    """Read the options, measure, print."""
    if sys.argv[1:2] == ["--record"]:
        record_report(sys.argv[2])
        return
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--files", type=int, default=1_000_000, help="inputs (default: 1,000,000)")
    where = os.path.join(tempfile.gettempdir(), "roar-bench")
    parser.add_argument("--folder", default=where, help=f"folder for the repository, kept (default: {where})")
    parser.add_argument("--recorder", action="store_true", help="measure only the recorder")
    options = parser.parse_args()
    folder, report = f"{options.folder}/fat-{options.files}", f"{options.folder}/fat-{options.files}.report"
    if not os.path.exists(report):
        shutil.rmtree(folder, ignore_errors=True)
        make(folder, options.files)
        trace(folder, report)
    measure("recorder", [sys.executable, __file__, "--record", report], folder)
    measure("recorder, the same again", [sys.executable, __file__, "--record", report], folder)
    roar = [sys.executable, "-m", "roar"]
    if options.recorder:
        return
    measure("making the index", [*roar, "cache", "rebuild"], folder)
    for question in QUESTIONS:
        measure(f"`roar {question}`", [*roar, *question.split()], folder)


if __name__ == "__main__":
    main()
