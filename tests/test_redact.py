"""Secrets go, everything else stays; and no text makes a pattern slow."""

from __future__ import annotations

import random
import re
import string
import subprocess
import sys
import sysconfig
import uuid
from pathlib import Path
from typing import Any

if sys.version_info >= (3, 11):
    from re import _compiler as compiler  # type: ignore[attr-defined]
    from re import _constants as constants  # type: ignore[attr-defined]
    from re import _parser as parser  # type: ignore[attr-defined]
else:
    import sre_compile as compiler
    import sre_constants as constants
    import sre_parse as parser

import pytest
from blake3 import blake3
from hypothesis import given, settings
from hypothesis import strategies as st

from roar import redact
from roar.redact import (
    find_secrets,
    is_secret_name,
    is_secret_path,
    redact_argv,
    redact_text,
    redact_url,
    redact_variables,
)

DICE = random.Random(20)
LETTERS = string.ascii_letters + string.digits


def chance(length: int, alphabet: str = LETTERS) -> str:
    """A random body, made here so that no token stands in this file."""
    return "".join(DICE.choices(alphabet, k=length))


def words(text: str) -> list[str]:
    return text.split()


TOKENS = {
    "aws-key": "AKIA" + chance(16, string.ascii_uppercase + "234567"),
    "github-token": "ghp_" + chance(36),
    "gitlab-token": "glpat-" + chance(20),
    "roar-token": f"roar-{DICE.choice('tev')}1.{chance(160)}.{chance(43)}",
    "slack-token": "xoxb-" + chance(12, string.digits) + "-" + chance(24),
    "huggingface-token": "hf_" + chance(34),
    "openai-key": "sk-proj-" + chance(48),
    "anthropic-key": "sk-ant-api03-" + chance(40),
    "wandb-key": "wandb_v1_" + chance(40),
    "google-key": "AIza" + chance(35),
    "stripe-key": "sk_live_" + chance(24),
    "npm-token": "npm_" + chance(36),
    "pypi-token": "pypi-AgEIcHlwaS5vcmc" + chance(60),
    "databricks-token": "dapi" + chance(32, "0123456789abcdef"),
    "vault-token": "hvs." + chance(24),
    "sendgrid-key": f"SG.{chance(22)}.{chance(43)}",
    "digitalocean-token": "dop_v1_" + chance(64, "0123456789abcdef"),
    "age-key": "AGE-SECRET-KEY-1" + chance(58, string.ascii_uppercase),
    "jwt": f"eyJ{chance(20)}.eyJ{chance(40)}.{chance(43)}",
}
PEM = "-----BEGIN RSA PRIVATE KEY-----\n" + "\n".join(chance(64) for _ in range(5)) + "\n-----END RSA PRIVATE KEY-----"


@pytest.mark.parametrize("kind", TOKENS)
def test_a_token_is_found_wherever_it_stands(kind: str) -> None:
    token = TOKENS[kind]
    for text in (token, f"x {token} y", f"run({token!r})", f"a={token}", f"--data={token},b", f"é {token}"):
        clean, count = redact_text(text)
        assert token not in clean
        assert count == 1
        assert redact_argv(["prog", text])[1] == 1
        assert find_secrets(text.encode()) == [kind]
    assert redact_text(f"x {token} y")[0] == f"x [redacted:{kind}] y"


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("python t.py --password hunter2 x", "python t.py --password * x"),
        ("python t.py --password=hunter2 x", "python t.py --password=* x"),
        ("python t.py --hf-token abc123", "python t.py --hf-token *"),
        ("env DB_PASSWORD=x WANDB_API_KEY=0123abcd python t.py", "env DB_PASSWORD=* WANDB_API_KEY=* python t.py"),
        ("docker run --env=API_KEY=xyz -e TOKEN=abc img", "docker run --env=API_KEY=* -e TOKEN=* img"),
        ("mysql -psecret -u root db", "mysql -p* -u root db"),
        ("mysql -p db", "mysql -p db"),
        ("sshpass -p secret ssh host", "sshpass -p * ssh host"),
        ("/usr/bin/curl -u me:pw -o x.csv http://h/x", "/usr/bin/curl -u * -o x.csv http://h/x"),
        ("python t.py --password --verbose x", "python t.py --password --verbose x"),
        ("prog --password --token abc", "prog --password --token *"),
        ("prog --password -dash-first", "prog --password *"),
        ("prog http://h/?token=abc&a=1", "prog http://h/?token=*&a=1"),
    ],
)
def test_command_lines(before: str, after: str) -> None:
    clean, count = redact_argv(before.split())
    assert " ".join(clean) == after.replace("*", "[redacted:secret]")
    assert count == after.count("*")


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("PASSWORD=x python a.py --api-key 'a b' | tee y", "PASSWORD=* python a.py --api-key '*' | tee y"),
        ('login(token="abcdef", n=3)', 'login(token="*", n=3)'),
        ("curl -H 'Authorization: Token abcdef' http://h", "curl -H 'Authorization: *' http://h"),
        ('{"client_secret": "s3cr3t", "id": 7}', '{"client_secret": "*", "id": 7}'),
        ("mongo mongodb+srv://me:pw@h/db", "mongo mongodb+srv://[redacted:url-credentials]@h/db"),
        (f"echo {PEM} done", "echo [redacted:private-key] done"),
        (f"echo {PEM[:200]}", "echo [redacted:private-key]"),
    ],
)
def test_scripts_in_a_word(before: str, after: str) -> None:
    assert redact_argv(["sh", "-c", before])[0][2] == after.replace("*", "[redacted:secret]")


