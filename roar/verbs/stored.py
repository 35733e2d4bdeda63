"""Putting the bytes of recorded files into the store, and getting them back to where they were."""

from __future__ import annotations

import os
import shlex
import threading
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Literal, NamedTuple

from roar.cache.index import Index, open_index
from roar.errors import NotFoundError, RoarError, UsageError
from roar.git.repository import Repository
from roar.hashing import digest_file, digest_files, other_digests
from roar.paths import below, from_fs, fs, is_outside, is_safe_relative
from roar.records.job import File, Job
from roar.records.summary import printable
from roar.redact import is_secret_path
from roar.stamps import Stamps
from roar.store.copying import Origin, Store, Tell
from roar.store.fetch import fetch
from roar.store.place import opened
from roar.store.remote import LIBRARIES, scheme
from roar.verbs import overwritten
from roar.verbs.labels import label
from roar.verbs.resolve import Target, resolve
from roar.verbs.steps import session_asked

_AT_ONCE = 4
"""Files that are copied side by side; each S3 connection is slower than the line, and a disk gains by two or three."""
State = Literal["stored", "there", "fetched", "gone", "secret", "failed"]
"""``there``: nothing had to be copied. ``gone``: no file with that content is here. ``secret``: by its name, so it is
only kept when it is named."""


class Item(NamedTuple):
    """A file to be kept or brought back: where it lies, its BLAKE3, its size in bytes, how people are told of it."""

    place: str
    content: str
    size: int
    shown: str


class Done(NamedTuple):
    """What became of one item; ``why`` when it failed."""

    item: Item
    state: State
    why: RoarError | None = None


def store_at(url: str | None, configured: str, cwd: str, *, write: bool = False) -> Store:
    """The store that was named, or the configured one. Raises ``UsageError`` when there is neither, as ``opened``."""
    if not (url or configured):
        raise UsageError("no store is set", "roar config set store.url /path/of/a/folder (or s3://BUCKET/PREFIX)")
    return opened(url or configured, cwd, write=write)


def put(store: Store, items: Iterable[Item], tell: Tell, *, force: bool = False) -> list[Done]:
    """Keep these files, several at once. What is there already with its size is not read again unless ``force``."""

    def one(item: Item, told: Tell) -> State:
        if not force and store.has(item.content, item.size):
            return "there"
        store.put(item.content, item.place, told)
        return "stored"

    return _each(items, one, tell)


def get(origin: Origin, items: Iterable[Item], tell: Tell, *, force: bool = False) -> list[Done]:
    """Bring these files back, several at once."""

    def one(item: Item, told: Tell) -> State:
        try:
            return "fetched" if fetch(origin, item.content, item.place, told, force=force) else "there"
        except FileNotFoundError as error:
            raise NotFoundError(
                f"{item.shown} ({item.content[:12]}) is not in {origin.name}", "roar put, where somebody has it"
            ) from error

    return _each(items, one, tell)


def _each(items: Iterable[Item], one: Callable[[Item, Tell], State], tell: Tell) -> list[Done]:
    """Do the same for all. The others go on when one fails; an interrupt ends all of them."""
    stop, lock = threading.Event(), threading.Lock()

    def told(count: int) -> None:
        if stop.is_set():
            raise RoarError("interrupted")
        with lock:
            tell(count)

    def guarded(item: Item) -> Done:
        try:
            return Done(item, one(item, told))
        except RoarError as error:
            return Done(item, "failed", error)
        except OSError as error:
            where = error.filename or item.place
            return Done(item, "failed", RoarError(f"{printable(str(where))}: {error.strerror or error}"))

    with ThreadPoolExecutor(_AT_ONCE) as pool:
        try:
            return list(pool.map(guarded, items))
        except BaseException:
            stop.set()
            pool.shutdown(wait=True, cancel_futures=True)
            raise


# What is meant


