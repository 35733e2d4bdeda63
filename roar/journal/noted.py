"""The notes of this clone: one ref, moved by appends, and after the commits it speaks of were rewritten.

They are derived: ``rebuild`` makes them again from the records.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable

from roar.errors import GitError, RecordError
from roar.git import gclock, locks, notes, objects, program, refs, settings
from roar.git.objects import Reader
from roar.git.repository import Repository
from roar.journal import FOLDED, JOBS, LOCAL_NOTES, NOTES, REMOTES, SPELLED_NOTES, read
from roar.journal.writer import known_writer, writer_name
from roar.records import codec
from roar.records.job import Job
from roar.records.summary import note

MOST_SPELLED = 100
"""Writers whose notes ``--notes='refs/roar/notes/*'`` shows: each is a file that git can never pack."""


def commits(repo: Repository) -> list[str]:
    """The commits that this clone's jobs ran on."""
    if refs.read(repo, LOCAL_NOTES) is None:
        return []
    lines = repo.ask("notes", "--ref", LOCAL_NOTES, "list").decode().split("\n")
    return [line.split(" ")[1] for line in lines if " " in line]


def change(
    repo: Repository,
    reader: Reader,
    writer: str,
    author: str,
    committer: str,
    new_tree: Callable[[str | None], str | None],
) -> bool:
    """Move the notes to a tree made from the present one (None: there is none); False when that gives none.

    ``author`` and ``committer`` are whole identity lines. The committer's date is one of code, as in the chain of
    records: each unpushed commit of a later date would be offered when a branch is fetched.
    To be called under the journal's lock. Raises ``GitError`` or ``OSError``.
    """
    ref = NOTES + writer
    for _ in range(3):  # git itself may move it at the same time, after an amend
        tip = refs.read(repo, ref)
        tree = reader.commit(tip).tree if tip else None
        new = new_tree(tree)
        if new is None or new == tree:
            return False
        body = objects.commit_body(new, [tip] if tip else [], author, committer, "roar: notes\n")
        if refs.compare_and_swap(repo, ref, objects.write(repo, "commit", body), tip):
            break
    refs.symbolic(repo, LOCAL_NOTES, ref)
    refs.symbolic(repo, SPELLED_NOTES + writer, ref)
    return True


def spell(repo: Repository) -> None:
    """Let ``git log --notes='refs/roar/notes/*'`` show others' notes, too: by symbolic refs to what was fetched.

    Of many writers the ones with the newest notes; a writer whom several remotes have is shown once. Names that lead
    to nothing any more are removed: git would warn of them.
    """
    own = known_writer(repo)
    pattern = f"{REMOTES}**/notes/*"
    out = repo.ask("for-each-ref", "--sort=-authordate", "--format=%(refname)", pattern)
    wanted: dict[str, str] = {}
    for ref in program.lines(out):
        writer = ref.rpartition("/")[2]
        if writer != own and len(wanted) < MOST_SPELLED:
            wanted.setdefault(SPELLED_NOTES + writer, ref)
    if own and refs.read(repo, NOTES + own):
        wanted[SPELLED_NOTES + own] = NOTES + own
    there = refs.symbolic_below(repo, SPELLED_NOTES)
    gone = "".join(f"delete {name}\n" for name in there if name not in wanted)
    if gone:
        repo.ask("update-ref", "--no-deref", "--stdin", stdin=gone.encode("utf-8", "surrogateescape"))
    for name, target in wanted.items():
        if there.get(name) != target:
            refs.symbolic(repo, name, target)


def follow(repo: Repository, rewritten: Iterable[tuple[str, str]]) -> bool:
    """Let the notes of old commits stand on the new ones, too; False when none of the old ones has any.

    Raises ``GcRunningError`` while a gc runs, and what writing raises.
    """
    if refs.read(repo, LOCAL_NOTES) is None:
        return False
    with locks.exclusive(os.path.join(repo.own_dir, "lock")), Reader(repo) as reader, gclock.hold(repo):

        def followed(tree: str | None) -> str | None:
            for old, new in rewritten:
                for line in notes.lines_of(reader, tree, old):
                    tree = notes.add_line(repo, reader, tree, new, line)
            return tree

        return change(repo, reader, writer_name(repo), *_people(repo, reader), followed)


def rebuild(repo: Repository) -> int:
    """Make the notes again from the records on this clone's chains, and give the number of noted commits.

    What followed a rewritten commit is in no record; it is taken from the old notes, where those can be read.
    Raises ``GcRunningError`` while a gc runs, and what writing raises.
    """
    if known_writer(repo) is None:
        return 0
    early = _chains(repo)
    lines = _lines(repo, early, [])
    with (
        locks.exclusive(os.path.join(repo.own_dir, "lock")),
        Reader(repo) as reader,
        gclock.hold(repo, patience_seconds=30.0),
    ):
        lines |= _lines(repo, _chains(repo), early)  # what was appended meanwhile
        writer = writer_name(repo)
        old = _old_lines(repo, reader, writer)
        found: dict[str, set[str]] = {}
        for identifier, (commit, _) in lines.items():
            found.setdefault(commit, set()).add(identifier)
        for commit, line in old or []:
            if (identifier := line.partition(" ")[0]) in lines:
                found.setdefault(commit, set()).add(identifier)
        if found or old:
            made = {commit: [lines[i][1] for i in sorted(ids)] for commit, ids in found.items()}
            people = _people(repo, reader)
            change(repo, reader, writer, *people, lambda _: notes.build(repo, made, anew=old is None))
        return len(found)


def _people(repo: Repository, reader: Reader) -> tuple[str, str]:
    """Author and committer of notes that are changed now: the committer's date is that of the newest chain."""
    who = settings.identity(repo)
    date = max((reader.commit(oid).date for oid in _chains(repo)), default=0)
    return f"{who} {int(time.time())} +0000", f"{who} {date} +0000"


def _chains(repo: Repository) -> list[str]:
    """The ends of this clone's chains."""
    writer = known_writer(repo)
    found = refs.listing(repo, JOBS, FOLDED)
    return [oid for ref, oid in found.items() if ref.startswith(FOLDED) or ref.rpartition("/")[2] == writer]


def _lines(repo: Repository, tips: list[str], known: list[str]) -> dict[str, tuple[str, str]]:
    """The (commit, line) of each job, by record id. Ids ascend as the appends did."""
    found = {}
    for item in read.since(repo, tips, known):
        try:
            record = codec.decode(item.body) if isinstance(item, read.Stored) else None
        except RecordError:
            continue
        if isinstance(item, read.Stored) and isinstance(record, Job) and record.code.commit:
            identifier = codec.identify(record, item.body)
            found[identifier] = (record.code.commit, note(record, identifier))
    return found


def _old_lines(repo: Repository, reader: Reader, writer: str) -> list[tuple[str, str]] | None:
    """The (commit, line) of the notes there are; None when they are damaged, and then no ref leads to them."""
    tip = refs.read(repo, NOTES + writer)
    try:
        return list(notes.all_lines(reader, reader.commit(tip).tree)) if tip else []
    except GitError:
        repo.ask("update-ref", "-d", NOTES + writer)
        return None
