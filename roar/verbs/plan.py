"""The plan of a reproduction, as a value: which steps, on which code, from which inputs, and what stands in the way."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Literal, NamedTuple

from roar.records.job import File, Job, OverlayFile
from roar.records.summary import printable
from roar.verbs.inputs import Source
from roar.verbs.neighbours import Neighbour
from roar.verbs.rebuild_env import Planned

_PIPED = "standard-input"
"""The gap of a record whose command read a pipe."""


class Chosen(NamedTuple):
    """A job of the lineage, with what lies beside its record: all of its files, and its overlay's blobs by path.

    ``beside`` has the blobs of other repositories' overlays, as ``verbs.neighbours`` wants them. ``withheld``: overlays
    were left out when the record was shared.
    """

    identifier: str
    job: Job
    inputs: list[File]
    outputs: list[File]
    overlay: Mapping[str, str]
    beside: Mapping[str, str] = MappingProxyType({})
    withheld: bool = False


class Asked(NamedTuple):
    """What is to be made again: an artifact of a job, or all that the job wrote when ``content`` is None."""

    name: str
    """As the user typed it."""
    job: str
    content: str | None = None


class Need(NamedTuple):
    """An input, and where it comes from."""

    file: File
    source: Source


class Move(NamedTuple):
    """A file of an earlier step that must be put to a path, because something else came to lie there."""

    step: int
    place: str
    path: str


class Step(NamedTuple):
    """One job to run again."""

    number: int
    identifier: str
    job: Job
    needs: list[Need]
    lay: list[tuple[OverlayFile, str]]
    """The overlay, each with its blob ("" for a deleted file); without what an earlier step makes, and without what
    lies in a submodule.
    """
    outputs: list[File]
    """Those that are compared."""
    elsewhere: list[File]
    """Those outside of the repository that no later step reads: not compared."""
    moves: list[Move]
    set_aside: list[str]
    """Outputs that a later ``Move`` takes."""
    neighbours: tuple[Neighbour, ...] = ()
    """Submodules and other repositories."""
    environments: tuple[Planned, ...] = ()
    moved: tuple[str, ...] = ()
    """Files outside of the repository that get a private place (``verbs.outside``)."""
    without_commit: bool = False
    """True when its commit is not here, and nothing that it read has to come from there."""

    @property
    def waits_for(self) -> set[int]:
        """The numbers of the steps that make its inputs."""
        return {need.source.step for need in self.needs if need.source.kind == "step"}

    @property
    def remarks(self) -> list[str]:
        """What may make its second run another one, for people."""
        found = [printable(f"{gap.reason}: {gap.detail}") for gap in self.job.incomplete if gap.reason == _PIPED]
        if self.without_commit:
            commit = (self.job.code.commit or "")[:12]
            found.append(f"its commit {commit} is not in this repository; all that it read is had from elsewhere")
        return found


class Stop(NamedTuple):
    """Why the reproduction cannot start. ``file`` and what follows are for an input that is not here."""

    step: int
    reason: str
    hint: str | None = None
    file: File | None = None
    last_seen: str = ""
    remake: str = ""
    """Whether a recorded job made it, for people."""


Reason = Literal["here", "made before", "not needed", "not chosen"]
"""Why a step does not run:

``here``: all that it wrote is here already, byte for byte · ``made before``: so it is, by an earlier reproduction that
was interrupted · ``not needed``: only steps that do not run read what it makes · ``not chosen``: the user did not.
"""


class LeftOut(NamedTuple):
    """A step of the lineage that does not run. ``outputs`` are those that are taken as they are."""

    number: int
    identifier: str
    job: Job
    reason: Reason
    outputs: list[File]


class Plan(NamedTuple):
    """Steps in the order in which they run, by their numbers in the whole lineage. It can start when there are no
    stops.
    """

    asked: Asked
    steps: list[Step]
    stops: list[Stop]
    left_out: tuple[LeftOut, ...] = ()
    apart: bool = False
    """True when each step gets a work area of its own."""
    made_in: str | None = None
    """The folder for what has been made, should it be interrupted; None: nothing is kept."""
    fetched_to: str = ""
    """The folder for what is fetched from elsewhere."""

    def is_asked(self, step: Step, file: File) -> bool:
        """True for the artifact that was asked for."""
        if step.identifier != self.asked.job:
            return False
        return self.asked.content is None or file.hash == self.asked.content
