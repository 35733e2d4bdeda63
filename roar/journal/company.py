"""What lies beside a record in its tree: whether it is what the record names.

A record may lie in several places, and the bytes beside it are no part of its id. All copies are equal whose company is
whole; one whose company is not must never stand for one whose is.
"""

from __future__ import annotations

from collections.abc import Iterator

from roar.errors import GitError, RecordError
from roar.git.objects import Reader
from roar.hashing import digest_bytes
from roar.journal import read
from roar.records.job import Job, OverlayFile, Shard
from roar.records.model import Record
from roar.records.summary import printable


class Company:
    """Looks at it, and remembers what was whole: the same objects lie beside many records."""

    def __init__(self, reader: Reader) -> None:
        self._reader = reader
        self._files: dict[str, tuple[str, int]] = {}
        """Digest and size of each overlay blob that was read."""
        self._whole: set[tuple[str, str]] = set()
        """Manifests, by the tree they lie in."""

    def faults(self, place: str, record: Record) -> Iterator[str]:
        """What is wrong beside the record at a ``Stored.place``: its overlays and its manifests."""
        if isinstance(record, Job):
            yield from self.overlay_faults(place, record)
            yield from self._manifest_faults(place, record)

    def damage(self, place: str, record: Record) -> Iterator[str]:
        """The same, but that overlays were left out on purpose when the record was shared is no damage."""
        if isinstance(record, Job) and read.is_withheld(self._reader, place):
            yield from self._manifest_faults(place, record)
        else:
            yield from self.faults(place, record)

    def overlay_faults(self, place: str, job: Job) -> Iterator[str]:
        """What is wrong with a job's overlays alone."""
        try:
            laid = read.overlay(self._reader, place) if job.code.overlay else {}
            for file in job.code.overlay:
                yield from self._file(laid.get(file.path), file, f"files/{file.path}")
            others = read.overlay(self._reader, place, b"repositories") if job.code.repositories else {}
            for number, each in enumerate(job.code.repositories):
                for file in each.overlay:
                    name = f"{number}/{file.path}"
                    yield from self._file(others.get(name), file, f"repositories/{name}")
        except GitError as error:
            yield error.message

    def _manifest_faults(self, place: str, job: Job) -> Iterator[str]:
        try:
            for side, shards in ((b"in", job.input_shards), (b"out", job.output_shards)):
                for shard in shards:
                    self._manifest(place, side, shard)
        except (GitError, RecordError) as error:
            yield error.message

    def _file(self, blob: str | None, file: OverlayFile, place: str) -> Iterator[str]:
        if file.state == "deleted":
            return
        where = printable(place)
        if blob is None:
            yield f"{where} is missing"
            return
        if blob not in self._files:
            body = self._reader.body(blob, "blob")
            self._files[blob] = digest_bytes(body), len(body)
        if self._files[blob] != (file.hash, file.size):
            yield f"{where} ({blob[:12]}) is not the file that the record names"

    def _manifest(self, place: str, side: bytes, shard: Shard) -> None:
        """Read a manifest through all its levels. Raises ``RecordError`` or ``GitError``."""
        folder = self._reader.get(read.beside(place, side))
        key = (folder[1] if folder else "", shard.hash)
        if key not in self._whole:
            for _ in read.files_of(self._reader, place, side, shard):
                pass
            self._whole.add(key)
