"""The smallest environment of a pipeline as a Dockerfile (https://docs.docker.com/reference/dockerfile/).

It holds what the jobs read, and no more: the interpreter, the packages of which they read files, the repositories at
their commits, and what was not committed. What comes from a record stands in the JSON form of an instruction, where no
builder finds a meaning in it that was not meant, and is quoted for the shell where one is called.
"""

from __future__ import annotations

import base64
import json
import posixpath
import re
import shlex
from collections.abc import Iterator
from typing import NamedTuple

from roar.errors import RoarError
from roar.export import steps
from roar.git.objects import Reader
from roar.git.repository import Repository
from roar.paths import fs
from roar.records.job import OverlayFile, Python, SystemPackage
from roar.records.summary import printable
from roar.verbs import translate
from roar.verbs.interpreters import Interpreter
from roar.verbs.lockfiles import Locks
from roar.verbs.neighbours import Neighbour
from roar.verbs.plan import Plan, Step
from roar.verbs.recipe import Recipe, recipe

_VERSION = re.compile(r"[0-9]+\.[0-9]+\.[0-9]+((a|b|rc)[0-9]+)?")
_SYSTEMS = (
    (re.compile(r"Debian GNU/Linux .*\((\w+)\)"), "debian:{}-slim", "slim-{}"),
    (re.compile(r"Ubuntu ([0-9.]{5})"), "ubuntu:{}", "slim"),
    (re.compile(r"Alpine Linux v([0-9]+\.[0-9]+)"), "alpine:{}", "alpine{}"),
    (re.compile(r"Fedora Linux ([0-9]+)"), "fedora:{}", "slim"),
)
"""What a machine calls its system, the image of that, and the end of the name of Python's image on it."""
_ELSE = ("debian:stable-slim", "slim")
_PACKAGE = re.compile(r"[A-Za-z0-9][A-Za-z0-9+._-]*")
_PACKAGE_VERSION = re.compile(r"[A-Za-z0-9][A-Za-z0-9+.:~_-]*")
_TOP = "/work/project"
_PIECE = 60_000
"""Bytes of a file in one instruction: the kernel gives a program 128 KiB a word, and base64 needs a third more."""


def lines(made: Plan, repo: Repository) -> Iterator[str]:
    """The Dockerfile, line by line. Raises ``RoarError`` for an environment that one image cannot hold."""
    code = _all_code(made.steps) or _all_code(made.steps[-1:])
    assert code is not None  # one step agrees with itself
    python, made_of = _python(made, repo)
    system = made.steps[-1].job.environment.machine.system
    yield from steps.head(made, "Build it in a clone (not in a linked work tree): docker build -f FILE -t NAME .")
    yield from _to_be_mounted(code.steps)
    yield f"FROM {_base(system, python)}"
    yield from _system(made, system, python)
    yield from _installed(python, made_of)
    yield f"WORKDIR {_TOP}"
    if code.commit is not None:
        yield f"COPY .git {_TOP}/.git"
        trusted = f"safe.directory={_TOP}"  # its owner is whoever has the clone
        yield _run("git", "-c", trusted, "checkout", "--quiet", "--force", "--detach", code.commit)
    with Reader(repo) as reader:
        yield from _laid(code.lay, _TOP, reader)
        for each in code.neighbours:
            yield from _neighbour(each, reader)
    yield from _projects(made_of, code)
    yield from _command(made, code)


class _Code(NamedTuple):
    """Steps that can run on the same files, and these."""

    steps: list[Step]
    commit: str | None
    lay: list[tuple[OverlayFile, str]]
    neighbours: list[Neighbour]


def _all_code(found: list[Step]) -> _Code | None:
    """The code of all of these steps together; None when what one read is not what another did."""
    lay: dict[str, tuple[OverlayFile, str]] = {}
    neighbours: dict[str, Neighbour] = {}
    for step in found:
        if step.job.code.commit != found[-1].job.code.commit:
            return None
        for item in step.lay:
            if lay.setdefault(item[0].path, item) != item:
                return None
        for each in step.neighbours:
            other = neighbours.setdefault(each.path, each)
            laid = {entry.path: (entry, blob) for entry, blob in [*other.lay, *each.lay]}
            if other.commit != each.commit or any(laid[entry.path] != (entry, blob) for entry, blob in other.lay):
                return None
            neighbours[each.path] = other._replace(lay=list(laid.values()))
    committed = {need.file.path for step in found for need in step.needs if need.source.kind == "commit"}
    if not committed.isdisjoint(lay):
        return None
    return _Code(found, found[-1].job.code.commit, list(lay.values()), list(neighbours.values()))


