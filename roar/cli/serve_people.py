"""``roar serve user|key|project|invite``: administration, by whoever can write the data directory."""

from __future__ import annotations

import getpass
import os
import time
from typing import TYPE_CHECKING, Any

import click

from roar.cli import present
from roar.cli.boundary import say
from roar.cli.say import write_json
from roar.errors import NotFoundError, UsageError

if TYPE_CHECKING:
    from roar.server.people import People

_JSON = click.option("--json", "as_json", is_flag=True, help="Write what was done as JSON.")


def operator() -> str:
    """Who administrates by command: the user of this machine."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return f"uid {os.getuid()}"


@click.group("user", epilog="\b\nExamples:\n  git roar serve user add ada\n  git roar serve user list")
def user_group() -> None:
    """Add, list and disable users."""


@user_group.command("add", epilog="\b\nExample:\n  git roar serve user add ada --key ~/.ssh/id_ed25519.pub")
@click.argument("name")
@click.option("--key", "files", metavar="FILE", multiple=True, help="A public SSH key of the user's (repeatable).")
@_JSON
@click.pass_obj
def user_add(people: People, name: str, files: tuple[str, ...], *, as_json: bool) -> None:
    """Add a user."""
    lines = [_line(file) for file in files]
    people.add_user(name, by=operator())
    for line in lines:
        people.add_key(name, line, by=operator())
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
    people.disable_user(name, by=operator(), disabled=not undo)
    _done(as_json, _user_fields(people, name), f"{'enabled' if undo else 'disabled'} the user {name}")


@click.group("key", epilog="\b\nExamples:\n  git roar serve key add ada new.pub\n  git roar serve key list ada")
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
    key = people.add_key(name, _line(file), by=operator(), expires_ns=expires)
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
    key = people.rotate_key(name, fingerprint, _line(file), by=operator())
    _done(as_json, _user_fields(people, name), f"{key.fingerprint} takes the place of {fingerprint}")


@key_group.command("remove", epilog="\b\nExample:\n  git roar serve key remove ada SHA256:abc")
@click.argument("name")
@click.argument("fingerprint")
@_JSON
@click.pass_obj
def key_remove(people: People, name: str, fingerprint: str, *, as_json: bool) -> None:
    """Take a key away, as when it was stolen: neither its log-ins nor its signatures count any more."""
    people.remove_key(name, fingerprint, by=operator())
    _done(as_json, _user_fields(people, name), f"removed {fingerprint} from {name}")


@click.group("project", epilog="\b\nExamples:\n  git roar serve project add team/model\n  git roar serve project list")
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
    people.add_project(name, by=operator(), visibility=visibility, owner=owner)
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
@click.option("--rewrites", type=click.Choice(["refused", "allowed"]), help="Whether refs may go back, for a purge.")
@click.option("--quota", "quota_bytes", metavar="BYTES", type=click.IntRange(0), help="Most bytes of its repository.")
@_JSON
@click.pass_obj
def project_set(people: People, /, name: str, *, as_json: bool, **changes: Any) -> None:
    """Change settings of a project."""
    given = {key: value for key, value in changes.items() if value is not None}
    if not given:
        raise UsageError("nothing to set", "roar serve project set -h")
    people.set_project(name, by=operator(), **given)
    _done(as_json, _project_fields(people, name), f"set {', '.join(given)} of {name}")


@project_group.command("grant", epilog="\b\nExample:\n  git roar serve project grant team/model ada write")
@click.argument("name")
@click.argument("user")
@click.argument("role", type=click.Choice(["read", "write", "admin", "none"]))
@_JSON
@click.pass_obj
def project_grant(people: People, name: str, user: str, role: Any, *, as_json: bool) -> None:
    """Give a user a role in a project: read, write, admin, or none of them."""
    people.grant(name, user, None if role == "none" else role, by=operator())
    _done(as_json, _project_fields(people, name), f"{user} has the role {role} in {name}")


@click.command("invite", epilog="\b\nExample:\n  git roar serve invite team/model --role write")
@click.argument("project")
@click.option("--role", type=click.Choice(["read", "write", "admin"]), default="read", help="The role it gives [read].")
@click.option("--days", type=click.IntRange(1, 365), default=14, help="How long it is good [14].")
@_JSON
@click.pass_obj
def invite(people: People, project: str, role: Any, days: int, *, as_json: bool) -> None:
    """Invite somebody to a project: prints a code that makes one user, once."""
    code = people.invite(project, role, by=operator(), days=days)
    if as_json:
        write_json({"project": project, "role": role, "code": code, "days": days})
        return
    click.echo(code)
    say(
        f"roar: good once, for {days} days; whoever has it joins {project} as {role} with a name and a key of their own"
        " (next, there: roar auth login ADDRESS --invitation CODE --name NAME --key FILE)"
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


PARTS = (user_group, key_group, project_group, invite)
