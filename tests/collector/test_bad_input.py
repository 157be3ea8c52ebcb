"""Whatever is sent: the process lives, memory stays bounded, the answer says what is wrong, the neighbours are stored.

The pipeline, its decode child and the store are real.
"""

from __future__ import annotations

import gzip
import json
import math
import socket
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from backports import zstd
from google.rpc.status_pb2 import Status  # type: ignore[import-untyped]
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord
from opentelemetry.proto.trace.v1.trace_pb2 import Span
from tests.support.collector_server import pipeline_of, running, served
from tests.support.grpc_server import export, grpc_served
from tests.support.otlp_bodies import START_NS, TRACE_ID, attributes, logs, span

from spanhouse_collector.normalise import Normaliser
from spanhouse_collector.normalise.plan import Shapes
from spanhouse_collector.pipeline import Pipeline
from spanhouse_server.http_protocol import PatientHttp
from spanhouse_storage import Store, migrate, open_store

MIB = 1 << 20
LIMIT = 64 * MIB
JSON = "application/json"
HEAD = b"POST /v1/traces HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-protobuf\r\n"


class Collector:
    """A collector over HTTP and gRPC, its store, and what it holds of memory."""

    def __init__(self, http: httpx.Client, grpc: str, pipeline: Pipeline, store: Store) -> None:
        self.http, self.grpc, self.pipeline, self.store = http, grpc, pipeline, store

    def rows(self) -> dict[str, dict[str, Any]]:
        """Return the spans that came into the store since the last call, by name."""
        assert self.pipeline.drain(60)
        found = self.store.query("SELECT * FROM spans FINAL").to_pylist()
        self.store.execute("TRUNCATE TABLE spans")
        return {row["name"]: row for row in found}

    def send(self, *spans: Span) -> str:
        """Send the spans between two good ones; return what the answer says of those that were refused."""
        good = (span(number=1, name="before"), *spans, span(number=999, name="after"))
        request = ExportTraceServiceRequest()
        request.resource_spans.add().scope_spans.add().spans.extend(good)
        response = self.post(request.SerializeToString())
        assert response.status_code == 200, response.content
        partial = ExportTraceServiceResponse.FromString(response.content).partial_success
        return partial.error_message

    def post(self, body: bytes, **headers: str) -> httpx.Response:
        """Send a body; `content_type` and the like name headers."""
        return self.http.post(
            "/v1/traces", content=body, headers={name.replace("_", "-"): value for name, value in headers.items()}
        )

    def child_mib(self) -> int:
        """Return the most memory the decode child ever had, in MiB."""
        running = self.pipeline._running
        assert running is not None
        child = running.decoder._child
        assert child is not None
        status = Path(f"/proc/{child.pid}/status").read_text()
        return int(status.split("VmHWM:")[1].split()[0]) // 1024


@pytest.fixture(scope="module")
def opened(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Collector]:
    path = tmp_path_factory.mktemp("bad")
    store = open_store(path / "store")
    migrate(store)
    try:
        with (
            running(pipeline_of(store, path / "journal")) as pipeline,
            served(pipeline, max_body=LIMIT) as http,
            grpc_served(pipeline, max_body=LIMIT) as grpc,
        ):
            yield Collector(http, grpc, pipeline, store)
    finally:
        store.close()


@pytest.fixture
def collector(opened: Collector) -> Iterator[Collector]:
    """The collector, which must take a good request after every test as before it."""
    opened.rows()
    yield opened
    opened.rows()
    assert opened.send() == ""
    assert set(opened.rows()) == {"before", "after"}


def nested(depth: int, leaf: bytes = b"\x0a\x01x") -> bytes:
    """Return the bytes of an AnyValue: lists in lists, a string innermost."""
    raw = leaf
    for _ in range(depth):
        raw = delimited(5, delimited(1, raw))
    return raw


def delimited(number: int, body: bytes) -> bytes:
    """Return one field of bytes as protobuf writes it."""
    size, length = len(body), b""
    while size > 0x7F:
        length += bytes([size & 0x7F | 0x80])
        size >>= 7
    return bytes([number << 3 | 2]) + length + bytes([size]) + body


def framed(*spans: bytes) -> bytes:
    """Return the request of these spans' bytes."""
    return delimited(1, delimited(2, b"".join(delimited(2, each) for each in spans)))


def good(name: str) -> bytes:
    return span(number=hash(name) % 1000 + 1, name=name).SerializeToString()


