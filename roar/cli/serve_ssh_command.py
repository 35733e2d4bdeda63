"""``roar serve-ssh``: what sshd calls, not people."""

from __future__ import annotations

import os

import click

_DATA = click.option("--data", metavar="DIR", envvar="ROAR_SERVE_DATA", required=True, help="Data directory.")
_URL = click.option("--url", metavar="URL", help="How clients reach the server [as roar serve was told].")


@click.group("serve-ssh", hidden=True, epilog="\b\nExample:\n  git roar serve-ssh keys --data /srv/roar")
def command() -> None:
    """Let OpenSSH's server serve git; see docs/glaas.md."""


@command.command("keys", epilog="\b\nExample:\n  git roar serve-ssh keys --data /srv/roar %t %k")
@_DATA
@click.option("--program", metavar="WORDS", help="How a shell calls roar [this program].")
@_URL
@click.argument("kind", required=False)
@click.argument("key", required=False)
def keys(data: str, *, program: str | None, url: str | None, kind: str | None, key: str | None) -> None:
    """Print lines of authorized_keys for all keys, or for the one of type KIND and base64 KEY."""
    from roar.server import ssh
    from roar.server.people import People
    from roar.server.storage import Storage

    storage = Storage(data)
    wanted = (kind, key) if kind and key else None
    for line in ssh.keys(storage, People(storage), program or ssh.own_program(), wanted, url):
        click.echo(line)


@command.command("git", epilog="\b\nExample:\n  git roar serve-ssh git --data /srv/roar SHA256:abc")
@_DATA
@_URL
@click.argument("fingerprint")
def git(data: str, url: str | None, fingerprint: str) -> int:
    """Run what SSH_ORIGINAL_COMMAND asks for, as the user of a key."""
    from roar.server import ssh
    from roar.server.people import People
    from roar.server.storage import Storage

    storage = Storage(data)
    asked, client = os.environ.get("SSH_ORIGINAL_COMMAND", ""), os.environ.get("SSH_CONNECTION", "")
    return ssh.serve(storage, People(storage), fingerprint, asked, client.partition(" ")[0], url)
