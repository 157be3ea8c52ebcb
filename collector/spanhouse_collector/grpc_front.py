"""The OTLP/gRPC front: `opentelemetry.proto.collector.{trace,logs,metrics}.v1.*Service/Export`.

It runs on the event loop of the HTTP server and decides nothing itself. Messages come as raw bytes, still compressed:
undone by the library, a small message could fill the memory before anyone looks at its size.
"""

from __future__ import annotations

import socket
from collections.abc import Awaitable, Callable
from typing import Any, Final

import grpc  # type: ignore[import-untyped]

from spanhouse.errors import SpanhouseError
from spanhouse_collector import replies
from spanhouse_collector.content import sniffed
from spanhouse_collector.door import Door, Held, RefusedError
from spanhouse_collector.records import SIGNALS, Signal
from spanhouse_collector.replies import Encoding

STOP_SECONDS: Final = 5.0

_SERVICES: Final[dict[Signal, str]] = {
    "traces": "opentelemetry.proto.collector.trace.v1.TraceService",
    "logs": "opentelemetry.proto.collector.logs.v1.LogsService",
    "metrics": "opentelemetry.proto.collector.metrics.v1.MetricsService",
}
_CODES: Final = {code.value[0]: code for code in grpc.StatusCode}
_LONGEST_MESSAGE: Final = 500
"""A refusal travels twice in trailers, which clients take up to 8 KiB of."""

_OPTIONS: Final = (
    # Else a second server on the same port would silently get half of the requests.
    ("grpc.so_reuseport", 0),
    ("grpc.per_message_decompression", 0),
    ("grpc.max_concurrent_streams", 128),
    # A sender that vanished holds its connection no longer than this.
    ("grpc.keepalive_time_ms", 60_000),
    ("grpc.keepalive_timeout_ms", 20_000),
    ("grpc.keepalive_permit_without_calls", 1),
    ("grpc.http2.min_ping_interval_without_data_ms", 10_000),
)


class AddressTakenError(SpanhouseError):
    """The address cannot be served on; the message says why."""


class GrpcFront:
    """Serves OTLP/gRPC on an address from `start` to `stop`, both called on the loop of the door's other fronts.

    Args:
        door: takes what is received.
        address: `host:port`; port 0 takes a free one.

    Attributes:
        port: the port served on; known after `start`.
    """

    def __init__(self, door: Door, address: str) -> None:
        self._door, self._address = door, address
        self._server: grpc.aio.Server | None = None
        self.port = 0

    async def start(self) -> None:
        """Begin to serve.

        Raises:
            AddressTakenError: the address is in use or not of this machine.
        """
        check_free(self._address)
        limit = ("grpc.max_receive_message_length", self._door.max_body)
        server = grpc.aio.server(options=(*_OPTIONS, limit))
        for signal in SIGNALS:
            # Without serializers a handler is given and gives bytes.
            methods = {"Export": grpc.unary_unary_rpc_method_handler(self._exporter(signal))}
            server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(_SERVICES[signal], methods),))
        self.port = server.add_insecure_port(self._address)
        await server.start()
        self._server = server

    async def stop(self, seconds: float = STOP_SECONDS) -> None:
        """Take no more calls, let those under way end within the seconds."""
        if self._server is not None:
            await self._server.stop(seconds)
            self._server = None

    def _exporter(self, signal: Signal) -> Callable[[bytes, Any], Awaitable[bytes]]:
        async def export(body: bytes, context: grpc.aio.ServicerContext[bytes, bytes]) -> bytes:
            try:
                answer = await self._take(signal, body, context)
            except RefusedError as refusal:
                self._door.metrics.requests.labels(signal, refusal.status).inc()
                said = replies.status_of(refusal.status, str(refusal)[:_LONGEST_MESSAGE], refusal.retry_after)
                details = (("grpc-status-details-bin", said.SerializeToString()),)
                await context.abort(_CODES[said.code], said.message, details)
            self._door.metrics.requests.labels(signal, 200).inc()
            return answer

        return export

    async def _take(self, signal: Signal, body: bytes, context: grpc.aio.ServicerContext[bytes, bytes]) -> bytes:
        metadata = context.invocation_metadata() or ()
        caller = self._door.caller({key.lower(): value for key, value in metadata if isinstance(value, str)})
        with Held(self._door) as held:
            held.add(len(body))
            verdict = await self._door.take(signal, Encoding.PROTOBUF, sniffed(body), body, caller)
        return replies.response(signal, len(verdict.rejections), verdict.message)


def check_free(address: str) -> None:
    """Return if the address can be listened on.

    Raises:
        AddressTakenError: it cannot; the library itself would only say that it failed.
    """
    host, _, port = address.rpartition(":")
    host = host.strip("[]")
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, int(port)))
        except OSError as error:
            msg = f"cannot take gRPC on {address} ({error.strerror})"
            raise AddressTakenError(msg) from error
