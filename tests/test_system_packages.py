"""Packages of the system that own what a job read: by the real databases of this machine, and of others' formats."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path

import make
import pytest
from conftest import Git, Roar, needs_tracer
from test_reproduce import commit, jobs

from roar.environment.system import changed, system_packages
from roar.git.repository import discover
from roar.records.job import SystemPackage
from roar.stamps import Stamps

needs_dpkg = pytest.mark.skipif(not os.path.exists("/var/lib/dpkg/status"), reason="not a system of dpkg")


@needs_tracer
@needs_dpkg
def test_who_owns_what_was_read(tree: Path, roar: Roar) -> None:
    roar("run", "-q", "sh", "-c", "cat README > copy")
    found = {p.name.partition(":")[0]: p.version for p in jobs(tree)[0][1].environment.system_packages}
    assert {"coreutils", "libc6"} <= found.keys()
    for name, version in found.items():
        asked = subprocess.run(["dpkg-query", "-W", "-f", "${Version}\n", name], capture_output=True, check=True)
        assert version in asked.stdout.decode().splitlines()
    assert "coreutils" in roar("show", "--packages", "@1").stdout.decode()


@needs_tracer
@needs_dpkg
def test_another_version_is_told_and_nothing_is_installed(tree: Path, roar: Roar, git: Git) -> None:
    roar("run", "-q", "sh", "-c", "cat README > copy; date +%N > time")
    job = jobs(tree)[0][1]
    package = job.environment.system_packages[0]
    older = package.model_copy(update={"version": "0.1-1"})
    values = make.fields(job.command.argv, {}, {"time": "1"}, code={"commit": commit(tree, git)})
    machine = {"machine": job.environment.machine.model_dump(exclude_none=True)}
    values["environment"] = {**machine, "system_packages": [older.model_dump()]}
    recorded = make.put(discover(str(tree)), values)
    said = roar("reproduce", "-y", "--env", "current", recorded, code=3).stderr.decode()
    assert f"package of the system: {package.name} {package.version}, recorded 0.1-1" in said
    assert f"system package: {package.name} {package.version}, recorded 0.1-1" in said
    again = jobs(tree)[-1][0]
    told = json.loads(roar("diff", "--json", recorded, again).stdout)["system"]
    assert told == [{"name": package.name, "before": "0.1-1", "after": package.version, "unread": False}]


@needs_dpkg
def test_it_is_remembered_until_the_database_changes(tmp_path: Path) -> None:
    place = tmp_path / "var/lib/dpkg"
    (place / "info").mkdir(parents=True)
    (place / "info/libc6:amd64.list").write_text("/.\n/lib\n/lib/x86_64-linux-gnu/libc.so.6\n")
    (place / "info/tool.list").write_text("/usr/bin/tool\n")
    status = "Package: libc6\nStatus: ok\nArchitecture: {}\nVersion: {}\n\n"
    text = status.format("i386", "9") + status.format("amd64", "2.36") + "Package: tool\nVersion: 1:2.0-3\n"
    (place / "status").write_text(text)
    memo = Stamps(str(tmp_path / "memo"))
    files = ["/usr/lib/x86_64-linux-gnu/libc.so.6", "/usr/bin/tool", "/usr/local/bin/mine", "/etc/nobodys"]

    def found() -> list[tuple[str, str]]:
        return [(p.name, p.version) for p in system_packages(files, memo, str(tmp_path))]

    assert found() == [("libc6:amd64", "2.36"), ("tool", "1:2.0-3")]
    shutil.rmtree(place / "info")
    assert found() == [("libc6:amd64", "2.36"), ("tool", "1:2.0-3")]
    (place / "status").write_text(text + "\n")
    assert found() == []


def test_the_database_of_apk(tmp_path: Path) -> None:
    place = tmp_path / "lib/apk/db"
    place.mkdir(parents=True)
    (place / "installed").write_text(
        "C:Q1abc=\nP:musl\nV:1.2.4-r2\nA:x86_64\nF:lib\nR:ld-musl-x86_64.so.1\nZ:Q1x=\n\n"
        "P:busybox\nV:1.36.1-r5\nF:bin\nR:busybox\nF:etc\nR:securetty\n\n"
    )
    files = ["/lib/ld-musl-x86_64.so.1", "/bin/busybox", "/etc/passwd"]
    found = system_packages(files, Stamps(None), str(tmp_path))
    assert [(p.manager, p.name, p.version) for p in found] == [
        ("apk", "busybox", "1.36.1-r5"),
        ("apk", "musl", "1.2.4-r2"),
    ]


@pytest.mark.skipif(not shutil.which("rpmbuild"), reason="rpm is not installed")
def test_the_database_of_rpm(tmp_path: Path) -> None:
    spec = tmp_path / "tool.spec"
    spec.write_text(
        "Name: tool\nVersion: 1.5\nRelease: 3\nEpoch: 2\nSummary: a tool\nLicense: none\nBuildArch: noarch\n"
        "%description\na tool\n%install\nmkdir -p %{buildroot}/usr/bin\necho 1 > %{buildroot}/usr/bin/roar-rpm-tool\n"
        "%files\n/usr/bin/roar-rpm-tool\n"
    )
    top = f"_topdir {tmp_path}/build"
    subprocess.run(["rpmbuild", "-bb", "-D", top, str(spec)], check=True, capture_output=True)
    place = tmp_path / "usr/lib/sysimage/rpm"
    place.mkdir(parents=True)
    (package,) = (tmp_path / "build/RPMS").rglob("*.rpm")
    install = ["rpm", f"--dbpath={place}", "-i", "--justdb", "--nodeps", "--force-debian", str(package)]
    subprocess.run(install, check=True, capture_output=True)
    found = system_packages(["/usr/bin/roar-rpm-tool", "/usr/bin/other"], Stamps(None), str(tmp_path))
    assert found == [SystemPackage(manager="rpm", name="tool", version="2:1.5-3.noarch")]


def test_only_what_both_know_is_compared() -> None:
    one = [SystemPackage(manager="dpkg", name="a", version="1"), SystemPackage(manager="dpkg", name="b", version="1")]
    two = [SystemPackage(manager="dpkg", name="a", version="2"), SystemPackage(manager="apk", name="b", version="2")]
    assert changed(one, two) == {"a": ("1", "2")}
