"""``roar register``."""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Iterator
from typing import Any

import click

from roar.cache.index import Index
from roar.cli import present
from roar.cli.boundary import say
from roar.cli.complete import recorded
from roar.cli.configured import settings
from roar.cli.present import count
from roar.cli.say import Counter, Style, write_json
from roar.errors import EXIT_NO, EXIT_OK, GitError, RoarError, UsageError
from roar.git.repository import Repository, discover
from roar.records.summary import printable
from roar.verbs import register
from roar.verbs.register import Offer, Registered, Subject
from roar.verbs.resolve import Target, resolve_many
from roar.verbs.steps import session_asked

_EPILOG = """\b
Examples:
  git roar register metrics.json
  git roar register v1 --with-code       a collection, with the code that made it
  git roar register --all --dry-run
"""
_MOST = 20


@click.command("register", epilog=_EPILOG)
@click.argument("name", metavar="[X]", required=False, shell_complete=recorded)
@click.option("--all", "everything", is_flag=True, help="Everything that this clone recorded.")
@click.option("--remote", metavar="NAME", help="Register there instead of with roar.register.remote.")
@click.option("-n", "--dry-run", is_flag=True, help="Show what would go, as far as is known here; send nothing.")
@click.option(
    "--with-code/--records-only",
    "code",
    default=None,
    help="Send commits that jobs ran on and no remote branch holds, too, or not.",
)
@click.option("--no-overlay", is_flag=True, help="Send nothing if records that would go hold uncommitted code.")
@click.option("-y", "--yes", is_flag=True, help="Do not ask when something that goes looks secret.")
@click.option("--json", "as_json", is_flag=True, help="Write what went, or would go, as JSON.")
def command(  # noqa: PLR0913  one for each option
    name: str | None,
    *,
    everything: bool,
    remote: str | None,
    dry_run: bool,
    code: bool | None,
    no_overlay: bool,
    yes: bool,
    as_json: bool,
) -> int:
    """Push what is known of X to a git remote: a hash, a file, a job, a step, a collection, a session.

    Without X: the active session. What goes is looked at first, records and the code beside them; what looks secret is
    shown, and goes only after a yes. Then the remote is asked whether it has what it took. To do it again is safe.

    A plain git remote takes records only as they are, in the order they were made: all of this clone's go, and of
    others' what X needs. With --with-code, commits go as parents of refs/roar/code/*, so that who fetches the records
    can reproduce. With roar.register.tag the commit that made X is tagged, and the tag goes.

    Exit status: 0 done; 1 nothing or not all went; 3 for --dry-run when something looks secret.
    """
    repo = discover()
    if bool(name) and everything:
        raise UsageError("X and --all say different things", "roar register --all")
    where = register.remote_for(repo, remote)
    still = as_json or not sys.stderr.isatty()
    with present.opened_index(repo) as index:
        what = _subject(index, repo, name, everything=everything)
    if not dry_run:
        register.refresh(repo, where, quiet=still)
    with present.opened_index(repo) as index, Counter("records read") as counter:
        offered = register.offer(index, repo, where, what.jobs, counter.show)
    if no_overlay and offered.with_code_beside:
        raise RoarError(
            f"{count(len(offered.with_code_beside), 'record')} that would go hold uncommitted code, and a git remote"
            " takes records only whole",
            "record with `roar run --no-overlay`, or register without --no-overlay",
        )
    wanted = settings().register
    code = wanted.code if code is None else code
    if dry_run:
        if as_json:
            write_json(_fields(what, offered, None))
        else:
            present.write(_lines(what, offered, present.style(), code=code))
        return EXIT_NO if offered.suspicions else EXIT_OK
    if offered.suspicions:
        for line in _lines(what, offered, Style.of(2), code=code) if not yes else ():
            say(line)
        words = ["roar", "register", *([name] if name else ["--all"] if everything else []), "-y"]
        present.agree(
            "Register this?", "nothing was registered, since something looks secret", shlex.join(words), yes=yes
        )
    done = register.send(repo, offered, what, code=code, tag=wanted.tag, quiet=still)
    if as_json:
        write_json(_fields(what, offered, done))
    else:
        _report(what, offered, done)
    if done.refused:
        ref, why = next(iter(done.refused.items()))
        raise GitError(f"{where} refused {ref}: {why}", f"roar remote check {where}")
    return EXIT_OK


