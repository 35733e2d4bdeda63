"""The Merkle tree of RFC 6962, section 2.1, with SHA-256: roots, proofs, and how to check them.

A tree over n leaves is made of *complete* subtrees, those over 2**k leaves that begin at a multiple of 2**k. They
never change when leaves are added, so a log keeps their hashes and everything else is computed from O(log n) of them.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable

Node = Callable[[int, int], bytes]
"""The hash of the complete subtree of a level (0: leaves) with this number, from 0."""
EMPTY = hashlib.sha256(b"").digest()
"""The root of the tree without leaves."""


def leaf_hash(data: bytes) -> bytes:
    """The hash of a leaf."""
    return hashlib.sha256(b"\0" + data).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """The hash of a node above two others."""
    return hashlib.sha256(b"\1" + left + right).digest()


def root(node: Node, size: int) -> bytes:
    """The root of the tree over the first ``size`` leaves."""
    return _range(node, 0, size) if size else EMPTY


def inclusion(node: Node, index: int, size: int) -> list[bytes]:
    """The proof that leaf ``index`` is in the tree over ``size`` leaves (RFC 6962, 2.1.1)."""
    start, end = 0, size
    path = []
    while end - start > 1:
        middle = start + _split(end - start)
        if index < middle:
            path.append(_range(node, middle, end))
            end = middle
        else:
            path.append(_range(node, start, middle))
            start = middle
    return path[::-1]


def consistency(node: Node, old: int, new: int) -> list[bytes]:
    """The proof that the tree over ``new`` leaves begins with that over ``old`` (RFC 6962, 2.1.2); 0 < old <= new."""
    start, end, whole = 0, new, True
    path = []
    while old - start != end - start:
        middle = start + _split(end - start)
        if old <= middle:
            path.append(_range(node, middle, end))
            end = middle
        else:
            path.append(_range(node, start, middle))
            start, whole = middle, False
    if not whole:
        path.append(_range(node, start, end))
    return path[::-1]


def includes(leaf: bytes, index: int, size: int, proof: list[bytes], expected: bytes) -> bool:
    """Whether a proof shows that the hash ``leaf`` is leaf ``index`` of the tree with that root (RFC 9162, 2.1.3.2)."""
    if not 0 <= index < size:
        return False
    number, last, found = index, size - 1, leaf
    for part in proof:
        if last == 0:
            return False
        if number & 1 or number == last:
            found = node_hash(part, found)
            while not number & 1 and number:
                number, last = number >> 1, last >> 1
        else:
            found = node_hash(found, part)
        number, last = number >> 1, last >> 1
    return last == 0 and found == expected


def extends(old: int, old_root: bytes, new: int, new_root: bytes, proof: list[bytes]) -> bool:
    """Whether a proof shows that the tree with the new root begins with the old one (RFC 9162, 2.1.4.2)."""
    if old == new:
        return not proof and old_root == new_root
    if old == 0:
        return not proof and old_root == EMPTY
    if not 0 < old < new:
        return False
    parts = [old_root, *proof] if old & (old - 1) == 0 else proof
    if not parts:
        return False
    number, last = old - 1, new - 1
    while number & 1:
        number, last = number >> 1, last >> 1
    was = now = parts[0]
    for part in parts[1:]:
        if last == 0:
            return False
        if number & 1 or number == last:
            was, now = node_hash(part, was), node_hash(part, now)
            while not number & 1 and number:
                number, last = number >> 1, last >> 1
        else:
            now = node_hash(now, part)
        number, last = number >> 1, last >> 1
    return last == 0 and was == old_root and now == new_root


def _split(count: int) -> int:
    """The largest power of two below ``count`` (2 or more): how many leaves the left of two subtrees has."""
    return 1 << (count - 1).bit_length() - 1


def _range(node: Node, start: int, end: int) -> bytes:
    """The hash over the leaves of a subtree, which may be incomplete on its right."""
    count = end - start
    if count & (count - 1) == 0:
        level = count.bit_length() - 1
        return node(level, start >> level)
    middle = start + _split(count)
    return node_hash(_range(node, start, middle), _range(node, middle, end))
