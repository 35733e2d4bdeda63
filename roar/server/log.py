"""The append-only log of a project: which records were accepted, in which order, so that none can vanish unseen.

    <project>.git/glaas/log/entries      the leaves, one a line: record id, space, BLAKE3 of the record's bytes
    <project>.git/glaas/log/accepted     of each leaf, one a line: when it came (nanoseconds), the key that signed it
    <project>.git/glaas/log/tree/<k>     hashes (32 bytes each) of the complete subtrees over 2**k leaves
    <project>.git/glaas/log/checkpoint   the newest signed checkpoint
    <project>.git/glaas/log/tips         commits whose records are all in the log, one a line

The checkpoint is the commit point. Whatever lies in the files beyond its size was left by a process that died, was
never shown to anybody, and is cut off by the next one. Readers take the size from a checkpoint and need no lock.
"""

from __future__ import annotations

import contextlib
import itertools
import mmap
import os
import time
from collections.abc import Iterator
from typing import NamedTuple

from roar.errors import RecordError, RoarError
from roar.git import locks, refs, signing
from roar.git.repository import Repository
from roar.glaas import checkpoint, merkle, ssh
from roar.glaas.checkpoint import Checkpoint
from roar.hashing import digest_bytes
from roar.journal import ARCHIVE, JOBS, read
from roar.records import codec, ids

_LINE = ids.LENGTH + 1 + 64 + 1
_HASH = 32
_NOTED = 20 + 1 + 50 + 1
"""Of a line of ``accepted``: a time, and ``SHA256:`` with 43 characters."""
_RESTORE = "restore the log from a backup that is as new"
_UNNOTED = f"{0:020d} {'-':<50}"
_FEW = 16
"""Up to so many ids are looked for one by one; for more, all entries are walked once."""


class Entry(NamedTuple):
    """A leaf, and its place in the log, from 0."""

    place: int
    id: str
    content: str


class Accepted(NamedTuple):
    """When a record came by this server's clock, which no client sets, and the fingerprint of the SSH key that signed
    it or a record after it in the same push, "" for none. The gate lets no signature in that is bad or a stranger's.

    ``at_ns`` is 0 for what came before this was noted. No checkpoint covers it.
    """

    id: str
    at_ns: int
    key: str


class Fresh(NamedTuple):
    """A record that is to be logged: its id, the BLAKE3 of its bytes, and the key as in ``Accepted``."""

    id: str
    content: str
    key: str = ""


