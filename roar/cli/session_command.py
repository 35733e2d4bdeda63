"""``roar session``: pipeline runs, by name."""

from __future__ import annotations

from typing import Any

import click

from roar.cli import present
from roar.cli.boundary import say
from roar.cli.complete import session_names
from roar.cli.say import write_json
from roar.cli.show_command import group
from roar.git.repository import discover
from roar.records.summary import printable
from roar.verbs import session_table, sessions
from roar.verbs.session_table import Row
from roar.verbs.show import MOST, show_session


@click.group("session", epilog="\b\nExamples:\n  git roar session new night\n  git roar session list")
def command() -> None:
    """Group jobs into pipeline runs.

    Each work tree has one active session, which its jobs join; the first job begins one. A name that others gave is as
    good as one's own: sessions are records, and shared with them. X is a session's name, or the beginning of its id.
    """


@command.command("new", epilog="\b\nExample:\n  git roar session new night")
@click.argument("name", required=False)
@click.option("--json", "as_json", is_flag=True, help="Write the session as JSON.")
def new(name: str | None, *, as_json: bool) -> None:
    """Begin a session, and make it the active one."""
    repo = discover()
    with present.opened_index(repo) as index:
        identifier = session_table.new(index, repo, name)
    if not as_json:
        present.write([identifier])
        return
    with present.opened_index(repo) as index:
        write_json(_fields(session_table.find(index, identifier), identifier))


@command.command("list", epilog="\b\nExample:\n  git roar session list")
@click.option("-a", "--all", "everything", is_flag=True, help="List withdrawn ones and those of reproductions, too.")
@click.option("--json", "as_json", is_flag=True, help="Write the sessions as JSON.")
def list_command(*, everything: bool, as_json: bool) -> None:
    """List the sessions, newest first; the active one has a star."""
    repo = discover()
    with present.opened_index(repo) as index:
        rows = session_table.table(index)
    active = sessions.active(repo)
    shown = [row for row in rows if everything or (row.session.purpose == "work" and row.state != "withdrawn")]
    if as_json:
        write_json([_fields(row, active) for row in shown])
    elif not shown:
        say("no sessions yet (next: roar run CMD, or roar session new NAME)")
    else:
        style = present.style()
        cells = [_cells(row, active) for row in shown]
        paints = [style.yellow, None, None, None, None]
        present.write(
            present.table(["SESSION", "STATE", "JOBS", "BEGUN", "NAME"], cells, paints, columns=present.width())
        )


@command.command("show", epilog="\b\nExample:\n  git roar session show night")
@click.argument("what", required=False, metavar="[X]", shell_complete=session_names)
@click.option("--json", "as_json", is_flag=True, help="Write the session as JSON.")
def show_command(what: str | None, *, as_json: bool) -> None:
    """Show a session, by default the active one, and its jobs."""
    repo = discover()
    with present.opened_index(repo) as index:
        row = session_table.find_or_active(index, repo, what)
        found = show_session(index, row.id, None if as_json else MOST)
    if as_json:
        write_json({**_fields(row, sessions.active(repo)), "ran": found.ran})
    else:
        present.write(group(found, present.style()))


@command.command("use", epilog="\b\nExample:\n  git roar session use night")
@click.argument("what", metavar="X", shell_complete=session_names)
@click.option("--json", "as_json", is_flag=True, help="Write the session as JSON.")
def use(what: str, *, as_json: bool) -> None:
    """Make a session the active one of this work tree."""
    repo = discover()
    with present.opened_index(repo) as index:
        row = session_table.use(index, repo, what)
    if as_json:
        write_json(_fields(row, row.id))
    else:
        present.write([f"{row.id} is active"])


@command.command("close", epilog="\b\nExample:\n  git roar session close")
@click.argument("what", required=False, metavar="[X]", shell_complete=session_names)
@click.option("--json", "as_json", is_flag=True, help="Write the session as JSON.")
def close(what: str | None, *, as_json: bool) -> None:
    """End a session, by default the active one: it takes no more jobs, in any clone that knows of it."""
    repo = discover()
    with present.opened_index(repo) as index:
        row = session_table.close(index, repo, what)._replace(state="closed")
    if as_json:
        write_json(_fields(row, None))
    else:
        present.write([f"{row.id} is closed"])


def _cells(row: Row, active: str | None) -> list[str]:
    mark = "*" if row.id == active else " "
    begun = present.when(row.session.clock * 1_000_000)
    return [f"{mark} {present.short_id(row.id)}", row.state, str(row.jobs), begun, printable(row.session.name or "")]


def _fields(row: Row, active: str | None) -> dict[str, Any]:
    return {
        "id": row.id,
        "name": row.session.name,
        "user": row.session.user,
        "purpose": row.session.purpose,
        "begun_ms": row.session.clock,
        "state": row.state,
        "jobs": row.jobs,
        "active": row.id == active,
    }
