"""Logging in by SSH key against a real server, with a real agent and stock git; and those who try without right."""

from __future__ import annotations

import json
import os
import shutil
import stat
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import make
import pytest
from conftest import Git, Roar

from roar.errors import RoarError, UsageError
from roar.git.repository import Repository
from roar.glaas import known, login, ssh
from roar.glaas.address import Address, parse
from roar.glaas.client import UnreachableError
from roar.paths import state_folder
from roar.server import tokens
from roar.verbs import auth, grants
from server.clients import Answer, Asked, agent, impostor, make_certificate, passed_on, said
from server.serving import ADMIN, PROJECT, Glaas, make_key


def wish(glaas: Glaas, project: str = PROJECT, operation: str = "write") -> dict[str, Any]:
    return {"audience": glaas.url, "project": project, "operation": operation}


def challenged(glaas: Glaas, **what: str) -> str:
    status, answer = glaas.api("auth/challenge", data=wish(glaas, **what))
    assert status == 200, answer
    return str(answer["challenge"])


def signed(
    glaas: Glaas, challenge: str, key: Path, project: str = PROJECT, operation: str = "write", **more: str
) -> dict[str, str]:
    """What a client sends: a challenge with its signature."""
    public = ssh.read(str(key))
    message = login.message(more.get("audience", glaas.url), project, operation, challenge)
    signature = ssh.sign(message, public, more.get("namespace", login.NAMESPACE))
    return {"challenge": challenge, "key": public.fingerprint, "signature": signature}


# ---- as it should be


def test_plain_git_pushes_with_a_key_that_never_leaves_the_agent(
    glaas: Glaas, project: str, tree: Path, repo: Repository, roar: Roar, git: Git, monkeypatch: pytest.MonkeyPatch
) -> None:
    make.job(repo, "python a.py", {}, {"m": "1"})
    git(tree, "config", "--global", "credential.helper", "store")  # which would keep what it is given
    git(tree, "remote", "add", "glaas", f"{glaas.url}/{project}.git")
    with agent(glaas.key) as env:
        for name, value in env.items():
            monkeypatch.setenv(name, value)
        assert b"logged in to " in roar("auth", "login", f"{glaas.url}/{project}.git").stdout
        git(tree, "push", "-q", "glaas", "refs/roar/*")
        assert "refs/roar/jobs" in git(tree, "ls-remote", "glaas")
        told = json.loads(roar("auth", "test", "--json").stdout)
        assert (told["user"], told["roles"][project]) == (ADMIN, "admin")
        (key,) = json.loads(roar("auth", "keys", "--json").stdout)
        assert key["file"] == ""
    home = Path(os.environ["HOME"])
    assert not (home / ".git-credentials").exists()
    (folder,) = (Path(state_folder()) / "glaas").iterdir()
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert {stat.S_IMODE(path.stat().st_mode) for path in folder.glob("*.json")} == {0o600}


def test_tokens_are_in_one_file_and_nowhere_else(
    glaas: Glaas, project: str, tree: Path, repo: Repository, roar: Roar, git: Git, home_key: Path
) -> None:
    make.job(repo, "python a.py", {}, {"m": "1"})
    git(tree, "remote", "add", "glaas", f"{glaas.url}/{project}.git")
    told = [roar("auth", "login", glaas.url, "--json", ROAR_DEBUG="1", ROAR_LOGGING_LEVEL="debug")]
    pushed = subprocess.run(
        ["git", "push", "glaas", "refs/roar/*"],
        cwd=tree,
        env={**os.environ, "GIT_TRACE": "1", "GIT_CURL_VERBOSE": "1", "ROAR_DEBUG": "1"},
        capture_output=True,
        check=True,
    )
    told += [pushed, roar("auth", "status"), roar("auth", "status", "--json"), roar("auth", "test", ROAR_DEBUG="1")]
    (stored,) = (Path(state_folder()) / "glaas").glob("*/tokens.json")
    secret = [grant["token"].rpartition(".")[2].encode() for grant in json.loads(stored.read_text())["grants"]]
    assert len(secret) == 2
    for done in told:
        assert not any(part in done.stdout + done.stderr for part in secret)
    for place in (Path(os.environ["HOME"]), tree, glaas.data):
        for path in place.rglob("*"):
            if path.is_file() and path != stored:
                assert not any(part in path.read_bytes() for part in secret), path
    assert glaas.log.read_bytes().count(b"roar-t1") == 0
    roar("auth", "logout", glaas.url)
    assert not stored.exists()
    assert "roar" not in git(tree, "config", "--global", "--list").partition("credential")[2]
    assert b"not logged in" in roar("auth", "status").stdout


