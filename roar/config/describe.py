"""The page ``docs/configuration.md``, made from the model (``roar config describe --markdown``)."""

from __future__ import annotations

import inspect

from roar.config.model import KEYS, Key, Settings

_HEAD = """# Configuration

<!-- Written by: roar config describe --markdown > docs/configuration.md -->

Settings are keys below `roar.` in git's own configuration: `git config`, its scopes (system, global, local, worktree),
includes and `git -c` work as for any other key. `roar config` does the same with checks and suggestions:

    roar config list                                   what is set, and in which file (--all: with the defaults)
    roar config describe overlay                       what settings do
    roar config set overlay.maxTotalSize 128m          in this repository (--global: in all, --worktree: in this one)
    roar config set --shared filters.exclude '*.log'   in .roarconfig
    roar config unset overlay.maxTotalSize
    git -c roar.tracer.mechanism=ptrace roar run make  for one command

## What counts

From weak to strong: the default, `.roarconfig`, git's configuration (system, global, local, worktree, `-c`), the
environment (`ROAR_OVERLAY_MAX_TOTAL_SIZE=128m`). `NO_COLOR` is stronger than all.

A setting that is *repeatable* takes the values of all places together. An empty value forgets those before it. In the
environment, where there is one variable only, each line is a value, and they replace the others.

**`.roarconfig`** lies in the top of the work tree and is meant to be committed. It is written like git's configuration
(`[roar "filters"]`, then `exclude = *.log`). As it comes with a clone, from anybody, it may only hold settings that can
neither run something nor let more be recorded than their defaults: those marked *shared*. Others in it are ignored, and
roar says so. It has no includes.

**A mistake is an error.** An unknown key, or a value of the wrong type, is named with its file and line and with the
key that was probably meant. `roar run` looks before it starts the command: it then ends with 125, and nothing was run.
Every other command ends with 1, but for `roar config`, `roar env` and help. A variable of the environment counts as
one of roar's when it begins with `ROAR_` and the name of a group. `.roarconfig` is read where something is recorded.

Values: *true or false* also as yes, no, on, off, 1, 0; sizes in bytes with k, m or g for powers of 1024.

**Globs of paths** are those of gitignore(5): `*`, `?` and `[...]` stay within one name, `**` stands for any number of
folders. A glob without a slash means that name anywhere; others begin at the top of the work tree, at `/` or at `~/`. A
glob of a folder means everything in it. Globs of names do not mind case.

## Variables for commands

    roar env set OMP_NUM_THREADS=1                     for every recorded command of this repository
    roar env set --user TZ=UTC                         of all repositories
    roar run --env OMP_NUM_THREADS=4 CMD               for one; stronger than the others

They are kept as `roar.env.<NAME>.value` in git's configuration, given to commands of `roar run` and `roar build`, and
recorded with them. Values that look like secrets are taken out of the record; in the file of git's configuration
everybody who may read it can read them. A reproduction believes only harmless variables (language, time zone, threads,
seeds) and says which it left out.

## All settings
"""


def markdown() -> str:
    """The whole page."""
    text = [_HEAD]
    for group, defaults in Settings._field_defaults.items():
        text.append(f"### roar.{group}\n\n{inspect.getdoc(type(defaults))}\n")
        text.append("| key | value | default | what it does |\n|---|---|---|---|")
        text += [_row(key) for key in KEYS.values() if key.group == group]
        text.append("")
    return "\n".join(text)


def _row(key: Key) -> str:
    value = key.kind.wants + ", repeatable" * key.kind.many
    default = ", ".join(key.words(key.default))
    shown = f"`{default}`" if default else "none"
    what = key.help.replace("|", "\\|") + " *Shared.*" * key.shared
    return f"| `{key.name}` | {value} | {shown} | {what} |"
