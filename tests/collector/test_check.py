"""Refusing bad records alone."""

from __future__ import annotations

from typing import Any

import pytest
from tests.support.export_requests import logs, traces

from spanhouse_collector import wire
from spanhouse_collector.check import check, remove
from spanhouse_collector.verdict import Reason


def spans(count: int = 3) -> Any:
    return wire.parse("traces", traces(1, count).SerializeToString())


@pytest.mark.parametrize(
    ("field", "value", "reason"),
    [
        ("trace_id", b"", Reason.TRACE_ID_MISSING),
        ("trace_id", b"\1" * 15, Reason.TRACE_ID_LENGTH),
        ("trace_id", b"\1" * 24, Reason.TRACE_ID_LENGTH),
        ("trace_id", bytes(16), Reason.TRACE_ID_ZERO),
        ("span_id", b"", Reason.SPAN_ID_MISSING),
        ("span_id", b"\1" * 16, Reason.SPAN_ID_LENGTH),
        ("span_id", bytes(8), Reason.SPAN_ID_ZERO),
    ],
)
def test_a_span_without_a_usable_id_is_refused_alone(field: str, value: bytes, reason: Reason) -> None:
    request = spans()
    setattr(request.resource_spans[0].scope_spans[0].spans[1], field, value)

    verdict = check("traces", request)
    remove("traces", request, verdict)

    assert verdict.accepted == 2
    assert verdict.reasons == {reason: 1}
    assert "1 of 3 records refused" in verdict.message
    assert reason.value in verdict.message
    assert "'chat m'" in verdict.message
    assert len(request.resource_spans[0].scope_spans[0].spans) == 2
    assert not check("traces", request).rejections


def test_many_refused_spans_are_counted_and_only_a_few_named() -> None:
    request = spans(500)
    for span in request.resource_spans[0].scope_spans[0].spans:
        span.span_id, span.name = b"", b"x" * 10_000
    verdict = check("traces", request)
    remove("traces", request, verdict)
    assert verdict.accepted == 0
    assert len(verdict.message) < 1_000
    assert not request.resource_spans[0].scope_spans[0].spans


def test_log_records_sent_as_spans_are_refused_with_a_hint() -> None:
    verdict = check("traces", wire.parse("traces", logs(["one", "two"]).SerializeToString()))
    assert (verdict.accepted, len(verdict.rejections)) == (0, 2)
    assert "/v1/logs" in verdict.message


def test_spans_sent_as_log_records_are_refused_with_a_hint() -> None:
    verdict = check("logs", wire.parse("logs", traces(1, 3).SerializeToString()))
    assert (verdict.accepted, len(verdict.rejections)) == (0, 3)
    assert "/v1/traces" in verdict.message


def test_a_log_record_needs_no_ids() -> None:
    request = logs(["one", "two"])
    request.resource_logs[0].scope_logs[0].log_records[0].trace_id = b"bad"
    assert check("logs", wire.parse("logs", request.SerializeToString())).accepted == 2


def test_an_unreadable_log_body_is_refused_alone() -> None:
    request = wire.parse("logs", logs(["one", "two"]).SerializeToString())
    request.resource_logs[0].scope_logs[0].log_records[0].body = b"\x0a\xff"
    verdict = check("logs", request)
    remove("logs", request, verdict)
    assert (verdict.accepted, verdict.reasons) == (1, {Reason.BODY: 1})
    assert not verdict.hint
    assert check("logs", request).accepted == 1


def test_an_empty_request_has_nothing_to_refuse() -> None:
    assert check("traces", wire.parse("traces", b"")).message == ""
