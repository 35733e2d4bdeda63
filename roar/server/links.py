"""Where code can be looked at, and what to type to make a file again. Remotes are what a record says: not trusted."""

from __future__ import annotations

import re
import shlex
from typing import NamedTuple
from urllib.parse import quote

from roar.glaas import login
from roar.records.job import Job
from roar.verbs.resolve import SHORT_HASH

_WEB = re.compile(r"https?://[A-Za-z0-9._-]+(:[0-9]+)?/[A-Za-z0-9._~/+-]+")
_SCP = re.compile(r"(?:ssh://)?[A-Za-z0-9._][A-Za-z0-9._-]*@([A-Za-z0-9._-]+)[:/]([A-Za-z0-9._~/+-]+)")


class Place(NamedTuple):
    """Where the records of a project are fetched from: a URL, or None for the repository that one stands in."""

    project: str
    url: str | None


def remote_page(remote: str | None) -> str | None:
    """The web page of a remote as most hosts have it; None for one that is not known to have any."""
    if not remote:
        return None
    scp = _SCP.fullmatch(remote)
    page = f"https://{scp[1]}/{scp[2]}" if scp else remote
    return page.removesuffix("/").removesuffix(".git") if _WEB.fullmatch(page) else None


def commit_page(job: Job) -> str | None:
    """The web page of the commit that a job ran."""
    page = remote_page(job.code.remote)
    return f"{page}/commit/{job.code.commit}" if page and job.code.commit else None


def commands(asked: str, job: Job, place: Place, *, alone: bool = True) -> list[str]:
    """What to type to make again what is ``asked``: a job, or by its hash what the job made. ``alone``: the records of
    this one place are enough; else roar asks the server, which knows the others and their code.
    """
    asked = asked[:SHORT_HASH]
    if place.url is None:
        return [f"roar reproduce {asked}"]
    if not alone:
        server = place.url.removesuffix(f"/{place.project}.git")
        return [f"git -c {shlex.quote(f'roar.glaas.url={server}')} roar reproduce {asked}"]
    fetch = f"git fetch {shlex.quote(place.url)} '+refs/roar/*:refs/roar-remote/{place.project.replace('/', '-')}/*'"
    remote = job.code.remote
    if remote is None or not (_WEB.fullmatch(remote) or _SCP.fullmatch(remote)):
        return [fetch, f"roar reproduce {asked}"]
    folder = remote.rstrip("/").rpartition("/")[2].rpartition(":")[2].removesuffix(".git")
    folder = folder if folder[:1].isalnum() else "code"  # no option, and no folder above
    return [
        f"git clone {shlex.quote(remote)} {shlex.quote(folder)}",
        f"cd {shlex.quote(folder)}",
        fetch,
        f"roar reproduce {asked}",
    ]


def project_path(project: str) -> str:
    """The path of a project's page."""
    return f"/p/{quote(project)}"


def from_project(project: str) -> str:
    """The end of a link that is followed from a project's page, whose word stands first on the next one, too."""
    return f"?project={quote(project)}" if project else ""


def way_in(origin: str, path: str) -> str:
    """What to type to be let in to a page, or where a name of something else would be shown, to the first one."""
    page = path if re.fullmatch(login.PAGE, path) else ""
    return f"roar auth browse {shlex.quote(origin + page.removesuffix('/'))}"
