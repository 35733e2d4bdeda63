"""The other repositories of a step, checked out in and beside its work area."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping

from roar.errors import RoarError
from roar.git.objects import Reader
from roar.git.repository import Repository
from roar.paths import below, fs, is_outside
from roar.records.job import File, OverlayFile
from roar.records.summary import printable
from roar.verbs.confined import Confined
from roar.verbs.neighbours import Neighbour, joined_below
from roar.verbs.workspace import Workspace


class Surroundings:
    """What lies around the files of one work area. It is changed from step to step, as these are."""

    def __init__(self, area: Workspace, repo: Repository, brought: Mapping[str, Repository]) -> None:
        self._area = area
        self._repo = repo
        self._brought = brought
        self._areas: dict[str, Workspace] = {}
        """By the recorded folder."""
        self._laid: dict[str, set[str]] = {}

    @property
    def places(self) -> dict[str, str]:
        """The folders that stand for recorded ones outside of the work tree (``os`` paths)."""
        return {fs(path): area.top for path, area in self._areas.items() if is_outside(path)}

    @property
    def tops(self) -> list[str]:
        """The folders of all repositories, our own first."""
        return [self._area.top, *(area.top for area in self._areas.values())]

    def lay_out(self, wanted: Neighbour) -> None:
        """Check it out at its commit, with its overlay. Raises ``RoarError``."""
        area = self._areas.get(wanted.path) or self._new(wanted)
        self._areas[wanted.path] = area
        area.check_out(wanted.commit)
        overlay = {entry.path for entry, _ in wanted.lay}
        area.restore(fs(path) for path in self._laid.get(wanted.path, set()) - overlay)
        with Reader(self._repo) as reader:
            lay_over(area.files, wanted.lay, reader)
        self._laid[wanted.path] = overlay

    def _new(self, wanted: Neighbour) -> Workspace:
        holder = self._area.files if wanted.inside else Confined(self._area.folder)
        place = wanted.place
        if not wanted.inside and below(os.path.join(self._area.folder, fs(place)), self._area.top) is not None:
            place = f".repositories/{wanted.commit}"  # our own work tree has another name than where it was recorded
        folder, name = os.path.split(holder.folder(place))
        own_git = None
        if wanted.submodule:
            own_git = os.path.join(self._area.top, ".git", "modules", *fs(place).split("/"))
            os.makedirs(os.path.dirname(own_git), exist_ok=True)
        area = Workspace(self._brought[wanted.commit], folder, name, self._area.spare.top, own_git)
        if wanted.remote:
            area.name_remote(fs(wanted.remote))
        return area

    def check(self, file: File, folder: str) -> None:
        """Make sure that a file of the repository recorded at ``folder`` is what was read. Raises ``RoarError``."""
        found = self._areas[folder].files.digest(joined_below(file.path, folder) or "")
        if found != file.hash:
            raise RoarError(f"{printable(file.path)} comes out of its commit with other content than the job read")


def lay_over(files: Confined, lay: Iterable[tuple[OverlayFile, str]], reader: Reader) -> None:
    """Put an overlay over what is checked out. Raises ``RoarError`` or ``OSError``."""
    for entry, blob in lay:
        if entry.state == "deleted":
            files.remove(entry.path)
        else:
            files.write(entry.path, reader.body(blob, "blob"), entry.mode)
