"""The packages of the system that own the files a job read, by the databases of dpkg, apk and rpm.

dpkg keeps a list of files for each package (dpkg-query(1), ``/var/lib/dpkg/info/*.list``), which names the folders of a
merged /usr by their old places: ``/lib/x86_64-linux-gnu/libc.so.6`` is read as ``/usr/lib/...``. To look for some dozen
files in all lists takes 20 to 30 ms, and what was found is remembered for as long as the database does not change. apk
has one text file (apk(5)); rpm's database is its own, so that rpm is asked.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Mapping

from roar.paths import below, from_fs
from roar.records.job import SystemPackage
from roar.stamps import Stamps

_LOCAL = "/usr/local"
"""Below it nothing belongs to a package (Filesystem Hierarchy Standard, 4.9)."""
_MERGED = ("bin/", "sbin/", "lib/", "lib32/", "lib64/", "libx32/")
_PATIENCE_S = 10
_NOBODY = "-"

Found = dict[str, SystemPackage]
"""The package of each file that has one."""


def system_packages(files: Iterable[str], memo: Stamps, root: str = "/") -> list[SystemPackage]:
    """The packages that own these files, sorted by name. ``files`` are absolute ``os`` paths without symbolic links.

    ``root`` is where the databases are.
    """
    wanted = {path for path in files if below(path, _LOCAL) is None}
    if not wanted:
        return []
    for database, look in (("var/lib/dpkg", _dpkg), ("lib/apk/db", _apk), *((place, _rpm) for place in _RPM)):
        place = os.path.join(root, database)
        state = _state(place)
        if state:
            found = _remembered(wanted, place, state, look, memo)
            return sorted(set(found.values()), key=lambda package: (package.name, package.version))
    return []


_RPM = ("usr/lib/sysimage/rpm", "var/lib/rpm")


def _state(place: str) -> str:
    """What changes when a package comes or goes; "" where there is no such database."""
    for name in ("status", "installed", "rpmdb.sqlite", "Packages", "Packages.db"):
        try:
            stat = os.stat(os.path.join(place, name))
        except OSError:
            continue
        return f"owners 1 {stat.st_dev} {stat.st_ino} {stat.st_size} {stat.st_mtime_ns}"
    return ""


def _remembered(
    wanted: set[str], place: str, state: str, look: Callable[[set[str], str], Found], memo: Stamps
) -> Found:
    """The owners of files, of which only those are looked for that nobody asked about before."""
    known: dict[str, str] = {}
    kept = memo.recall(f"owners {place}")
    if kept is not None and kept.startswith(state + "\n"):
        known = dict(line.split("\t", 1) for line in kept.split("\n")[1:] if "\t" in line)
    new = {path for path in wanted if path not in known and "\n" not in path and "\t" not in path}
    if new:
        found = look(new, place)
        known |= {path: _spell(found.get(path)) for path in new}
        memo.remember(f"owners {place}", "\n".join([state, *(f"{path}\t{who}" for path, who in known.items())]))
    return {path: package for path in wanted if (package := _parse(known.get(path, _NOBODY))) is not None}


def _spell(package: SystemPackage | None) -> str:
    return _NOBODY if package is None else f"{package.manager}\t{package.name}\t{package.version}"


def _parse(text: str) -> SystemPackage | None:
    if text == _NOBODY:
        return None
    manager, name, version = text.split("\t")
    return SystemPackage(manager=manager, name=name, version=version)


def _names(path: str) -> list[str]:
    """A path, and what it is called in the lists of a system whose /usr was merged later."""
    inside = path.removeprefix("/usr/")
    return [path, f"/{inside}"] if inside != path and inside.startswith(_MERGED) else [path]


def _dpkg(wanted: set[str], place: str) -> Found:
    asked = {os.fsencode(name): path for path in wanted for name in _names(path)}
    owners: dict[str, str] = {}
    try:
        lists = [entry.path for entry in os.scandir(os.path.join(place, "info")) if entry.name.endswith(".list")]
    except OSError:
        return {}
    for path in lists:
        for name in asked.keys() & _bytes(path).split(b"\n"):
            owners[asked[name]] = os.path.basename(path).removesuffix(".list")
    versions = _dpkg_versions(_bytes(os.path.join(place, "status")), set(owners.values()))
    return {
        path: SystemPackage(manager="dpkg", name=from_fs(name), version=versions[name])
        for path, name in owners.items()
        if name in versions
    }


def _dpkg_versions(status: bytes, names: set[str]) -> dict[str, str]:
    """The version of each package, named as its list is: ``libc6:amd64``, or ``dash``."""
    found = {}
    bare = {name.partition(":")[0] for name in names}
    for paragraph in status.decode("utf-8", "replace").split("\n\n"):
        name = paragraph.partition("\n")[0].removeprefix("Package: ")
        if name in bare:
            fields = dict(re.findall(r"^(Version|Architecture): (.+)$", paragraph, re.MULTILINE))
            for full in (name, f"{name}:{fields.get('Architecture')}"):
                if full in names and "Version" in fields:
                    found[full] = fields["Version"]
    return found


def _apk(wanted: set[str], place: str) -> Found:
    asked = {name.removeprefix("/"): path for path in wanted for name in _names(path)}
    found: Found = {}
    fields: dict[str, str] = {}
    for line in _bytes(os.path.join(place, "installed")).decode("utf-8", "surrogateescape").split("\n"):
        key, colon, value = line.partition(":")
        if not colon:
            fields = {}  # an empty line ends a package
            continue
        fields[key] = value
        path = f"{fields['F']}/{value}" if key == "R" and fields.get("F") else value
        if key == "R" and path in asked and {"P", "V"} <= fields.keys():
            found[asked[path]] = SystemPackage(manager="apk", name=from_fs(fields["P"]), version=from_fs(fields["V"]))
    return found


def _rpm(wanted: set[str], place: str) -> Found:
    import shutil
    import subprocess  # 9 ms, where there is rpm

    program = shutil.which("rpm")
    if program is None:
        return {}
    asked = sorted(wanted)
    line = "%{NAME}\\t%|EPOCH?{%{EPOCH}:}:{}|%{VERSION}-%{RELEASE}.%{ARCH}\\n"
    words = [program, f"--dbpath={place}", "-q", "--qf", line]
    found: Found = {}
    for path in asked:
        try:
            done = subprocess.run(
                [*words, "-f", path], capture_output=True, stdin=subprocess.DEVNULL, timeout=_PATIENCE_S, check=False
            )
        except (OSError, subprocess.SubprocessError):
            return found
        fields = done.stdout.decode("utf-8", "replace").partition("\n")[0].split("\t")
        if done.returncode == 0 and len(fields) == 2:
            found[path] = SystemPackage(manager="rpm", name=fields[0], version=fields[1])
    return found


def _bytes(path: str) -> bytes:
    try:
        with open(path, "rb") as file:
            return file.read()
    except OSError:
        return b""


def changed(before: Iterable[SystemPackage], after: Iterable[SystemPackage]) -> Mapping[str, tuple[str, str]]:
    """The packages that both know and whose versions differ, by name. Of others nothing is known."""
    old, new = ({(p.manager, p.name): p.version for p in packages} for packages in (before, after))
    return {key[1]: (old[key], new[key]) for key in sorted(old.keys() & new.keys()) if old[key] != new[key]}
