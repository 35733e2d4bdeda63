"""``roar register``."""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Iterator
from typing import Any, NamedTuple

import click

from roar.cache.index import Index
from roar.cli import present
from roar.cli.boundary import say, say_error
from roar.cli.complete import recorded
from roar.cli.configured import settings
from roar.cli.present import count
from roar.cli.say import Counter, Style, write_json
from roar.errors import EXIT_NO, EXIT_OK, GitError, NotFoundError, RoarError, UsageError
from roar.git.repository import Repository, discover
from roar.glaas import watch
from roar.glaas.address import Address
from roar.records.summary import printable
from roar.verbs import glaas, logged, register, sync, waiting
from roar.verbs.logged import Logged
from roar.verbs.register import Offer, Registered, Subject
from roar.verbs.resolve import Target, resolve_many
from roar.verbs.steps import session_asked
from roar.verbs.waiting import Waiting

_EPILOG = """\b
Examples:
  git roar register metrics.json
  git roar register v1 --with-code       a collection, with the code that made it
  git roar register --all --dry-run
"""
_MOST = 20
_NO_USER = "could not read Username"
"""What git says where a log-in is wanted and nobody is there to be asked."""


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
@click.option(
    "--overlay/--no-overlay",
    "overlay",
    default=None,
    help="Send the uncommitted code beside the records, or the records without it.",
)
@click.option("--waiting", "due", is_flag=True, help="Register what waits for a remote that could not be reached.")
@click.option("-y", "--yes", is_flag=True, help="Do not ask when something that goes looks secret.")
@click.option("--json", "as_json", is_flag=True, help="Write what went, or would go, as JSON.")
def command(  # noqa: PLR0913  one for each option
    name: str | None,
    *,
    everything: bool,
    remote: str | None,
    dry_run: bool,
    code: bool | None,
    overlay: bool | None,
    due: bool,
    yes: bool,
    as_json: bool,
) -> int:
    """Push what is known of X to a git remote: a hash, a file, a job, a step, a collection, a session.

    Without X: the active session. What goes is looked at first, records and the code beside them; what looks secret is
    shown, and goes only after a yes. Then the remote is asked whether it has what it took; a server (roar serve) must
    show that it is in its log. To do it again is safe. When the remote cannot be reached, what was asked for waits, and
    goes with the next registration there or the next `roar sync`.

    A git remote takes records in the order they were made: all of this clone's go, and of others' what X needs. With
    --no-overlay, they go without the uncommitted code beside them; their names and hashes are in the records. With
    --with-code, commits go as parents of refs/roar/code/*, so that who fetches the records
    can reproduce. With roar.register.tag the commit that made X is tagged, and the tag goes.

    Exit status: 0 done; 1 nothing or not all went; 3 for --dry-run when something looks secret, or when a server
    contradicts its log.
    """
    repo = discover()
    if bool(name) + everything + due > 1:
        raise UsageError("X, --all and --waiting say different things", "roar register --all")
    manner = _Manner(yes, as_json)
    if due:
        sent_now = _send_waiting(repo, remote, manner)
        if as_json:
            write_json(sent_now)
        elif not sent_now:
            present.write(["nothing waits to be registered"])
        return EXIT_OK
    where = register.remote_for(repo, remote)
    code = settings().register.code if code is None else code
    overlay = settings().register.overlay if overlay is None else overlay
    with present.opened_index(repo) as index:
        what = _subject(index, repo, name, everything=everything)
    one = Waiting(where, None if everything else what.target.id if what.target else name, code, overlay)
    if dry_run:
        return _show(repo, what, one, manner)
    sent = _register(repo, what, one, manner)
    if as_json:
        write_json(sent)
    _send_waiting(repo, where, _Manner(yes=False, as_json=as_json, quiet=True))
    return EXIT_OK


class _Manner(NamedTuple):
    """How it is done, as the options say. ``quiet``: nothing is written but what goes wrong."""

    yes: bool
    as_json: bool
    quiet: bool = False


def _register(repo: Repository, what: Subject, one: Waiting, manner: _Manner) -> dict[str, Any]:
    """Register, and give what was done as fields. It waits when the remote cannot be reached."""
    project = glaas.projects(repo).get(one.remote)
    still = manner.as_json or not sys.stderr.isatty()
    try:
        register.refresh(repo, one.remote, quiet=still)
    except GitError as error:
        if _NO_USER in error.message:
            wants, where = (project.origin, project.remote) if project else (one.remote, one.remote)
            raise RoarError(f"nothing was registered: {wants} wants a log-in", f"roar auth login {where}") from error
        waiting.add(repo, one)
        said = f"nothing was registered, {error.message}; it waits, and the records are kept here"
        raise GitError(said, "roar register --waiting, when the remote can be reached") from error
    project = project or glaas.learn(repo, say_error, {one.remote}).get(one.remote)
    offered = _offer(repo, what, one)
    if offered.suspicions:
        for line in _lines(what, offered, Style.of(2), code=one.code) if not manner.yes else ():
            say(line)
        refusal = "nothing was registered, since something looks secret"
        present.agree("Register this?", refusal, shlex.join(_words(one)), yes=manner.yes)
    done = register.send(repo, offered, what, code=one.code, tag=settings().register.tag, quiet=still)
    log = _confirmed(repo, one.remote, project, what) if project and not done.refused else None
    if not (manner.as_json or manner.quiet):
        _report(repo, what, offered, done)
        present.write(_confirmation(project, what, log) if project and log else [])
    if done.refused:
        ref, why = next(iter(done.refused.items()))
        hint = None if "(next: " in why else f"roar remote check {one.remote}"
        raise GitError(f"{one.remote} refused {ref}: {why}", hint)
    if log and log.missing:
        lost = present.some(log.missing)
        raise RoarError(f"{log.server} took records and has them not in its log: {lost}", "ask its administrator")
    waiting.done(repo, one)
    fields = _fields(what, offered, done)
    return {**fields, "url": _page(project, what), "log": log and log._asdict()} if project else fields


