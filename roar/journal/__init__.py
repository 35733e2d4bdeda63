"""The journal: the truth, in ``refs/roar/*``. The only floor that knows both records and git.

    refs/roar/jobs/<yyyy>/<writer>    append-only chain of this clone, one commit a record
    refs/roar/notes/<writer>          this clone's notes
    refs/roar/archive/<yyyy>/<writer> records of many writers, folded together by this clone
    refs/roar/code/<writer>           commits that jobs ran on, sent along where no branch there holds them
    refs/roar-remote/<remote>/...     what others have
    refs/roar-folded/...                chains of this clone that a remote has folded
    refs/roar-keep/<writer>           commits that records name and no branch holds; of this clone alone

A record's commit holds a tree with ``record.json`` and what belongs to it: ``files/`` (the overlay), ``in/`` and
``out/`` (manifests). A commit may also hold many records in segments. ``docs/format.md`` describes it in full.
"""

OWN = "refs/roar/"
"""What this clone writes, and pushes."""
JOBS = "refs/roar/jobs/"
NOTES = "refs/roar/notes/"
ARCHIVE = "refs/roar/archive/"
CODE = "refs/roar/code/"
"""Holds commits that jobs ran on, for remotes none of whose branches does; made by `roar register --with-code`."""
REMOTES = "refs/roar-remote/"
FOLDED = "refs/roar-folded/"
KEEP = "refs/roar-keep/"
PUSHED = "refs/roar-pushed/"
CHECK = "refs/roar/check/"
"""Throw-away refs, with which `roar remote check` tries a remote. They are on remotes only, for a moment."""
LOCAL_NOTES = "refs/notes/roar"
SPELLED_NOTES = "refs/notes/refs/roar/notes/"
"""Where ``git log --notes='refs/roar/notes/*'`` looks: git puts ``refs/notes/`` before a pattern it is given."""
RECORD = b"record.json"
"""The name of the record in its commit's tree."""
WITHHELD = b"withheld"
"""Lies beside a record whose overlays were left out when it was shared; the names of their folders, one a line."""
