"""Signed commits, by the signing set-up of the user's git: OpenPGP, X.509 or SSH, agents and hardware keys included.

What is signed is a git commit like any other, so that ``git verify-commit`` judges it.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import itertools
from collections.abc import Iterable, Iterator
from typing import Literal, NamedTuple

from roar.git import program
from roar.git.repository import Repository

_HEADERS = (b"gpgsig ", b"gpgsig-sha256 ")


def write_signed(repo: Repository, body: bytes, key: str | None) -> str:
    """Store a commit, given unsigned, with a signature, and give its id. ``key`` None is the one that git would take.

    Raises ``GitError`` when it cannot be signed.
    """
    head, _, message = body.partition(b"\n\n")
    words = ["-c", "i18n.commitEncoding=UTF-8", "commit-tree", f"-S{key or ''}", "-F", "-"]
    env = program.environment()
    for line in head.decode("utf-8", "surrogateescape").split("\n"):
        name, _, value = line.partition(" ")
        if name == "tree":
            words.append(value)
        elif name == "parent":
            words += ["-p", value]
        else:
            who, seconds, zone = value.rsplit(" ", 2)
            person, _, email = who.rpartition(" <")
            role = f"GIT_{name.upper()}"
            env |= {f"{role}_NAME": person, f"{role}_EMAIL": email[:-1], f"{role}_DATE": f"@{seconds} {zone}"}
    return program.ask([*repo.args(), *words], stdin=message, env=env).decode().strip()


def ssh_keys(repo: Repository, tips: Iterable[str], known: Iterable[str]) -> dict[str, str]:
    """The fingerprint of the SSH key that signed each commit or one that comes after it, as the signature says.

    Of the commits that the tips reach and the known ones do not; those that no SSH signature covers are absent. Whether
    signatures are good is not looked at here: see ``check``. Raises ``GitError``.
    """
    names = "".join([*(f"{tip}\n" for tip in tips), *(f"^{tip}\n" for tip in known)])
    words = ("rev-list", "--topo-order", "--header", "--ignore-missing", "--stdin")
    header = b"gpgsig-sha256 " if len(repo.zero) == 64 else b"gpgsig "
    found: dict[str, str] = {}
    for entry in repo.ask(*words, stdin=names.encode()).split(b"\0") if names else ():
        commit = entry[: len(repo.zero)].decode()
        if commit not in found and header not in entry:
            continue
        head = entry.partition(b"\n\n")[0].split(b"\n")
        key = _ssh_key(head, header) or found.get(commit)
        if key:
            found[commit] = key
            for parent in [line[7:].decode() for line in head if line.startswith(b"parent ")]:
                found.setdefault(parent, key)
    return found


def _ssh_key(head: list[bytes], header: bytes) -> str | None:
    """The key of the one SSH signature in the head of a commit: PROTOCOL.sshsig of OpenSSH."""
    starts = [n for n, line in enumerate(head) if line.startswith(header)]
    if len(starts) != 1 or b"BEGIN SSH SIGNATURE" not in head[starts[0]]:
        return None
    lines = itertools.takewhile(lambda line: line.startswith(b" "), head[starts[0] + 1 :])
    try:
        body = base64.b64decode(b"".join(line.strip() for line in lines if b"END SSH" not in line))
    except binascii.Error:
        return None
    size = int.from_bytes(body[10:14], "big")  # after "SSHSIG" and the version
    if not body.startswith(b"SSHSIG") or len(body) < 14 + size:
        return None
    return "SHA256:" + base64.b64encode(hashlib.sha256(body[14 : 14 + size]).digest()).decode().rstrip("=")


class Signature(NamedTuple):
    """What git says of a commit's signature. ``state`` is ``good`` exactly when ``git verify-commit`` agrees."""

    state: Literal["good", "bad", "untrusted", "none"]
    signer: str
    key: str


class Signed(NamedTuple):
    """A commit with its parents and message, and whether it bears a signature."""

    commit: str
    parents: list[str]
    signed: bool
    message: str


def walk(repo: Repository, tips: Iterable[str]) -> Iterator[Signed]:
    """All commits reachable from some, children before parents. Raises ``GitError``."""
    names = "".join(f"{tip}\n" for tip in tips)
    if not names:
        return
    for entry in repo.ask("rev-list", "--topo-order", "--header", "--stdin", stdin=names.encode()).split(b"\0"):
        top, _, message = entry.partition(b"\n\n")
        head = top.split(b"\n")
        if head[0]:
            parents = [line[7:].decode() for line in head if line.startswith(b"parent ")]
            signed = any(line.startswith(_HEADERS) for line in head)
            # git indents the message by four spaces here
            lines = (line.removeprefix("    ") for line in message.decode("utf-8", "replace").split("\n"))
            yield Signed(head[0].decode(), parents, signed, "\n".join(lines))


def check(repo: Repository, commits: Iterable[str]) -> dict[str, Signature]:
    """What git says of the signatures of some signed commits. Raises ``GitError`` when it cannot be asked."""
    names = "".join(f"{commit}\n" for commit in commits)
    if not names:
        return {}
    out = repo.ask("log", "--no-walk=unsorted", "--stdin", "--format=%H%x00%G?%x00%GS%x00%GK", stdin=names.encode())
    found = {}
    for line in program.lines(out):
        commit, letter, signer, key = line.split("\0")
        found[commit] = Signature(_state(repo, commit, letter), signer, key)
    return found


def _state(repo: Repository, commit: str, letter: str) -> Literal["good", "bad", "untrusted"]:
    """Git's letter as an answer; where it is in between, ``git verify-commit`` decides."""
    if letter in "GB":
        return "good" if letter == "G" else "bad"
    done = program.call([*repo.args(), "verify-commit", commit])
    return "untrusted" if done.returncode else "good"
