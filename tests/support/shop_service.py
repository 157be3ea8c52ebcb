"""A service of its own process: an ASGI app under the middleware, whose runs are seen from outside. Run as a script."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import AsyncIterator
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, StreamingResponse
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket

import spanhouse as sh
from spanhouse.middleware import caller, request_id

KEYS = {"ours": sh.Caller(tenant="acme", trusted=True), "customer": sh.Caller(tenant="globex", budget={"max_usd": 0.5})}


def who(scope: Any) -> sh.Caller | None:
    """Return whom the key belongs to."""
    headers = dict(scope["headers"])
    return KEYS.get(headers.get(b"authorization", b"").decode())


async def answer(request: Request) -> JSONResponse:
    """Work as a sub-agent of whoever calls."""
    with sh.run("lookup") as run:
        run.event("decision", option="there")
        known = caller()
        budget = dict(known.budget) if known else None
        said = {"run_id": run.run_id, "request_id": run.request_id, "tenant": run.tenant, "budget": budget}
    await asyncio.to_thread(sh.flush)
    return JSONResponse(said)


async def streamed(request: Request) -> StreamingResponse:
    """Answer in pieces, inside one run that lasts as long as they do."""

    async def pieces() -> AsyncIterator[str]:
        with sh.run("stream") as run:
            for number in range(3):
                await asyncio.sleep(0.01)
                yield json.dumps([number, run.request_id, request_id()]) + "\n"

    return StreamingResponse(pieces())


async def socket(websocket: WebSocket) -> None:
    """Answer one message."""
    await websocket.accept()
    with sh.run("socket") as run:
        await websocket.send_json([await websocket.receive_text(), run.request_id, run.tenant])
    await websocket.close()


def main(url: str, port: int) -> None:
    """Serve until killed."""
    sh.init("lookup-service", url=url)
    routes = [Route("/", answer), Route("/stream", streamed), WebSocketRoute("/ws", socket)]
    app = sh.SpanhouseASGI(Starlette(routes=routes), caller=who)
    uvicorn.run(app, host="127.0.0.1", port=port, log_level="warning")


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
