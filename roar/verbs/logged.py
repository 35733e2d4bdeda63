"""Whether what a server has of our records is in its log, and the log still the one that was seen before."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import NamedTuple

from roar.cache.index import open_index
from roar.errors import GitError, RecordError, RoarError
from roar.git import refs, transport
from roar.git.objects import Reader
from roar.git.repository import Repository
from roar.glaas import watch
from roar.glaas.address import Address
from roar.glaas.client import Client
from roar.hashing import digest_bytes
from roar.journal import ARCHIVE, JOBS, OWN, REMOTES, read
from roar.records import codec
from roar.verbs import auth, glaas, sync


class Logged(NamedTuple):
    """How records stand in the log of a remote's project: of ``size`` entries, so many are shown to be ours.

    ``missing`` are records that the remote is known to have and its log lacks; ``dropped`` those that the log has and
    the remote no more, although nobody purged them; ``behind`` is how many of the log were not fetched yet.
    ``suspicion`` says what contradicts what was seen of the log before, ``unchecked`` why it could not be asked.
    """

    remote: str
    server: str
    project: str
    size: int = 0
    included: int = 0
    missing: tuple[str, ...] = ()
    dropped: tuple[str, ...] = ()
    behind: int = 0
    suspicion: str = ""
    unchecked: str = ""

    @property
    def is_good(self) -> bool:
        """False when something is wrong with the log; True also when it could not be asked."""
        return not (self.missing or self.dropped or self.suspicion)


def standings(repo: Repository, wanted: set[str] | None, tell: Callable[[RoarError], None]) -> Iterator[Logged]:
    """How the records, or those of some ids, stand in the logs of all servers that remotes here are projects of.

    ``tell``: as for ``glaas.learn``, which asks the hosts of remotes that have records.
    """
    for remote, project in glaas.learn(repo, tell, {it for it in transport.remotes(repo) if tips(repo, it)}).items():
        try:
            yield check(repo, remote, project, wanted)
        except watch.SuspectError as error:
            yield Logged(remote, project.origin, project.project, suspicion=f"{error.message} (next: {error.hint})")
        except RoarError as error:
            yield Logged(remote, project.origin, project.project, unchecked=error.message)


def tips(repo: Repository, remote: str) -> list[str]:
    """The ends of the chains that a remote is known to have."""
    return sorted(refs.listing(repo, f"{REMOTES}{remote}/jobs/", f"{REMOTES}{remote}/archive/").values())


def check(repo: Repository, remote: str, project: Address, wanted: set[str] | None = None) -> Logged:
    """Ask the log of a remote's project for all records that the remote has, or for those of some ids. Unless some are
    wanted, all that the log has must be there, too.

    Raises ``watch.SuspectError`` when the log contradicts itself, ``RoarError``.
    """
    known = tips(repo, remote)
    records = _contents(read.since(repo, known), wanted)
    if wanted is not None:
        return _ask(remote, project, records)[0]
    found, all_of_it = _ask(remote, project, records, whole=True)
    now = _tips_now(repo, remote)  # after the log was asked, which so has nothing that is not there by now
    if now is None:
        return found._replace(behind=len(all_of_it - records.keys()))
    there = records if now == known else _contents(read.since(repo, now))
    gone = all_of_it - there.keys()
    if gone:
        with open_index(repo) as index:
            gone -= set(index.tombstones())
    return found._replace(dropped=tuple(sorted(gone)))


def confirm(repo: Repository, remote: str, project: Address, places: Mapping[str, str]) -> Logged:
    """Ask the log for records, id to the commit of the journal that holds it, which the remote has just taken.

    Raises as ``check`` does.
    """
    return _ask(remote, project, _contents(read.of_commits(repo, set(places.values())), set(places)))[0]


def _contents(items: Iterable[read.Stored | read.Broken], wanted: set[str] | None = None) -> dict[str, str]:
    """The BLAKE3 of each record, or of each that is wanted, by id."""
    records = {}
    for item in items:
        identifier = _identify(item)
        if isinstance(item, read.Stored) and identifier and (wanted is None or identifier in wanted):
            records[identifier] = digest_bytes(item.body)
    return records


def _tips_now(repo: Repository, remote: str) -> list[str] | None:
    """The ends of the chains that a remote has now; None when it does not say, or has more than was fetched."""
    try:
        now = transport.remote_refs(repo, remote, f"{OWN}*", sync.place(repo))
    except GitError:
        return None
    found = sorted(oid for ref, oid in now.items() if ref.startswith((JOBS, ARCHIVE)))
    with Reader(repo) as reader:
        return found if all(reader.get(oid) is not None for oid in found) else None


def _ask(remote: str, project: Address, records: dict[str, str], *, whole: bool = False) -> tuple[Logged, set[str]]:
    """How records stand in a log and, with ``whole``, the ids of all that it has."""

    def question(client: Client, token: str | None) -> tuple[int, set[str], set[str]]:
        at = watch.newest(client, project.project, token)
        proven = watch.included(client, token, at, records)
        return at.size, proven, watch.entries(client, token, at) if whole else set()

    size, proven, all_of_it = auth.ask(project, question)
    missing = tuple(sorted(records.keys() - proven))
    return Logged(remote, project.origin, project.project, size, len(proven), missing), all_of_it


def _identify(item: read.Stored | read.Broken) -> str:
    if isinstance(item, read.Broken):
        return ""
    try:
        return codec.identify_bytes(item.body)
    except RecordError:
        return ""
