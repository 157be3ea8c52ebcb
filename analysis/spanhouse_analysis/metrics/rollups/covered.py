"""Which filters the kept parts can answer, as a condition on their groups."""

from __future__ import annotations

from dataclasses import fields
from typing import Any, Final

from spanhouse_analysis.metrics.query import TOOL
from spanhouse_analysis.metrics.rollups.layout import SPEND, TENANT, Layout
from spanhouse_storage.reads import RunFilter
from spanhouse_storage.reads.filters import LONE_CALL, values_of

_WINDOW: Final = frozenset({"since", "until"})
_SAME: Final = frozenset({TENANT, "environment", "agent", "type"})
_BESIDES: Final = {
    # A filter on models of runs means any the run used, which its group does not say.
    "runs": frozenset({"agent_version", "status"}),
    "stops": frozenset({"stop_reason", "status"}),
    "calls": frozenset({"agent_version", TOOL, "status"}),
    "spend": frozenset({"agent_version", "model"}),
}


def group(layout: Layout, name: str) -> str | None:
    """Return the SQL of a group of a row's ``g``, None where parts are not kept by it."""
    if name == TENANT:
        return name
    return f"g[{layout.groups.index(name) + 1}]" if name in layout.groups else None


def condition(layout: Layout, wanted: RunFilter) -> tuple[str, dict[str, Any]] | None:
    """Return the filter but for its window as a condition, None where the parts do not tell what it asks."""
    parts: list[str] = []
    parameters: dict[str, Any] = {}
    for field in fields(RunFilter):
        given = getattr(wanted, field.name)
        if field.name in _WINDOW or given is None or given == "" or given in ((), []):
            continue
        if field.name not in _SAME | _BESIDES[layout.source]:
            return None
        values = values_of(given)
        if field.name == "status":
            # Ended runs are all there are here; with any other status it is for the runs themselves to say.
            if values != ["ended"]:
                return None
            continue
        parameters[field.name] = values
        placeholder = f"{{{field.name}:Array(String)}}"
        names = ("stop_code", "stop_reason") if field.name == "stop_reason" else (field.name,)
        parts.append("(" + " OR ".join(f"{group(layout, name)} IN {placeholder}" for name in names) + ")")
    if layout is not SPEND and not values_of(wanted.type):
        parts.append(f"{group(layout, 'type')} != '{LONE_CALL}'")
    return " AND ".join(parts) or "1", parameters


def groups_of_query(layout: Layout, by: list[str]) -> list[str] | None:
    """Return the SQL of each group asked for, None where parts are not kept by one of them."""
    found = [group(layout, name) for name in by]
    known = [name for name in found if name is not None]
    return known if len(known) == len(found) else None
