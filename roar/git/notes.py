"""Notes: lines of text on commits, in the tree that git-notes(1) reads.

A note of commit ``abcd...`` is the blob at ``ab/cd...``. Git itself may write at another fan-out (after an amend,
for instance), so an older note is looked for at each.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from roar.git import objects
from roar.git.objects import FILE_MODE, TREE_MODE, Reader
from roar.git.repository import Repository

MOST_LINES = 200
"""A note keeps its newest lines: each append writes the whole blob anew, and nobody reads thousands."""

Entries = list[tuple[bytes, bytes, str]]


def add_line(repo: Repository, reader: Reader, tree: str | None, commit: str, line: str) -> str:
    """The id of a tree like ``tree`` in which the commit's note also has this line (once)."""
    root, shard = _around(reader, tree, commit)
    name = commit.encode()
    lines = _lines(reader, root, shard, name)
    new = line.encode("utf-8", "surrogateescape")
    if new not in lines:
        lines.append(new)
    blob = _blob(repo, lines)
    shard = [e for e in shard if e[1] not in (name[2:], name[2:4])] + _others(repo, reader, shard, name)
    shard.append((FILE_MODE, name[2:], blob))
    shard_id = objects.write(repo, "tree", objects.tree_body(shard))
    root = [e for e in root if e[1] not in (name, name[:2])]
    root.append((TREE_MODE, name[:2], shard_id))
    return objects.write(repo, "tree", objects.tree_body(root))


def lines_of(reader: Reader, tree: str | None, commit: str) -> list[str]:
    """The lines of a commit's note."""
    root, shard = _around(reader, tree, commit)
    return [line.decode("utf-8", "surrogateescape") for line in _lines(reader, root, shard, commit.encode())]


def _around(reader: Reader, tree: str | None, commit: str) -> tuple[Entries, Entries]:
    """The entries of the notes tree, and of the folder in it where the commit's note belongs."""
    root = reader.tree(tree) if tree else []
    folder = next((oid for mode, n, oid in root if n == commit[:2].encode() and mode == TREE_MODE), None)
    return root, reader.tree(folder) if folder else []


def _lines(reader: Reader, root: Entries, shard: Entries, name: bytes) -> list[bytes]:
    texts = [reader.body(oid, "blob") for oid in _existing(reader, root, shard, name)]
    return [text for text in b"\n".join(texts).split(b"\n") if text]


def _blob(repo: Repository, lines: list[bytes], *, anew: bool = False) -> str:
    return objects.write(repo, "blob", b"\n".join(lines[-MOST_LINES:]) + b"\n", anew=anew)


def _existing(reader: Reader, root: Entries, shard: Entries, name: bytes) -> list[str]:
    """The blobs of this commit's note at fan-out 0, 1 and 2."""
    found = [oid for mode, n, oid in root if n == name and mode != TREE_MODE]
    found += [oid for mode, n, oid in shard if n == name[2:] and mode != TREE_MODE]
    for mode, n, oid in shard:
        if n == name[2:4] and mode == TREE_MODE:
            found += [o for m, k, o in reader.tree(oid) if k == name[4:] and m != TREE_MODE]
    return found


def _others(repo: Repository, reader: Reader, shard: Entries, name: bytes) -> Entries:
    """A deeper folder that also holds other commits' notes, without this one's."""
    for mode, n, oid in shard:
        if n == name[2:4] and mode == TREE_MODE:
            rest = [e for e in reader.tree(oid) if e[1] != name[4:]]
            if rest:
                return [(TREE_MODE, n, objects.write(repo, "tree", objects.tree_body(rest)))]
    return []


def build(repo: Repository, notes: Mapping[str, list[str]], *, anew: bool) -> str:
    """The id of a tree with these notes (commit to lines) and no others, as ``add_line`` would have made it.

    ``anew``: objects that are there may be damaged.
    """

    def tree(entries: Entries) -> str:
        return objects.write(repo, "tree", objects.tree_body(entries), anew=anew)

    shards: dict[bytes, Entries] = {}
    for commit, lines in notes.items():
        name = commit.encode()
        blob = _blob(repo, [line.encode("utf-8", "surrogateescape") for line in lines], anew=anew)
        shards.setdefault(name[:2], []).append((FILE_MODE, name[2:], blob))
    return tree([(TREE_MODE, name, tree(shards[name])) for name in shards])


def all_lines(reader: Reader, tree: str) -> Iterator[tuple[str, str]]:
    """Every (commit, line) in a tree of notes. Raises ``GitError`` for what cannot be read."""
    for path, (_, blob) in reader.files(tree).items():
        for line in reader.body(blob, "blob").decode("utf-8", "surrogateescape").split("\n"):
            if line:
                yield path.replace(b"/", b"").decode("ascii", "replace"), line
