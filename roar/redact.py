"""Secrets, out of what is kept: command lines, variables, URLs, and files that go beside a record.

Two kinds are known. Some secrets have a shape of their own (a GitHub token, a private key): they are found
anywhere. Others look like anything else: those are taken out only where a name says what they are
(``--password X``, ``API_KEY=...``, ``user:password@host``). Hashes, ids, long paths and encoded data in a
command line stay as they are, for they are what a record is for.

In place of a secret stands ``[redacted:<kind>]``. Nothing here promises to find every secret.

All patterns work in linear time: what may repeat without bound is a single class of characters, and a match
begins only where no such character stands before, or after a literal that the class cannot hold. They are
compiled when a cheap search finds a telling substring; in most command lines there is none.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from fnmatch import fnmatchcase
from typing import NamedTuple

from roar.config.model import Redact

BUILT_IN = Redact()
"""No rules beside those of this module."""


class Shape(NamedTuple):
    """A secret known by its shape. Every text that ``pattern`` matches has one of ``hints`` in it."""

    kind: str
    hints: tuple[str, ...]
    pattern: str


URL = "url-credentials"
SIGNATURE = "url-signature"
PRIVATE_KEY = "private-key"

_W = r"(?<![A-Za-z0-9_])"
_D = r"(?<![A-Za-z0-9_-])"
_BODY = r"[A-Za-z0-9_-]"
_KEY_BEGIN = r"-----BEGIN [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----"
_KEY_END = r"-----END [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----"

SHAPES = (
    Shape("aws-key", ("AKIA", "ASIA"), _W + r"A(?:KI|SI)A[A-Z2-7]{16}(?![A-Za-z0-9])"),
    Shape("github-token", ("ghp_", "gho_", "ghu_", "ghs_", "ghr_"), _W + r"gh[pousr]_[A-Za-z0-9]{36,}"),
    Shape("github-token", ("github_pat_",), _W + r"github_pat_[A-Za-z0-9_]{22,}"),
    Shape("gitlab-token", ("glpat-", "glptt-", "gldt-", "glrt-"), _D + rf"gl(?:pat|ptt|dt|rt)-{_BODY}{{20,}}"),
    Shape("roar-token", ("roar-t1.",), _D + rf"roar-t1\.{_BODY}{{20,}}\.{_BODY}{{43}}(?!{_BODY})"),
    Shape("roar-token", ("roar-e1.", "roar-v1."), _D + rf"roar-[ev]1\.{_BODY}{{20,}}\.{_BODY}{{43}}(?!{_BODY})"),
    Shape("slack-token", ("xox", "xapp-"), _D + r"x(?:ox[abeoprs]|app)-[A-Za-z0-9-]{10,}"),
    Shape("slack-webhook", ("hooks.slack.com/",), r"hooks\.slack\.com/[a-z]{8,12}/[A-Za-z0-9/]{20,}"),
    Shape("huggingface-token", ("hf_", "api_org_"), _W + r"(?:hf|api_org)_[A-Za-z0-9]{30,}(?![A-Za-z0-9_])"),
    Shape("openai-key", ("sk-",), _D + r"sk-[A-Za-z0-9]{40,}"),
    Shape("openai-key", ("sk-proj-", "sk-svcacct-", "sk-admin-"), _D + rf"sk-(?:proj|svcacct|admin)-{_BODY}{{20,}}"),
    Shape("anthropic-key", ("sk-ant-",), _D + rf"sk-ant-{_BODY}{{20,}}"),
    Shape("openrouter-key", ("sk-or-",), _D + rf"sk-or-{_BODY}{{20,}}"),
    Shape("wandb-key", ("wandb_v1_",), _W + r"wandb_v1_[A-Za-z0-9_]{20,}"),
    Shape("google-key", ("AIza",), _D + rf"AIza{_BODY}{{35}}(?!{_BODY})"),
    Shape("google-token", ("ya29.", "GOCSPX-"), _D + rf"(?:ya29\.|GOCSPX-){_BODY}{{20,}}"),
    Shape("stripe-key", ("k_live_", "k_test_"), _W + r"[prs]k_(?:live|test)_[A-Za-z0-9]{16,}"),
    Shape("npm-token", ("npm_",), _W + r"npm_[A-Za-z0-9]{36}(?![A-Za-z0-9])"),
    Shape("pypi-token", ("pypi-Ag",), _D + rf"pypi-Ag{_BODY}{{40,}}"),
    Shape("databricks-token", ("dapi",), _W + r"dapi[0-9a-f]{32}(?![A-Za-z0-9])"),
    Shape("vault-token", ("hvs.", "hvb."), _D + rf"hv[sb]\.{_BODY}{{24,}}"),
    Shape("replicate-token", ("r8_",), _W + r"r8_[A-Za-z0-9]{37}(?![A-Za-z0-9])"),
    Shape("groq-key", ("gsk_",), _W + r"gsk_[A-Za-z0-9]{40,}"),
    Shape("sendgrid-key", ("SG.",), _D + rf"SG\.{_BODY}{{22}}\.{_BODY}{{43}}(?!{_BODY})"),
    Shape("digitalocean-token", ("_v1_",), _W + r"do[opr]_v1_[0-9a-f]{64}(?![A-Za-z0-9])"),
    Shape("age-key", ("AGE-SECRET-KEY-1",), _W + r"AGE-SECRET-KEY-1[A-Z0-9]{58}(?![A-Za-z0-9])"),
    Shape("jwt", ("eyJ",), _D + rf"eyJ{_BODY}{{8,}}\.eyJ{_BODY}{{8,}}\.{_BODY}{{8,}}"),
    Shape("bearer-token", ("earer ",), r"(?<=[Bb]earer )[A-Za-z0-9._~+/-]{16,}={0,2}"),
    # The user part of a URL, when it has a password or is one.
    Shape(URL, ("://",), r"(?<=://)[^\s/?#@:\[\"'<>{$%]{0,128}:[^\s/?#\"'<>{$\[]{1,256}(?=@)"),
    Shape(URL, ("://",), r"(?<=://)[A-Za-z0-9_-]{20,128}(?=@)"),
    Shape(
        SIGNATURE,
        ("ignature=", "redential=", "ecurity-Token=", "sig=", "ccessKeyId="),
        r"(?<=[?&])(?:X-(?:Amz|Goog)-(?:Signature|Credential|Security-Token)|Signature|sig|AWSAccessKeyId)="
        r"(?!\[redacted)[^&\s\"'#]+",
    ),
    Shape(PRIVATE_KEY, ("PRIVATE KEY",), _KEY_BEGIN + r"[\s\S]{0,200}?[A-Za-z0-9+/]{40}"),
)

# A name and what may stand between it and its value. After ``--name`` that may be a space alone.
_NAME_CHARACTERS = frozenset("abcdefghijklmnopqrstuvwxyz0123456789_.-")
_NAME_LENGTH = 80
_NAME = (
    r"(?<![A-Za-z0-9_.-])(-{0,2})([A-Za-z_][A-Za-z0-9_.-]{0,80})"
    r"(\\?[\"']?[ \t]{0,3}(?::=|=>|[=:])[ \t]{0,3}|[ \t]{1,3}(?!-))"
)
_WORD = r"(?<![A-Za-z0-9_.-])-{0,2}[A-Za-z_]"
_VALUE = r"\"([^\"\n]*)\"|'([^'\n]*)'|([^\s\"',;&|()<>]+)"
_HEADER_VALUE = r"()()([^\"'\n]+)"
_QUOTED_LITERAL = r"\"([^\"\n]*)\"|'([^'\n]*)'"
_BARE_LITERAL = r"()()([^\s\"'()\[\]{},;<>#]+)(?=[ \t]{0,9},?[ \t]{0,9}(?:[\r\n#]|\Z))"

NAME_HINTS = ("passw", "passp", "passc", "_pass", "-pass", "pwd", "secret", "token", "key", "credential", "auth")
"""In lower case, one of these is in every name that ``is_secret_name`` accepts."""
_SECRET_WORDS = frozenset({
    "password", "passwd", "passphrase", "passcode", "secret", "secrets", "token", "apikey", "credential",
    "credentials", "authorization",
})  # fmt: skip
_SECRET_PAIRS = frozenset({
    "api key", "access key", "secret key", "private key", "auth key", "encryption key", "signing key",
    "account key", "master key", "subscription key", "session key", "shared key", "db pass", "db pwd",
    "user pass", "user pwd", "smtp pass", "mail pass", "ftp pass", "ssh pass", "admin pass", "root pass",
    "mysql pwd", "mysql pass", "redis pass", "pg pass",
})  # fmt: skip
_SECRET_ENDINGS = ("password", "passwd", "apikey", "secretkey", "accesskey", "accountkey", "authtoken", "accesstoken")
_TOKENS_OF_TEXT = frozenset({
    "eos", "bos", "pad", "unk", "mask", "sep", "cls", "special", "next", "last", "first", "end", "start",
    "stop", "per", "image", "audio", "video", "prompt", "new", "trigger", "instance", "class",
    "placeholder", "added", "extra", "space", "sub", "max", "min", "num", "n", "separator", "delimiter",
    "dummy",
})  # fmt: skip
"""``--pad-token`` and its like name tokens of a language model."""

_PLAIN_WORDS = frozenset({
    "true", "false", "none", "null", "nil", "yes", "no", "on", "off", "bearer", "basic", "default",
    "prompt", "ask", "required",
})  # fmt: skip
_EXAMPLES = ("example", "changeme", "your", "xxx", "dummy", "sample", "placeholder", "fake", "redacted", "12345678")

_URL_PLACEHOLDERS = frozenset({
    "", "password", "passwd", "pass", "pwd", "pw", "secret", "token", "test", "admin", "root", "guest", "postgres",
})  # fmt: skip

_SHORT_FLAGS: dict[str, tuple[str, ...]] = {
    "curl": ("-u", "--user", "-U", "--proxy-user"), "http": ("-a",), "https": ("-a",), "redis-cli": ("-a",),
    "ldapsearch": ("-w",), "lftp": ("-u",), "mariadb": ("-p",), "mongo": ("-p",), "mongosh": ("-p",),
    "mysql": ("-p",), "mysqladmin": ("-p",), "mysqldump": ("-p",), "smbclient": ("-U",), "sqlcmd": ("-P",),
    "sshpass": ("-p",), "unzip": ("-P",), "zip": ("-P",),
}  # fmt: skip
"""Programs with an option whose value is a secret, attached to it or the next word."""
_ATTACHED_ONLY = frozenset({"mysql", "mysqldump", "mysqladmin", "mariadb"})
"""Here ``-p WORD`` asks for the password, and the word is something else."""

_SECRET_FILES = frozenset({
    ".env", ".envrc", ".netrc", "_netrc", ".npmrc", ".pypirc", ".htpasswd", ".pgpass", ".my.cnf",
    ".git-credentials", ".dockercfg", ".s3cfg", ".boto", ".vault-token", ".token", "credentials",
    "kubeconfig", "kaggle.json", "token.json", "token.txt", "terraform.tfstate", "id_rsa", "id_dsa",
    "id_ecdsa", "id_ed25519", "id_ecdsa_sk", "id_ed25519_sk",
})  # fmt: skip
_SECRET_SUFFIXES = (
    ".pem", ".key", ".p12", ".pfx", ".jks", ".keystore", ".kdbx", ".ppk", ".env", ".tfvars", ".ovpn",
)  # fmt: skip
_SECRET_FOLDERS = frozenset({
    ".ssh", ".gnupg", ".aws", ".kube", ".docker", ".azure", ".gcloud",
})  # fmt: skip
_SECRET_STEMS = frozenset({
    "secret", "secrets", "credential", "credentials", "service-account", "service_account",
})  # fmt: skip
_STEM_SUFFIXES = frozenset({
    "", "py", "json", "yaml", "yml", "toml", "ini", "cfg", "conf", "txt", "csv", "xml", "properties", "sh",
    "gpg", "enc",
})  # fmt: skip
_HARMLESS_ENV = (".example", ".sample", ".template", ".dist", ".defaults")


def redact_text(text: str, rules: Redact = BUILT_IN) -> tuple[str, int]:
    """The text without its secrets, and how many were taken out."""
    total = 0
    for _ in range(3 if rules.enabled else 0):  # where one was taken out another may now stand alone
        text, count = _redact_once(text, rules)
        total += count
        if not count:
            break
    return text, total


def redact_argv(argv: Sequence[str], rules: Redact = BUILT_IN) -> tuple[list[str], int]:
    """The words of a command line without their secrets, and how many were taken out."""
    program = argv[0].replace("\\", "/").rpartition("/")[2] if argv else ""
    flags = _SHORT_FLAGS.get(program, ())
    has_more_rules = rules.names or rules.patterns or rules.values
    if not rules.enabled or (not flags and not has_more_rules and not _has_hint("\n".join(argv))):
        return list(argv), 0
    clean: list[str] = []
    total = 0
    expected = False  # the word before is an option whose value is this word
    for before, word in zip(["", *argv], argv, strict=False):
        name, equals, value = word.partition("=")
        attached = next((f for f in flags if len(f) == 2 and word.startswith(f) and word != f), None)
        is_named = bool(equals) and name.lstrip("-").replace("-", "_").replace(".", "_").isidentifier()
        is_script = before[:1] == "-" and before[-1:] == "c" and any(map(str.isspace, word))  # sh -c "A=b command"
        kept, count = "[redacted:secret]", 1
        if is_named and not is_script and is_secret_name(name, rules) and not _is_plain(value):
            kept = f"{name}={kept}"
        elif attached:
            kept = attached + kept
        elif not expected or _is_plain(word) or word.startswith("--"):
            kept, count = redact_text(word, rules)
        is_flag = word.startswith("-") and not equals and (not expected or word.startswith("--"))
        expected = is_flag and (is_secret_name(word, rules) or (word in flags and program not in _ATTACHED_ONLY))
        clean.append(kept)
        total += count
    return clean, total


def redact_variables(variables: Mapping[str, str], rules: Redact = BUILT_IN) -> tuple[dict[str, str], int]:
    """Environment variables without secrets, and how many were taken out."""
    clean = {}
    total = 0
    for name, value in variables.items():
        if rules.enabled and is_secret_name(name, rules) and not _is_plain(value):
            clean[name], count = "[redacted:secret]", 1
        else:
            clean[name], count = redact_text(value, rules)
        total += count
    return clean, total


def redact_url(url: str, rules: Redact = BUILT_IN) -> str:
    """The URL without its credentials and without the parameters of its query that are secret.

    The user name stays where it is none: ``git@host:path`` and ``ssh://git@host/path`` come back as they are.
    """
    scheme, colon, rest = url.partition("://")
    if not rules.enabled or not colon or "/" in scheme:
        return redact_text(url, rules)[0]
    end = min((place for place in map(rest.find, "/?#") if place >= 0), default=len(rest))
    user, _, host = rest[:end].rpartition("@")
    name = "" if re.search(r"https?|ftps?", scheme) else user.partition(":")[0]
    path, question, query = rest[end:].partition("?")
    query, hash_sign, fragment = query.partition("#")
    kept = [parameter for parameter in query.split("&") if not _is_secret_parameter(parameter)]
    tail = path + (question if kept else "") + "&".join(kept) + hash_sign + fragment
    return redact_text(f"{scheme}://{name}{'@' if name else ''}{host}{tail}", rules)[0]


def find_secrets(data: bytes, rules: Redact = BUILT_IN) -> list[str]:
    """The kinds of secrets that a file with these bytes holds; empty when it may be kept.

    Stricter than for a command line, where to take out too much costs little: code speaks of tokens and
    passwords all the time, so a value counts only when it is a literal that looks random. In a URL nobody writes a
    password but the true one or a placeholder.
    """
    text = data.decode("latin-1")
    kinds = {kind for kind, match in _shapes(text) if kind != URL or not _stands_for_a_password(match[0])}
    encoded = rules._replace(values=tuple(value.encode().decode("latin-1") for value in rules.values))
    kinds.update(kind for _, _, kind in _by_rules(text, encoded))
    if any(_looks_random(value) for value, _, _ in _named(text, _QUOTED_LITERAL, rules)) or any(
        _looks_random(value) and not _is_expression(value) for value, _, _ in _named(text, _BARE_LITERAL, rules)
    ):
        kinds.add("secret")
    return sorted(kinds)


def _stands_for_a_password(user: str) -> bool:
    """Whether the user part of a URL (``name:password``) is one of documentation and of local test databases."""
    name, colon, password = user.lower().partition(":")
    plain = password if colon else name
    return plain in _URL_PLACEHOLDERS or plain == name != "" or any(word in plain for word in _EXAMPLES)


def is_secret_name(name: str, rules: Redact = BUILT_IN) -> bool:
    """Whether a variable, option or key of this name holds a secret: ``API_KEY``, ``--db-password``,
    ``hfToken``.
    """
    if rules.allow and _is_one_of(name, rules.allow):
        return False
    if rules.names and _is_one_of(name, rules.names):
        return True
    lowered = name.lower()
    if not any(hint in lowered for hint in NAME_HINTS):
        return False
    spaced = re.sub(r"(?<=[a-z0-9])(?=[A-Z])|[^A-Za-z0-9]+", " ", name).lower()
    words = [word for word in (word.rstrip("0123456789") for word in spaced.split()) if word]
    last, before = ["", "", *words][:-3:-1]
    if last == "token":
        return before not in _TOKENS_OF_TEXT
    return last in _SECRET_WORDS or f"{before} {last}" in _SECRET_PAIRS or last.endswith(_SECRET_ENDINGS)


def is_secret_path(relative_path: str) -> bool:
    """Whether a file of this name is one that people keep secrets in; it is never stored."""
    *folders, name = relative_path.lower().split("/")
    if any(folder in _SECRET_FOLDERS for folder in folders):
        return True
    if name.startswith(".env."):
        return not name.endswith(_HARMLESS_ENV)
    stem, _, suffix = name.partition(".")
    if name in _SECRET_FILES or name.endswith(_SECRET_SUFFIXES):
        return True
    return (stem in _SECRET_STEMS or stem.startswith("client_secret")) and suffix in _STEM_SUFFIXES


def _is_one_of(name: str, globs: Sequence[str]) -> bool:
    """Whether a glob means this name; neither case nor ``-`` for ``_`` matters."""
    plain = name.lstrip("-").lower()
    names = {plain, plain.replace("-", "_")}
    return any(fnmatchcase(each, glob.lstrip("-").lower()) for glob in globs for each in names)


def _by_rules(text: str, rules: Redact) -> Iterator[tuple[int, int, str]]:
    """The places of what the user said is secret by itself."""
    for pattern in rules.patterns:
        yield from ((*match.span(), "pattern") for match in re.finditer(pattern, text) if match[0])
    for value in rules.values:
        yield from ((*match.span(), "value") for match in re.finditer(re.escape(value), text))


def _redact_once(text: str, rules: Redact) -> tuple[str, int]:
    spans = [(start, end, "secret") for _, start, end in _named(text, _VALUE, rules)]
    spans += _by_rules(text, rules)
    for kind, match in _shapes(text):
        end = match.end()
        if kind == PRIVATE_KEY:  # to its last line, or to the end of the text
            tail = re.compile(_KEY_END).search(text, match.start())
            end = tail.end() if tail else len(text)
        spans.append((match.start(), end, kind))
    clean = []
    done = count = 0
    for start, end, kind in sorted(spans, key=lambda span: (span[0], -span[1])):
        if start >= done:
            clean += [text[done:start], f"[redacted:{kind}]"]
            count += 1
        done = max(done, end)
    return "".join([*clean, text[done:]]), count


def _has_hint(text: str) -> bool:
    lowered = text.lower()
    return any(hint in lowered for hint in NAME_HINTS) or any(h in text for shape in SHAPES for h in shape.hints)


def _shapes(text: str) -> Iterator[tuple[str, re.Match[str]]]:
    """The kinds and places of what has the shape of a secret."""
    for kind, hints, pattern in SHAPES:
        if not any(hint in text for hint in hints):
            continue
        for match in re.finditer(pattern, text):
            # Fewer characters than chance would give are an example: ghp_xxxxxxxx, AKIA...EXAMPLE.
            if kind in (URL, SIGNATURE) or (len(set(match[0])) >= 10 and "EXAMPLE" not in match[0]):
                yield kind, match


def _named(text: str, value_pattern: str, rules: Redact) -> Iterator[tuple[str, int, int]]:
    """Values that stand after the name of a secret, with their places."""
    starts = sorted(_names(text).union(match.start() for match in re.finditer(_WORD, text) if rules.names))
    if not starts:
        return
    names, values = re.compile(_NAME), re.compile(value_pattern)
    done = 0
    for at in starts:
        name = names.match(text, at) if at >= done else None
        if name is None:
            continue
        dashes, word, between = name.groups()
        if (not dashes and not between.strip()) or not is_secret_name(word, rules):
            continue
        is_header = word.lower().endswith("authorization")
        found = (re.compile(_HEADER_VALUE) if is_header else values).match(text, name.end())
        if found is None or found.lastindex is None:
            continue
        value, (start, end) = found[found.lastindex], found.span(found.lastindex)
        if not _is_plain(value) and text[end : end + 1] not in ("(", "["):
            done = end
            yield value, start, end


def _names(text: str) -> set[int]:
    """Where the words begin that have a hint of a secret's name in them."""
    lowered = text.lower()
    if len(lowered) != len(text):  # some letters grow; only ASCII matters here
        lowered = "".join(c.lower() if c.isascii() else c for c in text)
    starts = set()
    for hint in NAME_HINTS:
        at = lowered.find(hint)
        while at >= 0:
            start = at
            while start > 0 and lowered[start - 1] in _NAME_CHARACTERS and at - start < _NAME_LENGTH:
                start -= 1
            starts.add(start)
            at = lowered.find(hint, at + len(hint))
    return starts


