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
from roar.errors import EXIT_NOT_EXECUTABLE, EXIT_NOT_FOUND, EXIT_NOT_STARTED, RoarError
from roar.git import refs
from roar.git.repository import discover
from roar.trace import start as tracing

FLAG = ""
OPTIONS = (
    # name, letters, metavar (FLAG takes no value), help
    ("quiet", ("-q", "--quiet"), FLAG, "Say nothing afterwards, unless something is wrong."),
    ("json", ("--json",), FLAG, "Write the record as one JSON object to standard error afterwards."),
    ("name", ("--name",), "STEP", "Name this step of the session."),
)


def start(words: list[str]) -> None:
    """Run ``run CMD...`` or ``build CMD...``. Returns only when the words are for click to judge."""
    parsed = parse(words[1:])
    if parsed is not None:
        log.start()
        sys.exit(boundary.guarded(lambda: go(words[0], *parsed)))


def parse(words: list[str]) -> tuple[dict[str, str], list[str]] | None:
    """The options before the command, and the command with everything after it; None for click to judge."""
    known = {letter: (name, metavar) for name, letters, metavar, _ in OPTIONS for letter in letters}
    options: dict[str, str] = {}
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
        options[name] = value
    return None


def go(role: str, options: dict[str, str], argv: list[str]) -> int:
    """Become the tracer of a command. Returns a status only when the command could not be started."""
    try:
        if tracing.inside_a_run():
            return _part_of_a_run(argv)
        tracing.tracer_path()
        repo = discover()
        repo.require_work_tree()
        branch, commit = refs.head(repo)
        cwd = os.getcwd()
        redirects, piped = tracing.redirections(), tracing.input_is_piped()
        report, began_ns = tracing.open_report(), time.time_ns()

        def recorder(done: int) -> None:
            def record() -> int:
                from roar.cli.recorder import record_run
                from roar.verbs.record import Run

                state = Run(
                    repo,
                    argv,
                    cwd,
                    branch,
                    commit,
                    environ=tracing.environment(),
                    name=options.get("name"),
                    role=role,
                    began_ns=began_ns,
                    redirects=redirects,
                    input_is_piped=piped,
                )
                return record_run(state, report, done, quiet="quiet" in options, as_json="json" in options)

            boundary.guarded(record)

        tracing.become_tracer(argv, report, recorder)
    except RoarError as error:
        boundary.say_error(error)
        return EXIT_NOT_STARTED
    except FileNotFoundError as error:  # the current folder is gone
        boundary.say_error(RoarError(f"cannot start here: {error.strerror}", "go to a folder that exists"))
        return EXIT_NOT_STARTED


def _part_of_a_run(argv: list[str]) -> int:
    """Become a command that a run around it sees anyway: a process can have one tracer only."""
    boundary.say(f"roar: inside a recorded run already: {argv[0]} is recorded as a part of it")
    for name in ("SIGPIPE", "SIGXFSZ"):  # Python ignores them, and a command would inherit that
        signal.signal(getattr(signal, name), signal.SIG_DFL)
    try:
        os.execvpe(argv[0], argv, tracing.environment())
    except FileNotFoundError:
        boundary.say(f"roar: {argv[0]}: command not found")
        return EXIT_NOT_FOUND
    except OSError as error:
        boundary.say(f"roar: {argv[0]}: cannot be executed ({error.strerror})")
        return EXIT_NOT_EXECUTABLE
