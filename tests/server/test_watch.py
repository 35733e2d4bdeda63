"""A server's log as its clients watch it: forks that were really built, roll-backs, forged proofs, another key."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import make
import pytest
from conftest import Git, Roar

from roar.git import locks
from roar.git.repository import Repository, discover
from roar.glaas import known, ssh
from roar.glaas.address import Address
from roar.glaas.client import Client
from roar.journal import JOBS
from roar.server import log
from roar.verbs import logged
from server import second_log
from server.clients import Answer, Asked, impostor, passed_on, said
from server.serving import Glaas


@pytest.fixture
def public(glaas: Glaas, project: str, tree: Path, git: Git) -> str:
    """A project that anybody may read, which the repository has as the remote glaas."""
    glaas.people.set_project(project, by="tests", visibility="public")
    git(tree, "config", "roar.glaas.url", glaas.url)
    git(tree, "remote", "add", "glaas", f"{glaas.url}/{project}.git")
    return project


def share(glaas: Glaas, project: str, repo: Repository, git: Git, *names: str) -> list[str]:
    """Record jobs, push them with a token, and let the repository know that the server has them."""
    found = [make.job(repo, f"python {name}.py", {}, {name: name}, at=at) for at, name in enumerate(names)]
    push = [f"+{JOBS}*:{JOBS}*"]
    git(repo.work_tree or "", "push", "-q", glaas.remote(project), *push)
    git(repo.work_tree or "", "fetch", "-q", glaas.remote(project), "+refs/roar/*:refs/roar-remote/glaas/*")
    return found


def clone(glaas: Glaas, project: str, git: Git, tmp_path: Path) -> Path:
    """Another repository with the project as its remote."""
    git(tmp_path, "init", "-q", "other")
    git(tmp_path / "other", "remote", "add", "origin", f"{glaas.url}/{project}.git")
    git(tmp_path / "other", "config", "roar.glaas.url", glaas.url)
    return tmp_path / "other"


def folder(glaas: Glaas, project: str) -> Path:
    return Path(glaas.storage.path(project)) / "glaas" / "log"


def verified(roar: Roar, *words: str, code: int = 0) -> dict[str, Any]:
    """What ``roar verify`` says of the one log; without words by what is below the command, in this process."""
    if words:
        answer = json.loads(roar("verify", "--json", *words, code=code).stdout)
        assert answer["ok"] == (code == 0)
        (found,) = answer["logs"]
        assert isinstance(found, dict)
        return found
    (log,) = logged.standings(discover(str(roar.folder)), None, print)
    assert log.is_good == (code == 0)
    return {**log._asdict(), "missing": list(log.missing)}


def forge(glaas: Glaas, project: str, entries: list[tuple[str, str]]) -> None:
    """Put another log in the place of a project's, signed by the server's own key, as who owns the server can."""
    repo = glaas.storage.repo(project)
    lock = folder(glaas, project) / "lock"
    with locks.exclusive(str(lock)):  # the server or its worker may be extending the real one
        for path in set(folder(glaas, project).iterdir()) - {lock}:
            (shutil.rmtree if path.is_dir() else Path.unlink)(path)
        forged = log.Log(repo)
        forged.append([log.Fresh(*entry) for entry in entries], project, log.key_path(glaas.storage.root))
        forged.remember(sorted(git_tips(repo)))


def git_tips(repo: Repository) -> list[str]:
    return repo.ask("for-each-ref", "--format=%(objectname)", JOBS).decode().split()


def real(glaas: Glaas, project: str) -> list[tuple[str, str]]:
    found = log.Log(glaas.storage.repo(project))
    return [(entry.id, entry.content) for entry in found.entries(0, found.checkpoint.size)]


def test_what_was_pushed_is_shown_to_be_in_the_log(
    glaas: Glaas, public: str, roar: Roar, repo: Repository, git: Git
) -> None:
    first = share(glaas, public, repo, git, "a", "b", "c")
    found = verified(roar)
    assert (found["included"], found["size"], found["missing"], found["remote"]) == (3, 3, [], "glaas")
    make.job(repo, "python later.py", {}, {"later": "later"})
    assert verified(roar)["included"] == 3, "what was not pushed is not asked for"
    assert verified(roar, make.digest("b"))["included"] == 1
    share(glaas, public, repo, git, "d")
    assert verified(roar)["included"] == 5
    status, answer = glaas.api(f"projects/{public}/log/checkpoint")
    assert status == 200
    origin, size, root = second_log.read_checkpoint(answer["checkpoint"], answer["key"])
    assert (origin, size) == (f"glaas/{public}", 5)
    entries = glaas.api(f"projects/{public}/log/entries")[1]["entries"]
    leaves = [second_log.leaf(entry["id"], entry["content"]) for entry in entries]
    assert second_log.root(leaves) == root
    assert [entry["id"] for entry in entries][:3] == sorted(first)
    (proof,) = glaas.api(f"projects/{public}/log/proof?size=5&id={first[1]}")[1]["proofs"]
    path = [bytes.fromhex(part) for part in proof["hashes"]]
    assert second_log.root_by_inclusion(proof["index"], 5, leaves[proof["index"]], path) == root
    told = roar("verify").stdout.decode()
    assert f"5 in the log of {public} at {glaas.url}, which has 5\n" in told
    assert json.loads(roar("verify", "--json", "--offline").stdout)["logs"] == []


@pytest.mark.parametrize("more", [0, 3], ids=["as long", "longer"])
def test_a_forked_log_is_refused_and_stays_refused(
    glaas: Glaas, public: str, roar: Roar, repo: Repository, git: Git, more: int
) -> None:
    share(glaas, public, repo, git, *"abcde")
    assert verified(roar)["size"] == 5
    true = real(glaas, public)
    false = [
        *true[:2],
        (true[2][0], "0" * 64),
        *true[3:],
        *((make.digest(str(n)).upper()[:26], "1" * 64) for n in range(more)),
    ]
    forge(glaas, public, false)
    for words in ((), ("--require-signed",)):
        found = verified(roar, *words, code=3)
        assert "was forked: its" in found["suspicion"]
        assert "do not begin with the 5 seen on 20" in found["suspicion"]
    forge(glaas, public, true)
    assert verified(roar)["included"] == 5


def test_a_log_in_another_order_is_a_fork(glaas: Glaas, public: str, roar: Roar, repo: Repository, git: Git) -> None:
    share(glaas, public, repo, git, *"abc")
    verified(roar)
    forge(glaas, public, real(glaas, public)[::-1])
    share(glaas, public, repo, git, "d")
    assert "was forked" in verified(roar, code=3)["suspicion"]


def test_a_log_that_was_rolled_back_is_refused(
    glaas: Glaas, public: str, roar: Roar, repo: Repository, git: Git, tmp_path: Path
) -> None:
    share(glaas, public, repo, git, *"abc")
    verified(roar)
    shutil.copytree(folder(glaas, public), tmp_path / "backup")
    tips = git_tips(glaas.storage.repo(public))
    share(glaas, public, repo, git, *"de")
    assert verified(roar)["size"] == 5
    there = glaas.storage.repo(public)
    for ref in there.ask("for-each-ref", "--format=%(refname)", JOBS).decode().split():
        there.ask("update-ref", ref, tips[0])
    shutil.rmtree(folder(glaas, public))
    shutil.copytree(tmp_path / "backup", folder(glaas, public))
    done = roar("verify", code=3)
    assert b"was rolled back: it has 3 records, and had 5 on 20" in done.stdout
    share(glaas, public, repo, git, *"fg")  # the log grows again over what it had, otherwise
    assert verified(roar)["size"] == 7, "the same records came again in the same order: nothing was lost"


def test_a_record_that_was_dropped_is_named_and_kept(
    glaas: Glaas, public: str, roar: Roar, repo: Repository, git: Git, tmp_path: Path
) -> None:
    *_, last = share(glaas, public, repo, git, *"abc")
    other = clone(glaas, public, git, tmp_path)
    there = glaas.storage.repo(public)
    (ref,) = there.ask("for-each-ref", "--format=%(refname)", JOBS).decode().split()
    assert roar("sync", "--fetch-only", cwd=other).stderr == b""
    assert verified(roar)["dropped"] == ()
    there.ask("update-ref", ref, f"{ref}~1")
    told = f"dropped by glaas although its log has them: {last}\n"
    assert told in roar("verify", code=3).stdout.decode()
    done = roar("sync", "--fetch-only", cwd=other)
    assert b"roar: origin took back records that it had; they are kept here in refs/roar-remote/gone/" in done.stderr
    assert last in roar("log", "--json", cwd=other).stdout.decode()
    told = told.replace("glaas", "origin")
    assert told in roar("verify", cwd=other, code=3).stdout.decode()
    assert roar("sync", "--fetch-only", cwd=other).stderr == b"", "it is said once"


def test_what_was_not_fetched_or_was_purged_was_not_dropped(
    glaas: Glaas, public: str, roar: Roar, repo: Repository, git: Git, tmp_path: Path
) -> None:
    job, *_ = share(glaas, public, repo, git, *"abc")
    other = clone(glaas, public, git, tmp_path)
    roar("sync", "--fetch-only", cwd=other)
    glaas.people.set_project(public, by="tests", rewrites="allowed")
    (old,) = repo.ask("for-each-ref", "--format=%(refname)", JOBS).decode().split()
    roar("pop", "--purge", "-y", job)
    git(roar.folder, "push", "-q", glaas.remote(public), "refs/roar/*")
    git(roar.folder, "push", "-q", glaas.remote(public), "--delete", old)
    assert b"    1 more in that log not fetched yet (next: roar sync origin)\n" in roar("verify", cwd=other).stdout
    roar("sync", "--fetch-only", cwd=other)
    assert b" more in that log" not in roar("verify", cwd=other).stdout


def test_a_log_signed_by_another_key_is_refused(
    glaas: Glaas, public: str, roar: Roar, repo: Repository, git: Git, tmp_path: Path
) -> None:
    share(glaas, public, repo, git, *"abc")
    verified(roar)
    ssh.make_key(str(tmp_path / "key"), "other")
    key = glaas.data / "checkpoint_key"
    for end in ("", ".pub"):
        shutil.copy(f"{key}{end}", tmp_path / f"kept{end}")
        shutil.copy(tmp_path / f"key{end}", f"{key}{end}")
    try:
        share(glaas, public, repo, git, *"de")
        suspicion = verified(roar, code=3)["suspicion"]
        assert "signs its log with another key (SHA256:" in suspicion
        assert "rm /" in suspicion
    finally:
        for end in ("", ".pub"):
            shutil.copy(tmp_path / f"kept{end}", f"{key}{end}")


def test_answers_that_prove_nothing(glaas: Glaas, public: str, roar: Roar, repo: Repository, git: Git) -> None:
    """A server between us and the true one, which changes one thing at a time."""
    first = share(glaas, public, repo, git, *"abcd")
    change: dict[str, Any] = {}

    def answer(asked: Asked) -> Answer:
        status, headers, body = passed_on(asked, glaas.url)
        name = asked.path.partition("?")[0].rpartition("/")[2]
        return said(change[name](json.loads(body))) if name in change else (status, headers, body)

    def flip(field: str) -> Any:
        def changed(value: Any) -> Any:
            value["proofs"][0][field] = {
                "index": 3,
                "hashes": ["00" * 32],
                "id": first[0][:-1] + ("1" if first[0].endswith("0") else "0"),
            }[field]
            return value

        return changed

    def none(value: Any) -> Any:
        return {**value, "proofs": value["proofs"][1:], "missing": [value["proofs"][0]["id"]]}

    def foreign(value: Any) -> Any:
        return glaas.api("projects/team/model/log/checkpoint", glaas.token())[1]

    def unsigned(value: Any) -> Any:
        return {**value, "checkpoint": value["checkpoint"].replace("\n4\n", "\n3\n")}

    with impostor(answer) as (origin, _):
        git(roar.folder, "config", "roar.glaas.url", origin)
        git(roar.folder, "remote", "set-url", "glaas", f"{origin}/{public}.git")
        assert verified(roar)["included"] == 4
        for field in ("index", "hashes", "id"):
            change = {"proof": flip(field)}
            assert "although the server says so" in verified(roar, code=3)["suspicion"]
        change = {"proof": none}
        assert verified(roar, code=3)["missing"] == [sorted(first)[0]]
        for wrong in (foreign, unsigned, lambda _: {}, lambda _: []):
            change = {"checkpoint": wrong}
            assert "checkpoint" in verified(roar, code=3)["suspicion"]
        change = {"proof": lambda _: {"proofs": [{"id": 1}]}}
        assert "cannot be read" in verified(roar)["unchecked"]
        change = {}
        share(glaas, public, repo, git, "e")
        change = {"consistency": lambda _: {"hashes": ["00" * 32]}}
        assert "was forked" in verified(roar, code=3)["suspicion"]
    assert "cannot be reached" in verified(roar)["unchecked"]


def test_what_was_seen_is_not_forgotten_by_accident(
    glaas: Glaas, public: str, roar: Roar, repo: Repository, git: Git, home_key: Path
) -> None:
    share(glaas, public, repo, git, *"ab")
    roar("auth", "login", glaas.url)
    verified(roar)
    seen = Path(known.place(glaas.url, known.seen(public)))
    assert seen.stat().st_mode & 0o777 == 0o600
    roar("auth", "logout", glaas.url)
    assert seen.exists()
    seen.write_text("{")
    assert "cannot be read" in verified(roar)["unchecked"]


def test_a_wrong_question(glaas: Glaas, public: str, repo: Repository, git: Git) -> None:
    (only,) = share(glaas, public, repo, git, "a")
    place = f"projects/{public}/log"
    assert glaas.api(f"{place}/checkpoint")[0] == 200
    assert glaas.api(f"{place}/proof?size=2&id={only}")[0] == 400
    assert glaas.api(f"{place}/proof?size=0&id={only}")[0] == 422
    assert glaas.api(f"{place}/proof?size=1&id=..%2F..%2Fetc")[0] == 422
    assert glaas.api(f"{place}/proof?size=1&" + "&".join(f"id={only}" for _ in range(101)))[0] == 422
    assert glaas.api(f"{place}/proof?size=1&id={'0' * 26}")[1] == {"size": 1, "proofs": [], "missing": ["0" * 26]}
    assert glaas.api(f"{place}/consistency?old=2&new=1")[0] == 400
    assert glaas.api(f"{place}/consistency?old=1&new={10**30}")[0] == 400
    assert glaas.api(f"{place}/entries?start={10**9}")[1]["entries"] == []
    assert glaas.api("projects/team/model/log/entries")[0] == 401
    assert glaas.api("projects/../log/checkpoint")[0] in (401, 404)


def test_a_private_log_wants_a_log_in_and_gets_one(
    glaas: Glaas, project: str, roar: Roar, repo: Repository, git: Git, home_key: Path
) -> None:
    git(roar.folder, "config", "roar.glaas.url", glaas.url)
    git(roar.folder, "remote", "add", "glaas", f"{glaas.url}/{project}.git")
    share(glaas, project, repo, git, *"ab")
    assert "log in to use" in verified(roar)["unchecked"]
    roar("auth", "login", glaas.url)
    assert verified(roar)["included"] == 2


def test_old_checkpoints_do_not_come_back_by_a_race(
    glaas: Glaas, public: str, roar: Roar, repo: Repository, git: Git
) -> None:
    from concurrent.futures import ThreadPoolExecutor

    from roar.glaas import watch

    share(glaas, public, repo, git, "a")
    client = Client(Address(glaas.url).origin)
    with ThreadPoolExecutor(4) as pool:
        asked = [pool.submit(watch.newest, client, public, None) for _ in range(6)]
        share(glaas, public, repo, git, *"bc")
        asked += [pool.submit(watch.newest, client, public, None) for _ in range(6)]
        sizes = {each.result().size for each in asked}
    assert sizes <= {1, 2, 3}
    assert watch.newest(client, public, None).size == 3
