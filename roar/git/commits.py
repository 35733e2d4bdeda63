"""Which commits lead to which."""

from __future__ import annotations

from collections.abc import Iterable

from roar.git import program
from roar.git.repository import Repository


def is_ancestor(repo: Repository, commit: str, of: str) -> bool:
    """True when ``of`` is the commit or leads to it; False, too, when one of them is not here."""
    words = [*repo.args(), "merge-base", "--is-ancestor", commit, of]
    return program.call(words, env=repo.environment()).returncode == 0


def reached(repo: Repository, names: Iterable[str], *options: str) -> set[str]:
    """The commits that these lead to; those that a name with ``^`` before it leads to are left out.

    Names of what is not here count for nothing. ``options`` are those of git-rev-list(1). Raises ``GitError``.
    """
    stdin = "".join(f"{name}\n" for name in names).encode()
    if not stdin:
        return set()
    return set(repo.ask("rev-list", "--ignore-missing", "--stdin", *options, stdin=stdin).decode().split())
