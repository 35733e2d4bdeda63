"""``roar run``: from the words to the started command, with the standard library alone.

The options stand in one table, from which ``roar.cli.run_command`` makes click's help and errors. Whatever this
module does not understand (``-h``, an unknown option, no command) it leaves to click.
"""

from __future__ import annotations

import os
import signal
import sys
import time

from roar import log
from roar.cli import boundary
from roar.config import read
from roar.config.read import Configuration
from roar.errors import EXIT_NOT_EXECUTABLE, EXIT_NOT_FOUND, EXIT_NOT_STARTED, EXIT_USAGE, RoarError, UsageError
from roar.git import refs
from roar.git.repository import Repository, discover
from roar.trace import start as tracing

FLAG = ""
OPTIONS = (
    # name, letters, metavar (FLAG takes no value, one that ends with ... may be repeated), help
    ("quiet", ("-q", "--quiet"), FLAG, "Say nothing afterwards, unless something is wrong."),
    ("json", ("--json",), FLAG, "Write the record as one JSON object to standard error afterwards."),
    ("name", ("--name",), "STEP", "Name this step of the session."),
    ("session", ("--session",), "NAME", "Join this session instead of the active one; it is begun if there is none."),
    ("tag", ("--tag",), "KEY=VALUE...", "Keep this in the record (repeatable)."),
    ("input", ("--input",), "REF...", "Declare an input that cannot be seen: a URL, s3://bucket/key (repeatable)."),
    ("output", ("--output",), "REF...", "Declare an output that cannot be seen (repeatable)."),
    ("env", ("--env",), "NAME=VALUE...", "Set an environment variable of the command, and record it (repeatable)."),
    ("cwd", ("--cwd",), "DIR", "Start the command in DIR. The record goes to the repository here."),
    ("timeout", ("--timeout",), "SECONDS", "Send the command SIGTERM after so long, and SIGKILL 10 s later."),
    ("store", ("--store",), FLAG, "Put the outputs into the store afterwards, as `roar put` does."),
    ("no_overlay", ("--no-overlay",), FLAG, "Keep no copies of uncommitted code; the record says what it lacks."),
)
_LONGEST_TAG, _LONGEST_REF = 256, 4096
"""Characters of a tag's key, as of a label's, and of a declared reference."""
Options = dict[str, list[str]]
"""The values of each option given; a flag has one."""


def start(words: list[str]) -> None:
    """Run ``run CMD...`` or ``build CMD...``. Returns only when the words are for click to judge."""
    parsed = parse(words[1:])
    if parsed is not None:
        log.start()
        sys.exit(boundary.guarded(lambda: go(words[0], *parsed)))


def parse(words: list[str]) -> tuple[Options, list[str]] | None:
    """The options before the command, and the command with everything after it; None for click to judge."""
    known = {letter: (name, metavar) for name, letters, metavar, _ in OPTIONS for letter in letters}
    options: Options = {}
    rest = iter(range(len(words)))
    for i in rest:
        word, equals, value = words[i].partition("=")
        if words[i] == "--":
            return (options, words[i + 1 :]) if words[i + 1 :] else None
        if not words[i].startswith("-"):
            return options, words[i:]
        if word not in known or (equals and known[word][1] == FLAG):
            return None
        name, metavar = known[word]
        if metavar == FLAG:
            value = "1"
        elif not equals:
            at = next(rest, None)
            if at is None:
                return None
            value = words[at]
        options.setdefault(name, []).append(value)
    return None


