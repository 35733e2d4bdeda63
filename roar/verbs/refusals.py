"""What no record of roar's own would hold. Records may come from anybody, so a step that names a path outside of its
place, or what no command line can hold, is refused before anything is looked at.
"""

from __future__ import annotations

import posixpath
from collections.abc import Iterator

from roar.paths import fs, is_outside, is_safe_relative
from roar.records.job import Job
from roar.records.summary import printable
from roar.verbs.plan import Chosen, Stop


def refusals(lineage: list[Chosen]) -> list[Stop]:
    """A stop for each thing that is refused; none for records that may be run."""
    stops = []
    for number, chosen in enumerate(lineage, 1):
        command, files = chosen.job.command, [*chosen.inputs, *chosen.outputs]
        if not command.argv or not all(map(_can_be_a_word, command.argv)):
            stops.append(Stop(number, "its record holds no command that can be run"))
        if any("[redacted:" in word for word in command.argv):
            stops.append(Stop(number, "its command holds a secret, which was not recorded"))
        if is_outside(command.cwd):
            stops.append(Stop(number, f"it ran outside of its repository, in {printable(command.cwd)}"))
        elif command.cwd and not is_safe_relative(command.cwd):
            stops.append(Stop(number, f"its record names a folder that leaves the work area: {printable(command.cwd)}"))
        odd = [name for name in _other_names(chosen.job) if not _can_be_a_word(name)]
        if odd:
            stops.append(Stop(number, f"its record names a path that no file can have: {printable(odd[0])}"))
        names = [f.path for f in files if not is_outside(f.path)]
        code = chosen.job.code
        names += [entry.path for entry in code.overlay]
        names += [each.path for each in code.submodules]
        names += [each.path for each in code.repositories if not is_outside(each.path)]
        names += [entry.path for each in code.repositories for entry in each.overlay]
        wrong = [name for name in names if not is_safe_relative(name)]
        wrong += [each.path for each in code.repositories if is_outside(each.path) and not _is_plain(each.path)]
        if wrong:
            stops.append(Stop(number, f"its record names a path that leaves the work area: {printable(wrong[0])}"))
    return stops


def _is_plain(path: str) -> bool:
    """True for an absolute path of a folder that is not ``/``, without parts that lead elsewhere."""
    return posixpath.normpath(fs(path)) == fs(path) != "/"


def _other_names(job: Job) -> Iterator[str]:
    """The paths of a record that are not those of its files."""
    yield job.command.root or ""
    yield from (redirect.path for redirect in job.command.redirects)
    yield from (other.path for other in job.code.repositories)
    yield from (module.path for module in job.code.submodules)
    for python in job.environment.pythons:
        yield python.executable
        yield python.prefix or ""


def _can_be_a_word(word: str) -> bool:
    try:
        return "\0" not in fs(word)
    except ValueError:
        return False
