"""Asking the index. Every answer is ids; what they stand for is read back from the record itself.

"Newest first" is by record id, which begins with the record's clock, so that every clone gives the same order.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterable
from typing import Any, Literal, NamedTuple

from sqlalchemy import Connection, Select, case, func, literal, or_, select

from roar.cache import build, schema
from roar.cache.database import Database
from roar.errors import NotFoundError, RecordError, RoarError
from roar.git.objects import Reader
from roar.git.repository import Repository
from roar.journal import append, read
from roar.lineage import Made, Span, Use
from roar.records.job import File, Job, Session

log = logging.getLogger(__name__)

MOST_CANDIDATES = 100
"""Answers to a prefix: nobody reads more."""

_R, _F, _P, _H = schema.records.c, schema.files.c, schema.paths.c, schema.hashes.c
_ORIGINALS_FIRST = (_R.reproduces.is_not(None), _R.id.desc())


class Step(NamedTuple):
    """One run of a step of a session."""

    key: str
    job: str
    ok: bool


class Index:
    """The records of a repository, by what one may know of them. A context manager."""

    def __init__(self, repo: Repository, database: Database) -> None:
        self._repo = repo
        self._database = database
        self._reader = Reader(repo)

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

    def load(self, identifier: str) -> Job | Session:
        """The record with this id. Raises ``NotFoundError``."""
        place = self._first(select(_R.blob, _R.start, _R.length).where(_R.id == identifier))
        if place is None:
            raise NotFoundError(f"no record has the id {identifier}", "roar log")
        record = read.record(self._reader, *place)
        if not isinstance(record, Job | Session):
            raise RecordError(f"{identifier} is a {record.kind}")
        return record

    def load_job(self, identifier: str) -> Job:
        """The job with this id. Raises ``NotFoundError``."""
        record = self.load(identifier)
        if not isinstance(record, Job):
            raise NotFoundError(f"{identifier} is a {record.kind}, not a job", "roar log")
        return record

    def load_jobs(self, identifiers: Iterable[str]) -> dict[str, Job]:
        """The jobs with these ids, in this order; unknown ones are absent."""
        wanted = list(dict.fromkeys(identifiers))
        found = select(_R.id, _R.blob, _R.start, _R.length).where(_R.kind == "job")
        places = {row[0]: row[1:] for row in self._for_each(found, _R.id, wanted)}
        records = {i: read.record(self._reader, *places[i]) for i in wanted if i in places}
        return {identifier: record for identifier, record in records.items() if isinstance(record, Job)}

    def kind_of(self, identifier: str) -> Literal["job", "session"]:
        """What kind of record has this id. Raises ``NotFoundError``."""
        kind = self._first(select(_R.kind).where(_R.id == identifier))
        if kind is None:
            raise NotFoundError(f"no record has the id {identifier}", "roar log")
        return "job" if kind[0] == "job" else "session"

    def commit_of(self, identifier: str) -> str:
        """The id of the journal's commit that holds a record. Raises ``NotFoundError``."""
        place = self._first(select(_R.oid).where(_R.id == identifier))
        if place is None:
            raise NotFoundError(f"no record has the id {identifier}", "roar log")
        return str(place[0])

    def files(self, identifier: str) -> tuple[list[File], list[File]]:
        """The inputs and the outputs of a job, those in manifests included. Raises ``RoarError``."""
        job, commit = self.load_job(identifier), self.commit_of(identifier)
        return read.inputs(self._reader, commit, job), read.outputs(self._reader, commit, job)

    def overlay(self, identifier: str) -> dict[str, str]:
        """The overlay files of a job: path to git blob id."""
        return read.overlay(self._reader, self.commit_of(identifier))

    # Names to ids

    def find_ids(self, prefix: str) -> list[str]:
        """The ids of jobs and sessions that begin so, in their order."""
        if not prefix:
            return []
        found = select(_R.id).where(_R.id >= prefix, _R.id < prefix + "~").order_by(_R.id)
        return self._texts(found.limit(MOST_CANDIDATES))

    def find_hashes(self, prefix: str) -> list[str]:
        """The hashes of artifacts that begin so, in their order."""
        if not prefix:
            return []
        found = select(_H.text).where(_H.text >= prefix, _H.text < prefix + "~").order_by(_H.text)
        return self._texts(found.limit(MOST_CANDIDATES))

    def jobs_at(self, commit_prefix: str) -> list[str]:
        """The jobs that ran at the code commits that begin so, newest first."""
        if not commit_prefix:
            return []
        return self._texts(
            select(_R.id).where(_R.code >= commit_prefix, _R.code < commit_prefix + "~").order_by(_R.id.desc())
        )

    def code_commits(self, prefix: str = "") -> list[str]:
        """The code commits that begin so at which any job ran, in their order."""
        return self._texts(
            select(_R.code).where(_R.code >= prefix, _R.code < prefix + "~").distinct().order_by(_R.code)
        )

    # Jobs

    def jobs(self, session: str | None = None, limit: int | None = None) -> list[str]:
        """The jobs, of one session or all, newest first."""
        found = select(_R.id).where(_R.kind == "job").order_by(_R.id.desc()).limit(limit)
        return self._texts(found if session is None else found.where(_R.session == session))

    def count_jobs(self) -> int:
        """How many jobs there are."""
        found = self._first(select(func.count()).where(_R.kind == "job"))
        return int(found[0]) if found else 0

    def reproductions(self, job: str) -> list[str]:
        """The jobs that run this one again, newest first."""
        return self._texts(select(_R.id).where(_R.reproduces == job).order_by(_R.id.desc()))

    def latest_session(self) -> str | None:
        """The newest session that is a person's work, not a reproduction."""
        found = self._texts(
            select(_R.id).where(_R.kind == "session", _R.role == "work").order_by(_R.id.desc()).limit(1)
        )
        return found[0] if found else None

    def steps(self, session: str) -> list[Step]:
        """Each run of each step of a session, oldest first; jobs that run another one again are left out."""
        found = select(_R.step, _R.id, _R.ok).where(_R.session == session, _R.kind == "job", _R.reproduces.is_(None))
        return [Step(*row) for row in self._rows(found.order_by(_R.id))]

    def last_writers(self, session: str) -> dict[str, list[str]]:
        """Of each step of a session, by key: the jobs that were the last to write one of its outputs, oldest first."""
        last = (
            select(_R.step, func.max(_R.id).label("id"))
            .where(_R.session == session, _R.kind == "job", _R.reproduces.is_(None))
            .where(_F.record == _R.row, _F.output.is_(True))
            .group_by(_R.step, _F.path)
            .subquery()
        )
        found: dict[str, list[str]] = {}
        for key, job in self._rows(select(last.c.step, last.c.id).distinct().order_by(last.c.id)):
            found.setdefault(key, []).append(job)
        return found

    def with_gaps(self, session: str | None = None) -> list[str]:
        """The jobs whose records say that they do not know everything, newest first."""
        found = select(_R.id).where(_R.gaps > 0).order_by(_R.id.desc())
        return self._texts(found if session is None else found.where(_R.session == session))

    def broken(self) -> list[tuple[str, str]]:
        """The (object id, reason) of everything in the journal that could not be read."""
        table = schema.broken.c
        return [(oid, reason) for oid, reason in self._rows(select(table.oid, table.reason).order_by(table.reason))]

    # Artifacts

    def producers(self, content: str) -> list[str]:
        """The jobs that wrote this content, newest first, those that run another again after all others."""
        return self._users(content, output=True)

    def consumers(self, content: str) -> list[str]:
        """The jobs that read this content, newest first, those that run another again after all others."""
        return self._users(content, output=False)

    def versions(self, path: str) -> list[tuple[str, str]]:
        """Each known content that a job wrote to a path, with the job: as in ``producers``."""
        found = select(_H.text, _R.id).where(_P.text == path, _F.path == _P.row, _F.output.is_(True))
        rows = self._rows(found.where(_F.hash == _H.row, _F.record == _R.row).order_by(*_ORIGINALS_FIRST))
        return [(content, job) for content, job in rows]

    def readers_of_path(self, path: str) -> list[tuple[str, str]]:
        """Each known content that a job read from a path, with the job: as in ``consumers``."""
        found = select(_H.text, _R.id).where(_P.text == path, _F.path == _P.row, _F.output.is_(False))
        rows = self._rows(found.where(_F.hash == _H.row, _F.record == _R.row).order_by(*_ORIGINALS_FIRST))
        return [(content, job) for content, job in rows]

    def names(self, content: str) -> list[Use]:
        """The paths at which this content was seen, those it was written to first, then by path."""
        wrote = func.max(_F.output)
        found = select(_P.text, _H.text, func.max(_F.size), func.max(_F.code)).where(
            _H.text == content, _F.hash == _H.row, _F.path == _P.row
        )
        return [Use(*row) for row in self._rows(found.group_by(_P.text, _H.text).order_by(wrote.desc(), _P.text))]

    def _users(self, content: str, *, output: bool) -> list[str]:
        found = select(_R.id).where(_H.text == content, _F.hash == _H.row, _F.output.is_(output), _F.record == _R.row)
        return self._texts(found.group_by(_R.id).order_by(*_ORIGINALS_FIRST))

    # What lineage asks

    def nearby(self, jobs: Iterable[str], *, down: bool, limit: int) -> list[str]:
        """The jobs and those that content connects them to, nearest first, about ``limit`` in all."""
        asked = list(dict.fromkeys(jobs))
        found: dict[str, None] = dict.fromkeys(asked)
        for some in build.chunks(asked):
            # A job is its row, a content the negative of its own: so a popular content is visited once, where a
            # join of its writers with its readers would take their product.
            roots = select(_R.row.label("node")).where(_R.id.in_(some))
            walk = roots.cte("walk", recursive=True)
            node = walk.c.node
            there = case((node > 0, -_F.hash), else_=_F.record)
            from_job = (_F.record == node) & (_F.output == literal(down)) & _F.hash.is_not(None)
            from_content = (_F.hash == -node) & (_F.output == literal(not down))
            walk = walk.union(select(there).where(or_(from_job, from_content)))
            nodes = select(walk.c.node).limit(limit * 4).subquery()
            found.update(dict.fromkeys(self._texts(select(_R.id).where(_R.row == nodes.c.node))))
        return list(found)

    def spans(self, jobs: Iterable[str]) -> dict[str, Span]:
        """When each job ran."""
        found = select(_R.id, _R.started_ns, _R.ended_ns, _R.reproduces.is_not(None)).where(_R.kind == "job")
        return {row[0]: Span(row[1], row[2], bool(row[3])) for row in self._for_each(found, _R.id, jobs)}

    def uses(self, jobs: Iterable[str]) -> dict[str, tuple[list[Use], list[Use]]]:
        """The inputs and the outputs of each job that has any, by path."""
        found = select(_R.id, _F.output, _P.text, _H.text, _F.size, _F.code).join_from(
            schema.records, schema.files, _F.record == _R.row
        )
        found = found.join(schema.paths, _P.row == _F.path).outerjoin(schema.hashes, _H.row == _F.hash)
        uses: dict[str, tuple[list[Use], list[Use]]] = {}
        for job, output, *use in self._for_each(found, _R.id, jobs):
            uses.setdefault(job, ([], []))[output].append(Use(*use))
        for inputs, outputs in uses.values():
            inputs.sort(key=lambda use: use.path)
            outputs.sort(key=lambda use: use.path)
        return uses

    def made(self, hashes: Iterable[str]) -> dict[str, list[Made]]:
        """Who wrote each content, in order of start."""
        found = select(_H.text, _R.id, _P.text, _R.started_ns, _R.reproduces.is_not(None)).where(
            _F.hash == _H.row, _F.output.is_(True), _R.row == _F.record, _P.row == _F.path
        )
        made: dict[str, list[Made]] = {}
        for content, job, path, started_ns, again in self._for_each(found, _H.text, hashes):
            made.setdefault(content, []).append(Made(job, path, started_ns, bool(again)))
        for makers in made.values():
            makers.sort(key=lambda m: (m.started_ns, m.job, m.path))
        return made

    def read_by(self, hashes: Iterable[str]) -> dict[str, list[str]]:
        """The jobs that read each content."""
        found = select(_H.text, _R.id).where(_F.hash == _H.row, _F.output.is_(False), _R.row == _F.record)
        readers: dict[str, list[str]] = {}
        for content, job in self._for_each(found, _H.text, hashes):
            readers.setdefault(content, []).append(job)
        return readers

    # The database

    def _for_each(self, statement: Select[Any], column: Any, values: Iterable[str]) -> list[Any]:
        rows: list[Any] = []
        for some in build.chunks(list(values)):
            rows += self._rows(statement.where(column.in_(some)))
        return rows

    def _rows(self, statement: Any) -> list[Any]:
        return self._database.use(lambda connection: list(connection.execute(statement)))

    def _first(self, statement: Select[Any]) -> Any:
        rows = self._rows(statement)
        return rows[0] if rows else None

    def _texts(self, statement: Any) -> list[str]:
        return [row[0] for row in self._rows(statement)]


def open_index(repo: Repository) -> Index:
    """The index of a repository, up to date. Raises ``GitError`` when the journal cannot be read at all."""
    _bring_in(repo)

    def fill(connection: Connection) -> None:
        build.update(connection, repo)

    database = Database(path_of(repo), fill)
    database.use(lambda _: None)
    return Index(repo, database)


def path_of(repo: Repository) -> str:
    """Where the index's file is, or would be."""
    return os.path.join(repo.own_dir, f"index-{schema.VERSION}.db")


def _bring_in(repo: Repository) -> None:
    """Whatever waits in the spool belongs to the answer; whatever hinders it is the next command's trouble."""
    try:
        append.bring_in(repo)
    except (OSError, RoarError) as error:
        log.debug("the spool could not be brought in: %s", error)
