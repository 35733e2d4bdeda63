"""What must hold for others to make a thing again, one point each, with the command that mends it."""

from __future__ import annotations

import shlex
from typing import NamedTuple

from roar.cache.index import Index
from roar.git import transport
from roar.git.objects import Reader
from roar.git.repository import Repository
from roar.records.summary import UNLISTED_PACKAGES, printable
from roar.verbs import sync
from roar.verbs.repetitions import repeated
from roar.verbs.resolve import SHORT_HASH, SHORT_ID
from roar.verbs.went_in import WentIn


class Point(NamedTuple):
    """One point: met, not met, or None when it is not known; ``mend`` is a command, or what to do."""

    name: str
    met: bool | None
    text: str
    mend: str = ""


def checklist(index: Index, repo: Repository, found: WentIn, typed: str) -> list[Point]:
    """All points, in the order in which one mends them. ``typed`` is how the user named the thing."""
    word = shlex.quote(printable(typed))
    return [
        _committed(repo, found),
        _on_a_remote(repo, found),
        _inputs(found, word),
        _packages(found),
        _environment(found),
        _complete(found),
        _deterministic(index, found, word),
        _pushed(repo),
    ]


def _committed(repo: Repository, found: WentIn) -> Point:
    name = "code committed"
    without = [identifier for identifier, job in found.jobs.items() if job.code.commit is None]
    if without:
        return Point(name, False, f"{_jobs(without)} without a commit", "git commit, then roar run it again")
    commits = _commits(found)
    with Reader(repo) as reader:
        missing = [oid for oid in commits if reader.get(oid) is None]
    if missing:
        return Point(name, False, f"commit {missing[0][:SHORT_HASH]} is not here", "git fetch --all")
    changed = sorted({file.path for job in found.jobs.values() for file in job.code.overlay})
    if changed:
        files = (
            f"{len(changed)} file{'s' * (len(changed) > 1)} differed from the commit, such as {printable(changed[0])}"
        )
        return Point(name, False, files, "git commit, then roar run it again")
    return Point(name, True, f"at {len(commits)} commit{'s' * (len(commits) > 1)}")


def _on_a_remote(repo: Repository, found: WentIn) -> Point:
    name, commits, remotes = "code shared", _commits(found), transport.remotes(repo)
    if not remotes:
        return Point(name, False, "there is no remote", "git remote add origin URL")
    loose = transport.on_no_remote_branch(repo, commits)
    if loose:
        some = f"commit {loose[0][:SHORT_HASH]}" + f" and {len(loose) - 1} more" * (len(loose) > 1)
        return Point(name, False, f"{some} on no remote branch", sync.how_to_share(repo, remotes[0], loose[0]))
    return Point(name, True, "on remote branches") if commits else Point(name, None, "there is no commit")


def _inputs(found: WentIn, word: str) -> Point:
    name = "inputs here"
    unknown = [item for item in found.unsourced if item.hash is None]
    missing = [item for item in found.unsourced if item.hash and not item.is_here]
    if missing:
        first = missing[0]
        text = f"{len(missing)} not here with the recorded content, such as {printable(first.path)}"
        return Point(name, False, text, f"roar reproduce {word} --input {(first.hash or '')[:SHORT_HASH]}=PATH")
    if unknown:
        text = f"of {len(unknown)} the content is not known, such as {printable(unknown[0].path)}"
        return Point(name, False, text, f"roar run the command of {unknown[0].used_by[0][:SHORT_ID]} again")
    declared = sum(item.origin == "declared" for item in found.inputs)
    if declared:
        return Point(name, None, f"{declared} declared only: nothing checks what was read there", f"roar show {word}")
    return Point(name, True, f"{len(found.unsourced)} from outside of git, by content")


def _packages(found: WentIn) -> Point:
    dark = [i for i, job in found.jobs.items() if any(item.reason == UNLISTED_PACKAGES for item in job.left_out)]
    if dark:
        return Point(
            "packages known", False, f"not listed by {_jobs(dark)}", "roar config set roar.environment.packages true"
        )
    pythons = [python for job in found.jobs.values() for python in job.environment.pythons]
    versions = {(package.name, package.version) for python in pythons for package in python.read}
    return Point("packages known", True, f"{len(versions)} were read" if versions else "no Python package was read")


def _environment(found: WentIn) -> Point:
    dark = [identifier for identifier, job in found.jobs.items() if job.environment.machine.cpu is None]
    if dark:
        mend = "roar config set roar.environment.hardware true"
        return Point("environment known", False, f"no hardware recorded by {_jobs(dark)}", mend)
    systems = sorted({printable(job.environment.machine.system) for job in found.jobs.values()})
    return Point("environment known", True, ", ".join(systems))


def _complete(found: WentIn) -> Point:
    gaps = [identifier for identifier, job in found.jobs.items() if job.incomplete]
    if gaps:
        return Point("records complete", False, f"{_jobs(gaps)} with gaps", f"roar show {gaps[0][:SHORT_ID]}")
    return Point("records complete", True, _jobs(list(found.jobs)))


def _deterministic(index: Index, found: WentIn, word: str) -> Point:
    name = "deterministic"
    repetitions = set(index.originals(found.jobs).values())
    never = [identifier for identifier in found.jobs if identifier not in repetitions]
    differed = [identifier for identifier in repetitions if repeated(index, [identifier]).differed]
    if differed:
        return Point(name, False, f"{_jobs(differed)} wrote other bytes when run again", f"roar why {word}")
    if never:
        return Point(name, None, f"{_jobs(never)} never run again", f"roar reproduce {word}")
    return Point(name, True, "run again, and the bytes were the same")


def _pushed(repo: Repository) -> Point:
    name, remotes = "records shared", transport.remotes(repo)
    if not remotes:
        return Point(name, False, "there is no remote", "git remote add origin URL")
    fewest, remote = min((sync.unpushed(repo, remote), remote) for remote in remotes)
    if fewest:
        return Point(name, False, f"{fewest} not known to be on {printable(remote)}", f"roar sync {printable(remote)}")
    return Point(name, True, f"all are on {printable(remote)}")


def _commits(found: WentIn) -> list[str]:
    return sorted({job.code.commit for job in found.jobs.values() if job.code.commit})


def _jobs(jobs: list[str]) -> str:
    return f"{len(jobs)} job{'s' * (len(jobs) > 1)}"