def to_put(repo: Repository, words: Iterable[str], cwd: str) -> tuple[list[Item], list[Done]]:
    """The files that the words mean, or those of the session's jobs when there are none, each content once.

    A file in the work tree, recorded or not, is itself; a hash is whatever file here has that content; a job, step or
    session is all that its jobs read and wrote and that git does not have. The second value tells of what cannot be
    kept. Raises what ``resolve`` raises, and ``NotFoundError`` when no file here has a named content.
    """
    stamps = Stamps(repo.own_dir)
    try:
        with open_index(repo) as index:
            found, left = _to_put(index, repo, list(words), cwd, stamps)
    finally:
        stamps.close()
    return list({item.content: item for item in found}.values()), left


def _to_put(
    index: Index, repo: Repository, words: list[str], cwd: str, stamps: Stamps
) -> tuple[list[Item], list[Done]]:
    found: list[Item] = []
    left: list[Done] = []
    jobs: list[str] = []
    if not words:
        session = session_asked(index, repo)
        jobs = index.jobs(session) if session else []
        if not jobs:
            raise NotFoundError("the session has no jobs", "roar put FILE")
    for word in words:
        place = os.path.join(cwd, word)
        if os.path.isfile(place):
            digest = digest_file(place)
            found.append(Item(place, digest.hash, digest.stat.st_size, printable(from_fs(word))))
            continue
        target = resolve(index, repo, word, cwd)
        if target.kind == "artifact":
            uses = index.names(target.id)
            item = next((i for use in uses if (i := _here(repo, use.path, target.id, use.size, stamps))), None)
            if item is None:
                raise NotFoundError(f"no file here has the content {target.id[:12]}", f"roar show {target.id[:12]}")
            found.append(item)
        else:
            jobs += _jobs(index, word, target.kind, target.id)
    for file in _data_of(index, jobs):
        item = _here(repo, file.path, file.hash or "", file.size, stamps)
        state: State | None = "secret" if is_secret_path(file.path.lstrip("/")) else None if item else "gone"
        if state is None and item:
            found.append(item)
        else:
            nowhere = Item("", file.hash or "", file.size or 0, printable(file.path))
            left.append(Done(nowhere, state or "gone"))
    return found, left


def _jobs(index: Index, word: str, kind: str, identifier: str) -> list[str]:
    if kind == "commit":
        raise UsageError(f"{printable(word)} is a commit, not a file, a hash, a job or a step", "roar log")
    return index.jobs(identifier)[::-1] if kind == "session" else [identifier]


def _data_of(index: Index, jobs: Iterable[str]) -> list[File]:
    """The files of known content that these jobs read or wrote and that git does not have, each once."""
    found: dict[tuple[str, str], File] = {}
    for job in jobs:
        for side in index.files(job):
            found.update(((file.path, file.hash), file) for file in side if file.hash and not file.blob)
    return list(found.values())


def _here(repo: Repository, path: str, content: str, size: int | None, stamps: Stamps) -> Item | None:
    """The file at a recorded path when it still has the recorded content."""
    top = repo.work_tree
    try:
        place = fs(path) if is_outside(path) else os.path.join(top, fs(path)) if top and is_safe_relative(path) else ""
        if not place or (size is not None and os.stat(place).st_size != size):
            return None
    except (OSError, ValueError):
        return None
    digest = digest_files([place], stamps)[place]
    if isinstance(digest, OSError) or digest.hash != content:
        return None
    return Item(place, content, digest.stat.st_size, printable(path))


def outputs(repo: Repository, identifier: str, job: Job) -> list[Item]:
    """The outputs of a job that has just ended, as far as git does not have them and nobody changed them since."""
    files = job.outputs
    if job.output_shards:
        with open_index(repo) as index:
            files = index.files(identifier)[1]
    stamps = Stamps(repo.own_dir)
    try:
        known = [file for file in files if file.hash and not file.blob and not is_secret_path(file.path.lstrip("/"))]
        items = [_here(repo, file.path, file.hash or "", file.size, stamps) for file in known]
    finally:
        stamps.close()
    return list({item.content: item for item in items if item}.values())


