"""The same of the real process, over HTTP and gRPC: it lives, its memory stays bounded, the answer says what is wrong.

Beside what `test_bad_input` sends: bombs inside bombs, cycles of parents, very many links and events, numbers and names
that no field can hold. Every bad record stands between two good ones, which must be stored.
"""

from __future__ import annotations

import gzip
import json
import re
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc  # type: ignore[import-untyped]
import httpx
import pytest
from backports import zstd
from google.rpc.status_pb2 import Status  # type: ignore[import-untyped]
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span
from tests.support.grpc_server import export
from tests.support.otlp_bodies import START_NS, TRACE_ID, attributes, event, span
from tests.support.process import ServerProcess, free_port

from spanhouse.identity import run_id_of

pytestmark = pytest.mark.e2e

MIB = 1 << 20
LIMIT = 64 * MIB
MOST_MIB = 1_600
"""What the server and its decode child may take together at their worst, the embedded store included."""
AGENT = {"gen_ai.operation.name": "invoke_agent", "gen_ai.agent.name": "a"}


@dataclass
class Sent:
    """A server, and the next trace to send to it: each test has one of its own."""

    server: ServerProcess
    grpc: str
    number: int = 0

    def trace(self) -> bytes:
        self.number += 1
        return self.number.to_bytes(2) + TRACE_ID[2:]

    def post(self, body: bytes, **headers: str) -> httpx.Response:
        named = {"content-type": "application/x-protobuf"} | {k.replace("_", "-"): v for k, v in headers.items()}
        return httpx.post(f"{self.server.url}/v1/traces", content=body, headers=named, timeout=120)

    def spans(self, trace: bytes) -> dict[str, dict[str, Any]]:
        """Return what is stored of a trace whose root is span 1, by span name."""
        self.server.drain()
        run_id = run_id_of(trace.hex(), (1).to_bytes(8).hex())
        path = f"/api/v1/runs/{run_id}/spans"
        return {row["name"]: row for row in self.server.get(path, limit=500, content="true")["spans"]}

    def stored(self) -> int:
        """Return how many records were stored since the start, none of which may be unaccounted for."""
        self.server.drain()
        totals = self.server.get("/api/v1/ledger")["totals"]
        told = ("stored", "rejected", "sampled_out", "duplicated", "pending")
        assert totals["received"] == sum(totals[name] for name in told)
        return int(totals["stored"])

    def mib(self) -> int:
        """Return the most memory the process and its children ever had."""
        pids = [self.server.process.pid, *children(self.server.process.pid)]
        return sum(peak(pid) for pid in pids)


def children(pid: int) -> list[int]:
    tasks = Path(f"/proc/{pid}/task").iterdir()
    found = [int(each) for task in tasks for each in (task / "children").read_text().split()]
    return [*found, *(below for child in found for below in children(child))]


def peak(pid: int) -> int:
    return int(Path(f"/proc/{pid}/status").read_text().split("VmHWM:")[1].split()[0]) // 1024


@pytest.fixture(scope="module")
def opened(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sent]:
    port = free_port()
    with ServerProcess(tmp_path_factory.mktemp("bad") / "data", grpc=f"127.0.0.1:{port}") as server:
        yield Sent(server, f"127.0.0.1:{port}")


@pytest.fixture
def sent(opened: Sent) -> Iterator[Sent]:
    """The server, which after every test lives, is ready, holds no more than it may, and takes a good request."""
    yield opened
    assert opened.server.process.poll() is None
    assert opened.post(around(opened.trace())).status_code == 200
    assert opened.mib() < MOST_MIB


def around(trace: bytes, *bad: Span) -> bytes:
    """Return a request with these spans below a root, between two good ones."""
    made = [span(AGENT, number=1, name="root"), span(number=2, parent=1, name="before"), *bad]
    made.append(span(number=3, parent=1, name="after"))
    for each in made:
        each.trace_id = trace
    request = ExportTraceServiceRequest()
    request.resource_spans.add().scope_spans.add().spans.extend(made)
    return request.SerializeToString()


Compress = Callable[[bytes], bytes]
BOMBS: dict[str, Compress] = {"gzip": gzip.compress, "deflate": zlib.compress, "zstd": zstd.compress}


@pytest.mark.parametrize("encoding", list(BOMBS))
def test_a_bomb_in_a_bomb_is_opened_once_and_refused(sent: Sent, encoding: str) -> None:
    """What is inside is no request of OTLP, and is not opened to see whether it is one."""
    inner = BOMBS[encoding](bytes(2 * LIMIT))
    answer = sent.post(BOMBS[encoding](inner), content_encoding=encoding)
    assert answer.status_code == 400
    assert "no protobuf export request" in Status.FromString(answer.content).message
    twice = sent.post(BOMBS[encoding](inner), content_encoding=f"{encoding}, {encoding}")
    assert twice.status_code == 400
    assert f"{encoding}, {encoding}" in Status.FromString(twice.content).message


