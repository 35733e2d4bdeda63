"""A second, small reader of ``docs/format.md`` that shares no code with roar: it checks the vectors in a folder.

    python tests/vectors.py docs/vectors

Standard library and blake3 only.
"""

from __future__ import annotations

import hashlib
import json
import re
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from posixpath import commonpath, dirname, relpath
from typing import Any

from blake3 import blake3

ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"


def canonical(value: Any) -> bytes:
    """Canonical JSON. Fields with their default are the writer's to leave out."""
    if isinstance(value, dict):
        pairs = sorted((text(key), canonical(inner)) for key, inner in value.items())
        return b"{" + b",".join(key + b":" + inner for key, inner in pairs) + b"}"
    if isinstance(value, list):
        return b"[" + b",".join(map(canonical, value)) + b"]"
    if isinstance(value, str):
        return text(value)
    if value is None or isinstance(value, bool):
        return {None: b"null", True: b"true", False: b"false"}[value]
    if not isinstance(value, int):
        raise TypeError(f"integers only: {value}")
    return b"%d" % value


def text(value: str) -> bytes:
    """A string of canonical JSON."""
    short = {'"': '\\"', "\\": "\\\\", "\b": "\\b", "\t": "\\t", "\n": "\\n", "\f": "\\f", "\r": "\\r"}
    return b'"' + "".join(short.get(c) or (f"\\u{ord(c):04x}" if c < " " else c) for c in value).encode() + b'"'


def record_id(body: bytes) -> str:
    """The id of the record with these canonical bytes."""
    number = json.loads(body)["clock"] << 80 | int(blake3(body).hexdigest()[:20], 16)
    digits = ""
    for _ in range(26):
        number, digit = divmod(number, 32)
        digits = ALPHABET[digit] + digits
    return digits


def spelled(raw: bytes) -> str:
    """The text of a path."""
    try:
        if not raw.startswith(b"//bytes/"):
            return raw.decode()
    except UnicodeDecodeError:
        pass
    found, at = "", 0
    while at < len(raw):
        for length in (1, 2, 3, 4):
            try:
                character = raw[at : at + length].decode()
            except UnicodeDecodeError:
                continue
            if len(character) == 1 and character != "%":
                found, at = found + character, at + length
                break
        else:
            found, at = found + f"%{raw[at]:02X}", at + 1
    return "//bytes/" + found


def pieces(parts: list[Any], cut: Callable[[Any, Any, int], bool]) -> Iterable[list[Any]]:
    """A list in pieces; ``cut`` is asked with a part, the one before, and how many the piece has."""
    piece: list[Any] = []
    for part in parts:
        if piece and cut(part, piece[-1], len(piece)):
            yield piece
            piece = []
        piece.append(part)
    yield piece


def first_bits(hexadecimal: str) -> int:
    """The first 32 bits of a hash."""
    return int(hexadecimal[:8], 16)


def cut_files(file: Any, before: Any, length: int) -> bool:
    """Where roar cuts a list of files."""
    new_folder = dirname(file["path"]) != dirname(before["path"])
    rare = first_bits(blake3(file["path"].encode()).hexdigest()) % 512 == 0
    return length >= 4096 or (length >= 64 and (new_folder or rare))


def cut_shards(shard: Any, _: Any, length: int) -> bool:
    """Where roar cuts a list of shards."""
    return length >= 256 or (length >= 16 and first_bits(shard["hash"]) % 32 == 0)


def split(files: list[Any]) -> tuple[list[Any], dict[str, bytes]]:
    """The shards of a long list, and the manifests by their hash."""
    manifests: dict[str, bytes] = {}

    def shard(piece: list[Any], level: int) -> dict[str, Any]:
        body = b"".join(canonical(part) + b"\n" for part in piece)
        found = {
            "directory": commonpath([part["directory"] if level else dirname(part["path"]) for part in piece]),
            "count": sum(part["count"] if level else 1 for part in piece),
            "size": sum(part.get("size", 0) for part in piece),
            "hash": blake3(body).hexdigest(),
        }
        manifests[found["hash"]] = body
        return found | ({"level": level} if level else {})

    shards = [shard(piece, 0) for piece in pieces(sorted(files, key=lambda f: f["path"].encode()), cut_files)]
    level = 0
    while len(shards) > 64:
        level += 1
        shards = [shard(piece, level) for piece in pieces(shards, cut_shards)]
    return shards, manifests


def made_up(count: int) -> list[dict[str, Any]]:
    """The files that ``manifests.json`` speaks of; a size of 0 is the default and not written."""
    return [
        {"path": f"data/{n // 1000:03d}/{n:06d}.bin", "hash": blake3(b"%d" % n).hexdigest()}
        | ({"size": n % 1000} if n % 1000 else {})
        for n in range(count)
    ]


