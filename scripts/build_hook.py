"""Build hook of the wheel: on Linux compile ``tracer/`` and put the program into the package.

The wheel then fits one platform and any Python. Elsewhere, and with ``ROAR_NO_TRACER=1``, nothing is compiled
and the wheel is pure Python. An editable install runs from the source tree, so the program is placed there.
A failed build says in one sentence what is missing; it never falls back to a wheel without the tracer.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface
from packaging.tags import platform_tags

PROGRAM = "roar-tracer"
PACKAGED = f"roar/bin/{PROGRAM}"
WAY_OUT = "or set ROAR_NO_TRACER=1 to build roar without it (everything works but `roar run`)"


class CustomBuildHook(BuildHookInterface):  # type: ignore[type-arg]
    """Named so for hatchling, which looks for a subclass of its interface in this file."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Build the tracer and tell hatchling where it goes."""
        if not sys.platform.startswith("linux") or os.environ.get("ROAR_NO_TRACER", "0") not in ("", "0"):
            return
        try:
            program = compile_tracer(self.root)
        except BuildError as error:
            self.app.abort(f"roar: {error}")
        if version == "editable":
            place(program, os.path.join(self.root, PACKAGED))
            return
        build_data["force_include"][program] = PACKAGED
        build_data["pure_python"] = False
        build_data["tag"] = f"py3-none-{platform_tag()}"


class BuildError(Exception):
    """The tracer cannot be built; the message is for the user."""


def compile_tracer(root: str) -> str:
    """Absolute path of the freshly built program. Raises ``BuildError``."""
    cargo = shutil.which("cargo") or shutil.which(os.path.expanduser("~/.cargo/bin/cargo"))
    if cargo is None:
        raise BuildError(
            "the tracer is a Rust program and `cargo` is not installed: install Rust (https://rustup.rs, "
            f"or your system's `cargo` package), {WAY_OUT}"
        )
    folder = os.path.join(root, "tracer")  # cargo reads the folder's .cargo/config.toml only from inside
    environment = dict(os.environ)
    if "CARGO_TARGET_DIR" in environment:
        environment["CARGO_TARGET_DIR"] = os.path.abspath(environment["CARGO_TARGET_DIR"])
    built = run_cargo(cargo, folder, environment)
    if built.returncode != 0:  # linked statically unless the system has no static C library
        built = run_cargo(cargo, folder, environment | {"RUSTFLAGS": "-C target-feature=-crt-static"})
    if built.returncode != 0:
        print(built.stderr, file=sys.stderr)
        raise BuildError(
            f"cargo did not build the tracer and says above why; it needs Rust {needed_rust(folder)} or newer, a C "
            f"compiler as linker, and the crates of tracer/Cargo.lock: see to that, {WAY_OUT}"
        )
    for line in built.stdout.splitlines():
        artifact = json.loads(line) if line.startswith("{") else {}
        if artifact.get("executable") and artifact["target"]["name"] == PROGRAM:
            return os.path.abspath(str(artifact["executable"]))
    raise BuildError(f"cargo built no program named {PROGRAM} in {folder}")


def run_cargo(cargo: str, folder: str, environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    """One build: what went wrong in its stderr, what was built in its stdout, one JSON object a line."""
    command = [cargo, "build", "--release", "--locked", "--message-format", "json-render-diagnostics"]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)


def needed_rust(folder: str) -> str:
    """The ``rust-version`` that the manifest names ("?" when it names none)."""
    with open(os.path.join(folder, "Cargo.toml"), encoding="utf-8") as lines:
        for line in lines:
            if line.startswith("rust-version"):
                return str(line.split('"')[1])
    return "?"


def place(program: str, target: str) -> None:
    """Copy the program with its mode; a running or half-written older one is never overwritten in place."""
    os.makedirs(os.path.dirname(target), exist_ok=True)
    temporary = f"{target}.{os.getpid()}.tmp"
    shutil.copy2(program, temporary)
    os.replace(temporary, target)


def platform_tag() -> str:
    """The plain Linux tag: a manylinux tag would be a promise that only a special build can make."""
    return next(str(tag) for tag in platform_tags() if tag.startswith("linux_"))
