"""Scope: which of the files that a job touched belong to its record, and why the others do not.

The repository always wins unless a glob of ``roar.filters.exclude`` names a file of it: below the work tree only git's
own folder, Python's byte code and the packages of a virtual environment are set aside, and counted as inside. Prefixes
are compared by whole path components.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable

from roar.config.globs import Globs
from roar.config.model import Filters
from roar.paths import below

SYSTEM = (
    "/bin", "/boot", "/etc", "/lib", "/lib32", "/lib64", "/libx32", "/sbin", "/usr", "/var/lib", "/var/cache",
    "/nix/store", "/snap", "/gnu/store",
)  # fmt: skip
KERNEL = ("/dev", "/proc", "/sys", "/run", "/var/run")
KERNEL_BUT_FILES = ("/dev/shm", "/run/media")  # noqa: S108  people keep data there
SETTINGS_BYTES = 1 << 20
"""A larger file in a hidden folder of the home folder is data, such as a data set that a library keeps there."""
TOOL_CACHES = (
    "JNA", "ccache", "fontconfig", "go-build", "jax", "matplotlib", "mesa_shader_cache", "numba", "nvidia", "pip",
    "pre-commit", "torch/inductor", "torch/kernels", "torch_extensions", "triton", "uv",
)  # fmt: skip
"""Folders of ``~/.cache`` that programs fill for themselves; others there hold data, such as models of a hub."""

COMPILED = (".nv/ComputeCache", ".triton/cache", ".cupy/kernel_cache", ".theano", ".keras/jit")
"""Folders of the home folder with what compilers of kernels made, however large."""
_COMPILED_IN_TMP = re.compile(r"(torchinductor_|triton_|torch_extensions)[^/]*(/|$)")
"""Where torch and triton put theirs by default, in a folder for temporary files."""

_SETTINGS = {
    "system": "ignore_system",
    "package": "ignore_packages",
    "user settings": "ignore_settings",
    "cache": "ignore_caches",
}
"""The reasons that can be turned off, and how they are called in ``roar.filters``."""


def temporary_folders() -> tuple[str, ...]:
    """Where programs put what need not last."""
    named = os.environ.get("TMPDIR", "")
    return tuple(os.path.realpath(folder) for folder in ("/tmp", "/var/tmp", named) if folder.startswith("/"))  # noqa: S108


class Scope:
    """The rules for one repository and one run. ``packages`` are the folders of the interpreters that ran.

    All paths are ``os`` path strings.
    """

    def __init__(
        self,
        root: str,
        git_dirs: Iterable[str],
        packages: Iterable[str] = (),
        home: str = "",
        filters: Filters | None = None,
    ) -> None:
        filters = filters or Filters()
        self.root = root
        self._listed = {reason for reason, setting in _SETTINGS.items() if not getattr(filters, setting)}
        self._tmp = temporary_folders()
        self._temporary = self._tmp if filters.ignore_tmp else ()
        self._exclude = Globs(filters.exclude, root) if filters.exclude else None
        self._include = Globs(filters.include, root) if filters.include else None
        self._home = home
        self._git = tuple(dict.fromkeys(git_dirs))
        self._packages = tuple(packages)
        self._memo: dict[str, str | None] = {}

    def inside(self, path: str) -> str | None:
        """The path relative to the work tree, or None outside."""
        return below(path, self.root)

    def is_system(self, path: str) -> bool:
        """True for a file of the system, even if such files are to be listed."""
        return self._usual(path, 0) == "system"

    def left_out(self, path: str, size: int = 0) -> str | None:
        """Why a file at this absolute path, of this many bytes, does not belong to the record; None when it does."""
        reason = self._usual(path, size)
        if reason in self._listed:
            reason = "bytecode" if _is_bytecode(path, path.rpartition("/")[0]) else None
        if reason is None and self._temporary and self.inside(path) is None:
            reason = "temporary" if any(below(path, folder) is not None for folder in self._temporary) else None
        if reason in (*_SETTINGS, "temporary") and self._include is not None and self._include.match(path):
            reason = None
        if reason is None and self._exclude is not None and self._exclude.match(path):
            reason = "excluded"
        return reason

    def _usual(self, path: str, size: int) -> str | None:
        folder = path.rpartition("/")[0]
        if folder not in self._memo:
            self._memo[folder] = self._rule(folder)
        reason = self._memo[folder]
        if reason is None and path in self._git:  # the .git file of a linked worktree
            return "git"
        if reason is None and folder == self._home != self.root and path.startswith(folder + "/."):
            reason = "user settings"
        if reason == "user settings" and size > SETTINGS_BYTES:
            return None
        if reason is None and _is_bytecode(path, folder):
            return "bytecode"
        return reason

    def _rule(self, folder: str) -> str | None:
        if any(below(folder, git) is not None for git in self._git):
            return "git"
        if any(below(folder, package) is not None for package in self._packages):
            return "package"
        if below(folder, self.root) is not None:
            return None
        if any(below(folder, keep) is not None for keep in KERNEL_BUT_FILES):
            return None
        if any(below(folder, prefix) is not None for prefix in KERNEL):
            return "device"
        if any(below(folder, prefix) is not None for prefix in SYSTEM):
            return "system"
        if any(_COMPILED_IN_TMP.match(inside) for tmp in self._tmp if (inside := below(folder, tmp))):
            return "cache"
        return self._home_rule(folder)

    def _home_rule(self, folder: str) -> str | None:
        """The user's own settings and programs, in hidden folders of the home folder."""
        relative = below(folder, self._home) if self._home not in ("", "/") else None
        if relative is None or not relative.startswith("."):
            return None
        if any(below(relative, name) is not None for name in COMPILED):
            return "cache"
        inside = below(relative, ".cache")
        if inside is None:
            return "user settings"
        return "cache" if any(below(inside, name) is not None for name in TOOL_CACHES) else None


def _is_bytecode(path: str, folder: str) -> bool:
    return path.endswith(".pyc") and folder.endswith("/__pycache__")
