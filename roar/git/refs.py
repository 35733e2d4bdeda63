"""Refs: read, and moved only against their old value.

By git's own protocol for loose refs: ``<ref>.lock`` made exclusively, the value checked under it, the lock renamed
into place. Where refs are kept in reftables the user's git moves them.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable, Mapping

from roar.errors import GitError, RoarError
from roar.git import files, locks, program
from roar.git.repository import Repository
from roar.paths import OPEN

_WAIT_SECONDS = 10.0


def read(repo: Repository, ref: str) -> str | None:
    """The object id that a ref holds, or None."""
    if repo.reftable:
        done = program.call([*repo.args(), "rev-parse", "--verify", "--quiet", "--end-of-options", ref])
        return done.stdout.decode().strip() or None
    for _ in range(5):
        value = _slurp(os.path.join(repo.common_dir, ref))
        if value is None:
            return _packed(repo, ref)
        if not value.startswith(b"ref: "):
            return value.strip().decode("ascii", "replace") or None
        ref = value[5:].strip().decode("utf-8", "surrogateescape")
    return None


def head(repo: Repository) -> tuple[str | None, str | None]:
    """The branch that HEAD names (None when detached) and its commit (None when there is none yet)."""
    if repo.reftable:
        done = program.call([*repo.args(), "symbolic-ref", "--quiet", "HEAD"])
        ref = done.stdout.decode("utf-8", "surrogateescape").strip()
        return (ref.removeprefix("refs/heads/"), read(repo, ref)) if ref else (None, read(repo, "HEAD"))
    value = _slurp(os.path.join(repo.git_dir, "HEAD"))
    if value is None:
        return None, None
    if value.startswith(b"ref: "):
        ref = value[5:].strip().decode("utf-8", "surrogateescape")
        return ref.removeprefix("refs/heads/"), read(repo, ref)
    return None, value.strip().decode("ascii", "replace") or None


def compare_and_swap(repo: Repository, ref: str, new: str, old: str | None) -> bool:
    """Move one of roar's refs from ``old`` (None: it must not exist) to ``new``; False when it holds another value."""
    if repo.reftable:
        words = ["update-ref", "--no-deref", "--end-of-options", ref, new, old or repo.zero]
        return program.call([*repo.args(), *words]).returncode == 0
    return _replace(repo, ref, new.encode() + b"\n", lambda: read(repo, ref) == old)


def _replace(repo: Repository, ref: str, content: bytes, still: Callable[[], bool]) -> bool:
    """Write a ref's file under its lock, if ``still`` says so then; the lock is gone afterwards, whatever happens."""
    path = os.path.join(repo.common_dir, ref)
    lock = path + ".lock"
    fd = _lock(repo, lock)
    try:
        with os.fdopen(fd, "wb") as file:
            agreed = still()
            if agreed:
                file.write(content)
                file.flush()
                files.open_to_sharers(repo, fd)
                files.flush(repo, files.REFERENCE, fd)
        if agreed:
            os.replace(lock, path)
        else:
            os.unlink(lock)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(lock)
        raise
    return agreed


def _lock(repo: Repository, lock: str) -> int:
    deadline = time.monotonic() + _WAIT_SECONDS
    while True:
        try:
            return os.open(lock, os.O_WRONLY | os.O_CREAT | os.O_EXCL | OPEN, 0o666)
        except FileNotFoundError:
            # made anew each time: pack-refs removes empty folders under a writer, even while they are made
            with contextlib.suppress(FileNotFoundError):
                files.make_folders(repo, os.path.dirname(lock))
            if time.monotonic() > deadline:
                raise
        except FileExistsError:
            if locks.is_stale(lock):
                with contextlib.suppress(FileNotFoundError):
                    os.unlink(lock)
                continue
            if time.monotonic() > deadline:
                raise RoarError(
                    f"{lock} is held by another program", "if nothing else uses the repository, remove it"
                ) from None
            time.sleep(0.002)


