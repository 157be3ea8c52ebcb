"""The OTLP front door over a real socket, with a real journal and decode child behind it."""

from __future__ import annotations

import errno
import gzip
import json
import os
import threading
import zlib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import httpx
import pytest
from backports import zstd
from google.protobuf.json_format import MessageToDict
from google.rpc.status_pb2 import Status  # type: ignore[import-untyped]
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceResponse
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from tests.support.collector_server import MemorySink, pipeline_of, running, served
from tests.support.export_requests import logs, span_id, traces

from spanhouse_collector import intake
from spanhouse_collector.caller import Caller, CallerRefusedError
from spanhouse_collector.pipeline import Pipeline

PROTOBUF = "application/x-protobuf"
JSON = "application/json"


class Door:
    """A client of the front door, and what is behind it."""

    def __init__(self, client: httpx.Client, sink: MemorySink, pipeline: Pipeline) -> None:
        self.client, self.sink, self.pipeline = client, sink, pipeline

    def post(self, content: bytes, path: str = "/v1/traces", **headers: str) -> httpx.Response:
        """Send a body; `content_type` and the like name headers."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return self.client.post(path, content=content, headers=named)

    def stored(self, table: str = "spans") -> list[dict[str, Any]]:
        """Return the rows that came into the store since the last call."""
        assert self.pipeline.drain(30)
        rows = self.sink.rows(table)
        self.sink.inserts.clear()
        return rows


@pytest.fixture(scope="module")
def opened(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Door]:
    sink = MemorySink()
    with (
        running(pipeline_of(sink, tmp_path_factory.mktemp("journal"))) as pipeline,
        served(pipeline, max_body=1 << 20) as client,
    ):
        yield Door(client, sink, pipeline)


@pytest.fixture
def door(opened: Door) -> Door:
    opened.stored()
    return opened


def status(response: httpx.Response) -> Any:
    assert response.headers["content-type"] == PROTOBUF
    return Status.FromString(response.content)


def test_a_request_is_answered_with_empty_success_and_stored(door: Door) -> None:
    response = door.post(traces(1, 3).SerializeToString())
    assert (response.status_code, response.content, response.headers["content-type"]) == (200, b"", PROTOBUF)
    assert {row["span_id"] for row in door.stored()} == {span_id(1, n).hex() for n in range(3)}


def test_logs_are_taken_too(door: Door) -> None:
    response = door.post(logs(["one", "two"]).SerializeToString(), "/v1/logs")
    assert response.status_code == 200
    assert ExportLogsServiceResponse.FromString(response.content) == ExportLogsServiceResponse()
    assert {row["body"] for row in door.stored("logs")} == {"one", "two"}


@pytest.mark.parametrize("path", ["/v1/traces/", "/v1/traces?a=b", "/v1/traces/?", "/api/public/otel/v1/traces"])
def test_a_trailing_slash_a_query_and_the_base_path_of_others_change_nothing(door: Door, path: str) -> None:
    assert door.post(traces(1).SerializeToString(), path).status_code == 200
    assert door.stored()


@pytest.mark.parametrize("kind", [PROTOBUF, "Application/X-Protobuf; charset=utf-8"])
def test_media_type_parameters_and_case_do_not_matter(door: Door, kind: str) -> None:
    assert door.post(traces(1).SerializeToString(), content_type=kind).status_code == 200


def test_json_is_taken_and_answered_as_json(door: Door) -> None:
    request = traces(2, 2)
    body = MessageToDict(request, use_integers_for_enums=True)
    for sent, span in zip(
        request.resource_spans[0].scope_spans[0].spans, body["resourceSpans"][0]["scopeSpans"][0]["spans"], strict=True
    ):
        span |= {
            "traceId": sent.trace_id.hex(),
            "spanId": sent.span_id.hex(),
            "parentSpanId": sent.parent_span_id.hex(),
        }
    response = door.post(json.dumps(body).encode(), content_type=f"{JSON}; charset=utf-8")
    assert (response.status_code, response.json(), response.headers["content-type"]) == (200, {}, JSON)
    assert {row["span_id"] for row in door.stored()} == {span_id(2, 0).hex(), span_id(2, 1).hex()}


@pytest.mark.parametrize("body", [b"", b"\x0a\x00", b"\x0a\x02\x12\x00"], ids=["nothing", "no scope", "no span"])
def test_an_empty_request_is_a_success_and_stores_nothing(door: Door, body: bytes) -> None:
    assert door.post(body).status_code == 200
    assert door.pipeline.lag().records == 0


@pytest.mark.parametrize(
    ("encoding", "compress"),
    [("gzip", gzip.compress), ("deflate", zlib.compress), ("zstd", zstd.compress), ("identity", bytes)],
)
def test_content_encodings_are_undone(door: Door, encoding: str, compress: Callable[[bytes], bytes]) -> None:
    body = traces(3, 2).SerializeToString()
    assert door.post(compress(body), content_encoding=encoding).status_code == 200
    assert len(door.stored()) == 2


def test_a_chunked_body_without_a_length_is_read(door: Door) -> None:
    body = traces(3, 2).SerializeToString()
    pieces = (body[at : at + 7] for at in range(0, len(body), 7))
    assert door.client.post("/v1/traces", content=pieces).status_code == 200
    assert len(door.stored()) == 2


def test_a_truncated_body_is_a_400_with_a_status_whatever_the_byte(door: Door) -> None:
    body = traces(1, 2).SerializeToString()
    for cut in range(1, len(body), 37):
        response = door.post(body[:cut])
        assert response.status_code == 400
        assert "no protobuf export request for traces" in status(response).message
    assert not door.stored()


@pytest.mark.parametrize(
    ("body", "headers", "code", "message"),
    [
        (b"\xff\xff\xff", {}, 400, "no protobuf export request"),
        (b"{}", {"content_encoding": "gzip"}, 400, "compressed body is corrupt"),
        (b"{}", {"content_encoding": "br"}, 400, "'br' is not known"),
        (b"{}", {"content_type": "text/plain"}, 415, "'text/plain' is not known"),
        (b"{}", {"content_type": ""}, 415, "is not known"),
        (bytes(2 << 20), {}, 413, "larger than 1048576 bytes"),
        (gzip.compress(bytes(2 << 20)), {"content_encoding": "gzip"}, 413, "more than 1048576 when decompressed"),
    ],
    ids=["garbage", "no gzip", "br", "text", "no type", "too large", "bomb"],
)
def test_every_refusal_says_why_in_a_status(
    door: Door, body: bytes, headers: Mapping[str, str], code: int, message: str
) -> None:
    response = door.post(body, **headers)
    assert response.status_code == code
    assert message in status(response).message
    assert not door.stored()


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"{", "no JSON"),
        (b'{"resourceSpans":[{"resource":{"attributes":{"a":"b"}}}]}', "attributes must be a list"),
        (b"[" * 100_000, "nested too deeply"),
    ],
    ids=["cut", "attributes as an object", "deep"],
)
def test_errors_answer_json_with_json(door: Door, body: bytes, message: str) -> None:
    response = door.post(body, content_type=JSON)
    assert (response.status_code, response.headers["content-type"]) == (400, JSON)
    assert message in response.json()["message"]


def test_a_body_too_large_without_a_length_is_refused_as_it_comes(door: Door) -> None:
    response = door.client.post("/v1/traces", content=(bytes(1 << 16) for _ in range(40)))
    assert response.status_code == 413


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE"])
def test_other_methods_are_a_405_that_names_post(door: Door, method: str) -> None:
    response = door.client.request(method, "/v1/logs")
    assert (response.status_code, response.headers["allow"]) == (405, "POST")
    assert "POST" in status(response).message


def test_a_bad_span_is_refused_alone_and_its_neighbours_are_stored(door: Door) -> None:
    request = traces(4, 3)
    request.resource_spans[0].scope_spans[0].spans[1].span_id = b""
    response = door.post(request.SerializeToString())
    partial = ExportTraceServiceResponse.FromString(response.content).partial_success
    assert (response.status_code, partial.rejected_spans) == (200, 1)
    assert "span id missing" in partial.error_message
    assert {row["span_id"] for row in door.stored()} == {span_id(4, 0).hex(), span_id(4, 2).hex()}


def test_a_partial_success_in_json_counts_as_a_string(door: Door) -> None:
    body = b'{"resourceSpans":[{"scopeSpans":[{"spans":[{"name":"n"}]}]}]}'
    answer = door.post(body, content_type=JSON).json()
    assert answer["partialSuccess"]["rejectedSpans"] == "1"
    assert "trace id missing" in answer["partialSuccess"]["errorMessage"]


def test_log_records_sent_to_traces_are_told_where_they_belong(door: Door) -> None:
    answer = ExportTraceServiceResponse.FromString(door.post(logs(["a", "b"]).SerializeToString()).content)
    assert answer.partial_success.rejected_spans == 2
    assert "/v1/logs" in answer.partial_success.error_message


def test_one_string_that_is_no_utf8_costs_neither_its_span_nor_the_request(door: Door) -> None:
    body = traces(5, 3).SerializeToString().replace(b"invoke_agent a", b"invoke_agent \xff")
    assert door.post(body).content == b""
    assert len(door.stored()) == 3


def test_a_body_over_a_megabyte_is_read_all_the_same(tmp_path: Path) -> None:
    sink = MemorySink()
    body = traces(6, 3, attributes={"text": "x" * 800_000}).SerializeToString()
    assert len(body) > 1 << 20
    with running(pipeline_of(sink, tmp_path)) as pipeline, served(pipeline) as client:
        assert client.post("/v1/traces", content=body).status_code == 200
        assert pipeline.drain(30)
    assert len(sink.rows("spans")) == 3


def test_the_stock_exporter_is_content(door: Door) -> None:
    url = str(door.client.base_url.join("/v1/traces"))
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(OTLPSpanExporter(endpoint=url)))
    with provider.get_tracer("test").start_as_current_span("invoke_agent x") as span:
        span.set_attribute("gen_ai.operation.name", "invoke_agent")
    assert provider.force_flush()
    provider.shutdown()
    (row,) = door.stored()
    assert (row["name"], row["trace_id"]) == ("invoke_agent x", f"{span.get_span_context().trace_id:032x}")


def test_of_two_requests_the_later_has_the_higher_version_even_if_the_clock_stands_still(tmp_path: Path) -> None:
    sink = MemorySink()
    with (
        running(pipeline_of(sink, tmp_path)) as pipeline,
        served(pipeline, now=lambda: 1_760_000_000_000_000_000) as client,
    ):
        for _ in range(3):
            client.post("/v1/traces", content=traces(1).SerializeToString())
        assert pipeline.drain(30)
    versions = [row["version"] for row in sink.rows("spans")]
    assert versions == sorted(set(versions))


def test_a_caller_brings_its_tenant_and_may_be_refused(tmp_path: Path) -> None:
    def identify(headers: Mapping[str, str]) -> Caller:
        if headers.get("authorization") != "Bearer key":
            msg = "the key is not known"
            raise CallerRefusedError(msg)
        return Caller(tenant="acme")

    sink = MemorySink()
    body = traces(1).SerializeToString()
    with running(pipeline_of(sink, tmp_path)) as pipeline, served(pipeline, identify=identify) as client:
        refused = client.post("/v1/traces", content=body)
        assert (refused.status_code, status(refused).message) == (401, "the key is not known")
        assert client.post("/v1/traces", content=body, headers={"authorization": "Bearer key"}).status_code == 200
        assert pipeline.drain(30)
    assert [row["tenant"] for row in sink.rows("spans")] == ["acme"]


def test_the_tenant_is_the_attributes_or_default(door: Door) -> None:
    door.post(traces(1).SerializeToString())
    door.post(traces(2, attributes={"tenant.id": "acme"}).SerializeToString())
    assert sorted(row["tenant"] for row in door.stored()) == ["acme", "default"]


def test_a_full_journal_is_a_503_with_a_time_to_come_back(tmp_path: Path) -> None:
    with running(pipeline_of(MemorySink(), tmp_path, max_journal_bytes=100)) as pipeline, served(pipeline) as client:
        response = client.post("/v1/traces", content=traces(1).SerializeToString())
    assert response.status_code == 503
    assert int(response.headers["retry-after"]) > 0
    assert "is full" in status(response).message


def test_a_journal_whose_disk_fails_is_a_503_and_recovers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sink = MemorySink()
    real = os.fdatasync
    broken = threading.Event()
    broken.set()

    def fdatasync(descriptor: int) -> None:
        if broken.is_set() and threading.current_thread().name == "spanhouse-journal":
            raise OSError(errno.EIO, "Input/output error")
        real(descriptor)

    monkeypatch.setattr(os, "fdatasync", fdatasync)
    with running(pipeline_of(sink, tmp_path)) as pipeline, served(pipeline) as client:
        refused = client.post("/v1/traces", content=traces(1).SerializeToString())
        assert (refused.status_code, "retry-after" in refused.headers) == (503, True)
        broken.clear()
        assert client.post("/v1/traces", content=traces(2).SerializeToString()).status_code == 200
        assert pipeline.drain(30)
    assert [row["span_id"] for row in sink.rows("spans")] == [span_id(2, 0).hex()]


def test_a_pipeline_that_has_stopped_is_a_503(tmp_path: Path) -> None:
    pipeline = pipeline_of(MemorySink(), tmp_path)
    with served(pipeline) as client:
        assert client.post("/v1/traces", content=traces(1).SerializeToString()).status_code == 503


def test_a_fault_of_ours_is_a_503_so_that_nothing_is_dropped(door: Door, monkeypatch: pytest.MonkeyPatch) -> None:
    def read(*_: Any) -> None:
        msg = "a fault"
        raise RuntimeError(msg)

    with monkeypatch.context() as patched:
        patched.setattr(intake, "read", read)
        response = door.post(traces(1).SerializeToString())
    assert (response.status_code, response.headers["retry-after"]) == (503, "60")
    assert door.post(traces(1).SerializeToString()).status_code == 200


def test_more_than_the_memory_for_bodies_is_a_429_with_a_time_to_come_back(
    door: Door, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patched:
        patched.setattr("spanhouse_collector.door._HELD_BYTES", 10)
        response = door.post(traces(1).SerializeToString())
    assert (response.status_code, response.headers["retry-after"]) == (429, "1")
    assert "hold 10 bytes already" in status(response).message
    assert door.post(traces(1).SerializeToString()).status_code == 200


def test_what_was_taken_and_refused_is_counted(door: Door) -> None:
    def value(name: str, **labels: str) -> float:
        return door.pipeline.metrics.registry.get_sample_value(f"spanhouse_collector_{name}", labels) or 0.0

    before = [
        value("accepted_total", signal="traces"),
        value("rejected_total", signal="traces", reason="span id is all zero"),
        value("requests_total", signal="traces", status="200"),
        value("stored_total", table="spans"),
    ]
    request = traces(1, 5)
    request.resource_spans[0].scope_spans[0].spans[1].span_id = bytes(8)
    door.post(request.SerializeToString())
    assert len(door.stored()) == 4
    after = [
        value("accepted_total", signal="traces"),
        value("rejected_total", signal="traces", reason="span id is all zero"),
        value("requests_total", signal="traces", status="200"),
        value("stored_total", table="spans"),
    ]
    assert [b - a for a, b in zip(before, after, strict=True)] == [4, 1, 1, 4]
    assert value("pending_items") == 0
