"""Bringing the inputs that lie elsewhere: in the store, with the tools that keep large files, at addresses.

It happens once the plan was agreed to. Whatever comes has the recorded BLAKE3 or is thrown away; it lies in a folder
of the reproduction's own, named by its hash, until the reproduction has come to its end.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable

from roar.config.read import load
from roar.errors import NotFoundError, RoarError
from roar.git.repository import Repository
from roar.hashing import digest_file
from roar.records.job import File
from roar.records.summary import printable
from roar.store.copying import Tell
from roar.store.fetch import holds
from roar.store.place import opened
from roar.store.remote import Address
from roar.verbs import stored
from roar.verbs.inputs import FETCHED, Source
from roar.verbs.large_files import LargeFiles
from roar.verbs.plan import Plan
from roar.verbs.stored import Item


def needed(made: Plan) -> dict[str, tuple[File, Source]]:
    """What has to be fetched, by hash."""
    needs = [need for step in made.steps for need in step.needs if need.source.kind in FETCHED]
    return {need.file.hash: (need.file, need.source) for need in needs if need.file.hash}


def fetched(made: Plan, repo: Repository, tell: Tell) -> Plan:
    """The plan with all inputs here. Raises ``RoarError`` for the first that could not be had.

    What is there already is not fetched again, and a file that was broken off is continued.
    """
    wanted, folder = needed(made), made.fetched_to
    if not wanted:
        return made
    os.makedirs(folder, mode=0o700, exist_ok=True)
    try:
        _of_store(wanted, repo, folder, tell)
        for content, (file, source) in wanted.items():
            place = os.path.join(folder, content)
            if source.kind == "address":
                _done(stored.get(Address(source.place), [_item(place, file)], tell))
            elif source.kind == "pointer" and not holds(place, content):
                _by_tool(LargeFiles(repo).fetch, file, place)
    except BaseException:
        with contextlib.suppress(OSError):
            os.rmdir(folder)  # unless something came
        raise
    steps = []
    for step in made.steps:
        needs = [
            need._replace(source=Source("given", os.path.join(folder, need.file.hash or "")))
            if need.source.kind in FETCHED
            else need
            for need in step.needs
        ]
        steps.append(step._replace(needs=needs))
    return made._replace(steps=steps)


def _of_store(wanted: dict[str, tuple[File, Source]], repo: Repository, folder: str, tell: Tell) -> None:
    items = [
        _item(os.path.join(folder, content), file)
        for content, (file, source) in wanted.items()
        if source.kind == "store"
    ]
    if items:
        store = opened(load(repo).settings.store.url, repo.work_tree or repo.own_dir)
        _done(stored.get(store, items, tell))


def _item(place: str, file: File) -> Item:
    return Item(place, file.hash or "", file.size, printable(file.path))


def _done(done: list[stored.Done]) -> None:
    for each in done:
        if each.why is not None:
            raise each.why


def _by_tool(fetch: Callable[[File, str], None], file: File, place: str) -> None:
    part = place + ".part"
    try:
        fetch(file, part)
        if digest_file(part).hash != file.hash:
            raise NotFoundError(f"{printable(file.path)} comes with other content than was recorded")
        os.replace(part, place)
    except OSError as error:
        raise RoarError(f"{printable(file.path)}: {error.strerror or error}") from error
    finally:
        if os.path.exists(part):
            os.unlink(part)
