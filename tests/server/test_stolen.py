"""Tokens that are stolen, expired or of another project, against servers on both engines."""

from __future__ import annotations

import subprocess
import time
from pathlib import Path

import make
from conftest import Git

from roar.git.repository import Repository
from roar.glaas import ssh
from server.conftest import on_both
from server.serving import ADMIN, PROJECT, Glaas
from server.test_auth import challenged, signed

engine = on_both


def test_a_token_is_for_its_project_and_its_scope(
    glaas: Glaas, project: str, git: Git, tree: Path, repo: Repository
) -> None:
    make.job(repo, "python a.py", {}, {"m": "1"})
    other = glaas.token(project=PROJECT)
    reading = glaas.token(project=project, scope="read")
    assert glaas.api(f"projects/{project}/log/checkpoint", other)[0] in (401, 404)
    assert glaas.api(f"projects/{project}/log/checkpoint", reading)[0] == 200
    for token in (other, reading):
        done = subprocess.run(
            ["git", "push", glaas.remote(project, token), "refs/roar/*"],
            cwd=tree,
            capture_output=True,
            stdin=subprocess.DEVNULL,
        )
        assert done.returncode
    assert git(tree, "ls-remote", glaas.remote(project)) == ""


def test_a_stolen_token_dies_with_its_key(glaas: Glaas, project: str, tree: Path, tmp_path: Path) -> None:
    name = f"thief{project.rpartition('/')[2]}"
    key = glaas.user(name, tmp_path, **{project.replace("/", "_"): "write"})
    status, answer = glaas.api("auth/token", data=signed(glaas, challenged(glaas, project=project), key, project))
    assert status == 200
    token = answer["token"]
    assert glaas.api(f"projects/{project}/log/checkpoint", token)[0] == 200
    glaas.people.remove_key(name, ssh.read(str(key)).fingerprint, by=ADMIN)
    assert glaas.api(f"projects/{project}/log/checkpoint", token)[0] == 401
    assert glaas.api("auth/token", data=signed(glaas, challenged(glaas, project=project), key, project))[0] == 401
    done = subprocess.run(["git", "ls-remote", glaas.remote(project, token)], cwd=tree, capture_output=True)
    assert done.returncode
    admins = glaas.token(project=project)
    assert glaas.api(f"projects/{project}/log/checkpoint", admins)[0] == 200
    glaas.people.disable_user(ADMIN, by="tests")
    assert glaas.api(f"projects/{project}/log/checkpoint", admins)[0] == 401
    glaas.people.disable_user(ADMIN, by="tests", disabled=False)


def test_an_expired_token_is_none(glaas: Glaas, project: str) -> None:
    old = glaas.token(project=project, at_ns=time.time_ns() - 3600 * 10**9)
    assert glaas.api(f"projects/{project}/log/checkpoint", old)[0] == 401
