"""Over SSH nothing else is needed: the way that git has gives tokens, and hosts that give none are left in peace."""

from __future__ import annotations

import json
import stat
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import make
import pytest
from conftest import Git, Roar

from roar.errors import RoarError
from roar.git import ssh
from roar.git.repository import Repository
from roar.glaas import known
from roar.glaas import ssh as keys
from roar.paths import state_folder
from roar.server.ssh import serve
from roar.verbs import glaas as verbs
from roar.verbs import logged
from server.serving import PROJECT, Glaas, until
from server.sshd import GitHost, Sshd, needs_sshd, roars

pytestmark = needs_sshd
MODEL = make.digest("m")


@pytest.fixture(scope="module")
def sshd(glaas: Glaas, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sshd]:
    """A running sshd, one a module. Without root it knows the keys that are there when it starts."""
    glaas.user("rita", tmp_path_factory.mktemp("rita"), team_model="read")
    with roars(glaas, tmp_path_factory.mktemp("sshd")) as running:
        yield running


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GitHost]:
    """A host of plain git."""
    server = GitHost(tmp_path_factory.mktemp("plain"))
    yield server
    server.stop()


@pytest.fixture
def host(plain: GitHost, monkeypatch: pytest.MonkeyPatch) -> GitHost:
    """The same, which has been asked nothing and answers as such hosts do."""
    monkeypatch.setenv("GIT_SSH_COMMAND", plain.command(plain.key))
    plain.answer(b"", "Invalid command: 'roar-authenticate'\nYou appear to be using ssh to clone\n", 1)
    plain.asked()
    return plain


@pytest.fixture
def remote(glaas: Glaas, sshd: Sshd, project: str, roar: Roar, git: Git, monkeypatch: pytest.MonkeyPatch) -> str:
    """A private project that the repository has as its remote over SSH. Nobody has logged in, and nothing is set."""
    monkeypatch.setenv("GIT_SSH_COMMAND", sshd.command(glaas.key))
    git(roar.folder, "remote", "add", "glaas", sshd.url(project))
    return project


def pipeline(repo: Repository) -> str:
    make.job(repo, "prepare", {"raw": "r"}, {"train": "t"})
    return make.job(repo, "train", {"train": "t"}, {"model": "m"}, at=60)


def asked(sshd: Sshd, key: Path, *words: str) -> subprocess.CompletedProcess[bytes]:
    """What the host says to a command."""
    start = [*sshd.command(key).split(), "-p", str(sshd.port), "127.0.0.1", *words]
    return subprocess.run(start, capture_output=True, stdin=subprocess.DEVNULL, timeout=30, check=False)


def token(sshd: Sshd, key: Path, *words: str) -> dict[str, Any]:
    done = asked(sshd, key, "roar-authenticate", *words)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count(b"\n") == 1
    return dict(json.loads(done.stdout))


# ---- the server


def test_the_host_gives_a_token_as_a_log_in_does(glaas: Glaas, sshd: Sshd, project: str) -> None:
    answer = token(sshd, glaas.key, f"/{project}.git", "write")
    word = answer.pop("token")
    assert answer == {"origin": glaas.url, "user": "ada", "project": project, "scope": "write", "expires_in": 900}
    assert glaas.api("auth/self", word)[1]["scope"] == "write"
    assert glaas.api(f"projects/{project}/log/checkpoint", word)[0] == 200
    assert glaas.api(f"projects/{PROJECT}/log/checkpoint", word)[0] == 404
    (line,) = [it for it in glaas.audited() if it["project"] == project]
    assert (line["what"], line["user"], line["address"]) == ("log-in", "ada", "127.0.0.1")
    assert line["key"] == glaas.people.users()["ada"].keys[0].fingerprint
    assert word not in json.dumps(glaas.audited())
    everything = token(sshd, glaas.key, "''", "read")
    assert everything["project"] == ""
    assert set(glaas.api("auth/self", everything["token"])[1]["roles"]) >= {project, PROJECT}


