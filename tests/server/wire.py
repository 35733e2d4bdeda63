"""Requests by hand: what no client sends, or not at that pace."""

from __future__ import annotations

import base64
import socket
import subprocess
import urllib.error
import urllib.request
from pathlib import Path

from server.serving import Glaas


def connected(server: Glaas) -> socket.socket:
    return socket.create_connection(("127.0.0.1", server.port), timeout=20)


def basic(server: Glaas) -> str:
    """The administrator's Basic authentication."""
    return "Basic " + base64.b64encode(f"x:{server.token()}".encode()).decode()


def head(server: Glaas, project: str, length: int | None) -> bytes:
    """The head of a push by hand."""
    size = f"Content-Length: {length}" if length is not None else "Transfer-Encoding: chunked"
    return (
        f"POST /{project}.git/git-receive-pack HTTP/1.1\r\nHost: x\r\nAuthorization: {basic(server)}\r\n"
        f"Content-Type: application/x-git-receive-pack-request\r\n{size}\r\n\r\n"
    ).encode()


def pack(tree: Path, *oids: str) -> bytes:
    """A pack of all that these objects lead to."""
    words = ["git", "pack-objects", "--stdout", "--revs", "-q"]
    wanted = "".join(f"{oid}\n" for oid in oids).encode()
    return subprocess.run(words, input=wanted, cwd=tree, capture_output=True, check=True).stdout


def commands(*lines: bytes) -> bytes:
    """The beginning of a push: OLD NEW REF a line (gitprotocol-pack(5))."""
    first, *rest = lines
    asked = [first + b"\0 report-status side-band-64k", *rest]
    return b"".join(b"%04x" % (len(line) + 4) + line for line in asked) + b"0000"


def pack_request(tree: Path, new: str, ref: str) -> bytes:
    """The body of a push of one commit, as git makes it."""
    return commands(f"{'0' * 40} {new} {ref}".encode()) + pack(tree, new)


def posted(server: Glaas, project: str, body: bytes) -> str:
    """What a push by hand is answered: the status, and whatever text is in the answer."""
    url = f"{server.url}/{project}.git/git-receive-pack"
    kind = "application/x-git-receive-pack-request"
    asked = urllib.request.Request(url, body, {"Content-Type": kind, "Authorization": basic(server)})
    try:
        with urllib.request.urlopen(asked, timeout=60) as answer:
            return f"{answer.status} {answer.read().decode('utf-8', 'replace')}"
    except urllib.error.HTTPError as error:
        with error:
            return f"{error.code} {error.read().decode('utf-8', 'replace')}"