HARMLESS = [
    *words("--tokenizer gpt2 --max-tokens 512 --num-tokens=5 --pad-token [PAD] --eos-token=</s> --mask_token <mask>"),
    *words("--key a --sort-key name --primary-key=id --keys a,b --foreign_key=x --token-file /run/t --author me"),
    *words("--password-file x --private-key=~/.ssh/id_rsa --api-key $KEY --token=${TOKEN} --secret id=a,src=b"),
    *words("PWD=/home/a OLDPWD=/home/b TOKENIZERS_PARALLELISM=false PASSES=3 --two-pass 2 --bypass yes --auth basic"),
    *words("git@github.com:a/b.git ssh://git@h/x https://h/x?a=1 s3://bucket/key=1/part=2 user@host:/path"),
    blake3(b"x").hexdigest(),
    blake3(b"x").hexdigest()[:40],
    str(uuid.UUID(int=12345678901234567890)),
    "iVBORw0KGgoAAAANSUhEUgAAAAUAAAAFCAYAAACNbyblAAAAHElEQVQI12P4//8/w38GIAXDIBKE0DHxgljNBAAO9TXL0Y4OHwAAAABJRU5ErkJggg==",
    "sha256:" + blake3(b"y").hexdigest(),
    "/very/long/path/" + "component_with_words/" * 20 + "x.parquet",
    "print(open('secrets.txt').read()); token = next(it); key = d['k']; password = getpass.getpass()",
    "ghp_xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx",
    "//bytes/caf%E9",
]


def test_what_is_no_secret_stays() -> None:
    assert redact_argv(HARMLESS) == (HARMLESS, 0)
    for word in HARMLESS:
        assert redact_argv(["python", "t.py", word]) == (["python", "t.py", word], 0)
        assert redact_text(word) == (word, 0)
        assert find_secrets(word.encode()) == []


def test_random_data_stays() -> None:
    for _ in range(300):
        for word in (chance(40, "0123456789abcdef"), chance(64, "0123456789abcdef"), chance(200, LETTERS + "+/")):
            assert redact_argv(["python", word, "--data=" + word]) == (["python", word, "--data=" + word], 0)


def test_variables() -> None:
    clean, count = redact_variables(
        {"HF_TOKEN": "abc", "LANG": "C", "URL": "https://u:p@h/", "PASSWORD": "", "API_KEY": "$X", "TZ": "UTC"}
    )
    assert clean == {
        "HF_TOKEN": "[redacted:secret]",
        "LANG": "C",
        "URL": "https://[redacted:url-credentials]@h/",
        "PASSWORD": "",
        "API_KEY": "$X",
        "TZ": "UTC",
    }
    assert count == 2


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("https://bob:pw@h.com/x.git", "https://h.com/x.git"),
        ("https://token@h.com:8443/x.git", "https://h.com:8443/x.git"),
        ("https://h.com/x.git", "https://h.com/x.git"),
        ("git@github.com:o/r.git", "git@github.com:o/r.git"),
        ("ssh://git@h:22/x", "ssh://git@h:22/x"),
        ("ssh://git:pw@h/x", "ssh://git@h/x"),
        ("git+https://u:p@h/x@main", "git+https://h/x@main"),
        ("https://h/x?a=1&token=b&X-Amz-Signature=q&c#f", "https://h/x?a=1&c#f"),
        ("https://h/x?sig=b", "https://h/x"),
        ("https://u:p@ss@h/x", "https://h/x"),
        ("/srv/git/x.git", "/srv/git/x.git"),
        ("../x@y:z.git", "../x@y:z.git"),
        ("file:///srv/x", "file:///srv/x"),
        ("C:\\repo", "C:\\repo"),
        ("", ""),
    ],
)
def test_urls(before: str, after: str) -> None:
    assert redact_url(before) == after


