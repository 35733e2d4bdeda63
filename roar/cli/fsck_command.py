"""``roar fsck``."""

from __future__ import annotations

from collections.abc import Iterator

import click

from roar.cli import present
from roar.cli.say import Counter, Style, write_json
from roar.errors import EXIT_NO, EXIT_OK
from roar.git.repository import discover
from roar.records.summary import printable
from roar.verbs.findings import Finding
from roar.verbs.fsck import Fsck, fsck


@click.command("fsck", epilog="\b\nExamples:\n  git roar fsck\n  git roar fsck --repair")
@click.option("--repair", is_flag=True, help="Mend what is derived: notes, names, locks, index. Deletes no record.")
@click.option("--json", "as_json", is_flag=True, help="Write what was found as JSON.")
def command(*, repair: bool, as_json: bool) -> int:
    """Check all that roar keeps here: records, what lies beside them, chains, notes, spool and index.

    Each record's bytes are compared with its id, overlays and file lists with the hashes in the record. One line for
    each thing that is broken or odd, with what mends it. Exits with 3 when something is broken.
    """
    repo = discover()
    with Counter("records checked") as counter:
        found = fsck(repo, counter.show, repair=repair)
    if as_json:
        findings = [finding._asdict() for finding in found.findings]
        write_json({"records": found.records, "chains": found.chains, "findings": findings, "clean": not found.broken})
    else:
        present.write(_lines(found, present.style()))
    return EXIT_NO if found.broken else EXIT_OK


def _lines(found: Fsck, style: Style) -> Iterator[str]:
    for finding in found.findings:
        yield _line(finding, style)
    whole = f"{present.count(found.records, 'record')} in {present.count(found.chains, 'chain')}: "
    if found.broken:
        yield whole + style.red(f"{present.count(len(found.broken), 'thing')} broken")
    else:
        yield whole + style.green("nothing is broken")


def _line(finding: Finding, style: Style) -> str:
    paint = {"broken": style.red, "warning": style.yellow, "repaired": style.green}[finding.grade]
    where = printable(finding.where) + (f" {present.short_hash(finding.object)}" if finding.object else "")
    mend = f" (next: {printable(finding.mend)})" if finding.mend else ""
    return f"{paint(finding.grade)}  {where}: {printable(finding.text)}{mend}"
