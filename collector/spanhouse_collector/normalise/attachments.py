"""Events and links of spans as JSON arrays, kept whole."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from spanhouse_collector import wire
from spanhouse_collector.conventions.readers import json_text
from spanhouse_collector.normalise.attributes import Attributes
from spanhouse_collector.normalise.group import Event, Group
from spanhouse_collector.normalise.times import rfc3339


def links(group: Group, attributes: Attributes) -> list[str]:
    """Return each span's links as a JSON array, "" for none; nothing where no span has any."""
    linked = {row: _links(span.links, attributes) for row, span in enumerate(group.spans) if span.links}
    return [linked.get(row, "") for row in range(len(group))] if linked else []


def events_json(events: Sequence[Event]) -> str:
    """Return one span's events, their times as RFC 3339."""
    return json_text(
        [
            {
                "name": event.name,
                "time": rfc3339(event.time_ns),
                "attributes": event.attributes,
                "dropped_attributes": event.dropped,
            }
            for event in events
        ]
    )


def _links(messages: Sequence[Any], attributes: Attributes) -> str:
    found = []
    for link in messages:
        values: dict[str, Any] = {}
        for key, value, _ in attributes.entries(link.attributes):
            values.setdefault(key, value)
        found.append(
            {
                "trace_id": link.trace_id.hex(),
                "span_id": link.span_id.hex(),
                "trace_state": wire.text(link.trace_state),
                "flags": link.flags,
                "attributes": values,
                "dropped_attributes": link.dropped_attributes_count,
            }
        )
    return json_text(found)
