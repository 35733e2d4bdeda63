"""The picture: what it looks like, and that its lines do what they must on any graph."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from roar.draw.rows import Row, layout, text


def picture(nodes: str, **parents: str) -> str:
    lines = [
        f"{text(row)}  {row.node}" if row.node else text(row)
        for row in layout(nodes.split(), {child: names.split() for child, names in parents.items()})
    ]
    return "\n" + "\n".join(lines) + "\n"


def test_a_chain() -> None:
    assert (
        picture("c b a", c="b", b="a")
        == r"""
*  c
*  b
*  a
"""
    )


def test_a_diamond() -> None:
    assert (
        picture("d c b a", d="b c", b="a", c="a")
        == r"""
*  d
|\
| *  c
* |  b
|/
*  a
"""
    )


def test_a_fan_in() -> None:
    assert (
        picture("x d c b a", x="a b c d")
        == r"""
*  x
|\
|\ \
|\ \ \
| | | *  d
| | *  c
| *  b
*  a
"""
    )


def test_a_fan_out() -> None:
    assert (
        picture("z y x p", z="p", y="p", x="p")
        == r"""
*  z
| *  y
|/
| *  x
|/
*  p
"""
    )


def test_a_line_across_others() -> None:
    assert (
        picture("h g f d c a", h="a c", g="c d", f="a", d="a")
        == r"""
*  h
|\
| | *  g
| |/|
| | | *  f
| |_|/
|/| |
| | *  d
| |/
|/|
| *  c
*  a
"""
    )


def test_graphs_that_do_not_touch() -> None:
    assert (
        picture("d c b a", d="b", c="a")
        == r"""
*  d
| *  c
* |  b
 /
*  a
"""
    )


def test_a_cycle_and_a_stranger_get_no_line() -> None:
    assert (
        picture("b a", b="a stranger", a="b")
        == r"""
*  b
*  a
"""
    )


@st.composite
def graphs(draw: st.DrawFn) -> tuple[list[str], dict[str, list[str]]]:
    nodes = [f"n{k}" for k in range(draw(st.integers(0, 14)))]
    parents = {
        node: draw(st.lists(st.sampled_from(nodes[k + 1 :]), unique=True, max_size=5)) if nodes[k + 1 :] else []
        for k, node in enumerate(nodes)
    }
    return nodes, parents


@given(graphs())
def test_every_line_connects_and_nothing_overlaps(graph: tuple[list[str], dict[str, list[str]]]) -> None:
    nodes, parents = graph
    rows = list(layout(nodes, parents))
    assert [row.node for row in rows if row.node] == nodes
    for number, row in enumerate(rows):
        marks = sum(1 for c in text(row) if c != " ")
        drawn = sum(max(1, abs(link.top - link.bottom)) for link in row.links) + (row.node is not None)
        assert marks == drawn, "two marks share a place"
        below = rows[number + 1] if number + 1 < len(rows) else None
        for link in row.links:
            assert below is not None, "a line leads nowhere"
            arrives = below.node == link.target and below.lane == link.bottom
            assert arrives or any((n.top, n.target) == (link.bottom, link.target) for n in below.links)
        above = rows[number - 1] if number else None
        for link in row.links:
            starts = (
                above is not None
                and above.lane == link.top
                and above.node is not None
                and link.target in parents[above.node]
            )
            leaves = row.node is None and row.lane == link.top
            comes = above is not None and any((a.bottom, a.target) == (link.top, link.target) for a in above.links)
            assert starts or leaves or comes, "a line comes from nowhere"
    for child in nodes:
        assert reached(rows, child, parents[child]) == set(parents[child])


def reached(rows: list[Row], child: str, parents: list[str]) -> set[str]:
    """The parents that lines from a node lead to, each line followed by its own target."""
    at = next(number for number, row in enumerate(rows) if row.node == child)
    lane = rows[at].lane
    open_lines = {(lane, parent) for parent in parents}
    leaving, found = True, set()
    for row in rows[at + 1 :]:
        found |= {target for column, target in open_lines if (row.node, row.lane) == (target, column)}
        leaving = leaving and row.node is None and row.lane == lane
        waiting = {(lane, target) for column, target in open_lines if leaving and column == lane}
        open_lines = waiting | {(n.bottom, n.target) for n in row.links if (n.top, n.target) in open_lines}
    return found


@given(graphs())
def test_a_picture_is_no_wider_than_its_open_lines(graph: tuple[list[str], dict[str, list[str]]]) -> None:
    nodes, parents = graph
    for row in layout(nodes, parents):
        at = nodes.index(row.node) if row.node else None
        if at is not None:
            open_lines = {p for n in nodes[:at] for p in parents[n] if nodes.index(p) > at}
            assert len(text(row)) <= 2 * len(open_lines | {row.node}) - 1
