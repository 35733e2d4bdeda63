"""Asking the index. Every answer is ids; what they stand for is read back from the record itself.

"Newest first" is by record id, which begins with the record's clock, so that every clone gives the same order.
"""

from __future__ import annotations

import contextlib
import logging
import os
from collections.abc import Callable, Iterable, Iterator
from sqlite3 import DatabaseError
from typing import Any, Literal, NamedTuple, TypeVar

from roar.cache import build, database, extract, search
from roar.cache.database import Connection, Database
from roar.cache.filling import BURIED
from roar.cache.search import Wanted
from roar.errors import GitError, NotFoundError, RecordError, RoarError
from roar.git.objects import Reader
from roar.git.repository import Repository
from roar.journal import append, read
from roar.journal.company import Company
from roar.lineage import Made, Span, Use
from roar.records import codec
from roar.records.ids import clock_of
from roar.records.job import Command, File, Job
from roar.records.model import Record

log = logging.getLogger(__name__)

T = TypeVar("T")

MOST_CANDIDATES = 100
"""Answers to a prefix: nobody reads more."""

_EVERYTHING = (1 << 63) - 1
"""As a limit: more than there are."""
_CONTENT = {"records": "id", "hashes": "text"}
_LIVE = "r.withdrawn = 0"
_LATEST = (
    "namings n WHERE n.id = (SELECT max(m.id) FROM namings m"
    " WHERE m.target = n.target AND m.kind = n.kind AND m.key = n.key)"
)
_ORIGINALS_FIRST = "ORDER BY r.reproduces IS NOT NULL, r.id DESC"
_USES = "files f JOIN hashes h ON h.row = f.hash JOIN records r ON r.row = f.record"
_PATHS = "files f JOIN paths p ON p.row = f.path JOIN records r ON r.row = f.record"
_NAMED_USES = f"{_USES} JOIN paths p ON p.row = f.path"


class Step(NamedTuple):
    """One run of a step of a session. ``key`` is what all runs of the step share: their role and their command."""

    key: tuple[str, str]
    job: str
    ok: bool


class Extent(NamedTuple):
    """How far a table goes: how many rows it has, the number of the last one, and what that one holds."""

    rows: int
    last: int
    text: str


