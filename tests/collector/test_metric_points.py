"""Metrics become rows as they were sent: every kind of point, never summed, and each once."""

from __future__ import annotations

import base64
import json
import math
from pathlib import Path
from typing import Any

import pytest
from google.protobuf.json_format import MessageToDict
from hypothesis import given, settings
from hypothesis import strategies as st
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.metrics.v1.metrics_pb2 import Metric
from tests.support.export_requests import logs, traces
from tests.support.metric_requests import (
    DELTA,
    TIME_NS,
    counter,
    every_kind,
    exponential,
    gauge,
    histogram,
    record,
    request,
    summary,
)
from tests.support.otlp_bodies import START_NS, attributes

from spanhouse_collector import json_wire, wire
from spanhouse_collector.check import check, remove
from spanhouse_collector.normalise import Normaliser
from spanhouse_collector.records import RawRecord
from spanhouse_collector.verdict import Reason

SHARED = Path(__file__).parents[2].parent / "shared" / "otlp"
RECORDINGS = sorted(SHARED.glob("*.metrics.otlp.pb"))


def points(*records: RawRecord) -> list[dict[str, Any]]:
    """Return the rows a fresh normaliser makes of the bodies."""
    found: list[dict[str, Any]] = Normaliser()(records).tables["metric_points"].to_pylist()
    return found


def only(metric: Metric) -> dict[str, Any]:
    (row,) = points(record(metric))
    return row


def nanos(row: dict[str, Any], column: str) -> int:
    found: int = row[column].value
    return found


def test_a_gauge_keeps_whether_it_was_whole() -> None:
    whole, half = only(gauge(2**60 + 1)), only(gauge(0.5))
    assert (whole["type"], whole["value"], whole["int_value"]) == ("gauge", float(2**60), 2**60 + 1)
    assert (half["value"], half["int_value"], half["unit"], half["description"]) == (0.5, None, "1", "how deep")
    assert (half["temporality"], half["is_monotonic"], half["start_time"], half["count"]) == ("", False, None, None)


def test_a_sum_keeps_its_temporality_and_whether_it_only_grows() -> None:
    row = only(counter(7, tool="search"))
    assert (row["type"], row["temporality"], row["is_monotonic"], row["int_value"]) == ("sum", "cumulative", True, 7)
    assert (nanos(row, "start_time"), nanos(row, "time")) == (START_NS, TIME_NS)
    assert row["attributes"] == [("tool", "search")]
    assert only(counter(7, temporality=DELTA))["temporality"] == "delta"


def test_a_histogram_keeps_buckets_extremes_and_exemplars() -> None:
    full, bare = points(record(histogram()))
    assert (full["count"], full["sum"], full["min"], full["max"]) == (6, 9.5, 0.25, 4.0)
    assert (full["bounds"], full["bucket_counts"], full["flags"]) == ([0.5, 1.0], [1, 2, 3], 256)
    (exemplar,) = json.loads(full["exemplars"])
    assert exemplar["trace_id"] == bytes(range(16)).hex()
    assert (exemplar["span_id"], exemplar["value"], exemplar["attributes"]) == ("0102030405060708", 4.0, {"model": "m"})
    assert (bare["count"], bare["sum"], bare["min"], bare["max"], bare["bounds"]) == (2, None, None, None, [])
    assert bare["exemplars"] == ""


def test_an_exponential_histogram_keeps_both_sides() -> None:
    row = only(exponential())
    assert (row["type"], row["scale"], row["zero_count"]) == ("exponential_histogram", -3, 2)
    assert (row["zero_threshold"], row["sum"], row["min"]) == (0.001, -1.5, None)
    assert (row["positive_offset"], row["positive_counts"]) == (-4, [1, 0, 3])
    assert (row["negative_offset"], row["negative_counts"]) == (2, [3])


def test_a_summary_keeps_its_quantiles() -> None:
    row = only(summary())
    assert (row["type"], row["count"], row["sum"]) == ("summary", 4, 10.0)
    assert (row["quantiles"], row["quantile_values"]) == ([0.5, 0.99], [2.0, 5.0])


