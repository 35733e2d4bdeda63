"""Scope: what belongs to a record; the repository always wins."""

from __future__ import annotations

import pytest

from roar.trace.scope import Scope

PACKAGES = ("/home/ada/project/.venv", "/opt/py/lib/python3.11")
SCOPE = Scope("/home/ada/project", ("/home/ada/project/.git",), PACKAGES, "/home/ada")


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("/home/ada/project/data.csv", None),
        ("/home/ada/project/.hidden/x", None),
        ("/home/ada/project/.git/HEAD", "git"),
        ("/home/ada/project/.gitignore", None),
        ("/home/ada/project/.venv/lib/x.py", "package"),
        ("/home/ada/project/.venv-data/x.csv", None),
        ("/home/ada/project/a/__pycache__/b.pyc", "bytecode"),
        ("/home/ada/project/a/b.pyc", None),
        ("/home/ada/projects/data.csv", None),
        ("/home/ada/.config/matplotlib/rc", "user settings"),
        ("/home/ada/.gitconfig", "user settings"),
        ("/home/ada/data.csv", None),
        ("/home/ada/.cache/matplotlib/fonts.json", "cache"),
        ("/home/ada/.cache/huggingface/model.bin", None),
        ("/opt/py/lib/python3.11/json/__init__.py", "package"),
        ("/opt/py/lib/python3.11-data/x", None),
        ("/usr/lib/libc.so", "system"),
        ("/usrdata/x", None),
        ("/etc/passwd", "system"),
        ("/proc/cpuinfo", "device"),
        ("/dev/shm/data.bin", None),
        ("/tmp/x.csv", None),
        ("/x", None),
    ],
)
def test_rules(path: str, reason: str | None) -> None:
    assert SCOPE.left_out(path) == reason


@pytest.mark.parametrize(
    "root", ["/usr/share/project", "/tmp/p", "/home/ada/.config/p", "/var/lib/p", "/etc", "/dev/shm/p"]
)
def test_the_repository_wins_wherever_it_is(root: str) -> None:
    scope = Scope(root, (root + "/.git",), (), "/home/ada")
    assert scope.left_out(root + "/a/b.csv") is None
    assert scope.left_out(root + "/b.csv") is None
    assert scope.left_out(root + "/.git/index") == "git"
    assert scope.inside(root + "/a") == "a"
