"""OTLP/gRPC over a real socket, with a real journal and decode child behind it."""

from __future__ import annotations

import gzip
import socket
import struct
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import grpc  # type: ignore[import-untyped]
import pytest
from google.rpc.error_details_pb2 import RetryInfo  # type: ignore[import-untyped]
from google.rpc.status_pb2 import Status  # type: ignore[import-untyped]
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceResponse
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse
from tests.support.collector_server import MemorySink, pipeline_of, running
from tests.support.export_requests import logs, span_id, traces
from tests.support.grpc_server import export, grpc_served

from spanhouse_collector.caller import Caller, CallerRefusedError
from spanhouse_collector.grpc_front import AddressTakenError, check_free
from spanhouse_collector.pipeline import Pipeline

MIB = 1 << 20


class Front:
    """The gRPC front's address, and what is behind it."""

    def __init__(self, address: str, sink: MemorySink, pipeline: Pipeline) -> None:
        self.address, self.sink, self.pipeline = address, sink, pipeline

    def stored(self, table: str = "spans") -> list[dict[str, Any]]:
        """Return the rows that came into the store since the last call."""
        assert self.pipeline.drain(30)
        rows = self.sink.rows(table)
        self.sink.inserts.clear()
        return rows


@pytest.fixture(scope="module")
def opened(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Front]:
    sink = MemorySink()
    with (
        running(pipeline_of(sink, tmp_path_factory.mktemp("journal"))) as pipeline,
        grpc_served(pipeline, max_body=MIB) as address,
    ):
        yield Front(address, sink, pipeline)


@pytest.fixture
def front(opened: Front) -> Front:
    opened.stored()
    return opened


def refusal(address: str, body: bytes, **options: Any) -> tuple[grpc.StatusCode, Status | None]:
    """Return the code and the details of a call that must be refused."""
    with pytest.raises(grpc.RpcError) as caught:
        export(address, body, **options)
    trailers = dict(caught.value.trailing_metadata() or ())
    details = trailers.get("grpc-status-details-bin")
    return caught.value.code(), None if details is None else Status.FromString(details)


def retry_seconds(status: Status | None) -> int | None:
    """Return the seconds of a status's RetryInfo; None where it has none."""
    info = RetryInfo()
    if status is None or not any(detail.Unpack(info) for detail in status.details):
        return None
    return int(info.retry_delay.seconds)


def test_every_signal_has_its_service_and_is_answered_with_empty_success(front: Front) -> None:
    assert export(front.address, traces(1, 3).SerializeToString()) == b""
    assert export(front.address, logs(["one"]).SerializeToString(), "logs") == b""
    assert export(front.address, b"", "metrics") == b""
    assert front.pipeline.drain(30)
    assert {row["span_id"] for row in front.sink.rows("spans")} == {span_id(1, n).hex() for n in range(3)}
    assert [row["body"] for row in front.sink.rows("logs")] == ["one"]


@pytest.mark.parametrize("compression", list(grpc.Compression), ids=lambda each: each.name)
def test_messages_may_be_compressed(front: Front, compression: grpc.Compression) -> None:
    body = traces(2, 3, attributes={"text": "agent " * 500}).SerializeToString()
    assert export(front.address, body, compression=compression) == b""
    assert len(front.stored()) == 3


@pytest.mark.parametrize("compression", [grpc.Compression.Gzip, grpc.Compression.Deflate], ids=lambda each: each.name)
def test_a_bomb_is_refused_for_good_whatever_its_size_on_the_wire(front: Front, compression: grpc.Compression) -> None:
    bomb = b"\x12" + b"\xff\xff\xff\x1f" + bytes(64 * MIB)
    code, status = refusal(front.address, bomb, compression=compression)
    assert code is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert status is not None
    assert "more than 1048576 when decompressed" in status.message
    assert retry_seconds(status) is None
    assert export(front.address, traces(1).SerializeToString()) == b""


def test_a_message_over_the_limit_is_refused_for_good(front: Front) -> None:
    code, status = refusal(front.address, bytes(2 * MIB))
    assert (code, retry_seconds(status)) == (grpc.StatusCode.RESOURCE_EXHAUSTED, None)


