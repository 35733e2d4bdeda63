"""Laying out what a step's first run met, in a work area: code, overlay, inputs and folders, all of it verified."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Mapping
from stat import S_ISLNK

from roar.errors import RoarError
from roar.git.objects import Reader
from roar.git.repository import Repository
from roar.hashing import digest_bytes
from roar.paths import fs, is_outside, is_safe_relative
from roar.records.summary import printable
from roar.verbs.confined import Confined
from roar.verbs.outside import below_root
from roar.verbs.plan import Need, Step
from roar.verbs.surroundings import Surroundings, lay_over
from roar.verbs.workspace import Workspace


class Stage:
    """A work area in which one step after the other finds what its first run met."""

    def __init__(self, area: Workspace, repo: Repository, brought: Mapping[str, Repository]) -> None:
        """``brought`` has other repositories by the commits that are needed of them."""
        self._area = area
        self._repo = repo
        self.around = Surroundings(area, repo, brought)
        self._laid: set[str] = set()
        """The overlay of the step before."""
        self._made: set[str] = set()
        """Paths that hold what earlier steps have made: no commit may change them."""

    def lay_out(self, step: Step) -> None:
        """Put everything in place for a step. Raises ``RoarError`` when an input is not what was recorded."""
        area = self._area
        commit = step.job.code.commit
        if commit is not None and not step.without_commit:
            area.check_out(commit, [fs(path) for path in self._made])
        overlay = {entry.path for entry, _ in step.lay}
        uncommitted = {entry.path for entry in step.job.code.overlay}
        had = {need.file.path for need in step.needs if need.source.kind != "step"}
        overlay |= had & uncommitted  # left out when it was shared, and had as other inputs are
        area.restore(fs(path) for path in self._laid - overlay - self._made)
        with Reader(self._repo) as reader:
            lay_over(area.files, step.lay, reader)
        self._laid = overlay
        for neighbour in step.neighbours:
            self.around.lay_out(neighbour)
        for move in step.moves:
            _again(area.files, move.path, os.path.join(area.spare.top, _spare(move.step, move.place)))
        read = {need.file.path for need in step.needs}
        outputs = {file.path for file in step.outputs if not is_outside(file.path)}
        for path in outputs - read:  # what lies there already must not pass for what the step is going to write
            area.files.remove(path)
        for path in step.moved:
            if path not in read:
                area.outside.remove(below_root(path))
        with Reader(self._repo) as reader:
            for need in step.needs:
                if need.source.kind == "repository":
                    self.around.check(need.file, need.source.place)
                elif need.file.path in step.moved:
                    _put_outside(need, area, reader)
                else:
                    _put(need, area, reader)
        _make_folders(step, area)
        by_step = {need.file.path for need in step.needs if need.source.kind == "step"}
        self._made = self._made - overlay - read | {path for path in by_step if not is_outside(path)} | outputs


def _put(need: Need, area: Workspace, reader: Reader) -> None:
    """Make sure that an input is there with the recorded content."""
    file, source = need
    path = file.path
    if is_outside(path):
        if file.asked and is_safe_relative(file.asked):
            if source.kind == "given":
                area.files.copy(file.asked, source.place, file.mode, file.hash)
            elif source.kind == "git":
                area.files.write(file.asked, reader.body(source.place, "blob"), file.mode)
        return
    if source.kind not in ("step", "unknown") and area.files.digest(path) != file.hash:
        if source.kind in ("work tree", "made before", "given"):
            area.files.copy(path, source.place, file.mode, file.hash)
        elif source.kind == "git":
            area.files.write(path, reader.body(source.place, "blob"), file.mode)
        else:
            area.restore([fs(path)])
            if area.files.digest(path) != file.hash:
                raise RoarError(
                    f"{printable(path)} comes out of the commit with other content than the job read",
                    "git config --get-regexp 'core.autocrlf|filter.*'",
                )
    asked = file.asked
    if asked and is_safe_relative(asked) and not os.path.lexists(area.files.name(asked)):
        target = os.path.relpath(area.files.name(path), os.path.dirname(area.files.name(asked)))
        area.files.link(asked, os.fsencode(target))


def _put_outside(need: Need, area: Workspace, reader: Reader) -> None:
    """Make sure that an input from outside of the repository is in its private place."""
    (file, source), path = need, below_root(need.file.path)
    if source.kind == "git":
        area.outside.write(path, reader.body(source.place, "blob"), file.mode)
    elif source.kind in ("given", "in place"):
        area.outside.copy(path, source.place, file.mode, file.hash)


def place_of(path: str, step: Step, area: Workspace) -> str:
    """Where a file of a step lies now: an absolute name. Raises ``RoarError`` when it would lead out."""
    if not is_outside(path):
        return area.files.name(path)
    return area.outside.name(below_root(path)) if path in step.moved else fs(path)


def _make_folders(step: Step, area: Workspace) -> None:
    """The folders that git does not keep: where the step runs, and where it writes unless it looked for them first."""
    area.files.folder(step.job.command.cwd)
    for file in step.outputs:
        folder = file.path.rpartition("/")[0] if not file.path.startswith("//") else ""
        if folder and not is_outside(file.path) and folder not in step.job.not_found:
            area.files.folder(folder)
    for path in step.moved:
        area.outside.folder(below_root(path).rpartition("/")[0])


def set_aside(step: Step, area: Workspace) -> None:
    """Keep what a later step needs and something else will lie on by then."""
    for place in step.set_aside:
        path = place_of(place, step, area)
        with contextlib.suppress(FileNotFoundError):  # not made: that is the verdict's matter
            _again(area.spare, _spare(step.number, place), path)


def _again(files: Confined, path: str, source: str) -> None:
    """Put a copy of a file, or of a link, to a path, with its permissions. Raises ``FileNotFoundError``."""
    mode = os.lstat(source).st_mode
    if S_ISLNK(mode):
        files.link(path, os.fsencode(os.readlink(source)))
    else:
        files.copy(path, source, mode)


def _spare(step: int, place: str) -> str:
    return f"{step}-{digest_bytes(place.encode())[:32]}"
