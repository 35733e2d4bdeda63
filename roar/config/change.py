"""Setting and unsetting, by git's own ``git config``: comments and order of the file stay as they are."""

from __future__ import annotations

import os

from roar.config.model import KEYS, Key
from roar.config.read import SHARED_FILE, nearest, parsed
from roar.errors import NotFoundError, RoarError, UsageError
from roar.git import program
from roar.git.repository import Repository

_NOT_THERE = 5
"""What git-config(1) returns for unsetting what is not set."""


def key_of(name: str) -> Key:
    """The setting of this name, with or without ``roar.``, in any case. Raises ``UsageError``."""
    plain = name.lower().removeprefix("roar.")
    if plain not in KEYS:
        near = nearest(plain, [key.name for key in KEYS.values()])
        raise UsageError(f"there is no setting {name}", f"roar config describe {near or ''}".strip())
    return KEYS[plain]


class Place:
    """Where settings are written: a scope of git's configuration, or the ``.roarconfig`` of a work tree."""

    def __init__(self, scope: str, repo: Repository | None) -> None:
        self.scope = scope
        self._repo = repo
        if scope == "shared":
            assert repo is not None
            self._words = ["config", "--file", os.path.join(repo.require_work_tree(), SHARED_FILE)]
        else:
            self._words = [*(repo.args() if repo else ()), "config", f"--{scope}"]

    def put(self, name: str, values: list[str], *, add: bool = False) -> None:
        """Give ``roar.<name>`` these values, in place of those that it has unless ``add``. Raises ``RoarError``."""
        for number, value in enumerate(values):
            how = "--add" if add or number else "--replace-all"
            self._call([how, f"roar.{name}", value])

    def remove(self, name: str) -> None:
        """Unset ``roar.<name>``. Raises ``NotFoundError`` when it is not set here."""
        if self._call(["--unset-all", f"roar.{name}"], _NOT_THERE) == _NOT_THERE:
            raise NotFoundError(f"roar.{name} is not set {self.words}", "roar config list")

    @property
    def words(self) -> str:
        """The place, for people."""
        if self.scope == "shared":
            return f"in {SHARED_FILE}"
        here = {"local": "in this repository", "worktree": "in this work tree"}
        return here.get(self.scope, f"in {self.scope} scope")

    def _call(self, words: list[str], *allowed: int) -> int:
        done = program.call([*self._words, *words])
        if done.returncode not in (0, *allowed):
            where = f"--file {SHARED_FILE}" if self.scope == "shared" else f"--{self.scope}"
            raise RoarError(f"git config: {program.last_line(done.stderr)}", f"git config {where} --edit")
        return done.returncode


def set_values(place: Place, key: Key, values: list[str], *, add: bool) -> None:
    """Check and write. Raises ``ConfigError`` for a wrong value, ``UsageError`` for a wrong place or number."""
    if place.scope == "shared" and not key.shared:
        raise UsageError(
            f"roar.{key.name} may not stand in {SHARED_FILE}, which comes with every clone",
            f"roar config set --global {key.name} {values[0]}",
        )
    if not key.kind.many and (add or len(values) > 1):
        raise UsageError(f"roar.{key.name} has one value only", f"roar config set {key.name} {values[-1]}")
    for value in values:
        if value or not key.kind.many:
            parsed(key, value)
    place.put(key.name, values, add=add)
