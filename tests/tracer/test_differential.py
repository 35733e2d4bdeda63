"""Real programs under the tracer and under strace: both must have seen the same files."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import Traced
from tracing import spelled

SETUP_GIT = (
    "git init -q r && cd r && git config user.email a@b && git config user.name a && "
    "for i in 1 2 3 4 5 6; do echo $i > f$i; git add .; git commit -qm $i; done"
)
SETUP_MAKE = (
    "printf '#include <stdio.h>\\n#include \"h.h\"\\nint main(){puts(X);}\\n' > m.c; echo '#define X \"x\"' > h.h; "
    "printf 'all: p out\\np: m.o\\n\\tcc -o p m.o\\nm.o: m.c h.h\\n\\tcc -c m.c\\nout: p\\n\\t./p > out\\n' > Makefile"
)
SETUP_GO = "printf 'module x\\n' > go.mod; printf 'package main\\nfunc main(){println(1)}\\n' > m.go"
SETUP_PIP = f"""{sys.executable} -c 'import zipfile as z
with z.ZipFile("x-1-py3-none-any.whl", "w") as w:
    w.writestr("x.py", "")
    w.writestr("x-1.dist-info/METADATA", "Metadata-Version: 2.1\\nName: x\\nVersion: 1\\n")
    w.writestr("x-1.dist-info/WHEEL", "Wheel-Version: 1.0\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n")
    w.writestr("x-1.dist-info/RECORD", "x.py,,\\nx-1.dist-info/METADATA,,\\nx-1.dist-info/WHEEL,,\\nx-1.dist-info/RECORD,,\\n")
'"""
MANY = "mkdir -p s/a s/b; for i in 1 2 3 4 5 6 7 8 9; do echo $i > s/a/$i; ln -s ../a/$i s/b/$i; done"

PROGRAMS = {
    "git": ("git", SETUP_GIT, "cd r && git status -s && git log --stat && git gc -q && git checkout -q -b x && git grep 3"),
    "git_clone": ("git", SETUP_GIT, "git clone -q r c && cd c && echo x > y && git add y && git -c user.name=a -c user.email=b commit -qm y"),
    "make": ("cc", SETUP_MAKE, "make -j2"),
    "gcc": ("cc", SETUP_MAKE, "cc -O2 -pipe -o p m.c && ./p > out"),
    "tar": ("tar", MANY, "tar czf a.tgz s && mkdir x && tar xzf a.tgz -C x"),
    "rsync": ("rsync", MANY, "rsync -a s/ t/ && echo y > s/a/1 && rsync -a s/ t/"),
    "find": ("find", MANY, "find s -type f -exec grep -l 3 {} + && find -L s -name 5 | xargs cat && rm -r s/b"),
    "perl": ("perl", MANY, "perl -i -pe 's/1/x/' s/a/1 && perl -MFile::Copy -e 'move(\"s/a/2\",\"two\")'"),
    "python": (sys.executable, MANY, f"{sys.executable} -c 'import json,glob,shutil,tempfile,multiprocessing as m; shutil.copytree(\"s\",\"t\"); print(m.get_context(\"spawn\"))'"),
    "sqlite3": ("sqlite3", "true", "sqlite3 db 'create table t(x); insert into t values(1),(2); pragma journal_mode=wal; update t set x=3; vacuum; select * from t' > out"),
    "sqlite": (sys.executable, "true", f"{sys.executable} -c 'import sqlite3; d=sqlite3.connect(\"db\"); d.execute(\"create table t(x)\"); d.commit(); d.execute(\"insert into t values(1)\"); d.commit(); d.execute(\"vacuum\")'"),
    "pip": (sys.executable, SETUP_PIP, f"{sys.executable} -m pip install -q --no-index --no-deps --target t x-1-py3-none-any.whl"),
    "pandas": (sys.executable, "printf 'a,b\\n1,2\\n' > i.csv", f"{sys.executable} -c 'import pandas; pandas.read_csv(\"i.csv\").to_pickle(\"o.pkl\")'"),
    "go": ("go", SETUP_GO, "GOCACHE=$PWD/../../go-cache GOFLAGS=-mod=mod go build -o m m.go && ./m"),
    "java": ("javac", "printf 'class M{public static void main(String[] a){System.out.println(1);}}' > M.java", "javac M.java && java M"),
    "node": ("node", "echo 'require(\"fs\").writeFileSync(\"o\",require(\"fs\").readFileSync(\"i\"))' > m.js; echo 1 > i", "node m.js"),
}  # fmt: skip

