"""A lineage as a graph of jobs and files, with files that belong together folded into one node.

Edges follow the data: from a file to the job that read it, from a job to the file that it wrote.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from typing import Literal, NamedTuple

from roar.verbs.ancestry import Ancestry, Product
from roar.verbs.resolve import Target

FOLD_FROM = 4
"""Files made by the same job and read by the same jobs are one node from this number on."""


class Node(NamedTuple):
    """A job (``key`` is its id), or files: one, or several folded into one."""

    key: str
    kind: Literal["job", "file", "files"]
    files: tuple[Product, ...] = ()


class Graph(NamedTuple):
    """Nodes in order of dependency, edges as pairs of keys. ``focus`` are the nodes that were asked about."""

    nodes: list[Node]
    edges: list[tuple[str, str]]
    focus: set[str]
    left_out: int = 0
    """Nodes that are farther away than the drawing shows."""


def graph(found: Ancestry, target: Target) -> Graph:
    """The graph of a lineage, all of it."""
    together: dict[tuple[str | None, tuple[str, ...]], list[Product]] = {}
    for product in found.products:
        together.setdefault((product.made_by, tuple(product.used_by)), []).append(product)
    nodes: dict[str, Node] = {}
    edges: dict[tuple[str, str], None] = {}
    of_maker: dict[str | None, list[Node]] = {}
    for (made_by, used_by), products in together.items():
        for node in _file_nodes(made_by, products, target):
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


def _file_nodes(made_by: str | None, products: list[Product], target: Target) -> Iterable[Node]:
    """One node each for a few files and for the one asked about, one for all the others together."""
    alone = products if len(products) < FOLD_FROM else [p for p in products if p.use.hash == target.id]
    for product in alone:
        yield Node(f"{made_by or 'from outside'}:{product.use.path}:{product.use.hash}", "file", (product,))
    folded = [product for product in products if product not in alone]
    if folded:
        yield Node(f"{made_by or 'from outside'}:{folded[0].use.path}:{len(folded)}", "files", tuple(folded))


def neighbourhood(whole: Graph, most: int) -> Graph:
    """At most so many nodes, those nearest to what was asked about."""
    if len(whole.nodes) <= most:
        return whole
    beside: dict[str, list[str]] = {}
    for start, end in whole.edges:
        beside.setdefault(start, []).append(end)
        beside.setdefault(end, []).append(start)
    waiting = deque(sorted(whole.focus) or [whole.nodes[-1].key])
    near: dict[str, None] = dict.fromkeys(waiting)
    while waiting and len(near) < most:
        for other in beside.get(waiting.popleft(), ()):
            if other not in near and len(near) < most:
                near[other] = None
                waiting.append(other)
    nodes = [node for node in whole.nodes if node.key in near]
    edges = [edge for edge in whole.edges if edge[0] in near and edge[1] in near]
    return Graph(nodes, edges, whole.focus, len(whole.nodes) - len(nodes))