def _is_secret_parameter(parameter: str) -> bool:
    name = parameter.partition("=")[0].lower()
    return (
        is_secret_name(name)
        or name in ("sig", "key", "auth", "awsaccesskeyid")
        or name.endswith(("signature", "credential"))
    )


def _is_plain(value: str) -> bool:
    """Whether a value under a secret's name is none: a variable, a place holder, the path of a file."""
    if not value or value.lower() in _PLAIN_WORDS or value.endswith(("[", "(")):
        return True
    if value.startswith(("$", "<", "{", "%", "*", "`", "[redacted", "id=", "type=", "env=", "file:", "env:")):
        return True
    if value.startswith(("/", "./", "../", "~/")) or value.endswith((".pem", ".key", ".txt", ".json", ".yaml", ".crt")):
        return not any(len(part) >= 16 and _looks_random(part) for part in re.split(r"[/.]", value))
    return False


def _looks_random(value: str) -> bool:
    """Whether a literal looks like a key or a good password, not like a word, a name or a place holder."""
    if not 8 <= len(value) <= 512 or len(set(value)) < 6 or not value.isascii() or "://" in value or " " in value:
        return False
    lowered = value.lower()
    digits = sum(map(str.isdigit, value))
    if not digits or lowered == value.upper() or any(word in lowered for word in _EXAMPLES):
        return False
    if any(character in "!@#$%^&*+=~?|" for character in value):
        return True
    longest = max(re.split(r"[^A-Za-z0-9]+", value), key=len)
    is_mixed = lowered != value != value.upper()
    return len(longest) >= 8 and any(map(str.isdigit, longest)) and (is_mixed or digits >= 3)


def _is_expression(value: str) -> bool:
    """Whether an unquoted literal could as well be a name in a program: ``self.token2ids``."""
    parts = value.split(".")
    if not all(map(str.isidentifier, parts)):
        return False
    return len(parts) > 1 or sum(map(str.isdigit, value)) < 3 or len(value) < 16
