"""What a remote has folded into its archive and removed: the copies here are let go of, and this clone goes on."""

from __future__ import annotations

from collections.abc import Mapping

from roar.git import refs, transport
from roar.git.repository import Repository
from roar.journal import ARCHIVE, JOBS, NOTES, REMOTES, archive
from roar.journal.writer import known_writer


def tracked(repo: Repository, remote: str, *kinds: str) -> dict[str, str]:
    """What the remote was last seen to have: its refs' names there, and the objects they held."""
    prefix = f"{REMOTES}{remote}/"
    found = refs.listing(repo, *(prefix + kind.removeprefix("refs/roar/") for kind in kinds))
    return {"refs/roar/" + ref.removeprefix(prefix): oid for ref, oid in found.items()}


def covered(repo: Repository, remote: str, chains: Mapping[str, str], archives: Mapping[str, str]) -> dict[str, str]:
    """Those of a remote's chains of which every record is in these archives, or was purged."""
    if not chains or not archives:
        return {}
    known = archive.held(repo, archives.values(), archive.identifiers(repo, chains.values())) | archive.buried(repo)
    prefix = f"{REMOTES}{remote}/"
    here = {prefix + ref.removeprefix("refs/roar/"): oid for ref, oid in chains.items()}
    lacking = archive.uncovered(repo, here, known)
    return {ref: oid for ref, oid in chains.items() if prefix + ref.removeprefix("refs/roar/") not in lacking}


def forget(repo: Repository, remote: str, names: Mapping[str, str]) -> None:
    """Delete our copies of refs that the remote has no longer."""
    prefix = f"{REMOTES}{remote}/"
    held = tracked(repo, remote, JOBS, NOTES)
    gone = {prefix + ref.removeprefix("refs/roar/"): oid for ref, oid in held.items() if ref in names}
    refs.delete(repo, gone)


def notes_of(chains: Mapping[str, str], there: Mapping[str, str]) -> dict[str, str]:
    """The notes, among what is ``there``, of writers who have no chain but these."""
    writers = {ref.rpartition("/")[2] for ref in chains}
    left = {ref.rpartition("/")[2] for ref in there if ref.startswith(JOBS) and ref not in chains}
    return {ref: oid for ref, oid in there.items() if ref.startswith(NOTES) and ref[len(NOTES) :] in writers - left}


def let_go(repo: Repository, remote: str, place: str) -> int:
    """After a fetch that brought an archive: forget the chains that it holds and the remote has no longer.

    A chain of this clone begins anew, lest the next push bring all of it back. Gives how many chains there were. Raises
    ``GitError`` when the remote cannot be asked.
    """
    there = transport.remote_refs(repo, remote, "refs/roar/*", place)
    held = tracked(repo, remote, JOBS)
    gone = {ref: oid for ref, oid in held.items() if ref not in there}
    folded = covered(repo, remote, gone, tracked(repo, remote, ARCHIVE))
    for ref, oid in folded.items():
        if ref.rpartition("/")[2] == known_writer(repo):
            archive.go_on(repo, archive.Gone(ref, oid))
    notes = {ref: oid for ref, oid in tracked(repo, remote, NOTES).items() if ref not in there}
    forget(repo, remote, folded | notes_of(folded, held | notes))
    return len(folded)
