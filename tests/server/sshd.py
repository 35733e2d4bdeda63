"""Real OpenSSH servers on loopback: one that serves a ``Glaas``, and one that serves plain git, or what it likes."""

from __future__ import annotations

import getpass
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from server.serving import ROOT, Glaas, make_key

SSHD = shutil.which("sshd") or "/usr/sbin/sshd"
needs_sshd = pytest.mark.skipif(not os.path.exists(SSHD), reason="needs OpenSSH's sshd")


class Sshd:
    """An OpenSSH server of the test's own on loopback; ``keys`` are the lines of its configuration that say whose."""

    def __init__(self, folder: Path, keys: str) -> None:
        folder.chmod(0o755)
        make_key(folder / "host")
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = int(probe.getsockname()[1])
        if os.getuid() == 0:
            Path("/run/sshd").mkdir(exist_ok=True)
        (folder / "config").write_text(
            f"Port {self.port}\nListenAddress 127.0.0.1\nHostKey {folder}/host\nPidFile none\nStrictModes no\n"
            f"UsePAM no\nPasswordAuthentication no\nAcceptEnv GIT_PROTOCOL\n{keys}"
        )
        self._log = (folder / "log").open("wb")
        self._server = subprocess.Popen([SSHD, "-D", "-e", "-f", str(folder / "config")], stderr=self._log)
        for _ in range(200):
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", self.port)) == 0:
                    break
            time.sleep(0.02)

    def stop(self) -> None:
        """End it."""
        self._server.terminate()
        self._server.wait()
        self._log.close()

    @property
    def host(self) -> str:
        """The beginning of its URLs."""
        return f"ssh://{getpass.getuser()}@127.0.0.1:{self.port}"

    def url(self, project: str) -> str:
        """The URL of a project."""
        return f"{self.host}/{project}.git"

    @staticmethod
    def command(key: Path) -> str:
        """What GIT_SSH_COMMAND is to be for somebody with a key."""
        options = "-o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null -o IdentitiesOnly=yes -o LogLevel=ERROR"
        return f"ssh -F none -i {key} {options}"


@contextmanager
def roars(glaas: Glaas, folder: Path, *more: str) -> Iterator[Sshd]:
    """An sshd that asks roar for the keys. Without root it knows the keys that are there when it starts."""
    program = folder / "roar"
    program.write_text(f'#!/bin/sh\nPYTHONPATH={ROOT} exec {sys.executable} -m roar "$@"\n')
    program.chmod(0o755)
    keys = ["serve-ssh", "keys", "--data", str(glaas.data), "--program", str(program), *more]
    if os.getuid() == 0:  # sshd wants the command and all folders above it to be root's, which /tmp is not
        asks = f"AuthorizedKeysCommand /usr/bin/env {program} {' '.join(keys)} %t %k\nAuthorizedKeysCommandUser root\n"
    else:
        (folder / "authorized").write_bytes(subprocess.run([program, *keys], capture_output=True, check=True).stdout)
        asks = f"AuthorizedKeysFile {folder}/authorized\n"
    server = Sshd(folder, asks)
    yield server
    server.stop()


class GitHost(Sshd):
    """A host of plain git over SSH, which notes what it is asked for. To anything but git it says ``answer``."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.key = make_key(folder / "user")
        self.answer(b"", "Invalid command", 1)
        forced = folder / "forced"
        forced.write_text(
            f"""#!/bin/sh
cd {folder} || exit
printf '%s\\n' "$SSH_ORIGINAL_COMMAND" >>asked
case $SSH_ORIGINAL_COMMAND in
git-*) exec git shell -c "$(printf %s "$SSH_ORIGINAL_COMMAND" | sed "s#'/#'{folder}/#")" ;;
esac
cat stdout
cat stderr >&2
exit "$(cat status)"
"""
        )
        forced.chmod(0o755)
        (folder / "authorized").write_text(f'restrict,command="{forced}" {(folder / "user.pub").read_text()}')
        super().__init__(folder, f"AuthorizedKeysFile {folder}/authorized\n")

    def answer(self, stdout: bytes, stderr: str = "", status: int = 0) -> None:
        """What it says from now on."""
        (self.folder / "stdout").write_bytes(stdout)
        (self.folder / "stderr").write_text(stderr)
        (self.folder / "status").write_text(str(status))

    def asked(self) -> list[str]:
        """The names of the commands that it was asked for since the last time."""
        path = self.folder / "asked"
        lines = path.read_text().splitlines() if path.exists() else []
        path.unlink(missing_ok=True)
        return [line.partition(" ")[0] for line in lines]

    def repository(self, name: str) -> str:
        """The URL of a new repository."""
        subprocess.run(["git", "init", "-q", "--bare", str(self.folder / f"{name}.git")], check=True)
        return self.url(name)
