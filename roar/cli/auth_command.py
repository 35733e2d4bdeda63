"""``roar auth``: logging in to servers by SSH key."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator

import click

from roar.cli import present
from roar.cli.boundary import say
from roar.cli.say import write_json
from roar.errors import RoarError, UsageError
from roar.glaas import login, ssh
from roar.glaas.address import Address
from roar.glaas.ssh import PublicKey
from roar.records.summary import printable
from roar.verbs import auth, glaas
from roar.verbs import browse as browsing
from roar.verbs.grants import Grant

_JSON = click.option("--json", "as_json", is_flag=True, help="Write the result as JSON, without tokens.")
_ADDRESS = click.argument("address", required=False)


@click.group("auth", epilog="\b\nExamples:\n  git roar auth login https://roar.example.org\n  git roar auth status")
def command() -> None:
    """Log in to servers (roar serve) by SSH key: tokens of a few minutes, which git gets by itself.

    Over SSH nothing of this is needed: the way that git has gives roar tokens, too. ADDRESS is that of a server or of a
    project on it, or a remote; without it, the server of the remotes here.
    """


@command.command("login", epilog="\b\nExample:\n  git roar auth login https://roar.example.org/team/model.git")
@_ADDRESS
@click.option(
    "--key", "file", metavar="FILE", help="Log in with this key: its .pub file, or the private one beside it."
)
@click.option(
    "--invitation",
    metavar="CODE",
    help="Become a user by an invitation first, with --name and --key; - reads the code from standard input.",
)
@click.option("--name", metavar="NAME", help="The name to have as a user.")
@click.option("--no-helper", is_flag=True, help="Leave git's configuration as it is; plain git push will not log in.")
@_JSON
def log_in(
    address: str | None, *, file: str | None, invitation: str | None, name: str | None, no_helper: bool, as_json: bool
) -> None:
    """Log in: sign a challenge of the server by ssh-agent or key file, and let git ask roar for tokens there.

    The key is one that the server knows as yours. It is asked for again, silently, whenever a token has expired.
    """
    where = glaas.address_or_host(address)
    by_key = bool(file or invitation or name)
    over = None if by_key and where.origin else auth.by_ssh(where)
    if over and not by_key:
        _nothing_needed(*over, as_json=as_json)
        return
    where = over[0]._replace(ssh=None) if over else where
    key = ssh.read(file) if file else None
    if bool(invitation) != bool(name) or (invitation and key is None):
        raise UsageError(
            "an invitation is taken with a name and a key",
            "roar auth login URL --invitation CODE --name NAME --key FILE",
        )
    if invitation and name and key:
        code = sys.stdin.readline().strip() if invitation == "-" else invitation
        joined = auth.join(where, code, name, key)
        say(f"roar: {printable(str(joined.get('user')))} is a user of {where.origin} now")
    grant = auth.log_in(where, login.READ, key)
    if not no_helper:
        auth.teach_git(where.origin)
    if as_json:
        write_json({"server": where.origin, "user": grant.user, "helper": not no_helper})
        return
    present.write([f"logged in to {where.origin} as {printable(grant.user)}"])
    if not no_helper:
        say(f"roar: git asks roar for tokens there, by credential.{where.origin}.helper in your git configuration")


@command.command("logout", epilog="\b\nExample:\n  git roar auth logout https://roar.example.org")
@_ADDRESS
@_JSON
def log_out(address: str | None, *, as_json: bool) -> None:
    """Forget the tokens for a server, and take roar out of git's configuration for it."""
    where = glaas.address_of(address)
    auth.log_out(where)
    if as_json:
        write_json({"server": where.origin})
    else:
        present.write([f"logged out of {where.origin}"])


@command.command("browse", epilog="\b\nExample:\n  git roar auth browse https://roar.example.org/team/model.git")
@_ADDRESS
@click.option("--key", "file", metavar="FILE", help="Log in with this key.")
@click.option("--print", "only_print", is_flag=True, help="Print the address, and open no browser.")
@click.option("--json", "as_json", is_flag=True, help="Write the result as JSON, with the address; open no browser.")
def browse(address: str | None, *, file: str | None, only_print: bool, as_json: bool) -> None:
    """Log a browser in to the pages of a server: prints an address that is good once, and opens it on a display.

    ADDRESS may be that of a page, too. The browser asks before it enters. It then shows what one may read, and changes
    nothing, for 12 hours, until "Log out", or until the key is removed.
    """
    origin, page = browsing.page_of(address)
    way = browsing.way_in(origin, page, ssh.read(file) if file else None)
    if as_json:
        write_json({"server": origin, "user": way.user, "url": way.url, "expires_in": way.seconds})
        return
    click.echo(way.url)
    if not sys.stdout.isatty():
        return
    opens = not only_print and browsing.has_display()
    say(f"roar: {'opened' if opens and _open(way.url) else 'open it'} in a browser; good once, for {way.seconds} s")