def test_who_may_only_read_gets_a_token_to_read(glaas: Glaas, sshd: Sshd) -> None:
    rita = glaas.keys["rita"]
    assert glaas.api("auth/self", token(sshd, rita, PROJECT, "read")["token"])[1]["roles"] == {PROJECT: "read"}
    done = asked(sshd, rita, "roar-authenticate", PROJECT, "write")
    assert (done.returncode, done.stdout, done.stderr.count(b"\n")) == (1, b"", 1)
    assert b"rita may not write in team/model" in done.stderr


def test_who_may_not_is_refused_as_a_push_is(glaas: Glaas, project: str, capsys: pytest.CaptureFixture[str]) -> None:
    rita = glaas.user(f"rita-{project[5:]}", glaas.home, team_model="read")
    fingerprint = keys.read(str(rita)).fingerprint

    def refused(words: str) -> str:
        with pytest.raises(RoarError) as caught:
            serve(glaas.storage, glaas.people, fingerprint, f"roar-authenticate {words}", "127.0.0.1")
        assert capsys.readouterr().out == ""
        return caught.value.message

    assert refused(f"{project} read") == refused("team/none read").replace("team/none", project)
    assert "must be for a project" in refused("'' write")
    assert refused("../admin read")
    assert refused("-x read")
    for words in (f"{PROJECT} admin", PROJECT, f"{PROJECT} read more", f"{PROJECT} read; id"):
        assert "there is no shell here" in refused(words)
    assert serve(glaas.storage, glaas.people, fingerprint, f"roar-authenticate {PROJECT}.git read", "127.0.0.1") == 0
    word = json.loads(capsys.readouterr().out)["token"]
    assert glaas.api(f"projects/{PROJECT}/log/checkpoint", word)[0] == 200
    glaas.people.remove_key(rita.name, fingerprint, by="tests")
    assert glaas.api(f"projects/{PROJECT}/log/checkpoint", word)[0] == 401, "it ends with the key that got it"
    assert "is no user's here" in refused(f"{PROJECT} read")


# ---- the client


def test_registered_without_a_log_in_and_without_a_setting(
    glaas: Glaas, sshd: Sshd, remote: str, repo: Repository, roar: Roar, git: Git
) -> None:
    job = pipeline(repo)
    said = roar("register", MODEL)
    assert said.stdout.decode() == (
        f"registered {MODEL} with glaas, 2 jobs: 2 records sent\n"
        f"  confirmed: 2 records in the log of {remote}, which has 2\n"
        f"  {glaas.url}/a/{MODEL}\n"
    )
    assert said.stderr == b""
    (log,) = json.loads(roar("verify", "--json").stdout)["logs"]
    assert (log["project"], log["included"], log["missing"]) == (remote, 2, [])
    until(lambda: glaas.api(f"jobs/{job}", glaas.token())[0] == 200)
    assert b"train" in roar("lookup", MODEL).stdout
    folder = Path(known.place(place(roar), ""))
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert {stat.S_IMODE(path.stat().st_mode) for path in folder.glob("*.json")} == {0o600}
    logins = [it for it in glaas.audited() if it["what"] == "log-in" and it["project"] == remote]
    assert len(logins) == 1, "the token is kept: register asked for it, and verify did not"


def place(roar: Roar) -> str:
    (name,) = [each for each in known.servers() if each.startswith("ssh://")]
    return name


