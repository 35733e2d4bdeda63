"""What the benchmarks work on: generated once below the scratch folder, inside one git repository."""

from __future__ import annotations

import os
import shutil
import subprocess
import time

PROBE = r"""
#include <stdio.h>
#include <time.h>
#include <dirent.h>
#include <fcntl.h>
#include <unistd.h>

/* probe [FOLDER]: read every file of a folder, then print CLOCK_MONOTONIC in nanoseconds. */
int main(int argc, char **argv) {
    static char buffer[1 << 16];
    struct timespec now;
    if (argc > 1) {
        struct dirent *entry;
        DIR *folder;
        if (chdir(argv[1]) || !(folder = opendir("."))) return 1;
        while ((entry = readdir(folder))) {
            int fd;
            if (entry->d_name[0] == '.') continue;
            if ((fd = open(entry->d_name, O_RDONLY)) < 0) return 1;
            while (read(fd, buffer, sizeof buffer) > 0) {}
            close(fd);
        }
    }
    clock_gettime(CLOCK_MONOTONIC, &now);
    printf("%lld\n", now.tv_sec * 1000000000LL + now.tv_nsec);
    return 0;
}
"""

TRAIN = """\
import json, pickle
from sklearn.datasets import load_digits
from sklearn.ensemble import RandomForestClassifier
from sklearn.model_selection import cross_val_score

X, y = load_digits(return_X_y=True)
model = RandomForestClassifier(n_estimators=150, random_state=0, n_jobs=1)
score = cross_val_score(model, X, y, cv=5).mean()
pickle.dump(model.fit(X, y), open("forest.pkl", "wb"))
json.dump({"accuracy": score}, open("forest.json", "w"))
"""

SOURCES = 150
HEADERS = 20


def write(path: str, text: str) -> None:
    """Write a text file and its folders."""
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)


def git(folder: str, *words: str) -> None:
    """Run git with an identity of its own."""
    who = ["-c", "user.name=Bench", "-c", "user.email=bench@example.org", "-c", "commit.gpgsign=false"]
    subprocess.run(["git", "-C", folder, *who, *words], check=True, stdout=subprocess.DEVNULL)


def new_repository(folder: str) -> None:
    """A repository with one commit."""
    os.makedirs(folder)
    git(folder, "init", "-q")
    for key, value in (("user.name", "Bench"), ("user.email", "bench@example.org"), ("gc.auto", "0")):
        git(folder, "config", key, value)
    write(f"{folder}/.gitignore", "many*/\nbig.bin\nobj/\nprog\nforest.*\n/probe\n")
    write(f"{folder}/train.py", TRAIN)
    c_project(f"{folder}/c")
    git(folder, "add", "-A")
    git(folder, "commit", "-q", "-m", "inputs of the benchmarks")


def c_project(folder: str) -> None:
    """150 C files that share 20 headers, and a Makefile."""
    for h in range(HEADERS):
        body = (
            f"#include <stdio.h>\n#include <string.h>\nstruct s{h} {{ int a[{h + 1}]; }};\nint g{h}(struct s{h} *);\n"
        )
        write(f"{folder}/inc/h{h}.h", f"#ifndef H{h}\n#define H{h}\n{body}#endif\n")
    for c in range(SOURCES):
        includes = "".join(f'#include "h{(c + k) % HEADERS}.h"\n' for k in range(5))
        functions = "".join(
            f"int f{c}_{j}(int x) {{ int s = 0; for (int k = 0; k < x; k++) s += k * {j + 1}; return s; }}\n"
            for j in range(12)
        )
        write(f"{folder}/src/c{c}.c", includes + functions)
    write(f"{folder}/src/main.c", "int f0_0(int);\nint main(void) { return f0_0(3) != 3; }\n")
    objects = " ".join(f"obj/c{c}.o" for c in range(SOURCES)) + " obj/main.o"
    rule = "obj/%.o: src/%.c\n\t@mkdir -p obj\n\tcc -O1 -Iinc -c -o $@ $<\n"
    write(f"{folder}/Makefile", f"OBJS = {objects}\nprog: $(OBJS)\n\tcc -o $@ $(OBJS)\n{rule}")


def clean_c_project(folder: str) -> None:
    """Forget what make has made."""
    shutil.rmtree(f"{folder}/obj", ignore_errors=True)
    if os.path.exists(f"{folder}/prog"):
        os.unlink(f"{folder}/prog")


def many_files(folder: str, count: int, size: int) -> None:
    """``count`` different files of ``size`` bytes (kept when they are there)."""
    if os.path.isdir(folder) and len(os.listdir(folder)) == count:
        return
    shutil.rmtree(folder, ignore_errors=True)
    os.makedirs(folder)
    for number in range(count):
        with open(f"{folder}/{number:05d}.dat", "wb") as file:
            file.write(f"{number:08d}\n".encode() * (size // 9 + 1))


def big_file(path: str, size: int) -> None:
    """A file of ``size`` bytes that do not repeat soon (kept when it is there)."""
    if os.path.exists(path) and os.path.getsize(path) == size:
        return
    block = os.urandom(1 << 24)
    with open(path, "wb") as file:
        for _ in range(size // len(block)):
            file.write(block)


def touch_all(folder: str) -> None:
    """Make every file of a folder look changed, so that no memo of its digest holds."""
    now = time.time_ns()
    for entry in os.scandir(folder):
        os.utime(entry.path, ns=(now, now))


def probe(folder: str) -> str:
    """The compiled probe."""
    program = f"{folder}/probe"
    if not os.path.exists(program):
        subprocess.run(["cc", "-O2", "-o", program, "-x", "c", "-"], input=PROBE.encode(), check=True)
    return program
