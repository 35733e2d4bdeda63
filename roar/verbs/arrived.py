"""The new objects of a push, each looked at once: sizes, trees, records.

What is new is what the new tips reach and the old ones do not. One ``git rev-list`` names it and one ``git cat-file``
gives it, in the order in which they come; nothing large is kept. The rest, what belongs to what, is asked of the small
things that are kept: commits, trees, ids of records.
"""

from __future__ import annotations

import contextlib
import subprocess
from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

from roar.errors import GitError
from roar.git import objects, program
from roar.git.objects import FILE_MODE, TREE_MODE, Reader
from roar.git.repository import Repository
from roar.journal import RECORD, WITHHELD
from roar.journal.read import skip
from roar.verbs.arriving import Arriving, RecordBlobs, Rules, TooMuchError, Watch, arriving, secrets

_CLEAN = "next: roar pop --purge the record, or ask an administrator of the project to allow it"
_PLAIN = frozenset({TREE_MODE, FILE_MODE})
_TOP = frozenset({RECORD, b"files", b"in", b"out", b"segment", b"beside", WITHHELD})


class _Weight(NamedTuple):
    """Of a tree: paths in all, folders below each other, and something in it that is no plain file ("": nothing)."""

    paths: int
    depth: int
    odd: str


class Arrived:
    """What a push brings; ``problems`` maps each faulty object to what is wrong with it, wherever it lies."""

    def __init__(self, repo: Repository, tips: Iterable[str], known: Iterable[str], rules: Rules) -> None:
        self._repo = repo
        self._rules = rules
        self._reader = Reader(repo)
        self.commits: dict[str, Arriving] = {}
        self.problems: dict[str, list[str]] = {}
        self._trees: dict[str, list[tuple[bytes, bytes, str]]] = {}
        self._walked: set[str] = set()
        """Objects below the trees that were walked."""
        self._weights: dict[str, _Weight] = {}
        self._watch = Watch(rules)
        self._records = RecordBlobs(rules, self._watch)
        wanted = [*tips, *(f"^{oid}" for oid in sorted(set(known)))]
        self._take("".join(f"{name}\n" for name in wanted).encode())

    def __enter__(self) -> Arrived:
        return self

    def __exit__(self, *_: object) -> None:
        self._reader.close()

    # ---- looking at each object

    def _take(self, wanted: bytes) -> None:
        """Look at everything. Raises ``GitError`` when git cannot walk it."""
        repo, pipe = self._repo, subprocess.PIPE
        env = repo.environment()
        batch = "--batch=%(objectname) %(objecttype) %(objectsize) %(rest)"
        with (
            subprocess.Popen(
                ["git", *repo.args(), "rev-list", "--objects", "--stdin"], stdin=pipe, stdout=pipe, stderr=pipe, env=env
            ) as walk,
            subprocess.Popen(
                ["git", *repo.args(), "cat-file", "--buffer", batch],
                stdin=walk.stdout,
                stdout=pipe,
                stderr=subprocess.DEVNULL,
                env=env,
            ) as cat,
        ):
            assert walk.stdin and walk.stdout and walk.stderr and cat.stdout
            walk.stdout.close()
            with contextlib.suppress(BrokenPipeError):
                walk.stdin.write(wanted)
                walk.stdin.close()
            try:
                while head := cat.stdout.readline():
                    self._watch.tick()
                    self._object(head, cat)
            except BaseException:
                walk.kill()
                cat.kill()
                raise
            trouble = walk.stderr.read()
        if walk.returncode or cat.returncode:
            raise GitError(f"what arrived cannot be walked: {program.last_line(trouble)}", "git fsck")

    def _object(self, head: bytes, cat: subprocess.Popen[bytes]) -> None:
        assert cat.stdout
        self._watch.object()
        oid, kind, size, path = (*head.decode("utf-8", "replace").rstrip("\n").split(" ", 3), "", "", "")[:4]
        if not size.isdigit():
            raise GitError(f"object {oid} is {kind or 'missing'}", "git fsck")
        if int(size) > objects.MAX_BYTES:
            self._fault(oid, f"{kind} {oid} ({path}) has {size} bytes, more than {objects.MAX_BYTES}")
            skip(cat.stdout, int(size) + 1)
            return
        body = cat.stdout.read(int(size))
        cat.stdout.read(1)
        if kind == "commit":
            self.commits[oid] = arriving(body)
        elif kind == "tree":
            try:
                self._trees[oid] = objects.tree_entries(body, sha256=self._repo.sha256)
            except ValueError as error:
                self._fault(oid, f"tree {oid}: {error}")
        elif kind == "blob":
            if path == "record.json" or path.startswith("segment/"):  # where records lie in a commit's tree
                self._records.take(oid, body, one=path == "record.json")
            if self._rules.secrets is not None and (found := secrets(path, body, self._rules.secrets)):
                self._fault(oid, f"{path or 'blob'} ({oid[:12]}) seems to hold secrets: {', '.join(found)} ({_CLEAN})")
        else:
            self._fault(oid, f"{oid} is a {kind}")

    # ---- what belongs to what

    def chain(self, tip: str) -> tuple[list[str], set[str]]:
        """The new commits that a tip reaches, and the known ones that those stand on."""
        found, bases, waiting = list[str](), set[str](), [tip]
        seen = set(waiting)
        while waiting:
            oid = waiting.pop()
            commit = self.commits.get(oid)
            if commit is None:
                bases.add(oid)
                continue
            found.append(oid)
            fresh = [parent for parent in commit.parents if parent not in seen]
            seen.update(fresh)
            waiting += fresh
        return found, bases

    def faults_of_chain(self, commits: Iterable[str]) -> Iterator[str]:
        """What is wrong with commits of a chain of records. Raises ``GitError``."""
        for oid in commits:
            self._watch.tick()
            commit = self.commits[oid]
            if len(commit.parents) > 1:
                yield f"commit {oid} has several parents: a chain has none"
            modes = {name: mode for mode, name, _ in self._entries(commit.tree)}
            if modes.get(RECORD) != FILE_MODE and (RECORD in modes or modes.get(b"segment") != TREE_MODE):
                yield f"commit {oid}: its tree holds no record"
                continue
            for name in sorted(modes.keys() - _TOP):
                yield f"commit {oid}: {name.decode('utf-8', 'replace')!r} is nothing that lies beside a record"
            faults = list(self._faults_of_tree(commit.tree))
            yield from (f"commit {oid}: {fault}" for fault in faults)
            if not faults:
                yield from self._faults_of_records(oid, commit, one=RECORD in modes)

    def faults_of_notes(self, commits: Iterable[str], is_note: Callable[[str], bool]) -> Iterator[str]:
        """What is wrong with commits of notes: faulty objects, and the first name that is no note's.

        Raises ``TooMuchError`` for more notes than a tree may have, however few objects say so.
        """
        seen: set[tuple[str, str]] = set()
        for oid in commits:
            # not weighed: the known folders of a large tree of notes would be read for each new note
            for fault in self._faults_below(self.commits[oid].tree):
                yield f"commit {oid}: {fault}"
            for path in self._new_notes(self.commits[oid].tree, seen):
                if not is_note(path.replace("/", "")):
                    yield f"{path!r} is no note: notes are named by the commits they stand on"
                    break

    def _new_notes(self, tree: str, seen: set[tuple[str, str]]) -> Iterator[str]:
        """The paths in a tree of notes, as far as it is new and was not seen before. Raises ``TooMuchError``."""
        waiting = [(tree, "")]
        while waiting:
            oid, folder = waiting.pop()
            for mode, name, inner in self._trees.get(oid, ()):
                self._watch.tick()
                path = folder + name.decode("utf-8", "replace")
                if (inner, path) in seen:
                    continue
                if len(seen) == objects.MAX_FILES:
                    raise TooMuchError(f"it brings more than {objects.MAX_FILES} notes (next: push less at once)")
                seen.add((inner, path))
                if mode == TREE_MODE and len(path) < 100:
                    waiting.append((inner, path + "/"))
                else:
                    yield path

    def faults_of_code(self, commits: Iterable[str]) -> Iterator[str]:
        """What is wrong with commits of code: nothing but faulty objects."""
        for oid in commits:
            for fault in self._faults_of_tree(self.commits[oid].tree, plain=False):
                yield f"commit {oid}: {fault}"

    def _faults_of_records(self, oid: str, commit: Arriving, *, one: bool) -> Iterator[str]:
        entries = {name: inner for _, name, inner in self._entries(commit.tree)}
        blobs: Iterable[str] = [entries[RECORD]] if one else self._blobs(entries[b"segment"])
        ids = []
        for blob in blobs:
            if not self._records.has(blob, one=one):  # it was there before, or came under another name
                self._records.take(blob, self._reader.body(blob, "blob"), one=one)
            found, faults = self._records.of(blob, one=one)
            ids += found
            yield from (f"commit {oid}: {fault}" for fault in faults)
        if commit.said and ids and commit.said not in ids:
            yield f"commit {oid} says that its record is {commit.said}, but its bytes are {ids[-1]}"

    def _blobs(self, tree: str) -> Iterator[str]:
        for mode, _, oid in self._entries(tree):
            if mode == TREE_MODE:
                yield from self._blobs(oid)
            else:
                yield oid

    def _faults_of_tree(self, tree: str, *, plain: bool = True) -> Iterator[str]:
        weight = self._weight(tree)
        if weight.paths > objects.MAX_FILES or weight.depth > objects.MAX_DEPTH:
            most = f"{objects.MAX_FILES} or {objects.MAX_DEPTH}"
            yield f"its tree has {weight.paths} files, {weight.depth} folders deep: more than {most}"
        elif plain and weight.odd:
            yield f"{weight.odd}, not a plain file"
        else:
            yield from self._faults_below(tree)

    def _faults_below(self, tree: str) -> Iterator[str]:
        """The faults of a commit's tree and of all that is new below it, each told once."""
        waiting = [tree]
        while waiting:
            oid = waiting.pop()
            yield from self.problems.pop(oid, [])
            for _, _, inner in self._trees.get(oid, ()):
                if inner not in self._walked:
                    self._walked.add(inner)
                    waiting.append(inner)

    def _weight(self, tree: str) -> _Weight:
        """The weight of a tree, known or new, without walking what is shared more than once."""
        stack = [tree]
        while stack:
            oid = stack[-1]
            if oid in self._weights:
                stack.pop()
                continue
            self._watch.tick()
            if len(stack) > objects.MAX_DEPTH + 1:
                return _Weight(0, len(stack), "")
            inner = [it for mode, _, it in self._entries(oid) if mode == TREE_MODE]
            missing = [it for it in inner if it not in self._weights]
            if missing:
                stack.append(missing[0])
                continue
            stack.pop()
            self._weights[oid] = _weight(self._entries(oid), [self._weights[it] for it in inner])
        return self._weights[tree]

    def _entries(self, tree: str) -> list[tuple[bytes, bytes, str]]:
        found = self._trees.get(tree)
        return self._reader.tree(tree) if found is None else found

    def _fault(self, oid: str, text: str) -> None:
        self.problems.setdefault(oid, []).append(text)


def _weight(entries: list[tuple[bytes, bytes, str]], below: list[_Weight]) -> _Weight:
    """The weight of a tree with these entries, whose folders weigh so much."""
    odd = [
        f"{name.decode('utf-8', 'replace')!r} is of mode {mode.decode('ascii', 'replace')}"
        for mode, name, _ in entries
        if mode not in _PLAIN
    ]
    paths = len(entries) - len(below) + sum(weight.paths for weight in below)
    depth = 1 + max((weight.depth for weight in below), default=0)
    return _Weight(paths, depth, next(iter(odd), next((weight.odd for weight in below if weight.odd), "")))
