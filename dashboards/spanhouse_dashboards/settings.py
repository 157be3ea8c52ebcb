"""Where the pages find the API: set once by the process that mounts them, else read from the environment."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace

import streamlit as st

DEFAULT_URL = "http://127.0.0.1:4318"


@dataclass(frozen=True, slots=True)
class Settings:
    """The API's base URL and, where the server asks for one, a bearer token."""

    url: str
    token: str | None = None


_configured: Settings | None = None
_cookie = ""


def configure(url: str | None, token: str | None = None, *, cookie: str = "") -> None:
    """Make every page of this process read from `url`; None goes back to the environment.

    With `cookie`, the name of one, each visitor's own is the token, so that pages show a visitor what they may see.

    The address is never taken from a page's query string: a link could then make the server fetch any host it reaches.
    """
    global _configured, _cookie  # noqa: PLW0603 - one process serves one set of pages
    _configured = Settings(url.rstrip("/"), token) if url else None
    _cookie = cookie


def current() -> Settings:
    """Return what `configure` set, else `SPANHOUSE_URL` and `SPANHOUSE_TOKEN`, else the default port on loopback."""
    if _configured is not None:
        return replace(_configured, token=st.context.cookies.get(_cookie, "")) if _cookie else _configured
    return Settings(os.environ.get("SPANHOUSE_URL", DEFAULT_URL).rstrip("/"), os.environ.get("SPANHOUSE_TOKEN") or None)
