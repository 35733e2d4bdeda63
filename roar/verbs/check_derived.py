"""What is derived from the records, or waits to become one: notes, names, locks, index, spool, saved reports."""

from __future__ import annotations

import contextlib
import json
import os
import re
from collections.abc import Iterator

from roar.cache import database, verify
from roar.cache.index import path_of
from roar.errors import GitError
from roar.git import locks, program, refs
from roar.git.gclock import GcRunningError
from roar.git.objects import Reader
from roar.git.repository import Repository
from roar.journal import LOCAL_NOTES, NOTES, REMOTES, SPELLED_NOTES, noted, spool
from roar.journal.writer import known_writer
from roar.records import ids
from roar.records.model import GIT_ID
from roar.verbs.check_records import Checked, where_else
from roar.verbs.findings import Finding

REPAIR = "roar fsck --repair"
_NOTES_REF = re.compile(r"refs/(roar|roar-remote/.+?)/notes/.+")
_OWN = ("refs/roar", "refs/roar-remote", "refs/roar-pushed")
_BROKEN_REF = re.compile(r"ignoring broken ref (refs/roar\S*|refs/notes/\S*roar\S*)")


def check_refs(repo: Repository) -> Iterator[Finding]:
    """Refs that hold no object id, or that of an object that is gone."""
    words = [*repo.args(), "for-each-ref", "--format=%(objectname)", *_OWN, "refs/notes/"]
    done = program.call(words, cwd=repo.git_dir)
    for ref in dict.fromkeys(_BROKEN_REF.findall(done.stderr.decode("utf-8", "replace"))):
        yield Finding("broken", ref, None, "the ref holds no object id", where_else(repo))


def check_notes(repo: Repository, checked: Checked, *, repair: bool) -> Iterator[Finding]:
    """Notes that cannot be read, and lines that name records that are not here. This clone's own can be made again."""
    known = checked.records | checked.buried
    for ref, oid in refs.listing(repo, NOTES, REMOTES).items():
        if not _NOTES_REF.fullmatch(ref):
            continue
        own = ref == NOTES + (known_writer(repo) or "")
        try:
            with Reader(repo) as reader:
                strange = list(_strange_lines(reader, oid, known))
        except GitError as error:
            mended = own and repair and _made_again(repo)
            mend = REPAIR if own else where_else(repo)
            yield Finding("repaired" if mended else "broken", ref, oid, error.message, None if mended else mend)
            continue
        for commit, what in strange:
            yield Finding("warning", ref, commit, what)


def _made_again(repo: Repository) -> bool:
    try:
        noted.rebuild(repo)
    except (GcRunningError, GitError, OSError):
        return False
    return True


def _strange_lines(reader: Reader, oid: str, known: set[str]) -> Iterator[tuple[str, str]]:
    """What is odd in the notes of a commit of notes, as (noted commit, what)."""
    for path, (_, blob) in reader.files(reader.commit(oid).tree).items():
        commit = path.replace(b"/", b"").decode("ascii", "replace")
        if not re.fullmatch(GIT_ID, commit):
            yield "", f"{path.decode('utf-8', 'backslashreplace')!r} is no note of a commit"
            continue
        for line in reader.body(blob, "blob").decode("utf-8", "replace").splitlines():
            word = line.partition(" ")[0]
            if len(word) == ids.LENGTH and ids.normalise(word) == word and word not in known:
                yield commit, f"the note names the record {word}, which is not here"


def check_index(repo: Repository, *, repair: bool) -> Iterator[Finding]:
    """Where the index does not say what a new one would."""
    tables = verify.differing(repo)
    if tables:
        path = path_of(repo)
        done = repair and database.delete(path)
        text = f"the index is not what the records say ({', '.join(tables)})"
        yield Finding("repaired" if done else "broken", path, None, text, None if done else REPAIR)


def check_names(repo: Repository, *, repair: bool) -> Iterator[Finding]:
    """The symbolic refs by which ``git log --notes=roar`` finds this clone's notes."""
    writer = known_writer(repo)
    own = NOTES + (writer or "")
    if writer is None or refs.read(repo, own) is None:
        return
    for name in (LOCAL_NOTES, SPELLED_NOTES + writer):
        if refs.read(repo, name) == refs.read(repo, own):
            continue
        if repair:
            refs.symbolic(repo, name, own)
        done = refs.read(repo, name) == refs.read(repo, own)
        text = f"does not lead to {own}"
        yield Finding("repaired" if done else "broken", name, None, text, None if done else _name_mend(name, own))


def _name_mend(name: str, own: str) -> str:
    return f"{REPAIR}, or if it is a ref of yours: git symbolic-ref {name} {own}"


def check_locks(repo: Repository, *, repair: bool) -> Iterator[Finding]:
    """What killed programs left behind: locks on roar's own refs, half-written spool entries."""
    for path in _left_behind(repo):
        if repair:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(path)
        yield Finding(
            "repaired" if repair else "broken", path, None, "was left by a killed program", None if repair else REPAIR
        )


def _left_behind(repo: Repository) -> Iterator[str]:
    for top in _OWN:
        for folder, _, names in os.walk(os.path.join(repo.common_dir, *top.split("/"))):
            for name in names:
                path = os.path.join(folder, name)
                if name.endswith(".lock") and locks.is_stale(path):
                    yield path
    for parent in spool.places(repo):
        yield from spool.abandoned(parent)


def check_aside(repo: Repository) -> Iterator[Finding]:
    """Records that wait for a place in git, and reports that wait to become records."""
    for parent in spool.places(repo):
        for path in spool.entries(parent):
            if spool.load(path) is None:
                text = "holds no whole record of the id in its name"
                yield Finding("broken", path, None, text, "look into it (tar), then delete it")
            else:
                yield Finding("warning", path, None, "is not in the journal yet", "roar recover")
    for path in spool.reports_of(repo):
        try:
            with open(path, "rb") as file:
                whole = isinstance(json.loads(file.readline()), dict)
        except (OSError, ValueError):
            whole = False
        if whole:
            yield Finding("warning", path, None, "is a run whose record was not made yet", "roar recover")
        else:
            yield Finding("broken", path, None, "is no report of a run", "look into it, then delete it")
