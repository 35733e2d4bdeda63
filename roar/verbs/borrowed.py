"""A clone to reproduce from: the records of projects that a server knows, and the code that these note.

It lies in the user's cache folder and may be deleted at any time. Nothing is checked out in it, and no hook or filter
of other repositories runs. Where the code is, records say, so git is only given plain URLs.
"""

from __future__ import annotations

import os

from roar.cache.index import open_index
from roar.errors import RoarError
from roar.git import program, transport
from roar.git.locks import exclusive
from roar.git.repository import Repository, discover
from roar.hashing import digest_bytes
from roar.lineage import upstream
from roar.paths import cache_folder
from roar.records.summary import printable
from roar.verbs import sync
from roar.verbs.installing import Progress
from roar.verbs.lookup import Origin

_PATIENCE_SECONDS = 3600.0
"""How long another process may take to fetch the same."""


def clone(origin: Origin, say: Progress) -> Repository:
    """A clone with the records of all projects that a content's lineage is in. Raises ``RoarError``."""
    key = digest_bytes("\n".join(project.remote for project in origin.projects).encode())[:20]
    folder = os.path.join(cache_folder(), "clones", key)
    try:
        os.makedirs(folder, mode=0o700, exist_ok=True)
        with exclusive(folder + ".lock", _PATIENCE_SECONDS):
            repo = _made(folder, origin)
            for project in origin.projects:
                say(f"fetching the records of {project.project} from {project.origin}")
                transport.fetch_records(repo, _remote(project.project), sync.own_notes(repo))
    except OSError as error:
        raise RoarError(f"cannot write {folder}: {error.strerror}", "set XDG_CACHE_HOME") from error
    return repo


def code_of(repo: Repository, origin: Origin) -> tuple[list[str], list[str]]:
    """The remotes that the records of a content's lineage note for its code, other than the server's projects, which
    hold no branch: those git may be given, and others.
    """
    with open_index(repo) as index:
        jobs = index.load_jobs(upstream(index, index.producers(origin.hash)).jobs).values()
    records_alone = {project.remote for project in origin.projects}
    noted = sorted({job.code.remote for job in jobs if job.code.remote} - records_alone)
    plain = [url for url in noted if transport.is_plain_url(url)]
    return plain, [url for url in noted if url not in plain]


def fetch_code(repo: Repository, urls: list[str], say: Progress) -> None:
    """Fetch branches and tags. Where that fails the plan says what it lacks: code may be among the records, too."""
    for url in urls:
        say(f"fetching the code from {printable(url)}")
        below = f"refs/remotes/{digest_bytes(url.encode())[:12]}"
        done = transport.fetch_plain(repo, url, [f"+refs/heads/*:{below}/heads/*", f"+refs/tags/*:{below}/tags/*"])
        if done.returncode:
            say(f"the code could not be fetched: {printable(program.last_line(done.stderr))}")


def _made(folder: str, origin: Origin) -> Repository:
    if not os.path.isdir(os.path.join(folder, ".git")):
        program.init(folder, sha256=origin.sha256)
    repo = discover(folder)
    repo.ask("config", "core.hooksPath", os.devnull)
    repo.ask("config", "roar.glaas.url", origin.projects[0].origin)  # so that no code is looked for there
    for project in origin.projects:
        repo.ask("config", f"remote.{_remote(project.project)}.url", project.remote)
        if project.ssh:
            repo.ask("config", "core.sshCommand", project.ssh.command)
            repo.ask("config", "ssh.variant", project.ssh.variant or "auto")
    return repo


def _remote(project: str) -> str:
    """The name of a project's remote: a project has no ``+`` in its name."""
    return project.replace("/", "+")
