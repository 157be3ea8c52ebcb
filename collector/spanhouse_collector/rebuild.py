"""Stored spans made into OTLP again, so that they can be normalised anew after a mapping was mended.

What a row holds is what was sent, but for types: a number or a list that was an attribute comes back as its text, which
every reader of attributes takes as well. Identity, times and what nobody maps (events, links, clamped) stay as stored;
a span's tenant too, since a mapping must never move it to another.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from itertools import groupby
from typing import Any, Final

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.compute as pc

from spanhouse import attributes as own
from spanhouse_collector import wire
from spanhouse_collector.normalise.contexts import RESOURCE_SCHEMA, SCOPE_SCHEMA
from spanhouse_collector.tenancy import ENVIRONMENT_KEYS
from spanhouse_storage.payload import REFERENCES
from spanhouse_storage.tables import SCHEMAS

KEPT: Final = (
    *("tenant", "trace_id", "span_id", "parent_span_id", "bucket", "start", "end", "duration_ns", "is_final"),
    *("events", "links", "trace_state", "flags", "dropped_attributes", "dropped_events", "dropped_links", "clamped"),
)
"""Columns that a row keeps whatever the mapping says."""

COLUMNS: Final = (
    *KEPT,
    *("version", "received_at", "name", "span_kind", "status", "status_message", "scope_name", "scope_version"),
    *("attributes", "resource", "scope_attributes", "input", "output", "system_instructions", "tool_definitions"),
    "args_hash",
)
"""Columns of ``spans`` that a span is rebuilt from."""

ALSO: Final = ("environment",)
"""What `portable` reads besides."""

_NEVER_CHANGED: Final = frozenset({*KEPT, "version", "received_at", "attributes", "resource", "scope_attributes"})
_KINDS: Final = {"internal": 1, "server": 2, "client": 3, "producer": 4, "consumer": 5}
_CODES: Final = {"ok": 1, "error": 2}
_RECEIVED_BITS: Final = 8
_FINAL_BIT: Final = 60


def request(rows: pa.Table) -> bytes:
    """Return rows of ``spans`` with `COLUMNS`, of one tenant, as an OTLP trace request."""
    return _request(_plain(rows))


def _request(rows: list[dict[str, Any]]) -> bytes:
    message = wire.TracesRequest()
    spans = sorted(rows, key=_context)
    for _, group in groupby(spans, key=_context):
        members = list(group)
        _add(message, members[0], members)
    body: bytes = message.SerializeToString()
    return body


def portable(rows: pa.Table) -> bytes:
    """Return rows of ``spans`` with `COLUMNS` and `ALSO`, of any tenants, as an OTLP trace request for another server.

    A resource that does not say whose its spans are says so here: what the sender's key said is not on the record.
    """
    named = [_named(row) for row in _plain(rows)]
    return _request(named)


def renewed(stored: pa.Table, normalised: pa.Table, now_us: int) -> pa.Table:
    """Return the rows that take the place of stored ones, in their order.

    Args:
        stored: rows with `COLUMNS`, of one tenant.
        normalised: what normalising their `request` gave.
        now_us: becomes their time of receipt, microseconds since the epoch; later than theirs in any case.
    """
    place = {key: number for number, key in enumerate(_ids(normalised))}
    rows = normalised.take(pa.array([place[key] for key in _ids(stored)], pa.int64()))
    for name in KEPT:
        rows = _with(rows, name, stored.column(name).cast(SCHEMAS["spans"].field(name).type))
    # The hash was made of the arguments before secrets were cut out of them; where they are the same, so is it.
    known = pc.and_(pc.equal(rows["input"], stored["input"]), pc.not_equal(stored["args_hash"], ""))
    rows = _with(rows, "args_hash", pc.if_else(known, stored["args_hash"], rows["args_hash"]))
    before = stored.column("received_at").cast(pa.int64()).to_numpy()
    received = np.maximum(before + 1, now_us)
    final = stored.column("is_final").to_numpy(zero_copy_only=False).astype(np.int64)
    collector = stored.column("version").to_numpy() & np.uint64((1 << _RECEIVED_BITS) - 1)
    version = (final << _FINAL_BIT) | (received << _RECEIVED_BITS) | collector.astype(np.int64)
    rows = _with(rows, "received_at", pa.array(received, pa.timestamp("us", "UTC")))
    return _with(rows, "version", pa.array(version.astype(np.uint64)))


def changed(stored: pa.Table, rows: pa.Table) -> pa.Table:
    """Return those of the rows that say something else than the stored ones in their place.

    Whether an attribute's text stands in the map or in a column of its own is no difference.

    Args:
        stored: rows of ``spans`` with all their columns.
        rows: what `renewed` made of them.
    """
    different = np.zeros(rows.num_rows, np.bool_)
    for name in SCHEMAS["spans"].names:
        if name not in _NEVER_CHANGED:
            before, after = pl.Series(stored.column(name)), pl.Series(rows.column(name))
            different |= before.ne_missing(after).to_numpy()
    return rows.filter(pa.array(different))


def _with(rows: pa.Table, name: str, values: Any) -> pa.Table:  # noqa: ANN401 - an Arrow array
    return rows.set_column(rows.column_names.index(name), SCHEMAS["spans"].field(name), values)


def _ids(rows: pa.Table) -> list[tuple[str, str]]:
    return list(zip(rows.column("trace_id").to_pylist(), rows.column("span_id").to_pylist(), strict=True))


def _plain(rows: pa.Table) -> list[dict[str, Any]]:
    # Times as whole numbers: Python's own hold no nanoseconds.
    for name in ("start", "end"):
        rows = rows.set_column(rows.column_names.index(name), name, rows.column(name).cast(pa.int64()))
    found: list[dict[str, Any]] = rows.to_pylist()
    return found


def _named(row: dict[str, Any]) -> dict[str, Any]:
    return {**row, "resource": owned(row["resource"], row["tenant"], row["environment"])}


def owned(resource: Sequence[tuple[str, str]], tenant: str, environment: str) -> list[tuple[str, str]]:
    """Return the attributes of a resource with tenant and environment before them where it names none."""
    known = {key for key, _ in resource}
    missing = [(own.TENANT, tenant)] if own.TENANT not in known else []
    if environment and not known.intersection(ENVIRONMENT_KEYS):
        missing.append((own.ENVIRONMENT, environment))
    return [*missing, *resource]


def _context(row: Mapping[str, Any]) -> tuple[Any, ...]:
    return row["resource"], row["scope_name"], row["scope_version"], row["scope_attributes"]


def _add(message: Any, shared: Mapping[str, Any], rows: Sequence[Mapping[str, Any]]) -> None:  # noqa: ANN401 - a wire message
    resource, resource_url = apart(shared["resource"], RESOURCE_SCHEMA)
    attributes, scope_url = apart(shared["scope_attributes"], SCOPE_SCHEMA)
    under = message.resource_spans.add(schema_url=resource_url)
    under.resource.attributes.extend(texts(resource))
    scope = under.scope_spans.add(schema_url=scope_url)
    scope.scope.name, scope.scope.version = shared["scope_name"].encode(), shared["scope_version"].encode()
    scope.scope.attributes.extend(texts(attributes))
    for row in rows:
        _add_span(scope.spans.add(), row)


def apart(pairs: Sequence[tuple[str, str]], key: str) -> tuple[list[tuple[str, str]], bytes]:
    """Return attributes without the schema url that stands behind them, and that url."""
    # Normalising puts the schema url behind the attributes.
    if pairs and pairs[-1][0] == key:
        return list(pairs[:-1]), pairs[-1][1].encode()
    return list(pairs), b""


def _add_span(span: Any, row: Mapping[str, Any]) -> None:  # noqa: ANN401 - a wire message
    span.trace_id, span.span_id = bytes.fromhex(row["trace_id"]), bytes.fromhex(row["span_id"])
    span.parent_span_id = bytes.fromhex(row["parent_span_id"])
    span.name = row["name"].encode()
    span.kind = _KINDS.get(row["span_kind"], 0)
    span.start_time_unix_nano, span.end_time_unix_nano = row["start"], row["end"]
    span.status.code, span.status.message = _CODES.get(row["status"], 0), row["status_message"].encode()
    span.trace_state, span.flags = row["trace_state"].encode(), row["flags"]
    span.dropped_attributes_count, span.dropped_events_count = row["dropped_attributes"], row["dropped_events"]
    span.dropped_links_count = row["dropped_links"]
    span.attributes.extend(
        texts((key, row[REFERENCES[text]] if text in REFERENCES else text) for key, text in row["attributes"])
    )
    for event in json.loads(row["events"] or "[]"):
        made = span.events.add(
            name=event["name"].encode("utf-8", "replace"), dropped_attributes_count=event.get("dropped_attributes", 0)
        )
        made.time_unix_nano = (
            int(np.datetime64(event["time"].rstrip("Z"), "ns").astype(np.int64)) if event["time"] else 0
        )
        made.attributes.extend(_pair(key, _value(value)) for key, value in event["attributes"].items())

    for link in json.loads(row["links"] or "[]"):
        linked = span.links.add(
            trace_id=bytes.fromhex(link["trace_id"]),
            span_id=bytes.fromhex(link["span_id"]),
            trace_state=link["trace_state"].encode("utf-8", "replace"),
            flags=link["flags"],
            dropped_attributes_count=link["dropped_attributes"],
        )
        linked.attributes.extend(_pair(key, _value(value)) for key, value in link["attributes"].items())


def texts(pairs: Any) -> list[bytes]:  # noqa: ANN401 - pairs of texts
    """Return raw attributes of texts."""
    return [_pair(key, wire.AnyValue(string_value=text.encode())) for key, text in pairs]


def _pair(key: str, value: Any) -> bytes:  # noqa: ANN401 - a wire message
    body: bytes = wire.KeyValue(key=key.encode("utf-8", "replace"), value=value.SerializeToString()).SerializeToString()
    return body


def _value(plain: Any) -> Any:  # noqa: ANN401 - any JSON value, and a wire message
    if isinstance(plain, dict):
        members = [_pair(key, _value(value)) for key, value in plain.items()]
        return wire.AnyValue(kvlist_value=wire.KeyValueList(values=members).SerializeToString())
    if isinstance(plain, list):
        items = [_value(item).SerializeToString() for item in plain]
        return wire.AnyValue(array_value=wire.ArrayValue(values=items).SerializeToString())
    return wire.AnyValue(**_scalar(plain))


def _scalar(plain: str | float | None) -> dict[str, Any]:
    if plain is None:
        return {}
    if isinstance(plain, str):
        return {"string_value": plain.encode("utf-8", "replace")}
    if isinstance(plain, bool):
        return {"bool_value": plain}
    if isinstance(plain, int) and -(1 << 63) <= plain < 1 << 63:
        return {"int_value": plain}
    return {"double_value": float(plain)}