def _subject(index: Index, repo: Repository, name: str | None, *, everything: bool) -> Subject:
    if everything:
        return Subject("everything recorded here", None)
    if name is not None:
        return register.subject(index, name, resolve_many(index, repo, name, os.getcwd()))
    session = session_asked(index, repo)
    if session is None:
        raise RoarError("no jobs recorded yet: there is nothing to register", "roar run CMD")
    return register.subject(index, f"the session {present.short_id(session)}", [Target("session", session)])


def _lines(what: Subject, offered: Offer, style: Style, *, code: bool) -> Iterator[str]:
    """What would go, for people."""
    remote = printable(offered.remote)
    led = f", {count(len(what.jobs), 'job')} in the lineage" if what.jobs is not None else ""
    yield f"{style.bold(what.name)}{led}: {count(offered.records, 'record')} not on {remote} yet"
    if offered.others:
        yield f"  with {count(len(offered.others), 'chain')} of records that others wrote"
    if offered.with_code_beside:
        ids = present.some([present.short_id(each) for each in offered.with_code_beside])
        yield f"  with uncommitted code: {ids}"
    if offered.code:
        commits = present.some([commit[:12] for commit in offered.code])
        hint = "" if code else "  (--with-code sends them)"
        yield f"  {'with ' if code else ''}commits on no remote branch: {commits}{hint}"
    if offered.suspicions:
        yield style.red("  looks secret:")
        for one in offered.suspicions[:_MOST]:
            text = present.fit(printable(one.text), 100)
            yield f"    {style.yellow(present.short_id(one.record))}  {printable(one.where)}  {text}"
        if len(offered.suspicions) > _MOST:
            yield f"    and {len(offered.suspicions) - _MOST} more"
        yield "  (roar pop --purge ID removes a record for good)"


def _report(what: Subject, offered: Offer, done: Registered) -> None:
    style, remote = present.style(), printable(offered.remote)
    if not done.refused:
        went = f"{count(offered.records, 'record')} sent" if offered.records else "nothing new to send"
        jobs = f", {count(len(what.jobs), 'job')}" if what.jobs is not None else ""
        also = f", with {count(len(done.code), 'commit')} of code" if done.code else ""
        tag = f", tagged {done.tag}" if done.tag else ""
        present.write([f"{style.green('registered')} {what.name} with {remote}{jobs}: {went}{also}{tag}"])
    if offered.code and not done.code:
        text = f"{count(len(offered.code), 'commit')} that jobs ran on on no remote branch"
        say(f"roar: {text} (next: roar register --with-code, or git push {remote})")
    if offered.lacking:
        jobs = count(len(offered.lacking), "job")
        say(f"roar: {jobs} of the lineage could not be sent: another remote has folded their chain")


def _fields(what: Subject, offered: Offer, done: Registered | None) -> dict[str, Any]:
    return {
        "name": what.name,
        "remote": offered.remote,
        "jobs": what.jobs,
        "records": offered.records,
        "with_overlay": offered.with_code_beside,
        "chains_of_others": list(offered.others),
        "commits_on_no_remote_branch": offered.code,
        "not_sent": offered.lacking,
        "suspicious": [one._asdict() for one in offered.suspicions],
        "sent": done is not None,
        "refs": done.moved if done else [],
        "refused": done.refused if done else {},
        "commits_sent": done.code if done else [],
        "tag": done.tag if done else None,
    }
