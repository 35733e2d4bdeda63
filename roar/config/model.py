"""Every setting, once: its name, type, default, help, and whether a team's ``.roarconfig`` may give it.

To add a setting: write its line and its help into a group below (or a new group, and its line in ``Settings``), use
it where it has its effect, and run ``roar config describe --markdown > docs/configuration.md``. Everything else
follows: ``max_total_size`` in ``Overlay`` is ``roar.overlay.maxTotalSize`` in git's configuration and
``ROAR_OVERLAY_MAX_TOTAL_SIZE`` in the environment, is checked, listed, described and suggested when misspelled.

Standard library only, and plain tuples instead of pydantic: all of it is read and checked before a command starts, so
that what is misspelled is said before anything ran, and that may not take longer than a millisecond or two.

A shared setting (``shared=True``) must be one whose every value lets less be recorded than its default, or the same:
``.roarconfig`` comes with a clone, from anybody. None may name a program, a file to write, or a regular expression
(which can be made to take forever).
"""

from typing import Annotated, Any, Literal, NamedTuple, get_args, get_origin

from roar.config.kinds import (
    FLAG,
    Algorithms,
    Color,
    Globs,
    Kind,
    Names,
    Path,
    Patterns,
    Size,
    Texts,
    address_text,
    auto_text,
    branch_text,
    choice_text,
    key_text,
    remote_text,
    seconds_text,
)


class Help(NamedTuple):
    """What a setting does, for people."""

    text: str
    shared: bool = False


class Key(NamedTuple):
    """A setting, as the rest of the program sees it."""

    group: str
    field: str
    kind: Kind
    default: Any
    help: str
    shared: bool

    @property
    def name(self) -> str:
        """Its name in git's configuration, without ``roar.``: ``overlay.maxTotalSize``."""
        first, *others = self.field.split("_")
        return f"{self.group}.{first}{''.join(map(str.capitalize, others))}"

    def words(self, value: Any) -> list[str]:
        """A value as it may be written, one item for each of several."""
        return [self.kind.show(each) for each in (value if self.kind.many else (value,))]

    @property
    def variable(self) -> str:
        """The environment variable that sets it: ``ROAR_OVERLAY_MAX_TOTAL_SIZE``."""
        return f"ROAR_{self.group}_{self.field}".upper()


class Output(NamedTuple):
    """What is said, and how."""

    quiet: Annotated[bool, Help("Say nothing after a recorded run, unless something is wrong, as `roar run -q`.")] = (
        False
    )
    color: Annotated[
        Color, Help("Colour: on terminals only (auto), always, or never. NO_COLOR in the environment wins.")
    ] = "auto"
    warn_stale: Annotated[
        bool,
        Help("Say when a run reads what a step made that is out of date. It is looked for while the command runs."),
    ] = True
    track_repository_files: Annotated[
        bool,
        Help(
            "List inputs that are as the commit has them. When false, they are only counted; no lineage leads there.",
            shared=True,
        ),
    ] = True  # fmt: skip
    pager: Annotated[
        bool, Help("Show long answers in git's pager (GIT_PAGER, core.pager), when standard output is a terminal.")
    ] = True


class Tracer(NamedTuple):
    """How commands are watched."""

    enabled: Annotated[bool, Help("Record commands. When false, `roar run` only runs them, and says so in a line.")] = (
        True
    )
    mechanism: Annotated[
        Literal["auto", "ptrace", "notify"],
        Help("How the kernel is asked to tell of opened files. See docs/tracer.md; auto takes the fastest."),
    ] = "auto"
    io_uring: Annotated[
        Literal["report", "deny"],
        Help("What is opened through io_uring is not seen: say so in the record, or let programs find none."),
    ] = "report"
    hash_limit: Annotated[
        Size,
        Help("A file that a command is about to change is hashed first when it is at most this large."),
    ] = 4 << 30
    record_limit: Annotated[
        int,
        Kind("a number of seconds", seconds_text),
        Help(
            "A record that is not made so many seconds after the command's end is given up: what was seen is saved "
            "aside, for `roar recover`. 0: no limit."
        ),
    ] = 3600
    network: Annotated[
        bool, Help("List the addresses that a command connected to. When false they are only counted.", shared=True)
    ] = True
    failed_lookups: Annotated[
        bool,
        Help("List paths in the work tree that a command looked for in vain. When false they are only counted.",
             shared=True),
    ] = True  # fmt: skip


class Hash(NamedTuple):
    """How contents are named. All that roar does goes by the primary one; others are recorded beside it."""

    primary: Annotated[Literal["blake3"], Help("What every content is known by. There is one choice in format 1.")] = (
        "blake3"
    )
    run: Annotated[
        Algorithms, Help("More digests of each input and output that a run records: `roar show` finds files by them.")
    ] = ()
    put: Annotated[Algorithms, Help("More digests of what `roar put` keeps, recorded as labels.")] = ()
    get: Annotated[Algorithms, Help("More digests of what `roar get` brings, recorded as labels.")] = ()