def symbolic(repo: Repository, name: str, target: str) -> None:
    """Make ``name`` a symbolic ref to ``target``, unless it is a plain ref already."""
    if repo.reftable:
        known = program.call([*repo.args(), "symbolic-ref", "--quiet", name]).returncode == 0
        if known or read(repo, name) is None:
            repo.ask("symbolic-ref", name, target)
        return
    path = os.path.join(repo.common_dir, name)
    value = _slurp(path)
    if value == b"ref: " + os.fsencode(target) + b"\n":
        return
    if (value is not None and not value.startswith(b"ref: ")) or (value is None and _packed(repo, name)):
        return
    _replace(repo, name, b"ref: " + os.fsencode(target) + b"\n", lambda: _slurp(path) == value)


def matching(repo: Repository, prefix: str, suffix: str) -> list[str]:
    """The refs named by the prefix, one word and the suffix, without asking git where files say it."""
    if repo.reftable:
        found = set(listing(repo, prefix))
    else:
        packed = _slurp(os.path.join(repo.common_dir, "packed-refs")) or b""
        import re  # not needed before the start of a command

        pattern = re.escape(os.fsencode(prefix)) + b"[^/\n]+" + re.escape(os.fsencode(suffix))
        found = {os.fsdecode(name) for name in re.findall(b" (" + pattern + b")\n", packed)}
        try:
            words = os.listdir(os.path.join(repo.common_dir, prefix))
        except OSError:
            words = []
        found.update(prefix + word + suffix for word in words)
    return sorted(ref for ref in found if ref.endswith(suffix) and ref.count("/") == (prefix + suffix).count("/"))


def delete(repo: Repository, held: Mapping[str, str]) -> None:
    """Delete refs that hold these objects, all or none. Raises ``GitError`` when one of them does not."""
    lines = "".join(f"delete {ref} {oid}\n" for ref, oid in held.items())
    if lines:
        repo.ask("update-ref", "--no-deref", "--stdin", stdin=lines.encode("utf-8", "surrogateescape"))


def symbolic_below(repo: Repository, folder: str) -> dict[str, str]:
    """The symbolic refs in a folder of refs, with what each leads to, be it there or not (in reftables: only if it is).

    ``folder`` ends in a slash. git itself never packs a symbolic ref, and lists none that leads nowhere.
    """
    if repo.reftable:
        out = repo.ask("for-each-ref", "--format=%(refname) %(symref)", folder)
        pairs = (line.split(" ", 1) for line in program.lines(out))
        return {name: target for name, target in pairs if target}
    try:
        names = [folder + name for name in os.listdir(os.path.join(repo.common_dir, folder))]
    except (FileNotFoundError, NotADirectoryError):
        return {}
    values = {name: _slurp(os.path.join(repo.common_dir, name)) or b"" for name in names if not name.endswith(".lock")}
    return {name: os.fsdecode(value[5:].strip()) for name, value in values.items() if value.startswith(b"ref: ")}


def listing(repo: Repository, *prefixes: str) -> dict[str, str]:
    """Every ref under the prefixes, with the object id it holds, in the order of their names."""
    out = repo.ask("for-each-ref", "--format=%(objectname) %(refname)", *prefixes)
    pairs = (line.split(" ", 1) for line in program.lines(out))
    return {ref: oid for oid, ref in pairs}


def symbolic_names(repo: Repository, *prefixes: str) -> list[str]:
    """The symbolic refs under the prefixes that lead somewhere."""
    out = repo.ask("for-each-ref", "--format=%(symref) %(refname)", *prefixes)
    return [name for target, _, name in (line.partition(" ") for line in program.lines(out)) if target]


def _slurp(path: str) -> bytes | None:
    try:
        with open(path, "rb") as file:
            return file.read()
    except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
        return None
    except OSError as error:
        raise GitError(f"cannot read the ref file {path}: {error.strerror}") from error


def _packed(repo: Repository, ref: str) -> str | None:
    data = _slurp(os.path.join(repo.common_dir, "packed-refs"))
    if not data:
        return None
    at = data.find(b" " + os.fsencode(ref) + b"\n")
    if at < 0:
        return None
    start = data.rfind(b"\n", 0, at) + 1
    return data[start:at].decode("ascii", "replace")
