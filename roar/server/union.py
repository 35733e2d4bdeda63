"""What somebody may see, as one index: the indexes of several projects, joined by what their records hold.

A record that is in several projects is one record. What is said of it (a withdrawal, the end of a session) counts when
every project in sight that has it says so: nobody takes back what others keep.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any, Literal, NamedTuple, Protocol, TypeVar

from roar.cache.index import MOST_CANDIDATES, Index, Step
from roar.cache.search import Wanted
from roar.errors import NotFoundError
from roar.git.repository import Repository
from roar.lineage import Made, Span, Use
from roar.records.ids import LENGTH
from roar.records.job import Command, File, Job
from roar.records.model import Record

T = TypeVar("T")


class Directory(Protocol):
    """Who knows what, among several projects; ``projects`` are those that may be asked about."""

    def holders(self, ids: Sequence[str], projects: Sequence[str]) -> dict[str, list[str]]:
        """The projects that have each record; unknown ones are absent."""

    def knowers(self, hashes: Sequence[str], projects: Sequence[str]) -> dict[str, list[str]]:
        """The projects that know each content; unknown ones are absent."""

    def standings(self, ids: Sequence[str], projects: Sequence[str]) -> list[tuple[str, str, int | None, str | None]]:
        """Of each record in each project: id, project, when it was accepted, the key that signed it."""

    def ids_beginning(self, prefix: str, projects: Sequence[str], most: int) -> list[str]:
        """The first ids of jobs and sessions that begin so."""

    def hashes_beginning(self, prefix: str, projects: Sequence[str], most: int) -> list[str]:
        """The first hashes that begin so."""

    def with_package(self, name: str, version: str | None, projects: Sequence[str]) -> set[str]:
        """The jobs that read a file of a package, of one version or any."""

    def newest(self, projects: Sequence[str]) -> dict[str, str]:
        """The newest job of each project that has any."""

    def repeating(self, jobs: Sequence[str], projects: Sequence[str]) -> list[str]:
        """The projects with jobs that run one of these again."""


class Library(Protocol):
    """Where the indexes of projects are had."""

    directory: Directory | None
    """None: there is one project, or few enough to ask all of them."""

    def take(self, project: str) -> Index:
        """An index that nobody else uses until it is given back."""

    def give_back(self, project: str, index: Index) -> None:
        """It is not used any more."""

    def repository(self, project: str) -> Repository:
        """The repository of a project."""

    def is_signer(self, key: str) -> bool:
        """Whether the key of this fingerprint is that of somebody who is known and not disabled."""


class Other(NamedTuple):
    """That jobs of a project, other than the one that stands first, made a content: its choice, and how many did."""

    project: str
    job: str
    jobs: int


class Union(Index):
    """The index of several projects. A context manager; indexes are taken when they are first asked.

    Anybody who writes somewhere can say to have made any bytes. So projects that tell of the same thing have an order:
    the project that is asked from; then those whose record of it is signed by somebody who is known; then by when the
    server accepted the record, which no client can set. What one project says of itself is not touched by others.
    """

    def __init__(self, library: Library, projects: Sequence[str], asked_from: str | None = None) -> None:
        self._library = library
        self.projects = sorted(projects, key=lambda project: project != asked_from)
        self.asked_from = asked_from
        self._taken: dict[str, Index] = {}
        self._holders: dict[str, list[str]] = {}
        self._knowers: dict[str, list[str]] = {}
        self._answers: dict[str, dict[str, Any]] = {}
        """What was asked of each name before: a page asks for the same from several sides."""

    def __enter__(self) -> Union:
        return self

    def part(self, start: str = "") -> tuple[Union, str | None]:
        """Some of the projects by name, from one on, as a union of its own, and the first of those that are left.

        Where nothing but their indexes can tell, this bounds how many are asked for one answer.
        """
        names = sorted(project for project in self.projects if project >= start)
        left = names[MOST_TOGETHER:]
        return self.only(names[:MOST_TOGETHER]), left[0] if left else None

    def only(self, projects: Sequence[str]) -> Union:
        """Some of the projects as a union of their own."""
        return Union(self._library, projects, self.asked_from)

    def close(self) -> None:
        """Give all indexes back."""
        while self._taken:
            self._library.give_back(*self._taken.popitem())

    @property
    def path(self) -> str | None:
        """None: it is in several places."""
        return None

    def index(self, project: str) -> Index:
        """The index of one project."""
        if project not in self._taken:
            self._taken[project] = self._library.take(project)
        return self._taken[project]

    def repository_of(self, identifier: str) -> Repository:
        """A repository that has a record. Raises ``NotFoundError``."""
        return self._library.repository(self._holder(identifier))

    # Who has what

    def holders(self, ids: Iterable[str]) -> dict[str, list[str]]:
        """The projects that have each record, the best first; unknown records are absent."""
        asked = list(dict.fromkeys(ids))
        directory = self._library.directory
        new = [i for i in asked if i not in self._holders]
        known = self._known(self._holders, asked, directory.holders if directory else None, Index.have)
        shared = [i for i in new if len(known.get(i, ())) > 1]
        standings = self._standings(shared)
        for i in shared:
            self._holders[i].sort(key=lambda project: standings.get((i, project), _LAST))
        return {i: self._holders[i] for i in known}

    def _standings(self, ids: Sequence[str]) -> dict[tuple[str, str], Standing]:
        """How well each record stands in each project: what is less stands before."""
        directory = self._library.directory
        if directory is None or not ids:
            return {}
        found = directory.standings(ids, self.projects)
        known = {key: self._library.is_signer(key) for key in {key for *_, key in found if key}}
        return {
            (i, project): Standing(
                project != self.asked_from,
                not known.get(key or "", False),
                _NEVER if accepted is None else accepted,
                project,
            )
            for i, project, accepted, key in found
        }

    def knowers(self, hashes: Iterable[str]) -> dict[str, list[str]]:
        """The projects that know each content, by name; unknown contents are absent."""
        directory = self._library.directory
        return self._known(self._knowers, hashes, directory.knowers if directory else None, Index.know)

    def _known(
        self,
        memory: dict[str, list[str]],
        names: Iterable[str],
        ask: Callable[[Sequence[str], Sequence[str]], dict[str, list[str]]] | None,
        have: Callable[[Index, list[str]], set[str]],
    ) -> dict[str, list[str]]:
        asked = list(dict.fromkeys(names))
        new = [name for name in asked if name not in memory]
        if new and ask is not None:
            known = ask(new, self.projects)
            memory.update((name, known.get(name, [])) for name in new)
        elif new:
            found = [(project, have(self.index(project), new)) for project in self.projects]
            memory.update((name, [project for project, names in found if name in names]) for name in new)
        return {name: memory[name] for name in asked if memory[name]}

    def _holder(self, identifier: str) -> str:
        found = self.holders([identifier]).get(identifier)
        if not found:
            raise NotFoundError(f"no record has the id {identifier}", "look for it by its file or command")
        return found[0]

    def _of(self, identifier: str) -> Index:
        return self.index(self._holder(identifier))

    def _shares(self, known: dict[str, list[str]], *, one: bool = False) -> Iterator[tuple[Index, list[str]]]:
        """Each index with those of the names that are for it to answer; ``one``: each name by one index alone."""
        for project, names in self._parts(known, one=one):
            yield self.index(project), names

    def _parts(self, known: dict[str, list[str]], *, one: bool = False) -> Iterable[tuple[str, list[str]]]:
        """Each project with its names."""
        shares: dict[str, list[str]] = {}
        for name, projects in known.items():
            for project in projects[:1] if one else projects:
                shares.setdefault(project, []).append(name)
        return shares.items()

    def _recalled(
        self, what: str, names: Iterable[str], ask: Callable[[Sequence[str]], Mapping[str, T]]
    ) -> dict[str, T]:
        """What is known of each name, in their order; those that were not asked for before are asked for now."""
        memory = self._answers.setdefault(what, {})
        asked = list(dict.fromkeys(names))
        new = [name for name in asked if name not in memory]
        if new:
            found = ask(new)
            memory.update((name, found.get(name)) for name in new)
        return {name: memory[name] for name in asked if memory[name] is not None}

    def _all(self) -> Iterator[Index]:
        return map(self.index, self.projects)

    # One record

    def load(self, identifier: str) -> Record:
        """The record with this id. Raises ``NotFoundError``."""
        return self._of(identifier).load(identifier)

    def commits_of(self, identifiers: Iterable[str]) -> dict[str, str]:
        """The commits of their journals that hold these records; unknown ones are absent."""
        known = self.holders(identifiers)
        return _merged(index.commits_of(ids) for index, ids in self._shares(known, one=True))

    def codes_of(self, jobs: Iterable[str]) -> list[str]:
        """The code commits that these jobs ran at."""
        known = self.holders(jobs)
        return sorted({c for index, ids in self._shares(known, one=True) for c in index.codes_of(ids)})

    def digests(self, content: str) -> dict[str, str]:
        """The digests of a content by other algorithms that jobs recorded."""
        return _merged(index.digests(content) for index, _ in self._shares(self.knowers([content])))

    def contents_of_digest(self, text: str, algorithms: Iterable[str]) -> list[str]:
        """The contents of which this is the digest by one of the algorithms."""
        names = list(algorithms)
        return sorted({content for index in self._all() for content in index.contents_of_digest(text, names)})

    def load_jobs(self, identifiers: Iterable[str]) -> dict[str, Job]:
        """The jobs with these ids, in this order; unknown ones are absent."""

        def ask(new: Sequence[str]) -> dict[str, Job]:
            return _merged(index.load_jobs(ids) for index, ids in self._shares(self.holders(new), one=True))

        return self._recalled("jobs", identifiers, ask)

    def kind_of(self, identifier: str) -> Literal["job", "session"]:
        """What kind of record has this id. Raises ``NotFoundError``."""
        return self._of(identifier).kind_of(identifier)

    def place_of(self, identifier: str) -> str:
        """Where in its journal the things beside a record lie. Raises ``NotFoundError``."""
        return self._of(identifier).place_of(identifier)

    def files(self, identifier: str) -> tuple[list[File], list[File]]:
        """The inputs and the outputs of a job. Raises ``RoarError``."""
        return self._of(identifier).files(identifier)

    def first_files(self, identifier: str, most: int) -> tuple[list[File], list[File]]:
        """The first of them, as ``Index.first_files``. Raises ``RoarError``."""
        return self._of(identifier).first_files(identifier, most)

    def overlay(self, identifier: str, beside: bytes = b"files") -> dict[str, str]:
        """The overlay files of a job: path to git blob id. ``beside`` as in ``Index.overlay``."""
        return self._of(identifier).overlay(identifier, beside)

    def is_withheld(self, identifier: str) -> bool:
        """Whether the overlays of a job were left out when it was shared."""
        return self._of(identifier).is_withheld(identifier)

    # Names to ids

    def find_ids(self, prefix: str) -> list[str]:
        """The ids of jobs and sessions that begin so, in their order."""
        if len(prefix) == LENGTH:  # a whole one
            return self._of(prefix).find_ids(prefix) if self.holders([prefix]) else []
        if self._library.directory is not None:
            return self._library.directory.ids_beginning(prefix, self.projects, MOST_CANDIDATES) if prefix else []
        return sorted({i for index in self._all() for i in index.find_ids(prefix)})[:MOST_CANDIDATES]

    def find_hashes(self, prefix: str) -> list[str]:
        """The hashes of artifacts that begin so, in their order."""
        if len(prefix) == _DIGITS:
            return list(self.knowers([prefix]))
        if self._library.directory is not None:
            return self._library.directory.hashes_beginning(prefix, self.projects, MOST_CANDIDATES) if prefix else []
        return sorted({h for index in self._all() for h in index.find_hashes(prefix)})[:MOST_CANDIDATES]

    def jobs_at(self, commit_prefix: str) -> list[str]:
        """The jobs that ran at the code commits that begin so, newest first."""
        return _newest(index.jobs_at(commit_prefix) for index in self._all())

    def code_commits(self, prefix: str = "") -> list[str]:
        """The code commits that begin so at which any job ran, in their order."""
        return sorted({commit for index in self._all() for commit in index.code_commits(prefix)})

    # Jobs

    def jobs(self, session: str | None = None, limit: int | None = None, *, withdrawn: bool = False) -> list[str]:
        """The jobs, of one session or all, newest first; with those that were withdrawn when asked for."""
        if session is None:
            return self._newest_jobs(limit, lambda index: index.jobs(None, limit, withdrawn=withdrawn))
        among = map(self.index, self.holders([session]).get(session, []))
        return _newest(index.jobs(session, limit, withdrawn=withdrawn) for index in among)[:limit]

    def _newest_jobs(self, limit: int | None, ask: Callable[[Index], Iterable[str]]) -> list[str]:
        """The newest of the jobs that each index gives. Not asked are those whose newest job is older than enough."""
        found: set[str] = set()
        for project in self._by_newest(limit, found):
            found.update(ask(self.index(project)))
        return sorted(found, reverse=True)[:limit]

    def _by_newest(self, limit: int | None, found: Collection[str]) -> Iterator[str]:
        """The projects, those with the newest jobs first, while they can add to so many newest ones of ``found``."""
        directory = self._library.directory
        if directory is None or limit is None or len(self.projects) < 2:
            yield from self.projects
            return
        newest = directory.newest(self.projects)
        for project in sorted(newest, key=newest.__getitem__, reverse=True):
            if len(found) >= limit and newest[project] < heapq.nlargest(limit, found)[-1]:
                return
            yield project

    def count_jobs(self) -> int:
        """How many jobs there are, those of several projects counted in each."""
        return sum(index.count_jobs() for index in self._all())

    def search(self, wanted: Wanted, limit: int | None = None) -> list[tuple[str, bool]]:
        """The jobs that are so, the newest or all, newest first, each with whether it was withdrawn."""
        found: dict[str, bool] = {}
        for project in self._by_newest(limit, found):
            for job, withdrawn in self.index(project).search(wanted, limit):
                found[job] = withdrawn and found.get(job, True)
        return sorted(found.items(), reverse=True)[:limit]

    def with_package(self, text: str) -> set[str]:
        """The jobs that read a file of a package, given as ``NAME`` or ``NAME==VERSION``."""
        name, equals, version = text.partition("==")
        if self._library.directory is not None:
            return self._library.directory.with_package(name, version if equals else None, self.projects)
        read = _merged(index.packages_read(index.jobs()) for index in self._all())
        return {i for i, found in read.items() if any(n == name and v in (version or v,) for n, v in found)}

    def paths_like(self, glob: str) -> list[str]:
        """The recorded paths that may match a glob, and few others."""
        return sorted({path for index in self._all() for path in index.paths_like(glob)})

    def paths_ending(self, end: str, most: int) -> list[str]:
        """Recorded paths that end so, sorted."""
        return sorted({path for index in self._all() for path in index.paths_ending(end, most)})[:most]

    def reproductions(self, job: str) -> list[str]:
        """The jobs that run this one again, newest first."""
        return _newest(index.reproductions(job) for index in self._repeating([job]))

    def originals(self, jobs: Iterable[str]) -> dict[str, str]:
        """The jobs that run one of these again, each with that one."""
        asked = list(jobs)
        return _merged(index.originals(asked) for index in self._repeating(asked))

    def _repeating(self, jobs: Sequence[str]) -> Iterator[Index]:
        directory = self._library.directory
        if directory is None:
            return self._all()
        return map(self.index, directory.repeating(jobs, self.projects))

    def sessions(self) -> list[str]:
        """All sessions, newest first."""
        return _newest(index.sessions() for index in self._all())

    def steps(self, session: str) -> list[Step]:
        """Each run of each step of a session, oldest first; jobs that run another one again are left out."""
        runs = {run.job: run for project in self._with(session) for run in self.index(project).steps(session)}
        return [runs[job] for job in sorted(runs)]

    def last_writers(self, session: str) -> dict[tuple[str, str], list[str]]:
        """Of each step of a session, by key: the jobs that were the last to write one of its outputs."""
        return _lists(self.index(project).last_writers(session) for project in self._with(session))

    def latest_of_step(self, session: str, role: str, command: Command) -> str | None:
        """The latest job of a session that is a run of the step which a command is one of."""
        found = [self.index(project).latest_of_step(session, role, command) for project in self._with(session)]
        return max((job for job in found if job), default=None)

    def _with(self, session: str) -> list[str]:
        return self.holders([session]).get(session, [])

    # Artifacts

    def names(self, content: str) -> list[Use]:
        """The paths at which this content was seen, those it was written to first."""
        found: dict[str, Use] = {}
        for project in self._homes(content):
            for use in self.index(project).names(content):
                found.setdefault(use.path, use)
        return list(found.values())

    def producers(self, content: str) -> list[str]:
        """The jobs that wrote this content, those of the best project first; within one newest first, those that run
        another again after all others.
        """
        jobs = (job for project in self._homes(content) for job in self.index(project).producers(content))
        return list(dict.fromkeys(jobs))

    def _homes(self, content: str) -> list[str]:
        """The projects that know a content: those that made it, the best first, then the others."""
        knowers = self.knowers([content]).get(content, [])
        makers = [one.home for one in self.made([content]).get(content, ())] if len(knowers) > 1 else []
        return list(dict.fromkeys([*makers, *knowers]))

    def other_makers(self, content: str, job: str | None) -> list[Other]:
        """The projects without ``job`` whose jobs made a content, too, in their order."""
        if len(self.projects) < 2:
            return []
        made: dict[str, list[Made]] = {}
        for one in self.made([content]).get(content, ()):
            made.setdefault(one.home, []).append(one)
        own = self.holders([job]).get(job, []) if job else []
        return [
            Other(home, max(makers, key=lambda m: (not m.again, m.started_ns, m.job)).job, len({m.job for m in makers}))
            for home, makers in made.items()
            if home not in own
        ]

    def consumers(self, content: str) -> list[str]:
        """The jobs that read this content, newest first, those that run another again after all others."""
        return self._originals_first([index.consumers(content) for index, _ in self._shares(self.knowers([content]))])

    def _originals_first(self, found: list[list[str]]) -> list[str]:
        if len(found) == 1:
            return found[0]
        jobs = _newest(found)
        spans = self.spans(jobs)
        return sorted(jobs, key=lambda job: job in spans and spans[job].again)

    def versions(self, path: str, most: int | None = None) -> list[tuple[str, str]]:
        """Each known content that a job wrote to a path, with the job, newest first; of each project the first."""
        found = {pair for index in self._all() for pair in index.versions(path, most)}
        return sorted(found, key=lambda pair: pair[::-1], reverse=True)

    def readers_of_path(self, path: str, most: int | None = None) -> list[tuple[str, str]]:
        """Each known content that a job read from a path, with the job, newest first; of each project the first."""
        found = {pair for index in self._all() for pair in index.readers_of_path(path, most)}
        return sorted(found, key=lambda pair: pair[::-1], reverse=True)

    # What lineage asks

    def nearby(self, jobs: Iterable[str], *, down: bool, limit: int) -> list[str]:
        """The jobs and those that content connects them to within their projects, nearest first."""
        asked = list(jobs)
        found = dict.fromkeys(asked)
        for index, ids in self._shares(self.holders(asked)):
            found.update(dict.fromkeys(index.nearby(ids, down=down, limit=limit)))
        return list(found)

    def spans(self, jobs: Iterable[str]) -> dict[str, Span]:
        """When each job ran."""

        def ask(new: Sequence[str]) -> dict[str, Span]:
            homes = self.holders(new)
            found = _merged(index.spans(ids) for index, ids in self._shares(homes, one=True))
            return {job: span._replace(homes=tuple(homes[job])) for job, span in found.items()}

        return self._recalled("spans", jobs, ask)

    def uses(self, jobs: Iterable[str]) -> dict[str, tuple[list[Use], list[Use]]]:
        """The inputs and the outputs of each job that has any, by path."""

        def ask(new: Sequence[str]) -> dict[str, tuple[list[Use], list[Use]]]:
            return _merged(index.uses(ids) for index, ids in self._shares(self.holders(new), one=True))

        return self._recalled("uses", jobs, ask)

    def made(self, hashes: Iterable[str]) -> dict[str, list[Made]]:
        """Who wrote each content: project by project, the best first, and in order of start."""

        def ask(new: Sequence[str]) -> dict[str, list[Made]]:
            found: dict[str, list[Made]] = {}
            several = set()
            for project, some in self._parts(self.knowers(new)):
                for content, made in self.index(project).made(some).items():
                    several.update([content] if content in found else [])
                    found.setdefault(content, []).extend(one._replace(home=project) for one in made)
            standings = self._standings(list({one.job for content in several for one in found[content]}))
            for content in several:
                _best_first(found[content], standings)
            return found

        return self._recalled("made", hashes, ask)

    def read_by(self, hashes: Iterable[str]) -> dict[str, list[str]]:
        """The jobs that read each content."""

        def ask(new: Sequence[str]) -> dict[str, list[str]]:
            found = _lists(index.read_by(some) for index, some in self._shares(self.knowers(new)))
            return {content: list(dict.fromkeys(readers)) for content, readers in found.items()}

        return self._recalled("read_by", hashes, ask)

    # What is said of records and artifacts

    def corrections(self, kind: str, targets: Iterable[str]) -> dict[str, list[str]]:
        """Of each target of which every project that has it says something of a kind: the records that say it."""
        known = self._having(targets)
        said = [index.corrections(kind, some) for index, some in self._shares(known)]
        found = _lists(said)
        whole = {target: sum(target in one for one in said) for target in found}
        return {
            target: sorted(set(ids)) for target, ids in found.items() if whole[target] == len(known.get(target, []))
        }

    def withdrawn_makers(self, hashes: Iterable[str]) -> dict[str, str]:
        """Of each content that withdrawn jobs wrote, the newest of them."""
        found = [index.withdrawn_makers(some) for index, some in self._shares(self.knowers(hashes))]
        return {content: max(one[content] for one in found if content in one) for content in _merged(found)}

    def labels(self, targets: Iterable[str]) -> dict[str, dict[str, str]]:
        """The labels of each target that has any; where projects differ, those of the first by name."""
        found: dict[str, dict[str, str]] = {}
        for index, some in self._shares(self._having(targets)):
            for target, labels in index.labels(some).items():
                found[target] = labels | found.get(target, {})
        return found

    def _having(self, targets: Iterable[str]) -> dict[str, list[str]]:
        asked = list(targets)
        return self.holders(t for t in asked if len(t) != _DIGITS) | self.knowers(t for t in asked if len(t) == _DIGITS)

    def labelled(self, key: str, value: str | None = None) -> set[str]:
        """The targets that have a label, with this value or any."""
        return {target for index in self._all() for target in index.labelled(key, value)}

    def collections_of(self, content: str) -> list[str]:
        """The collections that an artifact is in, by name."""
        known = self._shares(self.knowers([content]))
        return sorted({name for index, _ in known for name in index.collections_of(content)})


MOST_TOGETHER = 200
"""Projects whose indexes are asked for one answer to a search."""


class Standing(NamedTuple):
    """By what projects are ordered that have a record or made a content; False is before True."""

    elsewhere: bool
    """It is not the project that is asked from."""
    unsigned: bool
    accepted_ns: int
    project: str


_NEVER = 1 << 63
_LAST = Standing(True, True, _NEVER, "")
_DIGITS = 64
"""Of a hash; ids of records are shorter."""


def _merged(parts: Iterable[dict[str, T]]) -> dict[str, T]:
    found: dict[str, T] = {}
    for part in parts:
        found |= part
    return found


def _best_first(made: list[Made], standings: Mapping[tuple[str, str], Standing]) -> None:
    """Order who wrote one content by what is the best of each project."""
    best: dict[str, Standing] = {}
    for one in made:
        standing = standings.get((one.job, one.home), _LAST)
        best[one.home] = min(best.get(one.home, standing), standing)
    made.sort(key=lambda one: best[one.home])


K = TypeVar("K", str, "tuple[str, str]")


def _lists(parts: Iterable[dict[K, list[T]]]) -> dict[K, list[T]]:
    """Dictionaries of lists as one, the lists of a key one after the other."""
    found: dict[K, list[T]] = {}
    for part in parts:
        for key, values in part.items():
            found.setdefault(key, []).extend(values)
    return found


def _newest(lists: Iterable[list[str]]) -> list[str]:
    found = list(lists)
    return found[0] if len(found) == 1 else sorted({job for jobs in found for job in jobs}, reverse=True)