def note(body: bytes) -> str:
    """The line of notes on a job."""
    job = json.loads(body)
    command, ended = job["command"], job["exit"]
    words = [quoted(word) for word in command["argv"]]
    for redirect in command.get("redirects", []):
        path = redirect["path"]
        path = path if path.startswith("/") else relpath(path, command.get("cwd") or ".")
        sign = "<" if redirect["fd"] == 0 else ">>" if redirect.get("append") else ">"
        words.append(("2" if redirect["fd"] == 2 else "") + sign + " " + quoted(path))
    line = escaped(" ".join(words))
    if len(line) > 100:
        line = line[:99] + "\u2026"
    if "signal" in ended:
        outcome = f"signal {ended['signal']}"
    else:
        outcome = {0: "ok", None: "end unknown"}.get(ended.get("code"), f"exit {ended.get('code')}")
    made = [part["path"] for part in job.get("outputs", [])]
    shards = job.get("output_shards", [])
    named, more = (made[:3], len(made) - 3) if made else ([s["directory"] or "." for s in shards[:1]], 0)
    if shards:
        named, more = [named[0] + "/"], sum(shard["count"] for shard in shards)
    outputs = ", ".join(map(escaped, named)) + (f" (+{more})" if more > 0 else "")
    begin = f"{record_id(body)} {job.get('role', 'run')} {outcome} {lasted(job['duration_ns'])}  {line}"
    return begin + (f" -> {outputs}" if outputs else "")


def quoted(word: str) -> str:
    """A word of a command."""
    if re.fullmatch(r"[A-Za-z0-9_@%+=:,./~^-]+", word):
        return word
    return "'" + word.replace("'", "'\"'\"'") + "'"


def escaped(text: str) -> str:
    """Without what a terminal might obey."""
    ranges = ((0, 0x1F), (0x7F, 0x9F), (0x200E, 0x200F), (0x2028, 0x202E), (0x2066, 0x2069), (0xD800, 0xDFFF))
    odd = {c for c in text if any(low <= ord(c) <= high for low, high in ranges)}
    return "".join(("\\n" if c == "\n" else f"\\x{ord(c):02x}") if c in odd else c for c in text)


def lasted(nanoseconds: int) -> str:
    """A duration."""
    milliseconds, tenths = (nanoseconds + 500_000) // 10**6, (nanoseconds + 50_000_000) // 10**8
    minutes, seconds = divmod(tenths // 10, 60)
    if milliseconds < 1000:
        return f"{milliseconds} ms"
    if not minutes:
        return f"{seconds}.{tenths % 10} s"
    return f"{minutes} min {seconds:02} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60:02} min"


def git_id(algorithm: str, kind: str, body: bytes) -> str:
    """The id of a git object."""
    return hashlib.new(algorithm, b"%s %d\0" % (kind.encode(), len(body)) + body).hexdigest()


def git_tree(algorithm: str, files: dict[str, bytes]) -> str:
    """The id of the tree that holds these files by their paths."""
    folders: dict[str, dict[str, bytes]] = {}
    entries = []
    for path, data in files.items():
        name, slash, rest = path.partition("/")
        if slash:
            folders.setdefault(name, {})[rest] = data
        else:
            entries.append((name.encode(), b"100644 %s\0" % name.encode(), git_id(algorithm, "blob", data)))
    for name, inside in folders.items():
        entries.append((name.encode() + b"/", b"40000 %s\0" % name.encode(), git_tree(algorithm, inside)))
    return git_id(algorithm, "tree", b"".join(head + bytes.fromhex(oid) for _, head, oid in sorted(entries)))


def commit(algorithm: str, case: dict[str, Any]) -> str:
    """The id of the commit of a case, whose files are checked on the way."""
    tree = git_tree(algorithm, {path: data.encode() for path, data in case["files"].items()})
    parents = "".join(f"parent {parent}\n" for parent in case["parents"])
    who = f"author {case['author']}\ncommitter {case['committer']}\n"
    return git_id(algorithm, "commit", f"tree {tree}\n{parents}{who}\n{case['message']}".encode())


def wrong(folder: Path) -> Iterable[str]:
    """What in the vectors is not as this reader understands the format."""

    def load(name: str) -> Any:
        return json.loads((folder / f"{name}.json").read_text(encoding="utf-8"))

    for case in load("canonical"):
        if canonical(case["value"]) != case["bytes"].encode():
            yield f"canonical: {case['bytes']}"
    for case in load("records"):
        body = case["bytes"].encode()
        if canonical(json.loads(body)) != body or record_id(body) != case["id"]:
            yield f"record: {case['id']}"
    for case in load("paths"):
        if spelled(bytes.fromhex(case["hex"])) != case["text"]:
            yield f"path: {case['hex']}"
    for case in load("manifests"):
        shards, manifests = split(made_up(case["files"]))
        sizes = {digest: len(body) for digest, body in manifests.items()}
        if (shards, sizes) != (case["shards"], case["manifests"]):
            yield f"manifests: {case['files']} files"
    for case in load("notes"):
        if note(case["bytes"].encode()) != case["line"]:
            yield f"note: {case['line']}"
    for case in load("commits"):
        if commit(case["object_format"], case) != case["id"]:
            yield f"commit: {case['what']}, {case['object_format']}"
        for path, content in case["files"].items():
            if path.startswith("segment/"):
                found = [record_id(line.encode()) for line in content.splitlines()]
                if (
                    path != f"segment/{found[0]}.jsonl"
                    or found != sorted(found)
                    or case["message"].count(found[-1]) != 2
                ):
                    yield f"segment: {path}"
            elif case["what"] == "notes" and not re.fullmatch(r"..(/.{38}|/.{62})", path):
                yield f"notes: {path}"


if __name__ == "__main__":
    problems = list(wrong(Path(sys.argv[1])))
    print("\n".join(problems) or "all vectors hold")
    sys.exit(bool(problems))
