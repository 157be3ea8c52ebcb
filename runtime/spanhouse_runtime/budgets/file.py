"""Budgets from a YAML file, read with the line of every mistake, and followed as the file changes."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from spanhouse.errors import ConfigurationError
from spanhouse.lined_yaml import Problem, Source, SourceError, file_text, problems_of, read
from spanhouse_runtime.budgets.rules import Budget
from spanhouse_runtime.followed import FollowedFile


class _Document(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    budgets: tuple[Budget, ...]


def load_budgets(path: Path) -> tuple[Budget, ...]:
    """Return the budgets in a YAML file.

    Raises:
        ConfigurationError: it cannot be read, or does not describe budgets; with file and line of every finding.
    """
    try:
        return parse_budgets(file_text(path))
    except SourceError as error:
        raise ConfigurationError("\n".join(f"{path}:{one.line}: {one.message}" for one in error.problems)) from error


def parse_budgets(text: str) -> tuple[Budget, ...]:
    """Return the budgets a YAML text describes.

    Raises:
        SourceError: it does not describe budgets; with every finding.
    """
    source = read(text)
    if not isinstance(source.data, dict):
        kind = "nothing" if source.data is None else type(source.data).__name__
        raise SourceError([Problem(1, f"a budgets file must be a mapping with 'budgets', not {kind}")])
    try:
        budgets = _Document.model_validate(source.data).budgets
    except ValidationError as error:
        raise SourceError(problems_of(error, source, (_Document, Budget))) from error
    if doubled := _doubled(budgets, source):
        raise SourceError(doubled)
    return budgets


def _doubled(budgets: tuple[Budget, ...], source: Source) -> list[Problem]:
    first: dict[tuple[str, str, str], int] = {}
    found: list[Problem] = []
    for place, budget in enumerate(budgets):
        line = source.line(("budgets", place))
        whose = (budget.scope.value, budget.tenant, budget.user)
        if whose in first:
            words = f"the budget of {whose[0]} for tenant {whose[1]!r} and user {whose[2]!r} stands on line"
            found.append(Problem(line, f"{words} {first[whose]} already: write its limits there"))
        first.setdefault(whose, line)
    return found


class BudgetsFile(FollowedFile[tuple[Budget, ...]]):
    """Budgets that follow their file: ``BudgetStore(url, BudgetsFile(path))``.

    A file that was changed into something that cannot be used changes nothing: the last good one holds.

    Args:
        path: the file.
        clock: seconds that only grow; the file is looked at once a second at most.

    Raises:
        ConfigurationError: there is nothing good to begin with.
    """

    def __init__(self, path: Path | str, *, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__(lambda: (load_budgets(Path(path)), [str(path)]), f"budgets file {path}", clock)
