"""Git objects: written loose by git's own protocol, read through one ``git cat-file --batch``.

A writer of our own, because an append is hot and must leave nothing behind when it is killed: temporary names
begin with ``tmp_obj_``, which ``git gc`` removes. The format is that of gitformat-pack(5) and git-hash-object(1).
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence

from roar.errors import GitError
from roar.git import files
from roar.git.repository import Repository
from roar.paths import OPEN

TREE_MODE = b"40000"
FILE_MODE = b"100644"
MAX_BYTES = 128 << 20
"""A larger object is not read: nothing that roar writes comes near it."""
MAX_FILES = 1_000_000
MAX_DEPTH = 128
"""Folders of folders in one tree."""
_AT_ONCE = 500
"""Objects asked for in one portion: their names are 20 KB, and a pipe holds 64."""
_TRIES = 10
"""gc removes empty folders under a writer; so often in a row it does not."""


def write(repo: Repository, kind: str, body: bytes, *, anew: bool = False) -> str:
    """Store an object and give its id. ``anew``: even if it is there, since that one may be damaged."""
    framed = b"%s %d\0" % (kind.encode(), len(body)) + body
    oid = repo.hash(framed)
    folder = os.path.join(repo.objects_dir, oid[:2])
    path = os.path.join(folder, oid[2:])
    if not anew and _freshened(path):
        return oid
    packed = zlib.compress(framed, 1)
    for left in range(_TRIES, -1, -1):
        try:
            _place(repo, folder, path, packed)
            break
        except FileNotFoundError:
            if not left:
                raise
            files.make_folders(repo, folder)
    return oid


def _freshened(path: str) -> bool:
    """True for an object that is there, made young as git makes it, lest a prune that has begun takes it for refuse.

    An empty file, which a power failure leaves, is none.
    """
    try:
        os.utime(path)
        return os.stat(path).st_size > 0
    except OSError:  # missing; or not ours, and then we write one of our own in its place
        return False


def _place(repo: Repository, folder: str, path: str, packed: bytes) -> None:
    temporary = os.path.join(folder, f"tmp_obj_roar{os.getpid()}_{os.urandom(4).hex()}")
    fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | OPEN, 0o444)
    try:
        with os.fdopen(fd, "wb") as file:
            file.write(packed)
            file.flush()
            files.open_to_sharers(repo, fd, 0o444)
            files.flush(repo, files.OBJECT, fd)
        os.replace(temporary, path)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(temporary)
        raise


def tree_body(entries: Iterable[tuple[bytes, bytes, str]]) -> bytes:
    """A tree of (mode, name, id), in git's order: folders sort as if their names ended in a slash."""
    ordered = sorted(entries, key=lambda e: e[1] + b"/" if e[0] == TREE_MODE else e[1])
    return b"".join(mode + b" " + name + b"\0" + bytes.fromhex(oid) for mode, name, oid in ordered)


def tree_entries(body: bytes, *, sha256: bool = False) -> list[tuple[bytes, bytes, str]]:
    """The (mode, name, id) of a tree. Raises ``ValueError`` when the bytes are no tree."""
    width = 32 if sha256 else 20
    entries, at = [], 0
    while at < len(body):
        space, nul = body.index(b" ", at), body.index(b"\0", at)
        if space > nul or nul + 1 + width > len(body):
            raise ValueError("a broken tree")
        entries.append((body[at:space], body[space + 1 : nul], body[nul + 1 : nul + 1 + width].hex()))
        at = nul + 1 + width
    return entries


def write_files(repo: Repository, files: Mapping[bytes, bytes]) -> str:
    """Store files by their slash-separated paths, and give the id of the tree that holds them."""
    return write_tree(repo, {path: write(repo, "blob", data) for path, data in files.items()})


def write_tree(repo: Repository, blobs: Mapping[bytes, str]) -> str:
    """Store the tree that holds these blobs by their slash-separated paths, and give its id."""
    folders: dict[bytes, dict[bytes, str]] = {}
    entries: list[tuple[bytes, bytes, str]] = []
    for path, blob in blobs.items():
        first, slash, rest = path.partition(b"/")
        if slash:
            folders.setdefault(first, {})[rest] = blob
        else:
            entries.append((FILE_MODE, first, blob))
    for name, inside in folders.items():
        entries.append((TREE_MODE, name, write_tree(repo, inside)))
    return write(repo, "tree", tree_body(entries))


def commit_body(tree: str, parents: Iterable[str], author: str, committer: str, message: str) -> bytes:
    """A commit; ``author`` and ``committer`` are whole identity lines with their dates."""
    lines = [f"tree {tree}", *(f"parent {p}" for p in parents), f"author {author}", f"committer {committer}"]
    return ("\n".join(lines) + "\n\n" + message).encode("utf-8", "surrogateescape")


def on_parent(commit: bytes, parent: str | None) -> bytes:
    """The body of a commit on another parent, or on none. A signature, which was of the old one, is not taken along."""
    head, blank, message = commit.partition(b"\n\n")
    lines: list[bytes] = []
    signature = False
    for line in head.split(b"\n"):
        signature = line.startswith(b"gpgsig") or (signature and line.startswith(b" "))
        if not signature and not line.startswith(b"parent "):
            lines.append(line)
    if parent:
        lines.insert(1, b"parent " + parent.encode())
    return b"\n".join(lines) + blank + message


