"""Turns on what is installed of other people's instrumentation, so that frameworks tell what they do by themselves."""

from __future__ import annotations

import importlib
import importlib.util
import logging
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from importlib.metadata import EntryPoint, entry_points
from typing import Any, Final

_GROUP: Final = "opentelemetry_instrumentor"
_LOG = logging.getLogger("spanhouse")
_OWN: Final = frozenset({"opentelemetry-instrumentation-logging"})
"""Left alone: it would put every log line of the application into telemetry."""


@dataclass(frozen=True, slots=True)
class Instrumented:
    """What became of the instrumentations.

    Attributes:
        on: names of those that are on now, whoever turned them on.
        failed: name and complaint of those that could not be.
    """

    on: tuple[str, ...] = ()
    failed: tuple[tuple[str, str], ...] = ()


def instrument_installed(points: Iterable[EntryPoint] | None = None) -> Instrumented:
    """Turn on each instrumentation that is installed and whose framework is; never raises, and says what it did.

    Found are the entry points ``opentelemetry_instrumentor``, which OpenTelemetry's, OpenInference's and OpenLLMetry's
    packages have, and frameworks that instrument themselves by a switch (Pydantic AI). Where two packages instrument
    the same framework, the first by name alone is turned on: each call would be seen twice. One that is on stays as
    it is.
    """
    found = entry_points(group=_GROUP) if points is None else points
    on: list[str] = []
    failed: list[tuple[str, str]] = []
    seen: set[str] = set()
    for point in sorted(found, key=lambda point: (point.name, point.value)):
        if point.name in seen or point.name in _OWN:
            continue
        _attempt(point.name, lambda point=point: _turned_on(point.load()()), on, failed)  # type: ignore[misc]
        if point.name in on:
            seen.add(point.name)
    for name, switch in _SWITCHES.items():
        if name not in seen:
            _attempt(name, switch, on, failed)
    _LOG.info("instrumented: %s", ", ".join(on) or "nothing is installed that could be")
    for name, complaint in failed:
        _LOG.warning("%s could not be instrumented: %s", name, complaint)
    return Instrumented(tuple(on), tuple(failed))


def _attempt(name: str, turn_on: Callable[[], bool], on: list[str], failed: list[tuple[str, str]]) -> None:
    try:
        if turn_on():
            on.append(name)
    except Exception as error:  # noqa: BLE001 - foreign code: telemetry never ends the agent
        failed.append((name, f"{type(error).__name__}: {error}"))


def _turned_on(instrumentor: Any) -> bool:  # noqa: ANN401 - a class of the package's own
    if getattr(instrumentor, "is_instrumented_by_opentelemetry", False):
        return True
    conflict = getattr(instrumentor, "_check_dependency_conflicts", lambda: None)()
    if conflict is not None:
        # Its framework is not installed, or in another version.
        return False
    instrumentor.instrument(skip_dep_check=True)
    return True


def _pydantic_ai() -> bool:
    if importlib.util.find_spec("pydantic_ai") is None:
        return False
    agent: Any = importlib.import_module("pydantic_ai").Agent
    if not getattr(agent, "_instrument_default", False):
        agent.instrument_all()
    return True


_SWITCHES: Final[dict[str, Callable[[], bool]]] = {"pydantic_ai": _pydantic_ai}
"""Frameworks that instrument themselves."""