def _run(*words: str) -> str:
    return "RUN " + json.dumps(words)


def _shell(text: str) -> str:
    return _run("sh", "-euc", text)


def _quoted(*words: str) -> str:
    return " ".join(map(shlex.quote, words))


def _python(made: Plan, repo: Repository) -> tuple[Python | None, Recipe | None]:
    """The one interpreter of all steps, and what is installed for it. Raises ``RoarError`` when there are several."""
    found: dict[tuple[str, str], Python] = {}
    versions: dict[str, str] = {}
    required, projects, hashes, conda = set[str](), set[str](), dict[str, tuple[str, ...]](), dict[str, None]()
    with Locks(repo) as locks:
        for step, python in ((each, python) for each in made.steps for python in each.job.environment.pythons):
            found[python.implementation.lower(), python.version] = python
            for package in python.read:
                if versions.setdefault(package.name, package.version) != package.version:
                    both = printable(f"{package.name} {versions[package.name]} and {package.version}")
                    raise RoarError(f"the steps read {both}, which one image cannot hold", "roar export dockerfile @N")
            known = locks.at(step.job.code.commit, step.lay) if python.read else {}
            one = recipe(python, Interpreter("python", python.implementation, python.version), known)
            required, projects = required | {*one.required}, projects | {*one.projects}
            hashes |= dict(one.hashes)
            conda |= dict.fromkeys(one.conda)
    if len(found) > 1:
        names = " and ".join(sorted(printable(f"{kind} {version}") for kind, version in found))
        raise RoarError(f"the steps ran with {names}, which one image cannot hold", "roar export dockerfile @N")
    if not found:
        return None, None
    ((kind, version), python) = found.popitem()
    if not _VERSION.fullmatch(version) or (kind != "cpython" and not conda):
        raise RoarError(f"no image is known for {printable(f'{kind} {version}')}", "roar reproduce")
    read, own = tuple(sorted(required)), tuple(sorted(projects))
    return python, Recipe(Interpreter("", kind, version), read, (), own, tuple(sorted(hashes.items())), tuple(conda))


def _base(system: str, python: Python | None) -> str:
    if python is not None and python.conda:
        return "mambaorg/micromamba:latest"
    plain, ending = next(
        ((image.format(m[1]), end.format(m[1])) for pattern, image, end in _SYSTEMS if (m := pattern.search(system))),
        _ELSE,
    )
    return plain if python is None else f"python:{python.version}-{ending}"


def _system(made: Plan, system: str, python: Python | None) -> Iterator[str]:
    """The packages of the system that own what was read, in the recorded version if that can still be had."""
    base = _base(system, python)
    manager = "apk" if "alpine" in base else "rpm" if base.startswith("fedora") else "dpkg"
    packages = {p for step in made.steps for p in step.job.environment.system_packages}
    own = sorted((p for p in packages if p.manager == manager and _is_plain(p)), key=lambda p: (p.name, p.version))
    for other in sorted(packages - {*own}, key=lambda p: (p.manager, p.name)):
        yield steps.comment(f"not installed: {other.name} {other.version}, a package of {other.manager}")
    if python is not None and python.conda:
        yield "USER root"
    before, install, after = _INSTALLERS[manager]
    pins = [f"{_name(p)}={p.version.rpartition('.')[0] if manager == 'rpm' else p.version}" for p in own]
    exact = '"${p%%=*}-${p#*=}"' if manager == "rpm" else '"$p"'
    tried = f'{install} {exact} || {{ echo "$p cannot be had" >&2; {install} "${{p%%=*}}"; }}'
    yield steps.comment("git for the checkout, and the packages of the system that own files which were read")
    each = f"for p in {_quoted(*pins)}; do {tried}; done" if pins else ""
    yield _shell("; ".join(part for part in (before, f"{install} git ca-certificates", each, after) if part))


_INSTALLERS = {
    "apk": ("", "apk add --no-cache", ""),
    "rpm": ("", "dnf install -y -q", "dnf clean all"),
    "dpkg": (
        "export DEBIAN_FRONTEND=noninteractive; apt-get update -q",
        "apt-get install -y -q --no-install-recommends",
        "rm -rf /var/lib/apt/lists/*",
    ),
}
"""What comes before, the words that install, and what comes after, by the kind of packages."""


def _name(package: SystemPackage) -> str:
    """The name without the architecture, which may be another where it is built."""
    return package.name.partition(":")[0] if package.manager == "dpkg" else package.name


def _is_plain(package: SystemPackage) -> bool:
    return bool(_PACKAGE.fullmatch(_name(package)) and _PACKAGE_VERSION.fullmatch(package.version))


