"""Letting a browser in by SSH key: real command, real server, real browser; and those who try without right."""

from __future__ import annotations

import http.client
import json
import os
import re
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlencode

import make
import pytest
from conftest import Roar

from roar.git.repository import Repository, discover
from roar.glaas import login, ssh
from roar.server import tokens
from server.browser import chromium, page_of
from server.clients import impostor, make_certificate, passed_on, said, tls_before
from server.serving import ADMIN, PROJECT, Glaas, until

FORM = "application/x-www-form-urlencoded"


class Answer(NamedTuple):
    """What the server says to a browser."""

    status: int
    headers: http.client.HTTPMessage
    body: str

    @property
    def cookie(self) -> str:
        return str(self.headers["Set-Cookie"]).partition(";")[0]


def ask(glaas: Glaas, path: str, form: dict[str, str] | None = None, **headers: str) -> Answer:
    """Ask as a browser does that follows no redirect; a form comes from a page of the server, unless said otherwise."""
    connection = http.client.HTTPConnection("127.0.0.1", glaas.port, timeout=30)
    body = None if form is None else urlencode(form)
    own = {} if form is None else {"Sec-Fetch-Site": "same-origin", "Content-Type": FORM}
    sent = {"Accept": "text/html", **own, **{name.replace("_", "-"): value for name, value in headers.items()}}
    connection.request("GET" if form is None else "POST", path, body, {k: v for k, v in sent.items() if v})
    answer = connection.getresponse()
    found = Answer(answer.status, answer.headers, answer.read().decode())
    connection.close()
    return found


def enter(glaas: Glaas, code: str, user: str = ADMIN, **headers: str) -> Answer:
    return ask(glaas, "/enter", {"code": code, "as": user}, **headers)


@pytest.fixture(scope="module")
def job(glaas: Glaas, tmp_path_factory: pytest.TempPathFactory) -> str:
    """A job in the private project, which made ``secret.pkl``."""
    folder = tmp_path_factory.mktemp("entering")
    with pytest.MonkeyPatch.context() as patch:
        for name in ("GIT_AUTHOR", "GIT_COMMITTER"):
            patch.setenv(f"{name}_NAME", "Ada Recorder")
            patch.setenv(f"{name}_EMAIL", "ada@example.org")
        patch.setenv("HOME", str(folder))
        subprocess.run(["git", "init", "-q", str(folder / "clone")], check=True)
        clone: Repository = discover(str(folder / "clone"))
        made = make.job(clone, "make-secret", {"raw": "raw"}, {"secret.pkl": "secret"})
        words = ["git", f"--git-dir={clone.git_dir}", "push", "-q", glaas.remote(), "refs/roar/*"]
        subprocess.run(words, check=True)
    until(lambda: glaas.indexed(PROJECT) == 1)
    return made


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with chromium() as found:
        yield found


# ---- as it should be


def test_enter_look_and_leave(glaas: Glaas, job: str, browser: Any, roar: Roar, home_key: Path) -> None:
    with page_of(browser, glaas.url) as page:
        page.goto(glaas.url)
        assert "team/model" not in page.inner_text("main")
        address = roar("auth", "browse", f"{glaas.url}/a/{make.digest('secret')}").stdout.decode().strip()
        page.goto(address)
        page.wait_for_selector("h1:has-text('Enter as ada?')")
        assert "#" not in page.url
        page.locator("main button").focus()
        page.keyboard.press("Enter")
        page.wait_for_url(f"**/a/{make.digest('secret')}")
        assert page.inner_text("h1") == "secret.pkl"
        assert page.inner_text(".who").split() == ["ada", "Log", "out"]
        for path in ("/", "/p/team/model", f"/j/{job}", "/search?q=make-secret"):
            page.goto(glaas.url + path)
            assert "make-secret" in page.inner_text("main")
        (cookie,) = page.context.cookies()
        assert (cookie["httpOnly"], cookie["sameSite"], cookie["path"]) == (True, "Lax", "/")
        assert page.evaluate("document.cookie") == ""
        page.click("text=Log out")
        page.wait_for_url(glaas.url + "/")
        assert page.context.cookies() == []
        assert "team/model" not in page.inner_text("main")
        assert not any("roar-e1" in url for url in page.asked), "the code is in no address that was asked for"
    assert b"roar-e1" not in glaas.log.read_bytes()
    line = glaas.audited()[-1]
    assert (line["what"], line["user"], line["key"]) == ("enter", ADMIN, ssh.read(str(glaas.key)).fingerprint)


