"""Who vouches for the records: their ids against their bytes, and the signatures of the commits that hold them.

A commit names its parent by the hash of its bytes, so a good signature vouches for all records before it in the
same chain as well.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, NamedTuple

from roar.errors import RecordError
from roar.git import signing
from roar.git.repository import Repository
from roar.journal import read
from roar.journal.entry import trailer_id
from roar.records import codec

State = Literal["signed", "covered", "unsigned", "untrusted", "bad", "broken"]
"""``covered``: a later commit of the chain is signed. ``untrusted``: signed with a key that git does not trust here,
``bad``: by no means by that key. ``broken``: the record's bytes do not have its id, or cannot be read."""


class Verdict(NamedTuple):
    """How one record stands; ``signer`` is who signed its commit or, if covered, the later one."""

    id: str
    commit: str
    state: State
    signer: str
    detail: str = ""


class _Vouched(NamedTuple):
    state: State
    signer: str


_NOBODY = _Vouched("unsigned", "")
_BEST: tuple[State, ...] = ("signed", "covered", "unsigned", "untrusted", "bad", "broken")
_AT_ONCE = 50
"""Signatures between two words of progress."""


def verify(repo: Repository, tell: Callable[[int], None], wanted: set[str] | None = None) -> list[Verdict]:
    """The verdict on each record of the journal, or on those wanted, by id; broken ones that have none come last.

    A record in several chains has its best verdict. ``tell`` is called with the number of signatures checked so far.
    Raises ``GitError`` when the chains cannot be walked.
    """
    tips = sorted(set(read.tips(repo).values()))
    commits = list(signing.walk(repo, tips))
    vouched = _vouched(repo, commits, tell)
    said = {item.commit: trailer_id(item.message) for item in commits}
    found: dict[str, Verdict] = {}
    broken = []
    for item in read.since(repo, tips):
        identifier, reason = _identify(item, said.get(item.commit))
        if reason:
            broken.append(Verdict(identifier, item.commit, "broken", "", reason))
            continue
        if wanted is not None and identifier not in wanted:
            continue
        state, signer = vouched.get(item.commit, _NOBODY)
        verdict = Verdict(identifier, item.commit, state, signer)
        known = found.setdefault(identifier, verdict)
        if _BEST.index(state) < _BEST.index(known.state):
            found[identifier] = verdict
    return [found[known] for known in sorted(found)] + [v for v in broken if wanted is None or v.id in wanted]


def _identify(item: read.Stored | read.Broken, said: str | None) -> tuple[str, str]:
    """The id of a record's bytes, and what is wrong with them. A commit of one record says its id in its message."""
    if isinstance(item, read.Broken):
        return "", item.reason
    try:
        identifier = codec.identify_bytes(item.body)
    except RecordError as error:
        return "", error.message
    if said and item.folder == "" and identifier != said:
        return said, f"its bytes have the id {identifier}"
    return identifier, ""


def _vouched(repo: Repository, commits: list[signing.Signed], tell: Callable[[int], None]) -> dict[str, _Vouched]:
    """Who vouches for each commit of the chains; those for which nobody does are absent."""
    signed = [item.commit for item in commits if item.signed]
    signatures: dict[str, signing.Signature] = {}
    for start in range(0, len(signed), _AT_ONCE):
        signatures |= signing.check(repo, signed[start : start + _AT_ONCE])
        tell(len(signatures))
    found: dict[str, _Vouched] = {}
    cover: dict[str, str] = {}
    for item in commits:  # children first
        signature = signatures.get(item.commit)
        if signature is not None and signature.state == "good":
            signer = signature.signer or signature.key
            found[item.commit] = _Vouched("signed", signer)
            cover.update((parent, signer) for parent in item.parents)
            continue
        if signature is not None:
            found[item.commit] = _Vouched("bad" if signature.state == "bad" else "untrusted", signature.key)
        elif item.commit in cover:
            found[item.commit] = _Vouched("covered", cover[item.commit])
        if item.commit in cover:
            cover.update((parent, cover[item.commit]) for parent in item.parents)
    return found
