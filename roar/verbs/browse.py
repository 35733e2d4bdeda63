"""Letting a browser in to the pages of a server, by one's SSH key."""

from __future__ import annotations

import os
import re
import sys
from typing import NamedTuple
from urllib.parse import urlsplit

from roar.errors import RoarError
from roar.glaas import address, login
from roar.glaas.address import Address
from roar.glaas.ssh import PublicKey
from roar.verbs import auth, glaas

_CODE = re.compile("[A-Za-z0-9._~-]{1,2048}")


class Way(NamedTuple):
    """The address that lets a browser in, as whom, once, within so many seconds."""

    url: str
    user: str
    seconds: int

    def __repr__(self) -> str:
        return f"Way({self.user})"  # never the code


def page_of(text: str | None) -> tuple[str, str]:
    """The server, by its origin, and the path of the page that somebody typed: of a project, or any other.

    Raises ``UsageError``.
    """
    parts = urlsplit(text or "")
    if parts.scheme in ("http", "https") and re.fullmatch(login.PAGE, parts.path) and not parts.path.endswith(".git"):
        return address.parse(f"{parts.scheme}://{parts.netloc}").origin, parts.path
    where = glaas.address_of(text)
    return where.origin, f"/p/{where.project}" if where.project else "/"


def way_in(origin: str, page: str, key: PublicKey | None = None) -> Way:
    """Log in for a browser, by this key or as ``auth.log_in`` does. Nothing is remembered. Raises ``RoarError``."""
    client = auth.connect(origin)

    def ask(each: PublicKey) -> Way:
        challenge, signature = auth.sign(client, Address(origin), login.BROWSE, each)
        body = {"challenge": challenge, "key": each.fingerprint, "signature": signature, "page": page}
        answer = client.post("/auth/browser", body)
        try:
            code, user, lasts = str(answer["code"]), str(answer["user"]), int(answer["expires_in"])
        except (LookupError, TypeError, ValueError) as error:
            raise RoarError(f"{origin} does not answer as a roar server does", "check the address") from error
        if not _CODE.fullmatch(code):  # it becomes a word of a command line
            raise RoarError(f"{origin} gives a code that is none", "check the address")
        return Way(f"{origin}/enter#{code}", user, lasts)

    return auth.by_key(client, key, ask)[1]


def has_display() -> bool:
    """Whether a browser would come up before whoever types, and not on a machine that they are logged in to."""
    if os.environ.get("BROWSER"):
        return True
    if os.environ.get("SSH_CONNECTION"):
        return False
    return sys.platform in ("darwin", "win32") or bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))
