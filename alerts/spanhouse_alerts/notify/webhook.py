"""Notices as signed JSON posts, one connection each, to an address that was looked at first."""

from __future__ import annotations

import email.utils
import hashlib
import hmac
import http.client
import json
import socket
import ssl
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from threading import Timer
from typing import Any
from urllib.parse import SplitResult, urlsplit

from spanhouse_alerts.notify.addresses import from_environment, permitted
from spanhouse_alerts.notify.errors import DeliveryError
from spanhouse_alerts.rules import WebhookReceiver

TIMEOUT_SECONDS = 5.0
"""Longest time from the first packet to the whole reply."""

MAX_REPLY_BYTES = 64 * 1024
"""How much of a reply is read; the rest is left and the connection closed."""

# The request itself was refused: the same bytes would be refused again. 401, 403 and 404 are not here, since whoever
# runs the receiver can mend those.
_PERMANENT = frozenset({400, 405, 406, 410, 411, 413, 414, 415, 422})


def sign(secret: str, timestamp: str, body: bytes) -> str:
    """Return the signature of a post: ``v1=`` and the hex HMAC-SHA256 of timestamp, a dot, and body."""
    digest = hmac.new(secret.encode(), timestamp.encode() + b"." + body, hashlib.sha256).hexdigest()
    return f"v1={digest}"


def verify(secret: str, timestamp: str, body: bytes, signature: str) -> bool:
    """Return whether a post was signed with this secret; compare the timestamp with the clock as well."""
    return hmac.compare_digest(sign(secret, timestamp, body), signature)


def post(receiver: WebhookReceiver, key: str, payload: Mapping[str, Any], now: datetime) -> None:
    """Send one notice; returns when the receiver has answered with a 2xx status.

    Headers: ``Idempotency-Key`` (the same on every attempt), ``Spanhouse-Timestamp`` (Unix seconds) and, with a secret,
    ``Spanhouse-Signature``.

    Raises:
        DeliveryError: anything else happened, redirects included; says whether trying again makes sense.
    """
    url = urlsplit(from_environment(receiver.url))
    host, port = _target(url)
    body = json.dumps(payload, ensure_ascii=False).encode()
    timestamp = str(int(now.timestamp()))
    headers = {
        "Content-Type": "application/json",
        "Content-Length": str(len(body)),
        "User-Agent": "spanhouse-alerts",
        "Idempotency-Key": key,
        "Spanhouse-Timestamp": timestamp,
        "Connection": "close",
    }
    if receiver.hmac_secret is not None:
        headers["Spanhouse-Signature"] = sign(from_environment(receiver.hmac_secret), timestamp, body)
    address = permitted(host, port, allow_private=receiver.allow_private)[0]
    try:
        status, retry_after = _exchange(url, host, (address, port), body, headers)
    except (OSError, http.client.HTTPException) as error:
        msg = f"{host}:{port} did not take the notice: {error or type(error).__name__}"
        raise DeliveryError(msg) from error
    if 300 <= status < 400:  # noqa: PLR2004 - the HTTP class of redirects
        msg = (
            f"{host}:{port} answered {status}, a redirect, which is not followed: write the final address in the rules"
        )
        raise DeliveryError(msg)
    if not 200 <= status < 300:  # noqa: PLR2004 - the HTTP class of success
        msg = f"{host}:{port} answered {status}"
        raise DeliveryError(msg, permanent=status in _PERMANENT, retry_after=_wait(retry_after, now))


def _target(url: SplitResult) -> tuple[str, int]:
    try:
        port = url.port or (443 if url.scheme == "https" else 80)
    except ValueError as error:
        msg = f"the webhook's URL cannot be used: {error}"
        raise DeliveryError(msg, permanent=True) from error
    if url.scheme not in {"http", "https"} or not url.hostname:
        msg = "the webhook's URL cannot be used: write http://host/path or https://host/path"
        raise DeliveryError(msg, permanent=True)
    if url.username is not None or url.password is not None:
        msg = "the webhook's URL holds a user name or password: sign with hmac_secret instead"
        raise DeliveryError(msg, permanent=True)
    return url.hostname, port


def _exchange(
    url: SplitResult, host: str, address: tuple[str, int], body: bytes, headers: Mapping[str, str]
) -> tuple[int, str | None]:
    connection = http.client.HTTPConnection(host, address[1], timeout=TIMEOUT_SECONDS)
    line = _Line(socket.create_connection(address, timeout=TIMEOUT_SECONDS))
    # The socket's own timeout starts anew with every byte; this one ends a receiver that answers drop by drop.
    deadline = Timer(TIMEOUT_SECONDS, line.hang_up)
    deadline.daemon = True
    deadline.start()
    try:
        if url.scheme == "https":
            line.secure(host)
        connection.sock = line.sock
        path = (url.path or "/") + (f"?{url.query}" if url.query else "")
        connection.request("POST", path, body, {"Host": url.netloc, **headers})
        response = connection.getresponse()
        # The status alone is the acknowledgement: to fail over a long body would send the notice again and again.
        response.read(MAX_REPLY_BYTES)
        return response.status, response.getheader("Retry-After")
    finally:
        deadline.cancel()
        connection.close()
        line.sock.close()


class _Line:
    """The open socket, plain or wrapped, where another thread can end it."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock

    def secure(self, host: str) -> None:
        # Wrapped first and shaken hands with after, so that the deadline holds during the handshake too.
        context = ssl.create_default_context()
        wrapped = context.wrap_socket(self.sock, server_hostname=host, do_handshake_on_connect=False)
        self.sock = wrapped
        wrapped.do_handshake()

    def hang_up(self) -> None:
        try:
            self.sock.shutdown(socket.SHUT_RDWR)
        except OSError:
            return  # the exchange ended in the same moment


def _wait(retry_after: str | None, now: datetime) -> timedelta | None:
    if retry_after is None:
        return None
    if retry_after.isdecimal():
        return timedelta(seconds=min(int(retry_after), 86_400))
    try:
        until = email.utils.parsedate_to_datetime(retry_after)
    except ValueError:
        return None
    return max(until.replace(tzinfo=until.tzinfo or UTC) - now, timedelta(0))
