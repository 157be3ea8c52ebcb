"""Data points of metrics to rows, each as it was sent: nothing is summed, and a point sent again is the same row."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any, Final

import pyarrow as pa

from spanhouse import attributes as own
from spanhouse.canonical import canonical_json
from spanhouse_collector import wire
from spanhouse_collector.conventions.readers import json_text
from spanhouse_collector.normalise import times
from spanhouse_collector.normalise.accepted import accepted
from spanhouse_collector.normalise.attributes import Attributes
from spanhouse_collector.normalise.columns import Columns
from spanhouse_collector.normalise.contexts import Context, Contexts
from spanhouse_collector.records import RawRecord
from spanhouse_storage.tables import SCHEMAS

_SCHEMA: Final = SCHEMAS["metric_points"]
_TEMPORALITY: Final = ("", "delta", "cumulative")
_NO_RECORDED_VALUE: Final = 1
_LAST: Final = 2**63 - 1


class MetricPoints:
    """Turns metrics requests into rows of ``metric_points``."""

    def __init__(self, attributes: Attributes, contexts: Contexts) -> None:
        self._attributes = attributes
        self._contexts = contexts

    def table(self, records: Sequence[RawRecord]) -> pa.Table:
        """Return the rows of all data points in the records."""
        rows: list[dict[str, Any]] = []
        for record in records:
            for resource in accepted("metrics", record.body).resource_metrics:
                for scope in resource.scope_metrics:
                    context = self._contexts.of(
                        resource.resource, scope.scope, record.tenant, (resource.schema_url, scope.schema_url)
                    )
                    for metric in scope.metrics:
                        rows += self._rows(metric, context, record)
        columns = Columns(_SCHEMA)
        for name in _SCHEMA.names if rows else ():
            default: Any = None if _SCHEMA.field(name).nullable else []
            columns.put(name, 0, [row.get(name, default) for row in rows])
        return columns.table(len(rows))

    def _rows(self, metric: Any, context: Context, record: RawRecord) -> list[dict[str, Any]]:  # noqa: ANN401 - a wire message
        kind = metric.WhichOneof("value")
        if kind is None:
            return []
        data = wire.METRIC_DATA[kind].FromString(getattr(metric, kind))
        temporality = getattr(data, "aggregation_temporality", 0)
        shared = {
            "tenant": context.tenant,
            "received_at": record.received_us,
            "version": times.version(final=True, received_us=record.received_us, collector=record.collector),
            "name": wire.text(metric.name),
            "unit": wire.text(metric.unit),
            "description": wire.text(metric.description),
            "type": kind,
            "temporality": _TEMPORALITY[temporality] if 0 <= temporality < len(_TEMPORALITY) else "",
            "is_monotonic": getattr(data, "is_monotonic", False),
            "service_name": context.service_name,
            "environment": context.environment,
            "scope_name": context.scope_name,
            "scope_version": context.scope_version,
            "resource": context.resource,
            "scope_attributes": context.scope,
        }
        identity = hashlib.blake2b(_identity(shared), digest_size=8)
        return [{**shared, **self._point(point, kind, identity.copy())} for point in data.data_points]

    def _point(self, point: Any, kind: str, series: hashlib.blake2b) -> dict[str, Any]:  # noqa: ANN401
        attributes = [(key, text) for key, _, text in self._attributes.entries(point.attributes)]
        series.update(canonical_json(sorted(attributes)).encode())
        time, bucket = times.of_log((point.time_unix_nano,), 0)
        start = point.start_time_unix_nano
        row: dict[str, Any] = {
            "series": int.from_bytes(series.digest()),
            "time": time,
            "bucket": bucket,
            "start_time": min(start, _LAST) if start else None,
            "flags": point.flags,
            "exemplars": self._exemplars(getattr(point, "exemplars", ())),
            "attributes": attributes,
        }
        tenant = next((text for key, text in attributes if key == own.TENANT and text), "")
        if tenant:
            row["tenant"] = tenant
        return row if point.flags & _NO_RECORDED_VALUE else {**row, **_VALUES[kind](point)}

    def _exemplars(self, exemplars: Sequence[Any]) -> str:
        if not exemplars:
            return ""
        found = []
        for each in exemplars:
            kind = each.WhichOneof("value")
            said = {key: value for key, value, _ in reversed(self._attributes.entries(each.filtered_attributes))}
            found.append(
                {
                    "time": times.rfc3339(each.time_unix_nano),
                    "value": getattr(each, kind) if kind else None,
                    "trace_id": each.trace_id.hex(),
                    "span_id": each.span_id.hex(),
                    "attributes": said,
                }
            )
        return json_text(found)


def _identity(shared: dict[str, Any]) -> bytes:
    names = ("type", "temporality", "is_monotonic", "unit", "scope_name", "scope_version")
    told = [*(shared[name] for name in names), sorted(shared["resource"]), sorted(shared["scope_attributes"])]
    return canonical_json(told).encode()


def _number(point: Any) -> dict[str, Any]:  # noqa: ANN401 - a wire message
    kind = point.WhichOneof("value")
    if kind is None:
        return {}
    value = getattr(point, kind)
    return {"value": float(value), "int_value": value if kind == "as_int" else None}


def _histogram(point: Any) -> dict[str, Any]:  # noqa: ANN401
    return _summed(point) | {"bounds": point.explicit_bounds, "bucket_counts": point.bucket_counts}


def _exponential(point: Any) -> dict[str, Any]:  # noqa: ANN401
    found = _summed(point) | {
        "scale": point.scale,
        "zero_count": point.zero_count,
        "zero_threshold": point.zero_threshold,
    }
    for side in ("positive", "negative"):
        if point.HasField(side):
            buckets = getattr(point, side)
            found |= {f"{side}_offset": buckets.offset, f"{side}_counts": buckets.bucket_counts}
    return found


def _summed(point: Any) -> dict[str, Any]:  # noqa: ANN401
    given = {name: getattr(point, name) for name in ("sum", "min", "max") if point.HasField(name)}
    return {"count": point.count, **given}


def _summary(point: Any) -> dict[str, Any]:  # noqa: ANN401
    return {
        "count": point.count,
        "sum": point.sum,
        "quantiles": [each.quantile for each in point.quantile_values],
        "quantile_values": [each.value for each in point.quantile_values],
    }


_VALUES: Final = {
    "gauge": _number,
    "sum": _number,
    "histogram": _histogram,
    "exponential_histogram": _exponential,
    "summary": _summary,
}
