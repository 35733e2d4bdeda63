"""The machine a job ran on, as far as files of the kernel and the system tell it. What is not known is
absent.

No program is started: ``nvidia-smi`` alone would take longer than most jobs.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterable

from roar.paths import from_fs
from roar.records.job import Gpu, Machine

_ARM_PARTS = {
    "0xd03": "Cortex-A53", "0xd07": "Cortex-A57", "0xd08": "Cortex-A72", "0xd0b": "Cortex-A76",
    "0xd0c": "Neoverse-N1", "0xd40": "Neoverse-V1", "0xd49": "Neoverse-N2", "0xd4f": "Neoverse-V2",
    "0xd83": "Neoverse-V3", "0xd84": "Neoverse-V3", "0xd8e": "Neoverse-N3",
}  # fmt: skip
"""Parts of implementer 0x41, from the MIDR_EL1 pages of Arm's manuals."""


def describe_machine(devices: Iterable[str] = (), root: str = "/") -> Machine:
    """The machine; ``devices`` are the paths of the device files that the job opened.

    ``root`` is where ``proc``, ``sys``, ``etc`` and ``run`` are.
    """
    if sys.platform == "win32":
        return _windows()
    system = os.uname()
    return Machine(
        system=_os_name(root) or system.sysname,
        kernel=system.release,
        architecture=system.machine,
        cpu=_cpu(root),
        cores=os.cpu_count() or 0,
        memory_bytes=_memory(root),
        hostname=from_fs(system.nodename) or None,
        container=_container(root),
        image=_image(root),
        gpus=_gpus(devices, root),
    )


def _windows() -> Machine:
    version: tuple[int, ...] = getattr(sys, "getwindowsversion", tuple)()[:3]
    return Machine(
        system="Windows",
        kernel=".".join(map(str, version)),
        architecture=os.environ.get("PROCESSOR_ARCHITECTURE", "unknown"),
        cpu=os.environ.get("PROCESSOR_IDENTIFIER"),
        cores=os.cpu_count() or 0,
        hostname=os.environ.get("COMPUTERNAME"),
    )


def _read(root: str, path: str, most: int = 65536) -> str:
    """The text of a file, or its first ``most`` bytes; empty when it cannot be read."""
    try:
        fd = os.open(os.path.join(root, path), os.O_RDONLY | getattr(os, "O_CLOEXEC", 0))
    except OSError:
        return ""
    body = b""
    try:
        while len(body) < most and (more := os.read(fd, most - len(body))):  # the kernel gives a page at a time
            body += more
    except OSError:
        return ""
    finally:
        os.close(fd)
    return body.decode("utf-8", "replace")


def _os_name(root: str) -> str | None:
    """PRETTY_NAME, or NAME and VERSION_ID, of os-release(5)."""
    lines = _read(root, "etc/os-release") or _read(root, "usr/lib/os-release")
    values = {key: value.strip("\"'") for key, _, value in (line.partition("=") for line in lines.splitlines())}
    return values.get("PRETTY_NAME") or " ".join(filter(None, map(values.get, ("NAME", "VERSION_ID")))) or None


def _cpu(root: str) -> str | None:
    """The model of the first processor in /proc/cpuinfo, whose fields every architecture names otherwise.

    Only the first processor's lines are asked for: the kernel composes the file as it is read.
    """
    fields: dict[str, str] = {}
    for line in _read(root, "proc/cpuinfo", 4096).splitlines():
        key, _, value = line.partition(":")
        fields.setdefault(key.strip(), value.strip())
    for key in ("model name", "cpu model", "cpu", "uarch"):
        if fields.get(key):
            return fields[key]
    part = fields.get("CPU part")
    if part:
        implementer = fields.get("CPU implementer", "")
        return _ARM_PARTS.get(part) if implementer == "0x41" and part in _ARM_PARTS else f"ARM {implementer} {part}"
    return _read(root, "proc/device-tree/model").strip("\0\n ") or None


def _memory(root: str) -> int:
    """MemTotal of proc_meminfo(5), in bytes; 0 when unknown."""
    found = re.match(r"MemTotal:\s+(\d+) kB", _read(root, "proc/meminfo", 256))
    return int(found[1]) * 1024 if found else 0


