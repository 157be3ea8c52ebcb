"""Named SQL: each statement is a file, so it can be read, formatted and explained on its own."""

from __future__ import annotations

from functools import cache
from importlib import resources


@cache
def load(package: str, name: str) -> str:
    """Return the statement in `<package>/sql/<name>.sql`, read once a process.

    Raises:
        FileNotFoundError: the package has no such statement.
    """
    return resources.files(package).joinpath("sql", f"{name}.sql").read_text(encoding="utf-8")
