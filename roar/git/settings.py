"""What git's configuration says: every value, and who the user is."""

from __future__ import annotations

from roar.git import program
from roar.git.repository import Repository
from roar.paths import hostname


def values(repo: Repository) -> dict[str, list[str]]:
    """Every configured key (section and name in lower case) with its values, the strongest last."""
    found: dict[str, list[str]] = {}
    for item in repo.ask("config", "--list", "-z").decode("utf-8", "surrogateescape").split("\0"):
        key, newline, value = item.partition("\n")
        if key:
            found.setdefault(key, []).append(value if newline else "true")
    return found


def variables(repo: Repository) -> dict[str, str]:
    """Configuration and identity by one call of git, kept with the repository: the strongest value of each."""
    if repo.variables is None:
        done = program.call([*repo.args(), "var", "-l"], cwd=repo.work_tree)
        lines = done.stdout.decode("utf-8", "surrogateescape").split("\n")
        pairs = (line.partition("=") for line in lines)
        repo.variables = {key: value if equals else "true" for key, equals, value in pairs}
    return repo.variables


def identity(repo: Repository) -> str:
    """``Name <email>`` as git would write it into a commit; a made-up one where git has none to guess."""
    words = variables(repo).get("GIT_AUTHOR_IDENT", "").rsplit(" ", 2)
    if len(words) == 3 and not words[0].startswith("<"):
        return words[0]
    import getpass

    try:
        user = getpass.getuser()
    except (KeyError, OSError):
        user = "unknown"
    return f"{user} <{user}@{hostname()}>"


def branch_remote(config: dict[str, list[str]], branch: str | None) -> str | None:
    """The URL of the remote that a branch is bound to, else of ``origin``, else of the only remote."""
    name = (config.get(f"branch.{branch}.remote") or ["origin"])[-1]
    urls = config.get(f"remote.{name}.url")
    if urls:
        return urls[0]
    others = [v[0] for k, v in config.items() if k.startswith("remote.") and k.endswith(".url")]
    return others[0] if len(others) == 1 else None
