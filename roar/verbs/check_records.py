"""Every record in every chain: its bytes, its id, its place in the chain, and what lies beside it.

Nothing here can be repaired from what this repository has: a record is the truth, and only another clone has it too.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Literal, NamedTuple

from roar.errors import GitError, RecordError
from roar.git import program, transport
from roar.git.objects import Reader
from roar.git.repository import Repository
from roar.journal import OWN, read
from roar.journal.company import Company
from roar.journal.read import Broken, Stored
from roar.records import codec, ids
from roar.records.about import Close, Tombstone, Withdrawal
from roar.records.ids import clock_of
from roar.records.job import Job
from roar.records.model import WRITER, Record
from roar.records.named import Label
from roar.records.summary import printable
from roar.verbs.findings import Finding

_CHAIN = re.compile(rf"refs/(?:roar|roar-remote/.+?)/jobs/([0-9]{{4}})/({WRITER})")
_OFTEN = 200
"""Records between two words of progress."""

Tell = Callable[[int], None]


class Link(NamedTuple):
    """A commit of a chain: its parents, and the record id in its message ("" when there is none)."""

    parents: list[str]
    identifier: str


class Checked(NamedTuple):
    """What was found, the ids of all whole records, and those that tombstones name."""

    findings: list[Finding]
    records: set[str]
    buried: set[str]
    chains: int


def check_records(repo: Repository, tell: Tell) -> Checked:
    """Check every record of every chain. ``tell`` is called with the number of records read so far."""
    tips = read.tips(repo)
    checking = _Checking(repo, tips, tell)
    for portion in checking.walk():
        try:
            checking.take(read.since(repo, portion))
        except GitError as error:
            checking.cut(portion, error)
    checking.finish()
    return Checked(checking.findings, set(checking.seen), checking.buried, len(tips))


class _Checking:
    def __init__(self, repo: Repository, tips: dict[str, str], tell: Tell) -> None:
        self._repo = repo
        self._tips = tips
        self._tell = tell
        self._mend = where_else(repo)
        self._links: dict[str, Link] = {}
        self._ref_of: dict[str, str] = {}
        self._faults: dict[str, list[tuple[str, str]]] = {}
        """What is wrong beside copies of records, and the commits they are in."""
        self._whole: set[str] = set()
        """Records with such copies that also have one beside which all is well."""
        self._named: dict[str, list[str]] = {}
        """Records that others name, with the commits of those."""
        self.findings: list[Finding] = []
        self.seen: dict[str, str] = {}
        """Each whole record, with the commit it was first met in."""
        self.buried: set[str] = set()
        self._tombstones: set[str] = set()

    def walk(self) -> list[list[str]]:
        """Learn the chains, note their faults, and give the tips to read: all at once if git can, else each alone."""
        tips = list(self._tips.values())
        self._links, whole = _walk(self._repo, tips)
        if not whole:
            for tip in tips:
                self._links |= _walk(self._repo, [tip])[0]
        for ref in sorted(self._tips, key=lambda ref: not ref.startswith(OWN)):  # a commit is told to be in our own
            self._walk_chain(ref, self._tips[ref])
        return [tips] if whole else [[tip] for tip in tips]

    def cut(self, tips: list[str], error: GitError) -> None:
        """Note a chain that git cannot walk to its end."""
        for ref, tip in self._tips.items():
            if tip in tips:
                self._note("broken", ref, tip, error.message, self._mend)

    def _walk_chain(self, ref: str, tip: str) -> None:
        named = _CHAIN.fullmatch(ref)
        if "/jobs/" in ref and named is None:
            self._note("warning", ref, tip, "is no name of a chain: <year>/<writer>")
        at: str | None = tip
        while at is not None and at in self._links and at not in self._ref_of:
            self._ref_of[at] = ref
            parents = self._links[at].parents
            if len(parents) > 1 and named is not None:
                self._note("broken", ref, at, f"has {len(parents)} parents: a chain has no merges", self._mend)
            at = parents[0] if parents else None

    def take(self, found: Iterator[Stored | Broken]) -> None:
        """Check the records of some chains."""
        with Reader(self._repo) as reader:
            company = Company(reader)
            for number, item in enumerate(found, 1):
                if number % _OFTEN == 0:
                    self._tell(len(self.seen))
                if isinstance(item, Broken):
                    self._broken(item.commit, item.reason)
                else:
                    try:
                        self._record(company, item)
                    except RecordError as error:
                        self._broken(item.commit, error.message)
        self._tell(len(self.seen))

    def _record(self, company: Company, item: Stored) -> None:
        record = codec.decode(item.body)
        identifier = codec.identify(record, item.body)
        link = self._links.get(item.commit)
        if item.folder == "" and link and link.identifier and link.identifier != identifier:
            self._broken(item.commit, f"its bytes have the id {identifier}, its message says {link.identifier}")
            return
        if record.kind not in codec.KINDS:
            self._odd(
                item.commit, f"record {identifier} is of a kind that this roar does not know: {printable(record.kind)}"
            )
        if not codec.is_written_so(record, item.body):
            self._odd(item.commit, f"record {identifier} is not in canonical form")
        if any(company.faults(item.place, record)):
            damage = company.damage(item.place, record)
            self._faults.setdefault(identifier, []).extend((item.commit, reason) for reason in damage)
        else:
            self._whole.add(identifier)
        if identifier not in self.seen:
            self.seen[identifier] = item.commit
            self._place(item.commit, identifier, record)
            self._references(item.commit, identifier, record)

    def _place(self, commit: str, identifier: str, record: Record) -> None:
        """In which year's chain it lies. The writer may be another one: a copied clone takes its chains with it."""
        named = _CHAIN.fullmatch(self._ref_of.get(commit, ""))
        year = time.gmtime(record.clock // 1000).tm_year
        if named and abs(int(named[1]) - year) > 1:
            self._odd(commit, f"record {identifier} of {year} lies in the chain of {named[1]}")

    def _references(self, commit: str, identifier: str, record: Record) -> None:
        for other in named_by(record):
            self._named.setdefault(other, []).append(commit)
            if clock_of(other) >= record.clock:
                self._odd(commit, f"record {identifier} names {other}, which is later by the clock")
        if isinstance(record, Tombstone):
            self.buried.update(record.records)
            self._tombstones.add(identifier)

    def finish(self) -> None:
        """What can be said only when all is read."""
        for identifier, faults in self._faults.items():
            for commit, reason in faults:
                if identifier in self._whole:
                    self._odd(commit, f"a copy of record {identifier}, which is whole elsewhere: {reason}")
                else:
                    self._broken(commit, f"record {identifier}: {reason}")
        for other, commits in self._named.items():
            if other not in self.seen and other not in self.buried:
                times = f" and {len(commits) - 1} more" if len(commits) > 1 else ""
                self._odd(commits[0], f"names the record {other}{times}, which is not here", fetch_mend(self._repo))
        for identifier in sorted(self.buried & self._tombstones):
            self._odd(self.seen[identifier], f"the tombstone {identifier} is named by another: it stays")
        self.buried -= self._tombstones
        for identifier in sorted(self.buried.intersection(self.seen)):
            commit = self.seen[identifier]
            where = self._ref_of.get(commit, "")
            mend = f"roar pop --purge {identifier}"
            mend = mend if where.startswith(OWN) else f"in the clone that writes it, and here: {mend}"
            self._odd(commit, f"record {identifier} was purged, and is still here", mend)

    def _broken(self, commit: str, text: str) -> None:
        self._note("broken", self._ref_of.get(commit, "refs/roar"), commit, text, self._mend)

    def _odd(self, commit: str, text: str, mend: str | None = None) -> None:
        self._note("warning", self._ref_of.get(commit, "refs/roar"), commit, text, mend)

    def _note(
        self, grade: Literal["broken", "warning"], ref: str, oid: str, text: str, mend: str | None = None
    ) -> None:
        self.findings.append(Finding(grade, ref, oid, text, mend))


def named_by(record: Record) -> Iterable[str]:
    """The ids of the records that a record names, tombstones' aside: those are gone on purpose."""
    if isinstance(record, Job):
        return [other for other in (record.session, record.reproduces) if other]
    if isinstance(record, Withdrawal | Label):
        return record.records
    return [record.session] if isinstance(record, Close) else []


def _walk(repo: Repository, tips: list[str]) -> tuple[dict[str, Link], bool]:
    """The commits of some chains, and whether git came to the end of them."""
    words = [*repo.args(), "log", "--stdin"]
    form = "--format=%H%x00%P%x00%(trailers:key=Roar-Id,valueonly,separator=%x20)"
    done = program.call([*words, form], cwd=repo.git_dir, stdin="".join(f"{tip}\n" for tip in tips).encode())
    links = {}
    for line in program.lines(done.stdout) if tips else []:
        commit, parents, trailer = line.split("\0")
        links[commit] = Link(parents.split(), ids.normalise(trailer.strip()) or "")
    return links, done.returncode == 0


def where_else(repo: Repository) -> str:
    """How to get objects that are lost here."""
    remotes = transport.remotes(repo)
    if not remotes:
        return "get refs/roar/* from another clone, or from a backup"
    return f"git fetch --refetch {remotes[0]} '+refs/roar/*:refs/roar-remote/{remotes[0]}/*'"


def fetch_mend(repo: Repository) -> str | None:
    """How to get what others have, when there are others."""
    return "roar sync" if transport.remotes(repo) else None
