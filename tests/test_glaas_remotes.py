"""Which remotes of a repository are projects of a server."""

from __future__ import annotations

from pathlib import Path

import pytest
from conftest import Git

from roar.errors import RoarError, UsageError
from roar.git.repository import Repository
from roar.glaas import known
from roar.glaas.address import Address
from roar.verbs import glaas

HERE = "https://roar.example.org"


@pytest.mark.parametrize(
    ("url", "project"),
    [
        (f"{HERE}/team/a.git", "team/a"),
        ("https://ROAR.example.org:443/team/a", "team/a"),
        ("ssh://git@roar.example.org/team/a.git", "team/a"),
        ("ssh://git@roar.example.org:2222/team/a.git", "team/a"),
        ("git@roar.example.org:team/a.git", "team/a"),
        ("git@roar.example.org:a", "a"),
        ("https://other.example.org/team/a.git", None),
        ("git@other.example.org:team/a.git", None),
        ("http://roar.example.org/team/a.git", None),
        (f"https://ada:token@{HERE[8:]}/team/a.git", None),
        (f"{HERE}/a/b/c.git", None),
        (HERE, None),
        ("/srv/team/a.git", None),
        ("../roar.example.org", None),
        ("ext::sh -c roar.example.org/a", None),
    ],
)
def test_by_the_server_that_is_set(url: str, project: str | None, repo: Repository, git: Git) -> None:
    folder = repo.work_tree or ""
    git(folder, "remote", "add", "glaas", url)
    assert glaas.projects(repo) == {}
    git(folder, "config", "roar.glaas.url", HERE)
    found = {remote: address._replace(ssh=None) for remote, address in glaas.projects(repo).items()}
    assert found == ({"glaas": Address(HERE, project)} if project else {})


def test_nowhere_to_remember_a_server(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "file"))
    with pytest.raises(RoarError, match="cannot write"), known.alone(HERE):
        pass
    with pytest.raises(RoarError, match="cannot write"):
        known.save(HERE, known.SERVER, {})


def test_by_a_log_in(repo: Repository, git: Git, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = repo.work_tree or ""
    monkeypatch.chdir(folder)
    for name, host in (("one", "one.example.org"), ("two", "two.example.org"), ("code", "git.example.org")):
        git(folder, "remote", "add", name, f"https://{host}/team/{name}.git")
    with pytest.raises(UsageError, match="no remote here is a project of a server"):
        glaas.address_of(None)
    known.save("https://one.example.org", known.SERVER, {"user": "ada"})
    assert glaas.projects(repo) == {"one": Address("https://one.example.org", "team/one")}
    assert glaas.address_of(None) == Address("https://one.example.org")
    assert glaas.address_of("one") == Address("https://one.example.org", "team/one")
    known.save("https://two.example.org", known.SERVER, {"user": "ada"})
    both = [Address("https://one.example.org", "team/one"), Address("https://two.example.org", "team/two")]
    assert glaas.to_ask(repo, print) == both
    with pytest.raises(UsageError, match="there are several servers"):
        glaas.address_of(None)
    with pytest.raises(UsageError, match="over SSH nobody has to log in"):
        glaas.address_of("git@one.example.org:team/one.git")
