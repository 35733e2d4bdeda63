"""Reading the journal: what is new since some tips, one record again, and what lies beside it.

Everything read here may come from anybody. What cannot be read is given back as ``Broken``, by object id, and
never stops the reading of the rest.
"""

from __future__ import annotations

import contextlib
import re
import subprocess
from collections.abc import Iterable, Iterator
from typing import IO, NamedTuple

from roar.errors import GitError, RecordError
from roar.git import program, refs
from roar.git.objects import TREE_MODE, Reader
from roar.git.repository import Repository
from roar.journal import ARCHIVE, FOLDED, JOBS, RECORD, REMOTES, WITHHELD, manifests
from roar.paths import is_safe_relative, to_text
from roar.records import codec
from roar.records.job import File, Job, Shard
from roar.records.model import Record

_PIPE_BYTES = 1 << 18
_AT_ONCE, _BYTES_AT_ONCE = 200, 16 << 20
"""Records read again in one portion, and about how much of the blobs that they lie in."""
_CHAIN = re.compile(r"refs/(roar|roar-folded|roar-remote/.+?)/(jobs|archive)/.+")


class Stored(NamedTuple):
    """A record's bytes, and where they are: from ``start`` in a blob of a commit's tree.

    ``folder`` is where in that tree the things beside the record lie: "" for a record with a commit of its own,
    ``beside/<id>`` for one in a segment, None for one that has nothing there.
    """

    commit: str
    blob: str
    start: int
    body: bytes
    folder: str | None = ""

    @property
    def place(self) -> str:
        """How git names the tree of what lies beside it; for a record in a segment with nothing there, its commit."""
        return f"{self.commit}:{self.folder}" if self.folder else self.commit


class Broken(NamedTuple):
    """An object under roar's refs that is no readable record."""

    commit: str
    reason: str
    lasting: bool = True
    """False when git could not give it: it may be there another time."""


def tips(repo: Repository) -> dict[str, str]:
    """The chains of records, our own and others', with the commit each ends in."""
    found = refs.listing(repo, JOBS, ARCHIVE, FOLDED, REMOTES)
    return {ref: oid for ref, oid in found.items() if _CHAIN.fullmatch(ref)}


def since(repo: Repository, new: Iterable[str], known: Iterable[str] = ()) -> Iterator[Stored | Broken]:
    """Every record reachable from the new tips and not from the known ones, newest first in each chain.

    Raises ``GitError`` when git cannot walk the chains.
    """
    wanted = sorted(set(new) - set(known))
    if wanted:
        yield from _read(repo, [], [*wanted, *(f"^{oid}" for oid in sorted(set(known)))])


def of_commits(repo: Repository, commits: Iterable[str]) -> Iterator[Stored | Broken]:
    """Every record of these commits alone. Raises ``GitError`` when git cannot read a commit."""
    wanted = sorted(commits)
    if wanted:
        yield from _read(repo, ["--no-walk=unsorted"], wanted)


def _read(repo: Repository, walk: list[str], commits: list[str]) -> Iterator[Stored | Broken]:
    """One git walks the chains, another gives the records: as long as all goes well nothing has to be remembered."""
    names = "".join(f"{oid}\n" for oid in commits).encode()
    asked = ["log", "--stdin", "--ignore-missing", *walk]
    batch = ["cat-file", "--buffer", "--batch=%(objectname) %(objecttype) %(objectsize) %(rest)"]
    answered, without = 0, set[str]()
    with (
        _git(repo, [*asked, f"--format=%T:{RECORD.decode()} %H"], subprocess.PIPE, subprocess.PIPE) as log,
        _git(repo, batch, log.stdout, subprocess.DEVNULL) as cat,
    ):
        assert log.stdin and log.stdout and log.stderr
        log.stdout.close()
        log.stdin.write(names)
        log.stdin.close()
        for item in _answers(cat):
            answered += 1
            if isinstance(item, str):
                without.add(item)
            else:
                yield item
        trouble = log.stderr.read()
    if log.returncode and not cat.returncode:  # else it only lost its reader
        raise GitError(f"the journal cannot be walked: {program.last_line(trouble)}", "git fsck")
    if without or cat.returncode:
        yield from _one_by_one(repo, _walked_again(repo, asked, names, answered, without))


