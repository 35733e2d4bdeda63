"""Registering: what is known of something goes to a git remote that people ask, after a look at what goes.

A plain git remote takes chains of records as they are. So all records of this clone go, with the code beside them;
of other writers, the chains that hold the lineage of what is registered and that the remote lacks. Without the code
beside them the same records go in a chain that is made for the remote (``journal.withheld``).
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

from roar.cache.index import Index, open_index
from roar.config.model import Redact
from roar.config.read import load
from roar.errors import GitError, RecordError, RoarError
from roar.git import program, refs, transport
from roar.git.gclock import GcRunningError
from roar.git.objects import Reader
from roar.git.repository import Repository
from roar.glaas.address import Address
from roar.journal import CODE, NOTES, OWN, REMOTES, archive, keep, noted, read, withheld
from roar.journal.company import Company
from roar.journal.read import Broken, Stored
from roar.lineage import upstream
from roar.paths import from_fs
from roar.records import codec
from roar.records.job import Job
from roar.records.model import Record
from roar.records.summary import printable
from roar.redact import find_secrets, redact_argv, redact_text, redact_variables
from roar.verbs import background, glaas, sync
from roar.verbs.ancestry import roots
from roar.verbs.resolve import SHORT_HASH, Target

_PAGES = {"artifact": "a", "job": "j", "session": "s"}
_OFTEN = 200
"""Records between two words of progress."""


class Subject(NamedTuple):
    """What is registered: its name for people, the jobs of its lineage, what a tag of it is named and stands on, and
    the one thing that was meant (None: several).

    ``jobs`` None: everything that this clone recorded.
    """

    name: str
    jobs: list[str] | None
    tag: str | None = None
    commit: str | None = None
    target: Target | None = None


class Suspicion(NamedTuple):
    """A text of a record or of a file beside it that looks secret: where, and what it is, without the secret."""

    record: str
    where: str
    text: str


class Offer(NamedTuple):
    """What would go: the records that the remote is not known to have, and those of them with code beside them.

    ``others`` are chains of other writers: the names and objects of their refs. ``code`` are the commits that jobs ran
    on and no branch of a remote is known to hold. ``lacking`` are jobs of the lineage that are in no chain that goes.
    ``bare``: the code beside records stays here, so they go in a chain of their own.
    """

    remote: str
    records: set[str]
    with_code_beside: list[str]
    suspicions: list[Suspicion]
    others: dict[str, str]
    code: list[str]
    lacking: list[str]
    bare: bool


class Registered(NamedTuple):
    """What a remote took: refs that moved, refusals with their reasons, commits sent along, and the new tag."""

    moved: list[str]
    refused: dict[str, str]
    code: list[str]
    tag: str | None


def remote_for(repo: Repository, asked: str | None) -> str:
    """The remote that was asked for, else ``roar.register.remote``, else the only one that is a server's project, else
    the one of sync. Raises ``UsageError``.
    """
    name = asked or load(repo).settings.register.remote
    if not name:
        servers = list(glaas.projects(repo))
        name = servers[0] if len(servers) == 1 else sync.default_remote(repo)
    return transport.check_remote(repo, name)


def subject(index: Index, text: str, targets: list[Target]) -> Subject:
    """What a name that was typed stands for, with its lineage. Raises ``RoarError`` when no job leads to it."""
    ends = [job for target in targets for job in roots(index, target, "up")]
    if not ends:
        raise RoarError(f"no recorded job made {printable(text)}: there is nothing to register", "roar log")
    jobs = upstream(index, ends).jobs
    name = text if index.collection(from_fs(text)) else targets[0].id[:SHORT_HASH]
    one = targets[0] if len(targets) == 1 else None
    return Subject(printable(text), jobs, f"roar/{name}", index.load_job(max(ends)).code.commit, one)


def refresh(repo: Repository, remote: str, *, quiet: bool) -> None:
    """Learn what the remote has. Raises ``GitError`` when it cannot be reached."""
    sync.sync(repo, remote, push=False, quiet=quiet)


def page(project: Address, what: Subject, web_url: str = "") -> str:
    """Where a server shows what was registered with a project of its own; ``web_url``: if at another address."""
    top = web_url.rstrip("/") or project.origin
    if what.target is not None and what.target.kind in _PAGES:
        return f"{top}/{_PAGES[what.target.kind]}/{what.target.id}"
    return f"{top}/p/{project.project}"


def offer(
    index: Index,
    repo: Repository,
    remote: str,
    jobs: list[str] | None,
    tell: Callable[[int], None],
    *,
    overlay: bool = True,
) -> Offer:
    """What would go to the remote, as far as is known here. ``tell`` is called with the number of records read.

    ``overlay`` False: without the code beside the records.
    """
    own = _own_chains(repo)
    there = list(_chains_there(repo, remote).values())
    places = index.commits_of(jobs or [])
    held = _among(repo, set(places.values()), [*own, *there])
    others = _chains_of_others(repo, remote, set(places.values()) - held)
    goes = [*own, *others.values()]
    held |= _among(repo, set(places.values()) - held, others.values())
    look = _Look(repo, load(repo).settings.redact, tell)
    look.at(read.since(repo, goes, there), overlay=overlay)
    bare = not overlay and bool(look.overlaid)
    if bare:  # as chains they would go whole, also what went without overlays before
        look.forget(archive.identifiers(repo, there))
    return Offer(
        remote,
        look.seen,
        look.overlaid,
        look.found,
        others,
        transport.on_no_remote_branch(repo, noted.commits(repo) if jobs is None else index.codes_of(jobs)),
        [job for job, commit in places.items() if commit not in held],
        bare,
    )


def _own_chains(repo: Repository) -> list[str]:
    """The ends of the chains that this clone pushes."""
    own = refs.listing(repo, OWN)
    return [oid for ref, oid in read.tips(repo).items() if ref in own]


def _chains_there(repo: Repository, remote: str) -> dict[str, str]:
    """What a remote is known to have but notes, by the names there."""
    known = refs.listing(repo, f"{REMOTES}{remote}/")
    named = {OWN + ref.removeprefix(f"{REMOTES}{remote}/"): oid for ref, oid in known.items()}
    return {ref: oid for ref, oid in named.items() if not ref.startswith(NOTES)}


def _chains_of_others(repo: Repository, remote: str, wanted: set[str]) -> dict[str, str]:
    """Chains that other remotes brought and that hold one of these commits, under their names on any remote."""
    found = {}
    for ref, oid in read.tips(repo).items() if wanted else ():
        name = _name_anywhere(repo, ref)
        if name and not ref.startswith(f"{REMOTES}{remote}/") and _among(repo, wanted, [oid]):
            found[name] = oid
    return found


def _name_anywhere(repo: Repository, ref: str) -> str | None:
    """The name of a fetched chain on the remote that it came from; None for any other ref."""
    prefixes = (f"{REMOTES}{remote}/" for remote in transport.remotes(repo))
    prefix = next((prefix for prefix in prefixes if ref.startswith(prefix)), None)
    return OWN + ref.removeprefix(prefix) if prefix else None


def _among(repo: Repository, commits: set[str], tips: Iterable[str]) -> set[str]:
    """Those of the commits that the tips lead to."""
    stdin = "".join(f"{name}\n" for name in tips).encode()
    if not commits or not stdin:
        return set()
    return commits.intersection(repo.ask("rev-list", "--ignore-missing", "--stdin", stdin=stdin).decode().split())


class _Look:
    """A look at records that would go: those ``seen``, those ``overlaid``, and what was ``found`` that looks secret."""

    def __init__(self, repo: Repository, rules: Redact, tell: Callable[[int], None]) -> None:
        self._repo = repo
        self._rules = rules._replace(enabled=True)
        self._tell = tell
        self._sound: set[str] = set()
        """Blobs that lie beside records and hold no secrets."""
        self.seen: set[str] = set()
        self.overlaid: list[str] = []
        self.found: list[Suspicion] = []

    def at(self, items: Iterable[Stored | Broken], *, overlay: bool) -> None:
        """Look at these; with ``overlay`` also at the code beside them."""
        with Reader(self._repo) as reader:
            for item in items:
                if isinstance(item, Broken):
                    continue
                try:
                    record = codec.decode(item.body)
                except RecordError as error:  # of a newer roar, or damaged
                    self.found.append(Suspicion(item.commit[:SHORT_HASH], "the record", error.message))
                    continue
                identifier = codec.identify(record, item.body)
                if identifier in self.seen:
                    continue
                self.seen.add(identifier)
                self.found += (Suspicion(identifier, *text) for text in _in_record(record, item.body, self._rules))
                if isinstance(record, Job):
                    self._beside(reader, item, identifier, record, overlay=overlay)
                if len(self.seen) % _OFTEN == 0:
                    self._tell(len(self.seen))

    def _beside(self, reader: Reader, item: Stored, identifier: str, job: Job, *, overlay: bool) -> None:
        folders = withheld.OVERLAYS if job.code.kept else ()
        laid = {path: blob for name in folders for path, blob in read.overlay(reader, item.place, name).items()}
        self.overlaid += [identifier] if laid else []
        for path, blob in laid.items() if overlay else ():
            kinds = [] if blob in self._sound else find_secrets(reader.body(blob, "blob"), self._rules)
            self.found += [Suspicion(identifier, path, ", ".join(kinds))] if kinds else []
            self._sound.update([] if kinds else [blob])

    def forget(self, known: set[str]) -> None:
        """Some of them do not go after all."""
        self.seen -= known
        self.overlaid = [each for each in self.overlaid if each not in known]
        self.found = [one for one in self.found if one.record not in known]


def _in_record(record: Record, body: bytes, rules: Redact) -> Iterator[tuple[str, str]]:
    """Where a record has what looks secret, and the text around it."""
    before = 0
    if isinstance(record, Job):
        words, before = redact_argv(record.command.argv, rules)
        if before:
            yield "command", " ".join(words)
        for kind, texts in (("variable", record.environment.variables), ("tag", record.tags)):
            clean, count = redact_variables(texts, rules)
            before += count
            yield from ((kind, f"{name}={clean[name]}") for name in clean if clean[name] != texts[name])
        for each in record.hints:
            clean_ref, count = redact_text(each.ref, rules)
            before += count
            if count:
                yield each.side, clean_ref
    kinds = find_secrets(body, rules)
    if kinds and not before:
        yield f"the {record.kind}", ", ".join(kinds)


def in_background(repo: Repository) -> None:
    """Register everything from a process in the background, unless something that would go looks secret.

    What does not go over now goes with the next one. Raises ``UsageError`` when there is no remote.
    """
    remote = remote_for(repo, None)
    wanted = load(repo).settings.register

    def work() -> None:
        refresh(repo, remote, quiet=True)
        with open_index(repo) as index:
            offered = offer(index, repo, remote, None, lambda _: None, overlay=wanted.overlay)
        if offered.records and not offered.suspicions:
            send(repo, offered, Subject("everything recorded here", None), code=wanted.code, tag=False, quiet=True)

    background.aside(work)


def send(repo: Repository, offered: Offer, what: Subject, *, code: bool, tag: bool, quiet: bool) -> Registered:
    """Push what was offered; with ``code`` the commits, too, with ``tag`` the tag. Raises ``RoarError``."""
    place = sync.place(repo)
    sent = []
    if code and offered.code:
        try:
            sent = keep.send_along(repo, offered.code)
        except GcRunningError:
            raise RoarError("git gc is running in this repository", "run the command again when it has ended") from None
    if offered.bare:
        done = _push_bare(repo, offered, place, code=code, quiet=quiet)
    else:
        sync.seal(repo)
        done = sync.push_records(repo, offered.remote, place, offered.others, quiet=quiet)
    if not done.refused:
        _read_back(repo, offered.remote, done.moved, place)
    made = _tag(repo, offered.remote, what) if tag and not done.refused else None
    return Registered(done.moved, done.refused, sent, made)


def _push_bare(repo: Repository, offered: Offer, place: str, *, code: bool, quiet: bool) -> transport.Pushed:
    """Push what was offered as records without the code beside them, our notes and, with ``code``, commits."""
    there = _chains_there(repo, offered.remote)
    own = refs.listing(repo, NOTES, *([CODE] if code else []))
    writer = sync.own_notes(repo).rpartition("/")[2]
    with Reader(repo) as reader:
        items = read.since(repo, [*_own_chains(repo), *offered.others.values()], there.values())
        goes = _each_once(reader, items, offered.records)
        chains = withheld.extend(repo, goes, there, writer, load(repo).settings.sign)
    return transport.push_as(repo, offered.remote, {**own, **chains}, place, quiet=quiet)


def _each_once(reader: Reader, items: Iterable[Stored | Broken], wanted: set[str]) -> Iterator[Stored]:
    """One undamaged copy of each of the wanted records."""
    left, company = set(wanted), Company(reader)
    for item in items:
        if isinstance(item, Broken):
            continue
        with contextlib.suppress(RecordError):
            record = codec.decode(item.body)
            identifier = codec.identify(record, item.body)
            if identifier in left and not any(company.damage(item.place, record)):
                left.remove(identifier)
                yield item


def _read_back(repo: Repository, remote: str, moved: list[str], place: str) -> None:
    """Ask the remote for what it took. Raises ``GitError`` when it does not list it."""
    there = transport.remote_refs(repo, remote, f"{OWN}*", place) if moved else {}
    lost = [ref for ref in moved if ref not in there]
    if lost:
        raise GitError(f"{remote} took {lost[0]} and does not list it", f"roar remote check {remote}")


def _tag(repo: Repository, remote: str, what: Subject) -> str | None:
    """Tag the commit of what was registered and push the tag, but not to a server, which takes records alone; None when
    there is nothing to tag or it is there.
    """
    if not what.tag or not what.commit:
        return None
    ref = f"refs/tags/{what.tag}"
    if program.call([*repo.args(), "check-ref-format", ref]).returncode:
        raise RoarError(f"{printable(what.tag)} cannot be the name of a tag", "git config roar.register.tag false")
    there = (
        program.call([*repo.args(), "rev-parse", "--verify", "--quiet", f"{ref}^{{commit}}"]).stdout.decode().strip()
    )
    if there and there != what.commit:
        raise RoarError(f"the tag {what.tag} stands on another commit, {there[:12]}", f"git tag -d {what.tag}")
    if not there:
        repo.ask("tag", "-a", "-m", f"roar: {what.name}", what.tag, what.commit)
    if remote in glaas.projects(repo):
        return None if there else what.tag
    return what.tag if transport.push_tag(repo, remote, what.tag) else None
