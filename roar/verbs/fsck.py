"""Checking everything that roar keeps in a repository. Never deletes a record."""

from __future__ import annotations

from typing import NamedTuple

from roar.git.repository import Repository
from roar.verbs import check_derived
from roar.verbs.check_records import Tell, check_records
from roar.verbs.findings import Finding


class Fsck(NamedTuple):
    """How many records in how many chains were checked, and what was found."""

    records: int
    chains: int
    findings: list[Finding]

    @property
    def broken(self) -> list[Finding]:
        """What is damaged still."""
        return [finding for finding in self.findings if finding.grade == "broken"]


def fsck(repo: Repository, tell: Tell, *, repair: bool = False) -> Fsck:
    """Check records, notes, names, the spool and the index. With ``repair`` what is derived is mended.

    ``tell`` is called with the number of records read so far. Raises ``GitError`` when git cannot be asked.
    """
    findings = list(check_derived.check_refs(repo))
    findings += check_derived.check_locks(repo, repair=repair)
    checked = check_records(repo, tell)
    findings += checked.findings
    findings += check_derived.check_notes(repo, checked, repair=repair)
    findings += check_derived.check_names(repo, repair=repair)
    findings += check_derived.check_aside(repo)
    findings += check_derived.check_index(repo, repair=repair)
    return Fsck(len(checked.records), checked.chains, findings)
