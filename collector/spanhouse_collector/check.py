"""Which spans, log records and data points of a request can be taken: a bad one is refused alone, with a reason."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final

from spanhouse_collector import check_metrics, wire
from spanhouse_collector.records import Signal
from spanhouse_collector.verdict import Reason, Rejection, Verdict

_TRACE_ID_BYTES: Final = 16
_SPAN_ID_BYTES: Final = 8
_ZERO_TRACE: Final = bytes(_TRACE_ID_BYTES)
_ZERO_SPAN: Final = bytes(_SPAN_ID_BYTES)
_LONGEST_NAME: Final = 60


def check(signal: Signal, request: Any) -> Verdict:  # noqa: ANN401 - a wire message
    """Return which records of a request (of the signal's class in `wire.REQUESTS`) are refused, and why."""
    return _CHECKS[signal](request)


def remove(signal: Signal, request: Any, verdict: Verdict) -> None:  # noqa: ANN401 - a wire message
    """Take the refused records out of the request."""
    if signal == "metrics":
        check_metrics.remove(request, verdict)
        return
    # From the back, so that the indexes in front stay right.
    for rejection in reversed(verdict.rejections):
        if signal == "traces":
            del request.resource_spans[rejection.resource].scope_spans[rejection.scope].spans[rejection.index]
        else:
            del request.resource_logs[rejection.resource].scope_logs[rejection.scope].log_records[rejection.index]


def _check_spans(request: Any) -> Verdict:  # noqa: ANN401
    spans = [span for resource in request.resource_spans for scope in resource.scope_spans for span in scope.spans]
    sound = _all_ids([span.trace_id for span in spans], _ZERO_TRACE) and _all_ids(
        [span.span_id for span in spans], _ZERO_SPAN
    )
    # Nearly every request is sound; only where one is not is each span asked what is wrong with it.
    return Verdict(len(spans)) if sound else _refuse_spans(request)


def _all_ids(ids: Sequence[bytes], zero: bytes) -> bool:
    return {len(zero)}.issuperset(map(len, ids)) and zero not in ids


def _refuse_spans(request: Any) -> Verdict:  # noqa: ANN401
    accepted = 0
    rejections: list[Rejection] = []
    anonymous = True
    for r, resource in enumerate(request.resource_spans):
        for s, scope in enumerate(resource.scope_spans):
            for i, span in enumerate(scope.spans):
                trace_id, span_id = span.trace_id, span.span_id
                if (
                    len(trace_id) == _TRACE_ID_BYTES
                    and len(span_id) == _SPAN_ID_BYTES
                    and trace_id != _ZERO_TRACE
                    and span_id != _ZERO_SPAN
                ):
                    accepted += 1
                    continue
                anonymous = anonymous and not trace_id and not span_id
                rejections.append(Rejection(r, s, i, _id_reason(trace_id, span_id), _label(span)))
    hint = ""
    if rejections and not accepted and anonymous:
        hint = "No span has any id: a request of log records sent to /v1/traces looks like this; those go to /v1/logs."
    return Verdict(accepted, rejections, hint)


def _id_reason(trace_id: bytes, span_id: bytes) -> Reason:
    if not trace_id:
        return Reason.TRACE_ID_MISSING
    if len(trace_id) != _TRACE_ID_BYTES:
        return Reason.TRACE_ID_LENGTH
    if trace_id == _ZERO_TRACE:
        return Reason.TRACE_ID_ZERO
    if not span_id:
        return Reason.SPAN_ID_MISSING
    if len(span_id) != _SPAN_ID_BYTES:
        return Reason.SPAN_ID_LENGTH
    return Reason.SPAN_ID_ZERO


def _label(span: Any) -> str:  # noqa: ANN401
    name = wire.text(span.name)
    shown = name if len(name) <= _LONGEST_NAME else f"{name[:_LONGEST_NAME]}..."
    return f"{shown!r} trace {span.trace_id.hex()[:64] or '-'} span {span.span_id.hex()[:64] or '-'}"


def _check_logs(request: Any) -> Verdict:  # noqa: ANN401
    # A log record needs no ids: OTLP says that one with unusable ids belongs to no trace.
    accepted = 0
    rejections: list[Rejection] = []
    for r, s, i, record in _log_records(request):
        if _is_value(record):
            accepted += 1
        else:
            rejections.append(Rejection(r, s, i, Reason.BODY, f"record {i} of scope {s} of resource {r}"))
    hint = ""
    if rejections and not accepted:
        hint = "A request of spans sent to /v1/logs looks like this; those go to /v1/traces."
    return Verdict(accepted, rejections, hint)


def _is_value(record: Any) -> bool:  # noqa: ANN401
    try:
        value = wire.AnyValue.FromString(record.body)
    except wire.DecodeError:
        return False
    # A span read as a log record has its name for a body, which may parse by chance, and never a time.
    said = value.WhichOneof("value") or not record.body
    return bool(said or record.time_unix_nano or record.observed_time_unix_nano)


def _log_records(request: Any) -> Iterator[tuple[int, int, int, Any]]:  # noqa: ANN401
    for r, resource in enumerate(request.resource_logs):
        for s, scope in enumerate(resource.scope_logs):
            for i, record in enumerate(scope.log_records):
                yield r, s, i, record


_CHECKS: Final[dict[Signal, Callable[[Any], Verdict]]] = {
    "traces": _check_spans,
    "logs": _check_logs,
    "metrics": check_metrics.check,
}
