"""From what was typed to a plan: the records fetched if they have to be, the lineage found, environments chosen."""

from __future__ import annotations

import functools
import os
import re
import shlex
import time
from collections.abc import Callable, Iterable, Mapping
from typing import NamedTuple

from roar.cache.index import Index, open_index
from roar.errors import GitError, NotFoundError, RoarError, UsageError
from roar.git import refs, transport
from roar.git.repository import Repository
from roar.journal import REMOTES
from roar.lineage import upstream
from roar.paths import fs, is_outside
from roar.records.job import File, Job
from roar.records.summary import command_line, printable
from roar.stamps import Stamps
from roar.verbs import outside, rebuild_env, resume
from roar.verbs.inputs import Known, Places, Sources
from roar.verbs.installing import Progress
from roar.verbs.lockfiles import Locks
from roar.verbs.plan import Asked, Chosen, Plan, Step, Stop
from roar.verbs.planning import ALL, Part, plan
from roar.verbs.rebuild_env import Mode
from roar.verbs.resolve import resolve
from roar.verbs.sync import own_notes, place

_WEB = re.compile(r"https?://[!-~]+", re.IGNORECASE)
"""Addresses that are ever fetched because a record says them."""


class Wish(NamedTuple):
    """What to make again, as typed in the folder ``cwd``; where inputs may be; how environments are had; which part of
    it.
    """

    text: str
    cwd: str
    places: Places
    mode: Mode
    part: Part = ALL


def prepare(repo: Repository, wish: Wish, say: Progress) -> Plan:
    """The plan to make something again. Nothing is run.

    In a clone that has no records of others yet, and does not know its name, they are fetched first.
    Raises what ``resolve`` raises, and ``NotFoundError`` when no recorded job made it.
    """
    try:
        return _prepare(repo, wish)
    except NotFoundError:
        if wish.text.startswith("@") or refs.listing(repo, REMOTES) or not _fetch(repo, wish.text, say):
            raise
    return _prepare(repo, wish)


def _fetch(repo: Repository, text: str, say: Progress) -> bool:
    """Fetch the records of every remote; True when anything came. Raises ``NotFoundError`` when none is reached."""
    brought, errors = False, list[GitError]()
    names = transport.remotes(repo)
    for name in names:
        say(f"fetching the records of {name}")
        try:
            remote = transport.check_remote(repo, name)
            brought |= bool(transport.fetch_records(repo, remote, own_notes(repo), place(repo)))
        except GitError as error:
            errors.append(error)
    if errors and len(errors) == len(names):
        where = " and ".join(names)
        raise NotFoundError(
            f"{printable(text)} is not recorded here, and {where} cannot be reached", f"git fetch {names[0]}"
        ) from errors[0]
    return brought


def _prepare(repo: Repository, wish: Wish) -> Plan:
    stamps = Stamps(repo.own_dir)
    with open_index(repo) as index:
        asked = find(index, repo, wish.text, wish.cwd)
        records = index.load_jobs(upstream(index, [asked.job]).jobs)
        chosen = [_chosen(index, identifier, job) for identifier, job in records.items()]
        # many steps read the same files
        paths = functools.cache(lambda content: [use.path for use in index.names(content)])
        seen = functools.cache(lambda content: last_seen(index, content))
        kept = resume.folder(repo, asked, wish.mode)
        made_in = None if wish.part.force else kept
        known = Known(paths, _addresses(chosen), outside.movable(chosen))
        sources = Sources(repo, wish.places, known, stamps, made_in)
        try:
            made = plan(asked, chosen, sources, seen, wish.part)
        finally:
            sources.close()
            stamps.close()
        again = functools.cache(lambda content: remake(index, content))
        stops = [stop._replace(remake=again(stop.file.hash or "")) if stop.file else stop for stop in made.stops]
    _check_given(made, wish.places.given)
    made = made._replace(stops=stops, made_in=made_in, fetched_to=f"{kept}-inputs")
    return _with_environments(made, wish.mode, repo)


def _check_given(made: Plan, given: Mapping[str, str]) -> None:
    """Raise ``UsageError`` for a hash that is no input of the plan, and no output to compare with."""
    if made.stops and not any(step.needs or step.neighbours for step in made.steps):
        return  # a record was refused before any input was looked at
    known = [need.file.hash or "" for step in made.steps for need in step.needs]
    known += [file.hash or "" for step in made.steps for file in step.outputs]
    known += [neighbour.commit for step in made.steps for neighbour in step.neighbours]
    for beginning in given:
        if not any(content.startswith(beginning) for content in known):
            raise UsageError(
                f"--input {beginning}: no input begins with that",
                f"roar reproduce {shlex.quote(made.asked.name)} --plan",
            )


