"""``roar run``: its help, and the judge of words that the quick start does not understand."""

from __future__ import annotations

import click

from roar.cli import start

_EPILOG = {
    "run": """\b
Examples:
  git roar run python train.py --epochs 10
  git roar run --name report sh -c 'sort data.csv | head > top.csv'
  git roar run --tag try=2 --input s3://bucket/raw.csv python train.py
  git roar run @2 --epochs 20
  git roar run --env OMP_NUM_THREADS=1 --timeout 3600 python train.py
""",
    "build": """\b
Examples:
  git roar build make -j2
  git roar build --name deps pip install -e .
""",
}
_HELP = {
    "run": """Run CMD unchanged and record which files it and its children read, write and execute.

    Standard input, output, terminal, signals and the exit status are the command's own (128+N for a signal; 125 when
    roar could not start it, 126 when it cannot be executed, 127 when it is not found). Afterwards a short report goes
    to standard error. Options for roar stand before the command; everything after it is the command's.
    When --timeout ends it, the status is that of the signal (143 for SIGTERM), and the record says why.

    @N (@BN: a build step) in place of CMD runs a step of the session again: the command of its latest job, with the
    words after @N added, in the same folder, under the same name. Its redirections to files are done again unless
    the stream is a file already. Variables are those of now. What another clone recorded is run only after a yes on
    the terminal.

    One line says when an input is stale, and which step should run first: for @N before the start, for a command that
    runs longer than 0.3 s while it runs, else in the report. Nothing waits for it; roar.output.warnStale turns it off.
    """,
    "build": """Run a set-up step (compile, install) as `roar run` does, and record it as one.

    Set-up steps come first when a file is made again.
    """,
}


def make(role: str) -> click.Command:
    """The click command for ``run`` or ``build``, with the options of the quick start's table."""

    def call(**values: object) -> int:
        argv = values.pop("argv")
        assert isinstance(argv, tuple)
        options = {k: list(v) if isinstance(v, tuple) else [str(v)] for k, v in values.items() if v}
        return start.go(role, options, list(argv))

    params: list[click.Parameter] = [
        click.Option(
            [*letters, name],
            is_flag=metavar == start.FLAG,
            multiple=metavar.endswith("..."),
            metavar=metavar.removesuffix("...") or None,
            help=text,
        )
        for name, letters, metavar, text in start.OPTIONS
    ]
    params.append(click.Argument(["argv"], nargs=-1, required=True, metavar="CMD [ARG]...", type=click.UNPROCESSED))
    return click.Command(
        role,
        callback=call,
        params=params,
        help=_HELP[role],
        short_help=_HELP[role].splitlines()[0],
        epilog=_EPILOG[role],
        context_settings={"allow_interspersed_args": False, "ignore_unknown_options": False},
    )


command = make("run")
