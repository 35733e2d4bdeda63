"""The tracer, its mechanisms, and small programs compiled on the way."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
sys.path.insert(0, str(HERE))

from cases import ALL  # noqa: E402
from programs import compile_program, program  # noqa: E402
from tracing import Report, trace  # noqa: E402


def find_tracer() -> Path | None:
    given = os.environ.get("ROAR_TRACER")
    built = Path(given) if given else ROOT / "roar" / "bin" / "roar-tracer"
    return built if built.exists() else None


TRACER = find_tracer()
ABILITIES: dict[str, Any] = {}
if TRACER is not None:
    ABILITIES = json.loads(subprocess.run([TRACER, "--self-test"], capture_output=True, check=False).stdout or "{}")


@pytest.fixture(scope="session")
def tracer() -> Path:
    if TRACER is None:
        pytest.skip("no tracer: build it with tracer/build")
    return TRACER


@pytest.fixture(params=["ptrace", "notify"])
def mechanism(request: pytest.FixtureRequest) -> str:
    if TRACER is not None and ABILITIES.get(request.param) is not True:
        pytest.skip(f"{request.param}: {ABILITIES.get(request.param)}")
    return str(request.param)


Traced = Callable[..., Report]


@pytest.fixture
def traced(tracer: Path, mechanism: str) -> Traced:
    """Run a command under the mechanism at hand: traced(command, folder, *options, **subprocess_settings)."""
    return lambda command, folder, *options, **how: trace(tracer, mechanism, command, folder, *options, **how)


@pytest.fixture(scope="session")
def compiled(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """Compile the text of a C program once per session, or find it where ROAR_TRACER_PROGRAMS says they are."""
    given = os.environ.get("ROAR_TRACER_PROGRAMS")
    folder = Path(given) if given else tmp_path_factory.mktemp("programs")

    def build(text: str, *flags: str) -> Path:
        target = program(folder, text, flags)
        if not target.exists():
            if shutil.which("cc") is None:
                pytest.skip("no C compiler")
            said = compile_program("cc", folder, text, flags)
            if said and ("-static" in flags or "-m32" in flags):
                pytest.skip(f"cannot link with {flags}")
            assert target.exists(), said
        return target

    return build


@pytest.fixture
def sharing_blocks(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[Path], None]]:
    """Mount a new file system that can share blocks between files over a folder, until the test's end."""
    mounted: list[Path] = []

    def mount(folder: Path) -> None:
        folder.mkdir(exist_ok=True)
        said = "neither mkfs.btrfs nor mkfs.xfs is installed"
        for maker, size in (("mkfs.btrfs", 128 << 20), ("mkfs.xfs", 320 << 20)):
            if shutil.which(maker):
                image = tmp_path_factory.mktemp("image") / "disk"
                image.touch()
                os.truncate(image, size)
                steps: tuple[list[str | Path], ...] = [maker, "-q", image], ["mount", "-o", "loop", image, folder]
                done = [subprocess.run(step, capture_output=True, text=True, check=False) for step in steps]
                if done[-1].returncode == 0:
                    return mounted.append(folder)
                said = done[-1].stderr.strip()
        pytest.skip(f"no file system that shares blocks can be mounted: {said}")

    yield mount
    for folder in mounted:
        subprocess.run(["umount", folder], check=True)


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """With ROAR_TRACER_TABLE=docs/tracer.md: put what the battery found into the table of that file."""
    target = os.environ.get("ROAR_TRACER_TABLE")
    if target is None:
        return
    columns = ("ptrace", "notify", "run, ptrace", "run, notify")
    outcomes: dict[str, dict[str, str]] = {}
    for outcome, word in (("passed", "yes"), ("skipped", "-"), ("failed", "**no**")):
        for report in terminalreporter.stats.get(outcome, ()):
            test, _, words = report.nodeid.rpartition("::")[2].rstrip("]").partition("[")
            if test in ("test_battery", "test_battery_in_run"):
                column, name = words.split("-", 1)
                column = column if test == "test_battery" else f"run, {column}"
                outcomes.setdefault(name, {})[column] = word
    rows = [(case.name.replace("_", " "), *(outcomes.get(case.name, {}).get(c, "-") for c in columns)) for case in ALL]
    head = f"| what is seen | {' | '.join(columns)} |\n|---|{'---|' * len(columns)}\n"
    page = Path(target)
    before, _, rest = page.read_text().partition("<!-- battery -->\n")
    after = rest.partition("<!-- /battery -->")[2]
    text = head + "".join(f"| {' | '.join(cells)} |\n" for cells in rows)
    page.write_text(f"{before}<!-- battery -->\n{text}<!-- /battery -->{after}")
