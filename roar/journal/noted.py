"""The notes of this clone: one ref, moved by appends, and after the commits it speaks of were rewritten."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable

from roar.git import gclock, locks, notes, objects, refs, settings
from roar.git.objects import Reader
from roar.git.repository import Repository
from roar.journal import LOCAL_NOTES, NOTES, SPELLED_NOTES
from roar.journal.writer import writer_name


def commits(repo: Repository) -> list[str]:
    """The commits that this clone's jobs ran on."""
    if refs.read(repo, LOCAL_NOTES) is None:
        return []
    lines = repo.ask("notes", "--ref", LOCAL_NOTES, "list").decode().split("\n")
    return [line.split(" ")[1] for line in lines if " " in line]


def change(
    repo: Repository, reader: Reader, writer: str, who: str, new_tree: Callable[[str | None], str | None]
) -> bool:
    """Move the notes to a tree made from the present one (None: there is none); False when that gives none.

    ``who`` is a whole identity line. To be called under the journal's lock. Raises ``GitError`` or ``OSError``.
    """
    ref = NOTES + writer
    for _ in range(3):  # git itself may move it at the same time, after an amend
        tip = refs.read(repo, ref)
        tree = reader.commit(tip).tree if tip else None
        new = new_tree(tree)
        if new is None or new == tree:
            return False
        body = objects.commit_body(new, [tip] if tip else [], who, who, "roar: notes\n")
        if refs.compare_and_swap(repo, ref, objects.write(repo, "commit", body), tip):
            break
    refs.symbolic(repo, LOCAL_NOTES, ref)
    refs.symbolic(repo, SPELLED_NOTES + writer, ref)
    return True


def follow(repo: Repository, rewritten: Iterable[tuple[str, str]]) -> bool:
    """Let the notes of old commits stand on the new ones, too; False when none of the old ones has any.

    Raises ``GcRunningError`` while a gc runs, and what writing raises.
    """
    if refs.read(repo, LOCAL_NOTES) is None:
        return False
    who = f"{settings.identity(repo)} {int(time.time())} +0000"
    with locks.exclusive(os.path.join(repo.own_dir, "lock")), Reader(repo) as reader, gclock.hold(repo):

        def followed(tree: str | None) -> str | None:
            for old, new in rewritten:
                for line in notes.lines_of(reader, tree, old):
                    tree = notes.add_line(repo, reader, tree, new, line)
            return tree

        return change(repo, reader, writer_name(repo), who, followed)