def test_what_others_have_is_reproduced_over_ssh(
    glaas: Glaas, sshd: Sshd, remote: str, repo: Repository, roar: Roar, git: Git, tmp_path: Path
) -> None:
    """A hash that nothing here knows is asked for, and its records come from another project, private, too."""
    job = make.job(repo, "begin", {}, {"start": remote})
    roar("register", job)
    other = f"{remote}x"
    glaas.people.add_project(other, by="tests", owner="ada")
    until(lambda: glaas.api(f"jobs/{job}", glaas.token())[0] == 200)
    clone = tmp_path / "clone"
    git(tmp_path, "init", "-q", str(clone))
    git(clone, "commit", "-q", "--allow-empty", "-m", "first")
    git(clone, "remote", "add", "glaas", sshd.url(other))
    done = Roar(clone)("reproduce", make.digest(remote), "-y", code=None)
    assert f"fetching the records of {remote} from {glaas.url}\n".encode() in done.stderr, done.stderr
    assert b"git fetch" not in done.stderr


def test_how_it_stands_is_shown(glaas: Glaas, sshd: Sshd, remote: str, repo: Repository, roar: Roar) -> None:
    assert b"not logged in anywhere" in roar("auth", "status").stdout
    assert roar("auth", "login", "glaas").stdout.decode() == (
        f"over SSH nobody has to log in: {glaas.url} knows ada by the key that git uses\n"
    )
    told = roar("auth", "test").stdout.decode()
    assert told.startswith(f"{glaas.url}: ada, over {sshd.host}\n")
    assert f"  admin  {remote}\n" in told
    assert json.loads(roar("auth", "test", "glaas", "--json").stdout)["roles"][remote] == "admin"
    shown = roar("auth", "status").stdout.decode()
    assert shown.startswith(f"{glaas.url}  ada  over {sshd.host}\n")
    assert f"  read {remote}, 14 min\n" in shown
    (found,) = json.loads(roar("auth", "status", "--json").stdout)
    assert (found["ssh"], found["tokens"][0]["scope"]) == (sshd.host, "read")
    roar("auth", "logout", "glaas")
    assert b"not logged in anywhere" in roar("auth", "status").stdout
    assert b"was not asked yet" in roar("auth", "logout", sshd.url(remote), code=2).stderr


