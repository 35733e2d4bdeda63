"""The API, fuzzed from its own document: whatever is asked, the answer is one that the document promises."""

from __future__ import annotations

import contextlib
import os
import subprocess
from typing import Any

import make
import pytest
import schemathesis
from fastapi import FastAPI
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis.errors import Unsatisfiable
from schemathesis.specs.openapi import checks

from roar.cache.index import open_index
from roar.git.repository import Repository, discover
from roar.server import api, failures
from roar.server.local import LocalSite
from server.conftest import on_both
from server.serving import PROJECT, Glaas, until
from server.state import kept

engine = on_both
EXAMPLES = int(os.environ.get("ROAR_TEST_EXAMPLES", "15"))
"""Questions for each address; more of them by hand."""


@pytest.fixture(scope="module")
def known(tmp_path_factory: pytest.TempPathFactory) -> Repository:
    """A repository with two pipelines, that questions may happen to hit."""
    folder = tmp_path_factory.mktemp("fuzz")
    with pytest.MonkeyPatch.context() as patch:
        for name in ("GIT_AUTHOR", "GIT_COMMITTER"):
            patch.setenv(f"{name}_NAME", "Ada Recorder")
            patch.setenv(f"{name}_EMAIL", "ada@example.org")
        subprocess.run(["git", "init", "-q", str(folder)], check=True)
        found = discover(str(folder))
        make.bulk(found, make.pipelines(24))
    return found


@pytest.fixture(scope="module")
def document(known: Repository) -> Any:
    app = FastAPI(openapi_url="/api/v1/openapi.json")
    app.state.site = LocalSite(known)
    app.include_router(api.router)
    failures.handle(app)
    return schemathesis.openapi.from_asgi("/api/v1/openapi.json", app)


PROMISED = [
    schemathesis.checks.not_a_server_error,
    checks.status_code_conformance,
    checks.content_type_conformance,
    checks.response_schema_conformance,
]


def fuzz(document: Any, mode: Any, examples: int, **more: Any) -> int:
    """Ask every address what the document makes one expect; gives how many questions that were."""
    asked = 0
    for operation in document.get_all_operations():

        @given(operation.ok().as_strategy(generation_mode=mode))
        @settings(
            max_examples=examples,
            derandomize=True,
            database=None,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        def ask(case: Any) -> None:
            nonlocal asked
            asked += 1
            case.call_and_validate(checks=PROMISED, **more)

        with contextlib.suppress(Unsatisfiable):  # nothing can be wrong where nothing is said
            ask()
    return asked


@pytest.mark.parametrize("mode", list(schemathesis.GenerationMode))
def test_whatever_is_asked(document: Any, mode: Any) -> None:
    assert fuzz(document, mode, EXAMPLES) >= EXAMPLES * 5


@pytest.mark.parametrize("mode", list(schemathesis.GenerationMode))
def test_whatever_a_running_server_is_asked(glaas: Glaas, known: Repository, mode: Any) -> None:
    """All that it has, log-ins and logs among it, by its administrator; and nothing of it changes anything."""
    words = ["git", f"--git-dir={known.git_dir}", "push", "-q", glaas.remote(), "refs/roar/*"]
    subprocess.run(words, check=True)
    until(lambda: glaas.indexed(PROJECT) == 24)
    document = schemathesis.openapi.from_url(f"{glaas.url}/api/v1/openapi.json")
    before = kept(glaas, PROJECT), glaas.storage.projects(), glaas.people.users()
    asked = fuzz(document, mode, EXAMPLES // 3, headers={"Authorization": f"Bearer {glaas.token(scope='admin')}"})
    assert asked >= EXAMPLES // 3 * 10
    assert (kept(glaas, PROJECT), glaas.storage.projects(), glaas.people.users()) == before
    assert "Traceback" not in glaas.log.read_text()


def test_real_names_in_every_place(known: Repository, document: Any) -> None:
    """What fuzzing hits by chance alone: ids and hashes that are there, in all the forms that are taken."""
    with open_index(known) as index:
        jobs, contents = index.jobs(limit=3), index.find_hashes("0")[:2]
    asked = 0
    for operation in document.get_all_operations():
        path = operation.ok().path
        for job in (jobs[0], jobs[0].lower(), jobs[1][:20]):
            for content in (contents[0], contents[0].upper(), contents[1][:9]):
                names = {"identifier": job, "before": jobs[2], "after": job, "content": content, "name": "x"}
                for query in (
                    {},
                    {"direction": "both", "limit": "1"},
                    {"limit": "x"},
                    {"cursor": jobs[1]},
                    {"id": job},
                ):
                    case = operation.ok().Case(path_parameters=names, query=query)
                    case.call_and_validate(checks=PROMISED)
                    asked += 1
            if "{" not in path:
                break
    assert asked > 200
