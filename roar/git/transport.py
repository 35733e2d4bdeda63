"""Fetching and pushing ``refs/roar/*``, by the user's own git: its credentials, its proxies, its configuration."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

from roar.errors import GitError, UsageError
from roar.git import program, refs
from roar.git.commits import reached
from roar.git.repository import Repository

OURS = "refs/roar/"
"""Where records lie here, and on a remote that takes any ref. Elsewhere the same names follow another beginning, the
``place`` of the functions below; what they give and take are the names here."""
GONE = "refs/roar-remote/gone/"
"""What remotes had, and have no more or otherwise now. It may be the last to hold its records."""
_NOT_EVERY_REF = 1
"""How `git fetch` ends when it reached the remote and could not set some ref here; 128 when it did not reach it."""
_MOST_REASONS = 3
"""Lines of a remote's that are given with a refusal."""
_DELETED_AT_ONCE = 50
"""Refs in one push: hosts answer a push of hundreds with errors."""


class Pushed(NamedTuple):
    """What a push did: refs that moved, and refusals with their reasons."""

    moved: list[str]
    refused: dict[str, str]


def remotes(repo: Repository) -> list[str]:
    """The names of the configured remotes, ``origin`` first."""
    names = repo.ask("remote").decode("utf-8", "surrogateescape").split()
    return sorted(names, key=lambda n: (n != "origin", n))


def check_remote(repo: Repository, name: str) -> str:
    """The name, when it is that of a configured remote. Raises ``UsageError``."""
    known = remotes(repo)
    if name not in known:
        hint = f"one of: {', '.join(known)}" if known else "git remote add origin URL"
        raise UsageError(f"no remote is called '{name}'", hint)
    return name


def place_of(branch: str) -> str:
    """What the names of records begin with on a remote that has them below this branch ("": as here)."""
    return f"refs/heads/{branch}/" if branch else OURS


def refspecs(remote: str, own_notes: str, place: str = OURS) -> list[str]:
    """How records are fetched: others' copies apart from our own refs; our own notes not twice.

    The last one keeps `git fetch` from bringing our notes back. `git push` does not heed it, but takes the first that
    fits to note what it pushed; so the first leads our notes to where `git log` does not look for notes.
    """
    name, there = own_notes.rpartition("/")[2], _moved(own_notes, OURS, place)
    return [
        f"+{there}*:refs/roar-pushed/{remote}/{name}*",
        f"+{place}*:refs/roar-remote/{remote}/*",
        f"^{there}",
    ]


def is_for_records(spec: str, own_notes: str) -> bool:
    """True for a refspec that ``refspecs`` gives for some place."""
    target = spec.partition(":")[2]
    return target.startswith(("refs/roar-remote/", "refs/roar-pushed/")) or (
        spec.startswith("^") and spec.endswith("/" + own_notes.removeprefix(OURS))
    )


def _moved(ref: str, old: str, new: str) -> str:
    return new + ref.removeprefix(old)


def fetch_records(repo: Repository, remote: str, own_notes: str, place: str = OURS, *, quiet: bool = True) -> list[str]:
    """Bring the records of a remote into ``refs/roar-remote/<remote>/*``; gives the refs that are new or moved.

    A chain only ever grows. One that the remote has otherwise now is kept as it was, too, as a ref below ``GONE``,
    which is given with the others.

    Raises ``GitError`` with git's reason when the remote cannot be reached.
    """
    copies = f"refs/roar-remote/{remote}/"
    before = refs.listing(repo, copies)
    wanted = refspecs(remote, own_notes, place)
    done = _fetch(repo, remote, wanted, before, quiet=quiet)
    if done.returncode == _NOT_EVERY_REF and _move_what_is_in_the_way(repo, remote, place):
        done = _fetch(repo, remote, wanted, refs.listing(repo, copies), quiet=quiet)
    if done.returncode:
        raise GitError(f"cannot fetch from {remote}: {_reason(done.stderr)}", f"git fetch {remote}")
    after = refs.listing(repo, copies)
    moved = [ref for ref, oid in after.items() if before.get(ref) != oid]
    chains = [ref for ref in moved if ref in before and ref.startswith(f"{copies}jobs/")]
    ended = {before[ref] for ref in chains}
    lost = ended & reached(repo, [*ended, *(f"^{after[ref]}" for ref in chains)]) if chains else ()
    kept = {f"{GONE}{remote}/jobs/{oid}": oid for oid in lost}
    repo.ask("update-ref", "--stdin", stdin="".join(f"update {ref} {oid}\n" for ref, oid in kept.items()).encode())
    return [*moved, *sorted(kept)]


