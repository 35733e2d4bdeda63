"""A job: one command that ran under the tracer, and everything known of it."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from roar.paths import below, fs, joined
from roar.records.model import Blake3, Count, GitId, Nanoseconds, Part, Record, RecordId, Text


class Pointer(Part):
    """What git keeps in the place of a large file."""

    tool: Literal["git-lfs", "git-annex", "dvc"]
    oid: Text
    """As the tool spells it: ``sha256:...``, an annex key, ``md5:...`` (of the folder when it ends in ``.dir``)."""


Algorithm = Literal["sha256", "sha512", "md5"]


class File(Part):
    """A file as a job met it.

    ``path`` is relative to the work tree when inside it, else absolute; always with ``/`` and spelled as
    ``roar.paths`` says. ``hash`` is absent when the content is not known, and ``unknown`` then says why.
    """

    path: Text
    hash: Blake3 | None = None
    size: Count = 0
    mode: Count = 0o100644
    """``st_mode``; a symbolic link (0o120000) has the hash of its target's bytes."""
    blob: GitId | None = None
    """The git blob id, when the path is tracked and its content is that of the job's commit."""
    change: Literal["created", "modified"] | None = None
    """Outputs only."""
    asked: Text | None = None
    """The name used by the command, when a symbolic link led from it to ``path``."""
    unknown: Text | None = None
    pointer: Pointer | None = None
    """Inputs only."""
    digests: dict[Algorithm, Text] = Field(default_factory=dict)
    """Of the same content by other algorithms, in lower-case hexadecimal digits, where ``roar.hash.run`` asked."""


class Shard(Part):
    """A piece of a long list of files, in a manifest beside the record."""

    directory: Text
    """The deepest one that holds all its files."""
    count: Count
    size: Count
    """Bytes of all its files together."""
    hash: Blake3
    """BLAKE3 of the manifest's bytes."""
    level: Count = 0
    """0: the manifest lists files; else it lists shards of the level below."""


class Redirect(Part):
    """A regular file in the work tree that the user's shell made one of the command's standard streams."""

    fd: Annotated[int, Field(ge=0, le=2)]
    path: Text
    """Relative to the work tree."""
    append: bool = False


class Command(Part):
    """What was run, and where."""

    argv: list[Text]
    cwd: Text = ""
    """Relative to the work tree ("" is its root), or absolute when outside."""
    root: Text | None = None
    """The recording work tree's absolute path, when words of ``argv`` contain it."""
    name: Text | None = None
    """The step name that the user gave."""
    redirects: list[Redirect] = Field(default_factory=list)


class Hint(Part):
    """Something outside that the user said was read or written. Nobody saw it; nothing checks it."""

    side: Literal["input", "output"]
    ref: Text
    """A URL, an object in a bucket or any other name, without credentials."""


class Exit(Part):
    """How the command ended: an exit code, or the signal that killed it; neither when that is not known."""

    code: Annotated[int, Field(ge=0, le=255)] | None = None
    signal: Annotated[int, Field(ge=1, le=255)] | None = None


class OverlayFile(Part):
    """A file that the job read and that differs from the job's commit.

    Its exact bytes are in the record's tree at ``files/<path>`` (none for a deleted one).
    """

    path: Text
    state: Literal["modified", "untracked", "deleted"]
    hash: Blake3 | None = None
    size: Count = 0
    mode: Count = 0o100644


class Submodule(Part):
    """A submodule that the job read a file of, checked out at ``commit``."""

    path: Text
    """Its folder, relative to the work tree."""
    commit: GitId
    remote: Text | None = None
    """URL of its branch's remote, without credentials."""


class OtherRepository(Part):
    """Another git repository that the job read code of, or data that is tracked there, checked out at ``commit``."""

    path: Text
    """Its folder: absolute, or relative to the work tree when inside."""
    commit: GitId
    remote: Text | None = None
    """URL of its branch's remote, without credentials."""
    overlay: list[OverlayFile] = Field(default_factory=list)
    """Paths are relative to its folder; the bytes are at ``repositories/<position in the list>/<path>``."""


class Code(Part):
    """The state of the code: ``commit`` with the overlay laid over it is what the job ran."""

    commit: GitId | None = None
    """Absent when there was no commit yet."""
    branch: Text | None = None
    """Absent when HEAD was detached."""
    remote: Text | None = None
    """URL of the branch's remote, without credentials."""
    overlay: list[OverlayFile] = Field(default_factory=list)
    submodules: list[Submodule] = Field(default_factory=list)
    """The overlay is laid over their commits, too."""
    repositories: list[OtherRepository] = Field(default_factory=list)

    @property
    def kept(self) -> set[str]:
        """The files whose bytes are kept beside the record, by the paths that inputs have."""
        own = {file.path for file in self.overlay}
        return own | {joined(each.path, file.path) for each in self.repositories for file in each.overlay}

    def commit_of(self, path: str) -> str | None:
        """The commit that has an input: that of the repository it lies in."""
        around = [(each.path, each.commit) for each in self.repositories]
        around += [(each.path, each.commit) for each in self.submodules]
        return next((commit for folder, commit in around if below(fs(path), fs(folder))), self.commit)


class Package(Part):
    """An installed distribution."""

    name: Text
    version: Text
    source: Text | None = None
    """A direct URL, ``editable`` or ``conda``, when it did not come from an index."""


