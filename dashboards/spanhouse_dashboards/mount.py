"""The pages as one ASGI application, for a parent application to mount under `/ui`."""

from __future__ import annotations

import importlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import anyio.to_thread
import streamlit as st
from streamlit import config as streamlit_config

from spanhouse_dashboards import settings

SCRIPT = Path(__file__).with_name("app.py")
WARMED = (
    "polars",
    "plotly.graph_objects",
    "pyarrow",
    "spanhouse_dashboards.filter_bar",
    "spanhouse_dashboards.figures.waterfall",
    "spanhouse_dashboards.figures.stop_reasons",
    "spanhouse_dashboards.figures.tools",
    "spanhouse_dashboards.figures.trend",
)
"""Modules the first visit would otherwise import, half a second during which the whole process stands still."""


def streamlit_app(url: str | None = None, token: str | None = None, *, cookie: str = "") -> st.App:
    """Return the ASGI application of all pages.

    The parent enters its lifespan and mounts it; the order matters, for Streamlit refuses to serve before::

        ui = streamlit_app(url="http://127.0.0.1:4318")
        enter_ui = ui.lifespan()

        @asynccontextmanager
        async def lifespan(app):
            async with enter_ui(app):
                yield

        parent = FastAPI(lifespan=lifespan)
        parent.mount("/ui", ui)

    Streamlit's settings come from the `.streamlit/config.toml` beside this file, whatever the working directory.
    One application a process: Streamlit keeps its runtime in a global.

    Args:
        url: base URL of the API as this process reaches it; None reads `SPANHOUSE_URL`, else the default port.
        token: bearer token where the API asks for one; None reads `SPANHOUSE_TOKEN`.
        cookie: name of the cookie whose value is each visitor's own token, in place of `token`; empty for none.
    """
    settings.configure(url, token, cookie=cookie)
    app = st.App(SCRIPT, lifespan=_warm)
    # Someone may have read an option before, and with it a configuration that did not know this script.
    streamlit_config._main_script_path = str(SCRIPT)  # noqa: SLF001 - there is no public way to name a config file
    streamlit_config.get_config_options(force_reparse=True)
    return app


@asynccontextmanager
async def _warm(_app: st.App) -> AsyncIterator[None]:
    await anyio.to_thread.run_sync(_import_all)
    yield


def _import_all() -> None:
    for name in WARMED:
        importlib.import_module(name)