def _fetch(repo: Repository, remote: str, wanted: list[str], known: Iterable[str], *, quiet: bool) -> program.Done:
    """Fetch these refspecs; ``known`` are the refs that we have of the remote."""
    words = ["fetch", "--no-tags", "--no-write-fetch-head", "--no-recurse-submodules", "--no-auto-maintenance"]
    # A mirror's own refspec would set our chains back to what the remote has of them; a partial clone's filter would
    # leave out the records themselves, to be fetched one by one.
    words += ["--refmap=", "--no-filter"]
    words += [f"--negotiation-tip={ref}" for ref in list(known)[-8:]]
    words += ["--quiet"] if quiet else ["--progress"]
    return _talk(repo, [*words, "--end-of-options", remote, *wanted], quiet=quiet)


def _move_what_is_in_the_way(repo: Repository, remote: str, place: str) -> bool:
    """Rename our copies of refs that are gone on a remote and whose names hinder new ones there: ``a`` and ``a/b``."""
    copies = f"refs/roar-remote/{remote}/"
    there = {copies + ref.removeprefix(OURS) for ref in remote_refs(repo, remote, f"{OURS}*", place)}
    ours = refs.listing(repo, copies)
    hindering = [ref for ref in ours.keys() - there if ref in _folders(there) or _folders([ref]) & there]
    lines = []
    for ref in hindering:
        kind = ref.removeprefix(copies).partition("/")[0]
        lines.append(f"create {GONE}{remote}/{kind}/{ours[ref]} {ours[ref]}\ndelete {ref} {ours[ref]}\n")
    repo.ask("update-ref", "--no-deref", "--stdin", stdin="".join(lines).encode("utf-8", "surrogateescape"))
    return bool(hindering)


def _folders(names: Iterable[str]) -> set[str]:
    """The names above some names."""
    return {name[:at] for name in names for at, letter in enumerate(name) if letter == "/"}


def push_records(
    repo: Repository, remote: str, place: str = OURS, also: Mapping[str, str] | None = None, *, quiet: bool = True
) -> Pushed:
    """Push ``refs/roar/*`` to a remote, and ``also`` other objects under such names, which others are to write.

    Raises ``GitError`` when it cannot be reached.
    """
    return push_as(repo, remote, {**(also or {}), **refs.listing(repo, OURS)}, place, quiet=quiet)


