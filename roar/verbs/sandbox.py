"""A sandbox around each step, by bubblewrap (https://github.com/containers/bubblewrap): no network, no writing
outside of the work area, no other process to be seen.
"""

from __future__ import annotations

import os
import shutil
import subprocess

from roar.errors import RoarError
from roar.git.program import last_line

_DEVICES = ("/dev/nvidia0", "/dev/nvidiactl", "/dev/nvidia-uvm", "/dev/dri", "/dev/kfd")


def words(folder: str, cwd: str, *more: str) -> list[str]:
    """What stands in front of a command that may write below ``folder``, and ``more``, alone.

    Raises ``RoarError`` without bwrap.
    """
    program = shutil.which("bwrap")
    if program is None:
        raise RoarError("--sandbox needs bubblewrap, and there is no bwrap on PATH", "install bubblewrap")
    devices = [word for device in _DEVICES for word in ("--dev-bind-try", device, device)]
    return [
        *(program, "--die-with-parent", "--unshare-net", "--unshare-pid", "--unshare-ipc"),
        *("--ro-bind", "/", "/", "--dev", "/dev", "--proc", "/proc", *devices),
        *(word for place in (folder, *more) for word in ("--bind", place, place)),
        *("--chdir", cwd, "--"),
    ]


def check(folder: str) -> None:
    """Raise ``RoarError`` when no sandbox can be made here."""
    done = subprocess.run([*words(folder, folder), "true"], capture_output=True, check=False)
    if done.returncode:
        said = f"bubblewrap cannot make a sandbox here: {last_line(done.stderr)}"
        raise RoarError(said, "run it without --sandbox, in a container")


def temporary(folder: str) -> str:
    """A folder for temporary files inside, since /tmp cannot be written."""
    place = os.path.join(folder, ".tmp")
    os.makedirs(place, mode=0o700, exist_ok=True)
    return place
