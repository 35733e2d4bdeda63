"""``roar verify``."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Iterator

import click

from roar.cli import present
from roar.cli.boundary import say_error
from roar.cli.complete import recorded
from roar.cli.say import Counter, Style, write_json
from roar.errors import EXIT_NO, EXIT_OK, NotFoundError
from roar.git.repository import Repository, discover
from roar.records.summary import printable
from roar.verbs.ancestry import ancestry
from roar.verbs.logged import Logged, standings
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
_NAMED: set[State] = {"unsigned", "untrusted"}
_MOST = 20


@click.command("verify", epilog="\b\nExamples:\n  git roar verify\n  git roar verify model.pkl --require-signed")
@click.argument("what", metavar="[X]", required=False, shell_complete=recorded)
@click.option("--require-signed", is_flag=True, help="Unsigned and untrusted records are a failure, too.")
@click.option("--offline", is_flag=True, help="Do not ask the logs of servers.")
@click.option("--json", "as_json", is_flag=True, help="Write the verdict on each record as JSON.")
def command(what: str | None, *, require_signed: bool, offline: bool, as_json: bool) -> int:
    """Check ids and signatures of the records, or of those in the lineage of X, and the logs of servers.

    Signatures are those of the journal's commits (roar.sign.enabled); what git verify-commit accepts is signed. With
    SSH keys git needs gpg.ssh.allowedSignersFile to know whose they are. Where a remote is a project of a server, what
    it has must be in its log, and the log must go on from what was seen of it before. Exits with 3 when a record is
    broken, its signature is bad, or a log contradicts itself.
    """
    repo = discover()
    wanted = _lineage(repo, what) if what is not None else None
    with Counter("signatures checked") as counter:
        verdicts = verify(repo, counter.show, wanted)
    if wanted is not None and not verdicts:
        raise NotFoundError(f"no recorded job made {printable(what or '')}", "roar log")
    failing: set[State] = {"bad", "broken", *(_NAMED if require_signed else ())}
    logs = [] if offline else list(standings(repo, wanted, say_error))
    failed = any(verdict.state in failing for verdict in verdicts) or not all(log.is_good for log in logs)
    if as_json:
        records = [verdict._asdict() for verdict in verdicts]
        write_json({"ok": not failed, "records": records, "logs": [log._asdict() for log in logs]})
    else:
        present.write(_lines(verdicts, failing, present.style()))
        present.write(line for log in logs for line in _log_lines(log, present.style()))
    return EXIT_NO if failed else EXIT_OK


def _log_lines(log: Logged, style: Style) -> Iterator[str]:
    if log.suspicion:
        yield f"{style.red('refused')}  {printable(log.suspicion)}"
    elif log.unchecked:
        yield f"{style.dim('not checked')}: the log of {log.project}: {printable(log.unchecked)}"
    else:
        words = f"in the log of {log.project} at {log.server}, which has {log.size}"
        yield f"    {log.included} {style.green(words)}"
    if log.behind:
        yield f"    {log.behind} more in that log {style.dim('not fetched yet')} (next: roar sync {log.remote})"
    if log.dropped:
        yield f"{style.red('dropped')} by {log.remote} although its log has them: {present.some(log.dropped)}"
    if log.missing:
        yield f"{style.red('missing')} in that log although {log.remote} has them: {present.some(log.missing)}"


def _lineage(repo: Repository, what: str) -> set[str]:
    with present.opened_index(repo) as index:
        return set(ancestry(index, resolve(index, repo, what, os.getcwd())).lineage.jobs)


def _lines(verdicts: list[Verdict], failing: set[State], style: Style) -> Iterator[str]:
    odd = [verdict for verdict in verdicts if verdict.state in failing]
    for verdict in odd[:_MOST]:
        name = f"record {verdict.id}" if verdict.id else f"commit {verdict.commit}"
        why = printable(verdict.detail or verdict.signer)
        yield f"{style.red(verdict.state)}  {name}" + (f": {why}" if why else "")
    if len(odd) > _MOST:
        yield f"and {len(odd) - _MOST} more (--json)"
    yield present.count(len(verdicts), "record")
    groups = defaultdict[tuple[State, str], list[str]](list)
    for verdict in verdicts:
        groups[verdict.state, verdict.signer].append(verdict.id)
    for (state, signer), ids in sorted(groups.items()):
        by = f" ({printable(signer)})" if signer else ""
        named = f": {present.some([present.short_id(each) for each in ids])}" if state in _NAMED - failing else ""
        paint = style.red if state in failing else style.green if state in ("signed", "covered") else style.dim
        yield f"    {len(ids)} {paint(_WORDS[state])}{by}{named}"
