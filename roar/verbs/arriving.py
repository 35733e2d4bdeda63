"""Judging one object of a push by itself: records in a blob, secrets, what matters of a commit; and when to stop."""

from __future__ import annotations

import time
from typing import Literal, NamedTuple

from roar.config.model import Redact
from roar.errors import GitError, RecordError
from roar.git.objects import Commit
from roar.journal.entry import trailer_id
from roar.records import codec
from roar.records.job import Job
from roar.redact import find_secrets, is_secret_path


class Rules(NamedTuple):
    """What a server asks of what arrives, beside what must hold anywhere."""

    latest_ms: int | None = None
    """No record's clock may be later than that."""
    secrets: Redact | None = None
    """Nothing may look like a secret by these rules; None: it is not looked at."""
    rewrites: bool | None = None
    """Refs may be deleted and rewritten; None: as the repository's configuration says (``roar.receive.rewrites``)."""
    most_objects: int = 1_000_000
    most_files: int = 20_000_000
    """In the manifests of all records; a tenth of them in those of one. Shared manifests name many in few bytes."""
    deadline: float | None = None
    """By ``time.monotonic``: when looking must be done."""


def in_time(rules: Rules) -> None:
    """Raises ``TooMuchError`` when looking should be done by now."""
    if rules.deadline is not None and time.monotonic() > rules.deadline:
        raise TooMuchError("checking it takes too long (next: push fewer records at once)")


class Arriving(NamedTuple):
    """What is kept of a new commit: ``said`` is the record id in its message; ``signed`` by SSH, otherwise, or not."""

    tree: str
    parents: list[str]
    said: str | None
    signed: Literal["ssh", "otherwise", ""]


class TooMuchError(GitError):
    """There is more than may arrive at once, or looking at it takes too long."""


class Watch:
    """Counts what is done for a push, and ends it when that is too much."""

    def __init__(self, rules: Rules) -> None:
        self._rules = rules
        self._steps = self._objects = self._files = 0

    def object(self) -> None:
        """One more object. Raises ``TooMuchError``."""
        self._objects += 1
        if self._objects > self._rules.most_objects:
            raise TooMuchError(f"it brings more than {self._rules.most_objects} objects (next: push less at once)")
        self.tick()

    def files(self, count: int) -> None:
        """So many more files of a record. Raises ``TooMuchError``."""
        self._files += count
        if self._files > self._rules.most_files:
            raise TooMuchError(f"its records name more than {self._rules.most_files} files (next: push less at once)")

    def tick(self) -> None:
        """One more step. Raises ``TooMuchError``."""
        self._steps += 1
        if self._steps % 64 == 0:
            in_time(self._rules)


class RecordBlobs:
    """Blobs read as records: as ``one``, or as a segment with a record a line. The same blob may be met as either."""

    def __init__(self, rules: Rules, watch: Watch) -> None:
        self._rules = rules
        self._watch = watch
        self._decoder = codec.Decoder()
        self._ids: dict[tuple[str, bool], list[str]] = {}
        self._files: dict[tuple[str, bool], int] = {}
        self._met: set[tuple[str, bool]] = set()
        self._faults: dict[tuple[str, bool], list[str]] = {}
        """Of interest when a chain has the blob: what looks like a record in a commit of code need be none."""

    def has(self, oid: str, *, one: bool) -> bool:
        """True for a blob that was read so."""
        return (oid, one) in self._ids

    def of(self, oid: str, *, one: bool) -> tuple[list[str], list[str]]:
        """The ids of the records in a blob that was read; and what is wrong with it, unless that was told before.

        To be asked once for each place that has the blob. As often it will be read, so that each place counts: its
        files, and from the second one on its records as objects of the push. Raises ``TooMuchError``.
        """
        ids = self._ids[oid, one]
        self._watch.files(self._files[oid, one])
        for _ in range(max(1, len(ids)) if (oid, one) in self._met else 0):
            self._watch.object()
        self._met.add((oid, one))
        return ids, self._faults.pop((oid, one), [])

    def take(self, oid: str, body: bytes, *, one: bool) -> None:
        """Read a blob. Raises ``TooMuchError``."""
        if self.has(oid, one=one):
            return
        ids = self._ids[oid, one] = []
        self._files[oid, one] = 0
        for line in [body] if one else filter(None, body.split(b"\n")):
            try:
                identifier, files = self._record(line)
                ids.append(identifier)
                self._files[oid, one] += files
            except RecordError as error:
                self._faults.setdefault((oid, one), []).append(error.message)
            self._watch.tick()

    def _record(self, body: bytes) -> tuple[str, int]:
        """The id of a record that is as it must be, and the files in its manifests. Raises ``RecordError``."""
        record = self._decoder.decode(body)
        identifier = codec.identify(record, body)
        if not codec.is_canonical(body):
            raise RecordError(f"record {identifier} is not in canonical form")
        latest = self._rules.latest_ms
        if latest is not None and record.clock > latest:
            when = time.strftime("%Y-%m-%d %H:%M", time.gmtime(record.clock // 1000))
            raise RecordError(
                f"record {identifier} is from {when} UTC, which is yet to come (next: set the clock, and run "
                f"roar pop --purge {identifier})"
            )
        shards = [*record.input_shards, *record.output_shards] if isinstance(record, Job) else []
        files = sum(shard.count for shard in shards)
        if files > self._rules.most_files // 10:
            raise RecordError(f"record {identifier} names {files} files, more than {self._rules.most_files // 10}")
        return identifier, files


def secrets(path: str, body: bytes, rules: Redact) -> list[str]:
    """The kinds of secrets that a blob seems to hold, by its bytes or by the name that a file of an overlay has."""
    found = find_secrets(body, rules)
    inside = path.partition("files/")[2] if path.startswith(("files/", "beside/")) else ""
    return [*found, "a file for secrets"] if inside and is_secret_path(inside) else found


def arriving(body: bytes) -> Arriving:
    """What is kept of a commit."""
    commit = Commit(body)
    how: Literal["ssh", "otherwise"] = "ssh" if b"-----BEGIN SSH SIGNATURE-----" in body else "otherwise"
    return Arriving(commit.tree, commit.parents, trailer_id(commit.message), how if commit.signed else "")
