"""The collector's front door on a real socket, in threads of this process."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pyarrow as pa
import uvicorn
from fastapi import FastAPI

from spanhouse_collector.batching import BatchLimits
from spanhouse_collector.door import Door
from spanhouse_collector.pipeline import Pipeline, PipelineSettings
from spanhouse_collector.receivers import READ_SECONDS, otlp_router
from spanhouse_collector.writer import Sink
from spanhouse_server.http_protocol import PatientHttp

QUICK = BatchLimits(linger=0.05, small_linger=0.01)


class MemorySink:
    """Rows by table and token, as the store contract has it: a token is stored once."""

    def __init__(self) -> None:
        self.inserts: dict[tuple[str, str], pa.Table] = {}
        self.calls = 0

    def insert(self, table: str, rows: pa.Table, token: str) -> None:
        """Keep the rows unless the token is known."""
        self.calls += 1
        self.inserts.setdefault((table, token), rows)

    def rows(self, table: str) -> list[dict[str, Any]]:
        """Return a table's rows, in the order of their insertion."""
        return [row for (name, _), rows in self.inserts.items() if name == table for row in rows.to_pylist()]


@contextmanager
def running(pipeline: Pipeline) -> Iterator[Pipeline]:
    """Start the pipeline, and stop it at the end."""
    pipeline.start()
    try:
        yield pipeline
    finally:
        pipeline.stop(drain_seconds=0)


def pipeline_of(sink: Sink, directory: Path, *, touched: list[pa.Table] | None = None, **settings: Any) -> Pipeline:
    """Return a pipeline that makes batches at once; `touched` gets the traces of every stored batch."""
    told = [] if touched is None else touched
    options = {"limits": QUICK, "min_free_bytes": 0, **settings}
    return Pipeline(sink, directory, lambda traces, _: told.append(traces), settings=PipelineSettings(**options))


@contextmanager
def served(
    pipeline: Pipeline, *, read_seconds: float = READ_SECONDS, http: type[PatientHttp] = PatientHttp, **options: Any
) -> Iterator[httpx.Client]:
    """Serve the OTLP routes on a free loopback port; lend a client that sends protobuf."""
    app = FastAPI()
    app.include_router(otlp_router(Door(pipeline, **options), read_seconds=read_seconds))
    server = uvicorn.Server(
        uvicorn.Config(app, host="127.0.0.1", port=0, log_level="warning", lifespan="off", http=http)
    )
    ready = threading.Event()
    startup = server.startup

    async def announced(*arguments: Any, **keywords: Any) -> None:
        await startup(*arguments, **keywords)
        ready.set()

    server.startup = announced  # type: ignore[method-assign]
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        assert ready.wait(timeout=30)
        port = server.servers[0].sockets[0].getsockname()[1]
        headers = {"content-type": "application/x-protobuf"}
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", headers=headers, timeout=30) as client:
            yield client
    finally:
        server.should_exit = True
        thread.join()