OPENED = re.compile(rb"(?:open|openat|openat2|creat)\(.*\)\s+= \d+<(/[^>]*)>")
RESUMED = re.compile(rb"<\.\.\. (?:open|openat|openat2|creat) resumed>.*\)\s+= \d+<(/[^>]*)>")
SKIPPED = (b"/proc/", b"/dev/", b"/sys/", b"/memfd:")


def opened_under_strace(command: list[str], folder: Path, log: Path) -> tuple[set[bytes], set[bytes]]:
    """Real paths of everything opened that is still there: those surely not by O_PATH, and all."""
    words = ["strace", "-f", "-y", "-qq", "-e", "signal=none", "-e", "trace=open,openat,openat2,creat", "-o", str(log)]
    subprocess.run([*words, *command], cwd=folder, check=False, capture_output=True)
    sure, perhaps = set(), set()
    for line in log.read_bytes().splitlines():
        match = OPENED.search(line)
        if match and b"O_PATH" not in line:
            sure.add(match[1])
        elif match := match or RESUMED.search(line):
            perhaps.add(match[1])
    present = {path for path in sure | perhaps if os.path.lexists(path) and not path.startswith(SKIPPED)}
    return sure & present, present


@pytest.mark.parametrize("name", PROGRAMS)
def test_same_files_as_strace(name: str, traced: Traced, tmp_path: Path) -> None:
    needs, setup, run = PROGRAMS[name]
    if not shutil.which("strace") or not shutil.which(needs):
        pytest.skip(f"needs strace and {needs}")
    if (
        name == "pandas"
        and subprocess.run([sys.executable, "-c", "import pandas"], capture_output=True, check=False).returncode
    ):
        pytest.skip("needs pandas")
    work, kept = tmp_path / "work", tmp_path / "kept"
    work.mkdir()
    subprocess.run(["sh", "-c", setup], cwd=work, check=True, capture_output=True)
    shutil.copytree(work, kept, symlinks=True)
    command = ["sh", "-c", run]
    subprocess.run(command, cwd=work, check=False, capture_output=True)  # whatever is made once per home
    shutil.rmtree(work)
    shutil.copytree(kept, work, symlinks=True)
    expected, perhaps = opened_under_strace(command, work, tmp_path / "strace.log")
    shutil.rmtree(work)
    shutil.copytree(kept, work, symlinks=True)
    report = traced(command, work)
    assert report.returncode == 0, report.stderr

    facts = ("read", "written", "listed", "executed")
    seen = {spelled(line["path"]) for line in report.of_kind("file") if any(line.get(fact) for fact in facts)}
    present = {path for path in expected if os.path.lexists(path)}
    assert present - seen == set(), "strace saw more"
    read = {
        spelled(line["path"])
        for line in report.of_kind("file")
        if (line.get("read") or line.get("listed"))
        and line.get("existed")
        and line["opens"]
        and line.get("after", True)
    }
    ours = {path for path in read if not path.startswith(SKIPPED)}
    assert {path for path in ours - perhaps if not is_by_name(path)} == set(), "only the tracer saw"
    written_here = {name for name, line in report.files.items() if line.get("written") and line["after"]}
    missing = {name for name in names_in(work) - names_in(kept) if name not in written_here}
    assert missing == set(), "made by the command, not reported"


def is_by_name(path: bytes) -> bool:
    """Inherited descriptors, and caches that the first of two runs has filled."""
    return b"__pycache__" in path


def names_in(folder: Path) -> set[str]:
    return {str(Path(top, name).relative_to(folder)) for top, dirs, files in os.walk(folder) for name in dirs + files}
