"""The index is lost under a server that runs: it is derived, so it comes back, by itself or by one command."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import make
from conftest import Git, Roar

from roar.git.repository import Repository
from server.cluster import Cluster
from server.serving import Glaas, until


def recorded(glaas: Glaas, repo: Repository, git: Git) -> str:
    """The path that asks for a content which a job pushed to the server made."""
    make.job(repo, "python a.py", {}, {"m": "1"})
    git(repo.work_tree or "", "push", "-q", glaas.remote(), "refs/roar/*")
    asked = f"artifacts/{make.digest('1')}"
    until(lambda: glaas.api(asked, glaas.token())[0] == 200)
    return asked


def test_all_files_of_it_are_deleted(tmp_path: Path, repo: Repository, roar: Roar, git: Git) -> None:
    glaas = Glaas(tmp_path)
    glaas.start()
    try:
        asked = recorded(glaas, repo, git)
        before = glaas.api(asked, glaas.token())
        for path in glaas.data.rglob("*.db*"):
            path.unlink(missing_ok=True)
        said = {glaas.api(asked, glaas.token())[0] for _ in range(20)}
        assert said <= {200, 404, 503}
        until(lambda: glaas.api(asked, glaas.token()) == before)
        assert "Traceback" not in glaas.log.read_text()
    finally:
        glaas.stop()


def test_its_schemas_are_dropped(tmp_path: Path, repo: Repository, git: Git, postgres: Cluster) -> None:
    url = postgres.database()
    glaas = Glaas(tmp_path, "--database", url)
    glaas.migrate()
    glaas.start()
    try:
        asked = recorded(glaas, repo, git)
        before = glaas.api(asked, glaas.token())
        postgres.call(
            "psql", "-h", str(postgres.folder), "-U", "roar", "-c", "DROP SCHEMA glaas CASCADE", postgres_name(url)
        )
        status, said = glaas.api(asked, glaas.token())
        assert (status, said["error"]["code"]) == (503, "unavailable")
        assert said["error"]["message"].endswith("(next: roar serve --reindex)")
        words = [sys.executable, "-m", "roar", "serve", "--data", str(glaas.data), *glaas.words, "--reindex"]
        subprocess.run(words, cwd=glaas.home, env=glaas.env, check=True)
        assert glaas.api(asked, glaas.token()) == before
    finally:
        glaas.stop()


def postgres_name(url: str) -> str:
    """The name of a database."""
    return url.partition("@/")[2].partition("?")[0]