def find(index: Index, repo: Repository, text: str, cwd: str) -> Asked:
    """The job, and the artifact of it, that a typed name means. Raises ``NotFoundError`` or ``UsageError``."""
    target = resolve(index, repo, text, cwd)
    if target.kind == "job":
        return Asked(text, target.id)
    if target.kind != "artifact":
        raise UsageError(f"{printable(text)} is a {target.kind}, not a file, a hash, a job or a step", "roar log")
    makers = index.producers(target.id)
    if not makers and (withdrawn := index.withdrawn_makers([target.id])):
        said = f"the job that made {printable(text)} was withdrawn"
        raise NotFoundError(said, f"roar show {withdrawn[target.id][:12]}, then reproduce that job by its id")
    if not makers:
        raise NotFoundError(f"no recorded job made {printable(text)}", f"roar show {target.id[:12]}")
    versions = index.versions(target.path) if target.path else []
    if target.path and not versions and not os.path.islink(os.path.join(cwd, text)):
        again = f"roar reproduce {target.id[:12]}, for the same content under another name"
        raise NotFoundError(f"no recorded job made {printable(text)}", again)
    at_path = {job for content, job in versions if content == target.id}
    # a first run before one that ran it again, one that wrote it to this path before others, the newest of these
    best = min(makers, key=lambda job: (index.load_job(job).reproduces is not None, job not in at_path))
    return Asked(text, best, target.id)


def _chosen(index: Index, identifier: str, job: Job) -> Chosen:
    sharded = job.input_shards or job.output_shards
    inputs, outputs = index.files(identifier) if sharded else (job.inputs, job.outputs)
    overlay = index.overlay(identifier) if job.code.overlay else {}
    beside = index.overlay(identifier, b"repositories") if job.code.repositories else {}
    withheld = bool(job.code.kept) and index.is_withheld(identifier)
    return Chosen(identifier, job, inputs, outputs, overlay, beside, withheld)


def last_seen(index: Index, content: str) -> str:
    """Who had a content last: host, time and job, for people; "" when nobody is known."""
    users = sorted({*index.producers(content), *index.consumers(content)}, reverse=True)
    again = {job for job, span in index.spans(users).items() if span.again}
    users.sort(key=lambda job: job in again)  # a work area of roar's own is not where anybody keeps a file
    if not users:
        return ""
    job = index.load_job(users[0])
    when = time.strftime("%Y-%m-%d %H:%M", time.gmtime(job.started_ns // 1_000_000_000))
    host = printable(job.environment.machine.hostname or "an unnamed machine")
    return f"{host}, {when} UTC, {users[0]} {command_line(job.command, 50)}"


def remake(index: Index, content: str) -> str:
    """Whether a recorded job made a content, and which, for people."""
    if makers := index.producers(content):
        job = index.load_job(makers[0])
        return f"it can be made again: roar reproduce {content[:12]} ({command_line(job.command, 50)})"
    if withdrawn := index.withdrawn_makers([content]):
        return f"the job that made it was withdrawn: roar show {withdrawn[content][:12]}"
    return "no recorded job made it"


def _addresses(lineage: Iterable[Chosen]) -> Callable[[File], str | None]:
    """Tells the address that users declared for jobs that read or wrote a content: one that ends in the file's name,
    else the only one. Nobody has checked it.
    """
    found: dict[str, dict[str, None]] = {}
    for chosen in lineage:
        for side, files in (("input", chosen.inputs), ("output", chosen.outputs)):
            refs = [hint.ref for hint in chosen.job.hints if hint.side == side and _WEB.fullmatch(hint.ref)]
            for file in files if refs else []:
                found.setdefault(file.hash or "", {}).update(dict.fromkeys(refs))

    def address(file: File) -> str | None:
        refs = found.get(file.hash or "", {})
        name = "/" + file.path.rpartition("/")[2]
        named = [ref for ref in refs if re.split("[?#]", ref)[0].endswith(name)]
        return named[0] if named else next(iter(refs)) if len(refs) == 1 else None

    return address


def _with_environments(made: Plan, mode: Mode, repo: Repository) -> Plan:
    """The plan with the environment that each step gets, and with a stop where one cannot be had."""
    steps, stops = [], list(made.stops)
    with Locks(repo) as locks:
        for step in made.steps:
            needs_hashes = mode == "rebuild" and any(python.read for python in step.job.environment.pythons)
            try:
                hashes = locks.at(step.job.code.commit, step.lay) if needs_hashes else {}
                found = rebuild_env.planned(step.job, mode, repo.work_tree, hashes)
                step = step._replace(environments=tuple(found))  # noqa: PLW2901
            except RoarError as error:
                stops.append(Stop(step.number, error.message, error.hint))
            stops += _in_the_way(step)
            steps.append(step)
    return made._replace(steps=steps, stops=stops)


def _in_the_way(step: Step) -> list[Stop]:
    """A stop for each file outside of the repository that it would write over."""
    written = [file for file in step.outputs if is_outside(file.path) and file.path not in step.moved]
    there = [file for file in written if os.path.lexists(fs(file.path))]
    said = "it would write over {}, outside of the repository"
    return [Stop(step.number, said.format(printable(file.path)), "move it away") for file in there]
