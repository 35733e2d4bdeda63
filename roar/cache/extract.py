"""From records to plain rows; in a process of its own when there are many, beside the one that inserts them.

Each record is read with the same model as everywhere, so whatever is in the index can be shown. That is most of the
work, and what comes out of it are plain tuples.
"""

from __future__ import annotations

import contextlib
import marshal
import os
import signal
from collections.abc import Callable, Iterable, Iterator
from typing import IO, Any

from roar.errors import GitError, RecordError
from roar.git.objects import Reader
from roar.git.repository import Repository
from roar.hashing import digest_bytes
from roar.journal import read
from roar.journal.read import Broken, Stored
from roar.records import codec
from roar.records.about import Close, Tombstone, Withdrawal
from roar.records.job import Command, File, Job, Session
from roar.records.model import Record
from roar.records.named import Collection, Label
from roar.records.summary import command_line

AT_ONCE, FILES_AT_ONCE = 1000, 50_000
"""So many records, and files of theirs, are handed on together. A single job may have more."""

Batch = tuple[list[tuple[str, tuple[Any, ...], list[Any], list[Any], list[Any]]], list[tuple[str, str, bool]]]
"""Records as (id, the rest of the row, files, what it corrects, what it names); what could not be read, why, and
whether that will last."""


def batches(repo: Repository, items: Iterable[Stored | Broken]) -> Iterator[Batch]:
    """All of these records. Raises ``GitError`` after what git could read."""
    decoder = codec.Decoder()
    with Reader(repo) as reader:
        batch: Batch = ([], [])
        files = 0
        try:
            for item in items:
                files += _take(batch, decoder, reader, item)
                if len(batch[0]) >= AT_ONCE or files >= FILES_AT_ONCE:
                    yield batch
                    batch, files = ([], []), 0
        except GitError:  # what a chain gave before it broke is not lost
            yield batch
            raise
        yield batch


def beside(repo: Repository, tips: Iterable[str]) -> Iterator[Batch]:
    """Every record that can be reached from these tips, read by a child process, so that two cores share the work."""
    if not hasattr(os, "fork") or (os.cpu_count() or 1) < 2:
        yield from batches(repo, read.since(repo, tips))
        return
    out, into = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(out)
        _write_all(into, lambda: batches(repo, read.since(repo, tips)))
    os.close(into)
    try:
        with os.fdopen(out, "rb", buffering=1 << 20) as pipe:
            while isinstance(message := _next(pipe), tuple):
                yield message
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.kill(child, signal.SIGKILL)  # it has ended, or nobody wants its answer
        os.waitpid(child, 0)
    if message is None:  # it was killed: what it gave is met a second time, which does no harm
        yield from batches(repo, read.since(repo, tips))
    elif message:
        raise GitError(message)


def _write_all(fd: int, source: Callable[[], Iterator[Batch]]) -> None:
    """In the child: write every batch, then "" or what git complained of. Never returns, and touches no database."""
    status = 1
    try:
        with os.fdopen(fd, "wb", buffering=1 << 20) as pipe:
            try:
                for batch in source():
                    _put(pipe, batch)
                _put(pipe, "")
            except GitError as error:
                _put(pipe, error.message)
        status = 0
    finally:
        os._exit(status)


def _put(pipe: IO[bytes], message: Batch | str) -> None:
    data = marshal.dumps(message)
    pipe.write(len(data).to_bytes(8, "little") + data)


def _next(pipe: IO[bytes]) -> Any:
    """The next message, None when it did not come whole. ``marshal.load`` would read each value by itself."""
    size = int.from_bytes(pipe.read(8), "little")
    data = pipe.read(size)
    return marshal.loads(data) if size and len(data) == size else None