@pytest.mark.parametrize("how", [{"java_script_enabled": False}, {"color_scheme": "dark"}])
def test_without_scripts_and_on_a_phone(glaas: Glaas, job: str, browser: Any, how: dict[str, Any]) -> None:
    address = f"{glaas.url}/enter#{glaas.code(page=f'/j/{job}')}"
    with page_of(browser, glaas.url, **how) as page:
        page.set_viewport_size({"width": 360, "height": 740})
        page.goto(address)
        if "java_script_enabled" in how:
            page.fill("#code", address)
            page.click("text=Go on")
            page.click("main button:has-text('Enter as ada')")
        else:
            page.dblclick("main button:has-text('Enter as ada')")
        page.wait_for_url(f"**/j/{job}")
        assert page.locator("text=Log out").is_visible()
        page.goto(f"{glaas.url}/p/team/model")
        if "color_scheme" in how:
            assert page.evaluate("document.documentElement.scrollWidth") <= 360


def test_the_way_in_is_said_where_nothing_is_shown(glaas: Glaas, job: str) -> None:
    for path in (f"/a/{make.digest('secret')}", f"/j/{job}", "/p/team/model", "/p/team/other", "/a/" + "0" * 64):
        answer = ask(glaas, path)
        assert answer.status == 404
        assert f"roar auth browse {glaas.url}{path}<" in answer.body
    assert f"roar auth browse {glaas.url}<" in ask(glaas, "/search?q=make-secret").body
    assert f"roar auth browse {glaas.url}<" in ask(glaas, "/no/such'page%20%60x%60").body
    visit = enter(glaas, glaas.code()).cookie
    unknown = ask(glaas, "/a/" + "0" * 64, Cookie=visit)
    assert unknown.status == 404
    assert "auth browse" not in unknown.body


def test_the_words_of_the_command(glaas: Glaas, roar: Roar, home_key: Path, tree: Path) -> None:
    def page(*words: str) -> str:
        url = roar("auth", "browse", *words, code=0).stdout.decode()
        assert re.fullmatch(re.escape(f"{glaas.url}/enter#") + "[A-Za-z0-9._-]+\n", url)
        text = url.strip().partition("#")[2]
        made = tokens.decoded(glaas.storage.secret(), text, audience=glaas.url, now_ns=time.time_ns())
        assert made is not None
        return made.page

    subprocess.run(["git", "remote", "add", "hub", f"{glaas.url}/team/model.git"], cwd=tree, check=True)
    assert page(glaas.url) == page("--print", f"{glaas.url}/") == "/"
    assert page("hub") == page(f"{glaas.url}/team/model") == page(f"{glaas.url}/p/team/model") == "/p/team/model"
    assert page(f"{glaas.url}/j/{'0' * 26}", "--key", str(home_key)) == f"/j/{'0' * 26}"
    told = json.loads(roar("auth", "browse", "--json", glaas.url).stdout)
    assert (told["server"], told["user"], told["expires_in"]) == (glaas.url, ADMIN, 60)
    assert told["url"].startswith(f"{glaas.url}/enter#")
    assert not list(Path(os.environ["HOME"]).rglob("tokens.json"))


def test_a_browser_is_opened_on_a_display_alone(glaas: Glaas, roar: Roar, home_key: Path, tmp_path: Path) -> None:
    script = tmp_path / "browser"
    script.write_text(f'#!/bin/sh\necho "$1" >>{tmp_path}/opened\n')
    script.chmod(0o755)
    env = {"BROWSER": f"{script} %s", "TERM": "dumb"}
    roar("auth", "browse", glaas.url, **env)
    command = f"{sys.executable} -m roar auth browse {glaas.url}"
    for words, more in ((f"{command} --print", env), (command, {"BROWSER": "", "DISPLAY": "", "WAYLAND_DISPLAY": ""})):
        assert "roar: open it in a browser" in on_a_terminal(words, more)
    assert not (tmp_path / "opened").exists()
    assert "roar: opened in a browser" in on_a_terminal(command, env)
    assert (tmp_path / "opened").read_text().startswith(f"{glaas.url}/enter#roar-e1.")