def go(role: str, options: Options, argv: list[str]) -> int:
    """Become the tracer of a command. Returns a status only when the command could not be started."""
    is_step = _is_step(argv[0])
    try:
        if is_step:
            from roar.cli.repeat import repeated

            role, options, argv = repeated(role, options, argv)
        plan = _asked(options)
        if tracing.inside_a_run():
            os.chdir(plan.cwd)
            boundary.say(f"roar: inside a recorded run already: {argv[0]} is recorded as a part of it")
            return _become(argv, {**tracing.environment(), **plan.variables})
        tracing.tracer_path()
        repo = discover()
        repo.require_work_tree()
        configured = _configured(repo)
        tracer = configured.settings.tracer if configured else None
        if "store" in options and not (configured and configured.settings.store.url):
            raise UsageError("--store: no store is set", "roar config set store.url /path/of/a/folder")
        variables = {**(configured.variables if configured else {}), **plan.variables}
        branch, commit = refs.head(repo)
        os.chdir(plan.cwd)
        cwd = os.getcwd()
        environ = {**tracing.environment(), **variables}
        if plan.cwd != ".":
            environ["PWD"] = cwd
        if tracer and not tracer.enabled:
            if "quiet" not in options:
                boundary.say("roar: roar.tracer.enabled is false: this run is not recorded")
            return _become(argv, environ)
        redirects, piped = tracing.redirections(), tracing.input_is_piped()
        report, began_ns = tracing.open_report(), time.time_ns()

        def recorder(done: int) -> None:
            def record() -> int:
                from roar.cli.recorder import Manner, record_run
                from roar.verbs.record import Run

                state = Run(
                    repo,
                    argv,
                    cwd,
                    branch,
                    commit,
                    environ=environ,
                    name=options.get("name", [None])[-1],
                    role=role,
                    session_name=options.get("session", [None])[-1],
                    began_ns=began_ns,
                    redirects=redirects,
                    input_is_piped=piped,
                    set_variables=tuple(variables),
                    configuration=configured or read.understood([]),
                    without_overlay="no_overlay" in options,
                    tags=plan.tags,
                    hints=plan.hints,
                    store="store" in options,
                )
                manner = Manner("quiet" in options, "json" in options, look=not is_step)
                return record_run(state, report, done, manner, plan.timeout)

            boundary.guarded(record)

        words = tracing.tracer_words(tracer) if tracer else []
        if configured:
            top, copies = repo.require_work_tree(), os.path.join(repo.own_dir, tracing.COPIES)
            words += tracing.keeping_words(configured.settings.reversible, top, copies)
        tracing.become_tracer(argv, environ, words, report, recorder)
    except RoarError as error:
        boundary.say_error(error)
        return EXIT_USAGE if isinstance(error, UsageError) else EXIT_NOT_STARTED
    except (FileNotFoundError, PermissionError) as error:  # the folder to start in is gone, or nobody may enter it
        boundary.say_error(RoarError(f"cannot start here: {error.strerror}", "go to another folder"))
        return EXIT_NOT_STARTED


def _is_step(word: str) -> bool:
    return word[:1] == "@" and word[1:].removeprefix("B").isdigit()


class Asked:
    """What options say of the command to start. ``hints`` are pairs of side (``input``, ``output``) and reference."""

    __slots__ = ("cwd", "hints", "tags", "timeout", "variables")

    def __init__(
        self,
        cwd: str,
        variables: dict[str, str],
        timeout: float | None,
        tags: tuple[tuple[str, str], ...],
        hints: tuple[tuple[str, str], ...],
    ) -> None:
        self.cwd = cwd
        self.variables = variables
        self.timeout = timeout
        self.tags = tags
        self.hints = hints


def _asked(options: Options) -> Asked:
    """The options that say how to start. Raises ``UsageError`` for what cannot be meant."""
    variables = {}
    for pair in options.get("env", []):
        name, equals, value = pair.partition("=")
        if not name or not equals:
            raise UsageError(f"--env {pair} is not NAME=VALUE", "roar run --env NAME=VALUE CMD")
        variables[name] = value
    tags = {}
    for pair in options.get("tag", []):
        name, equals, value = pair.partition("=")
        if not equals or not name.isprintable() or not name.strip() or len(name) > _LONGEST_TAG:
            raise UsageError(f"--tag {_shown(pair)} is not KEY=VALUE", "roar run --tag KEY=VALUE CMD")
        tags[name] = value
    hints = tuple((side, ref) for side in ("input", "output") for ref in options.get(side, []))
    for side, ref in hints:
        if not ref.strip() or not ref.isprintable() or len(ref) > _LONGEST_REF:
            raise UsageError(f"--{side} {_shown(ref)} is no reference", f"roar run --{side} https://host/file CMD")
    cwd = options.get("cwd", ["."])[-1]
    if not os.path.isdir(cwd):
        raise UsageError(f"--cwd {cwd} is no folder", "roar run --cwd DIR CMD")
    timeout = None
    if "timeout" in options:
        text = options["timeout"][-1]
        try:
            timeout = float(text)
        except ValueError:
            timeout = 0.0
        if not 0 < timeout < 1e9:  # nan and inf, too
            raise UsageError(f"--timeout {text} is no number of seconds", "roar run --timeout 3600 CMD")
    return Asked(cwd, variables, timeout, tuple(tags.items()), hints)


def _shown(text: str) -> str:
    """What was typed, for a message of one line."""
    quoted = text if text.isprintable() else ascii(text)
    return quoted if len(quoted) <= 80 else quoted[:79] + "…"


def _configured(repo: Repository) -> Configuration | None:
    """What is set; None when nothing is, which most commands need not wait for. Raises ``ConfigError``."""
    entries = read.gather(repo)
    return read.understood(entries) if entries else None


def _become(argv: list[str], environ: dict[str, str]) -> int:
    """Become a command that is not traced by us. Returns a status only when it cannot be started."""
    for name in ("SIGPIPE", "SIGXFSZ"):  # Python ignores them, and a command would inherit that
        signal.signal(getattr(signal, name), signal.SIG_DFL)
    try:
        os.execvpe(argv[0], argv, environ)
    except FileNotFoundError:
        boundary.say(f"roar: {argv[0]}: command not found")
        return EXIT_NOT_FOUND
    except OSError as error:
        boundary.say(f"roar: {argv[0]}: cannot be executed ({error.strerror})")
        return EXIT_NOT_EXECUTABLE
