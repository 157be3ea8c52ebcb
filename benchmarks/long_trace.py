"""One run of thousands of spans, sent through the front door."""

from __future__ import annotations

import time
import urllib.request
from typing import Final

from benchmarks.server import Server
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, InstrumentationScope, KeyValue
from opentelemetry.proto.resource.v1.resource_pb2 import Resource
from opentelemetry.proto.trace.v1.trace_pb2 import ResourceSpans, ScopeSpans, Span

SPANS: Final = 5_000
_TRACE: Final = bytes.fromhex("1f" * 16)
_REQUEST: Final = "req-long-trace"


def long_trace(server: Server) -> str:
    """Send the run, if the server has not got it, and return its id."""
    start = time.time_ns() - 60 * 10**9
    spans = [_span(number, start) for number in range(SPANS)]
    scope = ScopeSpans(scope=InstrumentationScope(name="bench"), spans=spans)
    body = ExportTraceServiceRequest(resource_spans=[ResourceSpans(resource=Resource(), scope_spans=[scope])])
    request = urllib.request.Request(
        f"{server.url}/v1/traces", body.SerializeToString(), {"content-type": "application/x-protobuf"}
    )
    urllib.request.urlopen(request, timeout=60).close()
    server.drain()
    return str(server.get(f"/api/v1/requests/{_REQUEST}")["runs"][0]["run"]["run_id"])


def _span(number: int, start: int) -> Span:
    name, operation = ("invoke_agent long", "invoke_agent") if number == 0 else ("execute_tool step", "execute_tool")
    said = {"gen_ai.operation.name": operation, "spanhouse.request_id": _REQUEST, "gen_ai.agent.name": "long"}
    if number:
        said["gen_ai.tool.name"] = f"step.{number % 20}"
        said["gen_ai.tool.call.result"] = f"result {number} of a step that says a little more than nothing"
    return Span(
        trace_id=_TRACE,
        span_id=(number + 1).to_bytes(8, "big"),
        parent_span_id=b"" if number == 0 else (1).to_bytes(8, "big"),
        name=name,
        start_time_unix_nano=start + number * 10**6,
        end_time_unix_nano=start + (SPANS if number == 0 else number + 1) * 10**6,
        attributes=[KeyValue(key=key, value=AnyValue(string_value=value)) for key, value in said.items()],
    )
