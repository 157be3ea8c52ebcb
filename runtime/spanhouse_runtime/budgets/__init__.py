"""Budgets that runs and processes share. Needs SQLAlchemy: ``pip install "spanhouse[runtime]"``."""

from spanhouse_runtime.budgets.file import BudgetsFile, load_budgets
from spanhouse_runtime.budgets.rules import Budget, Scope
from spanhouse_runtime.budgets.store import BudgetStore

__all__ = ["Budget", "BudgetStore", "BudgetsFile", "Scope", "load_budgets"]
