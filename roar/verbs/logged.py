"""Whether what a server has of our records is in its log, and the log still the one that was seen before."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import NamedTuple

from roar.errors import RecordError, RoarError
from roar.git import refs
from roar.git.repository import Repository
from roar.glaas import watch
from roar.glaas.address import Address
from roar.glaas.client import Client
from roar.hashing import digest_bytes
from roar.journal import REMOTES, read
from roar.records import codec
from roar.verbs import auth, glaas


class Logged(NamedTuple):
    """How records stand in the log of a remote's project: of ``size`` entries, so many are shown to be ours.

    ``missing`` are records that the remote is known to have and its log lacks. ``suspicion`` says what contradicts what
    was seen of the log before, ``unchecked`` why it could not be asked.
    """

    remote: str
    server: str
    project: str
    size: int = 0
    included: int = 0
    missing: tuple[str, ...] = ()
    suspicion: str = ""
    unchecked: str = ""

    @property
    def is_good(self) -> bool:
        """False when something is wrong with the log; True also when it could not be asked."""
        return not (self.missing or self.suspicion)


def standings(repo: Repository, wanted: set[str] | None = None) -> Iterator[Logged]:
    """How the records, or those of some ids, stand in the logs of all servers that remotes here are projects of."""
    for remote, project in glaas.projects(repo).items():
        try:
            yield check(repo, remote, project, wanted)
        except watch.SuspectError as error:
            yield Logged(remote, *project, suspicion=f"{error.message} (next: {error.hint})")
        except RoarError as error:
            yield Logged(remote, *project, unchecked=error.message)


def tips(repo: Repository, remote: str) -> list[str]:
    """The ends of the chains that a remote is known to have."""
    return sorted(refs.listing(repo, f"{REMOTES}{remote}/jobs/", f"{REMOTES}{remote}/archive/").values())


def check(repo: Repository, remote: str, project: Address, wanted: set[str] | None = None) -> Logged:
    """Ask the log of a remote's project for all records that the remote has, or for those of some ids.

    Raises ``watch.SuspectError`` when the log contradicts itself, ``RoarError``.
    """
    return _ask(remote, project, read.since(repo, tips(repo, remote)), wanted)


def confirm(repo: Repository, remote: str, project: Address, places: Mapping[str, str]) -> Logged:
    """Ask the log for records, id to the commit of the journal that holds it, which the remote has just taken.

    Raises as ``check`` does.
    """
    return _ask(remote, project, read.of_commits(repo, set(places.values())), set(places))


def _ask(remote: str, project: Address, items: Iterable[read.Stored | read.Broken], wanted: set[str] | None) -> Logged:
    records = {}
    for item in items:
        identifier = _identify(item)
        if isinstance(item, read.Stored) and identifier and (wanted is None or identifier in wanted):
            records[identifier] = digest_bytes(item.body)
    at, there = auth.ask(project, _question(project.project, records))
    missing = tuple(sorted(records.keys() - there))
    return Logged(remote, project.origin, project.project, at, len(there), missing)


def _question(project: str, records: dict[str, str]) -> Callable[[Client, str | None], tuple[int, set[str]]]:
    def question(client: Client, token: str | None) -> tuple[int, set[str]]:
        at = watch.newest(client, project, token)
        return at.size, watch.included(client, token, at, records)

    return question


def _identify(item: read.Stored | read.Broken) -> str:
    if isinstance(item, read.Broken):
        return ""
    try:
        return codec.identify_bytes(item.body)
    except RecordError:
        return ""
