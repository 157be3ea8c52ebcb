"""Metrics requests as a stock sender makes them, with every kind of data point."""

from __future__ import annotations

from typing import Any

from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.metrics.v1.metrics_pb2 import AggregationTemporality, Metric
from tests.support.otlp_bodies import START_NS, attributes

from spanhouse_collector.records import RawRecord

TIME_NS = START_NS + 60_000_000_000
DELTA = AggregationTemporality.AGGREGATION_TEMPORALITY_DELTA
CUMULATIVE = AggregationTemporality.AGGREGATION_TEMPORALITY_CUMULATIVE


def request(
    *metrics: Metric, resource: dict[str, Any] | None = None, scope: str = "lib"
) -> ExportMetricsServiceRequest:
    """Return the request with these metrics under one resource and scope."""
    made = ExportMetricsServiceRequest()
    under = made.resource_metrics.add(schema_url="https://schema/resource")
    under.resource.attributes.extend(attributes(resource or {"service.name": "shop"}))
    within = under.scope_metrics.add(schema_url="https://schema/scope")
    within.scope.name, within.scope.version = scope, "1.2"
    within.metrics.extend(metrics)
    return made


def record(*metrics: Metric, received_us: int = TIME_NS // 1000, **options: Any) -> RawRecord:
    """Return the request as the journal holds it."""
    return RawRecord("metrics", request(*metrics, **options).SerializeToString(), received_us)


def gauge(value: float = 0.5, *, name: str = "queue.depth", said: dict[str, Any] | None = None) -> Metric:
    """Return a gauge with one point; `said` are its attributes."""
    metric = Metric(name=name, unit="1", description="how deep")
    point = metric.gauge.data_points.add(time_unix_nano=TIME_NS, attributes=attributes(said or {}))
    if isinstance(value, int):
        point.as_int = value
    else:
        point.as_double = value
    return metric


def counter(value: int = 7, *, temporality: Any = CUMULATIVE, **said: Any) -> Metric:
    """Return a monotonic sum with one point."""
    metric = Metric(name="tool.calls", unit="{call}")
    metric.sum.is_monotonic, metric.sum.aggregation_temporality = True, temporality
    metric.sum.data_points.add(
        start_time_unix_nano=START_NS, time_unix_nano=TIME_NS, as_int=value, attributes=attributes(said)
    )
    return metric


def histogram() -> Metric:
    """Return a histogram with an exemplar, and a second point of counts alone."""
    metric = Metric(name="duration", unit="s")
    metric.histogram.aggregation_temporality = DELTA
    point = metric.histogram.data_points.add(
        start_time_unix_nano=START_NS,
        time_unix_nano=TIME_NS,
        count=6,
        sum=9.5,
        min=0.25,
        max=4.0,
        explicit_bounds=[0.5, 1.0],
        bucket_counts=[1, 2, 3],
        flags=256,
    )
    point.exemplars.add(
        time_unix_nano=TIME_NS,
        as_double=4.0,
        trace_id=bytes(range(16)),
        span_id=bytes(range(1, 9)),
        filtered_attributes=attributes({"model": "m"}),
    )
    metric.histogram.data_points.add(time_unix_nano=TIME_NS, count=2, attributes=attributes({"bare": True}))
    return metric


def exponential() -> Metric:
    """Return an exponential histogram with buckets on both sides of zero."""
    metric = Metric(name="tokens", unit="{token}")
    metric.exponential_histogram.aggregation_temporality = CUMULATIVE
    point = metric.exponential_histogram.data_points.add(
        start_time_unix_nano=START_NS, time_unix_nano=TIME_NS, count=9, sum=-1.5, scale=-3, zero_count=2
    )
    point.zero_threshold = 0.001
    point.positive.offset = -4
    point.positive.bucket_counts.extend([1, 0, 3])
    point.negative.offset = 2
    point.negative.bucket_counts.extend([3])
    return metric


def summary() -> Metric:
    """Return a summary with two quantiles."""
    metric = Metric(name="latency", unit="ms")
    point = metric.summary.data_points.add(time_unix_nano=TIME_NS, count=4, sum=10.0)
    point.quantile_values.add(quantile=0.5, value=2.0)
    point.quantile_values.add(quantile=0.99, value=5.0)
    return metric


def every_kind() -> ExportMetricsServiceRequest:
    """Return one request with metrics of all five kinds: six points."""
    return request(gauge(), counter(), histogram(), exponential(), summary())
