"""Which servers a repository has to do with."""

from __future__ import annotations

import re
from urllib.parse import urlsplit

from roar.config.read import load
from roar.errors import NotARepositoryError, UsageError
from roar.git import program, transport
from roar.git.repository import Repository, discover
from roar.glaas import address, known
from roar.glaas.address import Address

_SSH = re.compile(r"(?:ssh://)?(?:[^@/:]+@)?(?P<host>[A-Za-z0-9.-]+)(?::\d+/|:|/)(?P<project>[^:]+?)(?:\.git)?/?")


def projects(repo: Repository) -> dict[str, Address]:
    """The remotes that are projects of a server: those of a server that one has logged in to, or of roar.glaas.url."""
    told = load(repo).settings.glaas.url
    server = address.parse(told).origin if told else ""
    found = {remote: _project(url, server) for remote, url in _urls(repo).items()}
    return {remote: project for remote, project in found.items() if project is not None}


def servers(repo: Repository | None) -> list[Address]:
    """The servers to ask about files that are not known here: with a project of this repository's, or with none."""
    found = list(projects(repo).values()) if repo else []
    told = load(repo).settings.glaas.url
    if told:
        found.append(Address(address.parse(told).origin))
    return list({each.origin: Address(each.origin) for each in found}.values())


def to_ask(repo: Repository | None) -> list[Address]:
    """As ``servers``, each with the project that this repository shares its records with, the first by remote."""
    mine: dict[str, Address] = {}
    for _, project in sorted(projects(repo).items()) if repo else ():
        mine.setdefault(project.origin, project)
    return [mine.get(server.origin, server) for server in servers(repo)]


def address_of(text: str | None) -> Address:
    """The server, and project, that somebody typed: an address, or a remote; else the server of this repository.

    Raises ``UsageError``.
    """
    repo = here()
    mine = projects(repo) if repo else {}
    urls = _urls(repo) if repo else {}
    if text:
        url = urls.get(text, text)
        if text not in mine and not url.startswith(("http://", "https://")) and _SSH.fullmatch(url) and "@" in url:
            raise UsageError("over SSH nobody has to log in: git uses the key", "git push")
        return mine.get(text) or address.parse(url)
    found = {each.origin: each for each in servers(repo)}
    origins = found or {origin: Address(origin) for origin in known.servers() if known.is_known(origin)}
    if len(origins) == 1:
        return next(iter(origins.values()))
    if origins:
        raise UsageError(f"there are several servers: {', '.join(sorted(origins))}", "give an address")
    raise UsageError("no remote here is a project of a server that one has logged in to", "roar auth login URL")


def here() -> Repository | None:
    """The repository around us, if there is one."""
    try:
        return discover()
    except NotARepositoryError:
        return None


def _urls(repo: Repository) -> dict[str, str]:
    """The URLs of the remotes, as git would fetch from them."""
    found = {}
    for remote in transport.remotes(repo):
        done = program.call([*repo.args(), "remote", "get-url", "--", remote])
        found[remote] = done.stdout.decode("utf-8", "replace").strip()
    return found


def _project(url: str, server: str) -> Address | None:
    """The project that a remote's URL names on ``server``, or on another that is known."""
    if url.startswith(("http://", "https://")):
        try:
            found = address.parse(url)
        except UsageError:
            return None
        return found if found.project and (found.origin == server or known.is_known(found.origin)) else None
    over_ssh = _SSH.fullmatch(url) if server else None
    if over_ssh and over_ssh["host"].lower() == urlsplit(server).hostname:
        return Address(server, over_ssh["project"])
    return None
