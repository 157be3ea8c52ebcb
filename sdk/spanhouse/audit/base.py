"""What every audit event model shares, and the register the models enter themselves in."""

from __future__ import annotations

from typing import ClassVar

from pydantic import BaseModel, ConfigDict

AUDIT_EVENTS: dict[str, type[AuditEvent]] = {}
"""Event name -> its model. Complete once ``spanhouse.audit.registry`` has been imported."""


class AuditEvent(BaseModel):
    """One thing the agent or its control layer did or decided.

    A subclass names its event with ``class ToolCall(AuditEvent, event="tool.call")``. Fields beyond the declared ones
    are kept, since an audit trail that drops what it was told is none; declared ones are checked.
    """

    model_config = ConfigDict(extra="allow", use_enum_values=True, populate_by_name=True)

    event_name: ClassVar[str] = ""
    event_version: ClassVar[int] = 1

    def __init_subclass__(cls, *, event: str = "", version: int = 1) -> None:
        super().__init_subclass__()
        if event:
            cls.event_name = event
            cls.event_version = version
            AUDIT_EVENTS[event] = cls
