"""What all exported pipelines share: a step's command as text for a POSIX shell, and what is said of it in comments.

A record may hold anything: words are quoted one by one, and a comment is one line whatever it says.
"""

from __future__ import annotations

import posixpath
import re
import shlex
from collections.abc import Iterator, Mapping
from types import MappingProxyType

import roar
from roar.errors import RoarError
from roar.paths import fs, is_outside, is_safe_relative
from roar.records.job import File, Job
from roar.records.summary import command_line, printable
from roar.verbs import translate
from roar.verbs.plan import Plan, Step

TOP = "\0top\0"
WORK = "\0work\0"
"""They stand for folders until a word is quoted: the variables ``top`` and ``work``. No word of a record holds them."""
_A_PROGRAM = re.compile(r".*/.*|(python|pypy)[0-9.]*|sh|bash|make|perl|Rscript|julia")
"""Words that no shell takes for a command of its own."""


def quoted(word: str) -> str:
    """A word for a POSIX shell; the folders that ``TOP`` and ``WORK`` stand for are its variables."""
    if not word:
        return "''"
    text = shlex.quote(word).replace(TOP, "'\"$top\"'").replace(WORK, "'\"$work\"'")
    return text.removeprefix("''").removesuffix("''")


def command(job: Job, tools: list[translate.Tools], places: Mapping[str, str] = MappingProxyType({})) -> list[str]:
    """The recorded command as commands of a POSIX shell, to be run one after the other in a subshell.

    ``places`` has the folders that stand for others outside of the work tree. Raises ``RoarError`` for what no shell
    can say.
    """
    recorded = job.command
    words = translate.words(recorded, TOP, tools, places)
    if words[0].startswith("-") or "=" in words[0]:
        raise RoarError(f"no shell can start a program with the name {printable(words[0])}", "roar reproduce")
    lines = []
    if recorded.cwd:
        folder = quoted(f"{TOP}/{fs(recorded.cwd)}")
        lines += [f"mkdir -p -- {folder}", f"cd -- {folder}"]
    if job.environment.umask is not None:
        lines.append(f"umask {job.environment.umask & 0o777:03o}")
    variables = translate.believed(job.environment.variables)
    modules = translate.modules(job, TOP, places)
    if modules:
        variables["PYTHONPATH"] = ":".join(modules)
    built = [tool for tool in tools if tool.folder]
    if built:
        variables.update(translate.activation(built[0]))
    lines += [f"export {name}={quoted(value)}" for name, value in sorted(variables.items())]
    programs = [quoted(tool.programs) for tool in tools if tool.programs]
    if programs:
        lines.append(f'export PATH={":".join(programs)}:"$PATH"')
    start = [] if _A_PROGRAM.fullmatch(words[0], re.DOTALL) else ["env"]
    lines.append(" ".join([*start, *map(quoted, words), *_redirects(job)]))
    return lines


def one_line(job: Job) -> str:
    """The recorded command, with the programs on ``PATH``, as one command of a shell that succeeds when it ends as
    recorded. Words may hold line feeds. Raises ``RoarError`` as ``command`` does.
    """
    text = f"( {' && '.join(command(job, _on_path(job)))} )"
    ended = status(job)
    return f'{{ status=0; {text} || status=$?; [ "$status" -eq {ended} ]; }}' if ended else text


def _on_path(job: Job) -> list[translate.Tools]:
    pythons = job.environment.pythons
    return [translate.Tools(python, posixpath.basename(fs(python.executable)), "") for python in pythons]


def status(job: Job) -> int:
    """What a shell says of how the job ended; 0 when the record does not know."""
    return 128 + job.exit.signal if job.exit.signal is not None else job.exit.code or 0


