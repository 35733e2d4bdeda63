"""Copies of recorded outputs, looked for when something differs, to compare with."""

from __future__ import annotations

import os

from roar.errors import RoarError
from roar.git.objects import Reader
from roar.git.repository import Repository
from roar.records.job import File
from roar.stamps import Stamps
from roar.store.copying import Tell
from roar.verbs import stored
from roar.verbs.inputs import Known, Places, Sources
from roar.verbs.stored import Item


class Recorded:
    """Finds them in the work tree, in git, in the store, or where the user says."""

    def __init__(self, repo: Repository, places: Places, tell: Tell) -> None:
        self._repo = repo
        self._tell = tell
        self._stamps = Stamps(repo.own_dir)
        self._sources = Sources(repo, places, Known(), self._stamps)

    def copy_of(self, file: File, folder: str) -> str | None:
        """The absolute name of a file with the recorded bytes, perhaps a new one in ``folder``; None without one.

        Raises ``RoarError`` when it cannot be had although it is there.
        """
        source = self._sources.find(file, None)
        place = os.path.join(folder, f"recorded-{file.hash}")
        if source.kind == "git":
            with Reader(self._repo) as reader, open(place, "wb") as copy:
                copy.write(reader.body(source.place, "blob"))
            return place
        if source.kind == "store" and (store := self._sources.store):
            (done,) = stored.get(store, [Item(place, file.hash or "", file.size, file.path)], self._tell)
            if isinstance(done.why, RoarError):
                raise done.why
            return place
        return source.place if os.path.isabs(source.place) else None

    def __enter__(self) -> Recorded:
        return self

    def __exit__(self, *_: object) -> None:
        self._sources.close()
        self._stamps.close()
