"""The telemetry that is running now: set by ``init``, asked for by everything that records."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from opentelemetry._logs import Logger
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.trace import Tracer

from spanhouse.delivery import Delivery
from spanhouse.logs import Logs
from spanhouse.settings import Settings

if TYPE_CHECKING:
    from spanhouse.pipeline import Pipeline
    from spanhouse.runs import Run


@dataclass(frozen=True, slots=True)
class Telemetry:
    """What is running between ``init`` and ``shutdown``."""

    settings: Settings
    tracer: Tracer
    audit: Logger
    spans: Delivery[ReadableSpan]
    logs: Logs
    pipeline: Pipeline


_active: Telemetry | None = None
running: Final[set[Run]] = set()
"""The runs that are open in this process. Adding and taking away need no lock."""


def _after_fork() -> None:
    for run in running:
        run.leave_to_parent()
    running.clear()


os.register_at_fork(after_in_child=_after_fork)


def active() -> Telemetry | None:
    """Return the running telemetry, or None before ``init`` and after ``shutdown``."""
    return _active


def set_active(telemetry: Telemetry | None) -> None:
    """Make this the running telemetry."""
    global _active  # noqa: PLW0603 - a process has one telemetry
    _active = telemetry