def test_grpc_refuses_a_bomb_and_a_message_over_the_limit_with_the_limit(sent: Sent) -> None:
    for compression in (grpc.Compression.Gzip, grpc.Compression.Deflate, grpc.Compression.NoCompression):
        with pytest.raises(grpc.RpcError) as refused:
            export(sent.grpc, bytes(LIMIT + MIB), compression=compression)
        assert refused.value.code() == grpc.StatusCode.RESOURCE_EXHAUSTED
        assert re.search(r"more than \d+ when decompressed|larger than (max|\d+)", refused.value.details())


def test_grpc_answers_what_is_no_request_with_invalid_argument(sent: Sent) -> None:
    with pytest.raises(grpc.RpcError) as refused:
        export(sent.grpc, b"\xff\xff\xff")
    assert refused.value.code() == grpc.StatusCode.INVALID_ARGUMENT
    assert "no protobuf export request" in refused.value.details()
    assert export(sent.grpc, b"") == b""


def test_an_empty_request_is_fine_and_says_nothing(sent: Sent) -> None:
    assert (sent.post(b"").status_code, sent.post(b"").content) == (200, b"")
    assert sent.post(b"{}", content_type="application/json").json() == {}
    assert sent.post(gzip.compress(b""), content_encoding="gzip").status_code == 200
    assert sent.post(b"", content_type="application/json").status_code == 400


@pytest.mark.parametrize("over", ["HTTP", "gRPC"])
def test_parents_that_are_themselves_or_one_another_end_in_a_tree(sent: Sent, over: str) -> None:
    trace = sent.trace()
    bad = [
        span(number=10, parent=10, name="own parent"),
        span(number=11, parent=12, name="one of two"),
        span(number=12, parent=11, name="other of two"),
        *(span(number=100 + n, parent=100 + (n + 1) % 50, name=f"ring-{n}") for n in range(50)),
    ]
    body, before = around(trace, *bad), sent.stored()
    if over == "HTTP":
        assert sent.post(body).content == b""
    else:
        assert export(sent.grpc, body) == b""
    # Whatever hangs on no root is no part of the run, and is stored all the same.
    assert set(sent.spans(trace)) == {"root", "before", "after"}
    assert sent.stored() - before == len(bad) + 3


def test_a_trace_that_is_nothing_but_a_ring_is_kept(sent: Sent) -> None:
    trace = sent.trace()
    ring = [span(AGENT, number=5 + n, parent=5 + (n + 1) % 3, name=f"r{n}") for n in range(3)]
    for each in ring:
        each.trace_id = trace
    request = ExportTraceServiceRequest()
    request.resource_spans.add().scope_spans.add().spans.extend(ring)
    before = sent.stored()
    assert sent.post(request.SerializeToString()).content == b""
    assert sent.stored() - before == len(ring)


def test_ten_thousand_links_and_events_are_kept_or_counted_as_dropped(sent: Sent) -> None:
    trace = sent.trace()
    bad = span(number=10, parent=1, name="many")
    bad.events.extend(event(f"e{n}", {"n": n}) for n in range(10_000))
    for n in range(10_000):
        bad.links.add(trace_id=trace, span_id=(n + 1).to_bytes(8))
    assert sent.post(around(trace, bad)).content == b""
    found = sent.spans(trace)
    assert {"before", "many", "after"} <= set(found)
    assert len(found["many"]["events"]) == len(found["many"]["links"]) == 10_000


def test_huge_lists_and_maps_are_kept_up_to_the_limit_of_a_text(sent: Sent) -> None:
    trace = sent.trace()
    said = {"list": list(range(50_000)), "map": {f"k{n}": n for n in range(50_000)}, "small": 1}
    assert sent.post(around(trace, span(said, number=10, parent=1, name="huge"))).content == b""
    found = sent.spans(trace)
    assert {"before", "huge", "after"} <= set(found)
    kept = found["huge"]["attributes"]
    assert set(kept) == set(said)
    assert all(len(json.dumps(value)) < 8 * MIB for value in kept.values())


