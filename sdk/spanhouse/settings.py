"""Where telemetry goes and how it is marked, read from arguments, ``SPANHOUSE_*`` and ``OTEL_EXPORTER_OTLP_*``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from ipaddress import ip_address
from pathlib import Path
from typing import Literal, cast
from urllib.parse import urlsplit

from opentelemetry.util.re import parse_env_headers

from spanhouse.errors import ConfigurationError

DEFAULT_URL = "http://127.0.0.1:4318"
Compression = Literal["none", "gzip", "deflate"]
Signal = Literal["traces", "logs", "metrics"]


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where one signal is posted to: full URL, headers, timeout in seconds, compression and TLS files."""

    url: str
    headers: Mapping[str, str] = field(default_factory=dict)
    timeout: float = 10.0
    compression: Compression = "none"
    certificate: str | None = None
    client_certificate: str | None = None
    client_key: str | None = None


@dataclass(frozen=True, slots=True)
class Settings:
    """Everything ``init`` was told, with the environment filled in. Empty text: not known."""

    service: str
    service_version: str
    environment: str
    tenant: str
    capture_content: bool
    traces: Endpoint
    logs: Endpoint
    metrics: Endpoint | None = None
    spool: Path | None = None
    spool_bytes: int = 0


def base_url(url: str | None, environ: Mapping[str, str]) -> str:
    """Return the server's base URL without a trailing slash: the argument, else ``SPANHOUSE_URL``, else the default.

    Raises:
        ConfigurationError: the value is no http or https URL.
    """
    found = (url or environ.get("SPANHOUSE_URL") or DEFAULT_URL).rstrip("/")
    if not found.startswith(("http://", "https://")):
        msg = f"the Spanhouse URL {found!r} is not one: give it as http://host:port (argument url or SPANHOUSE_URL)"
        raise ConfigurationError(msg)
    return found


def is_loopback(url: str) -> bool:
    """Return whether the URL is on this machine, where neither a proxy nor the credentials of ~/.netrc belong."""
    host = urlsplit(url).hostname or ""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def token_in(environ: Mapping[str, str]) -> str:
    """Return the token of the API's clients: ``SPANHOUSE_TOKEN``, else ``SPANHOUSE_OPERATOR_TOKEN``; empty without."""
    return environ.get("SPANHOUSE_TOKEN") or environ.get("SPANHOUSE_OPERATOR_TOKEN") or ""


def endpoint(
    signal: Signal, url: str | None, headers: Mapping[str, str] | None, environ: Mapping[str, str]
) -> Endpoint:
    """Return where one signal goes.

    An explicit URL or ``SPANHOUSE_URL`` wins over the standard OTLP variables. The OTLP headers are then left out where
    the OTLP variables also name an endpoint, since they hold that other endpoint's credentials. ``SPANHOUSE_TOKEN``
    goes to a Spanhouse server alone: never to an endpoint that only the OTLP variables name.
    """

    def otlp(name: str) -> str | None:
        return environ.get(f"OTEL_EXPORTER_OTLP_{signal.upper()}_{name}") or environ.get(f"OTEL_EXPORTER_OTLP_{name}")

    own = bool(url or environ.get("SPANHOUSE_URL"))
    foreign = otlp("ENDPOINT")
    if own or not foreign:
        target = f"{base_url(url, environ)}/v1/{signal}"
    else:
        # The variable of one signal holds the full URL, the common one the base.
        whole = environ.get(f"OTEL_EXPORTER_OTLP_{signal.upper()}_ENDPOINT")
        target = whole or f"{foreign.rstrip('/')}/v1/{signal}"
    sent = {} if own and foreign else dict(parse_env_headers(otlp("HEADERS") or "", liberal=True))
    token = environ.get("SPANHOUSE_TOKEN")
    if token and (own or not foreign):
        sent["authorization"] = f"Bearer {token}"
    sent.update({key.lower(): value for key, value in (headers or {}).items()})
    return Endpoint(
        url=target,
        headers=sent,
        timeout=_seconds(otlp("TIMEOUT")),
        compression=_compression(otlp("COMPRESSION")),
        certificate=otlp("CERTIFICATE"),
        client_certificate=otlp("CLIENT_CERTIFICATE"),
        client_key=otlp("CLIENT_KEY"),
    )


def _seconds(text: str | None) -> float:
    try:
        value = float(text or 10)
    except ValueError:
        value = 0.0
    if value <= 0:
        msg = f"OTEL_EXPORTER_OTLP_TIMEOUT is {text!r}: give a number of seconds above 0"
        raise ConfigurationError(msg)
    return value


def _compression(text: str | None) -> Compression:
    found = (text or "none").strip().lower()
    if found not in {"none", "gzip", "deflate"}:
        msg = f"OTEL_EXPORTER_OTLP_COMPRESSION is {text!r}: give none, gzip or deflate"
        raise ConfigurationError(msg)
    return cast("Compression", found)
