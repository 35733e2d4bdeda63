"""Lineage as dot, Mermaid, SVG and a page; the page in a real browser. Nothing that a record holds runs or escapes."""

from __future__ import annotations

import shutil
import subprocess
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import make
import pytest
from ask import Ask
from hypothesis import given
from hypothesis import strategies as st

from roar.draw.layers import layout
from roar.git.repository import Repository

CHROMIUM = next(
    (found for name in ("chromium", "chromium-browser", "google-chrome") if (found := shutil.which(name))), None
)
HOSTILE = '</script><script>document.title="owned"</script>"><img src=http://192.0.2.1/x>]]>\\"#;'


@pytest.fixture
def ask(tree: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Ask:
    return Ask(tree, monkeypatch, capsys)


@pytest.fixture
def pipeline(repo: Repository) -> Repository:
    """A preparation that makes many parts, a training, an evaluation, and somebody else's use of the model."""
    parts = {f"parts/{n}.csv": f"part {n}" for n in range(9)}
    make.job(repo, "prepare", {"raw.csv": "raw"}, parts)
    make.job(repo, ["train", HOSTILE], parts, {"m.pkl": "model"}, at=60)
    make.job(repo, "evaluate", {"m.pkl": "model"}, {"metrics.json": "metrics"}, at=120)
    make.job(repo, "publish", {"m.pkl": "model"}, {"site.tar": "site"}, at=180)
    return repo


def target(text: str) -> str:
    return make.digest(text)[:12]


def test_dot(pipeline: Repository, ask: Ask) -> None:
    found = ask("lineage", target("metrics"), "--dot")
    assert 'label="9 files in parts/\\n0.csv, …", shape=folder' in found
    assert found.count("->") == 6
    if shutil.which("dot"):
        subprocess.run(["dot", "-Tsvg"], input=found.encode(), check=True, capture_output=True)


def test_mermaid(pipeline: Repository, ask: Ask) -> None:
    found = ask("lineage", target("metrics"), "--mermaid")
    assert found.startswith("\nflowchart LR\n")
    assert '[["9 files in parts/<br/>0.csv, …"]]' in found
    assert "<script" not in found
    assert found.count("-->") == 6


def test_svg(pipeline: Repository, ask: Ask, tmp_path: Path) -> None:
    drawn = tmp_path / "lineage.svg"
    assert ask("lineage", target("model"), "--up", "--down", "--svg", str(drawn)) == "\n"
    top = ET.parse(drawn).getroot()
    nodes = list(top.iter("{http://www.w3.org/2000/svg}g"))
    assert len(nodes) == 9
    assert [g.get("class") for g in nodes].count("node file focus") == 1
    assert {child.tag.rpartition("}")[2] for child in top.iter()} <= {
        "svg", "style", "defs", "marker", "path", "g", "title", "rect", "text",
    }  # fmt: skip


def test_directions(pipeline: Repository, ask: Ask) -> None:
    def commands(*words: str) -> list[str]:
        return [job["command"].split()[0] for job in ask.json("lineage", *words)["jobs"]]

    assert commands(target("model"), "--up", "--down") == ["prepare", "train", "evaluate", "publish"]
    assert commands(target("metrics"), "--to", target("part 3")) == ["train", "evaluate"]
    assert commands(target("raw"), "--to", target("model")) == ["prepare", "train"]
    assert commands(target("raw"), "--down", "--to", target("model")) == ["prepare", "train"]
    assert "nothing recorded leads" in ask("lineage", target("metrics"), "--to", target("site"), code=1)
    assert "different answers" in ask("lineage", target("metrics"), "--dot", "--html", "x", code=2)
    assert "cannot write" in ask("lineage", target("metrics"), "--html", "/nonexistent/x", code=1)


@pytest.fixture
def page(pipeline: Repository, ask: Ask, tmp_path: Path) -> Iterator[Any]:
    """The page in a browser; requests and messages of its console are in ``page.seen``."""
    if CHROMIUM is None:
        pytest.skip("no Chromium is installed")
    from playwright.sync_api import sync_playwright

    written = tmp_path / "lineage.html"
    ask("lineage", target("metrics"), "--html", str(written))
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        opened = browser.new_page()
        opened.seen = []
        opened.on("request", lambda request: opened.seen.append(request.url))
        opened.on("console", lambda message: opened.seen.append(message.text))
        opened.on("pageerror", lambda error: opened.seen.append(str(error)))
        opened.goto(written.as_uri())
        yield opened
        assert opened.seen == [written.as_uri()]
        browser.close()


def test_the_page(page: Any) -> None:
    assert page.title().startswith("Lineage of metrics.json")
    assert page.locator("#files tbody tr").count() == 12
    assert page.locator("#files tbody tr").first.inner_text().startswith("metrics.json")
    assert page.locator(".node").count() == 7
    page.fill("#search", "parts/3")
    assert page.locator("#files tbody tr:visible").count() == 1
    assert page.locator(".node.found").count() == 1
    page.fill("#search", "")
    page.click(".node.files")
    assert "parts/8.csv" in page.inner_text("#panel")
    page.keyboard.press("Escape")
    assert page.locator("#panel").is_hidden()
    page.click("button[data-job] >> nth=1")
    assert "roar reproduce" in page.inner_text("#panel")


def test_the_page_says_what_a_record_holds_and_does_not_obey_it(page: Any) -> None:
    assert page.locator("#jobs").inner_text().count("</script><script>") == 1
    assert page.locator("img").count() == 0


def test_without_script_the_page_can_be_read(pipeline: Repository, ask: Ask, tmp_path: Path) -> None:
    written = tmp_path / "lineage.html"
    ask("lineage", target("metrics"), "--html", str(written))
    text = written.read_text()
    assert text.count("<script") == 2
    assert "default-src &#x27;none&#x27;" in text
    assert 'id="controls" hidden' in text


graphs = st.lists(st.tuples(st.integers(0, 12), st.integers(0, 12)), max_size=40)


@given(graphs)
def test_any_graph_can_be_laid_out(pairs: list[tuple[int, int]]) -> None:
    keys = [str(n) for n in range(13)]
    edges = [(str(a), str(b)) for a, b in pairs]
    drawn = layout(keys, edges, dict.fromkeys(keys, (100.0, 40.0)))
    assert set(drawn.boxes) == set(keys)
    assert set(drawn.lines) == {(a, b) for a, b in edges if a != b}
    boxes = list(drawn.boxes.values())
    for n, one in enumerate(boxes):
        for other in boxes[:n]:
            apart = one.x + one.width <= other.x or other.x + other.width <= one.x
            assert apart or one.y + one.height <= other.y or other.y + other.height <= one.y
    for start, end in drawn.lines:
        if int(start) < int(end):
            assert drawn.boxes[start].x < drawn.boxes[end].x
