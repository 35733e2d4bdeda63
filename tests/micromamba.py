"""The one call of micromamba that roar makes, by rattler, the library of conda's formats in Rust.

For machines where no program of conda's is to be had: micromamba create --yes --quiet --prefix FOLDER --file LIST
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import tarfile
import tempfile
import urllib.request
from pathlib import Path

import rattler


def record(line: str, folder: Path) -> rattler.RepoDataRecord:
    """The package of a line ``URL#MD5``, as the index inside of it has it."""
    url, _, md5 = line.partition("#")
    channel, _, name = url.rpartition("/")
    archive = folder / name
    archive.write_bytes(urllib.request.urlopen(url).read())
    assert hashlib.md5(archive.read_bytes(), usedforsecurity=False).hexdigest() == md5, name
    with tarfile.open(archive) as packed:
        packed.extract("info/index.json", folder)
    found = rattler.PackageRecord.from_index_json(folder / "info/index.json", md5=md5)
    return rattler.RepoDataRecord(found, name, url, channel.rpartition("/")[0])


def main() -> None:
    words = argparse.ArgumentParser()
    words.add_argument("create", choices=["create"])
    for flag in ("--yes", "--quiet"):
        words.add_argument(flag, action="store_true")
    for option in ("--prefix", "--file"):
        words.add_argument(option, required=True)
    asked = words.parse_args()
    first, *packages = Path(asked.file).read_text().splitlines()
    assert first == "@EXPLICIT"
    with tempfile.TemporaryDirectory() as folder:
        records = [record(line, Path(folder)) for line in packages]
        asyncio.run(rattler.install(records, asked.prefix, cache_dir=Path(folder, "cache"), show_progress=False))


if __name__ == "__main__":
    main()
