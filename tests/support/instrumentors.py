"""Instrumentations as other people's packages have them, for entry points to name."""

from __future__ import annotations

from typing import Any


class Instrumentor:
    """One that works, and knows whether it is on."""

    is_instrumented_by_opentelemetry = False
    times = 0

    def _check_dependency_conflicts(self) -> object:
        return None

    def instrument(self, **_options: Any) -> None:
        """Turn on."""
        type(self).times += 1
        type(self).is_instrumented_by_opentelemetry = True


class WithoutFramework:
    """One whose framework is not installed."""

    def _check_dependency_conflicts(self) -> object:
        return "openai >= 1"


class Broken:
    """One that fails."""

    def instrument(self, **_options: Any) -> None:
        """Fail."""
        msg = "no such hook"
        raise RuntimeError(msg)