@pytest.mark.parametrize("name", words("API_KEY apiKey --db-password PGPASSWORD hfToken TOKEN_2 x-api-key secret"))
def test_secret_names(name: str) -> None:
    assert is_secret_name(name)


@pytest.mark.parametrize("name", words("PWD key keys tokenizer max_tokens author password_file secretary monkey 1 -"))
def test_other_names(name: str) -> None:
    assert not is_secret_name(name)


@pytest.mark.parametrize(
    "path",
    words(
        ".env conf/.env.production prod.env id_rsa .ssh/config a/server.pem tls.key .netrc .npmrc .pypirc credentials"
        " aws/credentials.json secrets.yaml config/secrets.toml .aws/config client_secret_1.json .ENV token.json"
    ),
)
def test_secret_paths(path: str) -> None:
    assert is_secret_path(path)


@pytest.mark.parametrize(
    "path",
    words(
        "train.py .env.example id_rsa.pub secretary.py tokenizer.json environment.yml .envoy.yaml secrets/readme.md"
        " credentials_test.go keys.csv monkey.png src/secret_sharing.py"
    ),
)
def test_other_paths(path: str) -> None:
    assert not is_secret_path(path)


@pytest.mark.parametrize(
    ("body", "kinds"),
    [
        (b'password = "Tr0ub4dor&3"\n', ["secret"]),
        (b"db_password: Tr0ub4dor&3\n", ["secret"]),
        (b'{"api_key": "9f86d081884c7d65"}', ["secret"]),
        (PEM.encode(), ["private-key"]),
        (b'key = """' + PEM.replace("\n", "\\n").encode() + b'"""', ["private-key"]),
        (b"url: postgres://u:Tr0ub4dor9x@h/db\n", ["url-credentials"]),
        (b"\xff\xfe\x00 " + TOKENS["github-token"].encode(), ["github-token"]),
        (b'password = "secret"\npassword = getpass()\n', []),
        (b"token = self.token2ids\ntoken = tokens[i]\npad_token = '<pad>'\n", []),
        (b'password: str = ""\nAPI_KEY = os.environ["API_KEY"]\n', []),
        (b"api_key = your-api-key-here-123\npassword=changeme123\n", []),
        (b"url = 'http://user:password@example.com'\n", []),
        (b'if "-----BEGIN RSA PRIVATE KEY-----" in text:\n    pass\n', []),
        (b"def token(text, secret=None, key=lambda a: a): ...\n", []),
    ],
)
def test_files(body: bytes, kinds: list[str]) -> None:
    assert find_secrets(body) == kinds


def test_the_code_of_the_standard_library_has_no_secrets() -> None:
    """A real body of code that speaks of tokens, keys and passwords all the time."""
    files = [*Path(sysconfig.get_path("stdlib")).glob("*.py"), *Path(redact.__file__).parent.rglob("*.py")]
    assert len(files) > 150
    assert [str(file) for file in files if find_secrets(file.read_bytes())] == []


pieces = st.one_of(
    st.text(max_size=30),
    st.sampled_from(
        [*TOKENS.values(), PEM, "password=", "--token ", "://u:p@h", "Authorization: ", "'", '"', "=", " "]
    ),
    st.sampled_from(["[redacted:secret]", "İ", "eyJ", "-----BEGIN ", "PRIVATE KEY-----", "key", "?sig="]),
)


@given(st.lists(st.tuples(pieces, st.sampled_from(" \n,;")).map("".join), max_size=12).map("".join))
@settings(max_examples=300)
def test_once_is_enough(text: str) -> None:
    clean, count = redact_text(text)
    assert redact_text(clean) == (clean, 0)
    assert count > 0 or clean == text
    for token in TOKENS.values():
        if f" {token} " in f" {text} ":
            assert token not in clean


