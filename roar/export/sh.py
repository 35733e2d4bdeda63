"""A plan as a shell script that one may read, change and run without roar; and the packages that it needs.

Whatever comes from a record is quoted, or was checked before. Every step begins with the files of its commit alone,
its overlay, its inputs, and what earlier steps have made; hashes are compared with ``b3sum``.
"""

from __future__ import annotations

import base64
import os
import posixpath
import re
import shlex
from collections.abc import Iterator

from roar.errors import RoarError, UsageError
from roar.export.steps import WORK, check_alone, command, quoted, status
from roar.git.objects import Reader
from roar.git.repository import Repository
from roar.paths import fs, is_outside, is_safe_relative
from roar.records.summary import command_line, printable
from roar.verbs import translate
from roar.verbs.inputs import FETCHED
from roar.verbs.plan import Need, Plan, Step
from roar.verbs.rebuild_env import Planned

_URL = re.compile(r"(https?://|ssh://|git@)[\w.@:/~+-]+")
_HEAD = r"""#!/bin/sh
# Makes {name} again, as roar recorded it. Read it before you run it:
#     sh THIS [REPOSITORY] [FOLDER]
set -eu
repository=${{1:-{repository}}}
mkdir -p "${{2:-reproduction}}"
work=$(cd "${{2:-reproduction}}" && pwd)
top=$work/project
made=$work/made
end=0

hash_of() {{
    if command -v b3sum >/dev/null; then b3sum --no-names -- "$1"
    else python3 -c 'import blake3, sys; print(blake3.blake3(open(sys.argv[1], "rb").read()).hexdigest())' "$1"; fi
}}
check() {{ # HASH FILE: an input is what it was
    [ "$(hash_of "$2")" = "$1" ] || {{ echo "$2 is not what was recorded" >&2; exit 1; }}
}}
put() {{ # FROM FILE
    mkdir -p "$(dirname "$2")"; cp -p -- "$1" "$2"
}}
verdict() {{ # STEP HASH FILE: compare an output, and keep it for later steps
    if [ ! -e "$3" ]; then echo "missing    $3"; end=3; return; fi
    if [ "$(hash_of "$3")" = "$2" ]; then echo "identical  $3"; else echo "differs    $3"; end=3; fi
    case $3 in /*) ;; *) put "$3" "$made/$1/$3" ;; esac
}}

[ -e "$top/.git" ] || git clone -q --no-checkout -- "$repository" "$top"
cd "$top"
git fetch -q origin '+refs/roar-keep/*:refs/roar-keep/*' || : # commits that no branch holds
"""


def script(made: Plan, repo: Repository) -> Iterator[str]:
    """The script for a plan whose steps are apart, in pieces. Raises ``GitError`` when the overlay cannot be read,
    ``RoarError`` when other repositories are needed.
    """
    check_alone(made)
    remote = next((step.job.code.remote for step in reversed(made.steps) if step.job.code.remote), None)
    place = remote if remote and _URL.fullmatch(remote) else repo.work_tree or repo.git_dir
    name = re.sub(r"[^\w./-]", "_", made.asked.name)
    # inside ${1:-...} a quoted word stays one word
    yield _HEAD.format(name=name, repository=shlex.quote(place))
    environments: dict[tuple[str, ...], int] = {}
    with Reader(repo) as reader:
        for step in made.steps:
            yield f"\n# @{step.number}  {command_line(step.job.command)}"
            yield from _files(step, reader)
            tools = []
            for env in step.environments:
                yield from _environment(env, environments)
                tools.append(_tool(env, environments))
            yield from _run(step, tools)
    yield "\nexit $end"


def _files(step: Step, reader: Reader) -> Iterator[str]:
    yield "git clean -qffdx"
    if step.job.code.commit is not None and not step.without_commit:
        yield f"git checkout -q --force --detach {shlex.quote(step.job.code.commit)}"
    for entry, blob in step.lay:
        path = quoted(fs(entry.path))
        if entry.state == "deleted":
            yield f"rm -f -- {path}"
            continue
        yield f'mkdir -p -- "$(dirname -- {path})"'
        yield f"base64 -d > {path} <<'END'"
        yield base64.encodebytes(reader.body(blob, "blob")).decode() + "END"
        yield f"chmod {entry.mode & 0o777 | 0o600:o} -- {path}"
    for need in step.needs:
        yield from _input(need)


