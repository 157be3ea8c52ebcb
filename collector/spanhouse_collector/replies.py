"""What an OTLP sender is answered, in the encoding it spoke."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, Final, NamedTuple

from google.protobuf.duration_pb2 import Duration
from google.rpc.code_pb2 import Code  # type: ignore[import-untyped]
from google.rpc.error_details_pb2 import RetryInfo  # type: ignore[import-untyped]
from google.rpc.status_pb2 import Status  # type: ignore[import-untyped]
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceResponse
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceResponse
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse

from spanhouse_collector.records import Signal

_LONGEST_MESSAGE: Final = 4_000
_METHOD_NOT_ALLOWED: Final = 405

_CODES: Final = {
    400: Code.INVALID_ARGUMENT,
    401: Code.UNAUTHENTICATED,
    403: Code.PERMISSION_DENIED,
    405: Code.UNIMPLEMENTED,
    408: Code.DEADLINE_EXCEEDED,
    413: Code.RESOURCE_EXHAUSTED,
    415: Code.INVALID_ARGUMENT,
    429: Code.RESOURCE_EXHAUSTED,
    503: Code.UNAVAILABLE,
}


class _Partial(NamedTuple):
    """How a signal's answer is made, and how it calls the number of refused records."""

    response: Any
    number: str
    json_number: str


_PARTIAL: Final[dict[Signal, _Partial]] = {
    "traces": _Partial(ExportTraceServiceResponse, "rejected_spans", "rejectedSpans"),
    "logs": _Partial(ExportLogsServiceResponse, "rejected_log_records", "rejectedLogRecords"),
    "metrics": _Partial(ExportMetricsServiceResponse, "rejected_data_points", "rejectedDataPoints"),
}


class Encoding(Enum):
    """How a request and its answer are written; the value is the media type."""

    PROTOBUF = "application/x-protobuf"
    JSON = "application/json"


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer: HTTP status, body, media type, and further headers."""

    status: int
    body: bytes
    encoding: Encoding
    headers: dict[str, str] = field(default_factory=dict)


def taken(signal: Signal, encoding: Encoding, rejected: int, message: str) -> Reply:
    """Return the answer to a request that was taken, wholly or (with a count and a reason) in part."""
    if encoding is Encoding.JSON:
        count = _PARTIAL[signal].json_number
        partial = {"partialSuccess": {count: str(rejected), "errorMessage": message}} if rejected else {}
        return Reply(200, json.dumps(partial).encode(), encoding)
    return Reply(200, response(signal, rejected, message), encoding)


def response(signal: Signal, rejected: int, message: str) -> bytes:
    """Return the protobuf of the answer to a request that was taken; empty where all of it was."""
    if not rejected:
        return b""
    partial = _PARTIAL[signal]
    said = {partial.number: rejected, "error_message": message[:_LONGEST_MESSAGE].encode("utf-8", "replace").decode()}
    return partial.response(partial_success=said).SerializeToString()  # type: ignore[no-any-return]


def refused(status: int, message: str, encoding: Encoding, retry_after: int | None = None) -> Reply:
    """Return the answer to a request that was not taken: a `google.rpc.Status` with the HTTP status's code."""
    said = status_of(status, message)
    if encoding is Encoding.JSON:
        body = json.dumps({"code": said.code, "message": said.message}).encode()
    else:
        body = said.SerializeToString()
    headers = {"Allow": "POST"} if status == _METHOD_NOT_ALLOWED else {}
    if retry_after is not None:
        headers["Retry-After"] = str(retry_after)
    return Reply(status, body, encoding, headers)


def status_of(status: int, message: str, retry_after: int | None = None) -> Status:
    """Return the `google.rpc.Status` of an HTTP status; with a time to come back, `RetryInfo` says it."""
    text = message[:_LONGEST_MESSAGE].encode("utf-8", "replace").decode()
    said = Status(code=int(_CODES[status]), message=text)
    if retry_after is not None:
        said.details.add().Pack(RetryInfo(retry_delay=Duration(seconds=retry_after)))
    return said