def _git(repo: Repository, words: list[str], stdin: int | IO[bytes] | None, stderr: int) -> subprocess.Popen[bytes]:
    whole = ["git", *repo.args(), *words]
    return subprocess.Popen(
        whole,
        stdin=stdin,
        stdout=subprocess.PIPE,
        stderr=stderr,
        cwd=repo.git_dir,
        env=repo.environment(),
        bufsize=_PIPE_BYTES,
        pipesize=_PIPE_BYTES,
    )


def _answers(cat: subprocess.Popen[bytes]) -> Iterator[Stored | Broken | str]:
    """What ``git cat-file`` gives for each commit: its record, or its tree where there is none. Ends at damage."""
    assert cat.stdout
    while line := cat.stdout.readline():
        words = line.decode("ascii", "replace").split()
        if len(words) != 4 or not words[2].isdigit():
            yield words[0].partition(":")[0]
            continue
        blob, kind, size, commit = words
        if int(size) > codec.MAX_BYTES:
            skip(cat.stdout, int(size) + 1)
            yield Broken(commit, f"record.json has {size} bytes, more than {codec.MAX_BYTES}")
            continue
        body = cat.stdout.read(int(size))
        if len(body) != int(size):
            return
        cat.stdout.read(1)
        yield Stored(commit, blob, 0, body) if kind == "blob" else Broken(commit, f"record.json is a {kind}")


def skip(stream: IO[bytes], size: int) -> None:
    """Read so many bytes and forget them."""
    while size > 0 and (piece := stream.read(min(size, 1 << 20))):
        size -= len(piece)


def _walked_again(
    repo: Repository, asked: list[str], names: bytes, answered: int, without: set[str]
) -> Iterator[list[str]]:
    """The (commit, tree) of the same walk, in the same order, but for the first ``answered`` ones that had a record."""
    with _git(repo, [*asked, "--format=%H %T"], subprocess.PIPE, subprocess.PIPE) as log:
        assert log.stdin and log.stdout and log.stderr
        log.stdin.write(names)
        log.stdin.close()
        for number, line in enumerate(log.stdout):
            commit, tree = line.decode().split()
            if number >= answered or tree in without:
                yield [commit, tree]
        trouble = log.stderr.read()
    if log.returncode:
        raise GitError(f"the journal cannot be walked: {program.last_line(trouble)}", "git fsck")


def _one_by_one(repo: Repository, left: Iterable[list[str]]) -> Iterator[Stored | Broken]:
    """The commits that the quick way gave nothing for: sealed segments, damaged and foreign objects."""
    with Reader(repo) as reader:
        for commit, tree in left:
            try:
                yield from of_commit(reader, commit, tree)
            except GitError as error:
                yield Broken(commit, error.message, lasting=False)


def of_commit(reader: Reader, commit: str, tree: str) -> Iterator[Stored | Broken]:
    """The records of one commit with this tree. Raises ``GitError`` for what is missing or damaged."""
    entries = {name: oid for _, name, oid in reader.tree(tree)}
    blobs = [entries[RECORD]] if RECORD in entries else []
    sealed = not blobs and b"segment" in entries
    if sealed:
        blobs = [oid for _, oid in reader.files(entries[b"segment"]).values()]
    if not blobs:
        yield Broken(commit, "its tree holds no record")
    beside = {name for _, name, _ in reader.tree(entries[b"beside"])} if b"beside" in entries else set()
    for blob in blobs:
        start = 0
        for line in reader.body(blob, "blob").split(b"\n"):
            if line:
                yield Stored(commit, blob, start, line, _folder(line, beside) if sealed else "")
            start += len(line) + 1


def _folder(body: bytes, beside: set[bytes]) -> str | None:
    """Where the things beside a record of a segment lie. The reader of the record says what is wrong with it."""
    if beside:
        with contextlib.suppress(RecordError):
            identifier = codec.identify_bytes(body)
            return f"beside/{identifier}" if identifier.encode() in beside else None
    return None


