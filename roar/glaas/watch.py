"""Watching a server's log: every checkpoint must go on from the one seen before, and records must be in it.

Whatever contradicts what the server has signed is refused, and what was seen stays remembered: a refusal lasts.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any, NoReturn

from roar.errors import EXIT_NO, RecordError, RoarError, UsageError
from roar.glaas import checkpoint, known, merkle, ssh
from roar.glaas.checkpoint import Checkpoint
from roar.glaas.client import Client, RefusedError
from roar.glaas.ssh import PublicKey
from roar.records.summary import printable

AT_ONCE = 100
"""Records in one question."""
_ENTRIES_AT_ONCE = 5000
_KEY = "log.json"


class SuspectError(RoarError):
    """A server contradicts itself: what it shows now is not what it signed."""

    exit_code = EXIT_NO


def newest(client: Client, project: str, token: str | None) -> Checkpoint:
    """The newest checkpoint of a project's log, checked and remembered. Raises ``SuspectError`` or ``RoarError``."""
    origin, name = client.origin, known.seen(project)
    with known.alone(origin):  # an answer may not overtake a newer one
        answer = client.get(f"/projects/{project}/log/checkpoint", token=token)
        text, key = (str(answer.get(field)) if isinstance(answer, dict) else "" for field in ("checkpoint", "key"))
        found = _signed(origin, project, text, _same_key(origin, key))
        before = known.load(origin, name)
        if before:
            _goes_on(client, token, _remembered(origin, before), found, _day(before))
        known.save(origin, _KEY, {"key": key})
        known.save(origin, name, {"checkpoint": text, "time": int(time.time())})
    return found


def included(client: Client, token: str | None, at: Checkpoint, records: Mapping[str, str]) -> set[str]:
    """Those of some records, id to BLAKE3, that are shown to be in the log at a checkpoint.

    Raises ``SuspectError`` for a proof that does not hold.
    """
    proven: set[str] = set()
    wanted = sorted(records) if at.size else []
    for start in range(0, len(wanted), AT_ONCE):
        some = wanted[start : start + AT_ONCE]
        answer = client.get(f"/projects/{at.project}/log/proof", {"size": at.size, "id": some}, token)
        for identifier, index, hashes in _proofs(client.origin, answer):
            leaf = merkle.leaf_hash(checkpoint.leaf(identifier, records.get(identifier, "")))
            if not merkle.includes(leaf, index, at.size, hashes, at.root):
                raise SuspectError(
                    f"the log of {at.project} at {client.origin} does not hold record {printable(identifier)} as it is"
                    " here, although the server says so",
                    "roar fsck, and ask its administrator",
                )
            proven.add(identifier)
    return proven


def entries(client: Client, token: str | None, at: Checkpoint) -> set[str]:
    """The ids of all records that are in the log at a checkpoint.

    Raises ``SuspectError`` when what the server shows is not what the checkpoint was signed for.
    """
    ids, leaves = [], list[bytes]()
    while len(leaves) < at.size:
        query = {"start": len(leaves), "limit": min(_ENTRIES_AT_ONCE, at.size - len(leaves))}
        some = _leaves(client.origin, client.get(f"/projects/{at.project}/log/entries", query, token))
        if not some:
            break
        ids += [identifier for identifier, _ in some]
        leaves += [merkle.leaf_hash(checkpoint.leaf(*leaf)) for leaf in some]

    def node(level: int, number: int) -> bytes:
        if level == 0:
            return leaves[number]
        return merkle.node_hash(node(level - 1, 2 * number), node(level - 1, 2 * number + 1))

    if len(leaves) != at.size or merkle.root(node, at.size) != at.root:
        raise SuspectError(
            f"the log of {at.project} at {client.origin} is not shown as its checkpoint says that it is",
            "ask its administrator",
        )
    return set(ids)


def _same_key(origin: str, line: str) -> PublicKey:
    """The key that signs a server's log, which must be the one it was before."""
    try:
        key = ssh.parse(line)
    except UsageError:
        _no_checkpoint(origin)
    before = known.load(origin, _KEY).get("key")
    if before and before != line:
        was = ssh.parse(str(before)).fingerprint
        raise SuspectError(
            f"{origin} signs its log with another key ({key.fingerprint}) than the one seen before ({was})",
            f"ask its administrator; to trust the new key: rm {known.place(origin, _KEY)}",
        )
    return key


def _signed(origin: str, project: str, text: str, key: PublicKey) -> Checkpoint:
    """A checkpoint of this project by this key."""
    try:
        found, signature = checkpoint.split(text)
    except RecordError:
        _no_checkpoint(origin)
    if found.project != project or not ssh.is_signed(found.text.encode(), signature, key, checkpoint.NAMESPACE):
        raise SuspectError(
            f"{origin} shows a checkpoint that is not signed for the log of {project}", "ask its administrator"
        )
    return found


def _goes_on(client: Client, token: str | None, before: Checkpoint, found: Checkpoint, day: str) -> None:
    """Raises ``SuspectError`` unless a log begins with what it was before."""
    where = f"the log of {found.project} at {client.origin}"
    hint = f"ask its administrator; what was seen: {known.place(client.origin, known.seen(found.project))}"
    if found.size < before.size:
        raise SuspectError(
            f"{where} was rolled back: it has {found.size} records, and had {before.size} on {day}", hint
        )
    hashes: list[bytes] = []
    if 0 < before.size < found.size:
        query = {"old": before.size, "new": found.size}
        try:
            answer = client.get(f"/projects/{found.project}/log/consistency", query, token)
            hashes = [bytes.fromhex(part) for part in answer["hashes"]]
        except (RefusedError, LookupError, TypeError, ValueError):
            hashes = []  # no proof at all proves nothing
    if not merkle.extends(before.size, before.root, found.size, found.root, hashes):
        raise SuspectError(
            f"{where} was forked: its {found.size} records do not begin with the {before.size} seen on {day}", hint
        )


def _proofs(origin: str, answer: Any) -> list[tuple[str, int, list[bytes]]]:
    try:
        return [
            (str(part["id"]), int(part["index"]), [bytes.fromhex(h) for h in part["hashes"]])
            for part in answer["proofs"]
        ]
    except (LookupError, TypeError, ValueError):
        raise RoarError(f"{origin} gives proofs that cannot be read", "ask its administrator") from None


def _leaves(origin: str, answer: Any) -> list[tuple[str, str]]:
    try:
        return [(str(part["id"]), str(part["content"])) for part in answer["entries"]]
    except (LookupError, TypeError, ValueError):
        raise RoarError(f"{origin} shows a log that cannot be read", "ask its administrator") from None


def _remembered(origin: str, before: dict[str, Any]) -> Checkpoint:
    try:
        return checkpoint.split(str(before.get("checkpoint")))[0]
    except RecordError as error:
        raise RoarError(
            f"what was seen of the log at {origin} cannot be read", f"see {known.place(origin, 'seen')}"
        ) from error


def _day(before: dict[str, Any]) -> str:
    return time.strftime("%Y-%m-%d", time.localtime(before.get("time", 0)))


def _no_checkpoint(origin: str) -> NoReturn:
    raise SuspectError(f"{origin} shows no checkpoint of its log", "ask its administrator") from None