def to_get(repo: Repository, words: Iterable[str], cwd: str, to: str | None) -> list[Item]:
    """The files that the words mean, and where they go: to ``to``, else to where they were recorded in the work tree.

    Raises what ``resolve`` raises, ``UsageError`` for what has no place of its own, and ``RoarError`` for a recorded
    path that leads out of the work tree.
    """
    found: list[Item] = []
    with open_index(repo) as index:
        for word in words:
            content, path = _whole_hash(word), None
            if not (content and not index.names(content)):
                try:
                    target = resolve(index, repo, word, cwd)
                except NotFoundError:
                    copy = overwritten.find(repo, word)
                    if copy is None:
                        raise
                    found.append(_one(index, repo, copy.hash, copy.path, to, cwd))
                    continue
                if target.kind != "artifact":
                    files = _data_of(index, _jobs(index, word, target.kind, target.id))
                    if to is not None:
                        raise UsageError(f"--to takes one file, and {printable(word)} has several", "roar get X")
                    inside = [file for file in files if not is_outside(file.path)]
                    found += [_at(repo, f.path, f.hash or "", f.size or 0) for f in inside]
                    continue
                content, path = target.id, target.path
            found.append(_one(index, repo, content, path, to, cwd))
    if to is not None and len(found) > 1:
        raise UsageError("--to takes one file", "roar get X --to PATH")
    return list({item.place: item for item in found}.values())


def place_named(to: str, cwd: str, name: str) -> str:
    """The place that ``--to`` means, typed in the folder ``cwd``: below it, by this name, when it is a folder."""
    place = os.path.abspath(os.path.join(cwd, to))
    return os.path.join(place, name) if os.path.isdir(place) or to.endswith("/") else place


def label_digests(repo: Repository, done: Iterable[Done], algorithms: Sequence[str]) -> None:
    """Label files that were kept or brought with their digests. Raises what ``append`` raises, and ``OSError``."""
    for each in done if algorithms else ():
        if each.state in ("stored", "fetched", "there"):
            found = other_digests(each.item.place, each.item.content, algorithms)
            with open_index(repo) as index:
                label(index, repo, Target("artifact", each.item.content), found)


def declared(repo: Repository, content: str) -> list[str]:
    """Addresses that users declared for the jobs that read or wrote this content. Nobody has checked them."""
    with open_index(repo) as index:
        users = [*index.producers(content), *index.consumers(content)]
        hints = [hint.ref for job in index.load_jobs(users).values() for hint in job.hints]
    return [ref for ref in dict.fromkeys(hints) if scheme(ref) in LIBRARIES]


def quoted(text: str) -> str:
    """A text of a record as one word of a command to be typed."""
    return shlex.quote(printable(text))


def _whole_hash(word: str) -> str:
    text = word.lower()
    return text if len(text) == 64 and set(text) <= set("0123456789abcdef") else ""


def _one(index: Index, repo: Repository, content: str, path: str | None, to: str | None, cwd: str) -> Item:
    uses = index.names(content)
    size = next((use.size for use in uses if use.size), 0)
    inside = [use.path for use in uses if is_safe_relative(use.path)]
    name = path if path and is_safe_relative(path) else inside[0] if inside else None
    if to is not None:
        place = place_named(to, cwd, os.path.basename(fs(name)) if name else content)
        return Item(place, content, size, printable(from_fs(to)))
    if name is None:
        raise UsageError(f"{content[:12]} has no place in this repository", f"roar get {content[:12]} --to PATH")
    return _at(repo, name, content, size)


def _at(repo: Repository, path: str, content: str, size: int) -> Item:
    """A recorded path in the work tree, which no symbolic link may lead out of it or into git's own folder."""
    top = os.path.realpath(repo.require_work_tree())
    place = os.path.join(top, fs(path)) if is_safe_relative(path) else top
    inside = below(os.path.realpath(os.path.dirname(place)), top)
    if place == top or inside is None or (inside and not is_safe_relative(from_fs(inside))):
        raise RoarError(f"a record names a path that leaves the work tree: {printable(path)}", "roar get X --to PATH")
    return Item(place, content, size, printable(path))
