"""Git: objects, refs, notes and transport. Knows no records.

What is hot (one append) is written here in process, by git's own protocols of temporary names and lock files.
What touches users' configuration, credentials or negotiation is asked of the user's own git.
"""
