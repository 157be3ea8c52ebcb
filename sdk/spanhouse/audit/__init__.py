"""Audit events: what agents and their control layer did and decided, one checked model an event.

The models load pydantic, so this package imports them only when they are first asked for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from spanhouse.audit.base import AUDIT_EVENTS, AuditEvent
    from spanhouse.audit.registry import build, json_schemas

__all__ = ["AUDIT_EVENTS", "AuditEvent", "build", "json_schemas"]


def __getattr__(name: str) -> Any:  # noqa: ANN401 - PEP 562
    if name not in __all__:
        msg = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(msg)
    from spanhouse.audit import registry  # noqa: PLC0415 - keeps pydantic out until it is needed

    return getattr(registry, name)
