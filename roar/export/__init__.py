"""Lineage in outside formats, one file for each."""
