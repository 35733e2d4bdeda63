"""Putting hook scripts beside the user's own, and taking exactly them away again.

A hook that is there already is never replaced: a shell script gets two lines after its first one, anything else is
set aside under ``<name>.before-roar``, from where ours calls it. The place is git's (``core.hooksPath``).
"""

from __future__ import annotations

import os
import re

from roar.errors import RoarError
from roar.git import files, program
from roar.git.repository import Repository
from roar.paths import OPEN, below

CLIENT = ("post-checkout", "post-merge", "post-rewrite", "pre-push")
SERVER = ("pre-receive",)
ASIDE = ".before-roar"
_MARK = b"# roar hook: "
_WHOLE = b'"$0.before-roar"'
"""In each script of ours, and in nobody else's."""
_SHELL = re.compile(rb"#!\s*(/usr)?/bin/(env\s+)?(ba|da|k|z)?sh\b")


class Hooks:
    """The hooks of a repository, and the folder of our scripts.

    Raises ``RoarError`` where hooks of other repositories are, too, and for folders that cannot be written.
    """

    def __init__(self, repo: Repository, scripts: str) -> None:
        self._repo = repo
        self._scripts = scripts
        top = repo.work_tree or repo.git_dir
        asked = os.fsdecode(repo.ask("rev-parse", "--git-path", "hooks")).removesuffix("\n")
        self.folder = os.path.normpath(os.path.join(top, asked))
        if not any(below(self.folder, place) for place in (repo.common_dir, repo.git_dir, top)):
            raise RoarError(
                f"core.hooksPath is {self.folder}, where hooks of other repositories are, too",
                f'call `roar hook NAME "$@"` there, as the scripts in {scripts} do',
            )

    def install(self) -> tuple[list[str], list[str]]:
        """Put our scripts in place; gives what was changed, and what is left to the user."""
        changed, left = [], []
        for name in CLIENT if self._repo.work_tree else SERVER:
            path = os.path.join(self.folder, name)
            try:
                why = self._place(name, path)
            except OSError as error:
                raise RoarError(f"cannot write the hook {path}: {error.strerror}", "look at its rights") from error
            if why is None:
                changed.append(f"hook {path}")
            elif why:
                left.append(f"{path} {why}")
        return changed, left

    def _place(self, name: str, path: str) -> str | None:
        """Install one hook. None: done; "": it was there; else why it was left, and what to do."""
        script = _read(os.path.join(self._scripts, name)) or b""
        found = _read(path)
        if found == script:
            return ""
        if not os.path.lexists(path) or (found is not None and _WHOLE in found):
            os.makedirs(self.folder, exist_ok=True)
            self._write(path, script)
        elif self._tracked(path):
            return f"is tracked by git; add to it: {_command(script).decode().strip()}"
        elif found is not None and name in CLIENT and _open_to_lines(path, found):
            first, _, rest = _without_ours(found).partition(b"\n")
            new = b"\n".join([first, _lines(script) + rest])
            if new == found:
                return ""
            self._write(path, new, os.stat(path).st_mode)
        elif os.path.lexists(path + ASIDE):
            return f"is not ours, and {path}{ASIDE} is in the way; move that away"
        else:
            os.rename(path, path + ASIDE)
            self._write(path, script)
        return None

    def remove(self) -> list[str]:
        """Take our scripts and lines away, and put back what was set aside; gives what was changed."""
        changed = []
        for name in CLIENT + SERVER:
            path = os.path.join(self.folder, name)
            found = _read(path)
            if found is None or os.path.islink(path):
                continue
            if _WHOLE in found:
                os.unlink(path)
                if os.path.lexists(path + ASIDE):
                    os.rename(path + ASIDE, path)
            elif _without_ours(found) != found:
                self._write(path, _without_ours(found), os.stat(path).st_mode)
            else:
                continue
            changed.append(f"no hook {path}")
        return changed

    def _write(self, path: str, body: bytes, mode: int | None = None) -> None:
        """Write a hook at once, so that git never runs half of it; as a new program is, or with the given mode."""
        temporary = f"{path}.{os.getpid()}"
        fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | OPEN, 0o777)
        with os.fdopen(fd, "wb") as file:
            file.write(body)
            if mode is None:
                files.open_to_sharers(self._repo, fd, 0o777)
            else:
                os.chmod(temporary, mode & 0o7777)
        os.replace(temporary, path)

    def _tracked(self, path: str) -> bool:
        inside = self._repo.work_tree and below(path, self._repo.work_tree)
        if not inside:
            return False
        words = [*self._repo.args(), "--literal-pathspecs", "ls-files", "--error-unmatch", "--", inside]
        return program.call(words, cwd=self._repo.work_tree).returncode == 0


def _open_to_lines(path: str, body: bytes) -> bool:
    """True for a shell script that git runs; a link may lead to what is shared."""
    return bool(_SHELL.match(body)) and os.access(path, os.X_OK) and not os.path.islink(path)


def _command(script: bytes) -> bytes:
    """The last line of a script: what calls roar. Standard input is left to the hook that it stands in."""
    return script.splitlines()[-1].replace(b'"$@"', b'"$@" </dev/null') + b"\n"


def _lines(script: bytes) -> bytes:
    return script.splitlines()[-2] + b"\n" + _command(script)


def _without_ours(body: bytes) -> bytes:
    """The script without our mark and the line below it."""
    return re.sub(rb"(?m)^" + _MARK + rb".*\n.*\n", b"", body)


def _read(path: str) -> bytes | None:
    try:
        with open(path, "rb") as file:
            return file.read()
    except OSError:
        return None
