#!/usr/bin/env python3
"""What a lineage page of many artifacts costs: to write, and to open in headless Chromium.

    scripts/test --version >/dev/null            # makes .venv with roar, playwright and all
    .venv/bin/python scripts/bench/page.py [--artifacts 2000] [--rounds 5]

The page is that of the newest report of pipelines that each begin with the report of the one before, so that every
artifact belongs to its lineage. Opening is timed inside the browser, from the start of the navigation, of a fresh
profile: until the page can be used (its script has run), until its first picture, and until a search has an answer on
the screen, which is typed when the page can be used.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from measure import Meter, Variant, cpu, interleave, median, wall

ROOT = Path(__file__).resolve().parent.parent.parent
BROWSERS = ("chromium", "chromium-browser", "google-chrome")
OPENED = """() => {
  const [{ domInteractive, domContentLoadedEventEnd, loadEventEnd }] = performance.getEntriesByType("navigation");
  const [paint] = performance.getEntriesByName("first-contentful-paint");
  return { ready: domContentLoadedEventEnd, paint: paint ? paint.startTime : 0, loaded: loadEventEnd, domInteractive };
}"""
SEARCHED = """() => new Promise((done) => {
  const began = performance.now();
  const search = document.getElementById("search");
  search.value = "model-3";
  search.dispatchEvent(new Event("input"));
  requestAnimationFrame(() => setTimeout(() => done(performance.now() - began)));
})"""


def repository(folder: str, jobs: int) -> tuple[str, str]:
    """A repository with pipelines of so many jobs, and the newest of them."""
    sys.path.insert(0, str(ROOT / "tests"))
    import make  # type: ignore[import-not-found]

    from roar.git.repository import discover

    top = os.path.join(folder, "project")
    subprocess.run(["git", "init", "-q", top], check=True)
    return top, make.bulk(discover(top), make.pipelines(jobs))[-1]


def opened(driver: Any, browser: str, page: Path) -> tuple[dict[str, float], int]:
    """The times of one opening, in milliseconds, and the rows of the page's tables."""
    with driver.chromium.launch(executable_path=browser, args=["--no-sandbox"]) as running:
        shown = running.new_page()
        shown.goto(page.as_uri())
        times: dict[str, float] = shown.evaluate(OPENED)
        times["searched"] = shown.evaluate(SEARCHED)
        return times, shown.locator("tbody tr").count()


def main() -> None:
    """Print rows of a table: what, median."""
    words = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    words.add_argument("--rounds", type=int, default=5)
    words.add_argument("--artifacts", type=int, default=2000)
    asked = words.parse_args()
    browser = next((found for name in BROWSERS if (found := shutil.which(name))), None)
    if browser is None:
        words.error(f"none of these is installed: {', '.join(BROWSERS)}")
    from playwright.sync_api import sync_playwright

    os.environ["PYTHONPATH"] = str(ROOT)
    with tempfile.TemporaryDirectory() as folder, Meter() as meter:
        top, last = repository(folder, asked.artifacts)  # a job writes one file
        page = Path(folder, "lineage.html")
        write = [sys.executable, "-m", "roar", "lineage", last, "-n", "0", "--html", str(page)]
        written = interleave(meter, {"write": Variant(write, top)}, asked.rounds)["write"]
        with sync_playwright() as driver:
            rounds = [opened(driver, browser, page) for _ in range(asked.rounds + 1)][1:]
        _, rows = rounds[-1]
        print(f"| writing it: CPU; wall | {median([*map(cpu, written)]):.2f}; {median([*map(wall, written)]):.2f} s |")
        print(f"| its size, and the rows of its tables | {page.stat().st_size / 1e6:.1f} MB; {rows:,} |")
        for name, title in (
            ("ready", "until it can be used"),
            ("paint", "until its first picture"),
            ("loaded", "until it is loaded"),
            ("searched", "a search in it"),
        ):
            print(f"| {title} | {median([times[name] for times, _ in rounds]):.0f} ms |")


if __name__ == "__main__":
    main()
