"""A second checker of the log, written from docs/glaas-protocol.md alone: it shares no code with roar.

Where roar follows the loops of RFC 9162, this follows the recursive definitions of RFC 6962.
"""

from __future__ import annotations

import base64
import hashlib
import subprocess
import tempfile
from pathlib import Path


def leaf(identifier: str, content: str) -> bytes:
    return hashlib.sha256(b"\x00" + f"{identifier} {content}".encode()).digest()


def node(left: bytes, right: bytes) -> bytes:
    return hashlib.sha256(b"\x01" + left + right).digest()


def split(count: int) -> int:
    power = 1
    while power * 2 < count:
        power *= 2
    return power


def root(leaves: list[bytes]) -> bytes:
    if not leaves:
        return hashlib.sha256(b"").digest()
    if len(leaves) == 1:
        return leaves[0]
    k = split(len(leaves))
    return node(root(leaves[:k]), root(leaves[k:]))


def root_by_inclusion(index: int, size: int, found: bytes, proof: list[bytes]) -> bytes:
    """The root that a proof of inclusion leads to; the proof must be used up."""
    if size == 1:
        assert not proof
        return found
    k, last = split(size), proof[-1]
    if index < k:
        return node(root_by_inclusion(index, k, found, proof[:-1]), last)
    return node(last, root_by_inclusion(index - k, size - k, found, proof[:-1]))


def roots_by_consistency(old: int, new: int, old_root: bytes, proof: list[bytes], *, whole: bool = True) -> list[bytes]:
    """The old and the new root that a proof of consistency leads to."""
    if old == new:
        if whole:
            assert not proof
            return [old_root, old_root]
        assert len(proof) == 1
        return [proof[0], proof[0]]
    k, last = split(new), proof[-1]
    if old <= k:
        was, now = roots_by_consistency(old, k, old_root, proof[:-1], whole=whole)
        return [was, node(now, last)]
    was, now = roots_by_consistency(old - k, new - k, old_root, proof[:-1], whole=False)
    return [node(last, was), node(last, now)]


def read_checkpoint(text: str, key: str) -> tuple[str, int, bytes]:
    """Origin, size and root of a checkpoint that this key signed, by ssh-keygen."""
    body, _, signature = text.partition("\n\n")
    body += "\n"
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "signers").write_text(f"server {key}\n")
        (Path(folder) / "sig").write_text(signature)
        words = ["-Y", "verify", "-f", f"{folder}/signers", "-I", "server", "-n", "checkpoint@roar"]
        subprocess.run(["ssh-keygen", *words, "-s", f"{folder}/sig"], input=body.encode(), check=True, timeout=30)
    origin, size, digest = body.splitlines()
    return origin, int(size), base64.b64decode(digest, validate=True)
