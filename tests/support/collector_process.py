"""A whole collector as a process of its own, for tests that kill it: prints its port, serves until it is ended."""

from __future__ import annotations

import socket
import sys
from pathlib import Path

import uvicorn
from fastapi import FastAPI
from tests.support.collector_server import pipeline_of

from spanhouse_collector.door import Door
from spanhouse_collector.receivers import otlp_router
from spanhouse_storage import migrate, open_store


def main(directory: Path) -> None:
    """Collect into the directory's `store` and `journal`."""
    store = open_store(directory / "store")
    migrate(store)
    pipeline = pipeline_of(store, directory / "journal", segment_bytes=20_000)
    pipeline.start()
    app = FastAPI()
    app.include_router(otlp_router(Door(pipeline)))
    listener = socket.create_server(("127.0.0.1", 0))
    sys.stdout.write(f"{listener.getsockname()[1]}\n")
    sys.stdout.flush()
    uvicorn.Server(uvicorn.Config(app, log_level="warning")).run(sockets=[listener])
    pipeline.stop()
    store.close()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
