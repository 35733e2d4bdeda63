"""The index: rows to search by, derived from the journal. It may be deleted at any time and changes no answer.

Nothing flows back from here to the journal, and details are read back from the record itself. Tables are declared once,
in SQLAlchemy; questions are standard SQL with named values, asked of SQLite directly.
"""
