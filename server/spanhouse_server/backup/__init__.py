"""Backups of a server with an embedded store: everything it needs to go on elsewhere, in one file."""
