"""Spans to rows: grouped by plan, read column by column, written as one Arrow table."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import chain
from operator import itemgetter
from typing import Any, Final

import numpy as np
import pyarrow as pa

from spanhouse_collector import wire
from spanhouse_collector.conventions.genai_evaluations import tells
from spanhouse_collector.normalise import cells, times
from spanhouse_collector.normalise.accepted import accepted
from spanhouse_collector.normalise.attachments import links
from spanhouse_collector.normalise.attributes import Attributes
from spanhouse_collector.normalise.columns import Columns, Maps, hexadecimal, taken
from spanhouse_collector.normalise.contexts import Context, Contexts
from spanhouse_collector.normalise.group import Event, Group
from spanhouse_collector.normalise.payload import Payload
from spanhouse_collector.normalise.plan import Plan, Shapes
from spanhouse_collector.prices import Prices
from spanhouse_collector.records import RawRecord
from spanhouse_storage.tables import SCHEMAS

_SCHEMA: Final = SCHEMAS["spans"]
_KINDS: Final = ("", "internal", "server", "client", "producer", "consumer")
_PIECE_BYTES: Final = 4 << 20
"""Bodies read at once: as much as stays in the processor's caches, for all of it is walked through many times."""
_TRACE_ID: Final = 16
_SPAN_ID: Final = 8


class Spans:
    """Turns trace requests into rows of ``spans``, remembering attributes, shapes and prices from batch to batch.

    Attributes:
        scored: rows of the last table whose attributes or events hold scores.
    """

    def __init__(self, attributes: Attributes, contexts: Contexts, prices: Prices) -> None:
        self._attributes = attributes
        self._contexts = contexts
        self._shapes = Shapes()
        self._prices = prices
        self.scored: list[int] = []

    def table(self, records: Sequence[RawRecord]) -> pa.Table:
        """Return the rows of all spans in the records; spans without usable ids are left out."""
        self.scored = []
        pieces: list[pa.Table] = []
        rows = 0
        for piece in _pieces(records):
            pieces.append(self._piece(piece, rows))
            rows += pieces[-1].num_rows
        return pa.concat_tables(pieces) if pieces else _SCHEMA.empty_table()

    def _piece(self, records: Sequence[RawRecord], before: int) -> pa.Table:
        groups, contexts = self._gather(records)
        rows = sum(len(group) for group in groups)
        columns = Columns(_SCHEMA, {"content_captured": True})
        maps = Maps()
        base = 0
        for group in groups:
            scored = self._fill(columns, maps, group, contexts, base)
            self.scored.extend(before + base + row for row in scored)
            base += len(group)
        columns.whole("attributes", maps.array(_SCHEMA.field("attributes").type))
        self._fixed(columns, groups, records, contexts)
        return columns.table(rows)

    def _gather(self, records: Sequence[RawRecord]) -> tuple[list[Group], list[Context]]:
        groups: dict[Plan, Group] = {}
        contexts: list[Context] = []
        read, shape_of, key_of = self._attributes.entries, self._shapes.of, itemgetter(0)
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
                        plan = shape_of(scope, tuple(map(key_of, entries))).plan(span.name, entries)
                        group = groups.get(plan)
                        if group is None:
                            group = groups[plan] = Group(plan)
                        if cut:
                            group.cut.add(len(group))
                        group.spans.append(span)
                        group.entries.extend(entries)
                        group.context.append(context_number)
                        group.record.append(number)
        return list(groups.values()), contexts

    def _fill(
        self, columns: Columns, maps: Maps, group: Group, contexts: Sequence[Context], base: int
    ) -> Iterable[int]:
        """Fill in the columns of a group; return those of its rows that hold scores."""
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
        if linked := links(group, self._attributes):
            columns.put("links", base, linked)
        texts = [text for _, _, text in group.entries]
        for position, reference in payload.moved.items():
            texts[position :: len(group.plan.keys)] = [reference] * len(group)
        maps.add(group.plan.keys, texts, len(group))
        if group.plan.scored:
            return range(len(group))
        return [row for row, of in events.items() if any(tells(each.name, each.attributes) for each in of)]

    def _fixed(
        self, columns: Columns, groups: Sequence[Group], records: Sequence[RawRecord], contexts: Sequence[Context]
    ) -> None:
        spans = list(chain.from_iterable(group.spans for group in groups))
        rows = len(spans)
        record = np.fromiter(chain.from_iterable(group.record for group in groups), np.int64, rows)
        received = np.array([each.received_us for each in records] or [0], np.int64)[record]
        collector = np.array([each.collector for each in records] or [0], np.int64)[record]
        span_times = times.of_spans(
            np.fromiter([span.start_time_unix_nano for span in spans], np.uint64, rows),
            np.fromiter([span.end_time_unix_nano for span in spans], np.uint64, rows),
            received,
        )
        final = np.array(list(chain.from_iterable(cells.final(group) for group in groups)), np.bool_)
        columns.whole("trace_id", hexadecimal([span.trace_id for span in spans], _TRACE_ID))
        columns.whole("span_id", hexadecimal([span.span_id for span in spans], _SPAN_ID))
        columns.whole("parent_span_id", hexadecimal([span.parent_span_id for span in spans], _SPAN_ID))
        columns.whole("start", pa.array(span_times.start, pa.timestamp("ns", "UTC")))
        columns.whole("end", pa.array(span_times.end, pa.timestamp("ns", "UTC")))
        columns.whole("duration_ns", pa.array(span_times.duration.astype(np.uint64)))
        columns.whole("bucket", pa.array(span_times.bucket, pa.timestamp("s", "UTC")))
        columns.whole("received_at", pa.array(received, pa.timestamp("us", "UTC")))
        columns.whole("is_final", pa.array(final))
        version = (final.astype(np.int64) << 60) | (received << 8) | collector
        columns.whole("version", pa.array(version.astype(np.uint64)))
        kind = np.fromiter([span.kind for span in spans], np.int64, rows)
        kind[(kind < 0) | (kind >= len(_KINDS))] = 0
        columns.whole("span_kind", taken(_KINDS, pa.string(), kind))
        states = [span.trace_state for span in spans]
        if any(states):
            columns.whole("trace_state", pa.array(list(map(wire.text, states)), pa.string()))
        for name, counts in (
            ("flags", [span.flags for span in spans]),
            ("dropped_attributes", [span.dropped_attributes_count for span in spans]),
            ("dropped_events", [span.dropped_events_count for span in spans]),
            ("dropped_links", [span.dropped_links_count for span in spans]),
        ):
            columns.whole(name, pa.array(np.fromiter(counts, np.uint32, rows)))
        if any(group.cut for group in groups) or any(mask.any() for mask in span_times.clamped.values()):
            columns.whole("clamped", _clamped(span_times.clamped, groups, rows))
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


def _pieces(records: Sequence[RawRecord]) -> Iterator[list[RawRecord]]:
    piece: list[RawRecord] = []
    size = 0
    for record in records:
        piece.append(record)
        size += len(record.body)
        if size >= _PIECE_BYTES:
            yield piece
            piece, size = [], 0
    if piece:
        yield piece


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
