"""What an OTLP sender is answered, in the encoding it spoke."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from enum import Enum
from typing import Final

from google.protobuf.duration_pb2 import Duration
from google.rpc.code_pb2 import Code  # type: ignore[import-untyped]
from google.rpc.error_details_pb2 import RetryInfo  # type: ignore[import-untyped]
from google.rpc.status_pb2 import Status  # type: ignore[import-untyped]
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsPartialSuccess, ExportLogsServiceResponse
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTracePartialSuccess,
    ExportTraceServiceResponse,
)

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
        count = "rejectedSpans" if signal == "traces" else "rejectedLogRecords"
        partial = {"partialSuccess": {count: str(rejected), "errorMessage": message}} if rejected else {}
        return Reply(200, json.dumps(partial).encode(), encoding)
    return Reply(200, _response(signal, rejected, message).SerializeToString(), encoding)


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


def _response(signal: Signal, rejected: int, message: str) -> ExportTraceServiceResponse | ExportLogsServiceResponse:
    if signal == "traces":
        if not rejected:
            return ExportTraceServiceResponse()
        spans = ExportTracePartialSuccess(rejected_spans=rejected, error_message=message)
        return ExportTraceServiceResponse(partial_success=spans)
    if not rejected:
        return ExportLogsServiceResponse()
    logs = ExportLogsPartialSuccess(rejected_log_records=rejected, error_message=message)
    return ExportLogsServiceResponse(partial_success=logs)
