"""The lists in `allowed.toml`, read once a process."""

from __future__ import annotations

import tomllib
from functools import cache
from importlib import resources


@cache
def words(section: str, name: str) -> frozenset[str]:
    """Return one list of the file."""
    return frozenset(_file()[section][name].split())


@cache
def functions() -> frozenset[str]:
    """Return every function that may be called, aggregates included."""
    return frozenset(name for group in _file()["functions"].values() for name in group.split())


@cache
def _file() -> dict[str, dict[str, str]]:
    return tomllib.loads(resources.files("spanhouse_server.sql").joinpath("allowed.toml").read_text(encoding="utf-8"))