def test_git_finds_the_helper_by_its_name(
    glaas: Glaas, project: str, tree: Path, roar: Roar, git: Git, home_key: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    script = Path(os.environ["HOME"]) / "bin" / "git-credential-roar"
    script.parent.mkdir()
    script.write_text(f"#!{sys.executable}\nfrom roar.__main__ import credential\ncredential()\n")
    script.chmod(0o755)
    monkeypatch.setenv("PATH", f"{script.parent}:{os.environ['PATH']}")
    roar("auth", "login", glaas.url)
    assert git(tree, "config", "--global", "--get-all", f"credential.{glaas.url}.helper") == "roar"
    git(tree, "ls-remote", f"{glaas.url}/{project}.git")


def test_who_may_only_read_gets_a_token_to_read(
    glaas: Glaas, project: str, tree: Path, repo: Repository, roar: Roar, git: Git, tmp_path: Path
) -> None:
    make.job(repo, "python a.py", {}, {"m": "1"})
    key = glaas.user("reader", tmp_path, **{project.replace("/", "_"): "read"})
    git(tree, "remote", "add", "glaas", f"{glaas.url}/{project}.git")
    with agent(key) as env:
        roar("auth", "login", glaas.url, **env)
        asked = f"protocol=http\nhost=127.0.0.1:{glaas.port}\npath={project}.git\n".encode()
        given = roar("credential", "get", stdin=asked, **env).stdout.decode()
        token = given.partition("password=")[2].splitlines()[0]
        assert "username=reader\n" in given
        assert glaas.api("auth/self", token)[1]["scope"] == "read"
        roar("credential", "erase", stdin=asked, **env)
        assert roar("credential", "get", stdin=asked, **env).stdout.decode().partition("password=")[2] != token
        done = subprocess.run(
            ["git", "push", "glaas", "refs/roar/*"], cwd=tree, capture_output=True, env={**os.environ, **env}
        )
        assert done.returncode
        git(tree, "config", "roar.glaas.url", glaas.url)
        assert subprocess.run(["git", "ls-remote", "glaas"], cwd=tree, env={**os.environ, **env}).returncode == 0


def test_the_key_of_the_log_in_is_found_again(
    glaas: Glaas, project: str, tree: Path, repo: Repository, roar: Roar, git: Git, tmp_path: Path
) -> None:
    """It need not lie where ssh looks for keys."""
    make.job(repo, "python a.py", {}, {"m": "1"})
    git(tree, "remote", "add", "glaas", f"{glaas.url}/{project}.git")
    key = shutil.copy(glaas.key, tmp_path / "mine")
    shutil.copy(f"{glaas.key}.pub", tmp_path / "mine.pub")
    roar("auth", "login", "glaas", "--key", os.path.relpath(key, tree))
    git(tree, "push", "-q", "glaas", "refs/roar/*")
    for path in (tmp_path / "mine", tmp_path / "mine.pub"):
        path.unlink()
    (tokens,) = (Path(state_folder()) / "glaas").glob("*/tokens.json")
    tokens.unlink()
    said = roar("sync", code=1).stderr.decode()
    assert "cannot fetch from glaas: there is no SSH key to log in with (next: ssh-keygen" in said


def test_an_invitation_makes_a_user_with_a_key_of_their_own(
    glaas: Glaas, project: str, roar: Roar, tmp_path: Path
) -> None:
    code = glaas.people.invite(project, "write", by=ADMIN)
    key = make_key(tmp_path / "key")
    name = f"new{project.rpartition('/')[2]}"
    words = ["auth", "login", glaas.url, "--invitation", "-", "--name", name, "--key", str(key)]
    assert f"logged in to {glaas.url} as {name}".encode() in roar(*words, stdin=code.encode()).stdout
    assert glaas.people.role(name, project).name == "WRITE"
    words[words.index("-")] = code
    assert b"was used or has expired" in roar(*words, code=1).stderr
    tried = glaas.audited()[-1]
    assert (tried["what"], tried["key"]) == ("refused", ssh.read(str(key)).fingerprint)
    assert tried["reasons"] == ["invitation: this invitation is not known, was used or has expired"]
    told = {"ROAR_GLAAS_KEY": str(key)}
    assert f"logged in to {glaas.url} as {name}".encode() in roar("auth", "login", glaas.url, **told).stdout
    assert b"cannot read /nowhere.pub" in roar("auth", "login", glaas.url, code=2, ROAR_GLAAS_KEY="/nowhere").stderr
    assert b"taken with a name" in roar("auth", "login", glaas.url, "--invitation", code, code=2).stderr
    other = make_key(tmp_path / "other")
    challenge = challenged(glaas, project="", operation="join")
    body = {**signed(glaas, challenge, key, "", "join"), "code": "x", "name": "y", "key": ssh.read(str(other)).line}
    assert glaas.api("auth/invitation", data=body)[0] == 401, "the key must be one's own"


def test_a_key_that_nobody_has(glaas: Glaas, roar: Roar, tmp_path: Path) -> None:
    with agent(make_key(tmp_path / "key")) as env:
        done = roar("auth", "login", glaas.url, code=3, **env)
    assert b"knows none of your keys (SHA256:" in done.stderr
    assert done.stderr.count(b"\n") == 1
    assert b"no SSH key to log in with" in roar("auth", "login", glaas.url, code=1).stderr


# ---- as it should not be


def test_a_challenge_is_answered_once_even_by_many_at_once(glaas: Glaas) -> None:
    body = signed(glaas, challenged(glaas), glaas.key)
    answers: list[tuple[int, Any]] = []
    threads = [threading.Thread(target=lambda: answers.append(glaas.api("auth/token", data=body))) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(status for status, _ in answers) == [200, *[403] * 5]
    assert "answered before" in glaas.api("auth/token", data=body)[1]["error"]["message"]


def test_an_expired_challenge_and_one_that_we_made_ourselves(glaas: Glaas) -> None:
    fields = {"audience": glaas.url, "project": PROJECT, "operation": "write"}
    long_ago = time.time_ns() - (tokens.CHALLENGE_SECONDS + 1) * 10**9
    old = tokens.challenge(glaas.storage.secret(), **fields, now_ns=long_ago)
    own = tokens.challenge(b"x" * 32, **fields, now_ns=time.time_ns())
    for challenge in (old, own):
        status, answer = glaas.api("auth/token", data=signed(glaas, challenge, glaas.key))
        assert (status, answer["error"]["message"].partition(",")[0]) == (403, "the challenge is not this server's")


@pytest.mark.parametrize("change", ["namespace", "project", "operation", "audience", "other key"])
def test_a_signature_for_another_purpose(glaas: Glaas, change: str, tmp_path: Path) -> None:
    challenge = challenged(glaas)
    wrong = {
        "namespace": {"namespace": "git"},
        "project": {"project": "team/other"},
        "operation": {"operation": "admin"},
        "audience": {"audience": "http://127.0.0.1:1"},
        "other key": {},
    }[change]
    key = make_key(tmp_path / "key") if change == "other key" else glaas.key
    body = {**signed(glaas, challenge, key, **wrong), "key": ssh.read(str(glaas.key)).fingerprint}
    status, answer = glaas.api("auth/token", data=body)
    assert status == 401
    assert "token" not in answer
    assert glaas.api("auth/token", data=signed(glaas, challenge, glaas.key))[0] == 200, "it was not used up"


def test_a_server_in_the_middle_cannot_pass_a_log_in_on(glaas: Glaas, roar: Roar, home_key: Path) -> None:
    def relay(asked: Asked) -> Answer:
        body = json.loads(asked.body)
        if "audience" in body:  # it wants a challenge of the real server
            asked.body = json.dumps({**body, "audience": glaas.url}).encode()
        return passed_on(asked, glaas.url)

    with impostor(relay) as (origin, heard):
        done = roar("auth", "login", origin, code=3)
    assert [asked.path for asked in heard] == ["/api/v1/auth/challenge", "/api/v1/auth/token"]
    assert b"knows none of your keys" in done.stderr
    assert not list((Path(state_folder()) / "glaas").glob("*/tokens.json"))


def test_no_redirect_is_followed(glaas: Glaas, project: str, roar: Roar, home_key: Path) -> None:
    with impostor(lambda _: said({})) as (other, heard_there):
        with impostor(lambda asked: (307, {"Location": other + asked.path}, b"")) as (origin, heard):
            done = roar("auth", "login", origin, code=1)
        assert b"no redirect is followed" in done.stderr
        assert (len(heard), len(heard_there)) == (1, 0)


@pytest.mark.parametrize(
    "url",
    [
        "http://roar.example.org",
        "http://10.0.0.1:7627/team/a.git",
        "http://127.0.0.1.example.org",
        "http://localhost.example.org",
        "http://[2001:db8::1]",
        "http://ada:word@127.0.0.1",
        "ftp://ada:word@127.0.0.1",
        "https://ada:word@roar.example.org:port",
        "ftp://127.0.0.1",
        "https://roar.example.org/../x",
        "https://roar.example.org/a/b/c.git",
        "https://",
    ],
)
def test_addresses_that_no_log_in_goes_to(url: str) -> None:
    with pytest.raises(UsageError) as refused:
        parse(url)
    assert "ada:" not in refused.value.message


def test_a_refused_address_is_one_line(roar: Roar) -> None:
    done = roar("auth", "login", "http://ada:word@127.0.0.1\n", code=2)
    assert b"ada:" not in done.stderr
    assert done.stderr.count(b"\n") == 1


@pytest.mark.parametrize(
    ("url", "origin", "project"),
    [
        ("https://Roar.Example.org:443/team/a.git", "https://roar.example.org", "team/a"),
        ("https://roar.example.org:8443", "https://roar.example.org:8443", ""),
        ("http://localhost:80/a", "http://localhost", "a"),
        ("http://127.1.2.3:7627/", "http://127.1.2.3:7627", ""),
        ("http://[::1]:7627/a.git", "http://[::1]:7627", "a"),
    ],
)
def test_addresses_are_spelled_in_one_way(url: str, origin: str, project: str) -> None:
    assert parse(url) == Address(origin, project)


def test_git_gets_nothing_for_other_servers_and_for_plain_http(glaas: Glaas, roar: Roar, home_key: Path) -> None:
    roar("auth", "login", glaas.url)
    for asked in (b"protocol=https\nhost=example.org\npath=a.git\n", b"protocol=ssh\nhost=x\n", b""):
        assert roar("credential", "get", stdin=asked or b"\n").stdout == b""
    whole = f"url={glaas.url}\n".encode()
    token = roar("credential", "get", stdin=whole.replace(b"url=http://", b"protocol=http\nhost=")).stdout.decode()
    asked_for = glaas.api("auth/self", token.partition("password=")[2].partition("\n")[0])
    assert (asked_for[1]["project"], asked_for[1]["scope"]) == (None, "read"), "of a server: to read all"
    plain = b"protocol=http\nhost=example.org\npath=a.git\n"
    assert b"plain HTTP to another machine" in roar("credential", "get", stdin=plain, code=2).stderr


def test_what_a_server_says_is_not_obeyed_by_the_terminal(roar: Roar, home_key: Path) -> None:
    with impostor(lambda _: said({"error": {"code": "x", "message": "\x1b[2Jgone\nroar: all is well"}}, 400)) as (
        origin,
        _,
    ):
        done = roar("auth", "login", origin, code=1)
    assert b"\x1b" not in done.stderr
    assert done.stderr.count(b"\n") == 1
    for odd in (said([]), said({"challenge": "a\nb"}), said({"challenge": 1, "more": "x"}), (200, {}, b"<html>")):
        with (
            impostor(lambda _, odd=odd: odd) as (origin, _heard),
            pytest.raises(RoarError, match="does not answer as a"),
        ):
            auth.log_in(Address(origin), login.READ)
    with pytest.raises(UnreachableError):
        auth.log_in(Address(origin), login.READ)


@pytest.mark.parametrize("grant", [{"user": "ada\nhost=example.org"}, {"token": "x\npassword=y"}, {"token": ""}])
def test_a_token_that_would_be_more_than_a_line_of_gits_protocol(grant: dict[str, str], home_key: Path) -> None:
    given = {"user": "ada", "token": "x", "expires_in": 900, "challenge": "c", **grant}
    with impostor(lambda _: said(given)) as (origin, _), pytest.raises(RoarError, match="a token that is none"):
        auth.log_in(Address(origin), login.READ)
    assert grants.good(origin) == []


def test_certificates_count_as_they_do_for_git(roar: Roar, git: Git, tmp_path: Path) -> None:
    certificate, key = make_certificate(tmp_path)
    missing = said({"error": {"code": "not_found", "message": "no artifact"}}, 404)
    with impostor(lambda _: missing, certificate=certificate, key=key) as (origin, heard):
        asked = ["lookup", "0" * 64, "--server", origin]
        assert b"CERTIFICATE_VERIFY_FAILED" in roar(*asked, code=1).stderr
        assert heard == []
        git(roar.folder, "config", "--global", f"http.{origin}.sslCAInfo", str(certificate))
        assert b"is not known to" in roar(*asked, code=3).stderr
        other = origin.replace("localhost", "127.0.0.1")
        git(roar.folder, "config", "--global", f"http.{other}.sslCAInfo", str(certificate))
        assert b"CERTIFICATE_VERIFY_FAILED" in roar(*asked[:-1], other, code=1).stderr, "it is for another name"
    assert len(heard) == 1


def test_an_expired_token_is_none_and_is_renewed_by_itself(
    glaas: Glaas, project: str, roar: Roar, tree: Path, git: Git, home_key: Path
) -> None:
    old = glaas.token(project=project, at_ns=time.time_ns() - 3600 * 10**9)
    assert glaas.api(f"projects/{project}/log/checkpoint", old)[0] == 401
    roar("auth", "login", f"{glaas.url}/{project}.git")
    git(tree, "remote", "add", "glaas", f"{glaas.url}/{project}.git")
    git(tree, "ls-remote", "glaas")
    (stored,) = (Path(state_folder()) / "glaas").glob("*/tokens.json")
    grants = json.loads(stored.read_text())["grants"]
    assert {grant["scope"] for grant in grants} == {"read", "write"}
    stored.write_text(json.dumps({"grants": [{**grant, "expires": int(time.time()) + 1} for grant in grants]}))
    git(tree, "ls-remote", "glaas")
    assert [grant["scope"] for grant in json.loads(stored.read_text())["grants"]] == ["write"]
    stored.write_text("{")  # damaged
    git(tree, "ls-remote", "glaas")
    grants = json.loads(stored.read_text())["grants"]  # a clock that was wrong, or a server with a new secret
    stored.write_text(json.dumps({"grants": [{**grant, "token": old, "expires": 2**40} for grant in grants]}))
    git(tree, "ls-remote", "glaas", ok=False)  # git tells its helper that this was refused
    git(tree, "ls-remote", "glaas")
    known.save(glaas.url, known.TOKENS, {"grants": [{**grants[0], "token": old, "scope": "read", "expires": 2**40}]})
    assert auth.ask(Address(glaas.url, project), lambda client, token: client.get("/auth/self", token=token))["user"]


def test_what_one_may_not_know_looks_as_if_it_were_not(glaas: Glaas, project: str, tmp_path: Path) -> None:
    name = f"stranger{project.rpartition('/')[2]}"
    key = glaas.user(name, tmp_path)
    hidden = glaas.api("auth/token", data=signed(glaas, challenged(glaas, project=project), key, project))
    absent = glaas.api("auth/token", data=signed(glaas, challenged(glaas, project="team/none"), key, "team/none"))
    assert hidden[0] == absent[0] == 404
    assert hidden[1]["error"]["message"].replace(project, "X") == absent[1]["error"]["message"].replace(
        "team/none", "X"
    )