@given(st.lists(st.lists(pieces, max_size=4).map("".join), max_size=6))
def test_a_command_line_keeps_its_number_of_words(argv: list[str]) -> None:
    clean, count = redact_argv(argv)
    assert len(clean) == len(argv)
    assert count > 0 or clean == argv
    redact_url("".join(argv))


@given(st.binary(max_size=300))
def test_any_file(data: bytes) -> None:
    assert find_secrets(data) == find_secrets(data)


# Linear time, shown by the form of the patterns rather than by a clock.


def all_patterns() -> list[str]:
    named = [value for name, value in vars(redact).items() if name.startswith("_") and isinstance(value, str)]
    return [shape.pattern for shape in redact.SHAPES] + [p for p in named if p.startswith(("(", "-", '"', "\\"))]


def walk(tree: Any) -> list[tuple[Any, Any, int]]:
    """(what repeats without bound, what follows it, depth of the repeats around it) in a parsed pattern."""
    c = constants
    found = []

    def visit(items: Any, after: Any, depth: int) -> None:
        items = list(items)
        for place, (op, arg) in enumerate(items):
            follows = items[place + 1] if place + 1 < len(items) else after
            if op in (c.MAX_REPEAT, c.MIN_REPEAT):
                _, high, inner = arg
                if high == c.MAXREPEAT:
                    found.append((inner, follows, depth))
                visit(inner, follows, depth + (high == c.MAXREPEAT))
            elif op is c.SUBPATTERN:
                visit(arg[-1], follows, depth)
            elif op is c.BRANCH:
                for branch in arg[1]:
                    visit(branch, follows, depth)
            elif op in (c.ASSERT, c.ASSERT_NOT):
                visit(arg[1], None, depth)

    visit(tree, None, 0)
    return found


def characters(item: Any) -> set[str]:
    """The ASCII characters that one parsed item can begin with."""
    state = parser.State()
    state.str = ""
    one = parser.SubPattern(state, [item])
    pattern = compiler.compile(one) if one.getwidth()[0] == 1 else None
    return {chr(n) for n in range(128) if pattern and pattern.match(chr(n))}


@pytest.mark.parametrize("pattern", all_patterns())
def test_what_repeats_without_bound_is_one_class_that_what_follows_is_not_in(pattern: str) -> None:
    for inner, follows, depth in walk(parser.parse(pattern)):
        assert depth == 0, "a repeat in a repeat"
        assert len(inner) == 1, "more than one class repeats"
        assert characters(inner[0]), "not a class"
        if follows is not None:
            op = str(follows[0])
            if op in ("LITERAL", "IN", "NOT_LITERAL"):
                assert not characters(follows) & characters(inner[0]), "it can give back what follows"
            else:
                assert op in ("ASSERT", "ASSERT_NOT", "AT", "MAX_REPEAT"), op
    assert re.match(r"\(\?<[!=]|\\?\"|-{5}|hooks|AGE|\(\)\(\)|\\\\\\\\", pattern), "a match can begin anywhere"


def test_there_are_patterns_to_check() -> None:
    assert len(all_patterns()) >= len(redact.SHAPES) + 6


def test_long_texts_are_no_trouble() -> None:
    """Half a megabyte of each unit, repeated: minutes if anything were quadratic, and then CI would stop it."""
    for unit in (
        "eyJ",
        "key",
        "-----BEGIN PRIVATE KEY-----",
        "://u:",
        "a=",
        'password="',
        "--token ",
        "xoxb-",
        "?sig=",
    ):
        text = unit * (200_000 // len(unit))
        redact_text(text)
        find_secrets(text.encode())


def test_a_plain_command_line_compiles_nothing() -> None:
    code = (
        "import re\ncount=0\nreal=re._compiler.compile if hasattr(re,'_compiler') else re.sre_compile.compile\n"
        "import roar.redact\nre.purge()\nroar.redact.redact_argv(['python','train.py','--lr','0.1','data/x.csv'])\n"
        "assert not re._cache, re._cache\n"
        "import sys\nassert not {'urllib.parse','json','subprocess'} & set(sys.modules)\n"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_a_weak_password_in_a_url_of_code_is_one() -> None:
    assert find_secrets(b'db = "postgres://user:s3cretpw@host/db"\n')
    for placeholder in (b"postgres:postgres", b"user:password", b"me:changeme", b"git"):
        assert not find_secrets(b"https://" + placeholder + b"@localhost/x")
