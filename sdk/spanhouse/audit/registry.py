"""All audit events: importing this module fills ``AUDIT_EVENTS``."""

from __future__ import annotations

from typing import Any

from spanhouse.audit import (
    budget_events,
    control_events,
    decision_events,
    model_events,
    policy_events,
    run_events,
    tool_events,
)
from spanhouse.audit.base import AUDIT_EVENTS, AuditEvent

FAMILIES = (run_events, model_events, tool_events, policy_events, budget_events, control_events, decision_events)


def build(name: str, fields: dict[str, Any]) -> AuditEvent:
    """Return the checked event.

    Raises:
        ValueError: no event has this name, or a field does not fit its model (``pydantic.ValidationError``).
    """
    model = AUDIT_EVENTS.get(name)
    if model is None:
        msg = f"unknown audit event {name!r}: it must be one of {', '.join(sorted(AUDIT_EVENTS))}"
        raise ValueError(msg)
    return model.model_validate(fields)


def json_schemas() -> dict[str, dict[str, Any]]:
    """Return the JSON schema of each event's own fields, by event name."""
    return {name: model.model_json_schema() for name, model in sorted(AUDIT_EVENTS.items())}
