"""GLaaS: lineage served to teams. A git remote for ``refs/roar/*``, with log-in, index, API and pages around it.

The truth is in bare repositories and plain files under one data directory; everything else is derived.
"""
