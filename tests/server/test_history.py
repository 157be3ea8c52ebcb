"""The sample history: made up here, the same for the same day and seed, and true to its own rules."""

from __future__ import annotations

from datetime import UTC, datetime

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from spanhouse.stop_reasons import StopCode, StopReason
from spanhouse_server.history.week import RUNS_A_DAY, week

NOW = datetime(2026, 3, 10, 23, 59, tzinfo=UTC)


def test_the_same_day_and_seed_give_the_same_runs() -> None:
    """So that a second demo on the same data doubles nothing."""
    assert [b.traces for b in week(NOW, 2)] == [b.traces for b in week(NOW, 2)]
    assert [b.traces for b in week(NOW, 1, seed=1)] != [b.traces for b in week(NOW, 1, seed=2)]


def test_a_week_has_every_kind_of_end_and_nothing_from_the_future() -> None:
    """A first look meets failures, denials, loops and hand-overs, each with a legal stop reason."""
    codes: set[StopCode] = set()
    runs = 0
    for bodies in week(NOW, 7):
        runs += bodies.runs
        request = ExportTraceServiceRequest.FromString(bodies.traces)
        for span in request.resource_spans[0].scope_spans[0].spans:
            assert span.end_time_unix_nano <= NOW.timestamp() * 1e9
            codes |= {
                StopReason.parse(a.value.string_value).code for a in span.attributes if a.key == "spanhouse.stop_reason"
            }
    assert runs > 6 * RUNS_A_DAY
    wanted = {
        StopCode.FINISH,
        StopCode.MAX_USD,
        StopCode.POLICY_DENY,
        StopCode.LOOP_DETECTED,
        StopCode.ESCALATED,
        StopCode.TOOL_ERROR_EXHAUSTED,
    }
    assert wanted <= codes
