"""``roar serve``: the server of lineage, and its administration by whoever can write its data directory."""

from __future__ import annotations

import getpass
import importlib.util
import os
import time
from typing import TYPE_CHECKING, Any

import click

from roar.cli import present
from roar.cli.boundary import say
from roar.cli.say import write_json
from roar.errors import NotFoundError, RoarError, UsageError

if TYPE_CHECKING:
    from roar.server.people import People
    from roar.server.storage import Storage

_JSON = click.option("--json", "as_json", is_flag=True, help="Write what was done as JSON.")


@click.group(
    "serve",
    invoke_without_command=True,
    epilog="\b\nExamples:\n  git roar serve\n  git roar serve --data /srv/roar --host 0.0.0.0 --url https://roar.example.org",
)
@click.option(
    "--data", metavar="DIR", envvar="ROAR_SERVE_DATA", help="Data directory [default: ~/.local/share/roar-serve]."
)
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option(
    "--port", default=7627, show_default=True, type=click.IntRange(0, 65535), help="Port to listen on; 0: any."
)
@click.option("--url", help="How clients reach the server, when it stands behind another one.")
@click.option(
    "--database",
    metavar="URL",
    envvar="ROAR_SERVE_DATABASE",
    help="PostgreSQL for the index: postgresql+psycopg://USER@HOST/NAME.",
)
@click.option("--no-worker", is_flag=True, help="Leave it to another server of this data directory to index.")
@click.option("--migrate", "migrates", is_flag=True, help="Bring the tables of the database up to date, and end.")
@click.option("--reindex", "reindexes", is_flag=True, help="Make the index anew from the records, and end.")
@click.pass_context
def command(context: click.Context, /, data: str | None, database: str | None, **how: Any) -> int:
    """Serve lineage: a git remote for records, with an API and pages to ask it.

    Without a data directory of its own it makes one, with a user who has your SSH keys, and a project. The truth is in
    git and plain files there; the database is an index, which may be deleted at any time.
    """
    from roar.paths import data_folder

    _need_extra()
    from roar.server.people import People
    from roar.server.storage import Storage

    storage = Storage(data or data_folder())
    context.obj = People(storage)
    context.meta["storage"] = storage
    storage.prepare()
    if context.invoked_subcommand is not None:
        return 0
    from roar.server import migrate, run, worker

    first = run.begin(context.obj, _who())
    if how["migrates"] or how["reindexes"]:
        (worker.reindex if how["reindexes"] else migrate.migrate)(storage, database)
        return 0
    place = run.Place(how["host"], how["port"], how["url"], database, works=not how["no_worker"])
    return run.run(storage, place, lambda at: _hello(storage, at, first))


def _hello(storage: Storage, url: str, first: list[str]) -> None:
    for line in first:
        say(f"roar: {line}")
    click.echo(f"serving {storage.root} at {url}")
    say("roar: to use it: git remote add glaas " + f"{url}/default.git")
    say(f"roar:            roar auth login {url} && roar register --all --remote glaas")


def _need_extra() -> None:
    if not all(importlib.util.find_spec(name) for name in ("fastapi", "uvicorn", "jinja2", "alembic")):
        raise RoarError("roar serve needs packages that are not installed", "pip install 'roar[server]'")


