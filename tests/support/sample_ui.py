"""The pages over the sample API in one process, mounted as the server mounts them: `python sample_ui.py PORT`."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import uvicorn
from fastapi import FastAPI
from tests.support.sample_api import create_app

from spanhouse_dashboards.mount import streamlit_app


def main(port: int) -> None:
    """Serve until told to stop."""
    ui = streamlit_app(url=f"http://127.0.0.1:{port}")
    enter_ui = ui.lifespan()

    @asynccontextmanager
    async def lifespan(parent: FastAPI) -> AsyncIterator[None]:
        async with enter_ui(parent):
            yield

    app = create_app()
    app.router.lifespan_context = lifespan
    app.mount("/ui", ui)
    uvicorn.run(app, host="127.0.0.1", port=port, log_level="warning")


if __name__ == "__main__":
    main(int(sys.argv[1]))