_ID = r"([0-9a-f]{64})"


def _container(root: str) -> str | None:
    """The id of the container around this process; None outside of one, and where its id cannot be seen.

    Docker, containerd and CRI-O show it in the control group, or, where the container has a control group
    tree of its own, in the source of the mounted /etc/hostname; Podman writes it to /run/.containerenv.
    Apptainer has the path of its image in a variable.
    """
    found = re.search(r'^id="?([0-9a-f]{12,64})', _read(root, "run/.containerenv"), re.MULTILINE)
    if found:
        return found[1]
    found = re.search(rf"[/:-]{_ID}(?:\.scope)?$", _read(root, "proc/self/cgroup"), re.MULTILINE)
    if found:
        return found[1]
    for line in _read(root, "proc/self/mountinfo", 1 << 20).splitlines():
        words = line.split(" ")  # proc_pid_mountinfo(5): the fourth is the source, the fifth the mount point
        if len(words) > 5 and words[4] in ("/etc/hostname", "/etc/hosts", "/etc/resolv.conf"):
            found = re.search(rf"/{_ID}/", words[3])
            if found:
                return found[1]
    image = _apptainer()
    return from_fs(image) if image and root == "/" else None


def _image(root: str) -> str | None:
    """The image of the container around this process, where something in it says so.

    Podman writes name and id to /run/.containerenv for containers with privileges; GitLab's runners and Apptainer have
    it in a variable. Docker and Kubernetes tell the inside nothing.
    """
    told = dict(re.findall(r'^(image|imageid)="(.+)"$', _read(root, "run/.containerenv"), re.MULTILINE))
    if told:
        return "@".join(told[key] for key in ("image", "imageid") if key in told)
    image = os.environ.get("CI_JOB_IMAGE") or _apptainer()
    return from_fs(image) if image and root == "/" else None


def _apptainer() -> str | None:
    return os.environ.get("APPTAINER_CONTAINER") or os.environ.get("SINGULARITY_CONTAINER")


def _gpus(devices: Iterable[str], root: str) -> list[Gpu]:
    """The processors whose own device was opened: /dev/nvidia0, /dev/dri/renderD128, but not /dev/nvidiactl."""
    gpus = []
    for device in sorted(set(devices)):
        nvidia = re.fullmatch(r"/dev/nvidia(\d+)", device)
        render = re.fullmatch(r"/dev/dri/(renderD\d+)", device)
        if nvidia:
            gpus.append(_nvidia(nvidia[1], root))
        elif render:
            gpus.append(_rendering(render[1], root))
        elif device == "/dev/dxg":
            gpus.append(Gpu(name=device))
    return gpus


def _nvidia(minor: str, root: str) -> Gpu:
    """What NVIDIA's driver tells in /proc/driver/nvidia."""
    version = re.search(r"Kernel Module\D*?(\d+\.[\d.]+)", _read(root, "proc/driver/nvidia/version"))
    driver = f"nvidia {version[1]}" if version else None
    folder = "proc/driver/nvidia/gpus"
    try:
        cards = sorted(os.listdir(os.path.join(root, folder)))
    except OSError:
        cards = []
    for card in cards:
        text = _read(root, f"{folder}/{card}/information")
        model = re.search(r"^Model:\s*(.+?)\s*$", text, re.MULTILINE)
        if model and re.search(rf"^Device Minor:\s*{minor}\s*$", text, re.MULTILINE):
            return Gpu(name=model[1], driver=driver)
    return Gpu(name=f"/dev/nvidia{minor}", driver=driver)


def _rendering(node: str, root: str) -> Gpu:
    """What the kernel tells of a DRM render node; amdgpu has names for some products, others have numbers."""
    device = f"sys/class/drm/{node}/device"
    numbers = [_read(root, f"{device}/{part}").strip().removeprefix("0x") for part in ("vendor", "device")]
    name = _read(root, f"{device}/product_name").strip() or ("PCI " + ":".join(numbers) if all(numbers) else "")
    driver = re.search(r"^DRIVER=(.+)$", _read(root, f"{device}/uevent"), re.MULTILINE)
    return Gpu(name=name or f"/dev/dri/{node}", driver=driver[1] if driver else None)