@pytest.mark.parametrize(
    ("encoding", "compress"), [("gzip", gzip.compress), ("deflate", zlib.compress), ("zstd", zstd.compress)]
)
def test_a_decompression_bomb_is_refused_with_its_size(
    collector: Collector, encoding: str, compress: Callable[[bytes], bytes]
) -> None:
    response = collector.post(compress(bytes(4 * LIMIT)), content_encoding=encoding)
    assert response.status_code == 413
    assert "when decompressed: send less at a time" in Status.FromString(response.content).message
    assert not collector.rows()


@pytest.mark.parametrize("declared", [True, False], ids=["declared", "chunked"])
def test_a_body_over_the_limit_is_refused_with_the_limit(collector: Collector, declared: bool) -> None:  # noqa: FBT001
    body = bytes(LIMIT + 1)
    content = body if declared else (body[at : at + MIB] for at in range(0, len(body), MIB))
    response = collector.http.post("/v1/traces", content=content)
    assert response.status_code == 413
    assert f"larger than {LIMIT} bytes" in Status.FromString(response.content).message
    assert not collector.rows()


def test_protobuf_nested_ten_thousand_deep_is_cut_and_its_neighbours_stored(collector: Collector) -> None:
    deep = span(number=5, name="deep").SerializeToString()
    deep += delimited(9, delimited(1, b"k") + delimited(2, nested(10_000)))
    event = delimited(2, b"e") + delimited(3, delimited(1, b"k") + delimited(2, nested(10_000)))
    deep += delimited(11, event)
    assert collector.post(framed(good("before"), deep, good("after"))).content == b""
    rows = collector.rows()
    assert set(rows) == {"before", "deep", "after"}
    assert "nested too deeply" in dict(rows["deep"]["attributes"])["k"]


def test_protobuf_of_groups_nested_ten_thousand_deep_is_a_400(collector: Collector) -> None:
    response = collector.post(b"\x0b" * 10_000 + b"\x0c" * 10_000)
    assert response.status_code == 400
    assert "no protobuf export request" in Status.FromString(response.content).message


def test_json_nested_ten_thousand_deep_is_cut_and_its_neighbours_stored(collector: Collector) -> None:
    deep = '{"arrayValue":{"values":[' * 10_000 + "]}}" * 10_000
    spans = [
        {"traceId": TRACE_ID.hex(), "spanId": f"{n:016x}", "name": name, "startTimeUnixNano": START_NS, "attributes": a}
        for n, (name, a) in enumerate(
            [("before", []), ("deep", [{"key": "k", "value": "DEEP"}]), ("after", [])], start=1
        )
    ]
    body = json.dumps({"resourceSpans": [{"scopeSpans": [{"spans": spans}]}]}).replace('"DEEP"', deep)
    assert collector.post(body.encode(), content_type=JSON).json() == {}
    assert set(collector.rows()) == {"before", "deep", "after"}


def test_bytes_that_are_no_utf8_spoil_only_their_string(collector: Collector) -> None:
    bad = span({"key": "value"}, number=5, name="name").SerializeToString()
    bad = bad.replace(b"value", b"v\xff\xfe\xffe").replace(b"key", b"k\xc3y").replace(b"name", b"n\xed\xa0e")
    assert collector.post(framed(good("before"), bad, good("after"))).content == b""
    rows = collector.rows()
    assert len(rows) == 3
    (spoiled,) = set(rows) - {"before", "after"}
    assert spoiled.startswith("n\ufffd")
    assert "\ufffd" in dict(rows[spoiled]["attributes"])["k\ufffdy"]


def test_not_a_number_and_infinity_are_kept_as_words(collector: Collector) -> None:
    said = {"nan": math.nan, "inf": math.inf, "gen_ai.usage.cost": math.nan, "list": [-math.inf]}
    assert collector.send(span(said, number=5, name="odd")) == ""
    rows = collector.rows()
    assert set(rows) == {"before", "odd", "after"}
    kept = dict(rows["odd"]["attributes"])
    assert ("NaN" in kept["nan"], "Infinity" in kept["inf"]) == (True, True)
    assert rows["odd"]["cost_usd"] is None