class Index:
    """The records of a repository, by what one may know of them. A context manager."""

    def __init__(self, repo: Repository, database: Database, decoder: codec.Decoder | None = None) -> None:
        """``decoder``: one that several indexes share, also those of other threads, and what they remember."""
        self._repo = repo
        self._database = database
        self._reader = Reader(repo)
        self._decoder = decoder or codec.Decoder()

    def __enter__(self) -> Index:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the database and of git."""
        self._reader.close()
        self._database.close()

    @property
    def path(self) -> str | None:
        """The database's file; None when it is in memory."""
        return self._database.path

    # One record

    def load(self, identifier: str) -> Record:
        """The record with this id. Raises ``NotFoundError``."""
        place = self._first("SELECT blob, start, length FROM records WHERE id = :id", id=identifier)
        if place is None:
            raise NotFoundError(f"no record has the id {identifier}", "roar log")
        return next(read.records(self._reader, self._decoder, [place]))

    def load_job(self, identifier: str) -> Job:
        """The job with this id. Raises ``NotFoundError``."""
        record = self.load(identifier)
        if not isinstance(record, Job):
            raise NotFoundError(f"{identifier} is a {record.kind}, not a job", "roar log")
        return record

    def load_jobs(self, identifiers: Iterable[str]) -> dict[str, Job]:
        """The jobs with these ids, in this order; unknown ones are absent."""
        wanted = list(dict.fromkeys(identifiers))
        found = self._rows("SELECT id, blob, start, length FROM records WHERE kind = 'job' AND id IN :ids", ids=wanted)
        places = {row[0]: row[1:] for row in found}
        known = [identifier for identifier in wanted if identifier in places]
        records = zip(known, read.records(self._reader, self._decoder, [places[i] for i in known]), strict=True)
        return {identifier: record for identifier, record in records if isinstance(record, Job)}

    def kind_of(self, identifier: str) -> Literal["job", "session"]:
        """What kind of record has this id. Raises ``NotFoundError``."""
        kind = self._first("SELECT kind FROM records WHERE id = :id", id=identifier)
        if kind is None:
            raise NotFoundError(f"no record has the id {identifier}", "roar log")
        return "job" if kind[0] == "job" else "session"

    def have(self, identifiers: Iterable[str]) -> set[str]:
        """Those of these ids that records of any kind have."""
        return set(self._texts("SELECT id FROM records WHERE id IN :ids", ids=list(identifiers)))

    def know(self, hashes: Iterable[str]) -> set[str]:
        """Those of these contents that any job read or wrote."""
        return set(self._texts("SELECT text FROM hashes WHERE text IN :hashes", hashes=list(hashes)))

    def place_of(self, identifier: str) -> str:
        """Where in the journal the things beside a record lie, as ``read.Stored.place``. Raises ``NotFoundError``."""
        place = self._first("SELECT oid FROM records WHERE id = :id", id=identifier)
        if place is None:
            raise NotFoundError(f"no record has the id {identifier}", "roar log")
        return str(place[0])

    def commits_of(self, identifiers: Iterable[str]) -> dict[str, str]:
        """The commits of the journal that hold these records, as first met; unknown ones are absent."""
        found = self._rows("SELECT id, oid FROM records WHERE id IN :ids", ids=list(identifiers))
        return {identifier: place.partition(":")[0] for identifier, place in found}

    def codes_of(self, jobs: Iterable[str]) -> list[str]:
        """The code commits that these jobs ran at."""
        return self._texts("SELECT DISTINCT code FROM records WHERE code IS NOT NULL AND id IN :jobs", jobs=list(jobs))

    def files(self, identifier: str) -> tuple[list[File], list[File]]:
        """The inputs and the outputs of a job, those in manifests included. Raises ``RoarError``."""
        job = self.load_job(identifier)

        def ask(place: str) -> tuple[list[File], list[File]]:
            return list(read.inputs(self._reader, place, job)), list(read.outputs(self._reader, place, job))

        return self._beside(identifier, ask)

    def _beside(self, identifier: str, ask: Callable[[str], T]) -> T:
        """What is asked of a place beside which the record's things lie: of the first that is whole enough."""
        *others, last = self._places(identifier)
        for place in others:
            with contextlib.suppress(RecordError, GitError):
                return ask(place)
        return ask(last)

    def first_files(self, identifier: str, most: int) -> tuple[list[File], list[File]]:
        """The same of a job whose files are in manifests, but of each side only the ``read.first`` ones."""
        job = self.load_job(identifier)
        if not job.input_shards and not job.output_shards:
            return job.inputs, job.outputs

        def ask(place: str) -> tuple[list[File], list[File]]:
            inputs, outputs = read.inputs(self._reader, place, job), read.outputs(self._reader, place, job)
            return read.first(inputs, most), read.first(outputs, most)

        return self._beside(identifier, ask)

    def overlay(self, identifier: str, beside: bytes = b"files") -> dict[str, str]:
        """The overlay files of a job: path to git blob id. ``beside`` is that of ``read.overlay``."""
        return read.overlay(self._reader, self._place_of_overlay(identifier), beside)

    def is_withheld(self, identifier: str) -> bool:
        """Whether the overlays of a job are not here because who shared it left them out."""
        return read.is_withheld(self._reader, self._place_of_overlay(identifier))

    def _place_of_overlay(self, identifier: str) -> str:
        first, *others = self._places(identifier)
        if others:  # one beside which all is well, if there is any
            job, company = self.load_job(identifier), Company(self._reader)
            first = next((p for p in (first, *others) if not any(company.overlay_faults(p, job))), first)
        return first

    def _places(self, identifier: str) -> list[str]:
        """Where in the journal the record is, one place at least. Raises ``NotFoundError``."""
        copies = self._texts("SELECT oid FROM copies WHERE id = :id ORDER BY oid", id=identifier)
        return [self.place_of(identifier), *copies]

    # Names to ids

    def find_ids(self, prefix: str) -> list[str]:
        """The ids of jobs and sessions that begin so, in their order."""
        if not prefix:
            return []
        found = "SELECT id FROM records WHERE id >= :from AND id < :to AND kind IN ('job', 'session') ORDER BY id"
        return self._beginning(f"{found} LIMIT :most", prefix, most=MOST_CANDIDATES)

    def find_others(self, prefix: str) -> list[str]:
        """The ids of other records (withdrawals, labels and so on) that begin so, in their order."""
        found = "SELECT id FROM records WHERE id >= :from AND id < :to AND kind NOT IN ('job', 'session') ORDER BY id"
        return self._beginning(f"{found} LIMIT :most", prefix, most=MOST_CANDIDATES)

    def find_hashes(self, prefix: str) -> list[str]:
        """The hashes of artifacts that begin so, in their order."""
        if not prefix:
            return []
        found = "SELECT text FROM hashes WHERE text >= :from AND text < :to ORDER BY text LIMIT :most"
        return self._beginning(found, prefix, most=MOST_CANDIDATES)

    def jobs_at(self, commit_prefix: str) -> list[str]:
        """The jobs that ran at the code commits that begin so, newest first."""
        if not commit_prefix:
            return []
        found = f"SELECT id FROM records r WHERE code >= :from AND code < :to AND {_LIVE} ORDER BY id DESC"
        return self._beginning(found, commit_prefix)

    def code_commits(self, prefix: str = "") -> list[str]:
        """The code commits that begin so at which any job ran, in their order."""
        found = "SELECT DISTINCT code FROM records WHERE code >= :from AND code < :to ORDER BY code"
        return self._beginning(found, prefix)

    # Jobs

    def jobs(self, session: str | None = None, limit: int | None = None, *, withdrawn: bool = False) -> list[str]:
        """The jobs, of one session or all, newest first; with those that were withdrawn when asked for."""
        live = "" if withdrawn else f"AND {_LIVE}"
        found = f"SELECT id FROM records r WHERE kind = 'job' {live} {_of(session)} ORDER BY id DESC LIMIT :limit"
        return self._texts(found, session=session, limit=_EVERYTHING if limit is None else limit)

    def count_jobs(self) -> int:
        """How many jobs there are."""
        return int(self._first(f"SELECT count(*) FROM records r WHERE kind = 'job' AND {_LIVE}")[0])

    def search(self, wanted: Wanted, limit: int | None = None) -> list[tuple[str, bool]]:
        """The jobs that are so, the newest or all, newest first, each with whether it was withdrawn."""
        conditions, values = search.where(wanted)
        few = wanted.paths is not None and len(wanted.paths) <= database.AT_ONCE  # so that one question is enough
        if few:
            conditions += " AND r.row IN (SELECT f.record FROM files f JOIN paths p ON p.row = f.path"
            conditions += " WHERE p.text IN :paths)"
            values["paths"] = wanted.paths
        whole = limit is None or wanted.label is not None or (wanted.paths is not None and not few)
        asked = f"SELECT id, withdrawn FROM records r WHERE {conditions} ORDER BY id DESC LIMIT :most"
        found = self._rows(asked, most=_EVERYTHING if whole else limit, **values)
        if wanted.paths is not None and not few:
            touching = f"SELECT DISTINCT r.id FROM {_PATHS} WHERE p.text IN :paths"
            touched = set(self._texts(touching, paths=wanted.paths))
            found = [row for row in found if row[0] in touched]
        if wanted.label is not None:
            labelled = self._with_label(*wanted.label)
            found = [row for row in found if row[0] in labelled]
        return [(job, bool(withdrawn)) for job, withdrawn in found[:limit]]

    def _with_label(self, key: str, value: str | None) -> set[str]:
        """The jobs that have a label, or whose session has it, or a content that they wrote."""
        targets = sorted(self.labelled(key, value))
        in_session = self._texts("SELECT id FROM records r WHERE kind = 'job' AND session IN :targets", targets=targets)
        wrote = f"SELECT DISTINCT r.id FROM {_USES} WHERE f.output = :output AND h.text IN :targets"
        return {*targets, *in_session, *self._texts(wrote, targets=targets, output=True)}

    def paths_beginning(self, prefix: str, most: int) -> list[str]:
        """The first recorded paths that begin so, in their order."""
        found = "SELECT text FROM paths WHERE text >= :from AND text < :to ORDER BY text LIMIT :most"
        return self._texts(found, **{"from": prefix, "to": prefix + "\U0010ffff", "most": most})

    def paths_like(self, glob: str) -> list[str]:
        """The recorded paths that may match a glob (see ``roar.config.globs``), and few others."""
        return self._texts("SELECT text FROM paths WHERE text LIKE :like ESCAPE '!'", like=search.like_of_glob(glob))

    def paths_ending(self, end: str, most: int) -> list[str]:
        """At most so many of the recorded paths that end so (in either case of letters, where SQLite says so)."""
        found = "SELECT text FROM paths WHERE text LIKE :like ESCAPE '!' ORDER BY text LIMIT :most"
        return self._texts(found, like="%" + search.escaped(end), most=most)

    def reproductions(self, job: str) -> list[str]:
        """The jobs that run this one again, newest first."""
        found = f"SELECT id FROM records r WHERE reproduces = :job AND {_LIVE} ORDER BY id DESC"
        return self._texts(found, job=job)

    def originals(self, jobs: Iterable[str]) -> dict[str, str]:
        """The jobs that run one of these again, each with that one."""
        found = f"SELECT id, reproduces FROM records r WHERE {_LIVE} AND reproduces IN :jobs"
        return dict(self._rows(found, jobs=list(jobs)))

    def sessions(self) -> list[str]:
        """All sessions, newest first."""
        return self._texts("SELECT id FROM records WHERE kind = 'session' ORDER BY id DESC")

    def jobs_by_session(self) -> dict[str, int]:
        """How many jobs each session has, not counting those that were withdrawn."""
        found = f"SELECT session, count(*) FROM records r WHERE kind = 'job' AND {_LIVE} GROUP BY session"
        return dict(self._rows(found))

    def latest_session(self) -> str | None:
        """The newest session that is a person's work, not a reproduction."""
        found = (
            f"SELECT id FROM records r WHERE kind = 'session' AND role = 'work' AND {_LIVE} ORDER BY id DESC LIMIT 1"
        )
        return next(iter(self._texts(found)), None)

    def steps(self, session: str) -> list[Step]:
        """Each run of each step of a session, oldest first; jobs that run another one again are left out."""
        found = self._rows(
            "SELECT role, step, id, ok FROM records r"
            f" WHERE session = :session AND kind = 'job' AND reproduces IS NULL AND {_LIVE} ORDER BY id",
            session=session,
        )
        return [Step((role, step), job, bool(ok)) for role, step, job, ok in found]

    def latest_of_step(self, session: str, role: str, command: Command) -> str | None:
        """The latest job of a session that is a run of the step which a command is one of."""
        found = self._first(
            "SELECT max(id) FROM records r WHERE session = :session AND role = :role"
            f" AND step = :step AND kind = 'job' AND reproduces IS NULL AND {_LIVE}",
            session=session,
            role=role,
            step=extract.step_key(command),
        )
        return found[0] if found else None

    def last_writers(self, session: str) -> dict[tuple[str, str], list[str]]:
        """Of each step of a session, by key: the jobs that were the last to write one of its outputs, oldest first."""
        last = (
            "SELECT DISTINCT role, step, id FROM"
            " (SELECT r.role, r.step, max(r.id) AS id FROM records r JOIN files f ON f.record = r.row"
            f" WHERE r.session = :session AND r.kind = 'job' AND r.reproduces IS NULL AND {_LIVE} AND f.output = 1"
            " GROUP BY r.role, r.step, f.path) AS last ORDER BY id"
        )
        found: dict[tuple[str, str], list[str]] = {}
        for role, step, job in self._rows(last, session=session):
            found.setdefault((role, step), []).append(job)
        return found

    def with_gaps(self, session: str | None = None) -> list[str]:
        """The jobs whose records say that they do not know everything, newest first."""
        found = f"SELECT id FROM records r WHERE gaps > 0 AND {_LIVE} {_of(session)} ORDER BY id DESC"
        return self._texts(found, session=session)

    def broken(self) -> list[tuple[str, str]]:
        """The (object id, reason) of everything in the journal that could not be read."""
        return self._rows("SELECT oid, reason FROM broken ORDER BY reason")

    # Artifacts

    def producers(self, content: str) -> list[str]:
        """The jobs that wrote this content, newest first, those that run another again after all others."""
        return self._users(content, output=True)

    def consumers(self, content: str) -> list[str]:
        """The jobs that read this content, newest first, those that run another again after all others."""
        return self._users(content, output=False)

    def versions(self, path: str, most: int | None = None) -> list[tuple[str, str]]:
        """Each known content that a job wrote to a path, with the job: as in ``producers``, the first or all."""
        return self._at_path(path, most, output=True)

    def readers_of_path(self, path: str, most: int | None = None) -> list[tuple[str, str]]:
        """Each known content that a job read from a path, with the job: as in ``consumers``, the first or all."""
        return self._at_path(path, most, output=False)

    def names(self, content: str) -> list[Use]:
        """The paths at which this content was seen, those it was written to first, then by path."""
        found = self._rows(
            f"SELECT p.text, h.text, max(f.size), max(f.code) FROM {_NAMED_USES} WHERE h.text = :content"
            " GROUP BY p.text, h.text ORDER BY max(f.output) DESC, p.text",
            content=content,
        )
        return [_use(*row) for row in found]

    def _users(self, content: str, *, output: bool) -> list[str]:
        found = f"SELECT r.id FROM {_USES} WHERE h.text = :content AND f.output = :output AND {_LIVE}"
        grouped = f"{found} GROUP BY r.id, r.reproduces {_ORIGINALS_FIRST}"
        return self._texts(grouped, content=content, output=output)

    def _at_path(self, path: str, most: int | None, *, output: bool) -> list[tuple[str, str]]:
        # the hashes of those that are left are looked up, not of all: thousands of jobs may write to one path
        first = (
            "SELECT f.hash, r.id, r.reproduces FROM files f JOIN records r ON r.row = f.record"
            " JOIN paths p ON p.row = f.path"
            f" WHERE p.text = :path AND f.output = :output AND f.hash IS NOT NULL AND {_LIVE}"
            f" {_ORIGINALS_FIRST} LIMIT :most"
        )
        found = f"SELECT h.text, r.id FROM ({first}) AS r JOIN hashes h ON h.row = r.hash {_ORIGINALS_FIRST}"
        return self._rows(found, path=path, output=output, most=_EVERYTHING if most is None else most)

    # What lineage asks

    def nearby(self, jobs: Iterable[str], *, down: bool, limit: int) -> list[str]:
        """The jobs and those that content connects them to, nearest first, about ``limit`` in all."""
        asked = list(dict.fromkeys(jobs))
        found: dict[str, None] = dict.fromkeys(asked)
        # A job is its row, a content the negative of its own: so a popular content is visited once, where a join of
        # its writers with its readers would take their product.
        walk = (
            "WITH RECURSIVE walk(node) AS ("
            "SELECT row FROM records WHERE id IN :jobs"
            " UNION SELECT CASE WHEN walk.node > 0 THEN -f.hash ELSE f.record END FROM walk JOIN files f"
            " ON (f.record = walk.node AND f.output = :down AND f.hash IS NOT NULL)"
            " OR (f.hash = -walk.node AND f.output = :up))"
            " SELECT r.id FROM (SELECT node FROM walk LIMIT :most) AS nodes JOIN records r ON r.row = nodes.node"
        )
        found.update(dict.fromkeys(self._texts(walk, jobs=asked, down=down, up=not down, most=limit * 4)))
        return list(found)

    def spans(self, jobs: Iterable[str]) -> dict[str, Span]:
        """When each job ran."""
        found = self._rows(
            "SELECT id, started_ns, ended_ns, reproduces IS NOT NULL FROM records WHERE kind = 'job' AND id IN :jobs",
            jobs=list(jobs),
        )
        return {job: Span(started_ns, ended_ns, bool(again)) for job, started_ns, ended_ns, again in found}

    def uses(self, jobs: Iterable[str]) -> dict[str, tuple[list[Use], list[Use]]]:
        """The inputs and the outputs of each job that has any, by path."""
        found = self._rows(
            "SELECT r.id, f.output, p.text, h.text, f.size, f.code FROM records r JOIN files f ON f.record = r.row"
            " JOIN paths p ON p.row = f.path LEFT JOIN hashes h ON h.row = f.hash WHERE r.id IN :jobs",
            jobs=list(jobs),
        )
        uses: dict[str, tuple[list[Use], list[Use]]] = {}
        for job, output, *use in found:
            uses.setdefault(job, ([], []))[output].append(_use(*use))
        for inputs, outputs in uses.values():
            inputs.sort(key=lambda use: use.path)
            outputs.sort(key=lambda use: use.path)
        return uses

    def made(self, hashes: Iterable[str]) -> dict[str, list[Made]]:
        """Who wrote each content, in order of start."""
        found = self._rows(
            f"SELECT h.text, r.id, p.text, r.started_ns, r.reproduces IS NOT NULL FROM {_NAMED_USES}"
            f" WHERE f.output = 1 AND {_LIVE} AND h.text IN :hashes",
            hashes=list(hashes),
        )
        made: dict[str, list[Made]] = {}
        for content, job, path, started_ns, again in found:
            made.setdefault(content, []).append(Made(job, path, started_ns, bool(again)))
        for makers in made.values():
            makers.sort(key=lambda m: (m.started_ns, m.job, m.path))
        return made

    def read_by(self, hashes: Iterable[str]) -> dict[str, list[str]]:
        """The jobs that read each content."""
        found = f"SELECT h.text, r.id FROM {_USES} WHERE f.output = 0 AND {_LIVE} AND h.text IN :hashes"
        readers: dict[str, list[str]] = {}
        for content, job in self._rows(found, hashes=list(hashes)):
            readers.setdefault(content, []).append(job)
        return readers

    # What is said of records and artifacts

    def corrections(self, kind: str, targets: Iterable[str]) -> dict[str, list[str]]:
        """Of each target (record id or hash) of which any record of a kind says something: those records, in order."""
        found: dict[str, list[str]] = {}
        asked = "SELECT target, id FROM corrections WHERE kind = :kind AND target IN :targets ORDER BY id"
        for target, identifier in self._rows(asked, kind=kind, targets=list(targets)):
            found.setdefault(target, []).append(identifier)
        return found

    def withdrawn(self, session: str | None = None) -> list[str]:
        """The jobs that were withdrawn, of one session or all, newest first."""
        named = "SELECT target FROM corrections WHERE kind = 'withdrawal'"  # few: the records are found by them
        found = f"SELECT id FROM records WHERE kind = 'job' AND id IN ({named}) {_of(session)} ORDER BY id DESC"
        return self._texts(found, session=session)

    def withdrawn_makers(self, hashes: Iterable[str]) -> dict[str, str]:
        """Of each content that withdrawn jobs wrote, the newest of them."""
        found = f"SELECT h.text, max(r.id) FROM {_USES} WHERE f.output = 1 AND r.withdrawn = 1 AND h.text IN :hashes"
        return dict(self._rows(f"{found} GROUP BY h.text", hashes=list(hashes)))

    def tombstones(self) -> list[str]:
        """The ids of all records that were purged."""
        return sorted(self._texts(BURIED))

    # Labels and collections

    def labels(self, targets: Iterable[str]) -> dict[str, dict[str, str]]:
        """The labels of each target (record id or hash) that has any."""
        found: dict[str, dict[str, str]] = {}
        asked = f"SELECT target, key, value FROM {_LATEST} AND n.kind = 'label' AND n.target IN :targets ORDER BY key"
        for target, key, value in self._rows(asked, targets=list(targets)):
            if value is not None:
                found.setdefault(target, {})[key] = value
        return found

    def labelled(self, key: str, value: str | None = None) -> set[str]:
        """The targets that have a label, with this value or any."""
        asked = f"SELECT target, value FROM {_LATEST} AND n.kind = 'label' AND n.key = :key"
        rows = self._rows(asked, key=key)
        return {target for target, found in rows if found is not None and value in (None, found)}

    def collection(self, name: str) -> list[str]:
        """The hashes of the artifacts in a collection, in their order."""
        asked = f"SELECT target FROM {_LATEST} AND n.kind = 'collection' AND n.key = :name AND n.value IS NOT NULL"
        return self._texts(f"{asked} ORDER BY target", name=name)

    def collections(self) -> dict[str, int]:
        """Every collection that is not empty, with the number of its artifacts, by name."""
        asked = f"SELECT key, count(*) FROM {_LATEST} AND n.kind = 'collection' AND n.value IS NOT NULL"
        return dict(self._rows(f"{asked} GROUP BY key ORDER BY key"))

    def collections_of(self, content: str) -> list[str]:
        """The collections that an artifact is in, by name."""
        asked = f"SELECT key FROM {_LATEST} AND n.kind = 'collection' AND n.target = :content AND n.value IS NOT NULL"
        return self._texts(f"{asked} ORDER BY key", content=content)

    def digests(self, content: str) -> dict[str, str]:
        """The digests of a content by other algorithms that jobs recorded."""
        asked = "SELECT key, value FROM namings WHERE kind = 'digest' AND target = :content"
        return dict(self._rows(asked, content=content))

    def contents_of_digest(self, text: str, algorithms: Iterable[str]) -> list[str]:
        """The contents of which this is the digest by one of the algorithms, as a job recorded it or a label says."""
        asked = f"SELECT DISTINCT target FROM {_LATEST} AND n.kind IN ('digest', 'label') AND n.value = :text"
        return self._texts(f"{asked} AND n.key IN :algorithms", text=text, algorithms=list(algorithms))

    def latest_naming(self) -> int:
        """The largest clock of a label or of a change of a collection; 0 when there is none."""
        found = self._first("SELECT max(id) FROM namings")[0]
        return clock_of(found) if found else 0

    # What whoever copies from here asks

    def extent(self, table: Literal["records", "hashes"], since: Extent | None = None) -> Extent | None:
        """How far a table goes; None when it lost rows ``since`` then, and did not only grow."""
        rows, last = self._first(f"SELECT count(*), max(row) FROM {table}")
        then = since or Extent(0, 0, "")
        asked = f"SELECT row, {_CONTENT[table]} FROM {table} WHERE row = :last OR row = :then"
        held = dict(self._rows(asked, last=last or 0, then=then.last))
        new = self._first(f"SELECT count(*) FROM {table} WHERE row > :then", then=then.last)[0]
        if held.get(then.last, "") != then.text or rows - then.rows != new:
            return None
        return Extent(rows, last or 0, held.get(last, ""))

    def after(self, table: Literal["records", "hashes"], row: int, at_once: int) -> Iterator[list[Any]]:
        """The rows of a table after one, in portions: (row, hash), or (row, id, kind, the job that it runs again)."""
        columns = {"records": "row, id, kind, reproduces", "hashes": "row, text"}[table]
        asked = f"SELECT {columns} FROM {table} WHERE row > :row ORDER BY row LIMIT :most"
        while some := self._rows(asked, row=row, most=at_once):
            yield some
            row = some[-1][0]

    def packages_read(self, jobs: Iterable[str]) -> dict[str, list[tuple[str, str]]]:
        """The packages that each job read files of, by name and version. Raises ``GitError``."""
        asked = "SELECT id, blob, start, length FROM records WHERE kind = 'job' AND id IN :ids"
        found = self._rows(asked, ids=list(jobs))
        read_again = read.bodies(self._reader, [tuple(row[1:]) for row in found])
        return {row[0]: codec.packages_read(body) for row, body in zip(found, read_again, strict=True)}

    # The database

    def _rows(self, statement: str, **values: Any) -> list[Any]:
        return self._database.use(lambda connection: database.rows(connection, statement, values))

    def _first(self, statement: str, **values: Any) -> Any:
        return next(iter(self._rows(statement, **values)), None)

    def _texts(self, statement: str, **values: Any) -> list[str]:
        return [row[0] for row in self._rows(statement, **values)]

    def _beginning(self, statement: str, prefix: str, **values: Any) -> list[str]:
        """The texts from ``:from`` on and before ``:to``: those that begin with a prefix of letters and digits."""
        return self._texts(statement, **{"from": prefix, "to": prefix + "~"}, **values)


