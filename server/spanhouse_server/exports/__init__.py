"""Bulk exports: files in a directory, with a manifest that says what they are and whether they are all."""
