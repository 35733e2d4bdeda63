"""Where settings come from, weakest first, and what is wrong with them.

``.roarconfig`` in the top of the work tree, then git's own configuration as git reads it (system, global, local,
worktree, includes, ``git -c``), then ``ROAR_*`` in the environment. Nothing is guessed: what is misspelled or of the
wrong type is an error that names its place.

``gather`` is light enough to stand before the start of a command; ``understood`` is called only when something is set.
"""

from __future__ import annotations

import os
from stat import S_ISREG

from roar.errors import ConfigError
from roar.git import program
from roar.git.repository import Repository

TYPE_CHECKING = False  # as in typing, which takes 4 ms to import, and this stands before the start of a command
if TYPE_CHECKING:
    from roar.config.model import Key, Settings

SHARED_FILE = ".roarconfig"
_NO_SETTINGS = ("ROAR_TRACER", "ROAR_DEBUG", "ROAR_NO_TRACER")
"""Variables for who works on roar itself."""
_MOST_BYTES = 1 << 16
_PATTERN = ["--null", "--show-scope", "--show-origin", "--get-regexp", r"^roar\."]


class Entry:
    """One value, where it was found. Weaker ones come first.

    ``name`` is as git gives it, without ``roar.``; of an environment variable its name. ``scope`` is ``shared``
    (.roarconfig), ``environment``, or one of git's; ``file`` is "" for values of the command line and the environment.
    """

    __slots__ = ("file", "name", "scope", "value")

    def __init__(self, name: str, value: str, scope: str, file: str = "") -> None:
        self.name = name
        self.value = value
        self.scope = scope
        self.file = file


class Configuration:
    """What is set.

    ``variables`` are environment variables for every recorded command (``roar env``); ``ignored`` are settings of
    ``.roarconfig`` that may not stand there; ``given`` are the values that count, by name of setting in lower case.
    """

    __slots__ = ("given", "ignored", "settings", "variables")

    def __init__(
        self, settings: Settings, variables: dict[str, str], ignored: list[str], given: dict[str, list[Entry]]
    ) -> None:
        self.settings = settings
        self.variables = variables
        self.ignored = ignored
        self.given = given


def gather(repo: Repository | None) -> list[Entry]:
    """Everything that is set, unchecked. Without a repository, what git's configuration says here.

    Raises ``ConfigError`` when a file cannot be read.
    """
    found = _shared(repo.work_tree) if repo is not None and repo.work_tree else []
    found += _of_git(repo)
    found += [
        Entry(name, value, "environment")
        for name, value in sorted(os.environ.items())
        if name.startswith("ROAR_") and name not in _NO_SETTINGS
    ]
    return found


def load(repo: Repository | None) -> Configuration:
    """The configuration. Raises ``ConfigError``."""
    return understood(gather(repo))


def understood(entries: list[Entry]) -> Configuration:
    """What these values say. Raises ``ConfigError`` for the first that is misspelled or of the wrong type."""
    from roar.config.model import KEYS, with_values

    of_environment = {key.variable: key for key in KEYS.values()}
    values: dict[tuple[str, str], object] = {}
    given: dict[str, list[Entry]] = {}
    variables: dict[str, str] = {}
    ignored: list[str] = []
    for entry in entries:
        in_environment = entry.scope == "environment"
        variable = variable_of(entry)
        if variable is not None:
            if entry.scope == "shared":  # could name a library to load
                ignored.append(f"roar.{entry.name}")
            else:
                variables[variable] = entry.value
            continue
        key = of_environment.get(entry.name) if in_environment else KEYS.get(entry.name)
        if key is None:
            if in_environment and not entry.name.startswith(tuple(f"ROAR_{k.group}_".upper() for k in KEYS.values())):
                continue  # somebody else's
            raise _unknown(entry, list(of_environment) if in_environment else [k.name for k in KEYS.values()])
        if entry.scope == "shared" and not key.shared:
            ignored.append(f"roar.{key.name}")
            continue
        place = key.group, key.field
        mine = given.setdefault(key.name.lower(), [])
        if in_environment or not key.kind.many or not entry.value:
            mine.clear()
        if key.kind.many:
            before = values.get(place, ())
            assert isinstance(before, tuple)
            new = entry.value.splitlines() if in_environment else [entry.value]
            values[place] = (*(before if mine else ()), *(parsed(key, v, entry) for v in new if v))
        else:
            values[place] = parsed(key, entry.value, entry)
        mine.append(entry)
    return Configuration(with_values(values), variables, ignored, given)


def variable_of(entry: Entry) -> str | None:
    """The environment variable that an entry gives to recorded commands; None for other entries."""
    import re

    found = re.fullmatch(r"env\.([A-Za-z_][A-Za-z0-9_]*)\.value", entry.name)
    return found[1] if found else None


