"""Labels on recorded things, and collections of artifacts."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from roar.cache.index import Index
from roar.errors import NotFoundError, UsageError
from roar.git import settings
from roar.git.repository import Repository
from roar.journal.append import append
from roar.lineage import Use
from roar.paths import from_fs
from roar.records.ids import clock_of
from roar.records.named import Collection, Label
from roar.records.summary import printable
from roar.verbs.resolve import Target, resolve


class Member(NamedTuple):
    """An artifact of a collection, by one of its names (None: no job met it), and the job that made it, if any."""

    hash: str
    use: Use | None
    made_by: str | None


def parsed(words: Iterable[str]) -> dict[str, str]:
    """``KEY=VALUE`` words as a map. Raises ``UsageError``."""
    found = {}
    for word in words:
        key, equals, value = word.partition("=")
        if not equals:
            raise UsageError(f"{printable(word)} is not KEY=VALUE", "roar label X KEY=VALUE")
        found[checked(key)] = from_fs(value)
    return found


def checked(name: str) -> str:
    """A key or a collection's name. Raises ``UsageError`` for what cannot be one."""
    if not name or name != name.strip() or len(name) > 256 or printable(name) != name or "=" in name:
        rule = "a name has 1 to 256 characters, no = among them and none that cannot be shown"
        raise UsageError(f"'{printable(name)}' cannot be a name", rule)
    return name


def target_of(index: Index, repo: Repository, text: str, cwd: str) -> Target:
    """The job, session or artifact that a typed name means. Raises ``UsageError`` for a commit."""
    target = resolve(index, repo, text, cwd)
    if target.kind == "commit":
        raise UsageError(f"{printable(text)} is a commit; jobs, sessions and artifacts have labels", "roar log")
    return target


def label(index: Index, repo: Repository, target: Target, values: Mapping[str, str | None]) -> dict[str, str]:
    """Set labels (None: take away), and give all that the thing has now. Raises what ``append`` raises."""
    who = from_fs(settings.identity(repo))
    known = index.labels([target.id]).get(target.id, {})
    changed = {key: value for key, value in values.items() if known.get(key) != value}
    sides = {"artifacts" if target.kind == "artifact" else "records": [target.id]}

    def draft(clock: int, writer: str) -> Label:
        return Label.model_validate({"clock": clock, "writer": writer, "user": who, "labels": changed, **sides})

    if changed:
        append(repo, draft, after=_after(index, [target.id] if target.kind != "artifact" else []))
    return {key: value for key, value in {**known, **changed}.items() if value is not None}


def _after(index: Index, records: list[str]) -> int:
    """A clock that this one must be later than: of what it names, and of every label that is known here."""
    return max([clock_of(identifier) for identifier in records] + [index.latest_naming()])


def collect(index: Index, repo: Repository, name: str, artifacts: list[str], *, add: bool) -> None:
    """Put artifacts into a collection, or take them out. Raises ``NotFoundError`` for one that is not in it."""
    who = from_fs(settings.identity(repo))
    present = index.collection(name)
    if not add and (strange := [content for content in artifacts if content not in present]):
        raise NotFoundError(f"{strange[0][:12]} is not in {printable(name)}", "roar collection list")
    changed = [content for content in dict.fromkeys(artifacts) if (content in present) != add]
    side = {"added" if add else "removed": changed}

    def draft(clock: int, writer: str) -> Collection:
        return Collection.model_validate({"clock": clock, "writer": writer, "user": who, "name": name, **side})

    if changed:
        append(repo, draft, after=_after(index, []))


def members(index: Index, name: str) -> list[Member]:
    """The artifacts of a collection, by name. Raises ``NotFoundError`` when there is no such collection."""
    found = index.collection(checked(name))
    if not found:
        raise NotFoundError(f"there is no collection {printable(name)}", "roar collection list")
    rows = []
    for content in found:
        names = index.names(content)
        rows.append(Member(content, names[0] if names else None, next(iter(index.producers(content)), None)))
    return sorted(rows, key=lambda row: (row.use.path if row.use else "", row.hash))