def _take(batch: Batch, decoder: codec.Decoder, reader: Reader, item: Stored | Broken) -> int:
    """Add a record, or why it is none, to the batch; gives the number of its files."""
    records, broken = batch
    if isinstance(item, Broken):
        broken.append((item.commit, item.reason, item.lasting))
        return 0
    try:
        record = decoder.decode(item.body)
    except RecordError as error:
        broken.append((item.commit, error.message, True))
        return 0
    if record.kind not in codec.KINDS:
        broken.append((item.commit, f"records of kind {record.kind!r} are not known to this roar", True))
        return 0
    identifier = codec.identify(record, item.body)
    uses: list[Any] = []
    if isinstance(record, Job):
        try:
            uses = list(_uses(reader, item, record))
        except (RecordError, GitError) as error:
            broken.append((item.commit, error.message, False))
            uses = list(_listed(record, record.inputs, record.outputs))
    corrects = [(target, record.kind) for target in _corrects(record)]
    records.append((identifier, _row(item, record), uses, corrects, _names(record)))
    return len(uses)


def _uses(reader: Reader, item: Stored, job: Job) -> Iterator[tuple[bool, str, str | None, int, bool]]:
    """Each file of a job as (is output, path, hash, size, is code)."""
    if not job.input_shards and not job.output_shards:
        return _listed(job, job.inputs, job.outputs)
    return _listed(job, read.inputs(reader, item.place, job), read.outputs(reader, item.place, job))


def _listed(
    job: Job, inputs: Iterable[File], outputs: Iterable[File]
) -> Iterator[tuple[bool, str, str | None, int, bool]]:
    kept = job.code.kept
    for output, used in ((False, inputs), (True, outputs)):
        for file in used:
            yield output, file.path, file.hash, file.size, file.blob is not None or file.path in kept


def _row(item: Stored, record: Record) -> tuple[Any, ...]:
    """A row of ``records`` after number and id, in the order of its columns. What is withdrawn is known in the end."""
    place = (0, item.place, item.blob, item.start, len(item.body))
    if not isinstance(record, Job):
        role = record.purpose if isinstance(record, Session) else ""
        return (record.kind, role, *[None] * 10, *place)
    return (
        record.kind,
        record.role,
        record.session,
        record.code.commit,
        record.started_ns,
        min(record.started_ns + record.duration_ns, _LATEST_NS),
        record.exit.code == 0,
        len(record.incomplete),
        step_key(record.command),
        record.reproduces,
        command_line(record.command),
        record.user,
        *place,
    )


_LATEST_NS = (1 << 63) - 1
"""As far as a database counts: a record may name an earlier time, and a duration beyond it."""


def _corrects(record: Record) -> list[str]:
    """The ids of the records and the hashes of the artifacts that a record says something of."""
    if isinstance(record, Withdrawal):
        return record.records + record.artifacts
    if isinstance(record, Tombstone):
        return record.records
    return [record.session] if isinstance(record, Close) else []


def _names(record: Record) -> list[tuple[str, str, str, str | None]]:
    """What a record names, as (record id or hash, kind, key, value)."""
    if isinstance(record, Label):
        targets = record.records + record.artifacts
        return [(target, record.kind, key, value) for target in targets for key, value in record.labels.items()]
    if isinstance(record, Collection):
        sides: tuple[tuple[list[str], str | None], ...] = ((record.added, ""), (record.removed, None))
        return [(content, record.kind, record.name, value) for contents, value in sides for content in contents]
    if isinstance(record, Job):
        listed = [file for file in [*record.inputs, *record.outputs] if file.digests and file.hash]
        return [(file.hash or "", "digest", name, value) for file in listed for name, value in file.digests.items()]
    return []


def step_key(command: Command) -> str:
    """What makes a step, as 32 digits: words (without the recording work tree), place, name and redirects."""
    root = command.root
    words = [_without_root(word, root) for word in command.argv] if root else command.argv
    plain: dict[str, Any] = {"argv": words}
    if command.cwd:
        plain["cwd"] = command.cwd
    if command.name is not None:
        plain["name"] = command.name
    if command.redirects:
        plain["redirects"] = [redirect.model_dump(exclude_defaults=True) for redirect in command.redirects]
    return digest_bytes(codec.dumps(plain))[:32]


def _without_root(word: str, root: str) -> str:
    parts = word.split(root)
    text = parts[0]
    for part in parts[1:]:
        text += ("//root" if not part or part[0] in "/:,;" else root) + part
    return text
