"""Named SQL: each statement is a file, so it can be read, formatted and explained on its own."""

from __future__ import annotations

from functools import cache
from importlib import resources
from string import Template


@cache
def load(package: str, name: str) -> str:
    """Return the statement in `<package>/sql/<name>.sql`, read once a process.

    Raises:
        FileNotFoundError: the package has no such statement.
    """
    return resources.files(package).joinpath("sql", f"{name}.sql").read_text(encoding="utf-8")


def compose(package: str, name: str, **fragments: str) -> str:
    """Return the statement with each `$fragment` in it replaced.

    Fragments are SQL from this program: column lists, conditions. Values from outside travel as `{name:Type}`
    parameters.

    Raises:
        KeyError: the statement has a fragment that was not given.
    """
    return Template(load(package, name)).substitute(fragments)
