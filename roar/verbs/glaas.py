"""Which servers a repository has to do with."""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable
from urllib.parse import urlsplit

from roar.config.read import load
from roar.errors import NotARepositoryError, RoarError, UsageError
from roar.git import program, refs, ssh, transport
from roar.git.repository import Repository, discover
from roar.glaas import address, known, login
from roar.glaas.address import Address
from roar.verbs import over_ssh


def projects(repo: Repository) -> dict[str, Address]:
    """The remotes that are projects of a server, as far as is known here: of one that one has logged in to, that the
    remote's host named before, or of roar.glaas.url.
    """
    return {remote: project for remote, project in _candidates(repo).items() if project.origin}


def learn(
    repo: Repository, tell: Callable[[RoarError], None], among: Container[str] | None = None
) -> dict[str, Address]:
    """As ``projects``, after the hosts of remotes over SSH (``among`` some) were asked of which nothing is known.

    ``tell`` is told why a server gives no token; of other hosts nothing is said.
    """
    found = _candidates(repo)
    for remote, project in list(found.items()):
        if project.origin or (among is not None and remote not in among):
            continue
        if not _can_be_one(repo, remote) or over_ssh.is_waiting(project):
            continue
        try:
            found[remote] = over_ssh.ask(project, login.READ)[0]
        except over_ssh.NoServerError:
            continue
        except over_ssh.NoTokenError as error:
            tell(error)
    return {remote: project for remote, project in found.items() if project.origin}


def to_ask(repo: Repository | None, tell: Callable[[RoarError], None]) -> list[Address]:
    """The servers to ask about files that are not known here: each with the project that this repository shares its
    records with, the first by remote; else roar.glaas.url. ``tell``: as for ``learn``.
    """
    mine = learn(repo, tell) if repo else {}
    return _one_each([*(project for _, project in sorted(mine.items())), *_told(repo)])


def address_of(text: str | None) -> Address:
    """The server, and project, that somebody typed: an address, or a remote; else the server of this repository.

    Raises ``UsageError``.
    """
    found = address_or_host(text)
    if not found.origin:
        said = f"over SSH nobody has to log in, and what server {found.remote} is on was not asked yet"
        raise UsageError(said, f"roar auth test {found.remote}")
    return found


def address_or_host(text: str | None) -> Address:
    """As ``address_of``, but over SSH the host may have yet to be asked for its server: the origin is ""."""
    repo = here()
    candidates = _candidates(repo) if repo else {}
    if text:
        url = _urls(repo).get(text, text) if repo else text
        found = candidates.get(text)
        if found is None and (url != text or "@" in url or url.startswith("ssh:")) and ssh.place(repo, url):
            found = _over_ssh(repo, url)
            if found is None:
                raise UsageError("over SSH nobody has to log in: git uses the key", "git push")
        return found or address.parse(url)
    mine = _one_each([*(each._replace(project="") for each in candidates.values() if each.origin), *_told(repo)])
    origins = mine or [Address(origin) for origin in known.servers() if known.is_known(origin)]
    if not origins and repo:
        origins = [each for remote, each in candidates.items() if _can_be_one(repo, remote)]
    if len(origins) == 1:
        return origins[0]
    if origins:
        several = sorted(each.origin or each.remote for each in origins)
        raise UsageError(f"there are several servers: {', '.join(several)}", "give an address")
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


def _one_each(addresses: Iterable[Address]) -> list[Address]:
    """The first address on each server."""
    found: dict[str, Address] = {}
    for each in addresses:
        found.setdefault(each.origin, each)
    return list(found.values())


def _told(repo: Repository | None) -> list[Address]:
    """The server that is set."""
    told = load(repo).settings.glaas.url
    return [Address(address.parse(told).origin)] if told else []


def _can_be_one(repo: Repository, remote: str) -> bool:
    """Whether a remote can be a server's project: such a one takes and shows records alone, and has no branches."""
    return not (load(repo).settings.sync.branch or refs.listing(repo, f"refs/remotes/{remote}/"))


def _candidates(repo: Repository) -> dict[str, Address]:
    """The remotes that are projects of a server or, over SSH, may be: of those the origin is ""."""
    server = next((told.origin for told in _told(repo)), "")
    found = {remote: _project(repo, url, server) for remote, url in _urls(repo).items()}
    return {remote: project for remote, project in found.items() if project is not None}


def _project(repo: Repository, url: str, server: str) -> Address | None:
    """The project that a remote's URL names on ``server``, or on another that is known."""
    if url.startswith(("http://", "https://")):
        try:
            found = address.parse(url)
        except UsageError:
            return None
        return found if found.project and (found.origin == server or known.is_known(found.origin)) else None
    project = _over_ssh(repo, url)
    if project is None or project.ssh is None:
        return None
    if server and project.ssh.name.lower() == urlsplit(server).hostname:
        return project._replace(origin=server)
    return project if project.origin or not server else None


def _over_ssh(repo: Repository | None, url: str) -> Address | None:
    """The project that a URL over SSH names, on the server that its host has named before ("": on none yet)."""
    found = ssh.place(repo, url)
    try:
        return found and Address(
            over_ssh.server(found[0]), address.check_project(found[1].strip("/").removesuffix(".git")), found[0]
        )
    except UsageError:
        return None