def _of(session: str | None) -> str:
    return "" if session is None else "AND session = :session"


def _use(path: str, content: str | None, size: int, code: int) -> Use:
    return Use(path, content, size, bool(code))


def open_index(repo: Repository) -> Index:
    """The index of a repository, up to date. Raises ``GitError`` when the journal cannot be read at all."""
    _bring_in(repo)

    def fill(connection: Connection) -> None:
        build.update(connection, repo)

    rows = Database(path_of(repo), fill)
    rows.use(lambda _: None)
    return Index(repo, rows)


def path_of(repo: Repository) -> str:
    """Where the index's file is, or would be."""
    return os.path.join(repo.own_dir, f"index-{database.VERSION}.db")


def forgive(repo: Repository) -> None:
    """Let the next question try again to read what could not be read, whenever that was tried last."""
    path = path_of(repo)
    if os.path.exists(path):
        with contextlib.suppress(DatabaseError), contextlib.closing(database.connect(path)) as connection:
            connection.execute("UPDATE broken SET tried = 0 WHERE tried IS NOT NULL")


def _bring_in(repo: Repository) -> None:
    """Whatever waits in the spool belongs to the answer; whatever hinders it is the next command's trouble."""
    try:
        append.bring_in(repo)
    except (OSError, RoarError) as error:
        log.debug("the spool could not be brought in: %s", error)