def _words(one: Waiting) -> list[str]:
    """The command that registers this without asking."""
    default = settings().register
    words = ["roar", "register", *(["--all"] if one.name is None else [one.name]), "-y"]
    words += [] if one.overlay == default.overlay else ["--overlay" if one.overlay else "--no-overlay"]
    return words + ([] if one.code == default.code else ["--with-code" if one.code else "--records-only"])


def _confirmed(repo: Repository, remote: str, project: Address, what: Subject) -> Logged:
    """What the server's log says of what was registered; that it could not be asked is no failure, but said."""
    try:
        if what.jobs is None:
            return logged.check(repo, remote, project)
        with present.opened_index(repo) as index:
            places = index.commits_of(what.jobs)
        return logged.confirm(repo, remote, project, places)
    except watch.SuspectError:
        raise
    except RoarError as error:
        return Logged(remote, project.origin, project.project, unchecked=error.message)


def _page(project: Address, what: Subject) -> str:
    return register.page(project, what, settings().glaas.web_url)


def _confirmation(project: Address, what: Subject, log: Logged) -> Iterator[str]:
    if log.unchecked:
        yield f"  not confirmed: {printable(log.unchecked)}"
    else:
        yield f"  confirmed: {count(log.included, 'record')} in the log of {log.project}, which has {log.size}"
    yield f"  {_page(project, what)}"


def after_sync(repo: Repository, remote: str | None) -> list[str]:
    """Register what waits, for one remote or for all, and give the names. What cannot go yet is said, and waits on."""
    sent = []
    for each in dict.fromkeys(one.remote for one in waiting.waiting(repo) if remote in (None, one.remote)):
        try:
            sent += _send_waiting(repo, each, _Manner(yes=False, as_json=False, quiet=True))
        except RoarError as error:
            say(f"roar: {error.message}" + (f" (next: {error.hint})" if error.hint else ""))
    return [fields["name"] for fields in sent]


def _send_waiting(repo: Repository, remote: str | None, manner: _Manner) -> list[dict[str, Any]]:
    """Register what waits, for one remote or for all, and give what was done of each as fields."""
    due = [one for one in waiting.waiting(repo) if remote in (None, one.remote)]
    sent = []
    for one in due:
        try:
            with present.opened_index(repo) as index:
                what = _subject(index, repo, one.name, everything=one.name is None)
        except NotFoundError as error:
            say(f"roar: {error.message}: it waits no more")
            waiting.done(repo, one)
            continue
        sent.append(_register(repo, what, one, manner))
        if manner.quiet:
            say(f"roar: {what.name}, which waited, is registered with {printable(one.remote)}, too")
    return sent


def _show(repo: Repository, what: Subject, one: Waiting, manner: _Manner) -> int:
    """Say what would go, as far as is known here."""
    offered = _offer(repo, what, one)
    if manner.as_json:
        write_json(_fields(what, offered, None))
    else:
        present.write(_lines(what, offered, present.style(), code=one.code))
    return EXIT_NO if offered.suspicions else EXIT_OK


def _offer(repo: Repository, what: Subject, one: Waiting) -> Offer:
    with present.opened_index(repo) as index, Counter("records read") as counter:
        return register.offer(index, repo, one.remote, what.jobs, counter.show, overlay=one.overlay)


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
    yield f"{style.bold(what.name)}{led}: {count(len(offered.records), 'record')} not on {remote} yet"
    if offered.others:
        yield f"  with {count(len(offered.others), 'chain')} of records that others wrote"
    if offered.with_code_beside:
        ids = present.some([present.short_id(each) for each in offered.with_code_beside])
        yield f"  {'without their' if offered.bare else 'with'} uncommitted code: {ids}"
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


def _report(repo: Repository, what: Subject, offered: Offer, done: Registered) -> None:
    style, remote = present.style(), printable(offered.remote)
    if not done.refused:
        went = f"{count(len(offered.records), 'record')} sent" if offered.records else "nothing new to send"
        if offered.bare and offered.with_code_beside:
            left = len(offered.with_code_beside)
            went += f", {left} without {'its' if left == 1 else 'their'} uncommitted code"
        jobs = f", {count(len(what.jobs), 'job')}" if what.jobs is not None else ""
        also = f", with {count(len(done.code), 'commit')} of code" if done.code else ""
        tag = f", tagged {done.tag}" if done.tag else ""
        present.write([f"{style.green('registered')} {what.name} with {remote}{jobs}: {went}{also}{tag}"])
    if offered.code and not done.code:
        text = "1 commit of a job is" if len(offered.code) == 1 else f"{len(offered.code)} commits of jobs are"
        hint = sync.how_to_share(repo, offered.remote, offered.code[0])
        other = f", or {printable(hint)}" if hint.startswith("git") else ""
        say(f"roar: {text} on no remote branch (next: roar register --with-code{other})")
    if offered.lacking:
        jobs = count(len(offered.lacking), "job")
        say(f"roar: {jobs} of the lineage could not be sent: another remote has folded their chain")


def _fields(what: Subject, offered: Offer, done: Registered | None) -> dict[str, Any]:
    return {
        "name": what.name,
        "remote": offered.remote,
        "jobs": what.jobs,
        "records": len(offered.records),
        "with_overlay": [] if offered.bare else offered.with_code_beside,
        "without_overlay": offered.with_code_beside if offered.bare else [],
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