def test_a_point_without_a_recorded_value_has_none() -> None:
    metric = gauge(0.0)
    metric.gauge.data_points[0].flags = 1
    row = only(metric)
    assert (row["value"], row["int_value"], row["flags"]) == (None, None, 1)


def test_not_a_number_and_infinity_stay_what_they_are() -> None:
    assert math.isnan(only(gauge(math.nan))["value"])
    assert only(gauge(-math.inf))["value"] == -math.inf


def test_resource_scope_and_schema_urls_stand_beside_every_point() -> None:
    said = {"service.name": "shop", "tenant.id": "acme", "deployment.environment.name": "prod"}
    (row,) = points(record(gauge(), resource=said))
    assert (row["service_name"], row["tenant"], row["environment"]) == ("shop", "acme", "prod")
    assert (row["scope_name"], row["scope_version"]) == ("lib", "1.2")
    assert dict(row["resource"])["otel.resource.schema_url"] == "https://schema/resource"
    assert dict(row["scope_attributes"])["otel.scope.schema_url"] == "https://schema/scope"
    assert only(gauge(said={"tenant.id": "beta"}))["tenant"] == "beta"


pairs = st.dictionaries(st.text("abc", min_size=1, max_size=3), st.text("xyz", max_size=3), max_size=4)


@settings(deadline=None)
@given(pairs, pairs)
def test_a_series_is_its_attributes_whatever_their_order(first: dict[str, str], second: dict[str, str]) -> None:
    one, again, other = (
        points(record(gauge(said=said)))[0]["series"] for said in (first, dict(reversed(first.items())), second)
    )
    assert one == again
    assert (one == other) == (first == second)


def test_everything_that_tells_streams_apart_is_part_of_the_series() -> None:
    others = [
        points(record(gauge()))[0],
        points(record(gauge(name="other")))[0],
        points(record(gauge(), resource={"service.name": "bar"}))[0],
        points(record(gauge(), scope="other"))[0],
        only(counter()),
        only(counter(temporality=DELTA)),
    ]
    assert len({(row["name"], row["series"]) for row in others}) == len(others)


def test_a_point_sent_again_has_the_same_key_and_a_later_version() -> None:
    first, again = (only_of(record(counter(), received_us=at)) for at in (1_000_000, 2_000_000))
    keys = ("tenant", "name", "bucket", "series", "time")
    assert [first[key] for key in keys] == [again[key] for key in keys]
    assert first["version"] < again["version"]


def only_of(sent: RawRecord) -> dict[str, Any]:
    (row,) = points(sent)
    return row


def test_a_time_far_away_has_the_odd_bucket_and_a_later_one_its_own() -> None:
    metric = gauge()
    metric.gauge.data_points[0].time_unix_nano = 1
    assert only(metric)["bucket"].timestamp() == 0
    assert only(gauge())["bucket"].timestamp() == TIME_NS // 10**9


def hexed(node: Any) -> Any:
    """Protobuf's JSON with ids as OTLP wants them: hex, not base64."""
    if isinstance(node, list):
        return [hexed(item) for item in node]
    if isinstance(node, dict):
        ids = {"traceId", "spanId"}
        return {k: base64.b64decode(v).hex() if k in ids else hexed(v) for k, v in node.items()}
    return node


@pytest.mark.parametrize("as_numbers", [True, False], ids=["numbers", "names"])
def test_json_says_the_same_as_protobuf(as_numbers: bool) -> None:  # noqa: FBT001
    sent = every_kind()
    body = json.dumps(hexed(MessageToDict(sent, use_integers_for_enums=as_numbers))).encode()
    read = json_wire.parse("metrics", body).SerializeToString()
    assert points(RawRecord("metrics", read, 1)) == points(RawRecord("metrics", sent.SerializeToString(), 1))


