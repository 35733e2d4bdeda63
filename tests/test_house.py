"""The house: who may import whom, which package has which door, what start-up may not load."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from pathlib import Path

import make
import pytest

from roar.git.repository import Repository

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "roar"

FLOORS = [
    {"errors", "log"},
    {"git", "records", "paths"},
    {"journal", "hashing", "stamps", "environment", "lineage", "config"},
    {"cache", "trace", "redact", "store", "glaas"},
    {"verbs", "draw", "export"},
    {"cli", "server"},
    {"__main__"},
]
ORDER_ON_A_FLOOR = [
    "errors",
    "log",
    "paths",
    "git",
    "records",
    "stamps",
    "hashing",
    "config",
    "journal",
    "environment",
    "lineage",
    "redact",
    "store",
    "verbs",
    "draw",
    "export",
    "server",
    "cli",
]

DOORS = {
    "pydantic": {"records", "config", "server"},
    "pydantic_core": {"records", "config", "server"},
    "sqlalchemy": {"cache"},
    "dulwich": {"git"},
    "click": {"cli"},
    "platformdirs": {"paths"},
    "orjson": {"records", "trace", "cli", "cache"},
    "blake3": {"hashing", "stamps", "records"},
    "sqlite3": {"stamps", "cache", "environment"},
    "fsspec": {"store"},
    "sshfs": {"store"},
    "fastapi": {"server"},
    "starlette": {"server"},
    "uvicorn": {"server"},
    "jinja2": {"server"},
    "alembic": {"server"},
    "psycopg": {"cache"},
}


def modules() -> dict[str, Path]:
    found = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        name = ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
        found[name] = path
    return found


def imports(path: Path, module: str) -> list[str]:
    found = []
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                package = module.split(".") if path.name == "__init__.py" else module.split(".")[:-1]
                base = ".".join([*package[: len(package) - node.level + 1], *([base] if base else [])])
            found += [base] + [f"{base}.{alias.name}" for alias in node.names]
    return found


def room(module: str) -> str:
    return module.split(".")[1] if "." in module else ""


def floor(name: str) -> int:
    return next(i for i, rooms in enumerate(FLOORS) if name in rooms)


@pytest.mark.parametrize("module", [m for m in modules() if m != "roar"])
def test_imports_go_down_only(module: str) -> None:
    here = room(module)
    for target in imports(modules()[module], module):
        there = room(target) if target.startswith("roar.") else ""
        if not there or there == here or there == "__version__":
            continue
        assert floor(there) <= floor(here), f"{module} imports {target} from a floor above"
        if floor(there) == floor(here):
            assert here in ORDER_ON_A_FLOOR, f"{module} imports {target} from its own floor"
            assert ORDER_ON_A_FLOOR.index(there) < ORDER_ON_A_FLOOR.index(here), f"{module} imports {target}"


@pytest.mark.parametrize("module", list(modules()))
def test_every_dependency_has_one_door(module: str) -> None:
    for target in imports(modules()[module], module):
        package = target.split(".")[0]
        assert package not in DOORS or room(module) in DOORS[package], f"{module} imports {package}"


def test_git_knows_no_records_and_records_know_no_git() -> None:
    for module, path in modules().items():
        for target in imports(path, module):
            assert not (room(module) == "git" and target.startswith("roar.records")), module
            assert not (room(module) == "records" and target.startswith(("roar.git", "roar.cache"))), module


def loaded(code: str) -> set[str]:
    script = f"import sys\n{code}\nprint('\\n'.join(sys.modules))"
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    out = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, env=env)
    return {m.split(".")[0] for m in out.stdout.split()}


HEAVY = {"click", "pydantic", "orjson", "dulwich", "sqlalchemy", "sqlite3", "platformdirs", "blake3", "json", "asyncio"}


def test_the_command_starts_before_anything_heavy_is_imported() -> None:
    assert (
        loaded("import roar.__main__, roar.cli.start") & (HEAVY | {"subprocess", "hashlib", "typing", "getpass"})
        == set()
    )


def test_help_loads_click_alone() -> None:
    code = (
        "import contextlib, io, roar.cli.main as m\nwith contextlib.redirect_stdout(io.StringIO()): m.main(['--help'])"
    )
    assert loaded(code) & HEAVY == {"click"}


def test_recording_loads_no_database_layer_and_no_click() -> None:
    assert loaded("import roar.cli.recorder") & (HEAVY - {"pydantic", "orjson", "blake3", "json", "sqlite3"}) == set()


def test_no_question_loads_sqlalchemy(repo: Repository) -> None:
    make.job(repo, "train", {}, {"m.pkl": "m"})
    make.job(repo, "test", {"m.pkl": "m"}, {}, at=60)
    code = (
        f"import os; os.chdir({repo.work_tree!r}); from roar.cli.main import main\n"
        "for words in (['log'], ['show', 'm.pkl'], ['lineage', 'm.pkl'], ['status'], ['dag']):\n"
        "    assert main(words) == 0"
    )
    assert "sqlalchemy" not in loaded(code)


def test_a_server_keeps_no_migrations_in_memory_and_its_worker_no_server() -> None:
    assert not {"alembic", "sqlalchemy"} & loaded("import roar.server.run")
    assert not {"alembic", "sqlalchemy", "fastapi", "uvicorn", "jinja2"} & loaded("import roar.server.worker")


def test_building_records_does_not_search_for_plugins() -> None:
    code = "from roar.records.job import Session; Session(clock=1, writer='a', user='a')"
    assert "email" not in loaded(code)


@pytest.mark.parametrize("system", ["darwin", "win32"])
def test_elsewhere_than_on_linux_one_sentence_says_so(system: str, tmp_path: Path) -> None:
    code = f"import sys; sys.platform = {system!r}; from roar.cli.start import go; sys.exit(go('run', {{}}, ['true']))"
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=env, cwd=tmp_path, check=False
    )
    assert done.returncode == 125
    assert done.stderr.startswith("roar: tracing needs Linux")
    assert done.stderr.count("\n") == 1