class Log:
    """The log of one project, for reading as of its newest checkpoint. Raises ``RoarError`` when it is damaged."""

    def __init__(self, repo: Repository) -> None:
        self._folder = os.path.join(repo.common_dir, "glaas", "log")
        self.signed = _slurp(self._path("checkpoint")).decode("utf-8", "replace")
        self.checkpoint = _checkpoint(self.signed) if self.signed else Checkpoint("", 0, merkle.EMPTY)

    def find(self, wanted: list[str], size: int) -> dict[str, Entry]:
        """Those of some record ids that are among the first ``size`` entries."""
        if not size or not wanted:
            return {}
        with open(self._path("entries"), "rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as lines:
            if len(wanted) > _FEW:
                left = set(wanted)
                return {e.id: e for e in (_entry(lines, k) for k in range(size)) if e.id in left}
            places = {identifier: _place(lines, identifier, size) for identifier in wanted}
            return {known: _entry(lines, place) for known, place in places.items() if place is not None}

    def entries(self, start: int, end: int) -> Iterator[Entry]:
        """The entries from ``start`` to before ``end``."""
        with open(self._path("entries"), "rb") as file:
            file.seek(start * _LINE)
            body = file.read((end - start) * _LINE)
        for k in range(len(body) // _LINE):
            yield _entry(body, k)._replace(place=start + k)

    def accepted(self, start: int, end: int) -> Iterator[Accepted]:
        """What is noted of the entries from ``start`` to before ``end``."""
        try:
            with open(self._path("accepted"), "rb") as file:
                file.seek(start * _NOTED)
                lines = file.read((end - start) * _NOTED).decode("ascii", "replace").splitlines()
        except FileNotFoundError:
            lines = []
        for entry, line in itertools.zip_longest(self.entries(start, end), lines, fillvalue=_UNNOTED):
            if isinstance(entry, Entry):
                time_ns, _, key = line.partition(" ")
                yield Accepted(entry.id, int(time_ns) if time_ns.isdigit() else 0, key.strip(" -"))

    def inclusion(self, index: int, size: int) -> list[bytes]:
        """The proof that entry ``index`` is in the log of that size."""
        return merkle.inclusion(self._node, index, size)

    def consistency(self, old: int, new: int) -> list[bytes]:
        """The proof that the log of size ``new`` begins with that of size ``old``; 0 < old <= new."""
        return merkle.consistency(self._node, old, new)

    def _node(self, level: int, number: int) -> bytes:
        with contextlib.suppress(FileNotFoundError), open(self._path(f"tree/{level}"), "rb") as file:
            file.seek(number * _HASH)
            if len(found := file.read(_HASH)) == _HASH:
                return found
        raise RoarError(f"the log in {self._folder} is damaged", _RESTORE)

    def _path(self, name: str) -> str:
        return os.path.join(self._folder, name)

    # what follows is done under the lock

    def append(self, fresh: list[Fresh], project: str, key: str) -> None:
        """Put records at the end and sign what the log is then."""
        size = self.checkpoint.size
        if merkle.root(self._node, size) != self.checkpoint.root:  # a fork must not be signed
            raise RoarError(f"the log in {self._folder} is damaged", _RESTORE)
        os.makedirs(self._path("tree"), exist_ok=True)
        leaves = [checkpoint.leaf(each.id, each.content) for each in fresh]
        _write_at(self._path("entries"), size * _LINE, b"".join(leaf + b"\n" for leaf in leaves))
        self._note(size, [each.key for each in fresh])
        hashes = [merkle.leaf_hash(leaf) for leaf in leaves]
        level, begin = 0, size
        while hashes:
            _write_at(self._path(f"tree/{level}"), begin * _HASH, b"".join(hashes))
            if begin & 1:  # the left one of the first pair was there before
                hashes = [self._node(level, begin - 1), *hashes]
            hashes = [merkle.node_hash(hashes[k], hashes[k + 1]) for k in range(0, len(hashes) - 1, 2)]
            level, begin = level + 1, begin >> 1
        size += len(fresh)
        made = Checkpoint(project, size, merkle.root(self._node, size))
        signed = checkpoint.note(made, ssh.sign_with_file(made.text.encode(), key, checkpoint.NAMESPACE))
        _replace(self._path("checkpoint"), signed.encode())
        self.checkpoint, self.signed = made, signed

    def _note(self, size: int, keys: list[str]) -> None:
        """Note the time, never an earlier one than before, and the keys of what follows the first entries."""
        last = max((each.at_ns for each in self.accepted(max(size - 1, 0), size)), default=0)
        now = max(time.time_ns(), last)
        path = self._path("accepted")
        there = os.path.getsize(path) // _NOTED if os.path.exists(path) else 0
        begin = min(there, size)  # a log that is older than these notes, or came back from a backup without them
        lines = [*[_UNNOTED] * (size - begin), *(f"{now:020d} {key or '-':<50}" for key in keys)]
        _write_at(path, begin * _NOTED, "".join(f"{line}\n" for line in lines).encode())

    def tips(self) -> list[str]:
        """The commits whose records are all in the log."""
        return _slurp(self._path("tips")).decode().split()

    def remember(self, tips: list[str]) -> None:
        """Note the commits whose records are all in the log."""
        _replace(self._path("tips"), "".join(f"{tip}\n" for tip in tips).encode())


def extend(repo: Repository, data: str) -> Log:
    """Append every record that the project's refs reach and its log lacks, oldest first, and give the log.

    ``data`` is the server's data directory. Does nothing when nothing is new, and is safe to repeat and to kill.
    Raises ``RoarError``, ``OSError``.
    """
    log = Log(repo)
    if log.signed and set(_tips(repo)) <= set(log.tips()):
        return log
    folder = os.path.join(repo.common_dir, "glaas", "log")
    os.makedirs(folder, exist_ok=True)
    with locks.exclusive(os.path.join(folder, "lock")):
        log, tips = Log(repo), _tips(repo)
        fresh, whole = _records(repo, tips, log.tips())
        for present in log.find(list(fresh), log.checkpoint.size):
            del fresh[present]
        if fresh or not log.signed:
            log.append(sorted(fresh.values()), project_of(repo, data), key_path(data))
        if whole:
            log.remember(tips)
    return log


def _tips(repo: Repository) -> list[str]:
    return sorted(set(refs.listing(repo, JOBS, ARCHIVE).values()))


def _records(repo: Repository, tips: list[str], known: list[str]) -> tuple[dict[str, Fresh], bool]:
    """The records since some commits, by id, and whether all could be read that ever can be."""
    found, whole = {}, True
    keys = signing.ssh_keys(repo, tips, known)
    for item in read.since(repo, tips, known):
        if isinstance(item, read.Stored):
            with contextlib.suppress(RecordError):
                identifier = codec.identify_bytes(item.body)
                found[identifier] = Fresh(identifier, digest_bytes(item.body), keys.get(item.commit, ""))
        else:
            whole = whole and item.lasting
    return found, whole


def project_of(repo: Repository, data: str) -> str:
    """The project that a repository of the data directory is."""
    projects = os.path.realpath(os.path.join(data, "projects"))
    return os.path.relpath(repo.common_dir, projects).removesuffix(".git")


def key_path(data: str) -> str:
    """The key that signs checkpoints, which ``Storage.prepare`` makes."""
    return os.path.join(data, "checkpoint_key")


def _checkpoint(signed: str) -> Checkpoint:
    try:
        return checkpoint.split(signed)[0]
    except RecordError as error:
        raise RoarError(
            "the checkpoint of the log is damaged", "restore the log from a backup that is as new"
        ) from error


def _entry(lines: bytes | mmap.mmap, index: int) -> Entry:
    line = lines[index * _LINE : (index + 1) * _LINE - 1].decode("ascii", "replace")
    identifier, _, content = line.partition(" ")
    return Entry(index, identifier, content)


def _place(lines: mmap.mmap, identifier: str, size: int) -> int | None:
    """The number of the entry with this id; an id holds no line feed, and no BLAKE3 a capital letter."""
    at = lines.find(identifier.encode() + b" ", 0, size * _LINE)
    return at // _LINE if at >= 0 and at % _LINE == 0 else None


def _slurp(path: str) -> bytes:
    try:
        with open(path, "rb") as file:
            return file.read()
    except FileNotFoundError:
        return b""


def _write_at(path: str, offset: int, body: bytes) -> None:
    """Write bytes at an offset, end the file after them, and wait until they are on the disk."""
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
    with os.fdopen(fd, "r+b") as file:
        if os.fstat(fd).st_size < offset:
            raise RoarError(f"{path} is shorter than its checkpoint says", _RESTORE)
        file.seek(offset)
        file.write(body)
        file.truncate()
        file.flush()
        os.fsync(fd)


def _replace(path: str, body: bytes) -> None:
    """Put a file into place, whole, with its name on the disk."""
    new = path + ".new"
    with open(new, "wb") as file:
        file.write(body)
        file.flush()
        os.fsync(file.fileno())
    os.replace(new, path)
    fd = os.open(os.path.dirname(path), os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