def test_what_is_no_request_is_an_invalid_argument_that_says_why(front: Front) -> None:
    code, status = refusal(front.address, b"\xff\xff\xff")
    assert code is grpc.StatusCode.INVALID_ARGUMENT
    assert status is not None
    assert "no protobuf export request for traces" in status.message


def test_a_bad_record_is_refused_alone_and_its_neighbours_are_stored(front: Front) -> None:
    request = traces(4, 3)
    request.resource_spans[0].scope_spans[0].spans[1].span_id = b""
    answer = ExportTraceServiceResponse.FromString(export(front.address, request.SerializeToString()))
    assert answer.partial_success.rejected_spans == 1
    assert "span id missing" in answer.partial_success.error_message
    assert {row["span_id"] for row in front.stored()} == {span_id(4, 0).hex(), span_id(4, 2).hex()}


def test_spans_sent_to_the_logs_service_are_told_where_they_belong(front: Front) -> None:
    answer = ExportLogsServiceResponse.FromString(export(front.address, traces(4).SerializeToString(), "logs"))
    assert answer.partial_success.rejected_log_records == 1
    assert "/v1/traces" in answer.partial_success.error_message


def test_a_full_journal_is_unavailable_with_a_time_to_come_back(tmp_path: Path) -> None:
    with running(pipeline_of(MemorySink(), tmp_path, max_journal_bytes=100)) as pipeline, grpc_served(pipeline) as to:
        code, status = refusal(to, traces(1).SerializeToString())
    assert code is grpc.StatusCode.UNAVAILABLE
    assert (retry_seconds(status) or 0) > 0


def test_a_caller_is_known_by_its_metadata_and_each_refusal_has_its_code(tmp_path: Path) -> None:
    def identify(headers: Mapping[str, str]) -> Caller:
        said = headers.get("authorization", "")
        if said == "Bearer key":
            return Caller(tenant="acme")
        if said == "Bearer fast":
            msg = "too many requests"
            raise CallerRefusedError(msg, status=429, retry_after=7)
        msg = "the key may not send"
        raise CallerRefusedError(msg, status=403 if said else 401)

    sink, body = MemorySink(), traces(1).SerializeToString()
    found = {}
    with running(pipeline_of(sink, tmp_path)) as pipeline, grpc_served(pipeline, identify=identify) as to:
        for said in ("", "Bearer other", "Bearer fast"):
            found[said] = refusal(to, body, metadata=(("authorization", said),) if said else ())
        assert export(to, body, metadata=(("authorization", "Bearer key"),)) == b""
        assert pipeline.drain(30)
    assert [row["tenant"] for row in sink.rows("spans")] == ["acme"]
    assert {said: (code.name, retry_seconds(status)) for said, (code, status) in found.items()} == {
        "": ("UNAUTHENTICATED", None),
        "Bearer other": ("PERMISSION_DENIED", None),
        "Bearer fast": ("RESOURCE_EXHAUSTED", 7),
    }


def test_an_unknown_method_is_unimplemented(front: Front) -> None:
    with grpc.insecure_channel(front.address) as channel, pytest.raises(grpc.RpcError) as caught:
        channel.unary_unary("/opentelemetry.proto.collector.profiles.v1.ProfilesService/Export")(b"")
    assert caught.value.code() is grpc.StatusCode.UNIMPLEMENTED


def test_an_address_in_use_is_said_in_one_sentence() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        with pytest.raises(AddressTakenError, match=f"^cannot take gRPC on {address} \\(Address already in use\\)$"):
            check_free(address)
    check_free(address)


def test_connections_that_say_nothing_or_nonsense_hold_up_nobody(front: Front) -> None:
    host, _, port = front.address.partition(":")
    with (
        socket.create_connection((host, int(port))) as silent,
        socket.create_connection((host, int(port))) as rude,
        socket.create_connection((host, int(port))) as half,
    ):
        rude.sendall(b"GET / HTTP/1.1\r\n\r\n" + struct.pack("!I", zlib.crc32(b"x")) + gzip.compress(b"x"))
        half.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
        half.shutdown(socket.SHUT_WR)
        assert export(front.address, traces(1).SerializeToString()) == b""
        assert silent.fileno() >= 0
    assert len(front.stored()) == 1