def _redirects(job: Job) -> Iterator[str]:
    opened: dict[str, int] = {}
    for redirect in job.command.redirects:
        if not is_safe_relative(redirect.path):
            raise RoarError(f"its record names a path that leaves the work area: {printable(redirect.path)}")
        if redirect.fd and redirect.path in opened:
            yield f"{redirect.fd}>&{opened[redirect.path]}"
            continue
        sign = "<" if redirect.fd == 0 else ">" * (1 + redirect.append)
        yield f"{redirect.fd}{sign}{quoted(f'{TOP}/{fs(redirect.path)}')}"
        if redirect.fd:
            opened[redirect.path] = redirect.fd
    if not any(redirect.fd == 0 for redirect in job.command.redirects):
        yield "</dev/null"


def comment(text: str) -> str:
    """One line of a comment, which nothing in ``text`` can end or lengthen."""
    line = f"# {printable(text)}".rstrip()
    return f"{line} (end)" if line.endswith("\\") else line


def head(made: Plan, how: str) -> Iterator[str]:
    """What stands above a pipeline. ``how`` tells how it is run."""
    yield comment(f"Made by roar {roar.__version__} from the recorded lineage of {made.asked.name}.")
    yield comment(how)
    pythons = {(p.implementation, p.version) for step in made.steps for p in step.job.environment.pythons}
    packages = {(p.name, p.version) for step in made.steps for py in step.job.environment.pythons for p in py.read}
    if pythons:
        yield comment("Recorded with " + ", ".join(f"{kind} {version}" for kind, version in sorted(pythons)))
    if packages:
        yield comment("and " + ", ".join(f"{name} {version}" for name, version in sorted(packages)))
    outside = sorted({need.file.path for step in made.steps for need in step.needs if is_outside(need.file.path)})
    for path in outside:
        yield comment(f"reads {path}, outside of the repository")
    for step in made.steps:
        for need in step.needs:
            if need.source.kind == "missing":
                yield comment(f"is not here, and must be put there: {_described(need.file)}")


def _described(file: File) -> str:
    return f"{file.path}, {file.size} bytes, BLAKE3 {file.hash}"


def about(step: Step) -> Iterator[str]:
    """What is said of a step above its command."""
    yield comment(f"@{step.number}  {command_line(step.job.command, 200)}")
    yield comment(f"job {step.identifier}, commit {step.job.code.commit or 'none yet'}")
    for remark in step.remarks:
        yield comment(remark)


def code_elsewhere(made: Plan) -> Iterator[str]:
    """For pipelines that run on whatever is checked out: which code they were recorded with."""
    commits = dict.fromkeys(step.job.code.commit for step in made.steps if step.job.code.commit)
    if len(commits) == 1:
        yield comment(f"The code is that of commit {next(iter(commits))}.")
    elif commits:
        yield comment("The steps were recorded at different commits, named at each; this runs them on what is there.")
    for step in made.steps:
        for entry, blob in step.lay:
            if entry.state == "deleted":
                yield comment(f"@{step.number} ran without {entry.path}, which its commit has")
            else:
                yield comment(
                    f"@{step.number} read uncommitted code: git cat-file blob {blob} > {shlex.quote(fs(entry.path))}"
                )


def asked_outputs(made: Plan) -> list[File]:
    """The files that were asked for. Raises ``RoarError`` when the job wrote none."""
    found = [file for step in made.steps for file in step.outputs if made.is_asked(step, file)]
    if not found:
        raise RoarError(f"{printable(made.asked.name)} wrote nothing that a pipeline could make", "roar show")
    return found


def check(made: Plan, *, inputs: bool) -> None:
    """Raise ``RoarError`` for a plan that cannot be exported. Inputs need not be here unless ``inputs``."""
    for stop in made.stops:
        if stop.file is None or inputs:
            what = f"{printable(stop.file.path)} is missing: {stop.reason}" if stop.file else stop.reason
            raise RoarError(f"@{stop.step}: {what}", stop.hint)


def check_alone(made: Plan) -> None:
    """Raise ``RoarError`` for a plan that needs other repositories."""
    for step in made.steps:
        if step.neighbours:
            said = f"@{step.number} read files of other repositories, which an exported pipeline does not check out"
            raise RoarError(said, f"roar reproduce {step.identifier}")
