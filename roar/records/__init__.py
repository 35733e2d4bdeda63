"""What roar remembers: frozen models and their canonical bytes. Knows no files, no git, no database."""
