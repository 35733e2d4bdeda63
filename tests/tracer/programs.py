"""The C programs of the battery, each compiled once: while testing, or beforehand for another machine.

python programs.py FOLDER COMPILER: all that COMPILER's machine can run, into FOLDER
"""

from __future__ import annotations

import hashlib
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from cases import ALL, OTHERS

HERE = Path(__file__).resolve().parent


def program(folder: Path, text: str, flags: tuple[str, ...]) -> Path:
    """Where the program of this text lies."""
    return folder / hashlib.sha256("\0".join((text, *flags)).encode()).hexdigest()[:16]


def compile_program(compiler: str, folder: Path, text: str, flags: tuple[str, ...]) -> str:
    """Compile a program into `folder`; what the compiler complained of, or nothing."""
    target = program(folder, text, flags)
    source = target.with_suffix(".c")
    source.write_text('#include "prelude.h"\n' + text)
    words = [compiler, "-O1", "-w", f"-I{HERE}", "-o", str(target), str(source), "-lpthread", *flags]
    return subprocess.run(words, capture_output=True, text=True, check=False).stderr


def main() -> None:
    folder, compiler = Path(sys.argv[1]), sys.argv[2]
    machine = subprocess.check_output([compiler, "-dumpmachine"], text=True).partition("-")[0]
    wanted = [(case.c, case.flags) for case in ALL if case.c and case.machine in ("", machine)]
    wanted += [(text, ()) for text in OTHERS]
    with ThreadPoolExecutor() as pool:
        said = list(pool.map(lambda given: compile_program(compiler, folder, *given), wanted))
    if any(said):
        sys.exit("".join(said))


if __name__ == "__main__":
    main()