@pytest.mark.parametrize(
    ("ids", "reason"),
    [
        ({"trace_id": b""}, "trace id missing"),
        ({"trace_id": bytes(16)}, "trace id is all zero"),
        ({"trace_id": b"short"}, "trace id is not 16 bytes"),
        ({"trace_id": bytes(range(24))}, "trace id is not 16 bytes"),
        ({"span_id": b""}, "span id missing"),
        ({"span_id": bytes(8)}, "span id is all zero"),
        ({"span_id": bytes(range(16))}, "span id is not 8 bytes"),
    ],
    ids=["no trace", "zero trace", "short trace", "long trace", "no span", "zero span", "long span"],
)
def test_a_span_with_unusable_ids_is_refused_alone_and_named(
    collector: Collector, ids: dict[str, bytes], reason: str
) -> None:
    bad = span(number=5, name="the bad one")
    for field, value in ids.items():
        setattr(bad, field, value)
    message = collector.send(bad)
    assert "1 of 3 records refused" in message
    assert reason in message
    assert "'the bad one'" in message
    assert set(collector.rows()) == {"before", "after"}


def test_odd_times_are_kept_and_marked(collector: Collector) -> None:
    year_2500 = 16_725_225_600 * 10**9
    spans = {
        "backwards": (START_NS, START_NS - 10**9),
        "1970": (1, 2),
        "2500": (year_2500, year_2500 + 1),
        "no end": (START_NS, 0),
        "never": (0, 0),
        "last": (2**64 - 1, 2**64 - 1),
    }
    sent = [
        span(number=n, name=name, start_time_unix_nano=start, end_time_unix_nano=end)
        for n, (name, (start, end)) in enumerate(spans.items(), start=5)
    ]
    assert collector.send(*sent) == ""
    rows = collector.rows()
    assert set(rows) == {"before", "after", *spans}
    assert (rows["backwards"]["duration_ns"], rows["no end"]["duration_ns"]) == (0, 0)
    marks = {name: set(rows[name]["clamped"]) for name in spans}
    assert marks == {
        "backwards": {"duration"},
        "1970": {"bucket"},
        "2500": {"start", "end", "bucket"},
        "no end": set(),
        "never": {"bucket"},
        "last": {"start", "end", "bucket"},
    }


def test_the_year_3000_which_only_json_can_say_is_kept_as_the_last_time_there_is(collector: Collector) -> None:
    year_3000, good_ns = str(32_503_680_000 * 10**9), str(START_NS)
    spans = [
        {"traceId": TRACE_ID.hex(), "spanId": f"{n:016x}", "name": name, "startTimeUnixNano": at, "endTimeUnixNano": at}
        for n, (name, at) in enumerate([("before", good_ns), ("3000", year_3000), ("-1", "-1"), ("after", good_ns)], 1)
    ]
    body = json.dumps({"resourceSpans": [{"scopeSpans": [{"spans": spans}]}]})
    assert collector.post(body.encode(), content_type=JSON).json() == {}
    rows = collector.rows()
    assert set(rows) == {"before", "3000", "-1", "after"}
    assert set(rows["3000"]["clamped"]) == {"start", "end", "bucket"}


def test_a_hundred_thousand_attributes_are_kept(collector: Collector) -> None:
    assert collector.send(span({f"k{i}": i for i in range(100_000)}, number=5, name="wide")) == ""
    rows = collector.rows()
    assert set(rows) == {"before", "wide", "after"}
    assert len(rows["wide"]["attributes"]) == 100_000
    assert collector.child_mib() < 1024


def test_what_spans_with_very_many_attributes_look_like_is_not_remembered() -> None:
    shapes, wide, narrow = Shapes(), tuple(f"k{i}" for i in range(1_000)), ("a", "b")
    assert shapes.of("lib", wide) is not shapes.of("lib", wide)
    assert shapes.of("lib", narrow) is shapes.of("lib", narrow)


def test_texts_cut_from_log_records_are_not_held_on_to() -> None:
    normaliser = Normaliser()
    normaliser([logs(LogRecord(attributes=attributes({"big": "x" * 5_000_000})))])
    assert normaliser._attributes.cut == []


def test_an_attribute_of_fifty_megabytes_is_cut_and_marked(collector: Collector) -> None:
    assert collector.send(span({"big": "x" * 50_000_000, "small": "y"}, number=5, name="big")) == ""
    rows = collector.rows()
    assert set(rows) == {"before", "big", "after"}
    kept = dict(rows["big"]["attributes"])
    assert (len(kept["big"]), kept["small"]) == (4_000_000, "y")
    assert "attributes" in rows["big"]["clamped"]
    assert collector.child_mib() < 1024


