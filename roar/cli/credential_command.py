"""``git credential-roar``: what git calls for a user name and a password (gitcredentials(7))."""

from __future__ import annotations

import sys

import click

from roar.errors import RoarError
from roar.glaas import address, known, login
from roar.glaas.address import Address
from roar.verbs import auth


@click.command(
    "credential",
    hidden=True,
    epilog="\b\nExample:\n  echo url=https://roar.example.org/team/a.git | roar credential get",
)
@click.argument("operation")
def command(operation: str) -> None:
    """Give git a token for a server that one has logged in to (get), or forget one that was refused (erase).

    Reads git's attributes from standard input. Of other servers it knows nothing and says nothing; a token that git
    would have stored (store) is not. Without a project in the URL the token is to read all that one may read.
    """
    where = _address(dict(line.partition("=")[::2] for line in sys.stdin.read().splitlines()))
    if where is None or not known.is_known(where.origin):
        return
    if operation == "erase":
        auth.forget(where)
    if operation != "get":
        return
    try:
        grant = auth.best_for(where) if where.project else auth.token_for(where, login.READ)
    except RoarError:
        click.echo("quit=1")  # else git would ask for a password, of which there is none
        raise
    fields = {"username": grant.user, "password": grant.token, "password_expiry_utc": grant.expires}
    for name, value in fields.items():
        click.echo(f"{name}={value}")


def _address(said: dict[str, str]) -> Address | None:
    """The server and project that git asks for. Raises ``UsageError`` for plain HTTP to another machine."""
    if said.get("protocol") not in ("http", "https") or not said.get("host"):
        return None
    path = said.get("path", "").partition(".git/")[0]
    return address.parse(f"{said['protocol']}://{said['host']}/{path}")