def test_another_key_is_another_user(
    glaas: Glaas, sshd: Sshd, roar: Roar, git: Git, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The command that git calls may stand in its configuration, and tokens that came by another are not taken."""
    git(roar.folder, "remote", "add", "glaas", sshd.url(PROJECT))
    for name in ("ada", "rita", "ada"):
        git(roar.folder, "config", "core.sshCommand", sshd.command(glaas.keys[name]))
        assert f"knows {name} by" in roar("auth", "login", "glaas").stdout.decode()
    assert len(json.loads(roar("auth", "status", "--json").stdout)) == 2
    git(roar.folder, "config", "core.sshCommand", "false")
    monkeypatch.setenv("GIT_SSH_COMMAND", sshd.command(glaas.keys["rita"]))
    assert b"knows rita by" in roar("auth", "login", "glaas").stdout
    wrapper = roar.folder.parent / "my ssh"
    wrapper.write_text(f'#!/bin/sh\nexec {sshd.command(glaas.key)} "$@"\n')
    wrapper.chmod(0o755)
    monkeypatch.delenv("GIT_SSH_COMMAND")
    git(roar.folder, "config", "--unset", "core.sshCommand")
    monkeypatch.setenv("GIT_SSH", str(wrapper))
    assert b"knows ada by" in roar("auth", "login", "glaas").stdout


def test_a_key_that_was_removed_is_said(
    glaas: Glaas, sshd: Sshd, project: str, roar: Roar, repo: Repository, git: Git, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    user = project.replace("/", "-")
    key = glaas.user(user, tmp_path)
    glaas.people.grant(project, user, "write", by="tests")
    monkeypatch.setenv("GIT_SSH_COMMAND", sshd.command(key))
    git(roar.folder, "remote", "add", "glaas", sshd.url(project))
    make.job(repo, "train", {}, {"model": "m"}, code={"commit": git(roar.folder, "rev-parse", "HEAD")})
    git(roar.folder, "config", "roar.register.tag", "true")
    done = roar("register", MODEL)
    assert f", tagged roar/{MODEL[:12]}\n  confirmed: 1 record".encode() in done.stdout, "no tag went to the server"
    assert b"(next: roar register --with-code)\n" in done.stderr, "nor is a branch to be pushed there"
    glaas.people.remove_key(user, glaas.people.users()[user].keys[0].fingerprint, by="tests")
    told = roar("verify").stdout.decode()
    assert f"not checked: the log of {project}: {sshd.host} cannot be reached: " in told
    assert "Permission denied" in told
    assert b"Permission denied" in roar("auth", "test", "glaas", code=1).stderr


def test_a_server_that_is_set_is_the_one(
    glaas: Glaas, sshd: Sshd, remote: str, repo: Repository, roar: Roar, git: Git
) -> None:
    git(roar.folder, "config", "roar.glaas.url", "http://127.0.0.1:1")
    assert f"its server is {glaas.url}, and not http://127".encode() in roar("auth", "test", "glaas", code=1).stderr
    git(roar.folder, "config", "roar.glaas.url", glaas.url)
    assert f"{glaas.url}: ada, over {sshd.host}".encode() in roar("auth", "test", "glaas").stdout
    assert [log.size for log in logged.standings(repo, None, fail)] == [0]
    roar("auth", "logout", "glaas")
    git(roar.folder, "config", "roar.glaas.url", "https://roar.example.org")
    before = len(glaas.audited())
    assert verbs.learn(repo, fail) == {}, "a server elsewhere: this one is a plain remote"
    assert len(glaas.audited()) == before


def fail(error: RoarError) -> None:
    raise error


def test_the_address_is_as_the_server_was_told(
    glaas: Glaas, project: str, tmp_path: Path, roar: Roar, git: Git, monkeypatch: pytest.MonkeyPatch
) -> None:
    """``--url`` of the forced command goes before what the server has noted; plain HTTP elsewhere is refused."""
    monkeypatch.setenv("GIT_SSH_COMMAND", Sshd.command(glaas.key))
    storage = glaas.storage
    assert storage.url() == glaas.url
    storage.note_url("https://roar.example.org", told=True)
    storage.note_url("http://127.0.0.1:9", told=False)
    assert storage.url() == "https://roar.example.org", "what was told goes before where one listens"
    storage.note_url(glaas.url, told=True)
    folder = tmp_path / "sshd"
    folder.mkdir()
    with roars(glaas, folder, "--url", "https://Roar.example.org:443/") as sshd:
        assert token(sshd, glaas.key, project, "read")["origin"] == "https://roar.example.org"


# ---- hosts that are none


def test_a_host_of_plain_git_is_asked_once(host: GitHost, repo: Repository, roar: Roar, git: Git) -> None:
    pipeline(repo)
    git(roar.folder, "remote", "add", "records", host.repository("team/records"))
    said = roar("register", MODEL)
    assert said.stdout.decode() == f"registered {MODEL} with records, 2 jobs: 2 records sent\n"
    assert said.stderr == b""
    assert host.asked().count("roar-authenticate") == 1
    roar("register", MODEL)
    roar("verify")
    roar("lookup", MODEL, code=2)
    assert "roar-authenticate" not in host.asked()
    assert b"is no server of lineage, or gives no tokens: " in roar("auth", "test", "records", code=1).stderr


def test_a_remote_with_branches_is_never_asked(host: GitHost, repo: Repository, roar: Roar, git: Git) -> None:
    """It takes code, so it is no server of lineage; what is asked of it is what git alone asks."""
    pipeline(repo)
    git(roar.folder, "remote", "add", "origin", host.repository("team/code"))
    git(roar.folder, "push", "-q", "origin", "main")
    host.asked()
    assert roar("register", MODEL).stderr == b""
    assert host.asked() == ["git-upload-pack", "git-receive-pack", "git-upload-pack"]
    roar("verify")
    roar("lookup", MODEL, code=2)
    roar("auth", "test", code=2)
    assert host.asked() == []
    assert not (Path(state_folder()) / "glaas").exists()


def test_commands_that_ask_nobody_do_not_ask(host: GitHost, repo: Repository, roar: Roar, git: Git) -> None:
    pipeline(repo)
    git(roar.folder, "remote", "add", "records", host.repository("team/quiet"))
    for words in (
        ["log"],
        ["status"],
        ["show", MODEL],
        ["auth", "status"],
        ["auth", "keys"],
        ["verify", "--offline"],
        ["register", "--dry-run", MODEL],
    ):
        roar(*words, code=None)
    assert host.asked() == []


def answer(**more: object) -> bytes:
    fields = {"origin": "http://127.0.0.1:9", "user": "ada", "project": "team/odd", "scope": "read"}
    return json.dumps({**fields, "expires_in": 900, "token": "roar-t1.x.y", **more}).encode() + b"\n"


@pytest.mark.parametrize(
    ("stdout", "said"),
    [
        (b"hello\n", ""),
        (b"", ""),
        (b"[" * 50_000, ""),
        (b"null", ""),
        (b'"' + b"x" * 200_000, "answers with more than 65536 bytes"),
        (answer(origin="http://elsewhere.example.org"), "names a server that is not asked: http://elsewhere.example"),
        (answer(origin="https://ada@example.org"), "names a server that is not asked: an address with a user"),
        (answer(origin="https://example.org/team/a"), "names no server: https://example.org/team/a"),
        (answer(origin="https://x\x1b]0;t\x07"), "names a server that is not asked: https://x\\x1b]0;t\\x07"),
        (answer(project="team/other"), "gives a token for something else"),
        (answer(scope="admin"), "gives a token for something else"),
        (answer(token="a\nb"), "gives a token that is none"),
        (answer(user="\x1b[31m"), "gives a token that is none"),
        (answer(expires_in=1e999), "does not answer as a roar server does"),
    ],
)
def test_answers_that_are_none(host: GitHost, stdout: bytes, said: str, repo: Repository, git: Git) -> None:
    """Nothing of them is remembered but that there was none, and none is a word of a terminal's."""
    git(repo.git_dir, "remote", "add", "odd", host.url("team/odd"))
    host.answer(stdout)
    told: list[RoarError] = []
    for _ in range(2):
        assert verbs.learn(repo, told.append) == {}
    assert host.asked() == ["roar-authenticate"]
    assert len(told) == bool(said)
    assert all(said in error.message and error.message.isprintable() for error in told)
    (name,) = known.servers()
    assert known.load(name, known.SSH).keys() == {"refusals"}
    assert known.load(name, known.TOKENS) == {}


def test_a_server_on_this_machine_is_named_by_this_machine_alone(
    host: GitHost, repo: Repository, git: Git, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another host's loopback is not ours: whoever listens there would get the token."""
    monkeypatch.setenv("GIT_SSH_COMMAND", f"{host.command(host.key)} -o HostName=127.0.0.1")
    git(repo.git_dir, "remote", "add", "odd", host.url("team/odd").replace("127.0.0.1", "box"))
    host.answer(answer())
    told: list[RoarError] = []
    assert verbs.learn(repo, told.append) == {}
    assert "names a server on this machine, not on its own: http://127.0.0.1:9" in told[0].message
    git(repo.git_dir, "remote", "set-url", "odd", host.url("team/odd"))
    assert verbs.learn(repo, told.append)["odd"].origin == "http://127.0.0.1:9"


def test_what_it_says_is_not_obeyed_by_the_terminal(host: GitHost, repo: Repository, roar: Roar, git: Git) -> None:
    """The records went, so the registration stands, and what was odd is one line."""
    pipeline(repo)
    git(roar.folder, "remote", "add", "odd", host.repository("team/odd"))
    host.answer(b"", "roar: \x1b]0;title\x07\u202emoc (next: \x1b[2J)\n", 1)
    done = roar("register", MODEL)
    assert done.stdout.decode() == f"registered {MODEL} with odd, 2 jobs: 2 records sent\n"
    assert done.stderr.decode() == f"roar: {host.host}: \\x1b]0;title\\x07\\x202emoc (next: \\x1b[2J)\n"
    assert roar("register", MODEL).stderr == b""


# ---- what is no host


@pytest.mark.parametrize(
    ("url", "user", "name", "port", "path"),
    [
        ("ssh://roar@host.example.org:2222/team/a.git", "roar", "host.example.org", "2222", "team/a.git"),
        ("ssh://host/team/a.git", "", "host", "", "team/a.git"),
        ("git@github.com:team/a.git", "git", "github.com", "", "team/a.git"),
        ("ssh://roar@[::1]:22/a", "roar", "::1", "22", "a"),
        ("roar@[::1]:a", "roar", "::1", "", "a"),
        ("git+ssh://box/a", "", "box", "", "a"),
    ],
)
def test_urls_over_ssh(url: str, user: str, name: str, port: str, path: str) -> None:
    found = ssh.place(None, url)
    assert found is not None
    assert (found[0].user, found[0].name, found[0].port, found[1]) == (user, name, port, path)
    again = ssh.place(None, f"{found[0].url}/{path}")
    assert again == found


@pytest.mark.parametrize(
    "url",
    [
        "https://host/team/a.git",
        "/srv/team/a.git",
        "./a:b",
        "file:///srv/a.git",
        "ssh://-oProxyCommand=id/team/a",
        "-oProxyCommand=id:team/a",
        "ssh://-l@host/team/a",
        "ssh://$(id)@host/team/a",
        "ssh://ho`id`st/team/a",
    ],
)
def test_urls_that_are_not(url: str) -> None:
    assert ssh.place(None, url) is None


@pytest.mark.parametrize(
    ("name", "variant", "options"),
    [
        ("ssh", "", "-o BatchMode=yes -o ConnectTimeout=10 -p 22"),
        ("wrapper", "auto", "-o BatchMode=yes -o ConnectTimeout=10 -p 22"),
        ("wrapper", "plink", "-batch -P 22"),
        ("TortoisePlink.exe", "", "-batch -P 22"),
        ("plink", "ssh", "-o BatchMode=yes -o ConnectTimeout=10 -p 22"),
        ("wrapper", "putty", "-P 22"),
    ],
)
def test_programs_that_git_knows(
    name: str, variant: str, options: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert echoed("ssh://ada@host:22/a.git", tmp_path / name, variant, monkeypatch) == (
        f"{options} ada@host roar-authenticate 'a b'\n"
    )


def test_a_program_that_knows_no_options(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    said = echoed("ada@host:a.git", tmp_path / "some ssh", "simple", monkeypatch)
    assert said == "ada@host roar-authenticate 'a b'\n"
    with pytest.raises(RoarError, match="which knows no port"):
        echoed("ssh://ada@host:22/a.git", tmp_path / "some ssh", "simple", monkeypatch)


def echoed(url: str, program: Path, variant: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """The words that a program in the place of ssh is called with."""
    program.write_text('#!/bin/sh\necho "$@"\n')
    program.chmod(0o755)
    monkeypatch.setenv("GIT_SSH", str(program))
    monkeypatch.setenv("GIT_SSH_VARIANT", variant)
    found = ssh.place(None, url)
    assert found is not None
    return ssh.call(found[0], ["roar-authenticate", "a b"]).stdout.decode()


def test_a_program_that_is_not_there(repo: Repository, git: Git) -> None:
    git(repo.git_dir, "config", "core.sshCommand", "/nowhere/ssh -v")
    git(repo.git_dir, "remote", "add", "records", "ada@host:team/a")
    told: list[RoarError] = []
    assert verbs.learn(repo, told.append) == {}
    assert told == []