def _installed(python: Python | None, made_of: Recipe | None) -> Iterator[str]:
    """Conda's packages, and those of pip: by hash where one is known."""
    if python is None or made_of is None:
        return
    if made_of.conda:
        yield _shell(
            f"printf '%s\\n' @EXPLICIT {_quoted(*made_of.conda)} > /tmp/explicit; "
            "micromamba create -y -q -p /opt/environment -f /tmp/explicit; rm /tmp/explicit"
        )
        yield "ENV PATH=/opt/environment/bin:$PATH"
    pip = "python -m pip install --no-cache-dir --no-deps --disable-pip-version-check --root-user-action=ignore"
    for option, some in made_of.by_hash(made_of.required):
        listed = f"printf '%s\\n' {_quoted(*some)} > /tmp/requirements.txt"
        yield _shell(f"{listed}; {pip} {option} -r /tmp/requirements.txt; rm /tmp/requirements.txt")


def _laid(lay: list[tuple[OverlayFile, str]], top: str, reader: Reader) -> Iterator[str]:
    """What was not committed."""
    for entry, blob in lay:
        path = posixpath.join(top, fs(entry.path))
        if entry.state == "deleted":
            yield _run("rm", "-f", "--", path)
            continue
        data = reader.body(blob, "blob")
        yield _shell(f"mkdir -p -- {_quoted(posixpath.dirname(path))}; : > {_quoted(path)}")
        for at in range(0, len(data), _PIECE):
            piece = base64.b64encode(data[at : at + _PIECE]).decode()
            yield _shell(f"echo {piece} | base64 -d >> {_quoted(path)}")
        yield _run("chmod", f"{entry.mode & 0o777 | 0o600:o}", "--", path)


def _place(each: Neighbour) -> str:
    return posixpath.join(_TOP if each.inside else posixpath.dirname(_TOP), fs(each.place))


def _neighbour(each: Neighbour, reader: Reader) -> Iterator[str]:
    """Another repository, from its remote. Raises ``RoarError`` when the record has none."""
    if each.remote is None:
        raise RoarError(f"the repository {each.words} has no remote in the record", "roar reproduce")
    place = _place(each)
    yield _shell(
        f"rm -rf -- {_quoted(place)}; git clone -q --no-checkout -- {_quoted(fs(each.remote), place)}; "
        f"git -C {_quoted(place)} checkout -q --force --detach {each.commit}"
    )
    yield from _laid(each.lay, place, reader)


def _projects(made_of: Recipe | None, code: _Code) -> Iterator[str]:
    """What was installed from the repositories themselves."""
    tops = [_TOP, *map(_place, code.neighbours)]
    for name in made_of.projects if made_of else ():
        if name.startswith("./"):
            where = _quoted(posixpath.normpath(posixpath.join(_TOP, fs(name))))
        else:
            pattern = re.sub(r"[-_.]+", "[-_.]+", name)
            names = "--include=pyproject.toml --include=setup.cfg --include=setup.py"
            found = rf"grep -rliE {names} 'name *= *[\"'\'']?{pattern}[\"'\'']? *$' {_quoted(*tops)}"
            where = f'-e "$(dirname "$({found} | head -n 1)")"'
        yield _shell(f"python -m pip install --no-cache-dir --no-deps --root-user-action=ignore {where}")


def _to_be_mounted(found: list[Step]) -> Iterator[str]:
    """The inputs that neither a repository nor a step has."""
    there = {step.number for step in found}
    for step in found:
        for need in step.needs:
            is_made = need.source.kind == "step" and need.source.step in there
            if not is_made and need.source.kind not in ("commit", "overlay", "repository"):
                place = posixpath.join(_TOP, fs(need.file.path))
                yield steps.comment(
                    f"@{step.number} wants {place} with the BLAKE3 {need.file.hash or 'that is not known'}"
                )


def _command(made: Plan, code: _Code) -> Iterator[str]:
    """All steps, when they can run on the same files; else the last one."""
    if len(code.steps) < len(made.steps):
        yield steps.comment("The other steps ran with other code: roar export dockerfile @N")
    places = {fs(each.path): _place(each) for each in code.neighbours if not each.inside}
    text = ""
    for step in code.steps:
        yield from steps.about(step)
        tools = [translate.Tools(python, "python", "") for python in step.job.environment.pythons]
        body = " && ".join(steps.command(step.job, tools, places))
        ended = steps.status(step.job)
        text += f"( {body} )" + (f" || [ $? = {ended} ]" if ended else "") + " || exit 1; "
    yield "CMD " + json.dumps(["sh", "-c", f"top={_TOP}; {text}exit 0"])
