"""How answers look: times, sizes, short hashes, tables that fit the terminal, colour only where a person reads it."""

from __future__ import annotations

import contextlib
import shutil
import sys
import textwrap
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

import click

from roar.cache.index import Index, open_index
from roar.cli import configured
from roar.cli.say import Style, is_shown, patience
from roar.errors import RoarError
from roar.git.repository import Repository
from roar.records import summary
from roar.records.job import Job, Metrics
from roar.records.summary import printable
from roar.verbs.resolve import SHORT_HASH, SHORT_ID

Paint = Callable[[str], str]

size = summary.size


def no_jobs(waiting: int) -> str:
    """What to say when there are none; ``waiting`` counts the records that are saved aside."""
    return f"no jobs recorded yet; {aside(waiting)}" if waiting else "no jobs recorded yet (next: roar run CMD)"


def aside(waiting: int) -> str:
    """What to say of records that are saved aside."""
    return f"{count(waiting, 'record')} saved aside (next: roar recover)"


def labels(known: Mapping[str, str]) -> str:
    """Labels on one line."""
    return ", ".join(f"{printable(key)}={printable(value)}" for key, value in sorted(known.items()))


def withdrawn(number: int) -> str:
    """What to say of jobs that an answer leaves out."""
    return f"{count(number, 'withdrawn job')} left out (next: roar log --all)"


@contextlib.contextmanager
def opened_index(repo: Repository) -> Iterator[Index]:
    """The index, brought up to date; on a terminal with a word when there is much to read."""
    with patience("reading the records into the index"):
        index = open_index(repo)
    with index:
        yield index


def can_ask() -> bool:
    """True when somebody at a terminal sees a question and can answer it."""
    return sys.stdin.isatty() and sys.stderr.isatty()


def agree(question: str, refusal: str, again: str, *, yes: bool) -> None:
    """Ask on the terminal, unless ``yes`` was said. Raises ``RoarError`` without a yes, with ``again`` as what to type.

    ``refusal`` says what was not done, for where there is no terminal.
    """
    if yes:
        return
    if not can_ask():
        raise RoarError(f"{refusal}: there is no terminal to ask on", again)
    if not confirmed(question):
        raise RoarError("nothing was done")


def confirmed(question: str) -> bool:
    """The answer to a question on the terminal."""
    return click.confirm(question, err=True)


def style() -> Style:
    """The style of standard output."""
    return Style.of(1, configured.settings().output.color)


def write(lines: Iterable[str]) -> None:
    """Write lines to standard output."""
    sys.stdout.writelines(line + "\n" for line in lines)


def width() -> int:
    """The columns of the terminal; 0, for any width, when standard output is none."""
    return shutil.get_terminal_size().columns if is_shown(1) else 0


def fit(text: str, columns: int) -> str:
    """The text, its end cut off with ``…`` when it has more characters than ``columns`` (0: any number)."""
    return text if columns <= 0 or len(text) <= columns else text[: max(columns - 1, 0)] + "…"


def fit_path(path: str, columns: int) -> str:
    """The same for a path, whose end says more than its beginning."""
    return path if columns <= 0 or len(path) <= columns else "…" + path[len(path) - max(columns - 1, 0) :]


def table(
    header: Sequence[str],
    rows: Sequence[Sequence[str]],
    paints: Sequence[Paint | None] | None = None,
    *,
    shrink: int = -1,
    cut: Callable[[str, int], str] = fit_path,
    columns: int = 0,
) -> list[str]:
    """Rows in aligned columns, two spaces apart, without one at the end of a line.

    When they are wider than ``columns`` (0: any width), the column ``shrink`` is cut by ``cut``. An empty header is
    left out. ``paints`` colours whole columns.
    """
    head = [list(header)] if header else []
    cells = [*head, *(list(row) for row in rows)]
    if not cells:
        return []
    widths = [max(len(row[k]) for row in cells) for k in range(len(cells[0]))]
    shrink %= len(widths)
    over = sum(widths) + 2 * (len(widths) - 1) - columns
    if columns > 0 and over > 0:
        widths[shrink] = max(8, widths[shrink] - over)
    lines = []
    for number, row in enumerate(cells):
        text = ""
        for k, cell in enumerate(row):
            shown = cut(cell, widths[k]) if k == shrink else cell
            padding = "" if k == len(row) - 1 else " " * (widths[k] - len(shown) + 2)
            paint = paints[k] if paints and number >= len(head) else None
            text += (paint(shown) if paint else shown) + padding
        lines.append(text.rstrip())
    if head:
        lines[0] = style().dim(lines[0])
    return lines


def folded(title: str, text: str) -> list[str]:
    """A titled text, on as many lines as the terminal needs, those after the first indented below it."""
    columns = width()
    if not columns or len(title) + len(text) <= columns:
        return [title + text]
    return textwrap.wrap(title + text, max(columns, 40), subsequent_indent=" " * len(title))


def when(time_ns: int) -> str:
    """A time since the epoch as local time: ``2025-01-01 13:00:00 +0100``."""
    return time.strftime("%Y-%m-%d %H:%M:%S %z", time.localtime(time_ns // 1_000_000_000))


def short_hash(content: str | None) -> str:
    """The first digits of a hash; ``unknown`` for content that is not known."""
    return content[:SHORT_HASH] if content else "unknown"


def short_id(identifier: str) -> str:
    """The beginning of a record's id."""
    return identifier[:SHORT_ID]


def count(number: int, thing: str, things: str | None = None) -> str:
    """``1 job``, ``2 jobs``."""
    return f"{number} {thing if number == 1 else things or thing + 's'}"


def some(words: Sequence[str], most: int = 5) -> str:
    """The first of them, and how many more there are."""
    more = len(words) - most
    return ", ".join(words[:most]) + (f" and {more} more" if more > 0 else "")


def metric_words(metrics: Metrics) -> str:
    """The first numbers of a result file: ``accuracy 0.93, loss 0.2``."""
    return some([f"{printable(name)} {printable(value)}" for name, value in metrics.values.items()])


def code_state(job: Job) -> str:
    """The code that a job ran: ``3fa9c0d1e2f3 (main), 2 files changed``."""
    code = job.code
    text = code.commit[:SHORT_HASH] if code.commit else "no commit yet"
    if code.branch:
        text += f" ({printable(code.branch)})"
    return text + (f", {count(len(code.overlay), 'file')} changed" if code.overlay else "")


def exit_code(job: Job) -> int | None:
    """The exit status as a shell gives it: 128 and the signal's number for a killed one; None when it is not known."""
    return 128 + job.exit.signal if job.exit.signal is not None else job.exit.code


def painted_outcome(text: str, style: Style) -> str:
    """``ok`` in green, anything else in red."""
    return style.green(text) if text == "ok" else style.red(text)
