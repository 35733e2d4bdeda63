"""The sessions that are known here, by name, and what became of them."""

from __future__ import annotations

from typing import Literal, NamedTuple

from roar.cache.index import Index
from roar.errors import AmbiguousError, NotFoundError, RoarError
from roar.git import settings
from roar.git.repository import Repository
from roar.journal.append import append
from roar.paths import from_fs
from roar.records import ids
from roar.records.about import Close
from roar.records.ids import clock_of
from roar.records.job import Session
from roar.records.summary import printable
from roar.verbs import sessions

State = Literal["open", "closed", "withdrawn"]
SHORTEST = 4


class Row(NamedTuple):
    """A session with the number of its jobs, not counting withdrawn ones."""

    id: str
    session: Session
    state: State
    jobs: int


def table(index: Index) -> list[Row]:
    """All sessions, newest first."""
    known = index.sessions()
    closed = index.corrections("close", known)
    withdrawn = index.corrections("withdrawal", known)
    counts = index.jobs_by_session()
    rows = []
    for identifier in known:
        record = index.load(identifier)
        if isinstance(record, Session):
            state: State = "withdrawn" if identifier in withdrawn else "closed" if identifier in closed else "open"
            rows.append(Row(identifier, record, state, counts.get(identifier, 0)))
    return rows


def find(index: Index, text: str) -> Row:
    """The session with this name, the newest open one of several, or with an id that begins so.

    Raises ``NotFoundError`` or ``AmbiguousError``.
    """
    rows = table(index)
    named = [row for row in rows if row.session.name == from_fs(text)]
    if named:
        return next((row for row in named if row.state == "open"), named[0])
    prefix = ids.normalise(text)
    begun = [row for row in rows if prefix and len(prefix) >= SHORTEST and row.id.startswith(prefix)]
    if len(begun) > 1:
        raise AmbiguousError(f"{printable(text)} may be {', '.join(row.id for row in begun[:5])}", "type more of it")
    if not begun:
        raise NotFoundError(f"there is no session {printable(text)}", "roar session list")
    return begun[0]


def find_or_active(index: Index, repo: Repository, text: str | None) -> Row:
    """The session with this name or id, or the active one. Raises ``NotFoundError`` when there is none."""
    active = sessions.active(repo)
    if text is None and active is None:
        raise NotFoundError("no session is active here", "roar session new NAME")
    return find(index, text or active or "")


def new(index: Index, repo: Repository, name: str | None) -> str:
    """Begin a session and make it the active one. Raises ``RoarError`` when an open one has the name."""
    known = from_fs(name) if name else None
    same = [row for row in table(index) if known and row.session.name == known and row.state == "open"]
    if same:
        raise RoarError(f"there is an open session {printable(name or '')}: {same[0].id}", "roar session use NAME")
    identifier = sessions.begin(repo, name=known)
    sessions.activate(repo, identifier)
    return identifier


def use(index: Index, repo: Repository, text: str) -> Row:
    """Make a session the active one of this work tree. Raises ``RoarError`` when it takes no more jobs."""
    row = find(index, text)
    if row.state != "open":
        raise RoarError(f"the session {printable(text)} is {row.state}", "roar session new NAME")
    sessions.activate(repo, row.id)
    return row


def close(index: Index, repo: Repository, text: str | None) -> Row:
    """Record that a session is ended. The next job of this work tree begins a new one, if it was the active one."""
    row = find_or_active(index, repo, text)
    if row.state != "open":
        raise RoarError(f"the session {row.id} is {row.state} already", "roar session list")
    who = from_fs(settings.identity(repo))

    def draft(clock: int, writer: str) -> Close:
        return Close(clock=clock, writer=writer, user=who, session=row.id)

    append(repo, draft, after=clock_of(row.id))
    sessions.leave(repo, [row.id])
    return row
