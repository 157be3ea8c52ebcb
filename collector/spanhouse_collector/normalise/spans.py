"""Spans to rows: grouped by plan, read column by column, written as one Arrow table."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain
from typing import Any, Final

import numpy as np
import pyarrow as pa

from spanhouse_collector import wire
from spanhouse_collector.normalise import cells, times
from spanhouse_collector.normalise.accepted import accepted
from spanhouse_collector.normalise.attachments import links
from spanhouse_collector.normalise.attributes import Attributes
from spanhouse_collector.normalise.columns import Columns, Maps, taken
from spanhouse_collector.normalise.contexts import Context, Contexts
from spanhouse_collector.normalise.group import Event, Group
from spanhouse_collector.normalise.payload import Payload
from spanhouse_collector.normalise.plan import Plan, Shapes
from spanhouse_collector.prices import Prices
from spanhouse_collector.records import RawRecord
from spanhouse_storage.tables import SCHEMAS

_SCHEMA: Final = SCHEMAS["spans"]
_KINDS: Final = ("", "internal", "server", "client", "producer", "consumer")
_SPAN_ID: Final = 8


class Spans:
    """Turns trace requests into rows of ``spans``, remembering attributes, shapes and prices from batch to batch.

    Attributes:
        scored: rows of the last table whose attributes hold scores.
    """

    def __init__(self, attributes: Attributes, contexts: Contexts, prices: Prices) -> None:
        self._attributes = attributes
        self._contexts = contexts
        self._shapes = Shapes()
        self._prices = prices
        self.scored: list[int] = []

    def table(self, records: Sequence[RawRecord]) -> pa.Table:
        """Return the rows of all spans in the records; spans without usable ids are left out."""
        groups, contexts = self._gather(records)
        rows = sum(len(group) for group in groups)
        columns = Columns(_SCHEMA, {"content_captured": True})
        maps = Maps()
        base = 0
        self.scored = []
        for group in groups:
            group.transpose()
            if group.plan.scored:
                self.scored.extend(range(base, base + len(group)))
            self._fill(columns, maps, group, contexts, base)
            base += len(group)
        columns.whole("attributes", maps.array(_SCHEMA.field("attributes").type))
        self._fixed(columns, groups, records, contexts)
        return columns.table(rows)

    def _gather(self, records: Sequence[RawRecord]) -> tuple[list[Group], list[Context]]:
        groups: dict[Plan, Group] = {}
        contexts: list[Context] = []
        read = self._attributes.entries
        cut = self._attributes.cut
        for number, record in enumerate(records):
            for resource_spans in accepted("traces", record.body).resource_spans:
                for scope_spans in resource_spans.scope_spans:
                    urls = resource_spans.schema_url, scope_spans.schema_url
                    context = self._contexts.of(resource_spans.resource, scope_spans.scope, record.tenant, urls)
                    context_number = len(contexts)
                    contexts.append(context)
                    scope = context.scope_name
                    for span in scope_spans.spans:
                        cut.clear()
                        entries = read(span.attributes)
                        shape = self._shapes.of(scope, tuple([entry[0] for entry in entries]))
                        plan = shape.plan(span.name, entries)
                        group = groups.get(plan)
                        if group is None:
                            group = groups[plan] = Group(plan)
                        if cut:
                            group.cut.add(len(group))
                        group.spans.append(span)
                        group.entries.append(entries)
                        group.context.append(context_number)
                        group.record.append(number)
        return list(groups.values()), contexts

    def _fill(self, columns: Columns, maps: Maps, group: Group, contexts: Sequence[Context], base: int) -> None:
        events = {
            row: [Event(event, self._attributes) for event in span.events]
            for row, span in enumerate(group.spans)
            if span.events
        }
        payload = Payload(group, events)
        found = cells.of(group, contexts, events, payload, self._prices)
        for name, values in found.items():
            columns.put(name, base, values)
        for name, texts in payload.columns.items():
            columns.put(name, base, texts)
        columns.put("links", base, links(group, self._attributes))
        texts_by_key = group.texts()
        for position, reference in payload.moved.items():
            texts_by_key[position] = [reference] * len(group)
        maps.add(group.plan.keys, chain.from_iterable(zip(*texts_by_key, strict=True)), len(group))

    def _fixed(
        self, columns: Columns, groups: Sequence[Group], records: Sequence[RawRecord], contexts: Sequence[Context]
    ) -> None:
        spans = list(chain.from_iterable(group.spans for group in groups))
        record = np.fromiter(chain.from_iterable(group.record for group in groups), np.int64, len(spans))
        received = np.array([each.received_us for each in records] or [0], np.int64)[record]
        collector = np.array([each.collector for each in records] or [0], np.int64)[record]
        span_times = times.of_spans(
            [span.start_time_unix_nano for span in spans], [span.end_time_unix_nano for span in spans], received
        )
        final = np.array(list(chain.from_iterable(cells.final(group) for group in groups)), np.bool_)
        columns.whole("trace_id", pa.array([span.trace_id.hex() for span in spans], pa.string()))
        columns.whole("span_id", pa.array([span.span_id.hex() for span in spans], pa.string()))
        columns.whole("parent_span_id", pa.array([_parent(span.parent_span_id) for span in spans], pa.string()))
        columns.whole("start", pa.array(span_times.start, pa.timestamp("ns", "UTC")))
        columns.whole("end", pa.array(span_times.end, pa.timestamp("ns", "UTC")))
        columns.whole("duration_ns", pa.array(span_times.duration.astype(np.uint64)))
        columns.whole("bucket", pa.array(span_times.bucket, pa.timestamp("s", "UTC")))
        columns.whole("received_at", pa.array(received, pa.timestamp("us", "UTC")))
        columns.whole("is_final", pa.array(final))
        version = (final.astype(np.int64) << 60) | (received << 8) | collector
        columns.whole("version", pa.array(version.astype(np.uint64)))
        columns.whole(
            "span_kind", pa.array([_KINDS[s.kind] if 0 <= s.kind < len(_KINDS) else "" for s in spans], pa.string())
        )
        columns.whole("trace_state", pa.array([wire.text(span.trace_state) for span in spans], pa.string()))
        columns.whole("flags", pa.array([span.flags for span in spans], pa.uint32()))
        columns.whole("dropped_attributes", pa.array([span.dropped_attributes_count for span in spans], pa.uint32()))
        columns.whole("dropped_events", pa.array([span.dropped_events_count for span in spans], pa.uint32()))
        columns.whole("dropped_links", pa.array([span.dropped_links_count for span in spans], pa.uint32()))
        columns.whole("clamped", _clamped(span_times.clamped, groups, len(spans)))
        self._shared(columns, groups, contexts)

    def _shared(self, columns: Columns, groups: Sequence[Group], contexts: Sequence[Context]) -> None:
        # Bodies under one resource and scope share the Context object, so few distinct values stay.
        distinct = list({id(context): context for context in contexts}.values())
        place = {id(context): number for number, context in enumerate(distinct)}
        numbers = np.array([place[id(context)] for context in contexts], np.int32)
        rows = sum(len(group) for group in groups)
        index = numbers[np.fromiter(chain.from_iterable(group.context for group in groups), np.int64, rows)]
        for name in ("service_name", "service_version", "scope_name", "scope_version"):
            columns.whole(name, taken([getattr(each, name) for each in distinct], pa.string(), index))
        for name, field in (("resource", "resource"), ("scope_attributes", "scope")):
            columns.whole(name, taken([getattr(each, field) for each in distinct], _SCHEMA.field(name).type, index))


def _parent(raw: bytes) -> str:
    return raw.hex() if len(raw) == _SPAN_ID and any(raw) else ""


def _clamped(masks: dict[str, Any], groups: Sequence[Group], rows: int) -> pa.Array:
    marks: list[list[str]] = [[]] * rows
    for name, mask in masks.items():
        for row in np.flatnonzero(mask).tolist():
            marks[row] = [*marks[row], name]
    base = 0
    for group in groups:
        for row in group.cut:
            marks[base + row] = [*marks[base + row], "attributes"]
        base += len(group)
    return pa.array(marks, _SCHEMA.field("clamped").type)