class Cleanup(NamedTuple):
    """What is tidied up after a recorded run."""

    delete_tmp_writes: Annotated[
        bool,
        Help("Delete what the job created below /tmp, /var/tmp and $TMPDIR, outside of the work tree, and lists."),
    ] = False


class Reversible(NamedTuple):
    """Bytes that a recorded run overwrites or removes in the work tree, kept in this clone: docs/store.md."""

    enabled: Annotated[
        bool, Help("Copy each file before it is overwritten or removed; `roar get` brings it back, `--kept` lists.")
    ] = False
    max_size: Annotated[Size, Help("Larger files are not copied.")] = 256 << 20
    max_total_size: Annotated[Size, Help("All copies together; beyond that the oldest are deleted.")] = 4 << 30


class Filters(NamedTuple):
    """Which files outside of the repository are listed. What is not listed is counted, by reason.

    The repository wins: its files are listed whatever these say, with the exception of `exclude`.
    """

    exclude: Annotated[
        Globs, Help("Files not to list, in the repository or elsewhere. They are counted as excluded.", shared=True)
    ] = ()
    include: Annotated[
        Globs, Help("Files to list although another rule would leave them out. `exclude` is stronger.")
    ] = ()
    ignore_system: Annotated[bool, Help("Leave out files of the system, such as those in /usr and /etc.")] = True
    ignore_packages: Annotated[
        bool, Help("Leave out files of interpreters and of installed packages, which are listed by version instead.")
    ] = True
    ignore_settings: Annotated[
        bool, Help("Leave out small files in hidden folders of the home folder: the user's own settings and programs.")
    ] = True
    ignore_caches: Annotated[
        bool, Help("Leave out what programs keep for themselves, such as pip, matplotlib, torch and triton.")
    ] = True
    ignore_tmp: Annotated[
        bool, Help("Leave out files in /tmp, /var/tmp and $TMPDIR that are still there at the end.", shared=True)
    ] = False


class Overlay(NamedTuple):
    """The copies of uncommitted code that are kept with a record."""

    enabled: Annotated[
        bool,
        Help("Keep what was read and differs from the commit. When false, the record says what it lacks.",
             shared=True),
    ] = True  # fmt: skip
    max_modified_size: Annotated[Size, Help("A tracked file that was changed is kept up to this size.")] = 16 << 20
    max_untracked_size: Annotated[
        Size, Help("An untracked file that looks like code or configuration is kept up to this size.")
    ] = 256 << 10
    max_total_size: Annotated[Size, Help("All files kept with one record together.")] = 64 << 20
    include: Annotated[
        Globs, Help("Untracked files to keep, too, whatever they are, up to the size of a changed one.")
    ] = ()
    exclude: Annotated[Globs, Help("Files never to keep. The record says that they are lacking.", shared=True)] = ()


class Environment(NamedTuple):
    """What is recorded of the surroundings."""

    variables: Annotated[
        Names, Help("Environment variables to record beside those that roar knows to matter. Secrets are taken out.")
    ] = ()
    packages: Annotated[
        bool,
        Help("List installed Python packages. Without them a reproduction cannot build the environment again.",
             shared=True),
    ] = True  # fmt: skip
    hardware: Annotated[
        bool,
        Help("Record processor, memory, graphics processors, container and the name of the machine.", shared=True),
    ] = True


class Analyzers(NamedTuple):
    """Who else keeps a book about a job, or ran it."""

    enabled: Annotated[
        bool,
        Help("Record the runs of W&B, MLflow, Neptune, TensorBoard and DVC, notebooks, torchrun, Slurm and Ray.",
             shared=True),
    ] = True  # fmt: skip


class Redact(NamedTuple):
    """What is taken out of command lines, variables, URLs and kept files before anything is written."""

    enabled: Annotated[bool, Help("Take secrets out. When false, records hold them, and so does who fetches them.")] = (
        True
    )
    names: Annotated[
        Names,
        Help("More names of variables and options whose values are secret, such as MY_PIN or *_LICENSE.", shared=True),
    ] = ()
    patterns: Annotated[Patterns, Help("More texts that are secret, wherever they stand.")] = ()
    values: Annotated[
        Texts, Help("Secrets by themselves, word for word. Better set with --global: git's files are not secret.")
    ] = ()
    allow: Annotated[
        Names, Help("Names of variables and options whose values are no secrets, although they look like it.")
    ] = ()


class Sync(NamedTuple):
    """When and where records are shared. See docs/hooks.md and docs/hosts.md."""

    auto: Annotated[
        Literal["remind", "push", "never"],
        Kind("remind, push or never", auto_text),
        Help("What a `git push` does about records that the remote lacks, after `roar init --hooks`."),
    ] = "remind"
    branch: Annotated[
        str,
        Kind("the name of a branch", branch_text),
        Help(
            "For remotes that take branches only: the records travel as refs/heads/NAME/* there, not as refs/roar/*.",
            shared=True,
        ),
    ] = ""


