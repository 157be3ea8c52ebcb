"""How the process is doing goes out as metric points."""

from __future__ import annotations

import pytest
from tests.support.otlp_sink import Answer, OtlpSink, SinkPoint

import spanhouse as sh
from spanhouse import queues
from spanhouse.active import active
from spanhouse.gauges import Cpu, Point, encoded, memory_bytes
from spanhouse.transport import Verdict


def reported(sink: OtlpSink) -> dict[str, SinkPoint]:
    """Have the running telemetry report now, and return the points by name."""
    telemetry = active()
    assert telemetry is not None
    assert telemetry.pipeline.gauges is not None
    assert telemetry.pipeline.gauges.report().verdict is Verdict.TAKEN
    return {point.name: point for point in sink.points}


def test_processor_memory_and_open_runs_are_told(telemetry: OtlpSink) -> None:
    """A run is counted while it is open, a sub-agent in it too."""
    with sh.run("outer"), sh.run("inner"):
        points = reported(telemetry)
    assert points["spanhouse.runs.active"].value == 2
    assert points["process.memory.usage"].value > 10_000_000
    assert points["process.cpu.utilization"].value >= 0
    assert points["process.memory.usage"].resource["service.name"] == "shop"
    assert points["process.memory.usage"].resource["tenant.id"] == "acme"
    assert reported(telemetry)["spanhouse.runs.active"].value == 0


def test_the_depth_of_a_queue_of_yours_goes_along(telemetry: OtlpSink, monkeypatch: pytest.MonkeyPatch) -> None:
    """One that cannot be asked is left out and harms no other."""
    monkeypatch.setattr(queues, "_queues", {})
    sh.watch_queue("broken", lambda: 1 / 0)
    sh.watch_queue("jobs", lambda: 7)
    point = reported(telemetry)["spanhouse.queue.depth"]
    assert (point.value, point.attributes) == (7, {"queue": "jobs"})


def test_lost_telemetry_is_reported_by_signal_and_reason(telemetry: OtlpSink) -> None:
    """What never reached the server is known there: how much, of what, and why."""
    telemetry.always(Answer(401))
    with sh.run("refund"):
        pass
    assert not sh.flush()
    telemetry.always(None)
    reported(telemetry)
    lost = {(p.attributes["signal"], p.attributes["reason"]): p.value for p in telemetry.points if "lost" in p.name}
    assert lost == {("spans", "refused"): 2, ("logs", "refused"): 2}


def test_a_server_that_takes_no_metrics_is_no_loss(telemetry: OtlpSink) -> None:
    """A 404 for metrics says nothing about spans."""
    gauges = active().pipeline.gauges  # type: ignore[union-attr]
    assert gauges is not None
    telemetry.answer(Answer(404))
    assert gauges.report().verdict is Verdict.REFUSED
    with sh.run("refund"):
        pass
    assert sh.flush()


def test_they_can_be_turned_off(sink: OtlpSink) -> None:
    """No thread, no request."""
    sh.init("shop", url=sink.url, process_metrics=False)
    assert active().pipeline.gauges is None  # type: ignore[union-attr]


def test_cores_are_counted_between_two_looks() -> None:
    """Half a core over ten seconds is five seconds of work."""
    times, used = iter([0.0, 10.0, 10.0]), iter([1.0, 6.0, 6.0])
    cpu = Cpu(lambda: next(times), lambda: next(used))
    assert cpu.busy() == 0.5
    assert cpu.busy() == 0.0


def test_points_say_what_they_are() -> None:
    """A gauge has its time alone, a sum also the start it counts from."""
    from opentelemetry.proto.collector.metrics.v1 import metrics_service_pb2 as wire  # noqa: PLC0415 - for this alone

    body = encoded([Point("a", 1), Point("b", 2, total=True)], {"service.name": "s"}, now=20, since=10)
    gauge, total = wire.ExportMetricsServiceRequest.FromString(body).resource_metrics[0].scope_metrics[0].metrics
    assert (gauge.gauge.data_points[0].time_unix_nano, gauge.gauge.data_points[0].start_time_unix_nano) == (20, 0)
    assert total.sum.is_monotonic
    assert total.sum.data_points[0].start_time_unix_nano == 10
    assert (memory_bytes() or 0) > 0
