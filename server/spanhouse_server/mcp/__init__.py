"""Spanhouse as tools of a coding agent: a Model Context Protocol server that is a client of the API."""