class Register(NamedTuple):
    """Where `roar register` pushes, and what."""

    remote: Annotated[
        str,
        Kind("the name of a remote", remote_text),
        Help("Register with this remote, instead of the one that `roar sync` takes."),
    ] = ""
    code: Annotated[
        bool, Help("Push commits that jobs ran on and no remote branch holds, too, as `roar register --with-code`.")
    ] = False
    overlay: Annotated[
        bool, Help("Push the uncommitted code beside the records, too; false: as `roar register --no-overlay`.")
    ] = True
    tag: Annotated[
        bool,
        Help("Tag the commit that made what was registered, as roar/<the first 12 digits>, and push the tag."),
    ] = False
    auto: Annotated[
        bool,
        Help("Register each recorded run from a process in the background, unless something in it looks secret."),
    ] = False


class Glaas(NamedTuple):
    """The server of lineage (docs/glaas.md)."""

    url: Annotated[
        str,
        Kind("an address such as https://roar.example.org", address_text),
        Help("The server of remotes over SSH to its host (else that is asked), also asked about files not known here."),
    ] = ""
    key: Annotated[Path, Help("Log in with this SSH key (its .pub file), not with any that fits.")] = ""
    web_url: Annotated[
        str,
        Kind("an address such as https://lineage.example.org", address_text),
        Help("Where people see the server's pages, if not at the address that git pushes to."),
    ] = ""


class Store(NamedTuple):
    """Where the bytes of files are kept by hash (docs/store.md)."""

    url: Annotated[
        str,
        Kind("a folder, or an address such as s3://bucket/prefix", address_text),
        Help("The store: a folder, s3://, gs://, az://, ssh://, or https:// to read from only."),
    ] = ""
    policy: Annotated[
        Literal["asked", "outputs"],
        Help("What a recorded run puts into the store: nothing unless --store asks for it, or always its outputs."),
    ] = "asked"


class Receive(NamedTuple):
    """What a server lets in, whose pre-receive hook is `git-hooks/pre-receive`."""

    rewrites: Annotated[
        bool, Help("Let refs of records be rewritten and deleted, for as long as a leaked secret is purged.")
    ] = False


class Logging(NamedTuple):
    """What roar tells of its own work."""

    level: Annotated[
        Literal["off", "error", "info", "debug"],
        Help("Write nothing, errors (to the file; they are shown anyway), what was recorded, or every detail."),
    ] = "off"
    file: Annotated[Path, Help("Append messages to this file (~ is the home folder) instead of standard error.")] = ""


class Sign(NamedTuple):
    """Signatures on the commits that hold records."""

    enabled: Annotated[
        bool, Help("Sign them, as git is set up to sign commits (gpg.format, user.signingKey). See `roar verify`.")
    ] = False
    key: Annotated[str, Kind("a key as user.signingKey names it", key_text), Help("Sign with this key instead.")] = ""


class Settings(NamedTuple):
    """Everything that is set."""

    output: Output = Output()
    filters: Filters = Filters()
    overlay: Overlay = Overlay()
    tracer: Tracer = Tracer()
    hash: Hash = Hash()
    reversible: Reversible = Reversible()
    cleanup: Cleanup = Cleanup()
    environment: Environment = Environment()
    analyzers: Analyzers = Analyzers()
    redact: Redact = Redact()
    sync: Sync = Sync()
    register: Register = Register()
    glaas: Glaas = Glaas()
    store: Store = Store()
    receive: Receive = Receive()
    logging: Logging = Logging()
    sign: Sign = Sign()


def _keys() -> list[Key]:
    found = []
    for group, defaults in Settings._field_defaults.items():
        for field, annotation in type(defaults).__annotations__.items():
            kind, text = FLAG, Help("")
            base = get_args(annotation)[0]
            if get_origin(base) is Literal:
                kind = choice_text(get_args(base))
            for note in get_args(annotation)[1:]:
                kind = note if isinstance(note, Kind) else kind
                text = note if isinstance(note, Help) else text
            found.append(Key(group, field, kind, getattr(defaults, field), text.text, text.shared))
    return found


KEYS: dict[str, Key] = {key.name.lower(): key for key in _keys()}
"""By name in lower case: git's names do not mind case."""


def with_values(values: dict[tuple[str, str], Any]) -> Settings:
    """The settings with these values, by group and field, in place of defaults."""
    settings = Settings()
    for group in settings._fields:
        mine = {field: value for (of, field), value in values.items() if of == group}
        if mine:
            settings = settings._replace(**{group: getattr(settings, group)._replace(**mine)})
    return settings