def parsed(key: Key, value: str, entry: Entry | None = None) -> object:
    """The value that a text stands for. Raises ``ConfigError``, which names the place of ``entry``."""
    try:
        return key.kind.parse(value)
    except ValueError:
        name = entry.name if entry is not None and entry.scope == "environment" else f"roar.{key.name}"
        shown = value if len(value) <= 60 else value[:59] + "…"
        raise ConfigError(
            f"{_place(entry)}{name} is {shown!r}, expected {key.kind.wants}", f"roar config describe {key.name}"
        ) from None


def nearest(name: str, names: list[str]) -> str | None:
    """The one of the names that was probably meant."""
    import difflib

    by_lower = {known.lower(): known for known in names}
    last = {known.rpartition(".")[2]: known for known in by_lower}
    near = difflib.get_close_matches(name.lower(), by_lower, 1, 0.75) or [
        last[word] for word in difflib.get_close_matches(name.lower().rpartition(".")[2], last, 1, 0.75)
    ]
    return by_lower[near[0]] if near else None


def _unknown(entry: Entry, names: list[str]) -> ConfigError:
    prefix = "" if entry.scope == "environment" else "roar."
    near = nearest(entry.name, names)
    hint = f"write {prefix}{near}, or see: roar config describe" if near else "roar config describe"
    return ConfigError(f"{_place(entry)}there is no setting {prefix}{entry.name}", hint)


def _place(entry: Entry | None) -> str:
    if entry is None:
        return ""
    if not entry.file:
        return {"environment": "in the environment: ", "command": "on git's command line: "}.get(entry.scope, "")
    line = _line(entry)
    return f"{entry.file}{f' line {line}' if line else ''}: "


_SECTION = r'\s*\[\s*([A-Za-z0-9.-]+)(?:\s+"((?:[^"\\]|\\.)*)")?\s*\]'
_ASSIGNED = r"\s*([A-Za-z][A-Za-z0-9-]*)\s*(?:$|[=#;])"


def _line(entry: Entry) -> int | None:
    """The line of the file that sets this value, the last of several. git tells the file only."""
    import re

    try:
        with open(entry.file, encoding="utf-8", errors="surrogateescape") as file:
            lines = file.read().splitlines()
    except OSError:
        return None
    section, found, sure = "", None, False
    for number, line in enumerate(lines, 1):
        rest = line
        header = re.match(_SECTION, line)
        if header:
            section = header[1].lower() + (f".{header[2]}" if header[2] is not None else "")
            rest = line[header.end() :]
        name = re.match(_ASSIGNED, rest)
        if name and f"{section}.{name[1].lower()}" == f"roar.{entry.name}":
            exact = bool(entry.value) and entry.value in rest
            if exact or not sure:
                found, sure = number, exact
    return found


def _of_git(repo: Repository | None) -> list[Entry]:
    env = program.environment()
    if repo is None:  # as in discovering a repository
        env.update((name, os.environ[name]) for name in ("GIT_DIR", "GIT_WORK_TREE") if name in os.environ)
    done = program.call_here([*(repo.args() if repo else ()), "config", *_PATTERN], env)
    if done.returncode not in (0, 1):  # 1 says that there are none
        raise ConfigError(f"git cannot read its configuration: {program.last_line(done.stderr)}", "git config --list")
    words = done.stdout.decode("utf-8", "surrogateescape").split("\0")
    return [
        Entry(*_name_and_value(item), scope, origin.removeprefix("file:") if origin.startswith("file:") else "")
        for scope, origin, item in zip(words[0::3], words[1::3], words[2::3], strict=False)
    ]


def _shared(top: str) -> list[Entry]:
    path = os.path.join(top, SHARED_FILE)
    try:
        stat = os.lstat(path)
    except OSError:
        return []
    if not S_ISREG(stat.st_mode) or stat.st_size > _MOST_BYTES:
        raise ConfigError(f"{path} is no regular file of at most {_MOST_BYTES >> 10} KiB", "git checkout .roarconfig")
    words = ["config", "--file", path, "--no-includes", "--null", "--get-regexp", r"^roar\."]
    done = program.call_here(words, program.environment())
    if done.returncode not in (0, 1):
        raise ConfigError(f"git cannot read {path}: {program.last_line(done.stderr)}", f"git config --file {path} -e")
    items = done.stdout.decode("utf-8", "surrogateescape").split("\0")
    return [Entry(*_name_and_value(item), "shared", path) for item in items if item]


def _name_and_value(item: str) -> tuple[str, str]:
    """A key without a value is a boolean that is true."""
    name, newline, value = item.partition("\n")
    return name.removeprefix("roar."), value if newline else "true"
