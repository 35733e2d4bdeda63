"""Bytes by hash: a store of artifacts by BLAKE3, in a folder or wherever fsspec reaches.

An object lies at ``b3/<2 digits>/<62 digits>``. It appears there whole or not at all, and what is read from it is
hashed on the way: a store is not trusted, it only may be wrong or right.
"""