def push_as(repo: Repository, remote: str, here: Mapping[str, str], place: str = OURS, *, quiet: bool = True) -> Pushed:
    """Push objects to a remote, each under the name of a ref, which need not be here.

    Raises ``GitError`` when it cannot be reached.
    """
    own = {ref: oid for ref, oid in here.items() if _is_commit(repo, oid)}
    if not own:
        return Pushed([], {})
    # --no-verify: a pre-push hook is for code, and would be run a second time for the branch
    mirror = f"remote.{remote}.mirror=false"  # else everything would be pushed, and what we lack removed there
    words = ["-c", mirror, "push", "--porcelain", "--no-verify", *([] if quiet else ["--progress"])]
    done = _talk(
        repo,
        [*words, "--end-of-options", remote, *(f"{oid}:{_moved(ref, OURS, place)}" for ref, oid in own.items())],
        quiet=quiet,
    )
    moved, refused, reported = [], {}, False
    for line in program.lines(done.stdout):
        fields = line.split("\t")
        if len(fields) < 3:
            continue
        reported = True
        ref = _moved(fields[1].partition(":")[2], place, OURS)
        if fields[0] == "!":
            refused[ref] = fields[2]
        elif fields[0] != "=":
            moved.append(ref)
        if fields[0] != "!" and ref in own and not ref.startswith("refs/roar/notes/"):  # else notes would show twice
            repo.ask("update-ref", "--no-deref", f"refs/roar-remote/{remote}/{ref.removeprefix(OURS)}", own[ref])
    if done.returncode and not reported:
        raise GitError(f"cannot push to {remote}: {_reason(done.stderr)}", how_to_push(remote, place))
    why = "; ".join(line.removeprefix("roar: ") for line in _said_there(done.stderr)[:_MOST_REASONS])
    return Pushed(moved, {ref: f"{said}: {why}" if why else said for ref, said in refused.items()})


def how_to_push(remote: str, place: str = OURS) -> str:
    """The git command that pushes the records."""
    return f"git push {remote} 'refs/roar/*{'' if place == OURS else f':{place}*'}'"


def remote_refs(repo: Repository, remote: str, pattern: str, place: str = OURS) -> dict[str, str]:
    """What the remote has now: ref to object. Raises ``GitError`` when it cannot be reached."""
    words = ["ls-remote", "--refs", "--quiet", "--end-of-options", remote, _moved(pattern, OURS, place)]
    done = _talk(repo, words, quiet=True)
    if done.returncode:
        raise GitError(f"cannot ask {remote} for its refs: {_reason(done.stderr)}", f"git ls-remote {remote}")
    pairs = (line.split("\t", 1) for line in program.lines(done.stdout))
    return {_moved(pair[1], place, OURS): pair[0] for pair in pairs if len(pair) == 2}


def delete_on(repo: Repository, remote: str, held: Mapping[str, str], place: str = OURS) -> Pushed:
    """Delete refs on a remote that still hold these objects there; its answer."""
    done_with = Pushed([], {})
    for some in _portions(sorted(held), _DELETED_AT_ONCE):
        there = {ref: _moved(ref, OURS, place) for ref in some}
        leases = [f"--force-with-lease={there[ref]}:{held[ref]}" for ref in some]
        words = ["push", "--porcelain", "--no-verify", *leases, "--end-of-options", remote]
        done = _talk(repo, [*words, *(f":{there[ref]}" for ref in some)], quiet=True)
        answers = [line.split("\t") for line in program.lines(done.stdout)]
        answers = [fields for fields in answers if len(fields) >= 3]
        if done.returncode and not answers:
            raise GitError(f"cannot push to {remote}: {_reason(done.stderr)}", f"git push {remote}")
        for flag, names, why, *_ in answers:
            ref = _moved(names.partition(":")[2], place, OURS)
            if flag == "!":
                done_with.refused[ref] = why
            else:
                done_with.moved.append(ref)
    return done_with


class Tried(NamedTuple):
    """How a remote took one ref that was pushed to it. ``why`` it was refused, None when it was not; ``said`` are the
    remote's own lines.
    """

    why: str | None
    said: list[str]


def push_one(repo: Repository, remote: str, oid: str, ref: str, place: str = OURS) -> Tried:
    """Push an object to one new ref. Raises ``GitError`` when the remote cannot be reached or takes no push at all."""
    words = ["push", "--porcelain", "--no-verify", "--end-of-options", remote, f"{oid}:{_moved(ref, OURS, place)}"]
    done = _talk(repo, words, quiet=True)
    lines = [line.split("\t") for line in program.lines(done.stdout)]
    answers = [fields for fields in lines if len(fields) >= 3]
    if not answers:
        raise GitError(f"cannot push to {remote}: {_reason(done.stderr)}", f"git push {remote}")
    return Tried(answers[0][2] if answers[0][0] == "!" else None, _said_there(done.stderr))


