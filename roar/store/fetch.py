"""From a store to a file: continued where it was broken off, verified, and never over somebody's other file."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator

from roar.errors import RoarError
from roar.git.locks import exclusive
from roar.hashing import Hasher, digest_bytes, digest_file
from roar.paths import OPEN
from roar.store.copying import DamagedError, Origin, Tell, receive

_PART = ".roar-get-"
"""How the name of a file that is not whole begins; it lies beside the one that it will be."""


def holds(path: str, content: str) -> bool:
    """True when a regular file with this content is there."""
    try:
        return digest_file(path).hash == content
    except OSError:
        return False


def fetch(origin: Origin, content: str, target: str, tell: Tell, *, force: bool = False) -> bool:
    """Put the bytes with this hash to ``target``; False when they are there already.

    Raises ``RoarError`` when something else is there and ``force`` is not given, ``DamagedError`` for wrong bytes,
    of which nothing is kept, ``FileNotFoundError`` when the origin does not have them, and ``OSError``.
    """
    folder = os.path.dirname(target)
    os.makedirs(folder, exist_ok=True)
    part = os.path.join(folder, _PART + content[:32])
    with _alone(part):
        if holds(target, content) and not os.path.islink(target):
            return False
        if os.path.lexists(target) and not force:
            raise _other(target)
        begun = os.path.isfile(part) and os.path.getsize(part) > 0
        found = _fill(origin, content, part, tell)
        if found != content and begun:  # what was left was not the beginning of it
            found = _fill(origin, content, part, tell, anew=True)
        if found != content:
            os.unlink(part)
            raise _wrong(origin, content, found)
        _into_place(part, target, content, force=force)
    return True


def fetch_unknown(origin: Origin, target: str, tell: Tell, *, force: bool = False) -> str:
    """Put whatever an address holds to ``target``, and give its hash. Raises as ``fetch`` does."""
    folder = os.path.dirname(target)
    os.makedirs(folder, exist_ok=True)
    if os.path.lexists(target) and not force:
        raise RoarError(f"{target} is there already", "--force to replace it")
    part = os.path.join(folder, _PART + digest_bytes(os.fsencode(target))[:32])
    with _alone(part):
        content = _fill(origin, "", part, tell, anew=True)
        _into_place(part, target, content, force=force)
    return content


def _wrong(origin: Origin, content: str, found: str) -> DamagedError:
    place = origin.place(content)
    if origin.keeps:
        said = f"{place} is damaged: its bytes do not have the hash {content}"
        return DamagedError(said, "roar put X --force, where the file is whole")
    said = f"{place} holds another file: its bytes have the hash {found[:12]}, not {content[:12]}"
    return DamagedError(said, "roar get URL --to PATH takes it as it is")


@contextlib.contextmanager
def _alone(part: str) -> Iterator[None]:
    """Two that fetch the same bytes to the same folder take turns."""
    lock = part + ".lock"
    with exclusive(lock):
        try:
            yield
        finally:
            with contextlib.suppress(OSError):
                os.unlink(lock)


def _fill(origin: Origin, content: str, part: str, tell: Tell, *, anew: bool = False) -> str:
    """Write what is lacking, all of it when ``anew``, and give the hash of the whole."""
    fd = os.open(part, os.O_RDWR | os.O_CREAT | OPEN | getattr(os, "O_NOFOLLOW", 0), 0o666)
    with _removed_when_empty(part), open(fd, "r+b", buffering=0) as file:
        if anew:
            file.truncate(0)
        hasher = Hasher()
        receive(file.read, len, hasher, lambda _: None)
        with origin.open(content, file.tell()) as read:
            found = receive(read, file.write, hasher, tell)
        os.fsync(fd)
    return found


@contextlib.contextmanager
def _removed_when_empty(part: str) -> Iterator[None]:
    try:
        yield
    except BaseException:
        if not os.path.getsize(part):
            os.unlink(part)
        raise


def _into_place(part: str, target: str, content: str, *, force: bool) -> None:
    if force:
        os.replace(part, target)
        return
    try:
        os.link(part, target)  # unlike a rename, never over what somebody has put there meanwhile
    except FileExistsError:
        if not holds(target, content):
            raise _other(target) from None
    except OSError:  # no links here
        if os.path.lexists(target):
            raise _other(target) from None
        os.rename(part, target)
        return
    os.unlink(part)


def _other(target: str) -> RoarError:
    return RoarError(f"{target} has other content", "--force to replace it, --to PATH to put it elsewhere")
