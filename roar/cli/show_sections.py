"""What `roar show` unfolds of a job when it is asked to: processes, packages, environment."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping

from roar.cli import present
from roar.cli.say import Style
from roar.records.job import Exit, Job, Package, Process
from roar.records.summary import duration, printable

_DEEPEST = 12
"""Levels of the tree that are shown by indentation."""


def lines(job: Job, style: Style, wanted: Mapping[str, bool]) -> Iterator[str]:
    """The sections that are wanted, and how to see the others that are not empty."""
    packages = sum(len(python.read) + len(python.installed) for python in job.environment.pythons)
    processes = max(job.process_count, len(job.processes))
    variables = len(job.environment.variables)
    if wanted["processes"]:
        yield from ["", style.bold(f"Processes ({processes})"), *_processes(job, style)]
    if wanted["packages"]:
        yield from ["", style.bold(f"Packages ({packages})"), *_packages(job, style)]
    if wanted["env"]:
        yield from ["", style.bold(f"Environment ({present.count(variables, 'variable')})"), *_environment(job)]
    counts = {"processes": processes, "packages": packages, "env": variables}
    words = {
        "processes": present.count(processes, "process", "processes"),
        "packages": present.count(packages, "package"),
        "env": present.count(variables, "variable"),
    }
    folded = [f"{words[key]} (--{key})" for key, number in counts.items() if number and not wanted[key]]
    if folded:
        yield ""
        yield style.dim("Folded: " + ", ".join(folded))


def _processes(job: Job, style: Style) -> Iterator[str]:
    rows = [
        [
            str(process.pid),
            _end(process.exit),
            duration(process.duration_ns),
            duration(process.cpu_ns),
            present.size(process.peak_bytes),
            "  " * min(depth, _DEEPEST) + _programs(process),
        ]
        for depth, process in tree(job.processes)
    ]
    header = ["PID", "EXIT", "TIME", "CPU", "PEAK", "COMMAND"]
    columns = present.width()
    paints = [style.yellow, *[None] * 5]
    found = present.table(header, rows, paints, cut=present.fit, columns=columns and columns - 4)
    for text in found if rows else []:
        yield f"    {text}"
    more = job.process_count - len(rows)
    if more > 0:
        yield f"    and {more} more, which the record does not list"


def tree(processes: list[Process]) -> Iterator[tuple[int, Process]]:
    """Each process with its depth below one that is not listed, parents first, in order of start.

    A record is not trusted: where parents form a circle it is cut.
    """
    order = sorted(range(len(processes)), key=lambda at: (processes[at].started_ns, at))
    by_pid: dict[int, int] = {}
    for at in order:
        by_pid.setdefault(processes[at].pid, at)
    children: dict[int | None, list[int]] = {}
    for at in order:
        parent = by_pid.get(processes[at].parent)
        children.setdefault(None if parent == at else parent, []).append(at)
    seen: set[int] = set()
    for root in [*children.get(None, []), *order]:
        waiting = [(0, root)]
        while waiting:
            depth, at = waiting.pop()
            if at not in seen:
                seen.add(at)
                yield depth, processes[at]
                waiting += [(depth + 1, child) for child in reversed(children.get(at, []))]


def _end(end: Exit | None) -> str:
    if end is None or (end.code is None and end.signal is None):
        return "?"
    return str(end.code) if end.signal is None else f"signal {end.signal}"


def _programs(process: Process) -> str:
    """The programs that it ran one after the other: ``sh -c make => make``."""
    words = (shlex.join(program.argv) if program.argv else program.path for program in process.programs)
    return printable(" => ".join(words)) or "(forked)"


def _packages(job: Job, style: Style) -> Iterator[str]:
    for python in job.environment.pythons:
        place = f", in {printable(python.prefix)}" if python.prefix else ""
        name = f"{printable(python.implementation)} {printable(python.version)}"
        yield f"    {name} ({printable(python.executable)}){place}"
        for title, packages in (("read", python.read), ("installed, not read", python.installed)):
            if packages:
                yield style.dim(f"      {title}")
                columns = present.width()
                rows = [_package(package) for package in packages]
                for text in present.table([], rows, columns=columns and columns - 8):
                    yield f"        {text}"
        if python.conda:
            yield style.dim("      of the conda environment")
            conda = [[printable(p.name), printable(p.version), printable(p.url or p.build or "")] for p in python.conda]
            for text in present.table([], conda, columns=present.width()):
                yield f"        {text}"
    if job.environment.system_packages:
        yield "    the system's, of which files were read"
        rows = [
            [printable(p.name), printable(p.version), printable(p.manager)] for p in job.environment.system_packages
        ]
        for text in present.table([], rows, columns=present.width()):
            yield f"        {text}"


def _package(package: Package) -> list[str]:
    return [printable(package.name), printable(package.version), printable(package.source or "")]


def _environment(job: Job) -> Iterator[str]:
    machine = job.environment.machine
    about = {
        "system": machine.system,
        "kernel": machine.kernel,
        "architecture": machine.architecture,
        "processor": machine.cpu,
        "cores": str(machine.cores) if machine.cores else None,
        "memory": present.size(machine.memory_bytes) if machine.memory_bytes else None,
        "host": machine.hostname,
        "container": machine.container,
        "image": machine.image,
        "graphics": ", ".join(f"{gpu.name} {gpu.driver or ''}".strip() for gpu in machine.gpus),
        "umask": None if job.environment.umask is None else f"{job.environment.umask:04o}",
    }
    for name, value in about.items():
        if value:
            yield from present.folded(f"    {name:<13}", printable(value))
    if job.environment.variables:
        yield ""
    for name, value in sorted(job.environment.variables.items()):
        yield f"    {printable(name)}={printable(value)}"
