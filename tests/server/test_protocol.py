"""The vectors of ``docs/glaas-protocol.md``: roar holds them, and so does the second checker."""

from __future__ import annotations

import json
from typing import Any

from conftest import ROOT

from roar.glaas import checkpoint, login, merkle, ssh
from server import second_log

VECTORS: dict[str, list[dict[str, Any]]] = json.loads((ROOT / "docs/vectors/glaas.json").read_text())


def node(level: int, number: int) -> bytes:
    hashes = [bytes.fromhex(leaf["hash"]) for leaf in VECTORS["leaves"]]
    return second_log.root(hashes[number << level : (number + 1) << level])


def roots() -> dict[int, bytes]:
    return {case["size"]: bytes.fromhex(case["root"]) for case in VECTORS["roots"]}


def hashes(case: dict[str, Any]) -> list[bytes]:
    return [bytes.fromhex(part) for part in case["hashes"]]


def test_log_in_messages() -> None:
    for case in VECTORS["messages"]:
        text = login.message(case["audience"], case["project"], case["operation"], case["challenge"])
        key = ssh.parse(case["key"])
        assert text.decode() == case["text"]
        assert key.fingerprint == case["fingerprint"]
        assert ssh.is_signed(text, case["signature"], key, login.NAMESPACE)


def test_leaves_and_roots() -> None:
    for case in VECTORS["leaves"]:
        assert merkle.leaf_hash(checkpoint.leaf(case["id"], case["content"])).hex() == case["hash"]
        assert second_log.leaf(case["id"], case["content"]).hex() == case["hash"]
    for size, root in roots().items():
        assert merkle.root(node, size) == root
        assert second_log.root([bytes.fromhex(leaf["hash"]) for leaf in VECTORS["leaves"][:size]]) == root


def test_proofs() -> None:
    for case in VECTORS["inclusion"]:
        index, size, leaf = case["index"], case["size"], bytes.fromhex(VECTORS["leaves"][case["index"]]["hash"])
        assert merkle.inclusion(node, index, size) == hashes(case)
        assert merkle.includes(leaf, index, size, hashes(case), roots()[size])
        assert second_log.root_by_inclusion(index, size, leaf, hashes(case)) == roots()[size]
    for case in VECTORS["consistency"]:
        old, new = case["old"], case["new"]
        assert merkle.consistency(node, old, new) == hashes(case)
        assert merkle.extends(old, roots()[old], new, roots()[new], hashes(case))
        assert second_log.roots_by_consistency(old, new, roots()[old], hashes(case)) == [roots()[old], roots()[new]]


def test_checkpoint() -> None:
    (case,) = VECTORS["checkpoint"]
    found, signature = checkpoint.split(case["text"])
    assert ssh.is_signed(found.text.encode(), signature, ssh.parse(case["key"]), checkpoint.NAMESPACE)
    assert (found.project, found.size, found.root) == ("team/model", 21, roots()[21])
    assert second_log.read_checkpoint(case["text"], case["key"]) == ("glaas/team/model", 21, roots()[21])
