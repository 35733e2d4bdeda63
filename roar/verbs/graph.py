"""A lineage as a graph of jobs and files, with files that belong together folded into one node.

Edges follow the data: from a file to the job that read it, from a job to the file that it wrote.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Collection, Iterable
from typing import Literal, NamedTuple

from roar.verbs.ancestry import Ancestry, Product
from roar.verbs.resolve import Target

FOLD_FROM = 4
"""Files made by the same job and read by the same jobs are one node from this number on."""

MOST_OPENED = 60
"""Neighbours of one node that are shown because it was opened."""


class Node(NamedTuple):
    """A job (``key`` is its id), or files: one, or several folded into one; or what stands for nodes left out."""

    key: str
    kind: Literal["job", "file", "files", "more"]
    files: tuple[Product, ...] = ()
    hidden: tuple[str, ...] = ()
    """Of ``more``: the keys of the nodes that it stands for."""
    beside: str = ""
    """Of ``more``: the key of the node that they are neighbours of."""


class Graph(NamedTuple):
    """Nodes in order of dependency, edges as pairs of keys. ``focus`` are the nodes that were asked about."""

    nodes: list[Node]
    edges: list[tuple[str, str]]
    focus: set[str]
    left_out: int = 0
    """Nodes that are farther away than the drawing shows."""


def graph(found: Ancestry, target: Target, unfolded: Collection[str] = ()) -> Graph:
    """The graph of a lineage, all of it; ``unfolded`` are the keys of nodes whose files are to stand for themselves."""
    together: dict[tuple[str | None, tuple[str, ...]], list[Product]] = {}
    for product in found.products:
        together.setdefault((product.made_by, tuple(product.used_by)), []).append(product)
    nodes: dict[str, Node] = {}
    edges: dict[tuple[str, str], None] = {}
    of_maker: dict[str | None, list[Node]] = {}
    for (made_by, used_by), products in together.items():
        for node in _file_nodes(made_by, products, target, unfolded):
            of_maker.setdefault(made_by if made_by in found.jobs else None, []).append(node)
            if made_by in found.jobs and made_by is not None:
                edges[made_by, node.key] = None
            edges.update(((node.key, reader), None) for reader in used_by if reader in found.jobs)
    nodes.update((node.key, node) for node in of_maker.get(None, []))
    for job in found.lineage.jobs:
        nodes[job] = Node(job, "job")
        nodes.update((node.key, node) for node in of_maker.get(job, []))
    focus = {key for key, node in nodes.items() if key == target.id or any(p.use.hash == target.id for p in node.files)}
    return Graph(list(nodes.values()), list(edges), focus)


def _file_nodes(
    made_by: str | None, products: list[Product], target: Target, unfolded: Collection[str]
) -> Iterable[Node]:
    """One node each for a few files and for the one asked about, one for all the others together."""
    few = len(products) < FOLD_FROM
    folded = [] if few else [product for product in products if product.use.hash != target.id]
    together = f"{made_by or 'from outside'}:{folded[0].use.path}:{len(folded)}" if folded else ""
    alone = products if few or together in unfolded else [p for p in products if p.use.hash == target.id]
    for product in alone:
        yield Node(f"{made_by or 'from outside'}:{product.use.path}:{product.use.hash}", "file", (product,))
    if folded and together not in unfolded:
        yield Node(together, "files", tuple(folded))


def neighbourhood(
    whole: Graph, most: int, opened: Collection[str] = (), beside_each: int | None = None, unfolded: Iterable[str] = ()
) -> Graph:
    """At most so many nodes, those nearest to what was asked about; and whatever is right beside those ``opened``,
    and of the files ``unfolded`` those right beside what is there.

    With ``beside_each`` at most so many neighbours of each lead on: what half of all jobs read does not fill it.
    """
    if not whole.nodes or (len(whole.nodes) <= most and beside_each is None):
        return whole
    beside: dict[str, list[str]] = {}
    for start, end in whole.edges:
        beside.setdefault(start, []).append(end)
        beside.setdefault(end, []).append(start)
    waiting = deque(sorted(whole.focus) or [whole.nodes[-1].key])
    near: dict[str, None] = dict.fromkeys(waiting)
    while waiting and len(near) < most:
        for other in beside.get(waiting.popleft(), [])[:beside_each]:
            if other not in near and len(near) < most:
                near[other] = None
                waiting.append(other)
    for key in opened:
        near.update(dict.fromkeys([key, *beside[key]][:MOST_OPENED] if key in near and key in beside else ()))
    there = set(near)
    near.update(dict.fromkeys([key for key in unfolded if there.intersection(beside.get(key, ()))][:MOST_OPENED]))
    nodes = [node for node in whole.nodes if node.key in near]
    edges = [edge for edge in whole.edges if edge[0] in near and edge[1] in near]
    return Graph(nodes, edges, whole.focus, len(whole.nodes) - len(nodes))


def with_stubs(near: Graph, whole: Graph) -> Graph:
    """A part of a graph with a node for what was left out before, and one for what was left out after, each of its.

    One node alone that leads nowhere else is drawn itself: its place is no larger.
    """
    drawn = {node.key for node in near.nodes}
    degree = Counter(key for edge in whole.edges for key in edge)
    hidden: dict[tuple[str, bool], list[str]] = {}
    for start, end in whole.edges:
        if (start in drawn) != (end in drawn):
            after = start in drawn
            hidden.setdefault((start if after else end, after), []).append(end if after else start)
    leaves = {keys[0] for keys in hidden.values() if len(keys) == 1 and degree[keys[0]] == 1}
    stubs = [(after, _stub(key, after, keys)) for (key, after), keys in hidden.items() if keys[0] not in leaves]
    nodes = [node for node in whole.nodes if node.key in drawn or node.key in leaves]
    shown = {node.key for node in nodes}
    edges = [edge for edge in whole.edges if edge[0] in shown and edge[1] in shown]
    edges += [(stub.beside, stub.key) if after else (stub.key, stub.beside) for after, stub in stubs]
    before, behind = ([stub for after, stub in stubs if after == side] for side in (False, True))
    return Graph([*before, *nodes, *behind], edges, near.focus, len(whole.nodes) - len(nodes))


def _stub(key: str, after: bool, hidden: list[str]) -> Node:
    return Node(f"{'after' if after else 'before'}:{key}", "more", hidden=tuple(hidden), beside=key)