def as_json(trace: bytes, **fields: Any) -> bytes:
    """Return a request in JSON whose middle span has these fields."""
    spans = [
        {"traceId": trace.hex(), "spanId": f"{n:016x}", "name": name, "startTimeUnixNano": str(START_NS)}
        for n, name in enumerate(("root", "before", "bad", "after"), start=1)
    ]
    spans[0]["attributes"] = [{"key": key, "value": {"stringValue": value}} for key, value in AGENT.items()]  # type: ignore[assignment]
    for each in spans[1:]:
        each["parentSpanId"] = f"{1:016x}"
    spans[2] |= fields
    return json.dumps({"resourceSpans": [{"scopeSpans": [{"spans": spans}]}]}).encode()


@pytest.mark.parametrize(
    "fields",
    [
        {"kind": "SPAN_KIND_TELEPATHY"},
        {"status": {"code": "STATUS_CODE_MAYBE"}},
        {"kind": 99, "status": {"code": 77}},
        {"attributes": [{"key": "n", "value": {"intValue": str(1 << 63)}}]},
        {"attributes": [{"key": "n", "value": {"intValue": -(1 << 70)}}]},
        {"unknownField": [{"deep": 1}]},
    ],
    ids=["kind", "status", "numbers", "beyond int64", "below int64", "unknown field"],
)
def test_json_that_says_what_otlp_does_not_know_loses_nothing(sent: Sent, fields: dict[str, Any]) -> None:
    trace = sent.trace()
    answer = sent.post(as_json(trace, **fields), content_type="application/json")
    assert (answer.status_code, answer.json()) == (200, {})
    found = sent.spans(trace)
    assert set(found) == {"root", "before", "bad", "after"}
    for each in fields.get("attributes", ()):
        assert str(found["bad"]["attributes"]["n"]).strip('"') == str(each["value"]["intValue"])


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"droppedAttributesCount": 1 << 40}, "droppedAttributesCount is 1099511627776"),
        (
            {"attributes": [{"key": "n", "value": {"intValue": "many"}}]},
            "attributes[0].value.intValue must be a whole number",
        ),
        ({"startTimeUnixNano": "noon"}, "startTimeUnixNano must be a whole number"),
    ],
    ids=["beyond uint32", "no number", "no time"],
)
def test_json_that_is_not_of_otlps_shape_is_refused_whole_and_the_place_named(
    sent: Sent, fields: dict[str, Any], said: str
) -> None:
    answer = sent.post(as_json(sent.trace(), **fields), content_type="application/json")
    assert answer.status_code == 400
    assert f"resourceSpans[0].scopeSpans[0].spans[2].{said}" in answer.text


def test_numbers_at_the_edge_of_int64_are_kept(sent: Sent) -> None:
    trace = sent.trace()
    bad = span({"max": (1 << 63) - 1, "min": -(1 << 63)}, number=10, parent=1, name="edge")
    assert sent.post(around(trace, bad)).content == b""
    kept = sent.spans(trace)["edge"]["attributes"]
    assert {key: int(value) for key, value in kept.items()} == {"max": (1 << 63) - 1, "min": -(1 << 63)}


def test_enums_nobody_knows_are_kept_as_unspecified_over_both_protocols(sent: Sent) -> None:
    ways: list[Callable[[bytes], bytes]] = [lambda body: sent.post(body).content, lambda body: export(sent.grpc, body)]
    for send in ways:
        trace = sent.trace()
        bad = span(number=10, parent=1, name="enum")
        raw = bad.SerializeToString()
        # Kind 99 and status code 77, as fields written behind the others.
        raw += b"\x30\x63" + b"\x7a\x02\x18\x4d"
        bad = Span.FromString(raw)
        assert send(around(trace, bad)) == b""
        found = sent.spans(trace)
        assert {"before", "enum", "after"} <= set(found)
        assert found["enum"]["status"] == "unset"


def test_a_hundred_thousand_attributes_and_a_huge_one_over_grpc(sent: Sent) -> None:
    trace = sent.trace()
    wide = span({f"k{n}": n for n in range(100_000)}, number=10, parent=1, name="wide")
    big = span({"big": "x" * 50_000_000}, number=11, parent=1, name="big")
    assert export(sent.grpc, around(trace, wide, big)) == b""
    run_id = run_id_of(trace.hex(), (1).to_bytes(8).hex())
    sent.server.drain()
    names = {row["name"] for row in sent.server.get(f"/api/v1/runs/{run_id}/spans")["spans"]}
    assert {"before", "wide", "big", "after"} <= names


def test_attributes_without_key_or_value_are_no_reason_to_refuse(sent: Sent) -> None:
    trace = sent.trace()
    bad = span(number=10, parent=1, name="empty")
    bad.attributes.extend(attributes([("", "no key"), ("no value", None), ("", None), ("same", 1), ("same", 2)]))
    assert sent.post(around(trace, bad)).content == b""
    assert {"before", "empty", "after"} <= set(sent.spans(trace))
