"""The collector's gRPC front on a real socket, on an event loop of its own."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import grpc  # type: ignore[import-untyped]

from spanhouse_collector.door import Door
from spanhouse_collector.grpc_front import GrpcFront
from spanhouse_collector.pipeline import Pipeline

SERVICES = {
    "traces": "opentelemetry.proto.collector.trace.v1.TraceService",
    "logs": "opentelemetry.proto.collector.logs.v1.LogsService",
    "metrics": "opentelemetry.proto.collector.metrics.v1.MetricsService",
}


@contextmanager
def grpc_served(pipeline: Pipeline, **options: Any) -> Iterator[str]:
    """Serve OTLP/gRPC on a free loopback port; lend its `host:port`."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()

    async def begin() -> GrpcFront:
        front = GrpcFront(Door(pipeline, **options), "127.0.0.1:0")
        await front.start()
        return front

    try:
        front = asyncio.run_coroutine_threadsafe(begin(), loop).result(30)
        try:
            yield f"127.0.0.1:{front.port}"
        finally:
            asyncio.run_coroutine_threadsafe(front.stop(1), loop).result(30)
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


def export(
    address: str,
    body: bytes,
    signal: str = "traces",
    *,
    compression: grpc.Compression = grpc.Compression.NoCompression,
    metadata: tuple[tuple[str, str], ...] = (),
) -> bytes:
    """Return the answer to one export call of raw bytes; a refusal is raised as `grpc.RpcError`."""
    with grpc.insecure_channel(address, compression=compression) as channel:
        call = channel.unary_unary(f"/{SERVICES[signal]}/Export")
        answer: bytes = call(body, metadata=metadata, timeout=30)
        return answer