class Commit:
    """The parts of a commit that are asked for. ``date`` is the committer's, in seconds."""

    __slots__ = ("date", "message", "parents", "signed", "tree")

    def __init__(self, body: bytes) -> None:
        head, _, message = body.partition(b"\n\n")
        self.tree, self.date, self.parents, self.signed = "", 0, list[str](), False
        self.message = message.decode(errors="replace")
        for line in head.split(b"\n"):
            key, _, value = line.partition(b" ")
            if key == b"tree":
                self.tree = value.decode("ascii", "replace")
            elif key == b"parent":
                self.parents.append(value.decode("ascii", "replace"))
            elif key == b"committer":
                words = value.rsplit(b" ", 2)
                self.date = int(words[1]) if len(words) == 3 and words[1].isdigit() else 0
            elif key.startswith(b"gpgsig"):
                self.signed = True


def _must_be(found: tuple[str, str, bytes] | None, name: str, kind: str) -> bytes:
    if found is None or found[0] != kind:
        raise GitError(f"{kind} {name} is missing; run git fsck")
    return found[2]


class Reader:
    """Reads objects of any place (loose, packed, alternates, promised) by one running git."""

    def __init__(self, repo: Repository) -> None:
        self._repo = repo
        self._git: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Reader:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def get(self, name: str) -> tuple[str, str, bytes] | None:
        """The (kind, id, body) of an object by id or by ``REV:path``; None when there is none.

        Raises ``GitError`` when git itself fails, ``ValueError`` for a name with a line break.
        """
        self._ask([name])
        return self._answer(name)

    def bodies(self, names: Sequence[str], kind: str) -> Iterator[bytes]:
        """The bodies of objects that must exist and be of this kind, asked for in portions. Raises ``GitError``.

        One by one each of them would cost two changes of processes, more than all the rest.
        """
        for start in range(0, len(names), _AT_ONCE):
            some = names[start : start + _AT_ONCE]
            self._ask(some)
            answers = [
                self._answer(name) for name in some
            ]  # all of them, lest one left unread answers another question
            yield from [_must_be(found, name, kind) for name, found in zip(some, answers, strict=True)]

    def _ask(self, names: Sequence[str]) -> None:
        """Write the names, which a pipe can hold: git may wait until its answers are read."""
        wrong = next((name for name in names if "\n" in name or not name), None)
        if wrong is not None:
            raise ValueError(f"no object has the name {wrong!r}")
        git = self._running()
        assert git.stdin is not None
        with contextlib.suppress(BrokenPipeError):  # its answer tells
            git.stdin.write("".join(f"{name}\n" for name in names).encode("utf-8", "surrogateescape"))
            git.stdin.flush()

    def _answer(self, name: str) -> tuple[str, str, bytes] | None:
        git = self._running()
        assert git.stdout is not None
        head = git.stdout.readline().split(b" ")
        if len(head) != 3 or not head[2].strip().isdigit():
            if head and head[-1].strip() in (b"missing", b"ambiguous"):
                return None
            self.close()
            raise GitError(f"git could not read the object {name}; run git fsck")
        size = int(head[2])
        if size > MAX_BYTES:
            self.close()
            raise GitError(f"object {head[0].decode()} has {size} bytes, more than {MAX_BYTES}")
        body = git.stdout.read(size)
        git.stdout.read(1)
        if len(body) != size:
            self.close()
            raise GitError(f"git could not read all of the object {name}; run git fsck")
        return head[1].decode(), head[0].decode(), body

    def body(self, name: str, kind: str) -> bytes:
        """The body of an object that must exist and be of this kind. Raises ``GitError``."""
        return _must_be(self.get(name), name, kind)

    def commit(self, name: str) -> Commit:
        """A commit that must exist. Raises ``GitError``."""
        return Commit(self.body(name, "commit"))

    def tree(self, name: str) -> list[tuple[bytes, bytes, str]]:
        """The entries of a tree that must exist. Raises ``GitError``."""
        try:
            return tree_entries(self.body(name, "tree"), sha256=self._repo.sha256)
        except ValueError as error:
            raise GitError(f"tree {name}: {error}; run git fsck") from error

    def files(self, tree: str) -> dict[bytes, tuple[bytes, str]]:
        """Every file below a tree: path to (mode, blob id). Raises ``GitError`` for trees without measure."""
        found: dict[bytes, tuple[bytes, str]] = {}
        waiting = [(tree, b"", 0)]
        seen = 0
        while waiting:
            oid, prefix, depth = waiting.pop()
            entries = self.tree(oid)
            seen += len(entries)
            if depth > MAX_DEPTH or seen > MAX_FILES:
                raise GitError(f"tree {tree} is deeper than {MAX_DEPTH} or has more than {MAX_FILES} entries")
            for mode, name, inner in entries:
                if mode == TREE_MODE:
                    waiting.append((inner, prefix + name + b"/", depth + 1))
                else:
                    found[prefix + name] = (mode, inner)
        return found

    def close(self) -> None:
        """End the running git, if one runs."""
        if self._git is not None:
            git, self._git = self._git, None
            if git.stdin:
                git.stdin.close()
            if git.stdout:
                git.stdout.close()
            git.wait()

    def _running(self) -> subprocess.Popen[bytes]:
        if self._git is None:
            self._git = subprocess.Popen(
                ["git", *self._repo.args(), "cat-file", "--batch"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                cwd=self._repo.git_dir,
                env=self._repo.environment(),
            )
        return self._git