def _input(need: Need) -> Iterator[str]:
    file, source = need
    if is_outside(file.path) and source.kind in ("git", "given") and not file.asked:
        said = f"{printable(file.path)} lies outside of the repository, and is not there"
        raise RoarError(said, "put it there, or reproduce it without a script")
    path = quoted(fs(file.path))
    if source.kind == "step" and not is_outside(file.path):
        yield f'put "$made/{source.step}/"{quoted(fs(source.place))} {path}'
    elif source.kind in ("work tree", "given"):
        yield f"put {quoted(source.place)} {path}"
        yield f"chmod {file.mode & 0o777 | 0o600:o} -- {path}"
    elif source.kind == "git":
        yield f'mkdir -p -- "$(dirname -- {path})"'
        yield f"git cat-file blob {source.place} > {path}"
    elif source.kind in FETCHED:
        said = f"{printable(file.path)} is in {printable(source.place)}, where a script does not reach"
        raise RoarError(said, f"roar get {(file.hash or '')[:12]}")
    if source.kind in ("commit", "work tree", "given", "git", "in place"):
        yield f"check {file.hash} {path}"
    if file.asked and is_safe_relative(file.asked) and not is_outside(file.path):
        target = posixpath.relpath(fs(file.path), posixpath.dirname(fs(file.asked)) or ".")
        yield f"[ -e {quoted(fs(file.asked))} ] || ln -s -- {quoted(target)} {quoted(fs(file.asked))}"


def _environment(env: Planned, known: dict[tuple[str, ...], int]) -> Iterator[str]:
    if env.recipe is None or _key(env) in known:
        return
    recipe = env.recipe
    if recipe.conda:
        raise RoarError("a step ran in a conda environment, which a script does not make", "roar reproduce")
    number = known[_key(env)] = len(known) + 1
    short = ".".join(recipe.interpreter.version.split(".")[:2])
    place = f'"$work/env-{number}"'
    yield f"[ -e {place} ] || python{short} -m venv {place}"
    install = f"{place}/bin/python -m pip install -q --no-deps --disable-pip-version-check -r /dev/stdin"
    for lines, otherwise in ((recipe.required, ""), (recipe.others, " || echo 'some packages that were not read' >&2")):
        for option, some in recipe.by_hash(lines):
            yield f"{install} {option} <<'END'{otherwise}"
            yield "\n".join(some) + "\nEND"
    for name in recipe.projects:
        yield f"# from the repository itself; say where: {place}/bin/python -m pip install --no-deps -e {quoted(name)}"


def _key(env: Planned) -> tuple[str, ...]:
    recipe = env.recipe
    return (recipe.own_key,) if recipe else ()


def _tool(env: Planned, known: dict[tuple[str, ...], int]) -> translate.Tools:
    if env.recipe is None:
        return translate.Tools(env.python, env.program, os.path.dirname(env.program))
    folder = f"{WORK}/env-{known[_key(env)]}"
    return translate.Tools(env.python, f"{folder}/bin/python", f"{folder}/bin", folder)


def _run(step: Step, tools: list[translate.Tools]) -> Iterator[str]:
    folders = {posixpath.dirname(fs(file.path)) for file in step.outputs if not is_outside(file.path)}
    for folder in sorted(folders - {""}):
        yield f"mkdir -p -- {quoted(folder)}"
    for file in step.outputs:  # what lies there must not pass for what the step is going to write
        if file.path not in {need.file.path for need in step.needs} and not is_outside(file.path):
            yield f"rm -f -- {quoted(fs(file.path))}"
    yield "("
    yield from (f"    {line}" for line in command(step.job, tools))
    known = (step.job.exit.code, step.job.exit.signal) != (None, None)
    ended = f' || [ $? = {status(step.job)} ] || {{ echo "@{step.number} failed" >&2; exit 1; }}'
    yield ")" + (ended if known else " || :")
    for file in step.outputs:
        if file.hash is not None:
            yield f"verdict {step.number} {file.hash} {quoted(fs(file.path))}"


def requirements(made: Plan) -> list[str]:
    """The packages of all steps, pinned, as lines for pip. Raises ``RoarError`` when steps had different versions."""
    pins: dict[str, str] = {}
    for step in made.steps:
        for env in step.environments:
            if env.recipe is None:
                raise UsageError("--export-requirements needs the recorded environments", "leave --env current out")
            for line in (*env.recipe.required, *env.recipe.others):
                name = re.split(r"==| @ ", line)[0].lower()
                if pins.setdefault(name, line) != line:
                    said = f"steps had different versions: {printable(pins[name])}, {printable(line)}"
                    raise RoarError(said, f"--step @{step.number}, for one step alone")
    versions = sorted({env.python.version for step in made.steps for env in step.environments})
    return [f"# Python {printable(', '.join(versions))}", *(pins[name] for name in sorted(pins))]
