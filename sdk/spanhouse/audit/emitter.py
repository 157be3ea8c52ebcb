"""Audit events on their way out: checked, numbered within the run, written as OTLP log records."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from typing import Any

from opentelemetry._logs import SeverityNumber

from spanhouse import attributes as keys
from spanhouse.active import active
from spanhouse.canonical import canonical_json
from spanhouse.notices import warn_once
from spanhouse.redaction import redact


class AuditTrail:
    """One run's audit events, numbered from 1 without a gap. Safe to write from several threads."""

    def __init__(self, first: int = 1) -> None:
        self._next = first
        self._lock = threading.Lock()

    @property
    def written(self) -> int:
        """How many events the run has so far; also the last number given out."""
        with self._lock:
            return self._next - 1

    def write(self, name: str, common: Mapping[str, str | int], fields: Mapping[str, Any]) -> int:
        """Write one event and return its number.

        An event that does not fit its model is written all the same, with the complaint in ``invalid``: an incomplete
        trail would be worse than an untidy one, and telemetry never raises into the agent.
        """
        with self._lock:
            seq = self._next
            self._next += 1
        telemetry = active()
        if telemetry is not None:
            data, version = _checked(name, fields)
            body, _ = redact(canonical_json(data))
            telemetry.audit.emit(
                timestamp=time.time_ns(),
                severity_number=SeverityNumber.INFO,
                event_name=name,
                body=body,
                attributes={**common, keys.AUDIT_SEQ: seq, keys.AUDIT_VERSION: version},
            )
        return seq


def _checked(name: str, fields: Mapping[str, Any]) -> tuple[dict[str, Any], int]:
    from spanhouse.audit.registry import build  # noqa: PLC0415 - keeps pydantic out until the first event

    try:
        event = build(name, dict(fields))
    except ValueError as error:
        complaint = str(error)
        warn_once(f"audit-{name}", f"audit event {name!r} is sent marked invalid, it fits no model: {complaint}")
        return {**fields, "invalid": complaint}, 0
    return event.model_dump(exclude_none=True), event.event_version