@pytest.mark.parametrize(
    ("point", "value"),
    [
        ({"asInt": "5"}, 5.0),
        ({"asInt": 5}, 5.0),
        ({"asDouble": "-Infinity"}, -math.inf),
        ({"asDouble": 2}, 2.0),
        ({"asDouble": None, "asInt": "-1"}, -1.0),
    ],
    ids=str,
)
def test_json_numbers_come_as_numbers_or_text(point: dict[str, Any], value: float) -> None:
    said = {"timeUnixNano": str(TIME_NS), "unknown": {}, **point}
    body = {"resourceMetrics": [{"scopeMetrics": [{"metrics": [{"name": "m", "gauge": {"dataPoints": [said]}}]}]}]}
    read = json_wire.parse("metrics", json.dumps(body).encode()).SerializeToString()
    assert points(RawRecord("metrics", read, 1))[0]["value"] == value


def test_a_point_without_time_is_refused_alone() -> None:
    metric = counter()
    metric.sum.data_points.add(as_int=1)
    metric.sum.data_points.add(time_unix_nano=TIME_NS, as_int=3)
    sent = wire.parse("metrics", request(gauge(), metric).SerializeToString())
    verdict = check("metrics", sent)
    assert (verdict.accepted, verdict.reasons) == (3, {Reason.POINT_TIME: 1})
    assert "'tool.calls' point 1" in verdict.message
    remove("metrics", sent, verdict)
    kept = points(RawRecord("metrics", sent.SerializeToString(), 1))
    assert [row["int_value"] for row in kept] == [None, 7, 3]


def test_a_metric_without_name_or_readable_data_is_refused_alone() -> None:
    nameless = gauge(1, name="")
    sent = wire.parse("metrics", request(gauge(), nameless, counter(), summary()).SerializeToString())
    sent.resource_metrics[0].scope_metrics[0].metrics[2].sum = b"\xff\xff"
    verdict = check("metrics", sent)
    assert (verdict.accepted, verdict.reasons) == (2, {Reason.METRIC_NAME: 1, Reason.METRIC_DATA: 1})
    remove("metrics", sent, verdict)
    assert check("metrics", sent).accepted == 2
    assert [row["type"] for row in points(RawRecord("metrics", sent.SerializeToString(), 1))] == ["gauge", "summary"]


@pytest.mark.parametrize("sent", [traces(1, 2), logs(["a", "b"])], ids=["spans", "log records"])
def test_other_records_sent_to_metrics_are_told_where_they_belong(sent: Any) -> None:
    verdict = check("metrics", wire.parse("metrics", sent.SerializeToString()))
    assert verdict.accepted == 0
    assert "sent to /v1/metrics looks like this" in verdict.message


def test_a_metric_without_data_is_neither_taken_nor_refused() -> None:
    verdict = check("metrics", wire.parse("metrics", request(Metric(name="nothing")).SerializeToString()))
    assert (verdict.accepted, verdict.rejections) == (0, [])


@pytest.mark.skipif(not SHARED.exists(), reason="recordings are not here")
@pytest.mark.parametrize("file", RECORDINGS, ids=lambda file: file.name)
def test_every_point_of_a_recording_is_one_row_however_often_it_is_sent(file: Path) -> None:
    body = file.read_bytes()
    sent = ExportMetricsServiceRequest.FromString(body)
    metrics = [m for rm in sent.resource_metrics for sm in rm.scope_metrics for m in sm.metrics]
    expected = sum(len(getattr(metric, metric.WhichOneof("data") or "").data_points) for metric in metrics)
    assert not check("metrics", wire.parse("metrics", body)).rejections
    rows = points(RawRecord("metrics", body, 1), RawRecord("metrics", body, 2))
    assert len({(row["tenant"], row["name"], row["series"], nanos(row, "time")) for row in rows}) == expected
    assert len(rows) == 2 * expected


def test_attributes_of_every_kind_are_kept_as_text() -> None:
    metric = gauge()
    metric.gauge.data_points[0].attributes.extend(attributes({"n": 1, "b": True, "l": [1, "x"], "none": None}))
    assert dict(only(metric)["attributes"]) == {"n": "1", "b": "true", "l": '[1,"x"]', "none": "null"}
