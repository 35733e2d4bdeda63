"""A job in one line: for the commit message, the note and the log. Control characters never pass."""

from __future__ import annotations

import posixpath
import re
import shlex

from roar.records.job import Command, Job, LeftOut, Shard, Tracker

_UNPRINTABLE = re.compile(r"[\x00-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
_PLAIN_WORD = re.compile(r"[A-Za-z0-9_@%+=:,./~^-]+")


def printable(text: str) -> str:
    r"""The text with every control character shown as ``\\xNN``, so that no terminal obeys it.

    Those that change the direction of writing are among them: they would make a name look like another. So are bytes
    of an ``os`` string that are no UTF-8.
    """
    if text.isascii() and text.isprintable():
        return text
    return _UNPRINTABLE.sub(_escape, text)


def _escape(found: re.Match[str]) -> str:
    number = ord(found[0])
    byte = number - 0xDC00 if 0xDC80 <= number <= 0xDCFF else number  # surrogateescape (PEP 383)
    return "\\n" if found[0] == "\n" else f"\\x{byte:02x}"


def command_line(command: Command, width: int = 0) -> str:
    """A command as one types it, quoted where the shell needs it; cut to ``width`` characters when positive."""
    words = [_quoted(word) for word in command.argv]
    for redirect in command.redirects:
        sign = "<" if redirect.fd == 0 else ">" * (1 + redirect.append)
        path = redirect.path
        if path and path[:1] != "/":
            path = posixpath.relpath(path, command.cwd or ".")
        words.append(f"{redirect.fd if redirect.fd > 1 else ''}{sign} {_quoted(path)}")
    line = printable(" ".join(words))
    return line if not 0 < width < len(line) else line[: width - 1] + "…"


def _quoted(word: str) -> str:
    return word if _PLAIN_WORD.fullmatch(word) else shlex.quote(word)


def outcome(job: Job) -> str:
    """``ok``, ``exit 1``, ``signal 9`` or ``end unknown``."""
    if job.exit.signal is not None:
        return f"signal {job.exit.signal}"
    if job.exit.code is None:
        return "end unknown"
    return "ok" if job.exit.code == 0 else f"exit {job.exit.code}"


def duration(nanoseconds: int) -> str:
    """A duration for people, as ``docs/format.md`` has it: ``312 ms``, ``4.2 s``, ``3 min 12 s``, ``5 h 02 min``."""
    milliseconds, tenths = (nanoseconds + 500_000) // 1_000_000, (nanoseconds + 50_000_000) // 100_000_000
    seconds = tenths // 10
    if milliseconds < 1000:
        return f"{milliseconds} ms"
    if seconds < 60:
        return f"{seconds}.{tenths % 10} s"
    if seconds < 3600:
        return f"{seconds // 60} min {seconds % 60:02d} s"
    return f"{seconds // 3600} h {seconds % 3600 // 60:02d} min"


def file_size(content: str | None, count: int) -> str:
    """The size of a file for people: ``unknown`` where neither its hash is known nor a byte of it was seen."""
    return size(count) if content or count else "unknown"


_UNITS = ("KiB", "MiB", "GiB", "TiB")


def size(count: int) -> str:
    """A number of bytes for people: ``312 B``, ``4.2 KiB``, ``1.5 GiB``."""
    if count < 1024:
        return f"{count} B"
    power = min((count.bit_length() - 1) // 10, len(_UNITS))
    return f"{count / 1024**power:.1f} {_UNITS[power - 1]}"


def tag_words(job: Job) -> str:
    """The tags on one line: ``epochs=10, note=first try``."""
    return ", ".join(f"{printable(key)}={printable(value)}" for key, value in sorted(job.tags.items()))


def tracker_words(tracker: Tracker) -> str:
    """``wandb 6snwouh2, project digits, offline, in wandb/offline-run-...``."""
    parts = [f"{tracker.tool} {tracker.id}" if tracker.id else tracker.tool]
    parts += [f"project {tracker.project}"] if tracker.project else []
    parts += [f"{name.replace('_', ' ')} {value}" for name, value in sorted(tracker.more.items())]
    parts += [part for part in (tracker.mode, tracker.url or (f"in {tracker.path}" if tracker.path else None)) if part]
    return printable(", ".join(parts))


def output_words(job: Job, most: int = 3) -> str:
    """The first outputs' names, and how many more there are; "" when there are none."""
    total = len(job.outputs) + sum(shard.count for shard in job.output_shards)
    if not total:
        return ""
    names = [printable(f.path) for f in job.outputs[:most]] or [
        printable(s.directory or ".") + "/" for s in job.output_shards[:1]
    ]
    more = total - min(len(job.outputs), most) if job.outputs else total
    return ", ".join(names) + (f" (+{more})" if more > 0 else "")


UNLISTED_ADDRESSES, UNLISTED_LOOKUPS, UNLISTED_PACKAGES = "network address", "failed look-up", "package version"
UNLISTED_CODE = "file of the commit"
"""What settings may leave out beside files."""
_SEVERAL = {
    UNLISTED_ADDRESSES: "network addresses",
    UNLISTED_CODE: "files of the commit",
    UNLISTED_LOOKUPS: "failed look-ups",
    UNLISTED_PACKAGES: "package versions",
}


def counts_by_folder(shards: list[Shard]) -> dict[str, int]:
    """How many files a long list has in which folder."""
    counts: dict[str, int] = {}
    for shard in shards:
        counts[shard.directory] = counts.get(shard.directory, 0) + shard.count
    return counts


def left_out_words(item: LeftOut) -> str:
    """``3 package files``, ``1 log file (written)``."""
    if item.reason in _SEVERAL:
        return f"{item.count} {item.reason if item.count == 1 else _SEVERAL[item.reason]}"
    what, bracket, written = printable(item.reason).partition(" (")
    return f"{item.count} {what} file{'s' * (item.count > 1)}{bracket}{written}"


def subject(job: Job) -> str:
    """``roar: run python train.py -> model.pkl``: the first line of the record's commit."""
    made = output_words(job, 2)
    return f"roar: {job.role} {command_line(job.command, 60)}" + (f" -> {made}" if made else "")


def note(job: Job, identifier: str) -> str:
    """The line on the commit that was checked out; it begins with the record's id."""
    made = output_words(job)
    line = f"{identifier} {job.role} {outcome(job)} {duration(job.duration_ns)}  {command_line(job.command, 100)}"
    return line + (f" -> {made}" if made else "")