def _open(url: str) -> bool:
    import webbrowser

    return webbrowser.open(url)


@command.command("status", epilog="\b\nExample:\n  git roar auth status")
@_JSON
def status(*, as_json: bool) -> None:
    """List the servers that one has logged in to, or that remotes over SSH are of, with the tokens that are still good.

    Asks no server.
    """
    found = auth.standings()
    if as_json:
        write_json([_standing(each) for each in found])
        return
    if not found:
        present.write(["not logged in anywhere (next: roar auth login URL)"])
    for each in found:
        present.write(_lines(each))


@command.command("test", epilog="\b\nExample:\n  git roar auth test")
@_ADDRESS
@_JSON
def test(address: str | None, *, as_json: bool) -> None:
    """Ask the server who one is and what one may do there. Exits 3 when it knows nobody by one's keys."""
    where = glaas.address_or_host(address)
    where, grant = auth.by_ssh(where) or (where._replace(ssh=None), auth.log_in(where, login.READ))
    answer = auth.connect(where.origin).get("/auth/self", token=grant.token)
    roles = answer.get("roles") if isinstance(answer, dict) else None
    if not isinstance(roles, dict):
        raise RoarError(f"{where.origin} does not answer as a roar server does", "check the address")
    if as_json:
        write_json({"server": where.origin, "ok": True, "user": grant.user, "roles": roles})
    else:
        present.write([f"{where.origin}: {printable(grant.user)}{_how(where)}"])
        present.write(
            [f"  {printable(str(role)):5}  {printable(str(project))}" for project, role in sorted(roles.items())]
        )


@command.command("keys", epilog="\b\nExample:\n  git roar auth keys")
@_JSON
def keys(*, as_json: bool) -> None:
    """List the SSH keys that could log in: those of ssh-agent, then the usual files. The private ones are not read."""
    found = ssh.candidates()
    used = {each.key: each.origin for each in auth.standings()}
    if as_json:
        write_json([_key(each, used.get(each.fingerprint)) for each in found])
        return
    if not found:
        present.write(["no SSH key in ssh-agent or ~/.ssh (next: ssh-keygen -t ed25519)"])
    rows = [[k.fingerprint, k.kind, printable(k.path or "agent"), printable(k.comment)] for k in found]
    present.write(present.table(["KEY", "TYPE", "FROM", "COMMENT"], rows, columns=present.width()) if rows else [])


def _nothing_needed(where: Address, grant: Grant, *, as_json: bool) -> None:
    assert where.ssh is not None
    if as_json:
        write_json({"server": where.origin, "user": grant.user, "helper": False, "ssh": where.ssh.url})
    else:
        user = printable(grant.user)
        present.write([f"over SSH nobody has to log in: {where.origin} knows {user} by the key that git uses"])


def _how(where: Address) -> str:
    if where.ssh:
        return f", over {where.ssh.url}"
    return "" if auth.is_taught(where.origin) else "; git does not ask roar (next: roar auth login)"


def _lines(each: auth.Standing) -> Iterator[str]:
    yield f"{each.origin}  {printable(each.user)}  {each.key or 'over ' + printable(each.ssh)}"
    for grant in each.grants:
        minutes = max(1, int(grant.expires - time.time()) // 60)
        yield f"  {grant.scope} {printable(grant.project) or 'all projects'}, {minutes} min"


def _standing(each: auth.Standing) -> dict[str, object]:
    grants = [{"project": g.project, "scope": g.scope, "expires": g.expires} for g in each.grants]
    return {"server": each.origin, "user": each.user, "key": each.key, "ssh": each.ssh, "tokens": grants}


def _key(key: PublicKey, server: str | None) -> dict[str, object]:
    return {
        "fingerprint": key.fingerprint,
        "type": key.kind,
        "comment": key.comment,
        "file": key.path,
        "server": server,
    }