def push_tag(repo: Repository, remote: str, tag: str) -> bool:
    """Push a tag; False when the remote has it already. Raises ``GitError`` when it does not take it."""
    words = ["push", "--porcelain", "--no-verify", "--end-of-options", remote, f"refs/tags/{tag}"]
    done = _talk(repo, words, quiet=True)
    lines = [line.split("\t") for line in program.lines(done.stdout)]
    flag, _, why = next((fields for fields in lines if len(fields) == 3), ("!", "", _reason(done.stderr)))
    if flag == "!":
        raise GitError(f"{remote} refused the tag {tag}: {why}", f"git push {remote} {tag}")
    return flag != "="


def _portions(names: list[str], size: int) -> Iterator[list[str]]:
    for start in range(0, len(names), size):
        yield names[start : start + size]


def _is_commit(repo: Repository, oid: str) -> bool:
    """True for a ref that can be one of ours; a foreign object under our names is not spread."""
    return program.call([*repo.args(), "cat-file", "-e", f"{oid}^{{commit}}"]).returncode == 0


_PLAIN_URL = re.compile(
    r"(https?|ssh|git|file)://(?!-)[^\x00-\x20\x7f]+|/[^\x00-\x1f\x7f]*|([\w.+-]+@)?\w[\w.-]*:(?!//|[:-])[^\x00-\x20\x7f]+"
)
"""The forms of git-clone(1), section "GIT URLS"; none that git would give to a program of another name."""
_PLAIN_PROTOCOLS = "file:git:http:https:ssh"


def is_plain_url(url: str) -> bool:
    """True for a URL that anybody may name: git gets it by its own transports, and it is no option."""
    return bool(_PLAIN_URL.fullmatch(url))


def fetch_plain(repo: Repository, url: str, wanted: list[str]) -> program.Done:
    """Fetch these refspecs from a URL, or from the folder of a repository, by no other than git's own transports."""
    words = ["fetch", "--quiet", "--no-write-fetch-head", "--no-recurse-submodules", "--no-auto-maintenance"]
    words += ["--update-shallow", "--no-tags", "--end-of-options", url, *wanted]
    env = program.environment(GIT_ALLOW_PROTOCOL=_PLAIN_PROTOCOLS)
    return program.call([*repo.args(), *words], cwd=repo.git_dir, env=env)


def on_no_remote_branch(repo: Repository, commits: list[str]) -> list[str]:
    """Those of the commits that neither a remote-tracking branch holds nor what was sent along with records."""
    if not commits:
        return []
    # options such as --remotes are not taken from standard input before git 2.42
    there = refs.listing(repo, "refs/remotes/", "refs/roar-remote/")
    held = [oid for ref, oid in there.items() if ref.startswith("refs/remotes/") or "/code/" in ref]
    missing = reached(repo, [*commits, *(f"^{oid}" for oid in set(held))])
    return [oid for oid in commits if oid in missing]


def _talk(repo: Repository, words: list[str], *, quiet: bool) -> program.Done:
    """Run git with the terminal left to it, for passwords; its progress is shown when asked for."""
    return program.call([*repo.args(), *words], cwd=repo.work_tree or repo.git_dir, show_stderr=not quiet)


def _said_there(stderr: bytes) -> list[str]:
    """The lines that the remote itself has to say."""
    told = (line.strip() for line in program.lines(stderr))
    said = [line.removeprefix("remote:").strip() for line in told if line.startswith("remote:")]
    return [line for line in said if line]


def _reason(stderr: bytes) -> str:
    line = program.last_line(stderr)
    return line.removeprefix("fatal: ").removeprefix("error: ").removeprefix("roar: ")