class CondaPackage(Part):
    """A package in a conda environment, as its ``conda-meta`` has it."""

    name: Text
    version: Text
    build: Text | None = None
    url: Text | None = None
    """Of the archive, without credentials."""
    md5: Text | None = None
    sha256: Text | None = None


class SystemPackage(Part):
    """A package of the operating system that owns a file the job read."""

    manager: Text
    """``dpkg``, ``rpm`` or ``apk``."""
    name: Text
    """As its database names it: ``libc6:amd64``."""
    version: Text


class Python(Part):
    """An interpreter that the job executed, and its packages."""

    version: Text
    implementation: Text
    executable: Text
    """The name it was executed by; relative to the work tree when inside it."""
    prefix: Text | None = None
    """The virtual environment's folder, when it ran in one."""
    read: list[Package] = Field(default_factory=list)
    """The distributions of which the job read at least one file."""
    installed: list[Package] = Field(default_factory=list)
    """The others that were there."""
    conda: list[CondaPackage] = Field(default_factory=list)
    """All packages of the conda environment it ran in; Python packages among them have the source ``conda``."""


class Gpu(Part):
    """A graphics processor whose device the job opened."""

    name: Text
    driver: Text | None = None


class Machine(Part):
    """Where it ran."""

    system: Text
    kernel: Text
    architecture: Text
    cpu: Text | None = None
    cores: Count = 0
    memory_bytes: Count = 0
    hostname: Text | None = None
    container: Text | None = None
    image: Text | None = None
    """The image of the container, where the container is told: name, and ``@`` with its id."""
    gpus: list[Gpu] = Field(default_factory=list)


class Environment(Part):
    """What surrounded the command, beside its files."""

    machine: Machine
    pythons: list[Python] = Field(default_factory=list)
    variables: dict[str, Text] = Field(default_factory=dict)
    umask: Count | None = None
    system_packages: list[SystemPackage] = Field(default_factory=list)
    """Those that own files which the job read; of none it is said when there is no database."""


class Program(Part):
    """One program image that a process ran."""

    path: Text
    argv: list[Text] = Field(default_factory=list)


class Process(Part):
    """One process of the job."""

    pid: Count
    parent: Count
    programs: list[Program] = Field(default_factory=list)
    exit: Exit | None = None
    started_ns: Nanoseconds = 0
    duration_ns: Nanoseconds = 0
    cpu_ns: Nanoseconds = 0
    peak_bytes: Count = 0


class Metrics(Part):
    """The numbers in a small result file, by where each stands in it (``test.accuracy``), as JSON writes them."""

    path: Text
    values: dict[str, Text] = Field(default_factory=dict)


class LeftOut(Part):
    """Files that were seen and not listed, by reason."""

    reason: Text
    count: Count
    inside: bool = False
    """True for files inside the repository."""
    examples: list[Text] = Field(default_factory=list)


class Endpoint(Part):
    """A network address that the job connected to."""

    family: Text
    address: Text
    port: Count = 0


class Incomplete(Part):
    """Something that this record does not know, and why."""

    reason: Text
    detail: Text = ""
    count: Count = 1


class Tracker(Part):
    """Who else keeps a book about the job (W&B, MLflow) or ran it (Jupyter, Slurm), by its own files or words."""

    tool: Text
    id: Text | None = None
    """Of the run, as the tool itself names it."""
    project: Text | None = None
    url: Text | None = None
    mode: Text | None = None
    """``online`` or ``offline``, where that is known."""
    path: Text | None = None
    """The run's folder or file, or the notebook; relative to the work tree when inside."""
    more: dict[str, Text] = Field(default_factory=dict)
    """What else it says of the run, by name: ``rank``, ``array_task``."""


class Tracer(Part):
    """What watched the job."""

    version: Text
    mechanism: Text


class Job(Record):
    """One traced command. ``inputs`` existed before and were read; ``outputs`` were created or changed."""

    kind: Literal["job"] = "job"
    role: Literal["run", "build"] = "run"
    session: RecordId | None = None
    command: Command
    user: Text
    """The git identity of who ran it: ``Name <email>``."""
    started_ns: Nanoseconds
    duration_ns: Nanoseconds
    exit: Exit
    tags: dict[str, Text] = Field(default_factory=dict)
    """What the user said of the run."""
    code: Code
    inputs: list[File] = Field(default_factory=list)
    outputs: list[File] = Field(default_factory=list)
    hints: list[Hint] = Field(default_factory=list)
    """What was declared beside the files that were seen."""
    input_shards: list[Shard] = Field(default_factory=list)
    output_shards: list[Shard] = Field(default_factory=list)
    environment: Environment
    processes: list[Process] = Field(default_factory=list)
    process_count: Count = 0
    cpu_ns: Nanoseconds = 0
    peak_bytes: Count = 0
    temporaries: Count = 0
    metrics: list[Metrics] = Field(default_factory=list)
    trackers: list[Tracker] = Field(default_factory=list)
    left_out: list[LeftOut] = Field(default_factory=list)
    not_found: list[Text] = Field(default_factory=list)
    """Paths inside the repository that the job looked for in vain."""
    network: list[Endpoint] = Field(default_factory=list)
    incomplete: list[Incomplete] = Field(default_factory=list)
    tracer: Tracer
    reproduces: RecordId | None = None
    """The job that this one runs again."""


class Session(Record):
    """A pipeline run: the jobs that name it belong together."""

    kind: Literal["session"] = "session"
    name: Text | None = None
    user: Text
    purpose: Literal["work", "reproduction"] = "work"
