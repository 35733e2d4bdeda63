"""What is different between two jobs: command, code, inputs, packages, environment, machine, outputs, metrics.

Only what both records know is compared; what either does not know is said to be unknown, never to be equal.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Literal, NamedTuple

from roar.cache.index import Index
from roar.environment.system import changed
from roar.git.repository import Repository
from roar.records.job import File, Job, Machine, Package
from roar.records.summary import command_line
from roar.verbs.patch import Patch, patch, unread_changes

Value = str | int | float | bool | None


class Change(NamedTuple):
    """One thing that differs; None where it is not there. ``unread`` marks a package that neither job read."""

    name: str
    before: Value
    after: Value
    unread: bool = False


class FileChange(NamedTuple):
    """A file that differs: absent on one side, with other content, or with content that a record does not know."""

    path: str
    before: File | None
    after: File | None

    @property
    def state(self) -> Literal["added", "removed", "changed", "unknown"]:
        """How it differs."""
        if self.before is None:
            return "added"
        if self.after is None:
            return "removed"
        return "changed" if self.before.hash and self.after.hash else "unknown"


class MetricChange(NamedTuple):
    """A number in a result file that differs; None where it is not there."""

    path: str
    name: str
    before: str | None
    after: str | None


class Side(NamedTuple):
    """One of the two jobs."""

    id: str
    job: Job
    inputs: dict[str, File]
    outputs: dict[str, File]
    overlay: dict[str, str]


class Comparison(NamedTuple):
    """The differences between two jobs, the first of which is called before. Empty lists: nothing differs."""

    before: Side
    after: Side
    command: list[Change]
    code: list[FileChange]
    patch: Patch
    other_code: int | None
    """Files that differ between the two commits and that neither job read; None: a commit is not here."""
    inputs: list[FileChange]
    packages: list[Change]
    variables: list[Change]
    machine: list[Change]
    system: list[Change]
    """Packages of the system that own files which both jobs read."""
    outputs: list[FileChange]
    same_outputs: int
    metrics: list[MetricChange]

    @property
    def causes(self) -> bool:
        """True when anything differs that could have made the outputs differ."""
        return any((self.command, self.code, self.inputs, self.packages, self.variables, self.machine, self.system))


def compare(index: Index, repo: Repository, before: str, after: str) -> Comparison:
    """Compare two jobs by their ids. Raises ``RoarError`` when a record cannot be read."""
    old, new = side(index, before), side(index, after)
    differing = files_changed(old.inputs, new.inputs)
    code = [change for change in differing if _is_code(change, old, new)]
    outputs = files_changed(old.outputs, new.outputs)
    return Comparison(
        old,
        new,
        _command(old.job, new.job),
        code,
        patch(repo, [(change.path, _blob(old, change.before), _blob(new, change.after)) for change in code]),
        unread_changes(repo, old.job.code.commit, new.job.code.commit, {*old.inputs, *new.inputs}),
        [change for change in differing if change not in code],
        _packages(old.job, new.job),
        _mapping(old.job.environment.variables, new.job.environment.variables),
        _machine(old.job, new.job),
        _system(old.job, new.job),
        outputs,
        len(old.outputs.keys() & new.outputs.keys())
        - sum(c.before is not None and c.after is not None for c in outputs),
        _metrics(old.job, new.job),
    )


def side(index: Index, identifier: str) -> Side:
    """A job with all of its files by path."""
    inputs, outputs = index.files(identifier)
    return Side(
        identifier,
        index.load_job(identifier),
        {file.path: file for file in inputs},
        {file.path: file for file in outputs},
        index.overlay(identifier),
    )


def files_changed(before: Mapping[str, File], after: Mapping[str, File]) -> list[FileChange]:
    """The files that are not the same on both sides, by path."""
    found = []
    for path in sorted({*before, *after}):
        old, new = before.get(path), after.get(path)
        if old is None or new is None or old.hash is None or old.hash != new.hash:
            found.append(FileChange(path, old, new))
    return found


def _is_code(change: FileChange, before: Side, after: Side) -> bool:
    sides = ((before, change.before), (after, change.after))
    return any(file is not None and (file.blob or _is_overlaid(one.job, change.path)) for one, file in sides)


def _is_overlaid(job: Job, path: str) -> bool:
    return any(entry.path == path for entry in job.code.overlay)


def _blob(one: Side, file: File | None) -> str | None:
    return None if file is None else one.overlay.get(file.path) or file.blob or ""


def _command(before: Job, after: Job) -> list[Change]:
    pairs = {
        "command": (command_line(before.command), command_line(after.command)),
        "folder": (before.command.cwd, after.command.cwd),
        "role": (before.role, after.role),
    }
    return _differing(pairs)


def _packages(before: Job, after: Job) -> list[Change]:
    """Interpreters and distributions; those that a job read come first."""
    old, new = _distributions(before), _distributions(after)
    read = {package.name for job in (before, after) for python in job.environment.pythons for package in python.read}
    changes = [
        Change(name, old.get(name), new.get(name), name not in read)
        for name in sorted({*old, *new})
        if old.get(name) != new.get(name)
    ]
    versions = _differing({"python": (_interpreters(before), _interpreters(after))})
    return versions + sorted(changes, key=lambda change: change.unread)


def _distributions(job: Job) -> dict[str, str]:
    packages: Iterable[Package] = (p for python in job.environment.pythons for p in (*python.installed, *python.read))
    return {p.name: p.version + (f" ({p.source})" if p.source else "") for p in packages}


def _interpreters(job: Job) -> str | None:
    return ", ".join(sorted({f"{p.implementation} {p.version}" for p in job.environment.pythons})) or None


def _machine(before: Job, after: Job) -> list[Change]:
    old, new = before.environment, after.environment
    a, b = old.machine, new.machine
    names = ("system", "kernel", "architecture", "cpu", "cores", "memory_bytes", "container", "image")
    pairs: dict[str, tuple[Value, Value]] = {name: (getattr(a, name), getattr(b, name)) for name in names}
    pairs["gpus"] = (_gpus(a), _gpus(b))
    pairs["umask"] = (_octal(old.umask), _octal(new.umask))
    return _differing(pairs)


def _system(before: Job, after: Job) -> list[Change]:
    pairs = changed(before.environment.system_packages, after.environment.system_packages)
    return [Change(name, *versions) for name, versions in pairs.items()]


def _gpus(machine: Machine) -> str | None:
    return ", ".join(f"{gpu.name} {gpu.driver or ''}".strip() for gpu in machine.gpus) or None


def _octal(umask: int | None) -> str | None:
    return None if umask is None else f"{umask:03o}"


def _differing(pairs: Mapping[str, tuple[Value, Value]]) -> list[Change]:
    return [Change(name, old, new) for name, (old, new) in pairs.items() if old != new]


def _mapping(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[Change]:
    return _differing({name: (before.get(name), after.get(name)) for name in sorted({*before, *after})})


def _metrics(before: Job, after: Job) -> list[MetricChange]:
    old, new = ({(m.path, name): v for m in job.metrics for name, v in m.values.items()} for job in (before, after))
    return [
        MetricChange(*key, old.get(key), new.get(key)) for key in sorted({*old, *new}) if old.get(key) != new.get(key)
    ]