def on_a_terminal(words: str, env: dict[str, str]) -> str:
    done = subprocess.run(
        ["script", "-qec", words, "/dev/null"],
        env={**os.environ, **env},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout


# ---- as it should not be


def test_looking_at_the_address_beforehand_uses_nothing_up(glaas: Glaas) -> None:
    code = glaas.code()
    for _ in range(2):
        assert ask(glaas, "/enter").headers["Set-Cookie"] is None
        asked = ask(glaas, "/enter", {"code": code})
        assert (asked.status, asked.headers["Set-Cookie"]) == (200, None)
        assert "Enter as ada" in asked.body
    assert "Enter as ada" in enter(glaas, code, "bob").body, "who is named must be who enters"
    assert enter(glaas, code).status == 303
    for form in ({"code": code}, {"code": code, "as": ADMIN}):
        again = ask(glaas, "/enter", form)
        assert (again.status, again.headers["Set-Cookie"]) == (403, None)
        assert "this code was used before" in again.body
    assert glaas.audited()[-1]["reasons"] == ["enter"]


def test_codes_that_let_nobody_in(glaas: Glaas, tmp_path: Path) -> None:
    expired = glaas.code(at_ns=time.time_ns() - 61 * 10**9)
    elsewhere = glaas.code(audience="https://roar.example.org")
    good = glaas.code()
    fields = {"audience": glaas.url, "user": ADMIN, "fingerprint": ssh.read(str(glaas.key)).fingerprint, "page": "/"}
    forged = tokens.code(b"x" * 32, **fields, now_ns=time.time_ns())
    tampered = good[:60] + ("A" if good[60] != "A" else "B") + good[61:]
    for code in (expired, elsewhere, forged, tampered, glaas.token(), "", "\x00", "é"):
        answer = enter(glaas, code)
        assert (answer.status, answer.headers["Set-Cookie"]) == (403, None), code
        assert "not this server&#39;s, or has expired</p>" in answer.body
        assert f"Next: roar auth browse {glaas.url}<" in answer.body
    assert enter(glaas, "x" * 5000).status == 403
    assert ask(glaas, "/enter", {str(number): "" for number in range(11)} | {"code": good, "as": ADMIN}).status == 400
    assert enter(glaas, "x" * (2 << 20)).status == 400
    glaas.user("gone", tmp_path)
    code = glaas.code("gone")
    glaas.people.disable_user("gone", by="tests")
    assert "no longer its user" in enter(glaas, code, "gone").body


@pytest.mark.parametrize(
    "headers",
    [
        {"Sec_Fetch_Site": "cross-site", "Origin": "https://evil.example"},
        {"Sec_Fetch_Site": "same-site"},
        {"Sec_Fetch_Site": "none"},
        {"Sec_Fetch_Site": "", "Origin": "null"},
        {"Sec_Fetch_Site": "", "Origin": "http://127.0.0.1:1"},
        {"Sec_Fetch_Site": ""},
    ],
)
def test_forms_of_other_sites_are_refused(glaas: Glaas, headers: dict[str, str]) -> None:
    code = glaas.code()
    visit = enter(glaas, glaas.code()).cookie
    for path, form in (("/enter", {"code": code, "as": ADMIN}), ("/enter", {"code": code}), ("/leave", {})):
        answer = ask(glaas, path, form, Cookie=visit, **headers)
        assert (answer.status, answer.headers["Set-Cookie"]) == (403, None)
    assert ask(glaas, "/p/team/model", Cookie=visit).status == 200
    assert enter(glaas, code, Sec_Fetch_Site="", Origin=glaas.url).status == 303, "older browsers name the origin alone"


def test_pages_take_the_cookie_and_nothing_else_does(glaas: Glaas, job: str) -> None:
    entered = enter(glaas, glaas.code())
    visit, value = entered.cookie, entered.cookie.partition("=")[2]
    page = ask(glaas, f"/j/{job}", Cookie=visit)
    assert page.status == 200
    assert page.headers["Cache-Control"] == "private, no-store"
    assert page.headers["ETag"] is None
    assert "Cookie" in page.headers["Vary"]
    front = ask(glaas, "/")
    assert "Cookie" in front.headers["Vary"]
    assert "ada" not in front.body
    assert ask(glaas, "/", Cookie=visit, If_None_Match=front.headers["ETag"]).status == 200
    assert ask(glaas, f"/api/v1/jobs/{job}", Cookie=visit).status == 404
    assert json.loads(ask(glaas, "/api/v1/projects", Cookie=visit).body) == {"projects": []}
    assert json.loads(ask(glaas, "/api/v1/auth/self", Cookie=visit).body)["user"] is None
    for service in ("git-upload-pack", "git-receive-pack"):
        assert ask(glaas, f"/team/model.git/info/refs?service={service}", Cookie=visit).status == 401
        refs = f"/team/model.git/info/refs?service={service}"
        assert ask(glaas, refs, Authorization=f"Bearer {value}").status == 401
    assert glaas.api("projects", value)[0] == 401
    assert ask(glaas, f"/j/{job}", Cookie=f"roar_{glaas.port}={glaas.token()}").status == 404, "a token is no visit"


def test_whoever_loses_the_key_is_out_at_once(glaas: Glaas, tmp_path: Path, job: str) -> None:
    for number, end in enumerate(("key", "user", "role")):
        name = f"eve{number}"
        glaas.user(name, tmp_path, team_model="read")
        visit = enter(glaas, glaas.code(name), name).cookie
        assert ask(glaas, f"/j/{job}", Cookie=visit).status == 200
        if end == "key":
            glaas.people.remove_key(name, glaas.people.users()[name].keys[0].fingerprint, by="tests")
        elif end == "user":
            glaas.people.disable_user(name, by="tests")
        else:
            glaas.people.grant(PROJECT, name, None, by="tests")
        assert ask(glaas, f"/j/{job}", Cookie=visit).status == 404, end
        assert (name in ask(glaas, "/", Cookie=visit).body) == (end == "role")


def test_who_has_left_is_out_with_every_copy_of_the_cookie(glaas: Glaas, job: str) -> None:
    visit, other = (enter(glaas, glaas.code()).cookie for _ in range(2))
    left = ask(glaas, "/leave", {}, Cookie=visit)
    assert (left.status, left.headers["Location"]) == (303, "/")
    assert "Max-Age=0" in left.headers["Set-Cookie"]
    assert ask(glaas, f"/j/{job}", Cookie=visit).status == 404
    assert ask(glaas, f"/j/{job}", Cookie=other).status == 200
    assert ask(glaas, "/leave", {}).status == 303
    key = ssh.read(str(glaas.key)).fingerprint
    began = time.time_ns() - (tokens.VISIT_SECONDS + 1) * 10**9
    old = tokens.visit(glaas.storage.secret(), user=ADMIN, fingerprint=key, now_ns=began)
    assert ask(glaas, f"/j/{job}", Cookie=f"roar_{glaas.port}={old}").status == 404


def test_behind_tls_the_cookie_is_bound_to_it(browser: Any, roar: Roar, tmp_path: Path, home_key: Path) -> None:
    certificate, private = make_certificate(tmp_path)
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with tls_before(port, certificate, private) as origin:
        (tmp_path / "server").mkdir()
        glaas = Glaas(tmp_path / "server", "--url", origin)
        glaas.people.add_key(ADMIN, Path(f"{home_key}.pub").read_text(), by="tests")
        glaas.port = port
        glaas.start()
        with page_of(browser, origin, ignore_https_errors=True) as page:
            trusted = {"GIT_CONFIG_COUNT": "1", "GIT_CONFIG_KEY_0": "http.sslCAInfo"}
            asked = roar("auth", "browse", origin, **trusted, GIT_CONFIG_VALUE_0=str(certificate))
            page.goto(asked.stdout.decode().strip())
            page.click("text=Enter as ada >> nth=-1")
            page.wait_for_url(origin + "/")
            assert "team/model" in page.inner_text("main")
            (cookie,) = page.context.cookies()
            assert cookie["name"] == f"__Host-roar_{origin.rpartition(':')[2]}"
            assert cookie["secure"]
            page.click("text=Log out")
            page.wait_for_selector("a:has-text('Log in')")
            assert page.context.cookies() == []
        glaas.stop()


@pytest.mark.parametrize("operation", ["read", "write", "join"])
def test_no_other_log_in_gives_a_code_and_this_one_no_token(glaas: Glaas, operation: str) -> None:
    def signed(operation: str, project: str = "") -> dict[str, str]:
        wish = {"audience": glaas.url, "project": project, "operation": operation}
        challenge = glaas.api("auth/challenge", data=wish)[1]["challenge"]
        key = ssh.read(str(glaas.key))
        signature = ssh.sign(login.message(glaas.url, project, operation, challenge), key, login.NAMESPACE)
        return {"challenge": challenge, "key": key.fingerprint, "signature": signature}

    assert glaas.api("auth/browser", data=signed(operation))[0] == 400
    assert glaas.api("auth/token", data=signed("browse"))[0] == 400
    assert glaas.api("auth/browser", data=signed("browse", PROJECT))[0] == 400
    for page in ("//evil.example", "https://evil.example", "/\\evil.example", "/a/x\n", "/enter", "/a/" + "x" * 300):
        assert glaas.api("auth/browser", data={**signed("browse"), "page": page})[0] == 422


def test_servers_that_are_not_what_they_seem(glaas: Glaas, roar: Roar, home_key: Path) -> None:
    def relay(asked: Any) -> Any:
        body = json.loads(asked.body)
        if "audience" in body:
            asked.body = json.dumps({**body, "audience": glaas.url}).encode()
        return passed_on(asked, glaas.url)

    with impostor(relay) as (origin, _):
        assert b"knows none of your keys" in roar("auth", "browse", origin, code=3).stderr
    for code in ("x y", "x\x1b[2J", "", 'x"'):
        given = {"challenge": "c", "code": code, "user": "ada", "expires_in": 60}
        with impostor(lambda _, given=given: said(given)) as (origin, _):
            done = roar("auth", "browse", origin, code=1)
        assert b"gives a code that is none" in done.stderr
        assert done.stdout == b""
