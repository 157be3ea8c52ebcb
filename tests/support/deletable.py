"""Runs of people to be deleted, sent to a running server, and what is asked of it."""

from __future__ import annotations

import json
import time
from typing import Any

import httpx
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.trace.v1.trace_pb2 import ResourceSpans, ScopeSpans, Span
from tests.support.erasable import MARKER
from tests.support.served import Served

ADA = "ada@example.org"


def body(trace: int, user: str, *, text: str = MARKER, at: float | None = None) -> bytes:
    """Return a request with one run of two spans, of which only the first names the user."""
    start = int((at or time.time()) * 1e9)
    made = []
    for number, name in ((1, "invoke_agent support"), (2, "chat gpt-4o-mini")):
        said = {
            "gen_ai.operation.name": name.split()[0],
            "tenant.id": "acme",
            "gen_ai.output.messages": json.dumps([{"role": "assistant", "parts": [{"type": "text", "content": text}]}]),
        }
        if number == 1:
            said |= {"user.id": user, "session.id": f"s{trace}", "spanhouse.request_id": f"q{trace}"}
        made.append(
            Span(
                trace_id=trace.to_bytes(16, "big"),
                span_id=(trace * 10 + number).to_bytes(8, "big"),
                parent_span_id=b"" if number == 1 else (trace * 10 + 1).to_bytes(8, "big"),
                name=name,
                start_time_unix_nano=start + number,
                end_time_unix_nano=start + 1_000 + number,
                attributes=[KeyValue(key=key, value=AnyValue(string_value=value)) for key, value in said.items()],
            )
        )
    spans = ResourceSpans(scope_spans=[ScopeSpans(spans=made)])
    return ExportTraceServiceRequest(resource_spans=[spans]).SerializeToString()


def send(served: Served, *bodies: bytes) -> None:
    """Send requests and wait until all is stored and computed."""
    for each in bodies:
        answer = served.http.post("/v1/traces", content=each, headers={"content-type": "application/x-protobuf"})
        assert answer.status_code == 200
    served.drain()


def ask(served: Served, **wanted: Any) -> httpx.Response:
    """Return the answer to an operator who asks for a deletion."""
    headers = {"authorization": f"Bearer {served.parts.operator_token}"}
    return served.http.post("/api/v1/deletions", json={"tenant": "acme", **wanted}, headers=headers)


def spans(served: Served) -> list[str]:
    """Return the traces that spans are stored of, as numbers."""
    found = served.parts.store.query("SELECT DISTINCT trace_id FROM spans ORDER BY trace_id")
    return [str(int(trace, 16)) for trace in found.column("trace_id").to_pylist()]


def finished(served: Served, deletion_id: str) -> dict[str, Any]:
    """Return a deletion once it is done."""
    deadline = time.monotonic() + 90
    while time.monotonic() < deadline:
        found = served.client.deletion(deletion_id)
        if found["state"] == "done":
            return found
        time.sleep(0.1)
    raise AssertionError(found)