def _who() -> str:
    """Who administrates by command: the user of this machine."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return f"uid {os.getuid()}"


@command.group("user", epilog="\b\nExamples:\n  git roar serve user add ada\n  git roar serve user list")
def user_group() -> None:
    """Add, list and disable users."""


@user_group.command("add", epilog="\b\nExample:\n  git roar serve user add ada --key ~/.ssh/id_ed25519.pub")
@click.argument("name")
@click.option("--key", "files", metavar="FILE", multiple=True, help="A public SSH key of the user's; may be repeated.")
@_JSON
@click.pass_obj
def user_add(people: People, name: str, files: tuple[str, ...], *, as_json: bool) -> None:
    """Add a user."""
    lines = [_line(file) for file in files]
    people.add_user(name, by=_who())
    for line in lines:
        people.add_key(name, line, by=_who())
    _done(as_json, _user_fields(people, name), f"added the user {name}")


@user_group.command("list", epilog="\b\nExample:\n  git roar serve user list")
@click.option("--json", "as_json", is_flag=True, help="Write the users as JSON.")
@click.pass_obj
def user_list(people: People, *, as_json: bool) -> None:
    """List the users, with their roles."""
    found = [_user_fields(people, name) for name in sorted(people.users())]
    if as_json:
        write_json(found)
        return
    rows = []
    for it in found:
        roles = ", ".join(f"{project} {role}" for project, role in it["roles"].items())
        rows.append([it["name"], "disabled" if it["disabled"] else "", str(len(it["keys"])), roles])
    present.write(present.table(["USER", "", "KEYS", "ROLES"], rows, [None] * 4, columns=present.width()))


@user_group.command("disable", epilog="\b\nExample:\n  git roar serve user disable ada")
@click.argument("name")
@click.option("--undo", is_flag=True, help="Let the user in again.")
@_JSON
@click.pass_obj
def user_disable(people: People, name: str, *, undo: bool, as_json: bool) -> None:
    """Let a user in no more; what the user wrote stays, and so do tokens until the next request."""
    people.disable_user(name, by=_who(), disabled=not undo)
    _done(as_json, _user_fields(people, name), f"{'enabled' if undo else 'disabled'} the user {name}")


@command.group("key", epilog="\b\nExamples:\n  git roar serve key add ada new.pub\n  git roar serve key list ada")
def key_group() -> None:
    """Add, list, rotate and remove the SSH keys of users."""


@key_group.command("add", epilog="\b\nExample:\n  git roar serve key add ada ~/.ssh/id_ed25519.pub --days 365")
@click.argument("name")
@click.argument("file")
@click.option("--days", type=click.IntRange(1, 36500), help="The key expires after so many days.")
@_JSON
@click.pass_obj
def key_add(people: People, name: str, file: str, days: int | None, *, as_json: bool) -> None:
    """Give a user one more key: FILE is a public one, - for standard input."""
    expires = None if days is None else time.time_ns() + days * 86_400 * 10**9
    key = people.add_key(name, _line(file), by=_who(), expires_ns=expires)
    _done(as_json, _user_fields(people, name), f"added {key.fingerprint} to {name}")


@key_group.command("list", epilog="\b\nExample:\n  git roar serve key list ada")
@click.argument("name")
@click.option("--json", "as_json", is_flag=True, help="Write the keys as JSON.")
@click.pass_obj
def key_list(people: People, name: str, *, as_json: bool) -> None:
    """List the keys of a user."""
    keys = _user_fields(people, name)["keys"]
    if as_json:
        write_json(keys)
        return
    rows = [
        [it["fingerprint"], it["type"], present.when(it["expires_ns"]) if it["expires_ns"] else "", it["comment"]]
        for it in keys
    ]
    present.write(present.table(["KEY", "TYPE", "EXPIRES", "COMMENT"], rows, [None] * 4, columns=present.width()))


@key_group.command("rotate", epilog="\b\nExample:\n  git roar serve key rotate ada SHA256:abc new.pub")
@click.argument("name")
@click.argument("fingerprint")
@click.argument("file")
@_JSON
@click.pass_obj
def key_rotate(people: People, name: str, fingerprint: str, file: str, *, as_json: bool) -> None:
    """Put a new key in the place of one, which expires at once; what it signed before stays good."""
    key = people.rotate_key(name, fingerprint, _line(file), by=_who())
    _done(as_json, _user_fields(people, name), f"{key.fingerprint} takes the place of {fingerprint}")


@key_group.command("remove", epilog="\b\nExample:\n  git roar serve key remove ada SHA256:abc")
@click.argument("name")
@click.argument("fingerprint")
@_JSON
@click.pass_obj
def key_remove(people: People, name: str, fingerprint: str, *, as_json: bool) -> None:
    """Take a key away, as when it was stolen: neither its log-ins nor its signatures count any more."""
    people.remove_key(name, fingerprint, by=_who())
    _done(as_json, _user_fields(people, name), f"removed {fingerprint} from {name}")


@command.group(
    "project", epilog="\b\nExamples:\n  git roar serve project add team/model\n  git roar serve project list"
)
def project_group() -> None:
    """Add, list and set projects, and who may do what in them."""


_VISIBILITY = click.Choice(["public", "internal", "private"])


@project_group.command("add", epilog="\b\nExample:\n  git roar serve project add team/model --owner ada")
@click.argument("name")
@click.option(
    "--visibility", type=_VISIBILITY, default="private", help="For anybody, every user, or by role [private]."
)
@click.option("--owner", metavar="USER", help="The user who has the role admin in it.")
@_JSON
@click.pass_obj
def project_add(people: People, name: str, visibility: Any, owner: str | None, *, as_json: bool) -> None:
    """Add a project: a repository of its own, with its own readers and writers."""
    people.add_project(name, by=_who(), visibility=visibility, owner=owner)
    _done(as_json, _project_fields(people, name), f"added the project {name}")


@project_group.command("list", epilog="\b\nExample:\n  git roar serve project list")
@click.option("--json", "as_json", is_flag=True, help="Write the projects as JSON.")
@click.pass_obj
def project_list(people: People, *, as_json: bool) -> None:
    """List the projects, with the roles of users in them."""
    found = [_project_fields(people, name) for name in sorted(people.projects())]
    if as_json:
        write_json(found)
        return
    rows = [
        [it["name"], it["visibility"], ", ".join(f"{user} {role}" for user, role in sorted(it["roles"].items()))]
        for it in found
    ]
    present.write(present.table(["PROJECT", "VISIBILITY", "ROLES"], rows, [None] * 3, columns=present.width()))


@project_group.command("set", epilog="\b\nExample:\n  git roar serve project set team/model --signers required")
@click.argument("name")
@click.option("--visibility", type=_VISIBILITY, help="For anybody, every user, or by role.")
@click.option("--signers", type=click.Choice(["required", "optional"]), help="Whether records must be signed.")
@click.option("--secrets", type=click.Choice(["refused", "allowed"]), help="What to do about what looks like a secret.")
@click.option("--quota", "quota_bytes", metavar="BYTES", type=click.IntRange(0), help="Most bytes of its repository.")
@_JSON
@click.pass_obj
def project_set(people: People, /, name: str, *, as_json: bool, **changes: Any) -> None:
    """Change settings of a project."""
    given = {key: value for key, value in changes.items() if value is not None}
    if not given:
        raise UsageError("nothing to set", "roar serve project set -h")
    people.set_project(name, by=_who(), **given)
    _done(as_json, _project_fields(people, name), f"set {', '.join(given)} of {name}")


@project_group.command("grant", epilog="\b\nExample:\n  git roar serve project grant team/model ada write")
@click.argument("name")
@click.argument("user")
@click.argument("role", type=click.Choice(["read", "write", "admin", "none"]))
@_JSON
@click.pass_obj
def project_grant(people: People, name: str, user: str, role: Any, *, as_json: bool) -> None:
    """Give a user a role in a project: read, write, admin, or none of them."""
    people.grant(name, user, None if role == "none" else role, by=_who())
    _done(as_json, _project_fields(people, name), f"{user} has the role {role} in {name}")


@command.command("invite", epilog="\b\nExample:\n  git roar serve invite team/model --role write")
@click.argument("project")
@click.option("--role", type=click.Choice(["read", "write", "admin"]), default="read", help="The role it gives [read].")
@click.option("--days", type=click.IntRange(1, 365), default=14, help="How long it is good [14].")
@_JSON
@click.pass_obj
def invite(people: People, project: str, role: Any, days: int, *, as_json: bool) -> None:
    """Invite somebody to a project: prints a code that makes one user, once."""
    code = people.invite(project, role, by=_who(), days=days)
    if as_json:
        write_json({"project": project, "role": role, "code": code, "days": days})
        return
    click.echo(code)
    say(
        f"roar: good once, for {days} days; whoever has it joins {project} as {role} with a name and a key of their own"
    )


def _line(file: str) -> str:
    """What a file with a public key holds; - is standard input."""
    try:
        with click.open_file(file, encoding="utf-8", errors="replace") as opened:
            return str(opened.read(1 << 16))
    except OSError as error:
        raise UsageError(f"cannot read {file}: {error.strerror}", "give a .pub file") from error


def _done(as_json: bool, fields: dict[str, Any], text: str) -> None:
    if as_json:
        write_json(fields)
    else:
        present.write([text])


def _user_fields(people: People, name: str) -> dict[str, Any]:
    user = people.users().get(name)
    if user is None:
        raise NotFoundError(f"there is no user {name}", "roar serve user list")
    roles = {project: it.roles[name] for project, it in sorted(people.projects().items()) if name in it.roles}
    keys = [{"fingerprint": key.fingerprint, **key.model_dump()} for key in user.keys]
    return {"name": name, "disabled": user.disabled, "keys": keys, "roles": roles}


def _project_fields(people: People, name: str) -> dict[str, Any]:
    return {"name": name, **people.projects()[name].model_dump()}