def records(reader: Reader, decoder: codec.Decoder, places: Iterable[tuple[str, int, int]]) -> Iterator[Record]:
    """Records read again from where they were found: blob, start and length. Raises ``GitError`` or ``RecordError``."""
    yield from map(decoder.decode, bodies(reader, places))


def bodies(reader: Reader, places: Iterable[tuple[str, int, int]]) -> Iterator[bytes]:
    """The bytes of records from where they were found: blob, start and length. Raises ``GitError``."""
    for some in _portions(places):
        blobs = list(dict.fromkeys(blob for blob, _, _ in some))  # a segment holds many
        whole = dict(zip(blobs, reader.bodies(blobs, "blob"), strict=True))
        yield from (whole[blob][start : start + length] for blob, start, length in some)


def _portions(places: Iterable[tuple[str, int, int]]) -> Iterator[list[tuple[str, int, int]]]:
    """Places to read together. All that is known of a blob's size is how far the records reach that are asked for."""
    some: list[tuple[str, int, int]] = []
    ends: dict[str, int] = {}
    size = 0
    for blob, start, length in places:
        some.append((blob, start, length))
        more = max(start + length - ends.get(blob, 0), 0)
        ends[blob] = ends.get(blob, 0) + more
        size += more
        if len(some) == _AT_ONCE or size >= _BYTES_AT_ONCE:
            yield some
            some, ends, size = [], {}, 0
    if some:
        yield some


def tree_beside(place: str) -> str:
    """How git names the tree at a ``Stored.place``."""
    return place if ":" in place else place + "^{tree}"


def beside(place: str, path: bytes) -> str:
    """How git names what lies at ``path`` beside the record at a ``Stored.place``."""
    return f"{place}{'/' if ':' in place else ':'}{path.decode()}"


def overlay(reader: Reader, place: str, beside: bytes = b"files") -> dict[str, str]:
    """The overlay files of a record: path to blob id. Paths that would leave a work tree are left out.

    With ``repositories`` as ``beside`` those of other repositories, each path after the repository's number.
    """
    entries = reader.tree(tree_beside(place))
    folder = next((oid for mode, name, oid in entries if name == beside and mode == TREE_MODE), None)
    found = reader.files(folder) if folder else {}
    paths = {to_text(path): oid for path, (_, oid) in found.items()}
    return {path: oid for path, oid in paths.items() if is_safe_relative(path)}


def is_withheld(reader: Reader, place: str) -> bool:
    """Whether the overlays of the record at a ``Stored.place`` were left out there when it was shared."""
    return any(name == WITHHELD for _, name, _ in reader.tree(tree_beside(place)))


def inputs(reader: Reader, place: str, job: Job) -> Iterator[File]:
    """All inputs of a job, its manifests included; there may be millions. Raises ``RecordError`` or ``GitError``."""
    return _each(reader, place, b"in", job.inputs, job.input_shards)


def outputs(reader: Reader, place: str, job: Job) -> Iterator[File]:
    """All outputs of a job, its manifests included, as ``inputs``."""
    return _each(reader, place, b"out", job.outputs, job.output_shards)


def first(files: Iterable[File], most: int) -> list[File]:
    """The first of the files that are not in git, and of the others where those are fewer, as far as they must be read.

    ``files`` are sorted by path, as they are in manifests.
    """
    data: list[File] = []
    code: list[File] = []
    for file in files:
        (data if file.blob is None else code).append(file)
        del code[most:]
        if len(data) == most:
            break
    return [*data, *code][:most]


def _each(reader: Reader, place: str, side: bytes, files: list[File], shards: list[Shard]) -> Iterator[File]:
    yield from files
    for shard in shards:
        yield from files_of(reader, place, side, shard)


def files_of(reader: Reader, place: str, side: bytes, shard: Shard) -> Iterator[File]:
    """The files of one shard of a job. Raises ``RecordError`` or ``GitError``."""

    def fetch(part: Shard) -> bytes | None:
        found = reader.get(beside(place, manifests.tree_path(side, part)))
        return found[2] if found else None

    return manifests.read(shard, fetch)
