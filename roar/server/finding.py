"""From what somebody typed or followed to the recorded things in sight."""

from __future__ import annotations

import os
import re
from typing import NamedTuple

from roar.cache.search import Wanted
from roar.config.globs import Globs
from roar.errors import AmbiguousError, NotFoundError, UsageError
from roar.records import ids
from roar.records.summary import printable
from roar.server.union import Union
from roar.verbs.resolve import SHORT_HASH, SHORTEST, Target
from roar.verbs.show import ArtifactShown, JobShown

_HEX = re.compile(r"[0-9a-fA-F]{4,64}")
_MOST = 50
_MOST_ROWS = 500
"""Of uses of a path, which may be of fewer contents."""
_MOST_VERSIONS = 8
_MOST_PATHS = 20


def named(union: Union, part: Union, text: str) -> list[Target]:
    """The jobs, sessions, artifacts and commits (in some projects) whose ids begin so; of one that is exactly so that
    one alone.
    """
    found: list[Target] = []
    canonical = ids.normalise(text)
    if canonical is not None and len(canonical) >= SHORTEST:
        found += [Target(union.kind_of(identifier), identifier) for identifier in union.find_ids(canonical)[:_MOST]]
    if _HEX.fullmatch(text):
        found += [Target("artifact", content) for content in union.find_hashes(text.lower())[:_MOST]]
        found += [Target("commit", commit) for commit in part.code_commits(text.lower())[:_MOST]]
    return [target for target in found if target.id in (canonical, text.lower())] or found


def one_artifact(union: Union, text: str) -> str:
    """The whole hash of the one artifact whose hash begins so. Raises ``RoarError``."""
    if not _HEX.fullmatch(text):
        raise UsageError(f"{printable(text[:80])} is no hash: 4 to 64 hexadecimal digits are one")
    return _one(union.find_hashes(text.lower()), text, "artifact")


def one_job(union: Union, text: str) -> str:
    """The whole id of the one job whose id begins so. Raises ``RoarError``."""
    return _of_kind(union, text, "job")


def one_session(union: Union, text: str) -> str:
    """The whole id of the one session whose id begins so. Raises ``RoarError``."""
    return _of_kind(union, text, "session")


def _of_kind(union: Union, text: str, kind: str) -> str:
    canonical = ids.normalise(text)
    if canonical is None or len(canonical) < SHORTEST:
        raise UsageError(f"{printable(text[:80])} is no id: 4 to {ids.LENGTH} letters and digits are one")
    return _one([found for found in union.find_ids(canonical) if union.kind_of(found) == kind], text, kind)


def _one(found: list[str], text: str, what: str) -> str:
    if not found:
        raise NotFoundError(f"no {what} in sight begins with {printable(text)}", "check the digits")
    if len(found) > 1:
        some = ", ".join(each[: SHORT_HASH + 4] for each in found[:5])
        raise AmbiguousError(f"several begin with {printable(text)}: {some}", "type more of it")
    return found[0]


def at_path(union: Union, text: str) -> list[tuple[str, str]]:
    """The contents that jobs wrote to a path (or read from it, when none wrote it), each with the newest such job."""
    found = union.versions(text, _MOST_ROWS) or union.readers_of_path(text, _MOST_ROWS)
    newest: dict[str, str] = {}
    for content, job in found:
        newest.setdefault(content, job)
    return list(newest.items())[:_MOST]


def paths_named(union: Union, text: str) -> list[str]:
    """The recorded paths that somebody means: the one that is spelled so, else those that end so, of whole names."""
    if union.versions(text, 1) or union.readers_of_path(text, 1):
        return [text]
    return union.paths_ending(f"/{text.strip('/')}", _MOST_PATHS)


class Code(NamedTuple):
    """Where a file of the code is: at a commit, or (None) beside the record of a job that read it uncommitted."""

    path: str
    job: str
    commit: str | None = None
    remote: str | None = None
    withheld: bool = False
    """Those bytes are not here, because who shared the record left them out."""


def code_of(union: Union, shown: ArtifactShown) -> Code | None:
    """Where a content is that its newest readers found in git; None when it was data to them."""
    for identifier, job in shown.jobs.items():
        for file in job.inputs:
            if file.hash == shown.hash and file.path in job.code.kept:
                return Code(file.path, identifier, withheld=union.is_withheld(identifier))
            if file.hash == shown.hash and file.blob:
                commit = job.code.commit_of(file.path)
                return Code(file.path, identifier, commit, job.code.remote if commit == job.code.commit else None)
    return None


def with_command(union: Union, text: str) -> list[str]:
    """The newest jobs with a text in their command."""
    return [job for job, _ in union.search(Wanted(command=text, live=True), _MOST)]


class JobsPage(NamedTuple):
    """Some jobs, newest first, and after which the next page begins (None: it is the last)."""

    jobs: list[str]
    next: str | None


def page_of_jobs(union: Union, before: str | None, most: int) -> JobsPage:
    """The newest jobs, or those older than one."""
    return search(union, Wanted(), before, most)


def search(union: Union, wanted: Wanted, before: str | None, most: int, among: set[str] | None = None) -> JobsPage:
    """The newest jobs that are as wanted, or those of them that are older than one; ``among``: of these alone."""
    found = union.search(wanted._replace(before=before, live=True), most + 1 if among is None else None)
    jobs = [job for job, _ in found if among is None or job in among][: most + 1]
    return JobsPage(jobs[:most], jobs[most - 1] if len(jobs) > most else None)


def paths_meant(union: Union, text: str) -> list[str]:
    """The recorded paths that a text means: one that is spelled so, all in a folder, what a glob matches."""
    glob = f"./{text}" if text.startswith("~") else text  # nobody's home folder is meant
    matches = Globs([glob], "/").match
    return [path for path in union.paths_like(glob) if path == text or matches(os.path.join("/", path))]


def earlier_runs(union: Union, shown: JobShown) -> list[str]:
    """The runs of a job's step before it, the latest first."""
    if not shown.job.session:
        return []
    runs = union.steps(shown.job.session)
    mine = next((run.key for run in runs if run.job == shown.id), None)
    return [run.job for run in runs if run.key == mine and run.job < shown.id][:-6:-1]


def versions_beside(union: Union, shown: ArtifactShown) -> list[tuple[str, str]]:
    """Other contents that jobs wrote to the path of an artifact in its first maker's projects, the newest first, each
    with its job: elsewhere the same name means something else.
    """
    with union.only(union.holders(shown.made_by[:1])[shown.made_by[0]]) as homes:
        found = at_path(homes, shown.names[0].path)
    return [(content, job) for content, job in found if content != shown.hash][:_MOST_VERSIONS]
