"""Addresses of servers and their projects: ``https://host[:port]`` and ``https://host[:port]/<project>.git``.

The origin (RFC 6454) is all that names a server: it is the audience of log-ins, and tokens go nowhere else.
"""

from __future__ import annotations

import ipaddress
import re
from typing import NamedTuple
from urllib.parse import urlsplit

from roar.errors import UsageError
from roar.git.ssh import Host
from roar.records.summary import printable

_PORTS = {"https": 443, "http": 80}
_HOST = re.compile(r"[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?|\[[0-9a-f:.]{2,45}\]")
_PROJECT = re.compile(r"[a-z0-9][a-z0-9_.-]{0,63}(/[a-z0-9][a-z0-9_.-]{0,63})?")


class Address(NamedTuple):
    """A server by its origin, and a project on it ("": none in particular).

    ``ssh`` is the host that gives tokens for it, None where one logs in. Only with one may the origin be "": the host
    has not named it yet.
    """

    origin: str
    project: str = ""
    ssh: Host | None = None

    @property
    def remote(self) -> str:
        """The URL of the project for git."""
        return f"{self.ssh.url if self.ssh else self.origin}/{self.project}.git"


def parse(url: str) -> Address:
    """The server, and project, that a URL names. Raises ``UsageError``, also for plain HTTP to another machine."""
    if "@" in url.partition("://")[2].partition("/")[0]:  # and not shown: a password may be in it
        raise UsageError("an address with a user or a password in it is not taken: log-ins are by SSH key", _HINT)
    shown = printable(url)
    try:
        parts = urlsplit(url)
        host, port = (parts.hostname or "").lower(), parts.port
    except ValueError as error:
        raise UsageError(f"{shown} is no address of a server", _HINT) from error
    host = f"[{host}]" if ":" in host else host
    if parts.scheme not in _PORTS or not _HOST.fullmatch(host) or parts.query or parts.fragment:
        raise UsageError(f"{shown} is no address of a server", _HINT)
    if parts.scheme == "http" and not is_loopback(host):
        raise UsageError(f"{shown} is plain HTTP to another machine, where anybody on the way reads along", _HINT)
    origin = f"{parts.scheme}://{host}" + (f":{port}" if port not in (None, _PORTS[parts.scheme]) else "")
    project = parts.path.strip("/").removesuffix(".git")
    return Address(origin, check_project(project) if project else "")


def check_project(name: str) -> str:
    """The name of a project, when it is one. Raises ``UsageError``."""
    if not _PROJECT.fullmatch(name) or ".." in name:
        raise UsageError(f"{printable(name)} is no name of a project", "one or two parts, as in team/model")
    return name


_HINT = "https://HOST, or http://127.0.0.1:PORT for a server on this machine"


def is_loopback(host: str) -> bool:
    """True for what never leaves this machine. Of names, ``localhost`` alone (RFC 6761, 6.3)."""
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host == "localhost"
