"""Run one command under the tracer alone and say what the report says, in words of the battery."""

from __future__ import annotations

import json
import subprocess
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

MARK = "//bytes/"


def spelled(text: str) -> bytes:
    """The bytes a report's text stands for."""
    if not text.startswith(MARK):
        return text.encode()
    raw, out, at = text[len(MARK) :].encode(), bytearray(), 0
    while at < len(raw):
        if raw[at] == ord("%"):
            out.append(int(raw[at + 1 : at + 3], 16))
            at += 3
        else:
            out.append(raw[at])
            at += 1
    return bytes(out)


@dataclass
class Report:
    """The lines of one report, and the files below one folder by short name."""

    lines: list[dict[str, Any]]
    folder: bytes
    returncode: int
    stdout: bytes
    stderr: bytes
    files: dict[str, dict[str, Any]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for line in self.of_kind("file"):
            name = self.short(line["path"])
            if name is not None:
                assert name not in self.files, f"two lines for {name}"
                self.files[name] = line

    def of_kind(self, kind: str) -> list[dict[str, Any]]:
        return [line for line in self.lines if line["kind"] == kind]

    def short(self, text: str) -> str | None:
        """The name below the folder, or none."""
        path = spelled(text)
        if path == self.folder:
            return "."
        return path[len(self.folder) + 1 :].decode("latin-1") if path.startswith(self.folder + b"/") else None

    def flagged(self, flag: str, **also: bool) -> set[str]:
        wanted = {flag: True, **also}
        return {name for name, line in self.files.items() if all(bool(line.get(k)) == v for k, v in wanted.items())}

    @property
    def reads(self) -> set[str]:
        """There before the job, and its content from before was read."""
        return self.flagged("read", existed=True)

    @property
    def writes(self) -> set[str]:
        """Opened for writing, made or replaced, and there at the end."""
        return {name for name in self.flagged("written") if self.files[name]["after"]}

    @property
    def deleted(self) -> set[str]:
        return {name for name in self.flagged("existed") if not self.files[name].get("after", True)}

    @property
    def renames(self) -> dict[str, str | None]:
        return {n: self.short(line["renamed_from"]) for n, line in self.files.items() if "renamed_from" in line}

    @property
    def failed(self) -> set[tuple[str, str]]:
        found = {(self.short(line["path"]), line["errno"]) for line in self.of_kind("failed")}
        return {(name, errno) for name, errno in found if name is not None}

    @property
    def connects(self) -> set[tuple[str, int]]:
        return {(line["address"], line["port"]) for line in self.of_kind("connect") if line["family"] != "unix"}

    @property
    def blind(self) -> set[str]:
        return {line["reason"] for line in self.of_kind("blind")}

    @property
    def start(self) -> dict[str, Any]:
        assert self.lines[0]["kind"] == "start"
        return self.lines[0]

    @property
    def end(self) -> dict[str, Any]:
        assert [line["kind"] for line in self.lines[-2:]] == ["end", "seal"], "no end line: the tracer died"
        return self.lines[-2]

    @property
    def programs(self) -> list[dict[str, Any]]:
        return [program for process in self.of_kind("process") for program in process["programs"]]


def trace(tracer: Path, mechanism: str, command: list[str | bytes], folder: Path, *options: str, **how: Any) -> Report:
    """Run `command` in `folder`; keyword arguments go to subprocess."""
    report = folder.parent / f"{folder.name}.jsonl"
    words = [str(tracer), "--mechanism", mechanism, "--report", str(report), *options, "--", *command]
    settings: dict[str, Any] = {"cwd": folder, "capture_output": True, "timeout": 120, "check": False, **how}
    if "stdout" in settings or "stderr" in settings:
        settings.pop("capture_output")
    done = subprocess.run(words, **settings)
    lines = [json.loads(line) for line in report.read_bytes().splitlines()]
    folder_bytes = str(folder.resolve()).encode()
    return Report(lines, folder_bytes, done.returncode, done.stdout or b"", done.stderr or b"")
