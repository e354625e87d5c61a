"""Readers: each turns one set's files, as published, into clips of the common form."""