def test_of_duplicate_keys_the_first_counts_and_all_are_kept(collector: Collector) -> None:
    said = [("gen_ai.operation.name", "chat"), ("gen_ai.request.model", "a"), ("gen_ai.request.model", "b")]
    assert collector.send(span(said, number=5, name="twice")) == ""
    row = collector.rows()["twice"]
    assert row["request_model"] == "a"
    assert [key for key, _ in row["attributes"]].count("gen_ai.request.model") >= 1


class HastyHttp(PatientHttp):
    """HTTP that waits a moment for a head."""

    head_seconds = 0.1


@pytest.fixture
def hasty(collector: Collector) -> Iterator[httpx.Client]:
    """The same pipeline behind a front that waits for nobody."""
    with served(collector.pipeline, read_seconds=0.1, http=HastyHttp) as client:
        yield client


def test_a_slow_client_is_told_how_far_it_came(hasty: httpx.Client) -> None:
    with connect(hasty) as client:
        client.sendall(HEAD + b"Content-Length: 1000\r\n\r\n" + bytes(10))
        answer = received(client)
    assert answer.startswith(b"HTTP/1.1 408 ")
    assert b"stopped after 10 of 1000 bytes" in answer


@pytest.mark.parametrize("said", [b"", b"POST /v1/tra", HEAD], ids=["nothing", "half a line", "half a head"])
def test_who_never_finishes_a_head_is_hung_up_on(hasty: httpx.Client, said: bytes) -> None:
    with connect(hasty) as client:
        client.sendall(said)
        assert received(client) == b""


def test_who_never_finishes_a_second_head_is_hung_up_on_as_well(hasty: httpx.Client) -> None:
    with connect(hasty) as client:
        client.sendall(HEAD + b"Content-Length: 0\r\n\r\n")
        assert received(client).startswith(b"HTTP/1.1 200 ")
        client.sendall(HEAD)
        assert received(client) == b""


def test_a_client_gone_in_the_middle_of_its_body_leaves_nothing_behind(collector: Collector) -> None:
    with connect(collector.http) as client:
        client.sendall(HEAD + b"Content-Length: 1000\r\n\r\n" + bytes(10))
        client.shutdown(socket.SHUT_WR)
        assert received(client) == b""
    assert collector.pipeline.lag().records == 0
    assert not collector.rows()


def test_a_client_that_closed_its_half_is_answered(collector: Collector) -> None:
    body = framed(good("half"))
    with connect(collector.http) as client:
        client.sendall(HEAD + b"Content-Length: %d\r\n\r\n" % len(body) + body)
        client.shutdown(socket.SHUT_WR)
        assert received(client).startswith(b"HTTP/1.1 200 ")
        assert client.recv(1) == b""
    assert set(collector.rows()) == {"half"}


def test_one_connection_takes_request_after_request_also_after_a_refusal(collector: Collector) -> None:
    with connect(collector.http) as client:
        for body, status in ((framed(good("one")), 200), (b"\xff", 400), (framed(good("two")), 200)):
            client.sendall(HEAD + b"Content-Length: %d\r\n\r\n" % len(body) + body)
            assert received(client).startswith(b"HTTP/1.1 %d " % status)
    assert set(collector.rows()) == {"one", "two"}


def test_grpc_cuts_and_stores_the_same_way(collector: Collector) -> None:
    deep = span(number=5, name="deep").SerializeToString()
    deep += delimited(9, delimited(1, b"k") + delimited(2, nested(10_000)))
    big = span({"big": "x" * 60_000_000}, number=6, name="big").SerializeToString()
    bad = delimited(1, TRACE_ID) + delimited(2, bytes(3))
    answer = export(collector.grpc, framed(good("before"), deep, big, bad, good("after")))
    partial = ExportTraceServiceResponse.FromString(answer).partial_success
    assert (partial.rejected_spans, "span id is not 8 bytes" in partial.error_message) == (1, True)
    assert set(collector.rows()) == {"before", "deep", "big", "after"}
    assert collector.child_mib() < 1024


def connect(http: httpx.Client) -> socket.socket:
    """Return a plain connection to the port a client speaks to."""
    return socket.create_connection((http.base_url.host, http.base_url.port or 80), timeout=30)


def received(client: socket.socket) -> bytes:
    """Return one whole answer, or what came until the other side closed."""
    answer = b""
    while piece := client.recv(1 << 16):
        answer += piece
        head, end, body = answer.partition(b"\r\n\r\n")
        if end and len(body) >= int(head.lower().partition(b"content-length:")[2].split()[0]):
            break
    return answer
