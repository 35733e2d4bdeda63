"""``roar verify``."""

from __future__ import annotations

import os
from collections import Counter as Counts
from collections.abc import Iterator

import click

from roar.cli import present
from roar.cli.complete import recorded
from roar.cli.say import Counter, Style, write_json
from roar.errors import EXIT_NO, EXIT_OK, NotFoundError
from roar.git.repository import Repository, discover
from roar.records.summary import printable
from roar.verbs.ancestry import ancestry
from roar.verbs.resolve import resolve
from roar.verbs.verify import State, Verdict, verify

_WORDS: dict[State, str] = {
    "signed": "signed",
    "covered": "covered by a later signature in their chain",
    "unsigned": "not signed",
    "untrusted": "signed by a key that git does not trust here",
    "bad": "with a bad signature",
    "broken": "broken",
}
_MOST = 20


@click.command("verify", epilog="\b\nExamples:\n  git roar verify\n  git roar verify model.pkl --require-signed")
@click.argument("what", metavar="[X]", required=False, shell_complete=recorded)
@click.option("--require-signed", is_flag=True, help="Unsigned and untrusted records are a failure, too.")
@click.option("--json", "as_json", is_flag=True, help="Write the verdict on each record as JSON.")
def command(what: str | None, *, require_signed: bool, as_json: bool) -> int:
    """Check ids and signatures of the records, or of those in the lineage of X.

    Signatures are those of the journal's commits (roar.sign.enabled); what git verify-commit accepts is signed. With
    SSH keys git needs gpg.ssh.allowedSignersFile to know whose they are. Exits with 3 when a record is broken or its
    signature is bad.
    """
    repo = discover()
    wanted = _lineage(repo, what) if what else None
    with Counter("signatures checked") as counter:
        verdicts = verify(repo, counter.show, wanted)
    if wanted is not None and not verdicts:
        raise NotFoundError(f"no recorded job made {printable(what or '')}", "roar log")
    failing = {"bad", "broken"} | ({"unsigned", "untrusted"} if require_signed else set())
    failed = any(verdict.state in failing for verdict in verdicts)
    if as_json:
        write_json({"ok": not failed, "records": [verdict._asdict() for verdict in verdicts]})
    else:
        present.write(_lines(verdicts, failing, present.style()))
    return EXIT_NO if failed else EXIT_OK


def _lineage(repo: Repository, what: str) -> set[str]:
    with present.opened_index(repo) as index:
        return set(ancestry(index, resolve(index, repo, what, os.getcwd())).lineage.jobs)


def _lines(verdicts: list[Verdict], failing: set[str], style: Style) -> Iterator[str]:
    odd = [verdict for verdict in verdicts if verdict.state in failing]
    for verdict in odd[:_MOST]:
        name = f"record {verdict.id}" if verdict.id else f"commit {verdict.commit}"
        why = printable(verdict.detail or verdict.signer)
        yield f"{style.red(verdict.state)}  {name}" + (f": {why}" if why else "")
    if len(odd) > _MOST:
        yield f"and {len(odd) - _MOST} more (--json)"
    yield present.count(len(verdicts), "record")
    counts = Counts((verdict.state, verdict.signer) for verdict in verdicts)
    for (state, signer), number in sorted(counts.items()):
        by = f" ({printable(signer)})" if signer else ""
        paint = style.red if state in failing else style.green if state in ("signed", "covered") else style.dim
        yield f"    {number} {paint(_WORDS[state])}{by}"
